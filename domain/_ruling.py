"""Rulings: everything that governance is told of one account, and what it answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain._account import (
    Account,
    Assessment,
    Circumstances,
    Contact,
    Hold,
    Reading,
)
from domain._approval import Agreement, Approval, ExceptionAsk, WindowGrant
from domain._base import Amount, Frozen, Identifier, Moment, Share, ShortText
from domain._exception_words import ExceptionKind
from domain._proposal import Decision, Proposal, Use
from domain._route import ApprovalRoute, Delegation
from domain._stop import Stop
from domain._touch import TouchRecord
from domain._vocabulary import ProposalStatus, Stage


class SettledStage(Frozen):
    """What a person said when systems read the account too differently."""

    stage: Stage
    settled_by: ShortText
    settled_at: Moment
    holds_until: Moment
    digest: str
    """Of the readings it was said about: other readings are another question."""


class Ambiguity(Frozen):
    """Readings of an account that disagree too much to act on."""

    digest: str
    """SHA-256 over which system reads which stage."""
    disagreement: Share
    message: ShortText
    """What disagrees, for the person who is asked."""
    rule_id: ShortText
    route: ApprovalRoute
    holds_seconds: Annotated[float, Field(gt=0.0)]
    """How long an answer holds."""


class Standing(Frozen):
    """What the tenant as a whole has done: read from the ledger right before a ruling."""

    room_at: dict[str, Moment] = {}
    """For every draw, under `<rule id>/<proposal id>`: from when there is room; a past moment means now."""
    done: dict[str, Annotated[int, Field(ge=0)]] = {}
    """How many touches an actor has made with an action, under `<actor>/<action>`."""
    used: tuple[ShortText, ...] = ()
    """Templates and claims that have gone out before, by `Use.key`; what is missing is new."""


class Scheduled(Frozen):
    """A proposal that waits for its time or for a person, while others are judged."""

    proposal_id: Identifier
    actor: Identifier
    action: Identifier
    channel: Identifier
    contact_id: Identifier | None = None
    intent: Identifier | None = None
    value: Amount
    status: ProposalStatus
    due_at: Moment | None = None
    """When it is ruled again; None while it waits for a person."""
    answer_by: Moment | None = None
    """Until when a person may answer; None while it waits for its time."""
    received_at: Moment | None = None
    """When it arrived: of two with the same score the earlier one goes first."""
    score: float
    """Its score in its last decision."""


class Candidate(Frozen):
    """A proposal as governance sees it."""

    proposal: Proposal
    received_at: Moment
    expires_at: Moment
    rulings: int = 0
    """How many decisions it has already had."""
    deferrals: int = 0
    """How many of them deferred it."""
    approved_by: ShortText | None = None
    """Who approved exactly this digest, as the touch will say it; None without an approval."""
    approvers: tuple[ShortText, ...] = ()
    """Logins of all who approved it, in the order of their answers; if unsaid, `approved_by` is the login."""

    agreements: tuple[Agreement, ...] = ()
    """The same with moments, and in whose place each was said."""
    glass_broken_by: ShortText | None = None
    """Login of the person who approved it without those who were asked."""
    made_from: Use | None = None
    """In records, which withhold contents: the template that its content was found to be made from."""

    @property
    def agreed(self) -> tuple[str, ...]:
        """Logins of all who approved exactly this digest, in the order of their answers."""
        return self.approvers or ((self.approved_by,) if self.approved_by is not None else ())


class RulingRequest(Frozen):
    """Everything governance needs to judge the candidates of one account, as plain facts."""

    account_id: Identifier
    account: Account | None
    """None while no profile has arrived."""
    contacts: dict[str, Contact]
    readings: tuple[Reading, ...]
    holds: tuple[Hold, ...]
    touches: tuple[TouchRecord, ...]
    candidates: tuple[Candidate, ...]
    scheduled: tuple[Scheduled, ...] = ()
    """The account's other open proposals that have had a decision."""
    circumstances: Circumstances = Circumstances()
    suppressed: tuple[str, ...] = ()
    """Contact ids that the shared suppression store blocks; filled in right before ruling."""
    standing: Standing = Standing()
    """What the tenant as a whole has done; filled in right before ruling."""
    stops: tuple[Stop, ...] = ()
    """Kill switches that are on; filled in right before ruling."""
    asks: tuple[ExceptionAsk, ...] = ()
    """Exceptions that are about no approval of an action, and of which it is to be said whom to ask."""
    settled: SettledStage | None = None
    """What a person said the account's stage is, if somebody has."""
    ambiguity: Approval | None = None
    """The last question about readings that disagree, whether it is still open or not."""
    delegations: tuple[Delegation, ...] = ()
    """Who answers in whose place; filled in right before ruling."""
    windows: tuple[WindowGrant, ...] = ()
    """Window approvals that may cover a candidate; filled in right before ruling."""
    seq: int = 0
    """Number of the account's latest fact: later facts are about what came after this request."""
    revision: int
    """Version of the account's world that the ruling holds for."""
    now: Moment


class Ruling(Frozen):
    """Governance's answer: one assessment, one decision per candidate."""

    revision: int
    policy_digest: str
    assessment: Assessment | None
    decisions: tuple[Decision, ...]
    decision_window_seconds: Annotated[float, Field(ge=0.0, le=3_600.0)]
    """How long the next decision window stays open under this policy set."""
    routes: dict[str, ApprovalRoute] = {}
    """Whom to ask about each of the request's `asks`, by approval id."""
    unroutable: dict[str, ShortText] = {}
    """Why nobody can be asked about one of them, by approval id."""
    ambiguity: Ambiguity | None = None
    """Set while the readings disagree more than interpretation.yaml accepts and nobody has settled it."""
    asks_about: tuple[ExceptionKind, ...] = ()
    """Kinds of exceptions for which approvals.yaml says whom to ask."""
