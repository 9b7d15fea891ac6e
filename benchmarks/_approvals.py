"""From a person's answer to the touch that it releases."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from temporalio.api.enums.v1 import EventType

from benchmarks import _cast as cast
from benchmarks._figures import Figure, at_most
from benchmarks._stage import MeasurementError, Stage, staged
from domain import AccountStatus, Answer, Approval, ApprovalAnswer
from workflows import HAND_OVER, workflow_id

NAME = "approvals"
ANSWERS = 200
WARM_UP = 10
INTRODUCED_AT_ONCE = 10
SLOWEST_MS = 1_000.0
"""A person who has said yes should see it on its way before they look at the next question."""


async def measure() -> list[Figure]:
    """Answer one question after another, and time how long the channel waits for each touch."""
    async with staged() as stage:
        names = [f"bench-{number}" for number in range(WARM_UP + ANSWERS)]
        questions = dict(zip(names, await _asked(stage, names), strict=True))
        waits = [await _released(stage, name, questions[name]) for name in names][WARM_UP:]
    told = [wait.told for wait in waits]
    released = [wait.released for wait in waits]
    load = f"{ANSWERS} answers, one after another, each on an account of its own"
    return [
        Figure(
            benchmark=NAME,
            what="answer to released touch, median",
            value=statistics.median(released),
            unit="ms",
            note=f"from the call of the update until the channel's activity has the touch; {load}",
        ),
        Figure(
            benchmark=NAME,
            what="answer to released touch, p99",
            value=_p99(released),
            unit="ms",
            target=at_most(SLOWEST_MS),
            note=f"longest {max(released):.0f} ms",
        ),
        Figure(
            benchmark=NAME,
            what="answer to its acknowledgement, median",
            value=statistics.median(told),
            unit="ms",
            note=f"p99 {_p99(told):.0f} ms; the person is told `recorded`",
        ),
    ]


class _Wait(NamedTuple):
    """Milliseconds that one answer took."""

    told: float
    """Until the person had its result."""
    released: float
    """Until the channel had the touch."""


async def _asked(stage: Stage, names: Sequence[str]) -> list[Approval]:
    """Introduce accounts, propose on each what needs a person, and return the questions."""
    gate = asyncio.Semaphore(INTRODUCED_AT_ONCE)

    async def ask(name: str) -> Approval:
        async with gate:
            await stage.accounts.observe(name, cast.profile(name))
            await stage.accounts.propose(name, cast.proposal("exec-1"))
            status = await stage.status_when(name, _is_quiet, "the question to be in the ledger")
        return status.approvals[0]

    return list(await asyncio.gather(*(ask(name) for name in names)))


def _is_quiet(status: AccountStatus) -> bool:
    return bool(status.approvals) and not status.unsent_facts


async def _released(stage: Stage, name: str, approval: Approval) -> _Wait:
    answer = ApprovalAnswer(
        answer_id="bench",
        approval_id=approval.approval_id,
        answer=Answer.APPROVE,
        approver=approval.asked[0],
        digest=approval.digest,
    )
    called, began = datetime.now(UTC), time.perf_counter()
    result = await stage.accounts.answer(name, answer)
    told = (time.perf_counter() - began) * 1_000
    if not result.accepted:
        msg = f"the answer on {name} was refused: {result.message}"
        raise MeasurementError(msg)
    await stage.status_when(name, lambda s: all(view.status.final for view in s.proposals), "the touch")
    got = await _handed_to_the_channel(stage, name)
    return _Wait(told, (got - called).total_seconds() * 1_000)


async def _handed_to_the_channel(stage: Stage, name: str) -> datetime:
    """Return when the channel's worker took the touch, as the engine on this machine wrote it down."""
    handle = stage.client.get_workflow_handle(workflow_id(name))
    scheduled: set[int] = set()
    async for event in handle.fetch_history_events():
        if event.event_type is EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if event.activity_task_scheduled_event_attributes.activity_type.name == HAND_OVER:
                scheduled.add(event.event_id)
        elif event.activity_task_started_event_attributes.scheduled_event_id in scheduled:
            return event.event_time.ToDatetime(tzinfo=UTC)
    msg = f"no touch of {name} reached its channel"
    raise MeasurementError(msg)


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
