import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import (
    ApprovalStatus,
    FactBatch,
    LedgerFact,
    PlayStatus,
    ProposalStatus,
    RecallStatus,
    Settlement,
    TouchStatus,
    person_key,
)
from ledger import Ledger, LedgerError
from ledger._facts import rows_of
from tests.ledger import facts as f
from tests.ledger.conftest import Query

TABLES = (
    "accounts",
    "contacts",
    "signals",
    "proposals",
    "decisions",
    "rule_hits",
    "approvals",
    "approval_answers",
    "approval_persons",
    "approval_steps",
    "touches",
    "outcomes",
    "play_runs",
    "settlements",
    "recalls",
    "holds",
    "refusals",
    "suppressions",
)


NUMBERED = {f.refusal_fact, f.approval_step_fact}
"""Kinds without an id of their own: each is known by its number."""


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in TABLES}  # noqa: S608


def every_kind() -> FactBatch:
    return f.batch(*(kind(seq, 1) for seq, kind in enumerate(f.KINDS, start=1)))


async def test_every_kind_of_fact_has_its_table(ledger: Ledger) -> None:
    assert await ledger.record(every_kind()) == len(f.KINDS)

    counts = await ledger.counts()
    expected = dict.fromkeys(TABLES, 1) | {
        "touches": 2,  # ours and the one of another tool
        "rule_hits": 6 % 4,  # the decision is the sixth fact
        "claims": 1,  # the settlement keeps what it found out
        "policy_sets": 0,
        "policy_releases": 0,
        "reservations": 0,
        "stops": 0,
        "rulings": 0,
    }
    assert {table: counts[table] for table in expected} == expected


def test_no_kind_of_fact_of_the_language_is_without_a_table() -> None:
    union, _discriminator = get_args(LedgerFact)

    assert set(get_args(union)) == rows_of.registry.keys() - {object}
    assert {type(kind(1, 1)) for kind in (*f.KINDS, f.window_fact)} == set(get_args(union))


async def test_writing_a_batch_twice_changes_nothing(ledger: Ledger, path: Path) -> None:
    await ledger.record(every_kind())
    once = rows(path)

    assert await ledger.record(every_kind()) == 0
    assert rows(path) == once


async def test_an_older_fact_that_arrives_late_changes_nothing(ledger: Ledger) -> None:
    newer = f.proposal_fact(9, status=ProposalStatus.SENT)
    await ledger.record(f.batch(newer))

    assert await ledger.record(f.batch(f.proposal_fact(3))) == 0
    assert await ledger.proposals(f.ACCOUNT) == [newer]


async def test_within_one_batch_the_later_fact_wins(ledger: Ledger) -> None:
    newer = f.touch_fact(4, status=TouchStatus.HANDED_OVER)

    assert await ledger.record(f.batch(newer, f.touch_fact(2))) == 1
    assert await ledger.touches(f.ACCOUNT) == [newer]


async def test_a_decision_told_again_with_fewer_hits_leaves_no_stale_ones(
    ledger: Ledger, query: Query
) -> None:
    await ledger.record(f.batch(f.decision_fact(1, hits=3)))
    await ledger.record(f.batch(f.decision_fact(2, hits=1)))
    await ledger.record(f.batch(f.decision_fact(1, hits=3)))

    assert query("SELECT position, seq, rule_id FROM rule_hits") == [(0, 2, "frequency.rule_0")]


async def test_the_same_id_from_two_sources_is_two_things(ledger: Ledger) -> None:
    await ledger.record(
        f.batch(
            f.signal_fact(1, source="intent"),
            f.signal_fact(2, source="web"),
            f.past_touch_fact(3, source="mailer"),
            f.past_touch_fact(4, source="dialer"),
        )
    )

    counts = await ledger.counts()
    assert (counts["signals"], counts["touches"]) == (2, 2)


async def test_accounts_do_not_touch_each_other(ledger: Ledger) -> None:
    await ledger.record(f.batch(f.proposal_fact(9), account_id="northwind"))
    await ledger.record(f.batch(f.proposal_fact(1), account_id="contoso"))

    assert await ledger.proposals("northwind") == [f.proposal_fact(9)]
    assert await ledger.proposals("contoso") == [f.proposal_fact(1)]


async def test_an_empty_batch_is_no_work(ledger: Ledger) -> None:
    assert await ledger.record(f.batch()) == 0


async def test_columns_answer_questions_without_opening_the_body(ledger: Ledger, query: Query) -> None:
    await ledger.record(
        f.batch(
            f.approval_fact(1, 1),
            f.approval_fact(2, 2, status=ApprovalStatus.APPROVED),
            f.hold_fact(3, 1),
            f.hold_fact(4, 2, ended_by="expired"),
            f.decision_fact(5, hits=2),
        )
    )

    assert query("SELECT approval_id, route_group FROM approvals WHERE status = 'pending'") == [
        ("a1", "sales")
    ]
    assert query("SELECT hold_id FROM holds WHERE ended_by IS NULL") == [("h1",)]
    assert query("SELECT rule_id, count(*) FROM rule_hits WHERE policy_digest = ? GROUP BY 1", f.POLICY) == [
        ("frequency.rule_0", 1),
        ("frequency.rule_1", 1),
    ]
    assert query("SELECT json_extract(body, '$.hold.placed_by') FROM holds LIMIT 1") == [("ada",)]


async def test_columns_tell_runs_settlements_and_recalls_apart(ledger: Ledger, query: Query) -> None:
    await ledger.record(
        f.batch(
            f.play_fact(1),
            f.play_fact(4, status=PlayStatus.COMPLETED),
            f.settlement_fact(2, settlement=Settlement.NOT_HANDED_OVER),
            f.recall_fact(3, status=RecallStatus.GONE),
        )
    )

    assert query("SELECT run_id, play_id, version, status FROM play_runs") == [
        ("nurture.1", "nurture", f.DIGEST, "completed")
    ]
    assert query("SELECT touch_id, settlement, settled_by FROM settlements") == [
        ("northwind/p1/1", "not_handed_over", "ada")
    ]
    assert query("SELECT touch_id, status FROM recalls") == [("northwind/p1/1", "gone")]


async def test_one_bad_fact_leaves_nothing_of_its_batch(ledger: Ledger, query: Query) -> None:
    query("CREATE TRIGGER stop BEFORE INSERT ON holds BEGIN SELECT RAISE(ABORT, 'refused by the test'); END")

    with pytest.raises(LedgerError, match="refused by the test"):
        await ledger.record(every_kind())

    assert set((await ledger.counts()).values()) == {0}


async def test_erasing_the_projection_keeps_what_no_rebuild_brings_back(ledger: Ledger, path: Path) -> None:
    await ledger.record(every_kind())
    before = rows(path)
    await ledger.claim("northwind/p1/1", channel="email", at=f.NOON)
    await ledger.record_policy_set(f.POLICY, files={"consent.yaml": "rules: []"}, at=f.NOON)

    await ledger.erase_projection()

    left = {table: count for table, count in (await ledger.counts()).items() if count}
    assert left == {"suppressions": 1, "claims": 1, "policy_sets": 1}
    await ledger.record(every_kind())
    assert rows(path) == before


class History:
    """Facts in order; the same facts shuffled, repeated and cut into batches; and which of them must stay."""

    def __init__(
        self, in_order: list[LedgerFact], batches: list[list[LedgerFact]], staying: set[int]
    ) -> None:
        self.in_order = in_order
        self.batches = batches
        self.staying = staying

    def __repr__(self) -> str:
        numbers = [[fact.seq for fact in batch] for batch in self.batches]
        return f"{[fact.type for fact in self.in_order]} as {numbers}"


@st.composite
def histories(draw: st.DrawFn) -> History:
    things = draw(st.lists(st.tuples(st.sampled_from(f.KINDS), st.integers(1, 3)), min_size=1, max_size=25))
    in_order = [kind(seq, n) for seq, (kind, n) in enumerate(things, start=1)]
    shuffled = draw(st.permutations(in_order + draw(st.lists(st.sampled_from(in_order), max_size=10))))
    cuts = sorted(draw(st.sets(st.integers(0, len(shuffled)), max_size=5)))
    edges = zip([0, *cuts], [*cuts, len(shuffled)], strict=True)
    latest = {
        (kind, 0 if kind is f.account_fact else seq if kind in NUMBERED else n): seq
        for seq, (kind, n) in enumerate(things, start=1)
        if kind is not f.suppression_fact  # of these the earliest stays, and has no number
    }
    return History(in_order, [list(shuffled[start:end]) for start, end in edges], set(latest.values()))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
async def test_any_order_and_repetition_ends_in_the_same_rows(
    ledger: Ledger, path: Path, query: Query, history: History
) -> None:
    await ledger.erase_projection()
    query("DELETE FROM suppressions")
    for fact in history.in_order:
        await ledger.record(f.batch(fact))
    expected = rows(path)
    numbers = " UNION ALL ".join(
        f"SELECT seq FROM {table}"  # noqa: S608 - our own names
        for table in TABLES
        if table not in {"rule_hits", "suppressions"}
    )
    assert {seq for (seq,) in query(numbers)} == history.staying

    await ledger.erase_projection()
    query("DELETE FROM suppressions")
    for batch in history.batches:
        await ledger.record(f.batch(*batch))

    assert rows(path) == expected


async def test_an_objection_keeps_its_earliest_provenance(ledger: Ledger, query: Query) -> None:
    key = person_key("c1@northwind.example")
    await ledger.record(f.batch(f.suppression_fact(20)))
    await ledger.suppress(key, account_id="contoso", contact_id="x", source="link", at=f.moment(10))
    await ledger.suppress(key, account_id="fabrikam", contact_id="y", source="link", at=f.moment(30))

    assert query("SELECT person_key, account_id, contact_id, source, at FROM suppressions") == [
        (key, "contoso", "x", "link", "2026-03-02 12:00:10.000000")
    ]


async def test_suppressed_names_the_blocked_ones_among_very_many(ledger: Ledger) -> None:
    keys = [person_key(f"{number}@example.com") for number in range(2_000)]
    blocked = {keys[3], keys[1_999]}
    for key in blocked:
        await ledger.suppress(key, account_id="a", contact_id="c", source="link", at=f.NOON)

    assert await ledger.suppressed(keys) == blocked
    assert await ledger.suppressed([]) == frozenset()


async def test_one_answer_id_on_two_questions_is_two_answers(ledger: Ledger, query: Query) -> None:
    first, second = f.answer_fact(1), f.answer_fact(2)
    about_another = second.answer.model_copy(update={"approval_id": "p2:a1"})
    await ledger.record(f.batch(first, second.model_copy(update={"answer": about_another})))

    asked = query("SELECT approval_id FROM approval_answers ORDER BY seq")
    assert asked == [(first.answer.approval_id,), ("p2:a1",)]


async def test_one_answer_id_of_two_persons_is_two_answers(ledger: Ledger, query: Query) -> None:
    first, second = f.answer_fact(1), f.answer_fact(2)
    of_another = second.answer.model_copy(update={"approver": "tom.okafor"})
    await ledger.record(f.batch(first, second.model_copy(update={"answer": of_another})))

    told = query("SELECT approver FROM approval_answers ORDER BY seq")
    assert told == [(first.answer.approver,), ("tom.okafor",)]
