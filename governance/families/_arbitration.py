"""arbitration.yaml: who goes first, how long the account rests, and what becomes of those that lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from domain import Factor, Identifier, ReasonCode, Score, TouchRecord, Verdict
from governance._builder import Builder
from governance._case import Case, Origin
from governance._facts import LOSERS
from governance._fields import ConditionText, NotEmpty, PolicyModel, RuleId, Sentence, Window
from governance._limits import Limit, NotBefore, room_at
from governance.cel._conditions import Bound, Condition

_BY_DEFAULT = Origin("engine.lower_priority", "arbitration", "A better proposal goes first.")
_LARGEST_SCORE = 1e300

Weight = Annotated[float, Field(ge=0.0, le=1_000.0)]
Percent = Annotated[float, Field(ge=-100.0, le=10_000.0)]


class ContextEntry(PolicyModel):
    """A weight for what the situation makes more or less fitting."""

    id: RuleId
    when: ConditionText | None = None
    weight: Weight


class LeverEntry(PolicyModel):
    """A push in per cent."""

    id: RuleId
    when: ConditionText | None = None
    percent: Percent


class SlotsEntry(PolicyModel):
    """How many touches the account takes in a window."""

    id: RuleId
    touches: int = Field(ge=1, le=1_000)
    per: Window
    message: Sentence


class LoserEntry(PolicyModel):
    """What becomes of a proposal that lost."""

    id: RuleId
    when: ConditionText | None = None
    then: Literal["defer", "suppress"]
    message: Sentence


class ArbitrationFile(PolicyModel):
    """The file as people write it."""

    intents: dict[Identifier, Annotated[tuple[Identifier, ...], NotEmpty]] = {}
    """What actions are after, unless the proposal says so itself: the actions of each intent."""
    context: tuple[ContextEntry, ...]
    levers: tuple[LeverEntry, ...]
    slots: SlotsEntry
    losers: tuple[LoserEntry, ...]


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A factor of the score that counts under a condition."""

    origin: Origin
    name: str
    when: Condition | None
    factor: float


@dataclass(frozen=True, slots=True)
class LoserRule:
    """What becomes of a proposal that lost, under a condition."""

    origin: Origin
    when: Condition | None
    effect: Verdict


@dataclass(frozen=True, slots=True)
class Arbitration:
    """The compiled file; multipliers in the order of their names, so that a product is always the same."""

    intents: dict[str, str]
    multipliers: tuple[Multiplier, ...]
    slots: Origin
    slot_count: int
    slot_window: timedelta
    losers: tuple[LoserRule, ...]


def build_arbitration(file: ArbitrationFile, builder: Builder) -> Arbitration:
    """Compile the file."""
    context = [
        Multiplier(
            builder.origin(("context", index), entry.id, f"Counts times {entry.weight:g}."),
            "context",
            builder.condition(("context", index, "when"), entry.when),
            entry.weight,
        )
        for index, entry in enumerate(file.context)
    ]
    levers = [
        Multiplier(
            builder.origin(("levers", index), entry.id, f"Pushed by {entry.percent:g} per cent."),
            "lever",
            builder.condition(("levers", index, "when"), entry.when),
            (100.0 + entry.percent) / 100.0,
        )
        for index, entry in enumerate(file.levers)
    ]
    losers = tuple(
        LoserRule(
            builder.origin(("losers", index), entry.id, entry.message),
            builder.condition(("losers", index, "when"), entry.when, LOSERS),
            Verdict(entry.then),
        )
        for index, entry in enumerate(file.losers)
    )
    by_name = lambda multiplier: (multiplier.name, multiplier.origin.rule_id)  # noqa: E731
    return Arbitration(
        _intents(file, builder),
        tuple(sorted([*context, *levers], key=by_name)),
        builder.origin(("slots",), file.slots.id, file.slots.message),
        file.slots.touches,
        file.slots.per,
        losers,
    )


def _intents(file: ArbitrationFile, builder: Builder) -> dict[str, str]:
    """Return the intent of each action; an action can be after one thing only."""
    found: dict[str, str] = {}
    for intent, actions in file.intents.items():
        for index, action in enumerate(actions):
            if found.setdefault(action, intent) != intent:
                builder.reject(
                    ("intents", intent, index),
                    f"the action {action!r} is listed for {found[action]!r} already",
                    code="duplicate",
                )
    return found


def score(arbitration: Arbitration, case: Case) -> Score:
    """Return propensity x value x context x levers, with every factor that counts."""
    proposal = case.candidate.proposal
    factors = [
        Factor(name="propensity", factor=proposal.propensity),
        Factor(name="value", factor=proposal.value),
    ]
    total = proposal.propensity * proposal.value
    for multiplier in arbitration.multipliers:
        if case.holds(multiplier.when, multiplier.origin):
            total = min(total * multiplier.factor, _LARGEST_SCORE)
            factors.append(
                Factor(name=multiplier.name, rule_id=multiplier.origin.rule_id, factor=multiplier.factor)
            )
    return Score(total=total, factors=tuple(factors))


def slot_limits(arbitration: Arbitration, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    """Yield a limit if the account's slots are or were full."""
    moment = room_at(touches, arbitration.slot_count, arbitration.slot_window)
    if moment is not None:
        yield NotBefore(arbitration.slots, ReasonCode.NO_SLOT, moment)


def judge_loser(arbitration: Arbitration, case: Case, bound: Bound) -> tuple[Origin, Verdict]:
    """Return the most restrictive rule for a loser and its effect; the smaller id where two are equal."""
    matching = [rule for rule in arbitration.losers if case.holds_for(rule.when, rule.origin, bound)]
    if not matching:
        return _BY_DEFAULT, Verdict.DEFER
    rule = min(matching, key=lambda rule: (-rule.effect.rank, rule.origin.rule_id))
    return rule.origin, rule.effect
