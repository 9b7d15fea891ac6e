"""The word lists of exceptions: what people are asked, what they may say, and what is recorded of it."""

from __future__ import annotations

from enum import StrEnum


class ExceptionKind(StrEnum):
    """Why a person is asked.

    `action`: a touch needs an approval. `ambiguity`: systems read the account too differently. `in_doubt`:
    nobody knows whether a touch was handed over. `conflict`: policies or persons contradict each other.
    `review`: somebody broke the glass, and somebody else looks at it afterwards.
    """

    ACTION = "action"
    AMBIGUITY = "ambiguity"
    IN_DOUBT = "in_doubt"
    CONFLICT = "conflict"
    REVIEW = "review"


class Answer(StrEnum):
    """What an approver may say.

    `modify` makes another version of the action, which is ruled again. `send_back` ends the proposal and
    asks its actor for a better one. `settle` says what is true: of readings that disagree, or of a touch
    in doubt. `break_glass` approves without the persons who were asked, and is reviewed afterwards.
    """

    APPROVE = "approve"
    REJECT = "reject"
    MODIFY = "modify"
    SEND_BACK = "send_back"
    SETTLE = "settle"
    BREAK_GLASS = "break_glass"


class AnswerCode(StrEnum):
    """Why somebody answers as they do; mandatory, with a comment, for everything but a plain approval."""

    WRONG_TIME = "wrong_time"
    WRONG_PERSON = "wrong_person"
    WRONG_CHANNEL = "wrong_channel"
    WRONG_CONTENT = "wrong_content"
    WRONG_FACTS = "wrong_facts"
    TOO_MUCH = "too_much"
    DEAL_AT_RISK = "deal_at_risk"
    LEGAL = "legal"
    BRAND = "brand"
    IMPROVED = "improved"
    VERIFIED = "verified"
    EMERGENCY = "emergency"
    OTHER = "other"


class ApprovalStatus(StrEnum):
    """Where a question to people stands; all but the first are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    MODIFIED = "modified"
    SENT_BACK = "sent_back"
    SETTLED = "settled"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class UseKind(StrEnum):
    """What a touch says that somebody wrote before: a text under policies/content, or a claim."""

    TEMPLATE = "template"
    CLAIM = "claim"


class Risk(StrEnum):
    """How much harm a wrong yes can do; what is high is never answered in bulk."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Door(StrEnum):
    """The way by which an answer or a look came in."""

    ENGINE = "engine"
    UPDATE = "update"
    SIGNAL = "signal"
    COMMAND = "command"
    HTTP = "http"
    LINK = "link"
    MAIL = "mail"


class StepKind(StrEnum):
    """What happened to a question to people: the entries of its audit trail."""

    REQUESTED = "requested"
    NOTIFIED = "notified"
    NOT_NOTIFIED = "not_notified"
    REMINDED = "reminded"
    VIEWED = "viewed"
    CLAIMED = "claimed"
    RELEASED = "released"
    ANSWERED = "answered"
    REFUSED = "refused"
    ESCALATED = "escalated"
    DELEGATED = "delegated"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    CONSUMED = "consumed"


class Occasion(StrEnum):
    """Why persons are notified."""

    REQUESTED = "requested"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
