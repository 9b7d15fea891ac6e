"""A run goes from step to step as its play says, and waits where it says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import MOVES_LIMIT, Contact, OutcomeKind, PlayStatus, ProposalStatus, ReasonCode, Role, SignalKind
from governance import compile_policy_set
from tests.governance.plays.staging import (
    DAY,
    HEAD,
    HOUR,
    SENT,
    SUPPRESSED,
    Stage,
    files,
    mail,
    task,
    wait,
    with_steps,
)
from tests.governance.worlds import CONTACTS, NOW, person

DENIED, FAILED, IN_DOUBT = ProposalStatus.DENIED, ProposalStatus.FAILED, ProposalStatus.IN_DOUBT
THEN_TASK = (
    "    if_suppressed: next_channel\n"
    "    next_channels: [{channel: sdr_task, action: create_task, content: note, value: 70}]\n"
)


def test_a_touch_is_proposed_with_all_the_play_says_about_it() -> None:
    stage = Stage(with_steps(mail(touch=", intent: intro, cost: 2, reach: 3, expires_in: 5d")))

    proposal = stage.enter().only()

    assert proposal.proposal_id == "welcome.1.mail.1"
    assert (proposal.actor, proposal.action, proposal.channel) == ("plays", "send_play_email", "email")
    assert (proposal.value, proposal.propensity, proposal.confidence) == (100, 0.1, 0.9)
    assert (proposal.intent, proposal.cost, proposal.reach) == ("intro", 2, 3)
    assert proposal.contact_id == "champion"
    assert proposal.evidence == ("play Welcome, step mail",)
    assert proposal.expires_at == NOW + 5 * DAY
    assert proposal.content.subject == "Hello Champion"
    assert proposal.content.html is not None
    assert "{{ unsubscribe_url }}" in proposal.content.html
    assert proposal.play is not None
    assert (proposal.play.run_id, proposal.play.play_id, proposal.play.step) == (
        "welcome.1",
        "welcome",
        "mail",
    )
    assert stage.standing.pending == (proposal.proposal_id,)
    assert stage.standing.due_at is None, "it waits for its proposal alone"


def test_a_touch_waits_two_weeks_for_its_turn_but_never_longer_than_the_play() -> None:
    assert Stage(with_steps(mail())).enter().only().expires_at == NOW + 14 * DAY
    short = HEAD.replace("30d", "10d")
    assert Stage(with_steps(mail(), short)).enter().only().expires_at == NOW + 10 * DAY


@pytest.mark.parametrize("status", [SENT, IN_DOUBT])
def test_what_has_gone_out_leads_to_the_next_step(status: ProposalStatus) -> None:
    stage = Stage(with_steps(mail() + task())).enter()

    stage.later(HOUR).end("mail", status)

    assert stage.steps_open == ["task"]
    assert stage.standing.entered_at == NOW + HOUR
    assert stage.standing.moves == 2
    stage.end("task")
    assert (stage.standing.status, stage.standing.end_id) == (PlayStatus.COMPLETED, "end")
    assert stage.standing.ended_at == NOW + HOUR


@pytest.mark.parametrize("status", [SUPPRESSED, DENIED, FAILED])
def test_what_does_not_happen_is_skipped_unless_the_step_says_otherwise(status: ProposalStatus) -> None:
    assert Stage(with_steps(mail() + task())).enter().end("mail", status).steps_open == ["task"]

    stopped = Stage(with_steps(mail(more="    if_suppressed: stop\n") + task())).enter().end("mail", status)

    assert (stopped.standing.status, stopped.standing.end_id) == (PlayStatus.EXITED, "stop")
    assert stopped.open == {}


@pytest.mark.parametrize("status", [SUPPRESSED, DENIED, FAILED])
def test_the_next_channel_takes_over_for_the_same_person(status: ProposalStatus) -> None:
    stage = Stage(with_steps(mail(to="[champion, decision_maker]", more=THEN_TASK) + wait()))

    stage.enter().end("mail", status)

    proposal = stage.only()
    assert (proposal.channel, proposal.action, proposal.value) == ("sdr_task", "create_task", 70)
    assert (proposal.contact_id, proposal.propensity) == ("champion", 0.1)
    assert proposal.proposal_id == "welcome.1.mail.2"
    assert stage.end("mail", SUPPRESSED).standing.step == "pause", "no channel is left"


def test_a_touch_that_went_out_is_not_tried_over_another_channel() -> None:
    stage = Stage(with_steps(mail(more=THEN_TASK) + wait())).enter().end("mail")

    assert stage.standing.step == "pause"
    assert len(stage.made) == 1


@pytest.mark.parametrize(
    "nobody",
    [
        {},
        {"a": person("a", role=Role.CHAMPION, opted_out_at=NOW)},
        {"a": person("a", role=Role.CHAMPION, left_at=NOW)},
        {"a": person("a", role=Role.CHAMPION, email=None)},
        {"a": person("a", role=Role.INFLUENCER)},
    ],
)
def test_with_nobody_to_address_the_touch_takes_the_path_of_one_that_was_suppressed(
    nobody: dict[str, Contact],
) -> None:
    stage = Stage(with_steps(mail() + task()), contacts=nobody).enter()

    assert stage.steps_open == ["task"]
    (tried,) = stage.standing.steps
    assert (tried.step, tried.status, tried.reason) == ("mail", SUPPRESSED, ReasonCode.NO_AUDIENCE)
    assert tried.contact_id is None


def test_somebody_without_an_address_can_still_be_called() -> None:
    contacts = {"a": person("a", role=Role.CHAMPION, email=None)}

    proposal = Stage(with_steps(mail(more=THEN_TASK)), contacts=contacts).enter().only()

    assert (proposal.channel, proposal.contact_id) == ("sdr_task", "a")


def test_content_that_cannot_be_filled_in_takes_the_path_of_a_touch_that_was_suppressed() -> None:
    said = "id: hello\nsubject: Hello {{ contact.title }}\ntext: Hi.\n"
    policies = compile_policy_set(files(with_steps(mail(more=THEN_TASK)), hello=said))

    stage = Stage(policies=policies).enter()

    (tried,) = stage.standing.steps
    assert (tried.reason, tried.contact_id) == (ReasonCode.CONTENT_ERROR, "champion")
    assert stage.only().channel == "sdr_task"


def test_within_a_role_it_is_who_has_heard_from_this_run_before() -> None:
    contacts = {name: person(name, role=Role.CHAMPION) for name in ("zoe", "amira", "ben")}
    steps = mail() + mail("again") + mail("answer", "{same_as: mail}")
    stage = Stage(with_steps(steps), contacts=contacts).enter()
    assert stage.only().contact_id == "amira", "the smallest id"
    stage.contacts["aaron"] = person("aaron", role=Role.CHAMPION)

    assert stage.end("mail").only().contact_id == "amira"

    stage.contacts["amira"] = person("amira", role=Role.CHAMPION, opted_out_at=NOW)
    stage.end("again")
    assert stage.standing.steps[-1].reason is ReasonCode.NO_AUDIENCE, "the same person or nobody"


def test_a_wait_ends_at_its_time() -> None:
    stage = Stage(with_steps(wait() + task())).enter()

    assert stage.standing.due_at == NOW + 3 * DAY
    assert stage.later(3 * DAY - HOUR).open == {}
    assert stage.later(HOUR).steps_open == ["task"]
    assert stage.standing.due_at is None


def test_a_signal_ends_a_wait_for_it_and_so_does_the_time() -> None:
    steps = mail() + wait(what="signal: [email_click, web_visit], at_most: 5d") + task()
    woken = Stage(with_steps(steps)).enter().end("mail")
    assert set(woken.standing.wakes_on) == {SignalKind.EMAIL_CLICK, SignalKind.WEB_VISIT}
    woken.later(DAY).signal(SignalKind.REPLY)
    assert woken.open == {}

    assert woken.signal(SignalKind.WEB_VISIT).steps_open == ["task"]
    assert not woken.standing.wakes_on
    assert Stage(with_steps(steps)).enter().end("mail").later(5 * DAY).steps_open == ["task"]


def test_a_signal_since_the_last_touch_ends_the_wait_before_it_begins() -> None:
    steps = mail() + wait("rest", "for: 1d") + wait(what="signal: [email_click], at_most: 5d") + task()
    stage = Stage(with_steps(steps)).enter().end("mail").later(HOUR).signal(SignalKind.EMAIL_CLICK)

    assert stage.later(DAY).steps_open == ["task"]


def test_the_signal_that_started_a_play_does_not_end_its_first_wait() -> None:
    steps = wait(what="signal: [form_submission], at_most: 5d") + task()
    stage = Stage(with_steps(steps)).signal(SignalKind.FORM_SUBMISSION)

    assert stage.enter().standing.due_at == NOW + 5 * DAY
    assert stage.later(HOUR).signal(SignalKind.FORM_SUBMISSION).steps_open == ["task"]


BRANCH = (
    "  - id: which\n    branch:\n"
    "      - {outcome: [click, meeting], of: mail, go: clicked}\n"
    "      - {outcome: no_response, of: mail, go: silent}\n"
    "      - {when: account.tier == Tier.TWO, go: important}\n"
    "      - {go: end}\n"
)


@pytest.mark.parametrize(
    ("outcomes", "ends", "step"),
    [
        ((OutcomeKind.CLICK, OutcomeKind.OPEN), SENT, "clicked"),
        ((OutcomeKind.MEETING,), SENT, "clicked"),
        ((), SENT, "silent"),
        ((OutcomeKind.OPEN,), SENT, "silent"),
        ((OutcomeKind.NO_RESPONSE, OutcomeKind.OPEN), SENT, "silent"),
        ((OutcomeKind.BOUNCE,), SENT, "important"),
        ((), SUPPRESSED, "important"),
    ],
)
def test_a_branch_goes_by_what_came_back(
    outcomes: tuple[OutcomeKind, ...], ends: ProposalStatus, step: str
) -> None:
    steps = mail() + wait() + BRANCH + task("clicked") + task("silent") + task("important")
    stage = Stage(with_steps(steps)).enter().end("mail", ends)
    if outcomes:
        stage.outcome("mail", *outcomes)

    assert stage.later(3 * DAY).steps_open == [step]


GROUP = """\
  - id: group
    parallel:
      - id: one
        touch: {channel: email, action: send_play_email, to: [champion, decision_maker], content: hello,
          value: 100, propensity: 0.1}
        if_suppressed: next_channel
        next_channels: [{channel: sdr_task, action: create_task, content: note, value: 70}]
      - id: two
        touch: {channel: email, action: send_play_email, to: [decision_maker, champion], content: hello,
          value: 100, propensity: 0.1}
"""


def test_touches_at_the_same_time_go_to_different_people_each_on_its_own_path() -> None:
    stage = Stage(with_steps(GROUP + wait())).enter()
    assert {each.contact_id for each in stage.open.values()} == {"champion", "decision_maker"}
    assert stage.standing.step == "group"

    stage.end("two")
    assert stage.steps_open == ["one"], "the step is over when both are"
    stage.end("one", SUPPRESSED)
    assert (stage.only().channel, stage.only().contact_id) == ("sdr_task", "champion")
    assert stage.end("one").standing.step == "pause"


@pytest.mark.parametrize("what", ["mail", "pause"])
def test_a_condition_that_holds_ends_the_run_at_every_step(what: str) -> None:
    head = HEAD + "exit:\n  - {id: hot, when: days_since.web_visit != null, message: They look.}\n"
    stage = Stage(with_steps(mail() + wait(), head)).enter()
    assert stage.standing.reviews
    if what == "pause":
        stage.end("mail")
    assert stage.standing.step == what
    stage.seen[SignalKind.WEB_VISIT] = stage.now

    stage.ask()

    run = stage.standing
    assert (run.status, run.end_id, run.end_message) == (PlayStatus.EXITED, "hot", "They look.")
    assert (run.pending, run.due_at, stage.open) == ((), None, {})


def test_a_review_with_nothing_to_do_changes_nothing() -> None:
    head = HEAD + "exit:\n  - {id: hot, when: days_since.web_visit != null, message: They look.}\n"
    stage = Stage(with_steps(mail() + wait(), head)).enter()
    before = stage.standing

    assert stage.ask().run == before
    stage.end("mail")
    before = stage.standing
    assert stage.later(HOUR).ask().run == before


def test_a_condition_that_gives_no_answer_ends_the_run_as_broken() -> None:
    head = (
        HEAD
        + "exit:\n  - {id: hot, when: days_since.web_visit < 1.0 && run.moves > 1, message: They look.}\n"
    )
    stage = Stage(with_steps(mail() + wait(), head))
    stage.seen[SignalKind.WEB_VISIT] = NOW
    stage.enter()
    stage.seen.clear()

    stage.end("mail")

    assert (stage.standing.status, stage.standing.end_id) == (PlayStatus.EXITED, "broken")
    assert "no answer" in (stage.standing.end_message or "")


def test_a_play_ends_when_its_time_is_over() -> None:
    stage = Stage(with_steps(wait(what="for: 40d") + task())).enter()

    assert stage.standing.ends_by == NOW + 30 * DAY
    assert stage.standing.due_at == NOW + 30 * DAY
    stage.later(30 * DAY)
    assert (stage.standing.status, stage.standing.end_id) == (PlayStatus.EXITED, "too_long")


def test_a_play_that_goes_round_ends_after_so_many_steps() -> None:
    steps = wait(what="for: 60s") + wait("rest", "for: 60s", "    then: pause\n")
    stage = Stage(with_steps(steps)).enter().later(timedelta(hours=10))

    assert stage.standing.moves == MOVES_LIMIT
    assert (stage.standing.status, stage.standing.end_id) == (PlayStatus.EXITED, "too_long")


def test_a_run_taken_up_again_proposes_its_touch_anew_and_keeps_the_moment_of_a_wait() -> None:
    stage = Stage(with_steps(mail(more=THEN_TASK) + wait() + task())).enter().suspend()

    stage.later(DAY).ask()

    assert stage.standing.status is PlayStatus.ACTIVE
    assert stage.only().proposal_id == "welcome.1.mail.2"
    assert stage.only().channel == "email", "what a suspension took back was not tried"
    stage.end("mail")
    due = stage.standing.due_at
    stage.suspend().later(DAY).ask()
    assert stage.standing.due_at == due
    stage.suspend().later(5 * DAY).ask()
    assert stage.steps_open == ["task"], "the wait was over meanwhile"


def test_a_step_that_is_entered_again_is_made_again() -> None:
    steps = mail(more=THEN_TASK) + wait(more="    then: mail\n")
    stage = Stage(with_steps(steps)).enter().end("mail", SUPPRESSED).end("mail", SUPPRESSED)

    stage.later(3 * DAY)

    assert (stage.only().channel, stage.only().proposal_id) == ("email", "welcome.1.mail.3")


def test_conditions_see_who_was_addressed_last_and_how_the_run_stands() -> None:
    seen = (
        'contact != null && contact.id == "champion" && run.touches == 1 && run.moves == 2 '
        '&& "mail" in run.done && run.days >= 0.0 && assessment == null'
    )
    branch = f"  - id: which\n    branch:\n      - {{when: '{seen}', go: task}}\n      - {{go: end}}\n"

    assert Stage(with_steps(mail() + branch + task())).enter().end("mail").steps_open == ["task"]


def test_two_of_a_group_are_two_people_even_with_the_same_roles() -> None:
    contacts = {name: person(name, role=Role.CHAMPION) for name in ("amira", "ben")}

    stage = Stage(with_steps(GROUP), contacts=contacts).enter()

    assert [each.contact_id for each in stage.open.values()] == ["amira", "ben"]
    alone = Stage(with_steps(GROUP), contacts={"amira": contacts["amira"]}).enter()
    assert alone.steps_open == ["one"]
    assert alone.standing.steps[-1].reason is ReasonCode.NO_AUDIENCE


def test_people_who_left_or_objected_are_never_chosen() -> None:
    contacts = dict(CONTACTS)
    contacts["champion"] = person("champion", opted_out_at=NOW)
    contacts["decision_maker"] = person("decision_maker", left_at=NOW)
    stage = Stage(with_steps(mail(to="[champion, decision_maker, influencer]")), contacts=contacts)

    assert stage.enter().only().contact_id == "influencer"
