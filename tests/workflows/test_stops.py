"""Kill switches on the real engine: nothing is handed over within five seconds, and then it goes on."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.channels import ChannelEnvironment
from activities.channels import email as email_channel
from domain import ProposalStatus, ReasonCode, Stop, StopScope, TouchStatus
from tests.channels.support import Relay
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import LINKS, Stage, email_settings, soon, staged, until
from workflows import AccountError

ACCOUNTS = 20
WITHIN_SECONDS = 5.0
BUSY = {
    "timing.yaml": [("decision_window: 2s", "decision_window: 0.1s"), ("at_least: 12s", "at_least: 0.1s")],
    "frequency.yaml": [("limit: 8", "limit: 1000")],
    "arbitration.yaml": [("touches: 3", "touches: 1000")],
    "channels.yaml": [("retry_after: 5s", "retry_after: 1s")],
}


def a_stop(scope: StopScope, name: str | None) -> Stop:
    return Stop(
        stop_id=f"s-{scope.value}",
        scope=scope,
        name=name,
        reason="wrong price list",
        placed_by="dana.reyes",
        placed_at=soon(),
    )


class Arrivals:
    """What came to the receiver and when, by account."""

    def __init__(self, stage: Stage, accounts: list[str]) -> None:
        self._stage = stage
        self._unheard = set(accounts)
        self.all_heard = asyncio.Event()
        self.seen: list[tuple[float, str]] = []

    async def watch(self) -> None:
        while True:
            for call in self._stage.receiver.calls[len(self.seen) :]:
                self.seen.append((time.monotonic(), call["data"]["account_id"]))
                self._unheard.discard(call["data"]["account_id"])
            if not self._unheard:
                self.all_heard.set()
            await asyncio.sleep(0.01)

    def after(self, moment: float, accounts: set[str]) -> list[float]:
        """Seconds between a moment and each later arrival from some accounts."""
        return [at - moment for at, account_id in self.seen if at > moment and account_id in accounts]


async def propose_until(over: asyncio.Event, stage: Stage, account_id: str) -> None:
    number = 0
    while not over.is_set():
        number += 1
        with suppress(AccountError):  # a busy engine; the next one follows
            await stage.accounts.propose(account_id, wanted("site-1", proposal_id=f"site-{number}"))
        await asyncio.sleep(0.3)


@asynccontextmanager
async def busy(stage: Stage) -> AsyncIterator[tuple[list[str], Arrivals]]:
    """Accounts that propose all the time, until the end of the block."""
    accounts = [f"{stage.account_id}-{number}" for number in range(ACCOUNTS)]
    await asyncio.gather(*(stage.accounts.observe(each, profile(each)) for each in accounts))
    arrivals = Arrivals(stage, accounts)
    over = asyncio.Event()
    watching = asyncio.create_task(arrivals.watch())
    proposing = [asyncio.create_task(propose_until(over, stage, each)) for each in accounts]
    try:
        yield accounts, arrivals
    finally:
        over.set()
        watching.cancel()
        # Not cancelled: the client takes that for an engine that does not answer.
        await asyncio.gather(watching, *proposing, return_exceptions=True)


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (StopScope.TENANT, None),
        (StopScope.AGENT, "personalization"),
        (StopScope.ACTION, "personalize_site"),
        (StopScope.CHANNEL, "webhook"),
        (StopScope.ACCOUNT, "the first"),
    ],
)
async def test_nothing_gets_out_later_than_five_seconds_after_a_stop_and_then_it_goes_on(
    temporal: WorkflowEnvironment, tmp_path: Path, scope: StopScope, name: str | None
) -> None:
    """Promise 15, for twenty accounts that propose all the time."""
    async with staged(temporal.client, tmp_path, edits=BUSY) as stage, busy(stage) as (accounts, arrivals):
        stop = a_stop(scope, accounts[0] if scope is StopScope.ACCOUNT else name)
        stopped = {accounts[0]} if scope is StopScope.ACCOUNT else set(accounts)
        free = set(accounts) - stopped
        await asyncio.wait_for(arrivals.all_heard.wait(), 60)  # twenty accounts start at once

        await stage.ledger.place_stop(stop)
        thrown = time.monotonic()
        await asyncio.sleep(WITHIN_SECONDS + 2)  # the time of the promise, and more in which it must hold

        late = arrivals.after(thrown, stopped)
        say(f"{scope.value}: {len(late)} came after the stop, the last {max(late, default=0):.3f} s later")
        assert max(late, default=0.0) < WITHIN_SECONDS
        assert bool(arrivals.after(thrown, free)) is bool(free), "the others go on"
        status = await stage.accounts.status(accounts[0])
        assert any(view.reason is ReasonCode.STOPPED for view in status.proposals)

        await stage.ledger.lift_stop(stop.stop_id, by="dana.reyes", reason="mended", at=soon())
        lifted = time.monotonic()
        told = await stage.accounts.announce_stops(stop)
        assert told >= len(stopped)
        await until(lambda: _any_after(arrivals, lifted, stopped), "the first touch after the stop")
        say(f"{scope.value}: goes on {min(arrivals.after(lifted, stopped)):.3f} s after it was lifted")


def say(what: str) -> None:
    """Show a measurement; `pytest -s` lets it through."""
    sys.stdout.write(f"{what}\n")


async def _any_after(arrivals: Arrivals, moment: float, accounts: set[str]) -> bool | None:
    return bool(arrivals.after(moment, accounts)) or None


async def test_what_a_slow_worker_holds_in_its_queue_is_not_handed_over(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given one mail on its way and others behind it, when the channel is stopped, then none of them goes."""
    relay = Relay(hang_after_data=True)
    channels = [*BUSY["channels.yaml"], ("schedule_to_start: 10s", "schedule_to_start: 60s")]
    patient = {**BUSY, "channels.yaml": channels}
    async with staged(temporal.client, tmp_path, edits=patient, channels=("webhook",), relay=relay) as stage:
        accounts = [f"{stage.account_id}-{number}" for number in range(5)]
        for account_id in accounts:
            await stage.accounts.observe(account_id, profile(account_id))
        channel = email_channel.build(
            ChannelEnvironment(ledger=stage.ledger, unsubscribe=LINKS), email_settings(relay.port)
        )
        queue = stage.policies.channels["email"].handover.task_queue
        slow = Worker(stage.client, task_queue=queue, activities=list(channel), max_concurrent_activities=1)
        async with slow:
            views = await asyncio.gather(
                *(stage.accounts.propose(each, wanted("sdr-1")) for each in accounts)
            )
            assert {view.status for view in views} == {ProposalStatus.IN_FLIGHT}
            await asyncio.wait_for(relay.reached_data.wait(), 20)

            stop = a_stop(StopScope.CHANNEL, "email")
            await stage.ledger.place_stop(stop)
            assert len(await stage.ledger.underway(stop)) == len(accounts)
            relay.hang_after_data = False
            relay.go_on.set()

            async def settled() -> list[ProposalStatus] | None:
                found = [await stage.accounts.status(each) for each in accounts]
                views = [status.proposals[0] for status in found]
                waiting = [view.reason is ReasonCode.STOPPED for view in views]
                return [view.status for view in views] if waiting.count(True) == len(accounts) - 1 else None

            statuses = await until(settled, "all but the first to wait for the stop")
            assert sorted(statuses) == [ProposalStatus.DEFERRED] * (len(accounts) - 1) + [ProposalStatus.SENT]
            assert len(relay.envelopes) == 1

            await stage.ledger.lift_stop(stop.stop_id, by="dana.reyes", reason="mended", at=soon())
            await stage.accounts.announce_stops(stop)

            async def sent() -> bool | None:
                found = [await stage.accounts.status(each) for each in accounts]
                return (
                    all(any(t.status is TouchStatus.HANDED_OVER for t in each.touches) for each in found)
                    or None
                )

            await until(sent, "the others to go on")
            assert len(relay.envelopes) == len(accounts)
