"""interpretation.yaml: what signals mean, and how disagreeing readings become one assessment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import (
    Assessment,
    ExceptionKind,
    Identifier,
    Reading,
    RuleMode,
    SettledStage,
    Share,
    Signal,
    SignalKind,
    Stage,
    digest_of,
)
from governance._builder import Builder
from governance._fields import Duration, PolicyModel
from governance.families._ambiguity import AmbiguityEntry, AmbiguityRule, Said, build_ambiguity
from governance.families._approvals import Approvals

_DIGITS = 6
"""Beyond this the numbers of an assessment mean nothing, and would only make records differ."""
_LONGEST_TOLD = 200
_WIDEST = (len(Stage) - 1) / 2
"""Mean distance of two votes if half stands at either end: the largest there is."""


class MeaningEntry(PolicyModel):
    """What one kind of signal stands for."""

    stage: Stage
    urgency: Share
    confidence: Share


class InterpretationFile(PolicyModel):
    """The file as people write it."""

    signals: dict[SignalKind, MeaningEntry]
    half_life: Duration
    reliability: dict[Identifier, Share]
    other_systems: Share
    ambiguity: AmbiguityEntry | None = None
    """When a person is asked what is so. Left out: never; the vote counts."""


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The compiled file."""

    signals: dict[SignalKind, MeaningEntry]
    half_life: timedelta
    reliability: dict[str, float]
    other_systems: float
    ambiguity: AmbiguityRule | None = None


def build_interpretation(
    file: InterpretationFile, builder: Builder, approvals: Approvals | None = None
) -> Interpretation:
    """Compile the file.

    Args:
        file: What people wrote.
        builder: Where rules and mistakes are noted.
        approvals: Whom to ask; None while approvals.yaml cannot be read.
    """
    asks = file.ambiguity is not None and file.ambiguity.mode is not RuleMode.LOG_ONLY
    if asks and approvals is not None and ExceptionKind.AMBIGUITY not in approvals.exceptions:
        message = "approvals.yaml does not say whom to ask: write `ambiguity` under its `exceptions`"
        builder.reject(("ambiguity",), message, key=True)
    return Interpretation(
        dict(file.signals),
        file.half_life,
        dict(file.reliability),
        file.other_systems,
        build_ambiguity(file.ambiguity, builder),
    )


def read_signal(interpretation: Interpretation, signal: Signal) -> Signal:
    """Return the signal with the reading its kind stands for, unless it has one or its kind has none."""
    meaning = interpretation.signals.get(signal.kind)
    if signal.reading is not None or meaning is None:
        return signal
    reading = Reading(
        system=signal.source,
        stage=meaning.stage,
        urgency=meaning.urgency,
        confidence=meaning.confidence,
        observed_at=signal.observed_at,
    )
    return signal.model_copy(update={"reading": reading})


@dataclass(frozen=True, slots=True)
class _Vote:
    reading: Reading
    certainty: float
    """Confidence of the reading, faded with its age."""
    weight: float
    """Certainty, as far as the system is believed."""


def said_by(interpretation: Interpretation, readings: Iterable[Reading]) -> Said:
    """Return which system reads which stage, without systems that are never believed."""
    said = {
        reading.system: reading.stage.value
        for reading in _latest(readings)
        if interpretation.reliability.get(reading.system, interpretation.other_systems) > 0.0
    }
    told = ", ".join(f"{system} says {stage}" for system, stage in said.items())
    return Said(digest_of({"readings": dict(said)}), f"{_shortened(told)}.")


def _shortened(told: str) -> str:
    """Return what is told of readings so that it fits into a message with more around it."""
    return told if len(told) <= _LONGEST_TOLD else f"{told[:_LONGEST_TOLD]}…"


def holding(
    interpretation: Interpretation,
    readings: Iterable[Reading],
    now: datetime,
    settled: SettledStage | None,
) -> SettledStage | None:
    """Return what a person has settled while it counts: the systems say the same, and it is not too old."""
    if settled is None or now >= settled.holds_until:
        return None
    return settled if said_by(interpretation, readings).digest == settled.digest else None


def reconcile(
    interpretation: Interpretation,
    readings: Iterable[Reading],
    now: datetime,
    settled: SettledStage | None = None,
) -> Assessment | None:
    """Return the weighted vote of the latest reading of each system; None without any weight.

    What a person has settled about these very readings counts instead of the vote on the stage, with full
    confidence: they have looked. How urgent it is, how much the systems disagree and who dissents from the
    person stay on record.

    The stage with the largest weight wins, the less advanced one on a tie. `urgency` is the weighted mean
    of all readings; `confidence` the share of the winning stage times the mean certainty of its voters;
    `disagreement` the mean distance of two votes relative to the largest possible.
    """
    known = tuple(readings)
    votes = [_vote(interpretation, reading, now) for reading in _latest(known)]
    total = sum(vote.weight for vote in votes)
    if total <= 0.0:
        return None
    weights: dict[Stage, float] = {}
    for vote in votes:
        weights[vote.reading.stage] = weights.get(vote.reading.stage, 0.0) + vote.weight
    spoken_for = sorted(weights, key=lambda stage: stage.rank)
    stage = min(spoken_for, key=lambda stage: (-round(weights[stage] / total, _DIGITS), stage.rank))
    certainty = sum(vote.certainty * vote.weight for vote in votes if vote.reading.stage is stage)
    person = holding(interpretation, known, now, settled)
    if person is not None:
        stage, certainty = person.stage, total
    distance = sum(
        (weights[one] / total) * (weights[other] / total) * abs(one.rank - other.rank)
        for one in spoken_for
        for other in spoken_for
    )
    return Assessment(
        stage=stage,
        urgency=_share(sum(vote.reading.urgency * vote.weight for vote in votes) / total),
        confidence=_share(certainty / total),
        disagreement=_share(distance / _WIDEST),
        dissent=tuple(vote.reading for vote in votes if vote.reading.stage is not stage),
        systems=len(votes),
        as_of=now,
    )


def _latest(readings: Iterable[Reading]) -> list[Reading]:
    latest: dict[str, Reading] = {}
    for reading in readings:
        known = latest.get(reading.system)
        if known is None or _order(reading) > _order(known):
            latest[reading.system] = reading
    return [latest[system] for system in sorted(latest)]


def _order(reading: Reading) -> tuple[datetime, float, int, float, bool, str]:
    return (
        reading.observed_at,
        reading.confidence,
        -reading.stage.rank,
        reading.urgency,
        reading.note is not None,
        reading.note or "",
    )


def _vote(interpretation: Interpretation, reading: Reading, now: datetime) -> _Vote:
    age = max((now - reading.observed_at) / interpretation.half_life, 0.0)
    certainty = reading.confidence * 0.5**age
    believed = interpretation.reliability.get(reading.system, interpretation.other_systems)
    return _Vote(reading, certainty, certainty * believed)


def _share(number: float) -> float:
    return round(min(max(number, 0.0), 1.0), _DIGITS)
