"""The card: everything that a person needs to answer an exception, on one page."""

from __future__ import annotations

from domain._account import Account, Assessment, Contact, Hold, Reading
from domain._approval import Approval
from domain._base import Frozen, Identifier, Moment, ShortText
from domain._exception_words import Answer, Occasion
from domain._proposal import Decision, Proposal
from domain._touch import Touch, TouchRecord
from domain._vocabulary import ProposalStatus


class Rival(Frozen):
    """Another proposal of the account that was judged with it, or waits."""

    proposal_id: Identifier
    actor: Identifier
    action: Identifier
    channel: Identifier
    status: ProposalStatus
    score: float | None = None
    said: ShortText | None = None
    """What became of it, and why."""


class Consequence(Frozen):
    """What happens if somebody says something, or if nobody does."""

    answer: Answer | None
    """None: nobody answers."""
    text: ShortText


class ExceptionCard(Frozen):
    """One exception as the person sees it who is to answer it."""

    account_id: Identifier
    account: Account | None
    approval: Approval
    """The question, with its digest, its route and how far it is."""
    proposal: Proposal | None = None
    """The exact action and content; None if it is about no proposal."""
    original: Proposal | None = None
    """What was proposed at first, if somebody has changed it since."""
    edited_by: tuple[ShortText, ...] = ()
    recipient: Contact | None = None
    consent: ShortText | None = None
    """On what the permission rests, in one line."""
    decision: Decision | None = None
    """Every rule that fired, the score with its factors."""
    rivals: tuple[Rival, ...] = ()
    touches: tuple[TouchRecord, ...] = ()
    """The last touches of the account and what came back, the latest first."""
    assessment: Assessment | None = None
    readings: tuple[Reading, ...] = ()
    holds: tuple[Hold, ...] = ()
    touch: Touch | None = None
    """The touch in doubt."""
    doubt: ShortText | None = None
    """What is known of it."""
    doubt_since: Moment | None = None
    consequences: tuple[Consequence, ...] = ()


class Notice(Frozen):
    """A message to the persons whom an exception concerns."""

    notice_id: ShortText
    """The same notice has the same id, however often it is tried."""
    account_id: Identifier
    to: tuple[ShortText, ...]
    """Logins; where they are reached is in people.yaml."""
    occasion: Occasion
    message: ShortText
    """What happened, in one sentence without personal data."""
    card: ExceptionCard


class NoticeReport(Frozen):
    """What became of a notice."""

    notice_id: ShortText
    delivered: tuple[ShortText, ...] = ()
    """`<login> by <medium>`, such as `dana.reyes by mail`; a medium for all is told alone. Those whom an
    attempt before has reached are among them."""
    failed: tuple[ShortText, ...] = ()
    """`<login> by <medium>: why`, one line each, without addresses."""
    try_again: bool = False
    """Whether a later attempt may reach those that failed."""
