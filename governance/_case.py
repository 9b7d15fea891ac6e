"""One proposal before the rules: what is known of it, and what the rules have said so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from domain import (
    Account,
    ActorKind,
    Candidate,
    Circumstances,
    Contact,
    Delegation,
    Handover,
    Medium,
    ReasonCode,
    Reversibility,
    RuleHit,
    Standing,
    TouchRecord,
    Verdict,
)
from governance._facts import ActorFacts
from governance.cel._conditions import Bound, Condition, EvaluationError

FAR = datetime(2099, 12, 31, tzinfo=UTC)
"""Stands for `never`; moments of the language end with the year 2099."""
_LONGEST_MESSAGE = 300
_MOST_DIGITS = 17

FAMILIES = (
    "engine",
    "people",
    "channels",
    "consent",
    "suppression",
    "eligibility",
    "authority",
    "approvals",
    "frequency",
    "timing",
    "arbitration",
    "interpretation",
)
"""The families in the order in which their hits are told."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which rule speaks, and where it stands.

    Attributes:
        rule_id: Id in its file, or `engine.*`.
        family: One of `FAMILIES`.
        message: What a person reads when it has spoken.
        file: Policy file; None for the engine's own rules.
        line: Line of the rule in that file, from 1.
        log_only: Whether the rule is only tried out: what it says is recorded and does not bind.
    """

    rule_id: str
    family: str
    message: str
    file: str | None = None
    line: int | None = None
    log_only: bool = False

    def hit(
        self,
        effect: Verdict,
        reason: ReasonCode,
        *,
        message: str | None = None,
        until: datetime | None = None,
    ) -> RuleHit:
        """Return what the rule has said, with its own message unless another is given."""
        return RuleHit(
            rule_id=self.rule_id,
            family=self.family,
            effect=effect,
            reason=reason,
            message=one_line(message or self.message),
            file=self.file,
            line=self.line,
            until=None if until is None else min(until, FAR),
            log_only=self.log_only,
        )


def one_line(text: str) -> str:
    """Return a text as one line that fits into a message."""
    line = text
    if not text.isprintable():
        line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def told_apart(one: float, other: float, digits: int) -> tuple[str, str]:
    """Return two numbers as people read them, with enough digits to see that they differ.

    Args:
        one: A number.
        other: What it is compared with.
        digits: Digits after the point that are enough where they already differ.
    """
    told = f"{one:,.{digits}f}", f"{other:,.{digits}f}"
    while one != other and told[0] == told[1] and digits < _MOST_DIGITS:
        digits += 1
        told = f"{one:,.{digits}f}", f"{other:,.{digits}f}"
    return told


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who may propose.

    Attributes:
        actor_id: Name in proposals; the login of a person.
        kind: Person, agent or system.
        owner: Login of the person who answers for it.
        facts: What conditions see of it.
    """

    actor_id: str
    kind: ActorKind
    owner: str | None
    facts: ActorFacts

    @property
    def barred(self) -> frozenset[str]:
        """Logins that may never approve what it proposes."""
        itself = {self.actor_id} if self.kind is ActorKind.PERSON else set()
        return frozenset(itself | ({self.owner} if self.owner else set()))


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to touch somebody.

    Attributes:
        name: Name in proposals.
        medium: What it is to the law and to the person.
        reversibility: Whether its touches can be taken back.
        needs_email: Whether the person must have an e-mail address.
        needs_phone: Whether the person must have a telephone number.
        handover: How its worker is reached.
        origin: Where it stands in channels.yaml.
        content_parts: Parts that the content of a play must have for it.
        placeholders: What the HTML of such a content must leave to it, such as `unsubscribe_url`.
        per_second: How many touches it takes per second over its whole queue; None: any number.
    """

    name: str
    medium: Medium
    reversibility: Reversibility
    needs_email: bool
    needs_phone: bool
    handover: Handover
    origin: Origin
    content_parts: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()
    per_second: float | None = None


@dataclass(slots=True)
class Case:
    """A candidate whose account, actor, channel and contact are known.

    Attributes:
        candidate: The proposal with what has become of it so far.
        account: The company.
        contact: Whom it addresses, if anybody.
        actor: Who proposes.
        channel: Through which channel.
        bound: The values conditions see.
        intent: What the proposal is after; None if nobody has said.
        operational: Whether it is a service message (an outage, an invoice) and no outreach.
        circumstances: What the account is going through.
        standing: What the tenant as a whole has done.
        touches: Touches that count: all but the released ones.
        rejected: Released touches of which something came back: an address that does not exist.
        now: The moment of the ruling.
        delegations: Who answers in whose place.
        hits: What the rules have said so far.
    """

    candidate: Candidate
    account: Account
    contact: Contact | None
    actor: Actor
    channel: Channel
    bound: Bound
    intent: str | None
    operational: bool
    circumstances: Circumstances
    standing: Standing
    touches: tuple[TouchRecord, ...]
    rejected: tuple[TouchRecord, ...]
    now: datetime
    delegations: tuple[Delegation, ...] = ()
    hits: list[RuleHit] = field(default_factory=list)

    def holds(self, when: Condition | None, origin: Origin) -> bool:
        """Tell whether a rule applies; without a condition it always does.

        A condition that gives no answer denies the proposal in the name of its rule.
        """
        # Asked for every rule of every candidate: so not by way of `holds_for`.
        if when is None:
            return True
        try:
            return when.holds(self.bound)
        except EvaluationError as error:
            self.hits.append(evaluation_error(origin, error))
            return False

    def holds_for(self, when: Condition | None, origin: Origin, bound: Bound) -> bool:
        """Tell whether a rule applies for other values than those of the proposal alone."""
        if when is None:
            return True
        try:
            return when.holds(bound)
        except EvaluationError as error:
            self.hits.append(evaluation_error(origin, error))
            return False


def evaluation_error(origin: Origin, error: EvaluationError) -> RuleHit:
    """Return the denial in the name of a rule whose condition gave no answer.

    A rule that is only tried out denies nothing, but its mistake is recorded just as well.
    """
    return origin.hit(
        Verdict.DENY,
        ReasonCode.EVALUATION_ERROR,
        message=f"Rule {origin.rule_id} could not be applied: {error}",
    )
