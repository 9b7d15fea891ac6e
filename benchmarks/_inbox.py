"""Listing the inbox while ten thousand questions are open, for everybody and for one person."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks._figures import Figure, at_most
from domain import (
    Account,
    AccountFact,
    Approval,
    ApprovalFact,
    ApprovalRoute,
    ApprovalStatus,
    EscalationLevel,
    ExceptionKind,
    FactBatch,
    ReasonCode,
    Risk,
    Verdict,
)
from ledger import InboxFilter, Ledger

NAME = "inbox"
OPEN = 10_000
ANSWERED = 40_000
"""Questions of the past, which must not slow down the present."""
ACCOUNTS = 1_000
LISTED = 50
ROUNDS = 200
SLOWEST_MS = 250.0
"""Beyond a quarter of a second a list is waited for."""
NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)

_GROUPS = {
    "sales-leadership": ("dana.reyes", "tom.okafor"),
    "legal": ("ines.carvalho", "paul.novak"),
    "brand": ("mara.lindqvist",),
}
_RULES = ("large-values", "executive-sponsors", "first-use")


async def measure() -> list[Figure]:
    """Fill a ledger with open and answered questions, and list what is open in several ways."""
    with tempfile.TemporaryDirectory(prefix="tutti-bench-inbox-") as folder:
        ledger = await Ledger.open(f"sqlite+aiosqlite:///{Path(folder) / 'ledger.db'}")
        try:
            await ledger.migrate()
            for batch in _history(random.Random(5)):
                await ledger.record(batch)
            return [
                await _listing(ledger, "everything", InboxFilter()),
                await _listing(ledger, "one of two approvers of a third", InboxFilter(login="dana.reyes")),
                await _listing(ledger, "somebody who is barred from all", InboxFilter(login="lena.fischer")),
                await _listing(
                    ledger,
                    "one group, rule and action, overdue",
                    InboxFilter(group="legal", rule_id=_RULES[0], action="send_email", due_before=NOON),
                ),
            ]
        finally:
            await ledger.close()


async def _listing(ledger: Ledger, what: str, wanted: InboxFilter) -> Figure:
    took: list[float] = []
    found = await ledger.inbox(wanted, at=NOON, limit=LISTED)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ledger.inbox(wanted, at=NOON, limit=LISTED)
        took.append((time.perf_counter() - began) * 1_000)
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    return Figure(
        benchmark=NAME,
        what=f"inbox with {OPEN:,} open, {what}, p99",
        value=p99,
        unit="ms",
        target=at_most(SLOWEST_MS),
        note=f"p50 {p50:.1f} ms of {ROUNDS}; {found.total:,} found and counted, "
        f"{len(found.items)} listed; {ANSWERED:,} answered ones in the same table",
    )


def _history(luck: random.Random) -> Iterator[FactBatch]:
    each = (OPEN + ANSWERED) // ACCOUNTS
    for number in range(ACCOUNTS):
        account_id = f"account-{number}"
        profile = AccountFact(
            seq=1, at=NOON, account=Account(account_id=account_id, name=f"Account {number}")
        )
        questions = [_question(luck, seq, seq <= OPEN // ACCOUNTS + 1) for seq in range(2, each + 2)]
        yield FactBatch(account_id=account_id, facts=(profile, *questions))


def _question(luck: random.Random, seq: int, still_open: bool) -> ApprovalFact:  # noqa: FBT001 - a fact, no switch
    group = luck.choice(sorted(_GROUPS))
    requested_at = NOON - timedelta(minutes=luck.randrange(6 * 60) + (0 if still_open else 10_000))
    due_at = requested_at + timedelta(hours=4)
    route = ApprovalRoute(
        route_id=f"ask-{group}",
        group=group,
        approvers=_GROUPS[group],
        excluded=("lena.fischer",),
        due_at=due_at,
        reminders=(requested_at + timedelta(hours=2), requested_at + timedelta(hours=3)),
        levels=(EscalationLevel(at=due_at, group="board", approvers=("rosa.keller",)),),
        expires_at=due_at + timedelta(days=2),
        on_expiry=Verdict.SUPPRESS,
        risk=luck.choice(list(Risk)),
    )
    approval = Approval(
        approval_id=f"sdr-{seq}:a1",
        kind=luck.choice([*[ExceptionKind.ACTION] * 8, ExceptionKind.CONFLICT, ExceptionKind.IN_DOUBT]),
        proposal_id=f"sdr-{seq}",
        digest="d" * 64,
        reason=ReasonCode.APPROVAL_NEEDED,
        message="So much is at stake that a person decides.",
        rule_id=luck.choice(_RULES),
        actor="sdr-agent",
        action=luck.choice(["send_email", "executive_outreach", "create_call_task"]),
        channel="email",
        contact_id="amira",
        value=300_000.0,
        route=route,
        requested_at=requested_at,
        status=ApprovalStatus.PENDING if still_open else ApprovalStatus.APPROVED,
    )
    return ApprovalFact(seq=seq, at=requested_at, approval=approval)
