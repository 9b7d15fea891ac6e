"""The plays that are shipped do what a team would expect of them, from the signal to the last step."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Account,
    OutcomeKind,
    PlayRun,
    PlayStatus,
    Reading,
    Signal,
    SignalKind,
    SupportCase,
    Tier,
)
from domain import (
    Stage as Progress,
)
from governance import interpret
from governance.content import Speaking
from tests.governance.plays.staging import DAY, SENT, SUPPRESSED, Stage
from tests.governance.worlds import CONTACTS, NORTHWIND, NOW, policies

NAMED = NORTHWIND.model_copy(update={"tier": Tier.ONE, "owner": "dana.reyes"})
NAMES = (
    "champion-nurture",
    "event-follow-up",
    "executive-sponsor-introduction",
    "renewal-risk",
    "surge-response",
)


def reading(stage: Progress, urgency: float = 0.7) -> tuple[Reading, ...]:
    return (Reading(system="crm", stage=stage, urgency=urgency, confidence=0.9, observed_at=NOW),)


def stage_of(play_id: str, *, account: Account = NAMED) -> Stage:
    """An account on which the play may enter."""
    stage = Stage(policies=policies(), account=account)
    stage.readings = reading(Progress.EVALUATING)
    if play_id == "renewal-risk":
        stage.readings = reading(Progress.CUSTOMER)
        case = SupportCase(case_id="c-1", severity=2, opened_at=NOW, reported_at=NOW)
        stage.cases = (case,)
    return stage


def test_five_plays_are_shipped() -> None:
    assert tuple(sorted(policies().plays)) == NAMES


@pytest.mark.parametrize("play_id", NAMES)
def test_every_play_comes_to_its_end_when_all_goes_out_and_nothing_comes_back(play_id: str) -> None:
    stage = stage_of(play_id).enter(play_id)

    run = to_the_end(stage)

    assert run.status is PlayStatus.COMPLETED, (run.end_id, run.end_message)
    assert run.ended_at is not None
    assert run.ended_at <= run.ends_by
    assert any(each.channel in {"email", "executive"} for each in stage.made), "somebody hears from us"


@pytest.mark.parametrize("play_id", NAMES)
def test_every_play_comes_to_its_end_when_nothing_goes_out(play_id: str) -> None:
    stage = stage_of(play_id).enter(play_id)

    run = to_the_end(stage, suppressed=True)

    assert run.status.final
    assert run.ended_at is not None
    assert run.ended_at <= run.ends_by


def to_the_end(stage: Stage, *, suppressed: bool = False) -> PlayRun:
    for _ in range(200):
        run = stage.standing
        if run.status.final:
            return run
        if stage.open:
            stage.later(timedelta(hours=2))
            for step in stage.steps_open:
                stage.end(step, SUPPRESSED if suppressed else SENT)
        else:
            assert run.due_at is not None
            stage.later(run.due_at - stage.now)
    raise AssertionError("the play does not end")


@pytest.mark.parametrize(
    ("kind", "plays"),
    [
        (SignalKind.INTENT_SURGE, {"surge-response"}),
        (SignalKind.FORM_SUBMISSION, {"champion-nurture", "event-follow-up"}),
        (SignalKind.MEETING_HELD, {"champion-nurture", "event-follow-up", "executive-sponsor-introduction"}),
        (SignalKind.STAGE_CHANGE, {"executive-sponsor-introduction", "renewal-risk"}),
        (SignalKind.SUPPORT_CASE, {"renewal-risk"}),
        (SignalKind.EMAIL_OPEN, set()),
    ],
)
def test_which_signal_may_start_which_play(kind: SignalKind, plays: set[str]) -> None:
    signal = Signal(signal_id="s-1", source="crm", kind=kind, observed_at=NOW)

    assert set(interpret(policies(), signal).enters) == plays


@pytest.mark.parametrize("play_id", NAMES)
def test_every_content_can_be_filled_in_for_somebody_of_whom_little_is_known(play_id: str) -> None:
    play = policies().plays[play_id]
    contents = [option.content for touch in play.touches() for option in touch.options if option.content]

    for content in contents:
        filled = content.fill(Speaking(NORTHWIND, CONTACTS["champion"], play.name, play.actor))
        assert filled.text
        if filled.html is not None and content.channels == frozenset({"email"}):
            assert "{{ unsubscribe_url }}" in filled.html


def test_a_surge_is_answered_by_one_voice_and_a_click_brings_a_call() -> None:
    stage = stage_of("surge-response").enter("surge-response")
    assert stage.only().channel == "web_personalization"
    stage.end("greet-on-the-site")
    assert (stage.only().channel, stage.only().contact_id) == ("email", "champion")

    stage.later(DAY).end("first-mail").later(DAY).outcome("first-mail", OutcomeKind.CLICK)
    stage.signal(SignalKind.EMAIL_CLICK)

    assert (stage.only().channel, stage.only().contact_id) == ("sdr_task", "champion")
    assert stage.end("call-task").standing.end_id == "end"


def test_an_introduction_is_prepared_before_an_executive_invites() -> None:
    stage = stage_of("executive-sponsor-introduction").enter("executive-sponsor-introduction")
    assert stage.only().channel == "sdr_task"
    stage.end("prepare-the-ground")
    assert stage.standing.due_at == NOW + 3 * DAY

    stage.later(3 * DAY)

    assert (stage.only().action, stage.only().contact_id) == (
        "send_executive_invitation",
        "executive_sponsor",
    )
    assert stage.only().intent == "intro"


def test_trouble_ends_a_surge() -> None:
    stage = stage_of("renewal-risk")
    surge = stage_of("surge-response").enter("surge-response")
    surge.readings, surge.cases = stage.readings, stage.cases

    surge.enter("renewal-risk")

    assert surge.standing.play_id == "renewal-risk"
    assert surge.latest is not None
    assert surge.latest.run is not None
    # A customer is no prospect: the surge play ends by itself before it is displaced.
    assert surge.latest.run.end_id == "became-a-customer"
