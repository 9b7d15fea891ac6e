"""The closed word lists of the language: every enum that policies, APIs and the ledger share."""

from __future__ import annotations

from enum import StrEnum
from functools import cache


@cache
def _places(words: type[StrEnum]) -> dict[StrEnum, int]:
    """Return the position of every word of a list; asked many times in every ruling."""
    return {word: place for place, word in enumerate(words)}


class Role(StrEnum):
    """A contact's part in the buying group."""

    DECISION_MAKER = "decision_maker"
    CHAMPION = "champion"
    INFLUENCER = "influencer"
    PRACTITIONER = "practitioner"
    EXECUTIVE_SPONSOR = "executive_sponsor"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """How far an account has come, from stranger to customer."""

    TARGET = "target"
    AWARE = "aware"
    ENGAGED = "engaged"
    EVALUATING = "evaluating"
    CLOSING = "closing"
    CUSTOMER = "customer"

    @property
    def rank(self) -> int:
        """Position on the way from 0 (target) to 5 (customer)."""
        return _places(Stage)[self]


class Tier(StrEnum):
    """How much attention an account gets; tier 1 is served by name."""

    ONE = "tier_1"
    TWO = "tier_2"
    THREE = "tier_3"


class Consent(StrEnum):
    """What is on record about a person's wish to be contacted."""

    GRANTED = "granted"
    IMPLIED = "implied"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


class ConsentBasis(StrEnum):
    """What a permission rests on; some kinds run out (CASL s. 10(10): 2 years, 6 months)."""

    EXPRESS = "express"
    PURCHASE = "purchase"
    INQUIRY = "inquiry"
    EXISTING_CUSTOMER = "existing_customer"
    PUBLISHED_ADDRESS = "published_address"


class SubscriberKind(StrEnum):
    """Whom the law sees behind an address: a company, or a person (also a sole trader)."""

    CORPORATE = "corporate"
    INDIVIDUAL = "individual"
    UNKNOWN = "unknown"


class Medium(StrEnum):
    """What a channel is to the law and to the person: several channels may share a medium."""

    EMAIL = "email"
    SMS = "sms"
    CALL = "call"
    MESSAGE = "message"
    POST = "post"
    WEB = "web"
    ADS = "ads"
    TASK = "task"


class Reversibility(StrEnum):
    """Whether a touch can be taken back: a mail cannot, an ad can from now on, a task can be deleted."""

    NONE = "none"
    PARTIAL = "partial"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Position from 0 (none) to 2 (full)."""
        return _places(Reversibility)[self]


class RuleMode(StrEnum):
    """Whether a rule binds, or is only evaluated and recorded."""

    ENFORCE = "enforce"
    LOG_ONLY = "log_only"


class SignalKind(StrEnum):
    """What a source system observed."""

    INTENT_SURGE = "intent_surge"
    WEB_VISIT = "web_visit"
    EMAIL_OPEN = "email_open"
    EMAIL_CLICK = "email_click"
    FORM_SUBMISSION = "form_submission"
    REPLY = "reply"
    MEETING_BOOKED = "meeting_booked"
    MEETING_HELD = "meeting_held"
    STAGE_CHANGE = "stage_change"
    PROPERTY_CHANGE = "property_change"
    SUPPORT_CASE = "support_case"
    DEAL_WON = "deal_won"
    DEAL_LOST = "deal_lost"
    OPT_OUT = "opt_out"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    LEFT_COMPANY = "left_company"
    NOTE = "note"


class ActorKind(StrEnum):
    """Who proposes."""

    PERSON = "person"
    AI_AGENT = "ai_agent"
    SYSTEM = "system"


class Autonomy(StrEnum):
    """What an actor may do alone, from nothing to acting and reporting afterwards."""

    OFF = "off"
    DRAFT_ONLY = "draft_only"
    APPROVAL_REQUIRED = "approval_required"
    VETO_WINDOW = "veto_window"
    ACT_AND_REPORT = "act_and_report"

    @property
    def rank(self) -> int:
        """Position from 0 (off) to 4 (act and report); the minimum over grants is in force."""
        return _places(Autonomy)[self]


class Verdict(StrEnum):
    """The ruling on one proposal, from least to most restrictive."""

    ALLOW = "allow"
    DEFER = "defer"
    REQUIRE_APPROVAL = "require_approval"
    SUPPRESS = "suppress"
    DENY = "deny"

    @property
    def rank(self) -> int:
        """Restrictiveness from 0 (allow) to 4 (deny); the highest over all hits wins."""
        return _places(Verdict)[self]


class ReasonCode(StrEnum):
    """Machine-readable reason of a rule hit or of a proposal's end."""

    FREQUENCY_CAP = "FREQUENCY_CAP"
    MINIMUM_GAP = "MINIMUM_GAP"
    QUIET_HOURS = "QUIET_HOURS"
    LOWER_PRIORITY = "LOWER_PRIORITY"
    CONFLICTING_INTENT = "CONFLICTING_INTENT"
    STARVED = "STARVED"
    NO_SLOT = "NO_SLOT"
    CONSENT_MISSING = "CONSENT_MISSING"
    SUPPRESSED = "SUPPRESSED"
    CONTACT_POLICY = "CONTACT_POLICY"
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    NOT_SUITABLE = "NOT_SUITABLE"
    EVIDENCE_STALE = "EVIDENCE_STALE"
    AUTHORITY_EXCEEDED = "AUTHORITY_EXCEEDED"
    AUTHORITY_EXPIRED = "AUTHORITY_EXPIRED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    NOVELTY = "NOVELTY"
    NO_AUTHORITY = "NO_AUTHORITY"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    APPROVAL_NEEDED = "APPROVAL_NEEDED"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    SENT_BACK = "SENT_BACK"
    WITHDRAWN = "WITHDRAWN"
    FIRST_USE = "FIRST_USE"
    NOT_THE_TEMPLATE = "NOT_THE_TEMPLATE"
    UNKNOWN_CLAIM = "UNKNOWN_CLAIM"
    AMBIGUOUS = "AMBIGUOUS"
    CONTRADICTION = "CONTRADICTION"
    GLASS_BROKEN = "GLASS_BROKEN"
    SEEDED = "SEEDED"
    ACCOUNT_HOLD = "ACCOUNT_HOLD"
    TOUCH_IN_FLIGHT = "TOUCH_IN_FLIGHT"
    NOT_YET = "NOT_YET"
    EXPIRED = "EXPIRED"
    EXIT_SIGNAL = "EXIT_SIGNAL"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_CONTACT = "UNKNOWN_CONTACT"
    UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
    UNKNOWN_ACTOR = "UNKNOWN_ACTOR"
    UNREACHABLE_CONTACT = "UNREACHABLE_CONTACT"
    EVALUATION_ERROR = "EVALUATION_ERROR"
    CHANNEL_REJECTED = "CHANNEL_REJECTED"
    CHANNEL_DOWN = "CHANNEL_DOWN"
    RATE_LIMITED = "RATE_LIMITED"
    STOPPED = "STOPPED"
    CONTACT_LEFT = "CONTACT_LEFT"
    NO_AUDIENCE = "NO_AUDIENCE"
    CONTENT_ERROR = "CONTENT_ERROR"
    PLAY_ENDED = "PLAY_ENDED"
    PLAY_SUSPENDED = "PLAY_SUSPENDED"
    IN_DOUBT = "IN_DOUBT"
    ALLOWED = "ALLOWED"


class ProposalStatus(StrEnum):
    """Where a proposal stands; the last five are final."""

    IN_WINDOW = "in_window"
    DEFERRED = "deferred"
    PENDING_APPROVAL = "pending_approval"
    IN_FLIGHT = "in_flight"
    SENT = "sent"
    SUPPRESSED = "suppressed"
    DENIED = "denied"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the proposal."""
        return self in _FINAL


_FINAL = frozenset(
    {
        ProposalStatus.SENT,
        ProposalStatus.SUPPRESSED,
        ProposalStatus.DENIED,
        ProposalStatus.FAILED,
        ProposalStatus.IN_DOUBT,
    }
)


class Delivery(StrEnum):
    """How often a channel may hand the same touch to its provider."""

    AT_MOST_ONCE = "at_most_once"
    IDEMPOTENT = "idempotent"


class TouchStatus(StrEnum):
    """Where a touch stands. All but `released` count against caps."""

    IN_FLIGHT = "in_flight"
    HANDED_OVER = "handed_over"
    UNKNOWN = "unknown"
    RELEASED = "released"


class ReceiptStatus(StrEnum):
    """What a channel says about a touch.

    `accepted`: the provider took it. `rejected`: the provider refused it for good. `blocked`: the last
    check stopped it before the provider. `undelivered`: nothing was handed over, later may work.
    `unknown`: it may or may not have been handed over; a person must settle it.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"


class OutcomeKind(StrEnum):
    """What came back after a touch."""

    REPLY = "reply"
    MEETING = "meeting"
    CLICK = "click"
    OPEN = "open"
    BOUNCE = "bounce"
    OPT_OUT = "opt_out"
    COMPLAINT = "complaint"
    NO_RESPONSE = "no_response"


class StopScope(StrEnum):
    """How far a kill switch reaches."""

    TENANT = "tenant"
    AGENT = "agent"
    ACTION = "action"
    CHANNEL = "channel"
    ACCOUNT = "account"


class PlayStatus(StrEnum):
    """Where a run of a play stands; the last three are final."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    EXITED = "exited"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the run is over."""
        return self not in {PlayStatus.ACTIVE, PlayStatus.SUSPENDED}


class Displacement(StrEnum):
    """What becomes of a running play that has to stand back."""

    SUSPEND = "suspend"
    CANCEL = "cancel"


class Settlement(StrEnum):
    """What a person found out about a touch in doubt."""

    HANDED_OVER = "handed_over"
    NOT_HANDED_OVER = "not_handed_over"


class RecallStatus(StrEnum):
    """What became of taking a touch back.

    `recalled`: it is undone. `gone`: there is nothing to undo any more, as with a task that was done.
    `impossible`: the channel cannot undo it. `failed`: it may work later.
    """

    RECALLED = "recalled"
    GONE = "gone"
    IMPOSSIBLE = "impossible"
    FAILED = "failed"


class ChannelFault(StrEnum):
    """Types of the application errors that a channel may raise in place of a receipt, in any language.

    `Retryable`: nothing was handed over, the engine tries again. `Permanent`: the provider refuses for good.
    `RateLimited`: nothing before the moment in the first detail (ISO 8601). `InDoubt`: it may have been
    handed over. `Permanent` and `RateLimited` are raised as not retryable; so is `InDoubt`, unless the
    channel is idempotent: then the engine tries again, and only a touch that never gets through goes to a
    person.
    """

    RETRYABLE = "Retryable"
    PERMANENT = "Permanent"
    RATE_LIMITED = "RateLimited"
    IN_DOUBT = "InDoubt"
