"""`tutti audit-log show`: the decision log of an account as a story, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain import (
    AnswerFact,
    ApprovalFact,
    ApprovalStepFact,
    DecisionFact,
    LedgerFact,
    ProposalFact,
    TouchFact,
    WindowFact,
)
from ledger import Ledger, LogEntry
from tutti.auditing.chains import Chain
from tutti.auditing.telling import Told, told
from tutti.render import clock, counted, plain
from tutti.settings import Settings
from tutti.terminal import CommandError

_FACT: TypeAdapter[LedgerFact] = TypeAdapter(LedgerFact)
_PAGE: Final = 5_000
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)


async def show_log(
    out: Console, settings: Settings, account_id: str, approval_id: str | None, *, as_json: bool
) -> None:
    """Print what was decided about an account.

    Args:
        out: Where to print.
        settings: Where the ledger is.
        account_id: Which account.
        approval_id: Only what concerns this approval and what it is about; None: all.
        as_json: Print JSON lines and nothing else.

    Raises:
        CommandError: there is no such log, or no such approval in it.
        LedgerError: the ledger cannot be read.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        entries = await _entries(ledger, account_id)
    finally:
        await ledger.close()
    if not entries:
        raise CommandError(f"account {account_id} has no decision log; `tutti status` shows what it is up to")
    facts = {entry.digest: _fact(entry) for entry in entries}
    wanted = entries
    if approval_id is not None:
        about = _about(facts.values(), approval_id)
        wanted = [entry for entry in entries if _concerns(facts[entry.digest], approval_id, about)]
        if not wanted:
            raise CommandError(f"account {account_id} has never asked about {approval_id}")
    if as_json:
        for entry in wanted:
            out.print(_as_json(entry), highlight=False, markup=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("right", "left", "left"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(ratio=1)
    for entry in wanted:
        _add(table, entry, facts[entry.digest])
    out.print(table, highlight=False)
    wrong = [each for each in Chain(account_id, entries).findings if not each.what.is_note]
    if wrong:
        text = f"{counted(len(wrong), 'finding')}: this log was tampered with; see `tutti audit-log verify`"
        out.print(Text(text, style="bold red"), soft_wrap=True)


async def _entries(ledger: Ledger, account_id: str) -> list[LogEntry]:
    found: list[LogEntry] = []
    while page := await ledger.decision_log(
        [account_id], after=found[-1].key if found else None, limit=_PAGE
    ):
        found += page
    return sorted(found, key=lambda entry: (entry.at or _UNKNOWN, entry.number))


def _fact(entry: LogEntry) -> LedgerFact | None:
    try:
        return _FACT.validate_json(entry.body) if entry.body is not None else None
    except ValidationError:
        return None


def _about(facts: Iterable[LedgerFact | None], approval_id: str) -> frozenset[str]:
    """Return the proposals that an approval is about."""
    return frozenset(
        fact.approval.proposal_id
        for fact in facts
        if isinstance(fact, ApprovalFact)
        and fact.approval.approval_id == approval_id
        and fact.approval.proposal_id is not None
    )


def _concerns(fact: LedgerFact | None, approval_id: str, about: frozenset[str]) -> bool:
    match fact:
        case ApprovalFact():
            return fact.approval.approval_id == approval_id
        case ApprovalStepFact():
            return fact.step.approval_id == approval_id
        case AnswerFact():
            return fact.answer.approval_id == approval_id
        case WindowFact():
            return fact.grant.grant_id.endswith(f"/{approval_id}")
        case ProposalFact():
            return fact.proposal.proposal_id in about
        case DecisionFact():
            return fact.decision.proposal_id in about
        case TouchFact():
            return fact.touch.proposal_id in about
        case _:
            return False


def _add(table: Table, entry: LogEntry, fact: LedgerFact | None) -> None:
    if fact is not None:
        line = told(fact)
    else:
        line = Told("", "", f"{entry.type}: " + ("erased" if entry.body is None else "cannot be read"))
    who = f"{line.who} ({line.door})" if line.door else line.who
    table.add_row(
        Text(f"#{entry.number}", style="dim"),
        Text(clock(entry.at), style="dim"),
        Text(plain(who), style="bold"),
        Text(plain(line.text), style="" if fact is not None else "dim"),
    )


def _as_json(entry: LogEntry) -> str:
    try:
        said = json.loads(entry.body) if entry.body is not None else None
    except ValueError:
        said = None
    return json.dumps(
        {
            "number": entry.number,
            "at": entry.at.isoformat() if entry.at else None,
            "type": entry.type,
            "digest": entry.digest,
            "fact": said,
        },
        ensure_ascii=False,
    )
