"""Recorded rulings under another policy set: what would have been decided otherwise, and which rules speak.

Pure. Each ruling is judged on its own, in the world that was recorded with it: what another decision then
would have led to later is not played on. `tutti simulate` does that for a scenario.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from domain import Candidate, Decision, ReasonCode, RulingRequest, Verdict
from governance._engine import rule
from governance._outline import Entry, outline

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

EXAMPLES: Final = 5
"""Examples that are kept for each change of a verdict into another."""

ENOUGH: Final = 20
"""Fewer applicable proposals say nothing about a rule that always speaks."""

_ANY: Final = "any"
_UNCOUNTED: Final = frozenset({"routes", "default_route", "claims", "segments", "windows"})
"""A decision says who is asked, and not by which route."""


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """What was decided on one proposal.

    Attributes:
        verdict: The verdict.
        reason: Its reason code.
        rule_id: The rule that decided; None if none spoke.
        message: What that rule said; empty where it was not recorded.
    """

    verdict: Verdict
    reason: ReasonCode
    rule_id: str | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class PastRuling:
    """A ruling as it was asked for and answered.

    Attributes:
        request: What governance judged.
        outcomes: What was decided, by proposal id.
    """

    request: RulingRequest
    outcomes: Mapping[str, PastOutcome]


@dataclass(frozen=True, slots=True)
class Shift:
    """One decision that would come out otherwise.

    Attributes:
        account_id: The account.
        proposal_id: The proposal.
        actor: Who proposed.
        at: When it was ruled on.
        before: What was decided.
        after: What would be.
    """

    account_id: str
    proposal_id: str
    actor: str
    at: datetime
    before: PastOutcome
    after: PastOutcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a policy set would have decided otherwise.

    Attributes:
        policy_digest: The set under which everything was judged again.
        rulings: How many rulings were judged again.
        decisions: How many decisions they held.
        verdicts: Changed decisions by old and new verdict.
        reasons: How many decisions keep their verdict for another reason.
        stops: Changed decisions that the rule decides now.
        frees: Changed decisions that the rule decided before.
        actors: Changed decisions by who proposed.
        accounts: Changed decisions by account.
        examples: The first few of each change of verdict, in the order of the record.
    """

    policy_digest: str
    rulings: int
    decisions: int
    verdicts: Mapping[tuple[Verdict, Verdict], int]
    reasons: int
    stops: Mapping[str, int]
    frees: Mapping[str, int]
    actors: Mapping[str, int]
    accounts: Mapping[str, int]
    examples: tuple[Shift, ...]

    @property
    def changed(self) -> int:
        """How many decisions would have another verdict."""
        return sum(self.verdicts.values())


@dataclass(slots=True)
class Replay:
    """Judges recorded rulings again, one after the other, and keeps count.

    Attributes:
        policies: The set to judge under.
    """

    policies: PolicySet
    _rulings: int = 0
    _decisions: int = 0
    _reasons: int = 0
    _verdicts: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)
    _stops: Counter[str] = field(default_factory=Counter)
    _frees: Counter[str] = field(default_factory=Counter)
    _actors: Counter[str] = field(default_factory=Counter)
    _accounts: Counter[str] = field(default_factory=Counter)
    _examples: list[Shift] = field(default_factory=list)

    def take(self, past: PastRuling) -> None:
        """Judge one more ruling again."""
        actors = {each.proposal.proposal_id: each.proposal.actor for each in past.request.candidates}
        self._rulings += 1
        for decision in rule(self.policies, past.request).decisions:
            before = past.outcomes.get(decision.proposal_id)
            if before is None:
                continue
            self._decisions += 1
            after = _outcome(decision)
            if before.verdict is after.verdict:
                self._reasons += (before.reason, before.rule_id) != (after.reason, after.rule_id)
                continue
            actor = actors[decision.proposal_id]
            self._count(
                Shift(past.request.account_id, decision.proposal_id, actor, past.request.now, before, after)
            )

    def comparison(self) -> Comparison:
        """Return what has been found so far."""
        return Comparison(
            policy_digest=self.policies.digest,
            rulings=self._rulings,
            decisions=self._decisions,
            verdicts=dict(sorted(self._verdicts.items(), key=lambda each: (-each[1], each[0]))),
            reasons=self._reasons,
            stops=_ranked(self._stops),
            frees=_ranked(self._frees),
            actors=_ranked(self._actors),
            accounts=_ranked(self._accounts),
            examples=tuple(self._examples),
        )

    def _count(self, shift: Shift) -> None:
        change = (shift.before.verdict, shift.after.verdict)
        self._verdicts[change] += 1
        self._actors[shift.actor] += 1
        self._accounts[shift.account_id] += 1
        if shift.after.rule_id is not None:
            self._stops[shift.after.rule_id] += 1
        if shift.before.rule_id is not None:
            self._frees[shift.before.rule_id] += 1
        if self._verdicts[change] <= EXAMPLES:
            self._examples.append(shift)


def rerule(policies: PolicySet, recorded: Iterable[PastRuling]) -> Comparison:
    """Judge recorded rulings under another policy set and tell what would come out otherwise.

    Args:
        policies: The set to judge under, such as a draft.
        recorded: The rulings. A limit all accounts share that was not known then must stand in the request's
            `standing`; a draw without it is denied, as in every ruling.
    """
    replay = Replay(policies)
    for past in recorded:
        replay.take(past)
    return replay.comparison()


def _outcome(decision: Decision) -> PastOutcome:
    first = decision.hits[0] if decision.hits else None
    return PastOutcome(
        decision.verdict,
        decision.reason,
        first.rule_id if first is not None else None,
        first.message if first is not None else "",
    )


def _ranked(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda each: (-each[1], each[0])))


@dataclass(frozen=True, slots=True)
class RuleUse:
    """How often a rule had something to say.

    Attributes:
        rule_id: The rule.
        file: Where it stands.
        line: Its line there.
        applicable: Proposals it is about, going by its channels, actions, actor and the like.
        fired: Those of them about which it had something to say, or whose score it changed.
    """

    rule_id: str
    file: str
    line: int
    applicable: int
    fired: int

    @property
    def always(self) -> bool:
        """Whether it speaks about everything it is about, and that was not little."""
        return self.applicable >= ENOUGH and self.fired >= self.applicable


class Coverage:
    """Judges recorded rulings again and counts what each rule of a set has to say."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies
        self._rules = [
            (entry, sheet.place(entry.loc).line)
            for sheet in outline(policies.files).values()
            for entry in sheet.entries
            if entry.is_rule and entry.section not in _UNCOUNTED
        ]
        self._groups: dict[tuple[object, ...], list[Entry]] = {}
        self._applicable: Counter[str] = Counter()
        self._fired: Counter[str] = Counter()

    def take(self, past: PastRuling) -> None:
        """Judge one more ruling again."""
        candidates = {each.proposal.proposal_id: each for each in past.request.candidates}
        for decision in rule(self._policies, past.request).decisions:
            for entry in self._about(candidates[decision.proposal_id], decision):
                self._applicable[entry.name] += 1
            fired = {hit.rule_id for hit in decision.hits}
            if decision.score is not None:
                fired |= {factor.rule_id for factor in decision.score.factors if factor.rule_id is not None}
            self._fired.update(fired)

    def uses(self) -> tuple[RuleUse, ...]:
        """Return what has been counted so far, in the order of files and lines."""
        return tuple(
            RuleUse(entry.name, entry.file, line, self._applicable[entry.name], self._fired[entry.name])
            for entry, line in self._rules
        )

    def _about(self, candidate: Candidate, decision: Decision) -> list[Entry]:
        proposal = candidate.proposal
        actor = self._policies.people.actors.get(proposal.actor)
        channel = self._policies.channels.get(proposal.channel)
        if actor is None or channel is None:
            return []  # denied before any rule was asked
        facts = (
            ("actor", proposal.actor),
            ("actor_kind", actor.kind),
            ("actions", proposal.action),
            ("channels", proposal.channel),
            ("media", channel.medium),
            ("intents", proposal.intent or self._policies.arbitration.intents.get(proposal.action)),
            ("contact", proposal.contact_id is not None),
            ("lost", decision.rank is not None and decision.rank > 1),
        )
        key = tuple(value for _, value in facts)
        if key not in self._groups:
            said = dict(facts)
            self._groups[key] = [entry for entry, _ in self._rules if _concerns(entry, said)]
        return self._groups[key]


def _concerns(entry: Entry, facts: Mapping[str, object]) -> bool:
    """Tell whether a rule is about a proposal, as far as its lists of names say."""
    if entry.section == "losers" and not facts["lost"]:
        return False
    if entry.value("per") == "contact" and not facts["contact"]:
        return False
    for key in ("actor", "actor_kind"):
        wanted = entry.value(key)
        if wanted is not None and wanted != facts[key]:
            return False
    for key in ("actions", "channels", "media", "intents"):
        listed = entry.value(key)
        if isinstance(listed, tuple) and listed and _ANY not in listed and facts[key] not in listed:
            return False
    return True
