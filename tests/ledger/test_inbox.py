"""The inbox of the ledger: what waits for whom, in which order, and how much there is of it."""

from datetime import datetime, timedelta
from pathlib import Path

from alembic import command

from domain import (
    Approval,
    ApprovalFact,
    ApprovalRoute,
    ApprovalStatus,
    EscalationLevel,
    ExceptionKind,
    ReasonCode,
    Risk,
    StepKind,
    Verdict,
)
from ledger import Inbox, InboxFilter, Ledger
from ledger._schema import REVISIONS
from tests.ledger import facts as f
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON
from tests.ledger.test_schema import alembic

EVERYTHING = InboxFilter()
HOUR = timedelta(hours=1)


def route(**changes: object) -> ApprovalRoute:
    base: dict[str, object] = {
        "group": "sales",
        "approvers": ("ada", "bob"),
        "due_at": NOON + HOUR,
        "expires_at": NOON + 8 * HOUR,
        "on_expiry": Verdict.SUPPRESS,
    }
    return ApprovalRoute.model_validate(base | changes)


def asked(approval_id: str, seq: int = 1, at: datetime = NOON, **changes: object) -> ApprovalFact:
    base: dict[str, object] = {
        "approval_id": approval_id,
        "proposal_id": "p1",
        "digest": f.DIGEST,
        "reason": ReasonCode.APPROVAL_NEEDED,
        "message": "An executive is addressed",
        "rule_id": "executives",
        "actor": "sdr-agent",
        "action": "intro",
        "channel": "email",
        "route": route(),
        "requested_at": at,
    }
    return ApprovalFact(seq=seq, at=at, approval=Approval.model_validate(base | changes))


async def listed(ledger: Ledger, wanted: InboxFilter = EVERYTHING, at: datetime = NOON) -> list[str]:
    return ids(await ledger.inbox(wanted, at=at))


def ids(inbox: Inbox) -> list[str]:
    return [f"{item.account_id}/{item.approval.approval_id}" for item in inbox.items]


async def test_what_is_due_first_comes_first_and_of_two_the_riskier(ledger: Ledger) -> None:
    soon, later = route(due_at=NOON + HOUR), route(due_at=NOON + 2 * HOUR, risk=Risk.HIGH)
    await ledger.record(
        f.batch(
            asked("later", 1, route=later),
            asked("low", 2, route=soon.model_copy(update={"risk": Risk.LOW})),
            asked("normal", 3, route=soon),
            account_id="contoso",
        )
    )
    await ledger.record(f.batch(asked("high", 1, route=soon.model_copy(update={"risk": Risk.HIGH}))))

    assert await listed(ledger) == ["northwind/high", "contoso/normal", "contoso/low", "contoso/later"]


async def test_all_are_counted_and_some_are_listed(ledger: Ledger) -> None:
    """Given four open questions, two of them late, when two are listed, then all are counted."""
    moments = [NOON - timedelta(hours=hours) for hours in (5, 3, 2, 1)]
    facts = [
        asked(f"a{n}", n, at, route=route(due_at=at + 2 * HOUR)) for n, at in enumerate(moments, start=1)
    ]
    await ledger.record(f.batch(f.account_fact(9), *facts))

    found = await ledger.inbox(EVERYTHING, at=NOON, limit=2)

    assert ids(found) == ["northwind/a1", "northwind/a2"]
    assert (found.total, found.overdue, found.oldest_at) == (4, 2, moments[0])
    assert found.items[0].account_name == "Northwind 9"
    assert found.items[0].approval == facts[0].approval


async def test_an_empty_inbox_says_so(ledger: Ledger) -> None:
    assert await ledger.inbox(EVERYTHING, at=NOON) == Inbox(items=(), total=0, overdue=0, oldest_at=None)


async def test_what_has_been_answered_is_in_no_inbox(ledger: Ledger, query: Query) -> None:
    """Given an answered question whose request arrives late, then it stays answered and waits for nobody."""
    await ledger.record(f.batch(asked("a1", 2, status=ApprovalStatus.APPROVED)))
    await ledger.record(f.batch(asked("a1", 1)))

    assert await listed(ledger) == []
    assert query("SELECT * FROM approval_persons") == []


async def test_each_filter_leaves_what_was_asked_for(ledger: Ledger) -> None:
    await ledger.record(f.batch(asked("a1", 1), asked("a2", 2, kind=ExceptionKind.CONFLICT)))
    others = route(group="legal", approvers=("eve",), due_at=NOON - HOUR)
    await ledger.record(
        f.batch(asked("a3", 1, route=others, rule_id="large", action="gift"), account_id="contoso")
    )

    assert await listed(ledger, InboxFilter(group="legal")) == ["contoso/a3"]
    assert await listed(ledger, InboxFilter(kind=ExceptionKind.CONFLICT)) == ["northwind/a2"]
    assert await listed(ledger, InboxFilter(rule_id="large")) == ["contoso/a3"]
    assert await listed(ledger, InboxFilter(action="intro")) == ["northwind/a1", "northwind/a2"]
    assert await listed(ledger, InboxFilter(account_id="contoso")) == ["contoso/a3"]
    assert await listed(ledger, InboxFilter(due_before=NOON)) == ["contoso/a3"]
    assert await listed(ledger, InboxFilter(rule_id="large", group="sales")) == []


async def test_a_person_sees_what_they_may_answer(ledger: Ledger) -> None:
    delegated = route(approvers=("eve",), delegates={"dan": "eve"})
    await ledger.record(
        f.batch(
            asked("asked", 1),
            asked("excluded", 2, route=route(excluded=("ada",))),
            asked("agreed", 3, route=route(quorum=2), approvers=("ada",)),
            asked("delegated", 4, route=delegated),
        )
    )

    assert await listed(ledger, InboxFilter(login="ada")) == ["northwind/asked"]
    assert await listed(ledger, InboxFilter(login="dan")) == ["northwind/delegated"]
    assert await listed(ledger, InboxFilter(login="nobody")) == []
    assert (await ledger.inbox(InboxFilter(login="bob"), at=NOON)).total == 3


async def test_an_escalated_question_waits_for_those_of_the_next_level_as_well(ledger: Ledger) -> None:
    chain = route(levels=(EscalationLevel(at=NOON + HOUR, group="board", approvers=("eve", "ada")),))
    await ledger.record(f.batch(asked("a1", 1, route=chain)))
    assert await listed(ledger, InboxFilter(login="eve")) == []

    await ledger.record(f.batch(asked("a1", 2, route=chain, level=1)))

    assert await listed(ledger, InboxFilter(login="eve")) == ["northwind/a1"]
    assert await listed(ledger, InboxFilter(login="bob")) == ["northwind/a1"]


async def test_whoever_is_not_asked_any_more_does_not_see_it_any_more(ledger: Ledger) -> None:
    await ledger.record(f.batch(asked("a1", 1)))
    await ledger.record(f.batch(asked("a1", 2, route=route(approvers=("bob",)))))
    await ledger.record(f.batch(asked("a1", 1)))  # told again, late

    assert await listed(ledger, InboxFilter(login="ada")) == []
    assert await listed(ledger, InboxFilter(login="bob")) == ["northwind/a1"]


async def test_who_stands_in_for_somebody_sees_what_waits_for_them_while_it_lasts(
    ledger: Ledger, query: Query
) -> None:
    """Given dan stands in for ada from noon to one, then he sees what waits for her, but not what he proposed
    himself, and not before, not afterwards and not once it was ended early."""
    await ledger.record(f.batch(asked("a1", 1), asked("own", 2, route=route(excluded=("dan",)))))
    query(
        "INSERT INTO delegations (delegation_id, principal, delegate, starts_at, ends_at, made_by, made_at) "
        "VALUES ('d1', 'ada', 'dan', '2026-03-02 12:00:00.000000', '2026-03-02 13:00:00.000000', 'ada', "
        "'2026-03-01 12:00:00.000000')"
    )
    dan = InboxFilter(login="dan")

    assert await listed(ledger, dan, NOON - timedelta(seconds=1)) == []
    assert await listed(ledger, dan, NOON) == ["northwind/a1"]
    assert await listed(ledger, dan, NOON + HOUR) == []

    query("UPDATE delegations SET ended_by = 'ada', ended_at = '2026-03-02 12:10:00.000000'")
    assert await listed(ledger, dan, NOON) == ["northwind/a1"]
    assert await listed(ledger, dan, NOON + timedelta(minutes=10)) == []


async def test_two_accounts_may_use_the_same_id(ledger: Ledger) -> None:
    await ledger.record(f.batch(asked("a1", 1)))
    await ledger.record(f.batch(asked("a1", 1, status=ApprovalStatus.REJECTED), account_id="contoso"))

    assert await listed(ledger, InboxFilter(login="ada")) == ["northwind/a1"]
    assert (await ledger.approval("contoso", "a1")) == asked("a1", status=ApprovalStatus.REJECTED).approval
    assert await ledger.approval("fabrikam", "a1") is None


async def test_the_trail_of_a_question_is_told_in_order(ledger: Ledger) -> None:
    steps = [
        f.approval_step_fact(seq, 1, kind) for seq, kind in ((3, StepKind.VIEWED), (2, StepKind.CLAIMED))
    ]
    await ledger.record(f.batch(*steps, f.approval_step_fact(4, 2)))

    assert await ledger.approval_trail(f.ACCOUNT, "a1") == [steps[1], steps[0]]
    assert await ledger.approval_trail("contoso", "a1") == []


async def test_erasing_the_projection_empties_the_inbox_and_a_rebuild_fills_it(ledger: Ledger) -> None:
    await ledger.record(f.batch(asked("a1", 1)))

    await ledger.erase_projection()
    assert await listed(ledger, InboxFilter(login="ada")) == []

    await ledger.record(f.batch(asked("a1", 1)))
    assert await listed(ledger, InboxFilter(login="ada")) == ["northwind/a1"]


async def test_what_was_asked_before_there_was_an_inbox_is_in_it(url: str, path: Path, query: Query) -> None:
    """Given questions of the release before, when migrated, then the open one waits for its persons."""
    alembic(path, command.upgrade, "0003")
    old = route(due_at=None, excluded=("bob",))
    for number, status in ((1, ApprovalStatus.PENDING), (2, ApprovalStatus.APPROVED)):
        fact = asked(f"a{number}", number, route=old, status=status)
        query(
            "INSERT INTO approvals "
            "(account_id, approval_id, seq, at, body, proposal_id, status, route_group, expires_at) "
            "VALUES ('northwind', ?, ?, '2026-03-02 12:00:00.000000', ?, 'p1', ?, 'sales', "
            "'2026-03-02 20:00:00.000000')",
            f"a{number}",
            number,
            fact.model_dump_json(),
            status.value,
        )
    ledger = await Ledger.open(url)

    assert await ledger.migrate() == REVISIONS[-1]

    found = await ledger.inbox(InboxFilter(login="ada"), at=NOON + 9 * HOUR)
    assert ids(found) == ["northwind/a1"]
    assert (found.total, found.overdue, found.oldest_at) == (1, 1, NOON)
    assert await listed(ledger, InboxFilter(login="bob")) == []
    alembic(path, command.downgrade, "0003")
    assert query("SELECT approval_id FROM approvals WHERE status = 'pending'") == [("a1",)]
    await ledger.close()
