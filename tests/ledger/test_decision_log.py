"""The decision log in the ledger: links are added once and for good, in any order and number of batches."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import ChainHead, FactBatch, LedgerFact, Link, SuppressionFact, chained, digest_of, link_digest
from ledger import Ledger, LogEntry
from tests.ledger import facts as f
from tests.ledger.conftest import Query


def linked(*facts: LedgerFact, account_id: str = f.ACCOUNT) -> list[LedgerFact]:
    head, result = ChainHead(), list[LedgerFact]()
    for fact in facts:
        body, number = digest_of(chained(fact)), head.number + 1
        digest = link_digest(account_id, number, head.digest, body)
        link = Link(number=number, previous=head.digest, body=body, digest=digest)
        result.append(fact.model_copy(update={"link": link}))
        head = ChainHead(number=number, digest=digest)
    return result


FACTS = linked(
    f.proposal_fact(1),
    f.decision_fact(2),
    f.approval_fact(3),
    f.approval_step_fact(4),
    f.answer_fact(5),
    f.touch_fact(6),
    f.outcome_fact(7),
    f.suppression_fact(8),
    f.proposal_fact(9),
)


def numbers(entries: list[LogEntry]) -> list[int]:
    return sorted(entry.number for entry in entries)


async def test_each_link_keeps_its_fact_also_when_the_tables_move_on(ledger: Ledger) -> None:
    await ledger.record(f.batch(*FACTS))

    entries = await ledger.decision_log([f.ACCOUNT])

    assert numbers(entries) == [fact.link.number for fact in FACTS if fact.link]
    for entry in entries:
        fact = FACTS[entry.number - 1]
        assert entry.body is not None
        assert type(fact).model_validate_json(entry.body) == fact.model_copy(update={"link": None})
        assert (entry.at, entry.seq, entry.type) == (fact.at, fact.seq, fact.type)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.sampled_from(FACTS), max_size=6), max_size=4))
async def test_any_order_and_repetition_ends_in_the_same_log(
    ledger: Ledger, query: Query, batches: list[list[LedgerFact]]
) -> None:
    query("DELETE FROM decision_log")
    for facts in [*batches, FACTS[::-1]]:
        await ledger.record(f.batch(*facts))

    entries = await ledger.decision_log()

    assert numbers(entries) == list(range(1, len(FACTS) + 1))
    (head,) = await ledger.log_heads([f.ACCOUNT])
    assert FACTS[-1].link is not None
    assert (head.number, head.digest, head.at) == (len(FACTS), FACTS[-1].link.digest, FACTS[-1].at)


async def test_a_link_is_never_written_over(ledger: Ledger, query: Query) -> None:
    # Given a link whose content was erased, and one that somebody tampered with
    await ledger.record(f.batch(*FACTS))
    query("UPDATE decision_log SET body = NULL WHERE number = 1")
    query("UPDATE decision_log SET at = '2020-01-01 00:00:00.000000' WHERE number = 2")
    before = query("SELECT * FROM decision_log ORDER BY number")

    await ledger.record(f.batch(*FACTS))

    assert query("SELECT * FROM decision_log ORDER BY number") == before


async def test_erasing_the_projection_leaves_the_log_and_a_rebuild_fills_its_gaps(
    ledger: Ledger, query: Query
) -> None:
    await ledger.record(f.batch(*FACTS))
    before = query("SELECT * FROM decision_log ORDER BY number")
    await ledger.erase_projection()
    assert query("SELECT * FROM decision_log ORDER BY number") == before

    query("DELETE FROM decision_log WHERE number IN (2, 5)")
    await ledger.record(f.batch(*FACTS))

    assert sorted(query("SELECT * FROM decision_log ORDER BY number")) == sorted(before)


async def test_facts_without_a_link_are_no_part_of_it(ledger: Ledger) -> None:
    await ledger.record(f.batch(f.signal_fact(1), f.refusal_fact(2), f.proposal_fact(3)))

    assert await ledger.decision_log() == []


async def test_an_objection_stored_ahead_of_its_link_is_logged_once(ledger: Ledger) -> None:
    ahead = f.suppression_fact(8)
    await ledger.record(f.batch(ahead))
    assert isinstance(FACTS[7], SuppressionFact)
    await ledger.record(f.batch(FACTS[7]))

    assert numbers(await ledger.decision_log()) == [8]


async def test_a_second_life_of_an_account_keeps_the_first(ledger: Ledger) -> None:
    again = linked(f.proposal_fact(1, 7), f.decision_fact(2, 7))
    await ledger.record(f.batch(*FACTS))
    await ledger.record(f.batch(*again))

    assert len(await ledger.decision_log()) == len(FACTS) + len(again)
    assert [head.number for head in await ledger.log_heads([f.ACCOUNT])] == [len(again), len(FACTS)]


async def test_pages_hold_every_link_once(ledger: Ledger) -> None:
    for account_id in ("contoso", "fabrikam", f.ACCOUNT):
        facts = linked(*FACTS, account_id=account_id)
        await ledger.record(FactBatch(account_id=account_id, facts=tuple(facts)))

    found: list[LogEntry] = []
    while page := await ledger.decision_log(after=found[-1].key if found else None, limit=4):
        found += page

    assert len({entry.digest for entry in found}) == len(found) == 3 * len(FACTS)
    assert await ledger.logged_accounts(limit=2) == ["contoso", "fabrikam"]
    assert await ledger.logged_accounts(after="fabrikam") == [f.ACCOUNT]


@pytest.mark.parametrize("column", ["number", "previous", "seq", "at", "type", "body_digest", "body"])
async def test_what_is_no_number_moment_or_text_any_more_can_still_be_read(
    ledger: Ledger, query: Query, column: str
) -> None:
    await ledger.record(f.batch(FACTS[0]))
    for garbage in ("x", b"\x00\xff", 1.5, ""):
        query(f"UPDATE decision_log SET {column} = ?", garbage)  # noqa: S608 - our own names

        (entry,) = await ledger.decision_log()

        assert FACTS[0].link is not None
        assert entry.digest == FACTS[0].link.digest
