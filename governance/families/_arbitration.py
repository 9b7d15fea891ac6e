"""arbitration.yaml: who goes first, what does not go together, and what becomes of those that lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from domain import Candidate, Factor, Identifier, ReasonCode, RuleHit, Score, TouchRecord, Verdict
from governance._builder import Builder
from governance._case import Case, Origin
from governance._facts import LOSERS
from governance._fields import ConditionText, PolicyModel, RuleEntry, RuleId, Sentence, Window
from governance._limits import Limit, once, room_at, waiting
from governance.cel._conditions import Bound, Condition, EvaluationError
from governance.families._conflicts import ConflictEntry, Conflicts, build_conflicts
from governance.families._frequency import Exemption, Operational

_BY_DEFAULT = Origin("engine.lower_priority", "arbitration", "A better proposal goes first.")
_LARGEST_SCORE = 1e300
_USUAL_PLACE = 3

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


class SlotsEntry(RuleEntry):
    """How many touches the account takes in a window."""

    touches: int = Field(ge=1, le=1_000)
    per: Window
    operational: Operational = Operational.EXEMPT
    """How service messages are treated, which frequency.yaml lists."""
    message: Sentence


class LoserEntry(RuleEntry):
    """What becomes of a proposal that lost."""

    when: ConditionText | None = None
    then: Literal["defer", "suppress"]
    message: Sentence


class LookAheadEntry(RuleEntry):
    """How far ahead a better proposal that is scheduled keeps the worse ones waiting."""

    within: Window
    """Only a better one that is due within that long counts."""
    when: ConditionText | None = None
    """What must hold as well; `winner` is the better one."""
    message: Sentence


class StarvationEntry(RuleEntry):
    """From which deferral on a proposal counts as starving."""

    after: int = Field(ge=2, le=1_000)
    """How many decisions must have deferred it, this one included."""
    message: Sentence


class OrderEntry(PolicyModel):
    """A place in the queue of a channel."""

    priority: int = Field(ge=1, le=5)
    """1 goes first, 5 last."""
    when: ConditionText | None = None
    score: Annotated[float, Field(ge=0.0, le=_LARGEST_SCORE)] | None = None
    """From this score on."""


class ArbitrationFile(PolicyModel):
    """The file as people write it."""

    intents: dict[Identifier, tuple[Identifier, ...]] = {}
    """What actions are after, unless the proposal says so itself: the actions of each intent."""
    conflicts: tuple[ConflictEntry, ...] = ()
    """Intents that do not go together, and intents that do not fit the moment."""
    context: tuple[ContextEntry, ...]
    levers: tuple[LeverEntry, ...]
    slots: SlotsEntry
    losers: tuple[LoserEntry, ...]
    look_ahead: LookAheadEntry | None = None
    starvation: StarvationEntry | None = None
    hand_over_order: tuple[OrderEntry, ...] = ()
    """Which touches of all accounts a channel takes first when it cannot take all: the first entry that
    matches gives the place, and 3 is the place of the others."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue of a channel, and what it takes to get it.

    Attributes:
        priority: 1 goes first.
        when: What must hold; None: nothing.
        score: From this score on; None: any.
    """

    priority: int
    when: Condition | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A factor of the score that counts under a condition."""

    origin: Origin
    when: Condition | None
    told: Factor


@dataclass(frozen=True, slots=True)
class LoserRule:
    """What becomes of a proposal that lost, under a condition."""

    origin: Origin
    when: Condition | None
    effect: Verdict


@dataclass(frozen=True, slots=True)
class LookAhead:
    """How far ahead, and under which condition, a better scheduled proposal keeps the worse ones waiting."""

    origin: Origin
    when: Condition | None
    within: timedelta


@dataclass(frozen=True, slots=True)
class Starvation:
    """From which deferral on a proposal counts as starving."""

    origin: Origin
    after: int


@dataclass(frozen=True, slots=True)
class Arbitration:
    """The compiled file; multipliers in the order of their names, so that a product is always the same."""

    intents: Mapping[str, str]
    conflicts: Conflicts
    multipliers: tuple[Multiplier, ...]
    slots: Origin
    slot_count: int
    slot_window: timedelta
    slot_exemption: Exemption
    losers: tuple[LoserRule, ...]
    look_ahead: LookAhead | None
    starvation: Starvation | None
    order: tuple[Place, ...] = ()


def build_arbitration(
    file: ArbitrationFile, builder: Builder, operational: frozenset[str] = frozenset()
) -> Arbitration:
    """Compile the file.

    Args:
        file: As written.
        builder: Notes mistakes.
        operational: Actions that are service messages.
    """
    context = [
        Multiplier(
            builder.origin(("context", index), entry.id, f"Counts times {entry.weight:g}."),
            builder.condition(("context", index, "when"), entry.when),
            Factor(name="context", rule_id=entry.id, factor=entry.weight),
        )
        for index, entry in enumerate(file.context)
    ]
    levers = [
        Multiplier(
            builder.origin(("levers", index), entry.id, f"Pushed by {entry.percent:g} per cent."),
            builder.condition(("levers", index, "when"), entry.when),
            Factor(name="lever", rule_id=entry.id, factor=(100.0 + entry.percent) / 100.0),
        )
        for index, entry in enumerate(file.levers)
    ]
    losers = tuple(
        LoserRule(
            builder.origin(("losers", index), entry.id, entry.message, entry.mode),
            builder.condition(("losers", index, "when"), entry.when, LOSERS),
            Verdict(entry.then),
        )
        for index, entry in enumerate(file.losers)
    )
    by_name = lambda multiplier: (multiplier.told.name, multiplier.origin.rule_id)  # noqa: E731
    return Arbitration(
        _intents(file, builder),
        build_conflicts(file.conflicts, file.intents, builder),
        tuple(sorted([*context, *levers], key=by_name)),
        builder.origin(("slots",), file.slots.id, file.slots.message, file.slots.mode),
        file.slots.touches,
        file.slots.per,
        Exemption.of(file.slots.operational, operational),
        losers,
        _look_ahead(file.look_ahead, builder),
        _starvation(file.starvation, builder),
        tuple(
            Place(
                entry.priority, builder.condition(("hand_over_order", index, "when"), entry.when), entry.score
            )
            for index, entry in enumerate(file.hand_over_order)
        ),
    )


def _look_ahead(entry: LookAheadEntry | None, builder: Builder) -> LookAhead | None:
    if entry is None:
        return None
    origin = builder.origin(("look_ahead",), entry.id, entry.message, entry.mode)
    return LookAhead(origin, builder.condition(("look_ahead", "when"), entry.when, LOSERS), entry.within)


def _starvation(entry: StarvationEntry | None, builder: Builder) -> Starvation | None:
    if entry is None:
        return None
    return Starvation(builder.origin(("starvation",), entry.id, entry.message, entry.mode), entry.after)


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
            total = min(total * multiplier.told.factor, _LARGEST_SCORE)
            factors.append(multiplier.told)
    return Score(total=total, factors=tuple(factors))


def place_of(arbitration: Arbitration, case: Case, scored: Score | None) -> int:
    """Return the place of a touch in the queue of its channel.

    A condition that gives no answer gives no better place: it does not match.
    """
    total = scored.total if scored is not None else 0.0
    for place in arbitration.order:
        if place.score is not None and total < place.score:
            continue
        try:
            if place.when is None or place.when.holds(case.bound):
                return place.priority
        except EvaluationError:
            continue
    return _USUAL_PLACE


def slot_limits(arbitration: Arbitration, case: Case, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    """Yield a limit if the account's slots are full."""
    exemption, since = arbitration.slot_exemption, case.now - arbitration.slot_window
    if case.candidate.proposal.action in exemption.spared:
        return
    moment = once(
        touches,
        arbitration.slots.rule_id,
        lambda: room_at(
            [touch for touch in touches if touch.at > since and touch.action not in exemption.uncounted],
            arbitration.slot_count,
            arbitration.slot_window,
        ),
    )
    limit = waiting(arbitration.slots, ReasonCode.NO_SLOT, moment, case.now)
    if limit is not None:
        yield limit


def judge_loser(arbitration: Arbitration, case: Case, bound: Bound) -> tuple[tuple[Origin, Verdict], ...]:
    """Return the rules for a loser and their effects: the one that binds, then those that are tried out.

    Of those that bind it is the most restrictive one, and the smaller id where two are equal.
    """
    matching = [rule for rule in arbitration.losers if case.holds_for(rule.when, rule.origin, bound)]
    matching.sort(key=lambda rule: (-rule.effect.rank, rule.origin.rule_id))
    binding = [(rule.origin, rule.effect) for rule in matching if not rule.origin.log_only]
    tried = [(rule.origin, rule.effect) for rule in matching if rule.origin.log_only]
    return (*(binding[:1] or [(_BY_DEFAULT, Verdict.DEFER)]), *tried)


def starving(arbitration: Arbitration, candidate: Candidate) -> RuleHit | None:
    """Return a note if a proposal that is deferred now has been deferred too often; it decides nothing."""
    rule, times = arbitration.starvation, candidate.deferrals + 1
    if rule is None or times < rule.after:
        return None
    since = f"{candidate.received_at:%Y-%m-%d %H:%M:%S}Z"
    message = f"{rule.origin.message.removesuffix('.')} ({times} times since {since})."
    return rule.origin.hit(Verdict.ALLOW, ReasonCode.STARVED, message=message)
