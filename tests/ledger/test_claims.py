import asyncio
import gc
from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain import Receipt, ReceiptStatus, Settlement
from ledger import Claim, ClaimState, Ledger, LedgerError, OpenClaim
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON, batch, receipt_for, settlement_fact

TOUCH = "northwind/p1/1"


async def claim(ledger: Ledger, touch_id: str = TOUCH) -> Claim:
    return await ledger.claim(touch_id, channel="email", at=NOON)


async def test_the_first_claimer_may_hand_over_and_the_next_may_not(ledger: Ledger) -> None:
    assert await claim(ledger) == Claim(state=ClaimState.NEW)
    assert await claim(ledger) == Claim(state=ClaimState.OPEN)


async def test_tasks_of_one_process_that_claim_at_once_get_one_new(ledger: Ledger) -> None:
    claims = await asyncio.gather(*(claim(ledger) for _ in range(20)))

    assert [answer.state for answer in claims].count(ClaimState.NEW) == 1


# From Python 3.13 on, a connection that the driver was still opening when it was cancelled says that nobody
# closed it; it is collected here, so that it speaks up in this test and no other.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_claim_that_is_cancelled_half_way_leaves_the_ledger_usable(ledger: Ledger) -> None:
    for turns in range(12):
        under_way = asyncio.create_task(claim(ledger, f"cancelled/{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)

    assert (await claim(ledger)).state is ClaimState.NEW
    gc.collect()


async def test_a_settled_claim_answers_with_its_receipt(ledger: Ledger) -> None:
    receipt = receipt_for(TOUCH, detail="250 queued")
    await claim(ledger)

    await ledger.settle(receipt)

    assert await claim(ledger) == Claim(state=ClaimState.SETTLED, receipt=receipt)


async def test_a_claim_survives_the_process_that_made_it(ledger: Ledger, url: str) -> None:
    await claim(ledger)
    await ledger.close()

    again = await Ledger.open(url)

    assert (await claim(again)).state is ClaimState.OPEN
    await again.close()


@pytest.mark.parametrize(
    ("stored", "later", "kept"),
    [
        ("accepted", "unknown", "accepted"),
        ("accepted", "rejected", "accepted"),
        ("accepted", "undelivered", "accepted"),
        ("rejected", "unknown", "rejected"),
        ("blocked", "unknown", "blocked"),
        ("undelivered", "unknown", "undelivered"),
        ("unknown", "accepted", "accepted"),
        ("unknown", "rejected", "rejected"),
        ("unknown", "blocked", "unknown"),
        ("unknown", "undelivered", "unknown"),
    ],
)
async def test_only_a_definite_receipt_replaces_an_unknown_one(
    ledger: Ledger, stored: str, later: str, kept: str
) -> None:
    await claim(ledger)
    await ledger.settle(receipt_for(TOUCH, ReceiptStatus(stored)))

    await ledger.settle(receipt_for(TOUCH, ReceiptStatus(later)))

    receipt = (await claim(ledger)).receipt
    assert receipt is not None
    assert receipt.status.value == kept


@pytest.mark.parametrize(
    ("stored", "settlement", "kept"),
    [
        (None, Settlement.HANDED_OVER, "accepted"),
        (None, Settlement.NOT_HANDED_OVER, "undelivered"),
        ("unknown", Settlement.HANDED_OVER, "accepted"),
        ("unknown", Settlement.NOT_HANDED_OVER, "undelivered"),
        ("accepted", Settlement.NOT_HANDED_OVER, "accepted"),
        ("rejected", Settlement.HANDED_OVER, "rejected"),
    ],
)
async def test_a_person_settles_what_is_in_doubt_and_overrules_no_channel_that_knows(
    ledger: Ledger, stored: str | None, settlement: Settlement, kept: str
) -> None:
    await claim(ledger)
    if stored is not None:
        await ledger.settle(receipt_for(TOUCH, ReceiptStatus(stored)))

    for _ in range(2):  # a fact may be written any number of times
        await ledger.record(batch(settlement_fact(7, settlement=settlement)))

    receipt = (await claim(ledger)).receipt
    assert receipt is not None
    assert receipt.status.value == kept
    if stored in {None, "unknown"}:
        found = "handed over" if settlement is Settlement.HANDED_OVER else "not handed over"
        assert receipt.detail == f"ada found that it was {found}: looked it up 7"
    assert await ledger.open_claims() == []


async def test_what_a_person_found_out_outlives_a_rebuild(ledger: Ledger) -> None:
    await claim(ledger)
    await ledger.record(batch(settlement_fact(7)))

    await ledger.erase_projection()
    await ledger.record(batch(settlement_fact(7)))

    assert (await claim(ledger)).state is ClaimState.SETTLED


async def test_open_claims_are_those_without_receipt_oldest_first(ledger: Ledger) -> None:
    await ledger.claim("b", channel="gift", at=NOON + timedelta(hours=1))
    await ledger.claim("settled", channel="email", at=NOON)
    await ledger.claim("a", channel="email", at=NOON + timedelta(hours=2))
    await ledger.settle(receipt_for("settled", ReceiptStatus.UNKNOWN))

    assert await ledger.open_claims() == [
        OpenClaim(touch_id="b", channel="gift", at=NOON + timedelta(hours=1)),
        OpenClaim(touch_id="a", channel="email", at=NOON + timedelta(hours=2)),
    ]


async def test_settling_keeps_when_and_through_what_the_touch_was_claimed(
    ledger: Ledger, query: Query
) -> None:
    await claim(ledger)

    await ledger.settle(receipt_for(TOUCH))

    assert query("SELECT channel, at FROM claims") == [("email", "2026-03-02 12:00:00.000000")]


async def test_a_receipt_without_claim_is_evidence_against_sending_again(ledger: Ledger) -> None:
    await ledger.settle(receipt_for(TOUCH))

    assert (await claim(ledger)).state is ClaimState.SETTLED


async def test_times_come_back_as_the_same_moment_in_utc(ledger: Ledger) -> None:
    tokyo = timezone(timedelta(hours=9))
    claimed = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=tokyo)

    await ledger.claim(TOUCH, channel="email", at=claimed)
    (found,) = await ledger.open_claims()

    assert found.at == claimed
    assert found.at.tzinfo is UTC
    await ledger.settle(Receipt(touch_id=TOUCH, status=ReceiptStatus.ACCEPTED, at=claimed))
    receipt = (await claim(ledger)).receipt
    assert receipt is not None
    assert receipt.at == claimed


async def test_a_time_without_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="needs a time zone"):
        await ledger.claim(TOUCH, channel="email", at=datetime(2026, 3, 2))  # noqa: DTZ001 - the point

    assert await ledger.open_claims() == []
