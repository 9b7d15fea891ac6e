"""Which play enters an account, which does not and why, and before whom a running one stands back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from domain import (
    Displacement,
    PlayAsk,
    PlayPast,
    PlayStatus,
    Signal,
    SignalKind,
)
from governance import interpret
from tests.governance.plays.staging import DAY, HEAD, HOUR, Stage, compiled, mail, task, wait, with_steps
from tests.governance.worlds import NOW

STEPS = mail() + wait()
OTHER = HEAD.replace("welcome", "other").replace("Welcome", "Other")


def asking(play_id: str = "welcome", *, at: datetime = NOW, by_person: bool = False) -> PlayAsk:
    return PlayAsk(play_id=play_id, asked_by="form f-1", asked_at=at, by_person=by_person)


def refusals(stage: Stage, *asks: PlayAsk) -> dict[str, str]:
    return {each.play_id: each.message for each in stage.ask(*asks).refused}


def past(**changes: Any) -> tuple[PlayPast, ...]:  # noqa: ANN401 - fields of the past
    given = {
        "play_id": "welcome",
        "runs": 1,
        "last_started_at": NOW - 40 * DAY,
        "last_ended_at": NOW - 10 * DAY,
    }
    return (PlayPast.model_validate({**given, **changes}),)


def reentry(text: str) -> str:
    return with_steps(STEPS, HEAD.replace("reentry: never", f"reentry: {text}"))


def test_a_play_that_enters_makes_its_first_move_at_once() -> None:
    head = HEAD + (
        "goal: {on: [meeting_booked], message: Booked.}\n"
        "exit:\n  - {id: objected, on: [opt_out], who: audience, message: No.}\n"
        "recall: [mail]\n"
    )
    stage = Stage(with_steps(STEPS, head)).enter()

    run = stage.standing
    assert stage.latest is not None
    assert stage.latest.entered == run
    assert stage.latest.refused == ()
    assert (run.run_id, run.play_id, run.name, run.status) == (
        "welcome.1",
        "welcome",
        "Welcome",
        PlayStatus.ACTIVE,
    )
    assert (run.started_at, run.started_by, run.ends_by) == (NOW, "form f-1", NOW + 30 * DAY)
    assert (run.step, run.moves, run.attempts, run.recalls) == ("mail", 1, 1, ("mail",))
    assert run.policy_digest == stage.policies.digest
    assert run.version == stage.policies.plays["welcome"].version
    goal, objected = run.exits
    assert (goal.exit_id, goal.goal, goal.audience_only) == ("goal", True, False)
    assert (objected.exit_id, objected.goal, objected.audience_only) == ("objected", False, True)


def test_a_play_that_does_not_exist_does_not_enter() -> None:
    assert refusals(Stage(with_steps(STEPS)), asking("nothing")) == {
        "nothing": "There is no such play in the policy set in force."
    }


def test_a_play_whose_condition_does_not_hold_enters_only_if_a_person_says_so() -> None:
    head = HEAD.replace("[form_submission]", "[form_submission], when: account.tier == Tier.ONE")
    stage = Stage(with_steps(STEPS, head))

    assert refusals(stage, asking()) == {"welcome": "Its entry condition does not hold."}
    assert stage.ask(asking(by_person=True)).entered is not None


def test_an_entry_condition_that_gives_no_answer_lets_nothing_in() -> None:
    head = HEAD.replace("[form_submission]", "[form_submission], when: assessment.urgency > 0.5")

    assert "gives no answer" in refusals(Stage(with_steps(STEPS, head)), asking())["welcome"]


def test_a_play_that_would_end_at_once_does_not_enter() -> None:
    head = HEAD + "exit:\n  - {id: ours, when: account.tier == Tier.TWO, message: They are ours.}\n"

    assert refusals(Stage(with_steps(STEPS, head)), asking(by_person=True)) == {
        "welcome": "It would end at once: They are ours."
    }


def test_without_a_profile_nothing_enters() -> None:
    stage = Stage(with_steps(STEPS), account=None)

    assert refusals(stage, asking()) == {"welcome": "Nothing is known about this account yet."}


@pytest.mark.parametrize(
    ("rule", "before", "said"),
    [
        ("never", past(), "It has run on this account, and never runs twice."),
        (
            "{after: 11d, from: end}",
            past(),
            "It may run again from 2026-11-25 10:00Z on, 11d after the end of its",
        ),
        ("{after: 10d, from: end}", past(), None),
        (
            "{after: 41d, from: start}",
            past(),
            "It may run again from 2026-11-25 10:00Z on, 41d after the start of",
        ),
        ("{after: 40d, from: start}", past(), None),
        ("{after: 1d, at_most: 1}", past(), "It has run before, and runs at most once."),
        ("{after: 1d, at_most: 3}", past(runs=3), "It has run 3 times, and runs at most 3 times."),
        ("{after: 1d, at_most: 3}", past(runs=2), None),
        ("{after: 1d}", past(last_ended_at=None), "It is running on this account already."),
        ("{after: 1d}", past(play_id="other", last_ended_at=None), None),
    ],
)
@pytest.mark.parametrize("by_person", [False, True])
def test_reentry(rule: str, before: tuple[PlayPast, ...], said: str | None, *, by_person: bool) -> None:
    stage = Stage(reentry(rule))
    stage.past = before

    made = stage.ask(asking(by_person=by_person))

    assert (made.entered is None) == (said is not None)
    if said is not None:
        assert made.refused[0].message.startswith(said)


def test_of_several_the_highest_priority_enters_then_who_asked_first_then_the_smaller_name() -> None:
    high = with_steps(STEPS, OTHER.replace("priority: 50", "priority: 60"))
    low = with_steps(STEPS)
    stage = Stage(low, high)

    made = stage.ask(asking(), asking("other", at=NOW + HOUR), asking("nothing"))

    assert made.entered is not None
    assert made.entered.play_id == "other"
    assert {each.play_id: each.message for each in made.refused} == {
        "welcome": "The play Other enters at the same moment.",
        "nothing": "There is no such play in the policy set in force.",
    }
    same = with_steps(STEPS, OTHER)
    assert Stage(low, same).ask(asking(at=NOW + HOUR), asking("other")).entered.play_id == "other"  # type: ignore[union-attr]
    assert Stage(low, same).ask(asking(), asking("other")).entered.play_id == "other"  # type: ignore[union-attr]


def displaced_by(rule: str, *, entered: str = "other") -> Stage:
    head = f"{HEAD}displaced_by:\n  - {{id: rest, {rule}, message: Something else comes first.}}\n"
    stage = Stage(with_steps(STEPS, head), with_steps(task(), OTHER)).enter().later(HOUR)
    stage.past = past(last_ended_at=None)
    stage.ask(asking(entered, at=stage.now))
    return stage


def test_a_running_play_stands_back_for_no_other_unless_it_says_so() -> None:
    stage = displaced_by("intents: [closing], then: suspend")

    assert stage.latest is not None
    assert stage.latest.entered is None
    (refused,) = stage.latest.refused
    assert refused.message == "The play Welcome is running, and does not stand back before it."
    assert stage.latest.run is not None
    assert stage.latest.run.pending == ("welcome.1.mail.1",), "nothing has changed for it"


def test_a_play_that_stands_back_is_suspended_and_goes_on_later() -> None:
    stage = displaced_by("plays: [other], then: suspend, resume_after: 2d")

    plan = stage.latest
    assert plan is not None
    assert plan.run is not None
    assert plan.entered is not None
    assert (plan.run.status, plan.run.suspended_by, plan.run.suspended_at) == (
        PlayStatus.SUSPENDED,
        "other.2",
        NOW + HOUR,
    )
    assert (plan.run.pending, plan.run.resume_after_seconds, plan.run.resume_at) == ((), 172_800.0, None)
    assert plan.run.step == "mail"
    assert [each.play.run_id for each in plan.proposals if each.play] == ["other.2"], (
        "none of the suspended one"
    )


def test_a_play_that_stands_back_may_be_over() -> None:
    plan = displaced_by("plays: [other], then: cancel").latest

    assert plan is not None
    assert plan.run is not None
    assert (plan.run.status, plan.run.end_id) == (PlayStatus.CANCELLED, "displaced")
    assert (plan.run.end_message, plan.run.ended_at) == ("Something else comes first.", NOW + HOUR)
    assert plan.entered is not None


def test_a_run_that_ends_in_this_move_makes_room_at_once() -> None:
    stage = Stage(with_steps(wait() + task(more="    then: end\n")), with_steps(task(), OTHER)).enter()
    stage.contacts = {}
    stage.later(3 * DAY)
    stage.run = stage.standing.model_copy(update={"ends_by": stage.now})

    plan = stage.ask(asking("other", at=stage.now))

    assert plan.run is not None
    assert plan.run.end_id == "too_long"
    assert plan.entered is not None
    assert plan.entered.play_id == "other"


def test_what_displaces_a_run_is_copied_with_the_actions_of_its_intents() -> None:
    head = HEAD + (
        "displaced_by:\n"
        "  - {id: calm, intents: [nurture, closing], actions: [call], actors: [dana.reyes], then: suspend,"
        " resume_after: 7d, message: M.}\n"
    )

    (rule,) = Stage(with_steps(STEPS, head)).enter().standing.preemptions

    assert (rule.rule_id, rule.intents, rule.actors) == ("calm", ("nurture", "closing"), ("dana.reyes",))
    assert rule.actions == ("call", "send_nurture_email")
    assert (rule.then, rule.resume_after_seconds) == (Displacement.SUSPEND, 604_800.0)


def test_a_signal_says_which_plays_its_kind_may_start() -> None:
    visits = OTHER.replace("[form_submission]", "[web_visit, form_submission]")
    policies = compiled(with_steps(STEPS), with_steps(STEPS, visits))

    def enters(kind: SignalKind) -> tuple[str, ...]:
        given = Signal(signal_id="s-1", source="site", kind=kind, observed_at=NOW, enters=("forged",))
        return interpret(policies, given).enters

    assert enters(SignalKind.FORM_SUBMISSION) == ("other", "welcome")
    assert enters(SignalKind.WEB_VISIT) == ("other",)
    assert enters(SignalKind.NOTE) == (), "what it says itself does not count"
