"""Delegations in the ledger: entered once, ended once, seen by everybody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import Delegation
from ledger import Ledger, LedgerError, LedgerFault
from tests.ledger.facts import NOON

HOUR = timedelta(hours=1)


def delegation(**changes: object) -> Delegation:
    given: dict[str, object] = {
        "delegation_id": "d-1",
        "principal": "dana",
        "delegate": "tom",
        "starts_at": NOON,
        "ends_at": NOON + 24 * HOUR,
        "made_by": "dana",
        "made_at": NOON - HOUR,
    }
    return Delegation.model_validate({**given, **changes})


async def test_a_delegation_is_told_until_it_is_over(ledger: Ledger) -> None:
    await ledger.delegate(delegation())

    assert await ledger.delegations(NOON - HOUR) == (delegation(),), "those that begin later too"
    assert await ledger.delegations(NOON + 23 * HOUR) == (delegation(),)
    assert await ledger.delegations(NOON + 24 * HOUR) == ()


async def test_a_delegation_can_be_ended_early_and_is_still_known_of_the_time_before(ledger: Ledger) -> None:
    await ledger.delegate(delegation())

    ended = await ledger.end_delegation("d-1", by="tom", at=NOON + 2 * HOUR)

    assert ended == delegation(ended_at=NOON + 2 * HOUR)
    assert await ledger.delegations(NOON + 2 * HOUR) == ()
    (known,) = await ledger.delegations(NOON + HOUR)
    assert known.covers(NOON + HOUR)
    assert not known.covers(NOON + 2 * HOUR)


async def test_whoever_ends_it_first_has_ended_it(ledger: Ledger) -> None:
    await ledger.delegate(delegation())
    first = await ledger.end_delegation("d-1", by="dana", at=NOON + HOUR)

    assert await ledger.end_delegation("d-1", by="tom", at=NOON + 2 * HOUR) == first
    assert await ledger.end_delegation("d-2", by="tom", at=NOON) is None


async def test_entering_the_same_again_changes_nothing(ledger: Ledger, url: str) -> None:
    await ledger.delegate(delegation())
    await ledger.delegate(delegation())
    other = await Ledger.open(url)

    assert await other.delegations(NOON) == (delegation(),)
    await other.close()


async def test_the_id_of_another_delegation_is_refused_and_that_one_stays(ledger: Ledger) -> None:
    await ledger.delegate(delegation())

    with pytest.raises(LedgerError, match="d-1 is the id of another delegation") as error:
        await ledger.delegate(delegation(delegate="lena"))

    assert error.value.code is LedgerFault.TAKEN
    assert await ledger.delegations(NOON) == (delegation(),)


async def test_one_that_was_ended_does_not_come_back(ledger: Ledger) -> None:
    await ledger.delegate(delegation())
    await ledger.end_delegation("d-1", by="dana", at=NOON + HOUR)

    with pytest.raises(LedgerError, match="was ended at 2026-03-02 13:00:00Z"):
        await ledger.delegate(delegation())

    assert await ledger.delegations(NOON + HOUR) == ()


async def test_they_come_in_the_order_in_which_they_begin(ledger: Ledger) -> None:
    for name, hours in (("d-3", 2), ("d-1", 1), ("d-2", 1)):
        await ledger.delegate(delegation(delegation_id=name, starts_at=NOON + hours * HOUR))

    assert [each.delegation_id for each in await ledger.delegations(NOON)] == ["d-1", "d-2", "d-3"]
