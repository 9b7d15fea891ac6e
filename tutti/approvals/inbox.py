"""`tutti inbox`: every open question over all accounts, those due first on top."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.text import Text

from domain import Approval, ExceptionKind, Risk
from ledger import Inbox, InboxFilter, InboxItem, Ledger
from tutti.approvals.wording import holding, length
from tutti.render import counted, entries, plain, words
from tutti.settings import Settings

KIND_STYLE = {
    ExceptionKind.ACTION: "magenta",
    ExceptionKind.AMBIGUITY: "cyan",
    ExceptionKind.IN_DOUBT: "red",
    ExceptionKind.CONFLICT: "yellow",
    ExceptionKind.REVIEW: "blue",
}


async def show_inbox(  # noqa: PLR0913 - what is wanted, and how it is shown
    console: Console, settings: Settings, wanted: InboxFilter, *, at: datetime, limit: int, as_json: bool
) -> None:
    """Print the open questions that were asked for.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found = await read_inbox(settings, wanted, at=at, limit=limit)
    if as_json:
        console.print_json(found.model_dump_json())
        return
    console.print(told(found, wanted, at), highlight=False)


async def read_inbox(settings: Settings, wanted: InboxFilter, *, at: datetime, limit: int) -> Inbox:
    """Return the open questions that were asked for.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        return await ledger.inbox(wanted, at=at, limit=limit)
    finally:
        await ledger.close()


def told(inbox: Inbox, wanted: InboxFilter, now: datetime) -> RenderableType:
    """Return the inbox as people read it."""
    whose = f" for {plain(wanted.login)}" if wanted.login is not None else ""
    if not inbox.items:
        return Text(
            f"nothing waits{whose}" if wanted == _only(wanted.login) else f"nothing of this waits{whose}"
        )
    table = entries()
    for item in inbox.items:
        table.add_row(due(item.approval, now), _line(item, now))
    return Group(_head(inbox, whose, now), Text(), table, *_more(inbox))


def _only(login: str | None) -> InboxFilter:
    return InboxFilter(login=login)


def _head(inbox: Inbox, whose: str, now: datetime) -> Text:
    head = Text.assemble((f"{counted(inbox.total, 'question')} open{whose}", "bold"))
    if inbox.overdue:
        head.append(f", {inbox.overdue:,} overdue", "bold red")
    if inbox.oldest_at is not None:
        head.append(f", the oldest has waited {length(inbox.oldest_at, now)}")
    return head


def _more(inbox: Inbox) -> list[Text]:
    left = inbox.total - len(inbox.items)
    lines = [Text()]
    if left:
        lines.append(
            Text(f"and {left:,} more: see them with --limit, or name --for, --group or --rule", "dim")
        )
    lines.append(Text("look: tutti approval show ID    answer: tutti approve ID, tutti reject ID", "dim"))
    return lines


def due(approval: Approval, now: datetime) -> Text:
    """Return how long there is to answer, or since when an answer is missing."""
    due_at, ends_at = approval.route.due_at or approval.route.expires_at, approval.route.expires_at
    if ends_at <= now:
        return Text(f"expired {length(ends_at, now)} ago", "dim")
    if due_at <= now:
        return Text(f"overdue {length(due_at, now)}", "bold red")
    return Text(f"due in {length(now, due_at)}")


def _line(item: InboxItem, now: datetime) -> RenderableType:
    approval = item.approval
    head = Text()
    if approval.route.risk is Risk.HIGH:
        head.append("high risk ", "bold red")
    head.append(words(approval.kind.value), KIND_STYLE[approval.kind])
    name = f" ({plain(item.account_name)})" if item.account_name else ""
    head.append(f" on {item.account_id}{name}")
    if approval.action is not None:
        over = f" over {approval.channel}" if approval.channel else ""
        value = f", worth {approval.value:,.0f}" if approval.value else ""
        head.append(f": {words(approval.action)}{over}{value}")
    asks = f"{approval.actor or 'tutti'} asks {plain(approval.route.group)}: {plain(approval.message)}"
    lines = [head, Text(asks)]
    if standing := _standing(approval, now):
        lines.append(Text(standing, "yellow"))
    lines.append(Text(f"{item.account_id}/{approval.approval_id}", "bold", overflow="fold"))
    return Group(*lines)


def _standing(approval: Approval, now: datetime) -> str:
    """Say who is at it, and how far it is."""
    parts = [held] if (held := holding(approval, now)) else []
    if approval.route.quorum > 1:
        parts.append(approval.progress)
    if approval.level:
        groups = ", ".join(plain(level.group) for level in approval.route.levels[: approval.level])
        parts.append(f"escalated to {groups}")
    return "; ".join(parts)
