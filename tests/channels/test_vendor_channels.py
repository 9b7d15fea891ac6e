"""What holds for every channel in front of a vendor, on the vendors' good and bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError

from domain import ChannelFault, RecallStatus, ReceiptStatus
from ledger import Ledger
from tests.channels.support import ADA, NOW, an_environment, broken, closed_port
from tests.channels.vendors import PATHS, World, recall_of, touch_for, vendors

CHANNELS = tuple(PATHS)


@pytest_asyncio.fixture(loop_scope="session")
async def world(ledger: Ledger, tmp_path: Path) -> AsyncIterator[World]:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as running:
        yield running


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_touch_arrives_once_and_its_receipt_names_it(world: World, channel: str) -> None:
    touch = touch_for(channel)

    receipt = await world.hand_over(channel, touch)

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert receipt.provider_ref
    assert await world.count(channel, touch) == 1


async def test_the_same_touch_again_is_no_second_one(world: World, channel: str) -> None:
    touch = touch_for(channel)

    first = await world.hand_over(channel, touch)
    second = await world.hand_over(channel, touch)

    assert first.status is second.status is ReceiptStatus.ACCEPTED
    assert first.provider_ref == second.provider_ref
    assert await world.count(channel, touch) == 1
    assert len(await world.seen(PATHS[channel])) >= 2


async def test_an_error_after_the_vendor_took_it_ends_in_exactly_one(world: World, channel: str) -> None:
    touch = touch_for(channel)
    await world.behave("fail_after_accept", PATHS[channel])

    with pytest.raises(ApplicationError, match="HTTP 500") as caught:
        await world.hand_over(channel, touch)
    receipt = await world.hand_over(channel, touch)

    assert caught.value.type == ChannelFault.IN_DOUBT
    assert not caught.value.non_retryable
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert await world.count(channel, touch) == 1


async def test_a_short_rate_limit_is_waited_out(world: World, channel: str) -> None:
    await world.behave("too_many", PATHS[channel], retry_after=7)

    with pytest.raises(ApplicationError, match="HTTP 429") as caught:
        await world.hand_over(channel, touch_for(channel))

    assert caught.value.next_retry_delay == timedelta(seconds=7)
    assert not caught.value.non_retryable


async def test_a_long_rate_limit_gives_the_touch_back_with_its_moment(world: World, channel: str) -> None:
    touch = touch_for(channel)
    await world.behave("too_many", PATHS[channel], retry_after=1800)
    before = datetime.now(UTC)

    receipt = await world.hand_over(channel, touch)

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert receipt.retry_at is not None
    assert abs(receipt.retry_at - before - timedelta(minutes=30)) < timedelta(seconds=5)
    assert await world.count(channel, touch) == 0


async def test_in_a_storm_of_rate_limits_each_touch_gets_through_once(world: World, channel: str) -> None:
    # Given a vendor that takes five requests a second, and twelve touches at once
    await world.behave("rate_limit", PATHS[channel], per_second=5)
    touches = await world.several(channel, 12)
    batch = {"batch_members": 1} if channel == "paid_media" else {}

    # When each is retried as the engine would
    delays: list[timedelta] = []

    async def insist(number: int) -> ReceiptStatus:
        for _ in range(50):
            try:
                return (await world.hand_over(channel, touches[number], **batch)).status
            except ApplicationError as error:
                delays.append(error.next_retry_delay or timedelta(0))
                await asyncio.sleep(delays[-1].total_seconds())
        raise AssertionError("never got through")

    statuses = await asyncio.gather(*(insist(number) for number in range(len(touches))))
    await world.behave_well()

    # Then all arrived, once each, and somebody had to wait
    assert set(statuses) == {ReceiptStatus.ACCEPTED}
    assert [await world.count(channel, touch) for touch in touches] == [1] * len(touches)
    assert delays
    assert all(delay == timedelta(seconds=1) for delay in delays)


async def test_a_vendor_that_is_too_slow_is_asked_again_and_takes_it_once(world: World, channel: str) -> None:
    touch = touch_for(channel)
    await world.behave("slow", PATHS[channel], delay=0.6)

    started = asyncio.get_running_loop().time()
    with pytest.raises(ApplicationError, match="no answer") as caught:
        await world.hand_over(channel, touch, timeout_seconds=0.2)
    took = asyncio.get_running_loop().time() - started
    receipt = await world.hand_over(channel, touch)

    assert took < 0.55
    assert caught.value.type == ChannelFault.IN_DOUBT
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert await world.count(channel, touch) == 1


async def test_a_vendor_that_is_down_is_worth_another_try(world: World, channel: str) -> None:
    await world.behave("down", PATHS[channel])

    with pytest.raises(ApplicationError, match="HTTP 503"):
        await world.hand_over(channel, touch_for(channel))
    with pytest.raises(ApplicationError, match="no answer"):
        await world.hand_over(channel, touch_for(channel), base_url=f"http://127.0.0.1:{closed_port()}")


async def test_a_vendor_that_is_down_for_an_hour_gives_the_touch_back(world: World, channel: str) -> None:
    await world.behave("down", PATHS[channel], retry_after=3600)

    receipt = await world.hand_over(channel, touch_for(channel))

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert receipt.retry_at is not None


async def test_a_person_who_objected_is_not_passed_on(world: World, channel: str) -> None:
    await world.ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)

    receipt = await world.hand_over(channel, touch_for(channel))

    assert receipt.status is ReceiptStatus.BLOCKED
    assert await world.seen() == []


async def test_suppressions_that_cannot_be_read_stop_the_request(
    world: World, channel: str, database: Path
) -> None:
    with broken(database, "suppressions"), pytest.raises(ApplicationError, match="nothing was handed over"):
        await world.hand_over(channel, touch_for(channel))

    assert await world.seen() == []


async def test_a_token_that_is_not_known_costs_no_touch(world: World, channel: str) -> None:
    touch = touch_for(channel)

    receipt = await world.hand_over(channel, touch, token="another")
    recalled = await world.recall(
        channel, recall_of(touch).model_copy(update={"provider_ref": "in-market/m-1"}), token="another"
    )

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert f"TUTTI_{channel.upper()}_TOKEN" in (receipt.detail or "")
    assert recalled.status is RecallStatus.FAILED
    assert await world.count(channel, touch) == 0


async def test_an_address_that_is_wrong_is_told_in_the_vendors_words(world: World, channel: str) -> None:
    receipt = await world.hand_over(channel, touch_for(channel), base_url=f"{world.url}/elsewhere")

    assert receipt.status is ReceiptStatus.REJECTED
    assert "HTTP 404" in (receipt.detail or "")


async def test_a_touch_that_is_cancelled_while_the_vendor_works_on_it_gets_its_true_receipt(
    world: World, channel: str
) -> None:
    # Given a hand-over whose request has arrived and takes a while
    touch = touch_for(channel)
    await world.behave("slow", PATHS[channel], delay=0.5)
    environment = an_environment(scheduled=datetime.now(UTC))
    running = asyncio.ensure_future(environment.run(world.channel(channel).hand_over, touch))
    await arrived(world, PATHS[channel])

    # When it is cancelled
    environment.cancel()

    # Then the answer counts, because the vendor has it
    assert (await running).status is ReceiptStatus.ACCEPTED
    assert await world.count(channel, touch) == 1


async def test_a_worker_shows_that_it_lives_while_the_vendor_is_slow(world: World, channel: str) -> None:
    await world.behave("slow", PATHS[channel], delay=0.5)
    environment, beats = an_environment(heartbeat=timedelta(seconds=0.15)), []
    environment.on_heartbeat = lambda *_: beats.append(1)

    await environment.run(world.channel(channel).hand_over, touch_for(channel))

    assert len(beats) >= 5


async def test_what_was_handed_over_is_taken_back_once(world: World, channel: str) -> None:
    touch = touch_for(channel)
    receipt = await world.hand_over(channel, touch)

    first = await world.recall(channel, recall_of(touch, receipt))
    again = await world.recall(channel, recall_of(touch, receipt))

    assert first.status is again.status is RecallStatus.RECALLED
    assert await world.count(channel, touch) == 0


async def test_what_never_arrived_cannot_be_taken_back(world: World, channel: str) -> None:
    touch = touch_for(channel)
    recall = recall_of(touch).model_copy(update={"provider_ref": "in-market/m-1"})

    assert (await world.recall(channel, recall)).status is RecallStatus.GONE


async def test_what_was_taken_back_does_not_come_back_with_a_late_request(world: World, channel: str) -> None:
    touch = touch_for(channel)
    receipt = await world.hand_over(channel, touch)
    await world.recall(channel, recall_of(touch, receipt))

    late = await world.hand_over(channel, touch)

    assert late.status is ReceiptStatus.REJECTED
    assert await world.count(channel, touch) == 0


@pytest.mark.parametrize(
    ("mode", "how", "says"),
    [
        ("too_many", {"retry_after": 5}, "HTTP 429"),
        ("down", {}, "HTTP 503"),
        ("fail_after_accept", {}, "HTTP 500"),
    ],
)
async def test_taking_back_is_tried_again_when_the_vendor_cannot(
    world: World, channel: str, mode: str, how: dict[str, object], says: str
) -> None:
    touch = touch_for(channel)
    receipt = await world.hand_over(channel, touch)
    await world.behave(mode, PATHS[channel], **how)

    with pytest.raises(ApplicationError, match=says) as caught:
        await world.recall(channel, recall_of(touch, receipt))
    again = await world.recall(channel, recall_of(touch, receipt))

    assert not caught.value.non_retryable
    assert again.status is RecallStatus.RECALLED


async def test_taking_back_fails_for_now_when_the_vendor_wants_much_time(world: World, channel: str) -> None:
    touch = touch_for(channel)
    receipt = await world.hand_over(channel, touch)
    await world.behave("down", PATHS[channel], retry_after=3600)

    assert (await world.recall(channel, recall_of(touch, receipt))).status is RecallStatus.FAILED


async def test_an_objection_does_not_keep_a_touch_from_being_taken_back(world: World, channel: str) -> None:
    touch = touch_for(channel)
    receipt = await world.hand_over(channel, touch)
    await world.ledger.suppress(ADA, account_id="northwind", contact_id="c-1", source="test", at=NOW)

    assert (await world.recall(channel, recall_of(touch, receipt))).status is RecallStatus.RECALLED


async def arrived(world: World, path: str) -> None:
    """Wait until a request has arrived and is being worked on."""
    deadline = asyncio.get_running_loop().time() + 10
    while not await world.seen(path):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
