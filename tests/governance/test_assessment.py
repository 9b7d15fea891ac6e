"""Readings that disagree become one assessment, with the dissent attached."""

from datetime import timedelta

import pytest

from domain import Reading, Signal, SignalKind, Stage
from governance import assess, interpret
from tests.governance.worlds import NOW, policies


def reading(
    system: str, stage: Stage, confidence: float = 0.8, days: float = 0.0, urgency: float = 0.5
) -> Reading:
    return Reading(
        system=system,
        stage=stage,
        urgency=urgency,
        confidence=confidence,
        observed_at=NOW - timedelta(days=days),
    )


def test_agreement_has_no_dissent() -> None:
    found = assess(policies(), [reading("crm", Stage.ENGAGED), reading("website", Stage.ENGAGED)], NOW)

    assert found is not None
    assert (found.stage, found.disagreement, found.dissent, found.systems) == (Stage.ENGAGED, 0.0, (), 2)
    assert found.confidence == pytest.approx(0.8)
    assert found.as_of == NOW


def test_the_more_reliable_system_wins_and_the_other_stays_on_record() -> None:
    crm, intent = reading("crm", Stage.AWARE), reading("intent-provider", Stage.CLOSING)

    found = assess(policies(), [intent, crm], NOW)

    assert found is not None
    assert found.stage is Stage.AWARE
    assert found.dissent == (intent,)
    # Two thirds of the weight say aware, one third says closing, three stages further.
    assert found.disagreement == pytest.approx(2 * (2 / 3) * (1 / 3) * 3 / 2.5, abs=1e-6)
    assert found.confidence == pytest.approx(0.8 * 2 / 3, abs=1e-6)


def test_opposite_halves_could_not_differ_more() -> None:
    found = assess(policies(), [reading("a", Stage.TARGET), reading("b", Stage.CUSTOMER)], NOW)

    assert found is not None
    assert found.disagreement == 1.0
    assert found.stage is Stage.TARGET, "on a tie the less advanced stage is the careful one"


def test_a_reading_halves_with_every_half_life() -> None:
    old, new = reading("a", Stage.CLOSING, 0.9, days=14.0), reading("b", Stage.AWARE, 0.5)

    found = assess(policies(), [old, new], NOW)

    assert found is not None
    assert found.stage is Stage.AWARE
    alone = assess(policies(), [old], NOW)
    assert alone is not None
    assert alone.stage is Stage.CLOSING
    assert alone.confidence == pytest.approx(0.45)


def test_the_latest_reading_of_a_system_is_its_only_vote() -> None:
    before, after = reading("crm", Stage.CLOSING, days=1.0), reading("crm", Stage.AWARE)

    for order in ([before, after], [after, before]):
        found = assess(policies(), order, NOW)
        assert found is not None
        assert (found.stage, found.systems) == (Stage.AWARE, 1)


@pytest.mark.parametrize(
    ("counts", "beside"),
    [
        ({"confidence": 0.9}, {"confidence": 0.8}),
        ({"stage": Stage.AWARE}, {"stage": Stage.CLOSING}),
        ({"urgency": 0.6}, {"urgency": 0.5}),
        ({"note": ""}, {"note": None}),
        ({"note": "A"}, {"note": ""}),
        ({"note": "b"}, {"note": "a"}),
        ({"note": "A"}, {"note": None}),
    ],
    ids=["surer", "less advanced", "more urgent", "noted", "noted at all", "later note", "noted or not"],
)
def test_of_two_readings_of_one_moment_the_same_one_counts_in_any_order(
    counts: dict[str, object], beside: dict[str, object]
) -> None:
    first = reading("website", Stage.CLOSING)
    one, two = first.model_copy(update=counts), first.model_copy(update=beside)

    # Given a system that is believed more and says otherwise, what counts is told as dissent.
    crm = reading("crm", Stage.TARGET, confidence=1.0)

    for order in ([one, two, crm], [crm, two, one]):
        found = assess(policies(), order, NOW)
        assert found is not None
        assert found.dissent == (one,)


def test_without_weight_there_is_no_assessment() -> None:
    assert assess(policies(), [], NOW) is None
    assert assess(policies(), [reading("crm", Stage.ENGAGED, confidence=0.0)], NOW) is None
    ancient = assess(policies(), [reading("crm", Stage.ENGAGED, days=12_000)], NOW)
    assert ancient is not None
    assert (ancient.stage, ancient.confidence, ancient.disagreement) == (Stage.ENGAGED, 0.0, 0.0)


def test_a_signal_gets_the_reading_of_its_kind() -> None:
    signal = Signal(signal_id="s1", source="crm", kind=SignalKind.REPLY, observed_at=NOW)

    read = interpret(policies(), signal).reading

    assert read is not None
    assert (read.system, read.stage, read.urgency, read.confidence) == ("crm", Stage.ENGAGED, 0.9, 0.9)
    assert read.observed_at == NOW


def test_a_reading_of_its_own_is_kept_and_silent_kinds_stay_silent() -> None:
    own = reading("crm", Stage.CUSTOMER)
    told = Signal(signal_id="s1", source="crm", kind=SignalKind.REPLY, observed_at=NOW, reading=own)
    silent = Signal(signal_id="s2", source="crm", kind=SignalKind.OPT_OUT, observed_at=NOW)

    assert interpret(policies(), told) is told
    assert interpret(policies(), silent) is silent
