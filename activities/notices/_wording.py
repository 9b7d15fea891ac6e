"""What a notice says, in plain values; mail and chat only lay it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from activities.channels._contract import clean
from activities.channels._templates import paragraphs_of
from domain import (
    Approval,
    ExceptionCard,
    ExceptionKind,
    Notice,
    Occasion,
    Risk,
    RuleHit,
    visible,
)

OPEN_OCCASIONS: Final = frozenset({Occasion.REQUESTED, Occasion.REMINDER, Occasion.ESCALATED})
"""On these somebody is asked to answer; on all others nobody is any more."""
YES_OR_NO: Final = frozenset({ExceptionKind.ACTION, ExceptionKind.CONFLICT, ExceptionKind.REVIEW})
"""What a reply of one word can answer; the rest needs a page."""

_LONGEST_NAME: Final = 80
_ASKED: Final = {
    ExceptionKind.ACTION: "Approval needed",
    ExceptionKind.AMBIGUITY: "Readings disagree",
    ExceptionKind.IN_DOUBT: "Touch in doubt",
    ExceptionKind.CONFLICT: "Conflict to settle",
    ExceptionKind.REVIEW: "Review needed",
}
_HEADINGS: Final = {
    Occasion.REQUESTED: "You are asked to decide.",
    Occasion.REMINDER: "A reminder: nobody has decided yet.",
    Occasion.ESCALATED: "Nobody has decided in time; now you are asked as well.",
    Occasion.ANSWERED: "It has been decided.",
    Occasion.EXPIRED: "Nobody decided in time.",
    Occasion.WITHDRAWN: "You need not decide any more.",
}

Rows = tuple[tuple[str, str], ...]
"""Pairs of a name and what is to be said of it, each one line."""


@dataclass(frozen=True)
class Wording:
    """A notice in words. Values come from outside: data to lay out, never markup."""

    title: str
    """What it is about, in one line; the same in all notices about one question, and nobody's name in it."""
    heading: str
    """What the reader is to do about it."""
    message: str
    """What happened, in one sentence."""
    glance: Rows
    """Who, what, whom, by when."""
    said: Rows
    """Subject line and fields of the exact content."""
    paragraphs: tuple[str, ...]
    """The text of the exact content."""
    source: str
    """The same as HTML, in source: what a reader sees may differ from the text. Empty if there is none."""
    circumstances: Rows
    """Readings that disagree, holds, or what is known of a touch in doubt."""
    rules: Rows
    """What each rule said, by its id and place."""
    outcomes: Rows
    """What each answer leads to."""
    silence: str
    """What happens if nobody answers; empty once nobody is asked."""


def wording_of(notice: Notice) -> Wording:
    """Put a notice into words."""
    card = notice.card
    proposal = card.proposal
    content = proposal.content if proposal is not None else None
    return Wording(
        title=_title(card),
        heading=_HEADINGS[notice.occasion],
        message=clean(notice.message),
        glance=tuple((name, clean(value)) for name, value in _glance(notice) if value),
        said=tuple(
            (clean(visible(name)), clean(visible(value)))
            for name, value in (
                ("Subject", content.subject or "" if content is not None else ""),
                *(content.fields.items() if content is not None else ()),
            )
            if value
        ),
        paragraphs=paragraphs_of(visible(content.text)) if content is not None else (),
        source=visible(content.html or "") if content is not None else "",
        circumstances=tuple((clean(name), clean(value)) for name, value in _circumstances(card)),
        rules=tuple(
            (_rule(hit), clean(hit.message)) for hit in (card.decision.hits if card.decision else ())
        ),
        outcomes=tuple(
            (words(each.answer), each.text) for each in card.consequences if each.answer is not None
        ),
        silence=_silence(card) if notice.occasion in OPEN_OCCASIONS else "",
    )


def words(name: str) -> str:
    """Return a name of the language as people say it: `send_back` becomes `send back`."""
    return name.replace("_", " ")


def clock(moment: datetime) -> str:
    """Return a moment as people read it."""
    return f"{moment:%a %d %b %Y, %H:%M} UTC"


def company(card: ExceptionCard) -> str:
    """Return the account's name in one line, or its id if nobody knows the name."""
    name = clean(card.account.name, limit=_LONGEST_NAME) if card.account is not None else ""
    return name or card.account_id


def _title(card: ExceptionCard) -> str:
    action = card.approval.action or (card.proposal.action if card.proposal is not None else None)
    what = f"{words(action)} for " if action else ""
    return f"{_ASKED[card.approval.kind]}: {what}{company(card)}"


def _glance(notice: Notice) -> Iterator[tuple[str, str]]:
    card = notice.card
    approval, proposal = card.approval, card.proposal
    yield "Account", f"{company(card)} ({card.account_id})"
    yield "Question", f"{approval.approval_id}, {words(approval.kind)}"
    if approval.message not in notice.message:
        yield "Why", approval.message
    if proposal is not None:
        yield "Action", f"{words(proposal.action)} over {words(proposal.channel)}"
        yield "Proposed by", proposal.actor
        yield "Edited by", ", ".join(card.edited_by)
        yield "Value", f"{proposal.value:,.0f}, confidence {proposal.confidence:.0%}"
        yield "Evidence", "; ".join(proposal.evidence)
    if card.recipient is not None:
        title = f", {card.recipient.title}" if card.recipient.title else ""
        yield "To", f"{card.recipient.name}{title}"
    yield "Consent", card.consent or ""
    if approval.route.risk is Risk.HIGH:
        yield "Risk", "high"
    yield "Asked", f"{approval.route.group}{_progress(approval)}"
    if approval.claimed_by is not None and approval.claimed_until is not None:
        yield "Held by", f"{approval.claimed_by} until {clock(approval.claimed_until)}"
    if approval.route.due_at is not None:
        yield "Due", clock(approval.route.due_at)
    yield "Expires", clock(approval.route.expires_at)


def _progress(approval: Approval) -> str:
    return f"; {approval.progress}" if approval.route.quorum > 1 else ""


def _circumstances(card: ExceptionCard) -> Iterator[tuple[str, str]]:
    match card.approval.kind:
        case ExceptionKind.AMBIGUITY:
            for reading in card.readings:
                sure = f"urgency {reading.urgency:.0%}, confidence {reading.confidence:.0%}"
                yield reading.system, f"{words(reading.stage)}, {sure}"
        case ExceptionKind.CONFLICT:
            for hold in card.holds:
                yield f"Hold {hold.hold_id}", f"{hold.placed_by}: {hold.reason}"
        case ExceptionKind.IN_DOUBT if card.touch is not None:
            since = f", since {clock(card.doubt_since)}" if card.doubt_since is not None else ""
            yield (
                card.touch.touch_id,
                f"{words(card.touch.channel)}{since}: {card.doubt or 'nothing is known'}",
            )
        case _:
            pass


def _rule(hit: RuleHit) -> str:
    place = f"{hit.file}:{hit.line}" if hit.file else "built in"
    tried = ", tried out only" if hit.log_only else ""
    return clean(f"{hit.rule_id} ({words(hit.effect)}, {place}{tried})")


def _silence(card: ExceptionCard) -> str:
    for each in card.consequences:
        if each.answer is None:
            return each.text
    route = card.approval.route
    return f"If nobody answers by {clock(route.expires_at)}: {words(route.on_expiry)}. Silence never allows."
