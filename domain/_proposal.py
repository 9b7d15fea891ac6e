"""Proposals and the decisions on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain._account import (
    Account,
    Assessment,
    Circumstances,
    Contact,
    FactName,
    FactText,
    Hold,
    Reading,
)
from domain._base import Amount, Frozen, Identifier, LongText, Moment, Share, ShortText
from domain._canonical import Plain, digest_of
from domain._stop import Stop
from domain._touch import Handover, PlayRef, TouchRecord
from domain._vocabulary import ProposalStatus, ReasonCode, Verdict


class Content(Frozen):
    """What the touch will say: a subject and text for mail, named fields for machines."""

    subject: ShortText | None = None
    text: LongText = ""
    html: LongText | None = None
    """The text as HTML; without it, a channel that needs HTML makes it from the text."""
    fields: Annotated[dict[FactName, FactText], Field(max_length=32)] = {}


def _unsaid(content: Content) -> set[str]:
    return {"html"} if content.html is None else set()


class Proposal(Frozen):
    """A next-best-action candidate from a person, an AI agent or a system."""

    proposal_id: Identifier
    actor: Identifier
    """Who proposes; must be listed in `policies/people.yaml`."""
    action: Identifier
    channel: Identifier
    contact_id: Identifier | None = None
    """Whom it addresses; None for touches of the account as a whole."""
    value: Amount
    """Expected value if it works, in the tenant's currency."""
    propensity: Share
    """Probability that it works."""
    confidence: Share = 0.0
    """How sure the actor is of its own numbers; can lower its authority, never raise it. Unsaid is unsure."""
    intent: Identifier | None = None
    """What it is after, such as `nurture`; if unsaid, arbitration.yaml knows it by the action."""
    cost: Amount = 0.0
    """What it costs, in the tenant's currency; counts against the budgets of grants."""
    reach: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    """How many people it reaches at most: 1 for a mail, the audience for an advertisement."""
    evidence: Annotated[tuple[ShortText, ...], Field(max_length=20)] = ()
    evidence_at: Moment | None = None
    """When the newest of the evidence was observed; if unsaid, it is as old as the proposal."""
    earliest: Moment | None = None
    expires_at: Moment | None = None
    content: Content = Content()
    reading: Reading | None = None
    """How the proposing system reads the account; merged like a signal's."""
    play: PlayRef | None = None
    """The step of a play that it would carry out; set by the account itself, refused from anybody else."""

    def digest(self, account_id: str) -> str:
        """Return the SHA-256 of the exact action: what an approval is bound to."""
        action: dict[str, Plain] = {
            "account_id": account_id,
            "proposal_id": self.proposal_id,
            "actor": self.actor,
            "action": self.action,
            "channel": self.channel,
            "contact_id": self.contact_id,
            "content": self.content.model_dump(mode="json", exclude=_unsaid(self.content)),
        }
        # Only where they are said: proposals that never had them keep the digest they were approved under.
        if self.intent is not None:
            action["intent"] = self.intent
        if self.cost > 0:
            action["cost"] = self.cost
        if self.reach > 1:
            action["reach"] = self.reach
        return digest_of(action)


class RuleHit(Frozen):
    """One rule that had something to say about a proposal."""

    rule_id: ShortText
    """Id of the rule in its policy file, or `engine.*` for what no policy can switch off."""
    family: ShortText
    effect: Verdict
    reason: ReasonCode
    message: ShortText
    file: ShortText | None = None
    """Policy file relative to the policy set, e.g. `frequency.yaml`; None for the engine's own."""
    line: int | None = None
    until: Moment | None = None
    """For a `defer`: the earliest moment at which this rule would let the proposal pass."""
    log_only: bool = False
    """Whether the rule is only tried out: what it says is recorded and does not bind."""


class Factor(Frozen):
    """One multiplier of a score and the rule it came from."""

    name: ShortText
    rule_id: ShortText | None = None
    factor: float


class Score(Frozen):
    """Propensity x context x value x levers, with every factor visible."""

    total: float
    factors: tuple[Factor, ...]


class ApprovalRoute(Frozen):
    """Who may answer an exception, by when, and what happens if nobody does."""

    group: ShortText
    approvers: tuple[ShortText, ...]
    """Logins of the persons who may answer."""
    excluded: tuple[ShortText, ...] = ()
    """Logins that may never answer this one: the proposer and the owner of the proposing agent."""
    quorum: Annotated[int, Field(ge=1)] = 1
    """How many different persons must approve; one rejection is enough to end it."""
    expires_at: Moment
    on_expiry: Verdict
    """`suppress` or `deny`; nothing is ever allowed by a timeout."""


class Draw(Frozen):
    """A place that a touch takes in a limit that all accounts share."""

    rule_id: ShortText
    """Whose limit it is; unique over a policy set."""
    window_seconds: Annotated[float, Field(gt=0.0)]
    """Length of the rolling window."""
    touches: Annotated[int, Field(ge=1)] | None = None
    """How many touches fit into the window."""
    amount: Amount | None = None
    """How much all touches in the window may cost together."""
    channels: tuple[Identifier, ...] | None = None
    """Only touches over these channels count; None: all."""
    actors: tuple[Identifier, ...] | None = None
    """Only touches of these actors count; None: all."""
    actions: tuple[Identifier, ...] | None = None
    """Only these actions count; None: all."""
    exempt_actions: tuple[Identifier, ...] = ()
    """These actions do not count."""
    cost: Amount = 0.0
    """What the touch would add."""


class Standing(Frozen):
    """What the tenant as a whole has done: read from the ledger right before a ruling."""

    room_at: dict[str, Moment] = {}
    """For every draw, under `<rule id>/<proposal id>`: from when there is room; a past moment means now."""
    done: dict[str, Annotated[int, Field(ge=0)]] = {}
    """How many touches an actor has made with an action, under `<actor>/<action>`."""


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


class Decision(Frozen):
    """A verdict on one proposal with everything that led to it."""

    decision_id: ShortText
    proposal_id: Identifier
    verdict: Verdict
    reason: ReasonCode
    """Reason code of the hit that decided."""
    until: Moment | None = None
    """For `defer`: the earliest moment at which every rule that fired would let it pass."""
    hits: tuple[RuleHit, ...] = ()
    score: Score | None = None
    rank: int | None = None
    """1 for the best of the proposals judged together."""
    rivals: tuple[Identifier, ...] = ()
    """The proposals it was judged together with, the first twenty."""
    policy_digest: str
    decided_at: Moment
    route: ApprovalRoute | None = None
    """Set for `require_approval`."""
    handover: Handover | None = None
    """Set for `allow`: how to reach the channel."""
    good_until: Moment | None = None
    """Set for `allow`: from when on a limit in time would speak again, such as quiet hours."""
    draws: tuple[Draw, ...] = ()
    """Set for `allow`: the places it takes in limits that all accounts share."""

    @property
    def starved(self) -> bool:
        """Whether it defers a proposal that has been deferred too often, by a rule that is in force."""
        return any(hit.reason is ReasonCode.STARVED and not hit.log_only for hit in self.hits)


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
