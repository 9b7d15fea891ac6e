"""Proposals and the decisions on them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain._account import FactName, FactText, Reading
from domain._base import Amount, Frozen, Identifier, LongText, Moment, Share, ShortText
from domain._canonical import Plain, digest_of
from domain._exception_words import UseKind
from domain._route import ApprovalRoute
from domain._touch import Handover, PlayRef
from domain._vocabulary import ReasonCode, Verdict


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
    template: Identifier | None = None
    """The text under policies/content that the content was made from; governance checks that it was."""
    claims: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    """What it asserts, by the names of approvals.yaml, such as `soc2-certified`."""
    edited_by: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    """Logins of persons who wrote or changed the content; they cannot approve it."""

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
        for name, said in (("claims", self.claims), ("edited_by", self.edited_by)):
            if said:
                action[name] = list(said)
        if self.template is not None:
            action["template"] = self.template
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


class Use(Frozen):
    """Something that a touch says, in the very version in which it says it."""

    kind: UseKind
    name: Identifier
    """The file under policies/content, or the claim in approvals.yaml."""
    version: ShortText
    """SHA-256 of what is written there: a changed text is another one."""

    @property
    def key(self) -> str:
        """What it is counted by: `template/surge-first-mail@<version>`."""
        return f"{self.kind.value}/{self.name}@{self.version}"


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
    template_version: ShortText | None = None
    """Version of the template that the content was found to be made from."""
    window: ShortText | None = None
    """Set for `allow`: the window approval whose place it takes."""
    uses: tuple[Use, ...] = ()
    """What the proposal says: its claims, and its template if its content is what that template gives."""

    @property
    def template(self) -> Use | None:
        """The template that its content was found to be made from; None without one."""
        return next((use for use in self.uses if use.kind is UseKind.TEMPLATE), None)

    @property
    def asking_rules(self) -> tuple[str, ...]:
        """Ids of the rules that ask for a person, each once."""
        asking = (hit for hit in self.hits if hit.effect is Verdict.REQUIRE_APPROVAL and not hit.log_only)
        return tuple(dict.fromkeys(hit.rule_id for hit in asking))

    @property
    def starved(self) -> bool:
        """Whether it defers a proposal that has been deferred too often, by a rule that is in force."""
        return any(hit.reason is ReasonCode.STARVED and not hit.log_only for hit in self.hits)
