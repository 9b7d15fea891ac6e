"""The decision log is tamper-evident: whatever is done to it in the ledger, an audit names it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import (
    GENESIS,
    FactBatch,
    LedgerFact,
    ProposalFact,
    digest_of,
    link_digest,
)
from domain._canonical import Plain
from ledger import Ledger, LedgerError, LogHead
from tests.auditing import accounts as a
from tests.auditing.conftest import Query, url_of
from tutti.auditing.anchored import Anchors
from tutti.auditing.anchors import Anchor
from tutti.auditing.findings import Finding, What
from tutti.auditing.verifying import audit

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ACCOUNT = "northwind"


async def anchored(ledger: Ledger, at: datetime = NOW) -> Anchor:
    heads: list[LogHead] = await ledger.log_heads(await ledger.logged_accounts())
    return Anchor(name="anchor", anchored_at=at, heads=tuple(heads))


async def found(ledger: Ledger, *anchors: Anchor) -> list[Finding]:
    """Audit, and return what is wrong; what is only worth knowing is left out."""
    return [each for each in (await audit(ledger, Anchors(anchors))).findings if not each.what.is_note]


def links(query: Query, account_id: str = ACCOUNT) -> list[int]:
    return [
        int(str(number))
        for (number,) in query(
            "SELECT number FROM decision_log WHERE account_id = ? ORDER BY number", account_id
        )
    ]


async def test_what_nobody_touched_verifies(ledger: Ledger, query: Query) -> None:
    result = await audit(ledger, Anchors([await anchored(ledger)]))

    assert result.findings == []
    assert (result.accounts, result.links) == (2, len(links(query)) + len(links(query, "contoso")))
    assert result.links > 40
    types = {kind for (kind,) in query("SELECT DISTINCT type FROM decision_log")}
    assert types >= {"proposal", "decision", "approval", "approval_step", "answer", "touch", "hold"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("number", "number + 100"),
        ("number", "'x'"),
        ("previous", f"'{'e' * 64}'"),
        ("previous", f"'{GENESIS}'"),
        ("digest", f"'{'e' * 64}'"),
        ("body_digest", f"'{'e' * 64}'"),
        ("seq", "seq + 1"),
        ("seq", "'x'"),
        ("at", "'2020-01-01 00:00:00.000000'"),
        ("at", "'yesterday'"),
        ("type", "'signal'"),
        ("type", "CASE type WHEN 'touch' THEN 'hold' ELSE 'touch' END"),
        ("body", "json_set(body, '$.seq', 9999)"),
        ("body", "json_set(body, '$.more', 1)"),
        ("body", "json_remove(body, '$.at')"),
        ("body", "'{'"),
        ("body", "'[]'"),
        ("account_id", "'contoso'"),
    ],
)
async def test_every_column_of_every_link_is_guarded(
    ledger: Ledger, query: Query, column: str, value: str
) -> None:
    numbers = links(query)
    where = "account_id = ? AND number = ?"
    for number in numbers:
        (whole,) = query(f"SELECT * FROM decision_log WHERE {where}", ACCOUNT, number)  # noqa: S608 - ours
        changed = query(
            f"UPDATE decision_log SET {column} = {value} WHERE {where} AND {column} IS NOT {value} "  # noqa: S608
            "RETURNING 1",
            ACCOUNT,
            number,
        )

        wrong = await found(ledger)

        assert bool(wrong) == bool(changed), f"{column} of number {number}"
        if changed and column not in {"number", "account_id"}:
            assert (ACCOUNT, number) in {(each.account_id, each.number) for each in wrong}
        elif changed:
            assert What.FORGED in {each.what for each in wrong}
        if changed:
            query("DELETE FROM decision_log WHERE digest IN (?, ?)", whole[1], "e" * 64)
            query(f"INSERT INTO decision_log VALUES ({', '.join('?' * len(whole))})", *whole)  # noqa: S608
    assert await found(ledger) == []


async def test_every_link_that_is_taken_out_is_missed(ledger: Ledger, query: Query) -> None:
    numbers = links(query)
    anchor = await anchored(ledger)
    for number in numbers:
        (whole,) = query("SELECT * FROM decision_log WHERE account_id = ? AND number = ?", ACCOUNT, number)
        query("DELETE FROM decision_log WHERE account_id = ? AND number = ?", ACCOUNT, number)

        wrong = await found(ledger, anchor)

        expected = What.MISSING if number < numbers[-1] else What.TRUNCATED
        assert (expected, number) in {(each.what, each.number) for each in wrong}
        query(f"INSERT INTO decision_log VALUES ({', '.join('?' * len(whole))})", *whole)  # noqa: S608
    assert await found(ledger, anchor) == []


async def test_a_body_is_edited_together_with_its_digest(ledger: Ledger, query: Query) -> None:
    (body,) = query("SELECT body FROM decision_log WHERE account_id = ? AND number = 5", ACCOUNT)[0]
    said = json.loads(str(body)) | {"at": "2026-03-01T00:00:00Z"}
    query(
        "UPDATE decision_log SET body = ?, body_digest = ? WHERE account_id = ? AND number = 5",
        json.dumps(said),
        digest_of(said),
        ACCOUNT,
    )

    assert (What.FORGED, 5) in {(each.what, each.number) for each in await found(ledger)}


async def test_a_cut_end_is_seen_by_an_anchor_even_if_the_tables_were_cut_as_well(
    path: Path, facts: tuple[LedgerFact, ...], ledger: Ledger
) -> None:
    # Given an anchor, and a ledger in which the last facts never happened
    anchor = await anchored(ledger)
    shorter = await Ledger.open(url_of(path.parent / "shorter.db"))
    await shorter.migrate()
    await a.tell(shorter, ACCOUNT, facts[:-6])
    await a.tell(shorter, "contoso", a.short("contoso"))
    try:
        # Then it is sound in itself, and the anchor gives it away
        assert await found(shorter) == []
        (wrong,) = await found(shorter, anchor)
    finally:
        await shorter.close()
    assert (wrong.what, wrong.account_id) == (What.TRUNCATED, ACCOUNT)
    assert wrong.number == max(fact.link.number for fact in facts if fact.link)
    assert "was cut off behind number" in wrong.line


async def test_a_chain_computed_anew_throughout_is_seen_by_an_anchor(
    path: Path, facts: tuple[LedgerFact, ...], ledger: Ledger
) -> None:
    # Given a ledger in which one proposal was worth less, with all digests, rows and claims to fit
    anchor = await anchored(ledger)
    altered = [
        fact.model_copy(update={"proposal": fact.proposal.model_copy(update={"value": 1.0})})
        if isinstance(fact, ProposalFact)
        else fact
        for fact in facts
    ]
    rewritten = await Ledger.open(url_of(path.parent / "rewritten.db"))
    await rewritten.migrate()
    await a.tell(rewritten, ACCOUNT, a.linked(altered))
    await a.tell(rewritten, "contoso", a.short("contoso"))
    try:
        assert await found(rewritten) == []
        (wrong,) = await found(rewritten, anchor)
    finally:
        await rewritten.close()
    assert (wrong.what, wrong.account_id) == (What.REPLACED, ACCOUNT)


async def test_the_first_anchor_that_disagrees_tells_since_when(ledger: Ledger, query: Query) -> None:
    # Given an anchor from before and one from after a link that is then cut off
    last = links(query)[-1]
    (whole,) = query("SELECT * FROM decision_log WHERE account_id = ? AND number = ?", ACCOUNT, last)
    query("DELETE FROM decision_log WHERE account_id = ? AND number = ?", ACCOUNT, last)
    early = await anchored(ledger, NOW - timedelta(days=7))
    query(f"INSERT INTO decision_log VALUES ({', '.join('?' * len(whole))})", *whole)  # noqa: S608
    late = await anchored(ledger)
    query("DELETE FROM decision_log WHERE account_id = ? AND number = ?", ACCOUNT, last)

    wrong = [each for each in await found(ledger, late, early) if each.what is What.TRUNCATED]

    assert [each.since for each in wrong] == [early.anchored_at]


async def test_an_account_that_is_gone_altogether_is_missed(ledger: Ledger, query: Query) -> None:
    anchor = await anchored(ledger)
    query("DELETE FROM decision_log WHERE account_id = ?", ACCOUNT)

    # Then its rows tell of it, and so does an anchor when they are gone, too
    assert [each.what for each in await found(ledger)] == [What.VANISHED]
    for table in ("proposals", "decisions", "approvals", "approval_steps", "approval_answers", "touches"):
        query(f"DELETE FROM {table} WHERE account_id = ?", ACCOUNT)  # noqa: S608 - our own names
    for table in ("outcomes", "holds"):
        query(f"DELETE FROM {table} WHERE account_id = ?", ACCOUNT)  # noqa: S608 - our own names
    query("DELETE FROM claims WHERE touch_id LIKE 'northwind/%'")
    assert await found(ledger) == []
    (wrong,) = await found(ledger, anchor)
    assert (wrong.what, wrong.account_id) == (What.VANISHED, ACCOUNT)


async def test_a_link_slipped_in_between_makes_a_fork(ledger: Ledger, query: Query) -> None:
    for number in links(query)[1:]:
        (digest, seq, at, kind, body) = query(
            "SELECT previous, seq, at, type, body FROM decision_log WHERE account_id = ? AND number = ?",
            ACCOUNT,
            number,
        )[0]
        said = json.loads(str(body)) | {"message": "slipped in"}
        forged = link_digest(ACCOUNT, number, str(digest), digest_of(said))
        query(
            "INSERT INTO decision_log (account_id, digest, number, previous, seq, at, type, body_digest, "
            "body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(ACCOUNT, forged, number, digest, seq, at, kind, digest_of(said), json.dumps(said)),
        )

        wrong = await found(ledger)

        assert [(each.what, each.number) for each in wrong] == [(What.FORK, number)]
        query("DELETE FROM decision_log WHERE digest = ?", forged)


async def test_an_account_begun_anew_is_told_and_is_no_fault(ledger: Ledger) -> None:
    # Given an anchor, and the account's second life after it
    anchor = await anchored(ledger)
    made = a.begun(ACCOUNT, a.MONDAY + timedelta(days=90))
    a.ask(made, "again-1")
    await a.tell(ledger, ACCOUNT, made.result().facts)

    result = await audit(ledger, Anchors([anchor]))

    assert not result.failed
    assert [each.what for each in result.findings] == [What.BEGUN_ANEW]
    # And both ends are anchored from now on
    heads = await ledger.log_heads([ACCOUNT])
    assert len(heads) == 2
    assert await found(ledger, anchor, await anchored(ledger, NOW + timedelta(days=60))) == []


async def test_a_second_beginning_beside_the_first_is_a_fork(
    ledger: Ledger, facts: tuple[LedgerFact, ...]
) -> None:
    # Given a second log for the same time, sound in itself
    altered = [
        fact.model_copy(update={"message": "another story"}) if isinstance(fact, ProposalFact) else fact
        for fact in facts
    ]
    batch = FactBatch(account_id=ACCOUNT, facts=tuple(a.linked(altered)))
    await ledger.record(batch)

    assert What.FORK in {each.what for each in await found(ledger)}


async def test_links_that_claim_to_be_older_than_an_anchor_are_told(ledger: Ledger) -> None:
    anchor = await anchored(ledger, NOW + timedelta(days=365))
    made = a.begun("fabrikam")
    a.ask(made, "late-1")
    await a.tell(ledger, "fabrikam", made.result().facts)

    result = await audit(ledger, Anchors([anchor]))

    assert [(each.what, each.account_id) for each in result.findings] == [(What.BEHIND_ANCHOR, "fabrikam")]
    assert not result.failed


async def test_erased_content_is_counted_and_breaks_nothing(ledger: Ledger, query: Query) -> None:
    query("UPDATE decision_log SET body = NULL WHERE account_id = ? AND number IN (3, 4)", ACCOUNT)

    result = await audit(ledger, Anchors([await anchored(ledger)]))

    assert result.findings == []
    assert result.erased == 2


async def test_nobody_hides_a_changed_row_behind_an_erased_link(ledger: Ledger, query: Query) -> None:
    query("UPDATE decision_log SET body = NULL WHERE type = 'touch'")
    assert await found(ledger) == []

    query("UPDATE touches SET body = json_set(body, '$.touch.channel', 'x'), channel = 'x' WHERE governed")

    assert {each.what for each in await found(ledger)} == {What.NOT_IN_LOG}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("touches", "status = 'released'"),
        ("touches", "body = json_set(body, '$.touch.channel', 'linkedin')"),
        ("approval_answers", "accepted = NOT accepted"),
        ("approvals", "body = json_set(body, '$.approval.answered_by', 'tom')"),
        ("decisions", "body = json_set(body, '$.link', NULL)"),
        ("decisions", "body = json_set(body, '$.link.number', 3)"),
        ("decisions", "body = '{'"),
        ("proposals", "at = 'x'"),
        ("holds", "seq = 4000"),
    ],
)
async def test_a_row_that_says_something_else_than_the_log_is_told(
    ledger: Ledger, query: Query, table: str, change: str
) -> None:
    query(f"UPDATE {table} SET {change} WHERE account_id = ?", ACCOUNT)  # noqa: S608 - our own names

    wrong = await found(ledger)

    assert wrong
    assert {(each.what, each.account_id) for each in wrong} == {(What.NOT_IN_LOG, ACCOUNT)}


@pytest.mark.parametrize(
    "table",
    ["proposals", "decisions", "approvals", "approval_steps", "approval_answers", "outcomes", "holds"],
)
async def test_a_row_that_is_gone_is_missed(ledger: Ledger, query: Query, table: str) -> None:
    rows = query(f"DELETE FROM {table} WHERE account_id = ? RETURNING 1", ACCOUNT)  # noqa: S608 - our own names

    wrong = await found(ledger)

    assert [(each.what, each.account_id) for each in wrong] == [(What.NOT_IN_TABLES, ACCOUNT)] * len(rows)


@pytest.mark.parametrize(
    ("table", "key"), [("approvals", "approval_id"), ("touches", "touch_id"), ("proposals", "proposal_id")]
)
async def test_a_row_put_back_to_what_it_once_was_is_told(
    ledger: Ledger, query: Query, facts: tuple[LedgerFact, ...], table: str, key: str
) -> None:
    # Given the first version of each row in place of the last: every word of it is in the log
    first = dict[object, LedgerFact]()
    for fact in facts:
        about = {"approvals": "approval", "touches": "touch", "proposals": "proposal"}[table]
        if fact.type == about:
            first.setdefault(getattr(getattr(fact, about), key), fact)
    query(f"DELETE FROM {table} WHERE account_id = ?", ACCOUNT)  # noqa: S608 - our own names
    await ledger.record(FactBatch(account_id=ACCOUNT, facts=tuple(first.values())))

    wrong = await found(ledger)

    assert wrong
    assert {each.what for each in wrong} == {What.NOT_IN_LOG}
    assert all("it was put back" in each.line for each in wrong)


@pytest.mark.parametrize("table", ["decision_log", "approval_answers", "approvals"])
async def test_a_name_that_says_two_things_is_told(ledger: Ledger, query: Query, table: str) -> None:
    # Given a body of which one reader takes the first word, and another the last
    (count,) = query(f"SELECT count(*) FROM {table} WHERE account_id = ?", ACCOUNT)[0]  # noqa: S608 - our own names
    query(
        f'UPDATE {table} SET body = \'{{"at": "2020-01-01T00:00:00Z", \' || substr(body, 2) '  # noqa: S608
        "WHERE account_id = ?",
        ACCOUNT,
    )

    assert len(await found(ledger)) == count


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE claims SET at = 'yesterday', status = 'nonsense'",
        "UPDATE claims SET at = 'yesterday', touch_id = touch_id || '-ghost'",
        "UPDATE decision_log SET number = 9223372036854775807 WHERE number = 3",
        "UPDATE approval_answers SET body = printf('%.*c', 100000, '[')",
        "UPDATE decision_log SET body = printf('%.*c', 100000, '[') WHERE type = 'answer'",
        "UPDATE decision_log SET body = x'ff00' WHERE type = 'answer'",
        "UPDATE decision_log SET body = '{\"a\": \"\\ud800\"}' WHERE type = 'answer'",
    ],
)
async def test_no_nonsense_ends_an_audit(ledger: Ledger, query: Query, statement: str) -> None:
    query(statement)

    wrong = await found(ledger)

    assert wrong or "status" in statement


async def test_a_link_that_holds_no_fact_ends_no_audit(ledger: Ledger, query: Query) -> None:
    (number, digest) = query(
        "SELECT number, digest FROM decision_log WHERE account_id = ? ORDER BY number DESC", ACCOUNT
    )[0]
    said: Plain = {"type": "touch", "seq": 9_000, "at": "2026-05-01T00:00:00Z"}
    ours = link_digest(ACCOUNT, int(str(number)) + 1, str(digest), digest_of(said))
    query(
        "INSERT INTO decision_log (account_id, digest, number, previous, seq, at, type, body_digest, body) "
        "VALUES (?, ?, ?, ?, 9000, '2026-05-01 00:00:00.000000', 'touch', ?, ?)",
        *(ACCOUNT, ours, int(str(number)) + 1, digest, digest_of(said), json.dumps(said)),
    )

    assert await found(ledger) == []  # added at the end by whoever can: that is what anchors are for


@pytest.mark.parametrize("change", ["number = 'x'", "at = 'yesterday'"])
async def test_nobody_anchors_an_end_that_cannot_be_read(ledger: Ledger, query: Query, change: str) -> None:
    query(f"UPDATE decision_log SET {change} WHERE account_id = ?", ACCOUNT)  # noqa: S608 - our own words

    with pytest.raises(LedgerError, match=r"northwind cannot be read.* `tutti audit-log verify`"):
        await anchored(ledger)


class Tampering:
    """A statement of somebody with write access to the log, as hypothesis makes it up."""

    def __init__(self, sql: str, values: tuple[object, ...]) -> None:
        self.sql, self.values = sql, values

    def __repr__(self) -> str:
        return f"{self.sql} {self.values}"


@st.composite
def tamperings(draw: st.DrawFn) -> Tampering:
    number, other = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    kind = draw(st.sampled_from(["delete", "swap", "copy", "garble", "renumber"]))
    where = "account_id = 'northwind' AND number"
    if kind == "delete":
        return Tampering(f"DELETE FROM decision_log WHERE {where} BETWEEN ? AND ?", (number, number + other))  # noqa: S608
    if kind == "copy":
        column = draw(st.sampled_from(["body", "body_digest", "previous", "seq", "at", "type"]))
        return Tampering(
            f"UPDATE decision_log SET {column} = (SELECT {column} FROM decision_log WHERE {where} = ?) "  # noqa: S608
            f"WHERE {where} = ?",
            (other, number),
        )
    if kind == "swap":
        return Tampering(
            f"UPDATE decision_log SET number = CASE number WHEN ? THEN ? ELSE ? END WHERE {where} IN (?, ?)",  # noqa: S608
            (number, other, number, number, other),
        )
    if kind == "renumber":
        return Tampering(f"UPDATE decision_log SET number = number + ? WHERE {where} >= ?", (other, number))  # noqa: S608
    text = draw(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
    column = draw(
        st.sampled_from(["body", "body_digest", "previous", "digest", "seq", "at", "type", "number"])
    )
    return Tampering(f"UPDATE decision_log SET {column} = ? WHERE {where} = ?", (text, number))  # noqa: S608


@settings(
    max_examples=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tampering=tamperings())
async def test_no_tampering_goes_unnoticed(ledger: Ledger, query: Query, tampering: Tampering) -> None:
    columns = "account_id, digest, number, previous, seq, at, type, body_digest, body"
    before = query(f"SELECT {columns} FROM decision_log ORDER BY 1, 2")  # noqa: S608 - our own names
    query(tampering.sql, *tampering.values)
    after = query(f"SELECT {columns} FROM decision_log ORDER BY 1, 2")  # noqa: S608 - our own names

    wrong = await found(ledger)

    assert bool(wrong) == (before != after), tampering
    query("DELETE FROM decision_log")
    marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(before))
    values = [value for row in before for value in row]
    query(f"INSERT INTO decision_log ({columns}) VALUES {marks}", *values)  # noqa: S608 - question marks
