"""The site channel: what a site reads, for how long, and whose segment it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from domain import RecallStatus, Receipt, ReceiptStatus, Touch
from ledger import Ledger
from tests.channels.support import allow, an_environment
from tests.channels.vendors import World, recall_of, touch_for, vendors

CHANNEL = "web_personalization"
DAYS = "Not sent: the field for_days is no number of days from 1 to 365."


@pytest_asyncio.fixture(loop_scope="session")
async def world(ledger: Ledger, tmp_path: Path) -> AsyncIterator[World]:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as running:
        yield running


async def at(world: World, moment: datetime, touch: Touch) -> Receipt:
    return await an_environment(scheduled=moment).run(world.channel(CHANNEL).hand_over, touch)


async def shown(world: World, whose: str) -> str | None:
    answer = await world.get(f"/v1/segments/{whose}")
    return str(answer.json()["segment"]) if answer.status_code == 200 else None


async def test_a_site_reads_the_segment_of_an_account_and_of_a_person(world: World) -> None:
    now = datetime.now(UTC)
    for_all = touch_for(CHANNEL, touch_id="northwind/p-1/0", recipient=None, fields={"segment": "renewal"})

    await at(world, now, for_all)
    await at(world, now, touch_for(CHANNEL, fields={"segment": "security", "for_days": "7"}))

    assert await shown(world, "northwind") == "renewal"
    assert await shown(world, "northwind?contact_id=c-1") == "security"
    assert await shown(world, "northwind?contact_id=c-2") is None
    _, request = [r for r in await world.seen("/v1/segments") if r["method"] == "PUT"]
    assert request["body"]["touch_id"] == "northwind/p-1/1"
    until = datetime.fromisoformat(request["body"]["until"])
    assert until == datetime.fromisoformat(request["body"]["handed_over_at"]) + timedelta(days=7)


async def test_a_segment_is_shown_for_thirty_days_if_nobody_says_otherwise(world: World) -> None:
    now = datetime.now(UTC)

    await at(world, now - timedelta(days=29, hours=23), touch_for(CHANNEL))
    assert await shown(world, "northwind?contact_id=c-1") == "security-buyers"
    await at(world, now - timedelta(days=30, seconds=1), touch_for(CHANNEL, account_id="northwind"))

    # The earlier hand-over lost; a store that knows only that one shows nothing any more.
    await allow(world.ledger, touch_for(CHANNEL, account_id="acme"))
    await at(world, now - timedelta(days=30, seconds=1), touch_for(CHANNEL, account_id="acme"))
    assert await shown(world, "acme?contact_id=c-1") is None


async def test_the_last_hand_over_wins_whichever_request_comes_last(world: World) -> None:
    now = datetime.now(UTC)
    older = touch_for(CHANNEL, touch_id="northwind/p-1/1", fields={"segment": "older"})
    newer = touch_for(CHANNEL, touch_id="northwind/p-1/2", fields={"segment": "newer"})

    await at(world, now, newer)
    late = await at(world, now - timedelta(minutes=5), older)

    assert late.status is ReceiptStatus.REJECTED
    assert "a later hand-over" in (late.detail or "")
    assert await shown(world, "northwind?contact_id=c-1") == "newer"


async def test_taking_back_clears_only_what_the_touch_itself_set(world: World) -> None:
    now = datetime.now(UTC)
    older = touch_for(CHANNEL, touch_id="northwind/p-1/1", fields={"segment": "older"})
    newer = touch_for(CHANNEL, touch_id="northwind/p-1/2", fields={"segment": "newer"})
    first = await at(world, now - timedelta(minutes=5), older)
    second = await at(world, now, newer)

    assert (await world.recall(CHANNEL, recall_of(older, first))).status is RecallStatus.GONE
    assert await shown(world, "northwind?contact_id=c-1") == "newer"
    assert (await world.recall(CHANNEL, recall_of(newer, second))).status is RecallStatus.RECALLED
    assert await shown(world, "northwind?contact_id=c-1") is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Not sent: the field segment is missing."),
        ({"segment": ""}, "Not sent: the field segment is missing."),
        ({"segment": "x" * 301}, "Not sent: the field segment is no line of at most 300 characters."),
        (
            {"segment": "x", "for_days": "0"},
            DAYS,
        ),
        (
            {"segment": "x", "for_days": "366"},
            DAYS,
        ),
        (
            {"segment": "x", "for_days": "0000000019999999999"},
            DAYS,
        ),
        (
            {"segment": "x", "for_days": "long"},
            DAYS,
        ),
    ],
)
async def test_a_segment_that_lacks_something_is_refused_with_one_sentence(
    world: World, fields: dict[str, str], says: str
) -> None:
    receipt = await world.hand_over(CHANNEL, touch_for(CHANNEL, fields=fields))

    assert (receipt.status, receipt.detail) == (ReceiptStatus.REJECTED, says)
    assert await world.seen() == []
