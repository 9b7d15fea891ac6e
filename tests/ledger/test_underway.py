"""What a stop finds under way, and what becomes of it."""

import pytest

from domain import LedgerFact, ProposalStatus, Receipt, ReceiptStatus, StopScope, TouchStatus
from ledger import Ledger, Underway, Whereabouts
from tests.ledger import facts as f
from tests.ledger.limits import allowing, nothing, request_of

EVERYTHING = f.stop(scope=StopScope.TENANT, name=None)


async def allow(ledger: Ledger, account_id: str = f.ACCOUNT, *, second: int = 0, **changes: str) -> None:
    request = request_of(account_id, "p1", now=f.moment(second), seq=second, revision=1, **changes)
    assert await ledger.enter_ruling(request, allowing(request))


async def names(ledger: Ledger, scope: StopScope, name: str | None) -> list[str]:
    return [each.account_id for each in await ledger.underway(f.stop(scope=scope, name=name))]


async def test_what_was_allowed_is_under_way_until_it_ends(ledger: Ledger) -> None:
    await allow(ledger)

    (found,) = await ledger.underway(EVERYTHING)

    assert found == Underway(
        account_id=f.ACCOUNT,
        proposal_id="p1",
        actor="sdr-agent",
        action="send_email",
        channel="email",
        since=f.NOON,
    )
    await ledger.record(f.batch(f.touch_fact(1)))
    assert [each.since for each in await ledger.underway(EVERYTHING)] == [f.moment(1)]
    await ledger.record(f.batch(f.touch_fact(2, status=TouchStatus.HANDED_OVER)))
    assert await ledger.underway(EVERYTHING) == ()


async def test_a_worker_that_took_it_up_is_seen(ledger: Ledger) -> None:
    await allow(ledger)
    await ledger.claim(f"{f.ACCOUNT}/p1/1", channel="email", at=f.moment(1))

    assert [each.claimed for each in await ledger.underway(EVERYTHING)] == [True]


async def test_only_what_the_stop_reaches_is_listed(ledger: Ledger) -> None:
    await allow(ledger, "a", second=1)
    await allow(ledger, "b", second=2, channel="webhook", actor="nurture", action="nudge")

    assert await names(ledger, StopScope.TENANT, None) == ["a", "b"]
    assert await names(ledger, StopScope.CHANNEL, "webhook") == ["b"]
    assert await names(ledger, StopScope.AGENT, "sdr-agent") == ["a"]
    assert await names(ledger, StopScope.ACTION, "nudge") == ["b"]
    assert await names(ledger, StopScope.ACCOUNT, "a") == ["a"]
    assert await names(ledger, StopScope.ACCOUNT, "c") == []


async def test_what_a_ruling_only_deferred_is_not_under_way(ledger: Ledger) -> None:
    request = request_of(f.ACCOUNT)
    await ledger.enter_ruling(request, nothing(request))

    assert await ledger.underway(EVERYTHING) == ()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], Whereabouts.UNDER_WAY),
        ([f.touch_fact(1)], Whereabouts.UNDER_WAY),
        ([f.touch_fact(2, status=TouchStatus.HANDED_OVER)], Whereabouts.HANDED_OVER),
        ([f.touch_fact(2, status=TouchStatus.RELEASED)], Whereabouts.NOT_HANDED_OVER),
        ([f.touch_fact(2, status=TouchStatus.UNKNOWN)], Whereabouts.IN_DOUBT),
        ([f.proposal_fact(2, status=ProposalStatus.SUPPRESSED)], Whereabouts.NOT_HANDED_OVER),
    ],
)
async def test_what_the_account_tells_is_what_became_of_it(
    ledger: Ledger, facts: list[LedgerFact], expected: Whereabouts
) -> None:
    await allow(ledger)
    was = await ledger.underway(EVERYTHING)

    await ledger.record(f.batch(*facts))

    assert await ledger.whereabouts(was) == (expected,)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ReceiptStatus.ACCEPTED, Whereabouts.HANDED_OVER),
        (ReceiptStatus.UNKNOWN, Whereabouts.IN_DOUBT),
        (ReceiptStatus.UNDELIVERED, Whereabouts.NOT_HANDED_OVER),
        (ReceiptStatus.BLOCKED, Whereabouts.NOT_HANDED_OVER),
        (ReceiptStatus.REJECTED, Whereabouts.NOT_HANDED_OVER),
    ],
)
async def test_what_the_channel_settled_is_known_before_the_account_tells(
    ledger: Ledger, status: ReceiptStatus, expected: Whereabouts
) -> None:
    await allow(ledger)
    await ledger.claim(f"{f.ACCOUNT}/p1/1", channel="email", at=f.moment(1))
    was = await ledger.underway(EVERYTHING)
    assert await ledger.whereabouts(was) == (Whereabouts.UNDER_WAY,)

    await ledger.settle(Receipt(touch_id=f"{f.ACCOUNT}/p1/1", status=status, at=f.moment(2)))

    assert await ledger.whereabouts(was) == (expected,)


async def test_an_earlier_attempt_says_nothing_of_a_later_one(ledger: Ledger) -> None:
    await ledger.claim(f"{f.ACCOUNT}/p1/1", channel="email", at=f.moment(1))
    await ledger.settle(Receipt(touch_id=f"{f.ACCOUNT}/p1/1", status=ReceiptStatus.ACCEPTED, at=f.moment(2)))
    await ledger.record(f.batch(f.touch_fact(3, status=TouchStatus.RELEASED)))
    await allow(ledger, second=10)

    was = await ledger.underway(EVERYTHING)

    assert await ledger.whereabouts(was) == (Whereabouts.UNDER_WAY,)


async def test_many_are_told_in_the_order_in_which_they_were_asked_for(ledger: Ledger) -> None:
    for number in range(45):
        await allow(ledger, f"account-{number:02}", second=number)
    was = await ledger.underway(EVERYTHING)
    await ledger.settle(Receipt(touch_id="account-07/p1/1", status=ReceiptStatus.ACCEPTED, at=f.moment(60)))

    found = await ledger.whereabouts(was)

    assert [each.account_id for each in was] == [f"account-{number:02}" for number in range(45)]
    assert [number for number, each in enumerate(found) if each is Whereabouts.HANDED_OVER] == [7]
    assert await ledger.whereabouts(()) == ()
