"""Touches: what is handed to a channel, what the channel says, and what comes back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import ConfigDict, EmailStr, Field, StringConstraints

from domain._account import FactName, FactText
from domain._base import Amount, Frozen, Identifier, LongText, Moment, ShortText
from domain._vocabulary import Delivery, OutcomeKind, RecallStatus, ReceiptStatus, TouchStatus

TouchId = Annotated[ShortText, StringConstraints(min_length=1)]
"""Identity of one touch and the only safe idempotency key: `<account>/<proposal>/<attempt>`."""

_PAST_TOUCH_ID: Final = re.compile(r"[^/:\s][^/\s]*:[^/\s]+")

HAND_OVER_ATTEMPTS: Final = 5
"""How often the account tries to hand over one touch."""
HAND_OVER_SLACK: Final = timedelta(minutes=10)
"""Room for the pauses between the attempts."""
LONGEST_FLIGHT: Final = timedelta(days=1)
"""How long a touch may be on its way, from its ruling to the end that its channel reports.

Until then it takes its place in shared limits, also in those whose window is shorter; what nobody has told
the end of by then is taken for lost."""


class Handover(Frozen):
    """How the workflow reaches a channel's activity; taken from `policies/channels.yaml`."""

    task_queue: ShortText
    delivery: Delivery
    schedule_to_start_seconds: Annotated[float, Field(gt=0.0)]
    """How long the touch may wait for a worker before the channel counts as down."""
    start_to_close_seconds: Annotated[float, Field(gt=0.0)]
    """How long one attempt may take."""
    heartbeat_seconds: Annotated[float, Field(gt=0.0)]
    """How long a channel worker may stay silent before it counts as lost."""
    retry_after_seconds: Annotated[float, Field(gt=0.0)]
    """When an undelivered touch is ruled again."""
    recalls: bool = False
    """Whether the channel can take a touch back: its worker also has the activity `recall`."""
    priority: Annotated[int, Field(ge=1, le=5)] = 3
    """Place in the channel's queue among the touches of all accounts: 1 goes first."""

    @property
    def longest(self) -> timedelta:
        """How long a touch can be on its way at most, with every attempt and the pauses between them."""
        attempts = HAND_OVER_ATTEMPTS * self.start_to_close_seconds
        return timedelta(seconds=self.schedule_to_start_seconds + attempts) + HAND_OVER_SLACK


class Recipient(Frozen):
    """The person a touch is for, as known at hand-over."""

    model_config = ConfigDict(extra="ignore")  # as for the touch that it is part of

    contact_id: Identifier
    """Their id in the account's records; never an address."""
    name: ShortText
    """How to address them."""
    email: EmailStr | None = None
    """Their address; set for every touch of a channel that needs one."""


class PlayRef(Frozen):
    """Which step of which run of a play something belongs to."""

    model_config = ConfigDict(extra="ignore")  # it is part of touches

    run_id: Identifier
    """The run: one account's way through the play."""
    play_id: Identifier
    """The play's name in the policy set."""
    step: Identifier
    """The step's name in the play."""


class Touch(Frozen):
    """One contact with the account through a channel: the input of every channel activity.

    Readers ignore fields they do not know: a channel built for this version takes what later ones add.
    """

    model_config = ConfigDict(extra="ignore")

    touch_id: TouchId
    """The touch's identity and the only safe idempotency key; it may hold slashes."""
    account_id: Identifier
    """The target account."""
    account_name: ShortText
    """The account's name, for texts."""
    proposal_id: Identifier
    """What was proposed; several touches may try to carry out one proposal."""
    decision_id: ShortText
    """The decision that allowed it."""
    actor: Identifier
    """Who proposed it: a person, an AI agent or a system."""
    channel: Identifier
    """The channel's name in `channels.yaml`."""
    action: Identifier
    """What kind of touch it is, such as `intro`."""
    intent: Identifier | None = None
    """What it is after, such as `nurture`, if the proposal said so."""
    cost: Amount = 0.0
    """What it costs, in the tenant's currency."""
    recipient: Recipient | None = None
    """None for touches of the account as a whole."""
    subject: ShortText | None = None
    """The subject line or title."""
    text: LongText = ""
    """What is said, as plain text; any character may occur, so it is data and never a command or markup."""
    html: LongText | None = None
    """The text as HTML, if whoever proposed it wrote one."""
    fields: Annotated[dict[FactName, FactText], Field(max_length=32)] = {}
    """Further values for the channel, by name."""
    play: PlayRef | None = None
    """The step of a play that it carries out."""
    good_until: Moment | None = None
    """Until when the ruling behind it holds: past this moment nothing may be handed over; None: no limit."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the exact action that was ruled on (and, if needed, approved)."""
    approved_by: ShortText | None = None
    """Login of the person who approved it, if somebody had to."""
    policy_digest: str
    """Digest of the policy set that allowed it."""


class Receipt(Frozen):
    """What the channel said about a touch: the output of every channel activity."""

    touch_id: TouchId
    """The touch it is for, as it came."""
    status: ReceiptStatus
    """What became of it."""
    at: Moment
    """When that was known."""
    provider_ref: ShortText | None = None
    """The provider's own id, e.g. a Message-ID."""
    detail: Annotated[LongText, StringConstraints(max_length=1_000)] | None = None
    """A sentence for a person; no personal data."""
    retry_at: Moment | None = None
    """With `undelivered`: the provider takes nothing before this moment, as after a rate limit."""
    outcome: OutcomeKind | None = None
    """What the provider told about the person at once: `bounce` for an address that does not exist."""


class Recall(Frozen):
    """Take a touch back: the input of a channel's activity `recall`."""

    model_config = ConfigDict(extra="ignore")

    touch_id: TouchId
    """The touch that is to be undone."""
    account_id: Identifier
    """The account it was for."""
    channel: Identifier
    """The channel that made it."""
    action: Identifier
    """What kind of touch it was."""
    contact_id: Identifier | None = None
    """The person it was for, if any."""
    provider_ref: ShortText | None = None
    """What the receipt of the touch said, to find it by."""
    reason: ShortText
    """Why, for whoever reads the provider's record."""


class Recalled(Frozen):
    """What became of taking a touch back: the output of a channel's activity `recall`."""

    touch_id: TouchId
    """The touch that was to be undone, as it came."""
    status: RecallStatus
    """What became of it."""
    at: Moment
    """When that was known."""
    detail: Annotated[LongText, StringConstraints(max_length=1_000)] | None = None
    """A sentence for a person; no personal data."""


class TouchRecord(Frozen):
    """A touch as the account remembers it, for caps, gaps and explanations."""

    touch_id: TouchId
    channel: Identifier
    action: Identifier
    actor: Identifier
    contact_id: Identifier | None
    proposal_id: Identifier | None
    at: Moment
    """When it was claimed by the account (governed) or made (elsewhere)."""
    status: TouchStatus
    intent: Identifier | None = None
    """What it was after, if the proposal said so."""
    outcomes: dict[OutcomeKind, Moment] = {}
    """What came back, and when it first did."""
    governed: bool = True
    """False: made by a tool outside Tutti and reported afterwards."""
    play: PlayRef | None = None
    """The step of a play that it carried out."""
    provider_ref: ShortText | None = None
    """The provider's own id; kept only where the channel can take the touch back."""
    recall_queue: ShortText | None = None
    """Queue of the channel's worker, if that can take back what it has made, or may have made."""
    recalled_at: Moment | None = None
    """When it was taken back; it still counts against caps, because it was seen."""


class Outcome(Frozen):
    """What came back after a touch."""

    outcome_id: Identifier
    """The source's own id of what happened: the same id again is the same outcome."""
    source: Identifier
    """The system that tells it."""
    touch_id: TouchId
    """The touch it belongs to."""
    kind: OutcomeKind
    """What came back."""
    at: Moment
    """When it happened."""
    contact_id: Identifier | None = None
    """The person who did it, if known."""
    detail: ShortText | None = None
    """A line for people, such as the provider's reason for a bounce."""


def touch_owner(touch_id: str) -> str | None:
    """Return the account that a touch of our own belongs to; None if the id has not the form of one."""
    account_id, slash, rest = touch_id.partition("/")
    return account_id if slash and rest else None


def is_past_touch_id(touch_id: str) -> bool:
    """Return whether an id has the form `<source>:<id>`, by which touches of other tools are known."""
    return _PAST_TOUCH_ID.fullmatch(touch_id) is not None


def misdirected(account_id: str, touch_id: str) -> str | None:
    """Say why a touch cannot be one of an account, by its id alone; None if it can."""
    owner = touch_owner(touch_id)
    if owner is not None and owner != account_id:
        return f"touch {touch_id} belongs to another account"
    if owner is None and not is_past_touch_id(touch_id):
        return (
            f"touch {touch_id} is not known on this account, "
            f"and its id has not the form {account_id}/... or <source>:<id>"
        )
    return None
