"""Pages for approvers: the card of an exception with its form, and the pages that tell how it ended."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from activities.notices import AnswerTicket
from domain import Answer, AnswerCode, ExceptionCard, ExceptionKind, Settlement, Stage, visible
from gateway._answer_form import LONGEST_COMMENT, Complaints, Filled, offered

_TEMPLATES: Final = Path(__file__).with_name("templates")
_CSS: Final = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
_CSS_HASH: Final = base64.b64encode(sha256(_CSS.encode()).digest()).decode()

HEADERS: Final = {
    "cache-control": "no-store",
    # No script, picture, font or frame from anywhere, and no style but the page's own.
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}
"""The address of the page is the permission: no cache, referrer or search engine shall learn it."""

_LABELS: Final = {
    Answer.APPROVE: "Approve",
    Answer.REJECT: "Reject",
    Answer.SEND_BACK: "Send back",
    Answer.SETTLE: "Settle it",
}
_LABELS_OF_REVIEW: Final = {Answer.APPROVE: "It was right", Answer.REJECT: "It was wrong"}
_LABELS_OF_CONFLICT: Final = {Answer.APPROVE: "Let it go on", Answer.REJECT: "Drop it"}
_EYEBROWS: Final = {
    ExceptionKind.ACTION: "Approval",
    ExceptionKind.AMBIGUITY: "Readings disagree",
    ExceptionKind.IN_DOUBT: "Touch in doubt",
    ExceptionKind.CONFLICT: "Policies contradict each other",
    ExceptionKind.REVIEW: "Review of a broken glass",
}


class Tone(StrEnum):
    """How a page that ends something looks."""

    GOOD = "good"
    PLAIN = "plain"
    HELD = "held"
    BAD = "bad"


@dataclass(frozen=True)
class End:
    """A page with nothing left to fill in.

    Attributes:
        status: The HTTP status code.
        title: What happened, in a few words.
        sentences: What it means and what to do.
        tone: How it looks.
        login: Whose link was opened, if that is known.
        about: Which question it was about.
        again: What a button sends once more; None: there is no button.
        headers: Further headers.
    """

    status: int
    title: str
    sentences: tuple[str, ...]
    tone: Tone = Tone.PLAIN
    login: str | None = None
    about: str | None = None
    again: dict[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """An answer on the form."""

    answer: Answer
    label: str
    consequence: str | None


def end_page(page: End) -> HTMLResponse:
    """Return a page that tells how something ended."""
    html = _ENVIRONMENT.get_template("end.html").render(css=Markup(_CSS), page=page)  # noqa: S704 - our file
    return HTMLResponse(html, page.status, {**HEADERS, **page.headers})


def card_page(  # noqa: PLR0913 - a page shows that much
    ticket: AnswerTicket,
    card: ExceptionCard,
    now: datetime,
    *,
    shown: str,
    filled: Filled | None = None,
    complaints: Complaints | None = None,
) -> HTMLResponse:
    """Return the page on which a person reads a card and answers.

    Args:
        ticket: Whose link was opened.
        card: The exception as it is now.
        now: The present moment.
        shown: The mark of when the card was first shown.
        filled: What the person has written already.
        complaints: What is wrong with that; with any, the status is 422.
    """
    kind = card.approval.kind
    choices = _choices(card)
    html = _ENVIRONMENT.get_template("card.html").render(
        css=Markup(_CSS),  # noqa: S704 - our own file
        ticket=ticket,
        card=card,
        now=now,
        account_name=_account(card),
        headline=headline(card),
        eyebrow=f"{_EYEBROWS[kind]} · {_account(card)}",
        answers_for=_principal(card, ticket.login),
        choices=choices,
        may_agree=any(choice.answer is Answer.APPROVE for choice in choices),
        silence=next((each.text for each in card.consequences if each.answer is None), None),
        stages=tuple(Stage) if kind is ExceptionKind.AMBIGUITY else (),
        settlements=tuple(Settlement) if kind is ExceptionKind.IN_DOUBT else (),
        codes=tuple(AnswerCode),
        longest_comment=LONGEST_COMMENT,
        shown=shown,
        filled=filled or Filled(),
        complaints=complaints.by_field if complaints else {},
    )
    return HTMLResponse(html, 422 if complaints else 200, HEADERS)


def headline(card: ExceptionCard) -> str:
    """Return what is asked, in a few words."""
    match card.approval.kind:
        case ExceptionKind.AMBIGUITY:
            return f"How far has {_account(card)} come?"
        case ExceptionKind.IN_DOUBT:
            return f"Did this reach {_whom(card)}?"
        case ExceptionKind.REVIEW:
            return f"Was it right to break the glass for \u201c{_what(card)}\u201d?"
        case ExceptionKind.CONFLICT:
            return f"Shall \u201c{_what(card)}\u201d go on?"
        case ExceptionKind.ACTION:
            return f"{_what(card)}?"


def when(moment: datetime) -> str:
    """Return a moment for people, in UTC: nobody knows in which zone the page is read."""
    return f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M} UTC"


def _choices(card: ExceptionCard) -> tuple[Choice, ...]:
    labels = dict(_LABELS)
    if card.approval.kind is ExceptionKind.REVIEW:
        labels |= _LABELS_OF_REVIEW
    if card.approval.kind is ExceptionKind.CONFLICT:
        labels |= _LABELS_OF_CONFLICT
    consequences = {each.answer: each.text for each in card.consequences}
    return tuple(Choice(answer, labels[answer], consequences.get(answer)) for answer in offered(card))


def _principal(card: ExceptionCard, login: str) -> str | None:
    return card.approval.route.delegates.get(login)


def _account(card: ExceptionCard) -> str:
    return card.account.name if card.account is not None else card.account_id


def _whom(card: ExceptionCard) -> str:
    if card.recipient is not None:
        return card.recipient.name
    touch = card.touch
    return touch.recipient.name if touch is not None and touch.recipient is not None else _account(card)


def _what(card: ExceptionCard) -> str:
    # Actions are named as people call them: `send_executive_email`, `personalize_site`.
    action = (card.approval.action or "this").replace("_", " ").replace("-", " ")
    towards = f"to {card.recipient.name}" if card.recipient is not None else f"for {_account(card)}"
    return f"{action[:1].upper()}{action[1:]} {towards}"


def _words(value: object) -> str:
    text = value.value if isinstance(value, Enum) else str(value)
    return str(text).replace("_", " ")


def _amount(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


def _shown(value: object) -> object:
    """Show what hides or turns words as what it is; what is markup already is the page's own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _environment() -> Environment:
    environment = Environment(
        finalize=_shown,
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "when": when,
        "words": _words,
        "amount": _amount,
        "number": lambda value: f"{value:g}",
        "share": lambda value: f"{value:.0%}",
    }
    return environment


_ENVIRONMENT: Final = _environment()
