"""The form on an answer page: which answers it offers, and what its fields say when it comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import parse_qs

from activities.notices import AnswerTicket
from domain import (
    Answer,
    AnswerCode,
    ApprovalAnswer,
    Door,
    ExceptionCard,
    ExceptionKind,
    Settlement,
    Stage,
)

LONGEST_COMMENT: Final = 2_000
"""Characters, as `domain.Comment` has it."""

_OFFERED: Final = {
    ExceptionKind.ACTION: (Answer.APPROVE, Answer.REJECT, Answer.SEND_BACK),
    ExceptionKind.AMBIGUITY: (Answer.SETTLE,),
    ExceptionKind.IN_DOUBT: (Answer.SETTLE,),
    ExceptionKind.CONFLICT: (Answer.APPROVE, Answer.REJECT),
    ExceptionKind.REVIEW: (Answer.APPROVE, Answer.REJECT),
}
_MOST_FIELDS: Final = 20
_NAMES: Final = ("answer", "code", "comment", "stage", "settlement", "shown")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True)
class Filled:
    """What somebody has written into the form, as text.

    Attributes:
        answer: What they say.
        code: Why, as a word.
        comment: Why, in their own words.
        stage: What the account's stage is.
        settlement: What became of a touch in doubt.
        shown: The page's mark of when the card was shown.
    """

    answer: str = ""
    code: str = ""
    comment: str = ""
    stage: str = ""
    settlement: str = ""
    shown: str = ""


@dataclass(frozen=True)
class Complaints:
    """What is wrong with a form, by field; the sentences are for the person who filled it in."""

    by_field: dict[str, str] = field(default_factory=dict)


def offered(card: ExceptionCard) -> tuple[Answer, ...]:
    """Return the answers that the page takes to a card.

    What needs more than one page (another text, a window, a broken glass) is answered elsewhere.
    """
    return _OFFERED[card.approval.kind]


def read_form(raw: bytes) -> Filled | None:
    """Read a form as a browser sends it; None if it is none, or says one thing twice.

    Args:
        raw: The body, `application/x-www-form-urlencoded`.
    """
    try:
        fields = parse_qs(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="replace"
        )
    except ValueError:
        return None
    said = {name: values for name, values in fields.items() if name in _NAMES}
    if any(len(values) > 1 for values in said.values()):
        return None
    return Filled(**{name: _clean(values[0]) for name, values in said.items()})


def answer_of(filled: Filled, ticket: AnswerTicket, card: ExceptionCard) -> ApprovalAnswer | Complaints:
    """Return what a filled form says under a ticket, or what is wrong with it.

    Person, question and digest come from the ticket alone. A form that is not complete is not sent to the
    account: the link would be used up by a slip.
    """
    answer = _one_of(Answer, filled.answer)
    if answer is None or answer not in offered(card):
        return Complaints({"answer": "Choose one of the answers."})
    complaints: dict[str, str] = {}
    code = _one_of(AnswerCode, filled.code)
    if answer is not Answer.APPROVE:
        if code is None:
            complaints["code"] = "Say why, in a word."
        if not filled.comment:
            complaints["comment"] = "Say why, in a sentence: whoever asked will read it."
    if len(filled.comment) > LONGEST_COMMENT:
        complaints["comment"] = f"Please use no more than {LONGEST_COMMENT:,} characters."
    kind = card.approval.kind
    settles = answer is Answer.SETTLE
    stage = _one_of(Stage, filled.stage) if settles and kind is ExceptionKind.AMBIGUITY else None
    settlement = (
        _one_of(Settlement, filled.settlement) if settles and kind is ExceptionKind.IN_DOUBT else None
    )
    if settles and stage is None and settlement is None:
        name = "stage" if kind is ExceptionKind.AMBIGUITY else "settlement"
        complaints[name] = "Choose what is true."
    if complaints:
        return Complaints(complaints)
    return ApprovalAnswer(
        answer_id=ticket.nonce,
        approval_id=ticket.approval_id,
        answer=answer,
        approver=ticket.login,
        digest=ticket.digest,
        code=code,
        comment=filled.comment or None,
        stage=stage,
        settlement=settlement,
        via=Door.LINK,
    )


def _one_of(words: type[_Word], text: str) -> _Word | None:
    return next((word for word in words if word.value == text), None)


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n")).strip()
