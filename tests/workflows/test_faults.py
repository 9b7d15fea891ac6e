"""Channels that raise an error of the contract in place of a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from activities.channels import ChannelActivities, ChannelEnvironment
from domain import ChannelFault, ProposalStatus, Receipt, Touch, TouchStatus
from tests.workflows.cast import set_up, wanted
from tests.workflows.stage import FAST, soon, staged

EDITS = FAST | {"channels.yaml": [("retry_after: 5s", "retry_after: 1s")]}


def a_channel(
    conduct: Callable[[ChannelEnvironment, Touch, int], Awaitable[Receipt]],
) -> Callable[[ChannelEnvironment], ChannelActivities]:
    """A channel of its own team, which does in each attempt what `conduct` says."""

    def build(environment: ChannelEnvironment) -> ChannelActivities:
        @activity.defn(name="hand_over")
        async def hand_over(touch: Touch) -> Receipt:
            return await conduct(environment, touch, activity.info().attempt)

        return ChannelActivities(hand_over)

    return build


@pytest.mark.parametrize("fault", [ChannelFault.RATE_LIMITED, ChannelFault.PERMANENT])
async def test_an_error_of_a_later_attempt_says_nothing_about_an_earlier_one(
    temporal: WorkflowEnvironment, tmp_path: Path, fault: ChannelFault
) -> None:
    """Given an attempt that claimed an at-most-once touch, handed it over and was lost, when the next one
    meets a full or closed door, then the touch is in doubt, and is not handed over again."""
    handed_over: list[str] = []

    async def conduct(environment: ChannelEnvironment, touch: Touch, attempt: int) -> Receipt:
        if attempt > 1:
            raise ApplicationError(
                "closed", soon(seconds=1).isoformat(), type=fault.value, non_retryable=True
            )
        await environment.ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
        handed_over.append(touch.touch_id)
        raise ConnectionResetError

    more = {"email": a_channel(conduct)}
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=(), more=more) as stage:
        await set_up(stage)
        asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
        status = await stage.status_when(lambda s: bool(s.in_doubt) or len(handed_over) > 1, "its end")
        await asking

    assert handed_over == [f"{stage.account_id}/sdr-1/1"]
    assert [touch.status for touch in status.touches] == [TouchStatus.UNKNOWN]


async def test_a_rate_limit_that_nothing_went_before_is_waited_for(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given no attempt that claimed the touch, when its channel is rate-limited until a moment, then the
    touch was not handed over, and is ruled on again at that moment."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

    async def conduct(_: ChannelEnvironment, __: Touch, ___: int) -> Receipt:
        raise ApplicationError(
            "slower", until.isoformat(), type=ChannelFault.RATE_LIMITED, non_retryable=True
        )

    more = {"email": a_channel(conduct)}
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=(), more=more) as stage:
        await set_up(stage)
        await stage.propose(wanted("sdr-1", expires_at=until + timedelta(days=1)))
        status = await stage.status_when(
            lambda s: any(t.status is TouchStatus.RELEASED for t in s.touches), "the receipt"
        )

    (view,) = status.proposals
    assert view.status is ProposalStatus.DEFERRED
    assert view.due_at == until
    assert not status.in_doubt


@pytest.mark.parametrize("fault", [ChannelFault.RATE_LIMITED, ChannelFault.PERMANENT])
async def test_a_final_error_is_final_even_if_it_is_raised_as_one_to_retry(
    temporal: WorkflowEnvironment, tmp_path: Path, fault: ChannelFault
) -> None:
    """Given a team that forgot to mark its error, then its channel is not asked again at once."""
    attempts: list[int] = []

    async def conduct(_: ChannelEnvironment, __: Touch, attempt: int) -> Receipt:
        attempts.append(attempt)
        raise ApplicationError("no", soon(hours=1).isoformat(), type=fault.value)

    more = {"email": a_channel(conduct)}
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=(), more=more) as stage:
        await set_up(stage)
        await stage.propose(wanted("sdr-1"))
        await stage.status_when(
            lambda s: all(t.status is not TouchStatus.IN_FLIGHT for t in s.touches), "the receipt"
        )

    assert attempts == [1]
