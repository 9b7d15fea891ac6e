import asyncio
import dataclasses
import time
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.channels import LEDGER_UNAVAILABLE, AtMostOnce, Crossing
from activities.channels._contract import receipt_for
from domain import Receipt, ReceiptStatus, Touch
from ledger import Ledger
from tests.channels.support import NOW, a_touch, broken, settled


class Provider:
    """A provider that takes whatever it gets and counts it."""

    def __init__(self) -> None:
        self.taken = 0
        self.before_line = asyncio.Event()
        self.behind_line = asyncio.Event()
        self.may_cross = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_cross.set()
        self.may_answer.set()

    async def hand_over(self, touch: Touch, crossing: Crossing) -> Receipt:
        self.before_line.set()
        await self.may_cross.wait()
        await crossing.enter()
        self.taken += 1
        self.behind_line.set()
        await self.may_answer.wait()
        return receipt_for(touch, ReceiptStatus.ACCEPTED, "taken", provider_ref="ref-1")


def once(ledger: Ledger, provider: Provider, *, settle_for: float = 10.0) -> AtMostOnce:
    return AtMostOnce(
        ledger,
        provider.hand_over,
        reference=lambda touch: f"ref-of-{touch.proposal_id}",
        settle_for=timedelta(seconds=settle_for),
    )


def start(protocol: AtMostOnce, environment: ActivityEnvironment | None = None) -> asyncio.Task[Receipt]:
    async def work() -> Receipt:
        running: Coroutine[Any, Any, Receipt] = (environment or ActivityEnvironment()).run(
            protocol.run, a_touch()
        )
        return await running

    return asyncio.create_task(work())


async def test_a_touch_goes_to_the_provider_once_however_often_it_is_tried(ledger: Ledger) -> None:
    provider = Provider()

    receipts = [await start(once(ledger, provider)) for _ in range(3)]

    assert provider.taken == 1
    assert receipts[0] == receipts[1] == receipts[2]
    assert receipts[0].status is ReceiptStatus.ACCEPTED


async def test_a_claim_left_open_goes_to_a_person_and_not_to_the_provider(ledger: Ledger) -> None:
    provider = Provider()
    await ledger.claim(a_touch().touch_id, channel="email", at=NOW)

    receipt = await start(once(ledger, provider))

    assert provider.taken == 0
    assert receipt.status is ReceiptStatus.UNKNOWN
    assert receipt.provider_ref == "ref-of-p-1"
    assert "Look for ref-of-p-1" in (receipt.detail or "")
    assert await settled(ledger, a_touch()) is ReceiptStatus.UNKNOWN


async def test_attempts_at_the_same_time_reach_the_provider_once_and_the_truth_wins(ledger: Ledger) -> None:
    provider = Provider()
    provider.may_answer.clear()

    first = start(once(ledger, provider))
    await asyncio.wait_for(provider.behind_line.wait(), 10)
    second = await start(once(ledger, provider))
    provider.may_answer.set()

    assert second.status is ReceiptStatus.UNKNOWN
    assert (await first).status is ReceiptStatus.ACCEPTED
    assert provider.taken == 1
    assert await settled(ledger, a_touch()) is ReceiptStatus.ACCEPTED


async def test_a_cancellation_before_the_line_releases_the_touch(ledger: Ledger) -> None:
    provider, environment = Provider(), ActivityEnvironment()
    provider.may_cross.clear()

    running = start(once(ledger, provider), environment)
    await asyncio.wait_for(provider.before_line.wait(), 10)
    environment.cancel()
    receipt = await asyncio.wait_for(running, 10)

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert provider.taken == 0
    assert await settled(ledger, a_touch()) is ReceiptStatus.UNDELIVERED


async def test_a_cancellation_before_the_claim_sends_nothing_either(ledger: Ledger) -> None:
    provider, environment = Provider(), ActivityEnvironment()

    environment.on_heartbeat = lambda *_: environment.cancel()  # beats begin together with the claim
    running = start(once(ledger, provider), environment)
    receipt = await asyncio.wait_for(running, 10)

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert provider.taken == 0


async def test_a_cancellation_behind_the_line_keeps_what_the_provider_says(ledger: Ledger) -> None:
    provider, environment = Provider(), ActivityEnvironment()
    provider.may_answer.clear()

    running = start(once(ledger, provider), environment)
    await asyncio.wait_for(provider.behind_line.wait(), 10)
    environment.cancel()
    await asyncio.sleep(0)
    provider.may_answer.set()
    receipt = await asyncio.wait_for(running, 10)

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert await settled(ledger, a_touch()) is ReceiptStatus.ACCEPTED


async def test_a_worker_that_was_frozen_before_the_line_does_not_cross_it(ledger: Ledger) -> None:
    """Given a process that stood still for longer than its heartbeat allows, when it goes on, then it hands
    nothing over: the attempt after it has found its claim, and asked a person."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, heartbeat_timeout=timedelta(seconds=0.3))
    provider = Provider()

    async def hand_over(touch: Touch, crossing: Crossing) -> Receipt:
        time.sleep(0.5)  # noqa: ASYNC251 - everything in the process stands still, heartbeats too
        await asyncio.sleep(0.05)  # awake again, it beats before it goes on
        return await provider.hand_over(touch, crossing)

    frozen = AtMostOnce(ledger, hand_over, reference=lambda touch: touch.touch_id)
    receipt = await environment.run(frozen.run, a_touch())

    assert provider.taken == 0
    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert await settled(ledger, a_touch()) is ReceiptStatus.UNDELIVERED


async def test_a_ledger_that_is_down_before_the_claim_means_try_again(ledger: Ledger, database: Path) -> None:
    provider = Provider()

    with (
        broken(database, "claims"),
        pytest.raises(ApplicationError, match="nothing was handed over") as caught,
    ):
        await start(once(ledger, provider))

    assert caught.value.type == LEDGER_UNAVAILABLE
    assert not caught.value.non_retryable
    assert provider.taken == 0
    assert (await start(once(ledger, provider))).status is ReceiptStatus.ACCEPTED


async def test_a_receipt_is_offered_until_the_ledger_is_back(ledger: Ledger, database: Path) -> None:
    provider = Provider()
    provider.may_answer.clear()

    running = start(once(ledger, provider))
    await asyncio.wait_for(provider.behind_line.wait(), 10)
    with broken(database, "claims") as mend:
        provider.may_answer.set()
        await asyncio.sleep(0.3)  # long enough for refused attempts; the receipt must survive them
        assert not running.done()
        mend()
        receipt = await asyncio.wait_for(running, 10)

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert await settled(ledger, a_touch()) is ReceiptStatus.ACCEPTED


async def test_a_receipt_that_cannot_be_recorded_ends_as_doubt_and_not_as_a_second_hand_over(
    ledger: Ledger, database: Path
) -> None:
    provider = Provider()
    provider.may_answer.clear()
    running = start(once(ledger, provider, settle_for=0.2))
    await asyncio.wait_for(provider.behind_line.wait(), 10)

    with broken(database, "claims"):
        provider.may_answer.set()
        with pytest.raises(ApplicationError, match="'accepted' could not be recorded"):
            await asyncio.wait_for(running, 10)
    receipt = await start(once(ledger, provider))

    assert receipt.status is ReceiptStatus.UNKNOWN
    assert provider.taken == 1


@pytest.mark.parametrize(
    ("crossed", "status"), [(False, ReceiptStatus.UNDELIVERED), (True, ReceiptStatus.UNKNOWN)]
)
async def test_a_programming_error_in_a_channel_leaves_no_claim_open_and_quotes_nobody(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], *, crossed: bool, status: ReceiptStatus
) -> None:
    async def fail(_touch: Touch, crossing: Crossing) -> Receipt:
        if crossed:
            await crossing.enter()
        raise KeyError("ada@example.com")

    receipt = await start(AtMostOnce(ledger, fail, reference=lambda _: "ref"))

    assert receipt.status is status
    assert "KeyError" in (receipt.detail or "")
    assert "ada@" not in (receipt.detail or "")
    printed = capsys.readouterr()
    assert "channel.failed" in printed.out
    assert "ada" not in (printed.out + printed.err).lower()
    assert await settled(ledger, a_touch()) is status


async def test_it_heartbeats_while_it_waits(ledger: Ledger) -> None:
    provider, environment, beats = Provider(), ActivityEnvironment(), asyncio.Event()
    provider.may_answer.clear()
    environment.on_heartbeat = lambda *_: beats.set()

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await once(ledger, provider).run(touch)

    running = asyncio.ensure_future(environment.run(hand_over, a_touch()))
    await asyncio.wait_for(beats.wait(), 10)
    provider.may_answer.set()

    assert (await running).status is ReceiptStatus.ACCEPTED
