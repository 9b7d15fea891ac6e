"""Notices: telling persons of an exception, one message at a time, however long the mail server is away."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from domain._approval import Approval
from domain._auditing import is_audited, step
from domain._base import one_line
from domain._card import Notice
from domain._cards import card_of
from domain._exception_words import ApprovalStatus, Occasion, StepKind
from domain._messages import Noticed, Notify
from domain._state import AccountState, Ticket
from domain._turn import Turn

TRY_AGAIN_AFTER = timedelta(minutes=10)
"""When a notice that failed is tried again."""
LONGEST_PAUSE = timedelta(hours=2)
"""The pauses double up to this length."""
ATTEMPTS = 30
"""How often a notice is tried: more than two days."""


def tell(
    turn: Turn, approval: Approval, occasion: Occasion, message: str, to: Iterable[str] | None = None
) -> None:
    """Notify persons of what happened to an approval.

    While a notice is on its way, what happens meanwhile waits behind it, and only the latest of that: after
    an outage each person gets one message about how things stand, and not one for every reminder.

    Args:
        turn: The turn.
        approval: What it is about, as it now is.
        occasion: What happened.
        message: The same in a sentence.
        to: Logins; those who are asked if left out.
    """
    people = approval.addressed if to is None else tuple(dict.fromkeys(to))
    if not is_audited(approval) or not people:
        return
    said = one_line(message)
    ticket = turn.state.tickets.get(approval.approval_id)
    if ticket is not None and ticket.on_its_way:
        later = {"behind": occasion, "behind_message": said, "behind_to": people}
        turn.state.tickets[approval.approval_id] = ticket.model_copy(update=later)
        return
    _send(turn, approval.approval_id, Ticket(occasion=occasion, message=said, to=people, number=0))


def noticed(turn: Turn, event: Noticed) -> None:
    """Take in what became of a notice: record it, try it again later, or send what waits behind it."""
    report = event.report
    approval_id = next(
        (
            key
            for key, ticket in turn.state.tickets.items()
            if ticket.on_its_way and _notice_id(turn.state, key, ticket) == report.notice_id
        ),
        None,
    )
    if approval_id is None:
        return  # it has been reported before
    ticket = turn.state.tickets.pop(approval_id)
    approval = turn.state.approvals.get(approval_id)
    if approval is None:
        return
    for person in report.delivered:
        if person not in ticket.told:
            step(turn, approval, StepKind.NOTIFIED, detail=f"{person}: {ticket.occasion.value}")
    if ticket.attempts == 0:
        for failure in report.failed:
            step(turn, approval, StepKind.NOT_NOTIFIED, detail=f"{failure} ({ticket.occasion.value})")
    if ticket.behind is not None and ticket.behind_message is not None:
        newer = Ticket(occasion=ticket.behind, message=ticket.behind_message, to=ticket.behind_to, number=0)
        _send(turn, approval_id, newer)
    elif report.failed and report.try_again and ticket.attempts + 1 < ATTEMPTS and _matters(approval, ticket):
        pause = min(TRY_AGAIN_AFTER * 2**ticket.attempts, LONGEST_PAUSE)
        waits = {
            "on_its_way": False,
            "due_at": turn.now + pause,
            "attempts": ticket.attempts + 1,
            "told": report.delivered,
        }
        turn.state.tickets[approval_id] = ticket.model_copy(update=waits)


def try_again_when_due(turn: Turn) -> None:
    """Send notices again whose pause is over, unless nobody needs them any more."""
    for approval_id, ticket in tuple(turn.state.tickets.items()):
        if ticket.on_its_way or ticket.due_at is None or ticket.due_at > turn.now:
            continue
        approval = turn.state.approvals.get(approval_id)
        if approval is None or not _matters(approval, ticket):
            del turn.state.tickets[approval_id]
            continue
        _put_on_its_way(turn, approval_id, ticket)


def resume(turn: Turn) -> None:
    """Send again what was on its way; whoever has got it does not get it twice."""
    for approval_id, ticket in tuple(turn.state.tickets.items()):
        if ticket.on_its_way:
            _put_on_its_way(turn, approval_id, ticket)


def dues(state: AccountState) -> Iterable[tuple[datetime, str]]:
    """Yield when failed notices are tried again, with a phrase for operators."""
    for approval_id, ticket in state.tickets.items():
        if ticket.due_at is not None and not ticket.on_its_way:
            yield ticket.due_at, f"notify again about {approval_id}"


def _send(turn: Turn, approval_id: str, ticket: Ticket) -> None:
    approval = turn.state.approvals[approval_id]
    number = approval.notices + 1
    turn.state.approvals[approval_id] = approval.model_copy(update={"notices": number})
    _put_on_its_way(turn, approval_id, ticket.model_copy(update={"number": number}))


def _put_on_its_way(turn: Turn, approval_id: str, ticket: Ticket) -> None:
    card = card_of(turn.state, approval_id)
    if card is None:
        turn.state.tickets.pop(approval_id, None)
        return
    going = ticket.model_copy(update={"on_its_way": True, "due_at": None})
    turn.state.tickets[approval_id] = going
    notice = Notice(
        notice_id=_notice_id(turn.state, approval_id, going),
        account_id=turn.state.account_id,
        to=going.to,
        occasion=going.occasion,
        message=going.message,
        card=card,
    )
    turn.effects.append(Notify(notice=notice))


def _matters(approval: Approval, ticket: Ticket) -> bool:
    """Whether a late notice still helps: of an open question always, of an ended one only that it ended."""
    asks = ticket.occasion in {Occasion.REQUESTED, Occasion.REMINDER, Occasion.ESCALATED}
    return approval.status is ApprovalStatus.PENDING or not asks


def _notice_id(state: AccountState, approval_id: str, ticket: Ticket) -> str:
    return f"{state.account_id}/{approval_id}/n{ticket.number}"
