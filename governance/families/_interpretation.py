"""interpretation.yaml: what signals mean, and how disagreeing readings become one assessment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import Assessment, Identifier, Reading, Share, Signal, SignalKind, Stage
from governance._builder import Builder
from governance._fields import Duration, PolicyModel

_DIGITS = 6
"""Beyond this the numbers of an assessment mean nothing, and would only make records differ."""
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


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The compiled file."""

    signals: dict[SignalKind, MeaningEntry]
    half_life: timedelta
    reliability: dict[str, float]
    other_systems: float


def build_interpretation(file: InterpretationFile, _builder: Builder) -> Interpretation:
    """Compile the file."""
    return Interpretation(dict(file.signals), file.half_life, dict(file.reliability), file.other_systems)


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


def reconcile(
    interpretation: Interpretation, readings: Iterable[Reading], now: datetime
) -> Assessment | None:
    """Return the weighted vote of the latest reading of each system; None without any weight.

    The stage with the largest weight wins, the less advanced one on a tie. `urgency` is the weighted mean
    of all readings; `confidence` the share of the winning stage times the mean certainty of its voters;
    `disagreement` the mean distance of two votes relative to the largest possible.
    """
    votes = [_vote(interpretation, reading, now) for reading in _latest(readings)]
    total = sum(vote.weight for vote in votes)
    if total <= 0.0:
        return None
    weights: dict[Stage, float] = {}
    for vote in votes:
        weights[vote.reading.stage] = weights.get(vote.reading.stage, 0.0) + vote.weight
    spoken_for = sorted(weights, key=lambda stage: stage.rank)
    stage = min(spoken_for, key=lambda stage: (-round(weights[stage] / total, _DIGITS), stage.rank))
    certainty = sum(vote.certainty * vote.weight for vote in votes if vote.reading.stage is stage)
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
