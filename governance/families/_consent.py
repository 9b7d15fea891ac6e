"""consent.yaml: whom we may not contact, and where permission comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from domain import ReasonCode, Verdict
from governance._builder import Builder
from governance._case import Case, Origin
from governance._fields import ConditionText, PolicyModel, RuleId, Sentence
from governance.cel._conditions import Condition


class ConsentEntry(PolicyModel):
    """One rule."""

    id: RuleId
    when: ConditionText
    then: Literal["deny", "suppress"]
    reason: Literal["CONSENT_MISSING", "SUPPRESSED"]
    message: Sentence


class ConsentFile(PolicyModel):
    """The file as people write it."""

    rules: tuple[ConsentEntry, ...]


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """A rule that ends a proposal."""

    origin: Origin
    when: Condition | None
    effect: Verdict
    reason: ReasonCode


def build_consent(file: ConsentFile, builder: Builder) -> tuple[ConsentRule, ...]:
    """Compile the rules."""
    return tuple(
        ConsentRule(
            builder.origin(("rules", index), entry.id, entry.message),
            builder.condition(("rules", index, "when"), entry.when),
            Verdict(entry.then),
            ReasonCode(entry.reason),
        )
        for index, entry in enumerate(file.rules)
    )


def apply_consent(rules: tuple[ConsentRule, ...], case: Case) -> None:
    """Collect every rule that ends the proposal."""
    case.hits.extend(
        rule.origin.hit(rule.effect, rule.reason) for rule in rules if case.holds(rule.when, rule.origin)
    )
