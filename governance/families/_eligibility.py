"""eligibility.yaml: who at all, whether now, whether it suits the customer, and on what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from domain import Identifier, ReasonCode, Verdict
from governance._builder import Builder, Loc
from governance._case import Case, Origin
from governance._fields import ConditionText, Duration, NotEmpty, PolicyModel, RuleEntry, Sentence
from governance.cel._conditions import Condition

_UNITS = (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0), ("second", 1.0))
_WHOLE = 100
"""From this number on nobody wants to read parts."""

Names = Annotated[tuple[Identifier, ...], NotEmpty]
"""Actions, intents or channels of which the proposal must have one."""


class EngagementEntry(RuleEntry):
    """One rule about who is engaged, when, and how."""

    actions: Names | None = None
    intents: Names | None = None
    channels: Names | None = None
    when: ConditionText | None = None
    then: Literal["suppress", "deny", "require_approval"]
    message: Sentence


class EvidenceEntry(RuleEntry):
    """How fresh the evidence of a proposal must be."""

    actions: Names | None = None
    channels: Names | None = None
    when: ConditionText | None = None
    max_age: Duration
    then: Literal["suppress", "require_approval"]
    message: Sentence


class EligibilityFile(PolicyModel):
    """The file as people write it."""

    eligibility: tuple[EngagementEntry, ...]
    applicability: tuple[EngagementEntry, ...]
    suitability: tuple[EngagementEntry, ...]
    evidence: tuple[EvidenceEntry, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which proposals a rule is about; None stands for all."""

    origin: Origin
    actions: frozenset[str] | None
    intents: frozenset[str] | None
    channels: frozenset[str] | None
    when: Condition | None
    effect: Verdict

    def concerns(self, case: Case) -> bool:
        """Tell whether the rule speaks about the proposal."""
        proposal = case.candidate.proposal
        return (
            (self.actions is None or proposal.action in self.actions)
            and (self.intents is None or case.intent in self.intents)
            and (self.channels is None or proposal.channel in self.channels)
            and case.holds(self.when, self.origin)
        )


@dataclass(frozen=True, slots=True)
class EngagementRule(Scope):
    """A rule about who is engaged, when, and how."""

    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class EvidenceRule(Scope):
    """How fresh the evidence must be."""

    max_age: timedelta


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The compiled file; the rules of all three questions in one list."""

    rules: tuple[EngagementRule, ...]
    evidence: tuple[EvidenceRule, ...]


def build_eligibility(file: EligibilityFile, builder: Builder) -> Eligibility:
    """Compile the file."""
    questions = (
        ("eligibility", file.eligibility, ReasonCode.NOT_ELIGIBLE),
        ("applicability", file.applicability, ReasonCode.NOT_APPLICABLE),
        ("suitability", file.suitability, ReasonCode.NOT_SUITABLE),
    )
    rules = tuple(
        _engagement_rule((name, index), entry, reason, builder)
        for name, entries, reason in questions
        for index, entry in enumerate(entries)
    )
    evidence = tuple(
        _evidence_rule(("evidence", index), entry, builder) for index, entry in enumerate(file.evidence)
    )
    return Eligibility(rules, evidence)


def _engagement_rule(
    loc: Loc, entry: EngagementEntry, reason: ReasonCode, builder: Builder
) -> EngagementRule:
    return EngagementRule(
        builder.origin(loc, entry.id, entry.message, entry.mode),
        _names((*loc, "actions"), entry.actions, builder),
        _names((*loc, "intents"), entry.intents, builder),
        _channels((*loc, "channels"), entry.channels, builder),
        builder.condition((*loc, "when"), entry.when),
        Verdict(entry.then),
        reason,
    )


def _evidence_rule(loc: Loc, entry: EvidenceEntry, builder: Builder) -> EvidenceRule:
    return EvidenceRule(
        builder.origin(loc, entry.id, entry.message, entry.mode),
        _names((*loc, "actions"), entry.actions, builder),
        None,
        _channels((*loc, "channels"), entry.channels, builder),
        builder.condition((*loc, "when"), entry.when),
        Verdict(entry.then),
        entry.max_age,
    )


def _names(loc: Loc, names: Sequence[str] | None, builder: Builder) -> frozenset[str] | None:
    # Actions and intents are whatever proposals call them, so any name may be right.
    builder.all_known(loc, names or (), names, "name")
    return frozenset(names) if names is not None else None


def _channels(loc: Loc, names: Sequence[str] | None, builder: Builder) -> frozenset[str] | None:
    builder.all_known(loc, names or (), builder.roll.channels, "channel")
    return frozenset(names) if names is not None else None


def apply_eligibility(eligibility: Eligibility, case: Case) -> None:
    """Collect every rule that speaks against the proposal, and every one whose evidence is too old."""
    for rule in eligibility.rules:
        if rule.concerns(case):
            case.hits.append(rule.origin.hit(rule.effect, rule.reason))
    age = _evidence_age(case)
    for test in eligibility.evidence:
        if age > test.max_age and test.concerns(case):
            old, most = _spoken(age), _spoken(test.max_age)
            old = f"more than {old}" if old == most else old
            count = "counts" if most.startswith("1 ") else "count"
            message = f"{test.origin.message} The newest is {old} old, and {most} {count}."
            case.hits.append(test.origin.hit(test.effect, ReasonCode.EVIDENCE_STALE, message=message))


def _evidence_age(case: Case) -> timedelta:
    """Return how old the newest evidence is; it is never newer than the proposal that rests on it."""
    candidate = case.candidate
    observed = candidate.proposal.evidence_at or candidate.received_at
    return case.now - min(observed, candidate.received_at)


def _spoken(span: timedelta) -> str:
    """Return a length of time in its largest unit, such as `16.3 days`."""
    seconds = span.total_seconds()
    unit, length = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    count = seconds / length
    told = f"{count:,.0f}" if count >= _WHOLE else f"{count:.3g}"
    return f"{told} {unit}" if told == "1" else f"{told} {unit}s"
