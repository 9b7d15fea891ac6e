"""Runs of plays on an account: how they enter, what ends them at once, and that two never run together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    AccountState,
    Contact,
    Delivered,
    Displacement,
    HandOver,
    Hold,
    HoldPlaced,
    MakePlan,
    Observed,
    PlayAsk,
    PlayAsked,
    PlayCancelled,
    PlayExit,
    PlayMigrated,
    PlayMove,
    PlayPreemption,
    PlayRefusal,
    PlayResumed,
    PlayRun,
    PlayStatus,
    ProposalStatus,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    Revoke,
    Role,
    SignalKind,
    Verdict,
    card,
    next_due,
    resume,
)
from domain._state import CLOSED_LIMIT, OPEN_LIMIT
from tests.builders import START, Shell, contact, play_proposal, play_run, proposal, signal

REPLIED = PlayExit(exit_id="replied", on=(SignalKind.REPLY,), message="Somebody answered.")
MEETING = PlayExit(exit_id="goal", on=(SignalKind.MEETING_BOOKED,), message="A meeting.", goal=True)
CLOSING = PlayPreemption(
    rule_id="closing-first",
    intents=("closing",),
    actions=("send_offer",),
    then=Displacement.SUSPEND,
    resume_after_seconds=7 * 86_400,
    message="Closing goes first.",
)


def surge(signal_id: str = "s1", **changes: object) -> Observed:
    base: dict[str, object] = {"kind": SignalKind.INTENT_SURGE, "enters": ("surge",)}
    return Observed(observation=signal(signal_id, **(base | changes)))


def seen(shell: Shell, kind: SignalKind, signal_id: str = "x1", **changes: object) -> None:
    base: dict[str, object] = {"kind": kind, "observed_at": shell.now}
    shell.send(Observed(observation=signal(signal_id, **(base | changes))))


def entered(**changes: object) -> Shell:
    """An account on which a run has entered and proposed its first touch."""
    shell = Shell(surge())
    run = play_run(1, **changes)
    shell.plan(entered=run, proposals=tuple(play_proposal(run, each) for each in run.pending))
    return shell


def waiting(**changes: object) -> Shell:
    """An account whose run waits for three days."""
    base: dict[str, object] = {"step": "breathe", "pending": (), "due_at": START + timedelta(days=3)}
    return entered(**(base | changes))


def the_run(shell: Shell) -> PlayRun:
    (run,) = shell.state.runs.values()
    return run


def test_a_signal_that_may_start_a_play_asks_the_planner_and_its_first_touch_is_judged_like_any_other() -> (
    None
):
    shell = Shell(surge())
    request = shell.plan_request()
    assert [ask.play_id for ask in request.asks] == ["surge"]
    assert request.asks[0].asked_by == "crm s1"
    run = play_run()
    shell.plan(request, entered=run, proposals=(play_proposal(run),))
    assert the_run(shell).pending == ("surge.1.first.1",)
    assert shell.state.open["surge.1.first.1"].status is ProposalStatus.IN_WINDOW
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    touch = shell.hand_over().touch
    assert touch.play is not None
    assert touch.play.step == "first"
    assert shell.state.touches[touch.touch_id].play == touch.play


def test_a_signal_that_starts_nothing_costs_no_plan() -> None:
    shell = Shell(Observed(observation=signal("s1", kind=SignalKind.INTENT_SURGE)))
    assert not [effect for effect in shell.effects if isinstance(effect, MakePlan)]
    assert shell.state.planning is None


def test_what_an_import_digs_up_starts_nothing() -> None:
    shell = Shell(surge(observed_at=START - timedelta(days=8)))
    assert shell.state.play_asks == ()
    assert shell.state.planning is None


def test_the_same_play_does_not_ask_twice_while_it_waits() -> None:
    shell = Shell(surge("s1"), surge("s2"))
    assert len(shell.plan_request().asks) == 1


def test_a_refused_play_is_recorded_with_its_reason() -> None:
    shell = Shell(surge())
    shell.plan(refused=(PlayRefusal(play_id="surge", message="It ran three days ago."),))
    assert shell.state.runs == {}
    assert shell.state.play_asks == ()
    assert shell.state.play_refusals == {"surge": "It ran three days ago."}
    assert any("It ran three days ago." in line.text for line in shell.state.timeline)


def test_when_a_touch_has_ended_the_planner_is_told_how_and_asked_what_is_next() -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.deliver()
    request = shell.plan_request()
    assert request.run is not None
    assert request.run.pending == ()
    (step,) = request.run.steps
    assert (step.step, step.status) == ("first", ProposalStatus.SENT)
    assert step.contact_id == "amira"


def test_a_deferred_touch_keeps_its_place() -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.DEFER})
    assert the_run(shell).pending == ("surge.1.first.1",)
    assert shell.state.planning is None
    shell.wait(days=2)
    assert [each.proposal.proposal_id for each in shell.consultation().candidates] == ["surge.1.first.1"]


def test_a_suppressed_touch_goes_to_the_planner_for_its_declared_path() -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.SUPPRESS})
    request = shell.plan_request()
    assert request.run is not None
    assert request.run.steps[0].status is ProposalStatus.SUPPRESSED


def test_a_wait_is_due_state_and_the_planner_is_asked_at_its_moment() -> None:
    shell = waiting()
    shell.wait(minutes=15)
    assert "play" in shell.project(), "where it stands is no news that anybody waits for"
    due = next_due(shell.state)
    assert due is not None
    assert due.at == START + timedelta(days=3)
    assert due.what == "next move of play surge.1"
    shell.wait(days=2)
    assert shell.state.planning is None
    shell.wait(days=1)
    assert shell.plan_request().run == the_run(shell)


def test_the_card_says_where_a_play_is_and_when_it_goes_on() -> None:
    shell = waiting(wakes_on=(SignalKind.EMAIL_CLICK,))
    told = card(shell.state)
    assert "- **Next** 2026-03-05 09:00:00Z, play surge.1" in told
    assert (
        "- `surge.1` Surge response: at breathe, waits for email_click or until 2026-03-05 09:00:00Z" in told
    )


def test_an_exit_signal_acts_at_once_in_the_middle_of_a_wait() -> None:
    shell = waiting(exits=(REPLIED,))
    shell.wait(days=1)
    seen(shell, SignalKind.REPLY)
    assert shell.state.runs == {}
    (run,) = shell.state.ended_runs.values()
    assert run.status is PlayStatus.EXITED
    assert (run.end_id, run.end_message, run.ended_at) == ("replied", "Somebody answered.", shell.now)
    past = shell.state.past_plays["surge"]
    assert (past.runs, past.last_ended_at) == (1, shell.now)


def test_a_goal_completes_the_run() -> None:
    shell = waiting(exits=(REPLIED, MEETING))
    seen(shell, SignalKind.MEETING_BOOKED)
    (run,) = shell.state.ended_runs.values()
    assert (run.status, run.end_id) == (PlayStatus.COMPLETED, "goal")


@pytest.mark.parametrize("verdict", [Verdict.DEFER, Verdict.REQUIRE_APPROVAL])
def test_an_exit_ends_what_the_run_has_scheduled_or_asked(verdict: Verdict) -> None:
    shell = entered(exits=(PlayExit(exit_id="won", on=(SignalKind.DEAL_WON,), message="They bought."),))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": verdict})
    seen(shell, SignalKind.DEAL_WON)
    assert shell.state.open == {}
    assert shell.state.pending_approvals == ()
    assert shell.state.closed["surge.1.first.1"].reason is ReasonCode.PLAY_ENDED


def test_an_exit_by_the_audience_does_not_listen_to_others() -> None:
    only = PlayExit(
        exit_id="clicked", on=(SignalKind.EMAIL_CLICK,), message="They clicked.", audience_only=True
    )
    shell = entered(exits=(only,))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.deliver()
    seen(shell, SignalKind.EMAIL_CLICK, "x1", contact_id="somebody")
    assert "surge.1" in shell.state.runs
    seen(shell, SignalKind.EMAIL_CLICK, "x2", contact_id="amira")
    assert shell.state.runs == {}


def test_whom_a_channel_did_not_reach_has_not_been_addressed() -> None:
    audience = PlayExit(
        exit_id="objected", on=(SignalKind.OPT_OUT,), message="They do not want it.", audience_only=True
    )
    shell = entered(exits=(audience,))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNDELIVERED)
    seen(shell, SignalKind.OPT_OUT, contact_id="amira")
    assert the_run(shell).status is PlayStatus.ACTIVE


def test_an_old_signal_ends_no_run_that_began_later() -> None:
    shell = waiting(exits=(REPLIED,))
    seen(shell, SignalKind.REPLY, observed_at=START - timedelta(days=2))
    assert "surge.1" in shell.state.runs


def test_a_plan_that_an_exit_overtook_changes_nothing() -> None:
    shell = waiting(exits=(REPLIED,))
    shell.wait(days=3)
    request = shell.plan_request()
    seen(shell, SignalKind.REPLY)
    moved = play_run(step="second", pending=("surge.1.second.2",), due_at=None)
    shell.plan(request, run=moved, proposals=(play_proposal(moved),))
    assert shell.state.runs == {}
    assert shell.state.open == {}
    assert shell.state.planning is None


def test_a_play_that_enters_is_planned_again_if_the_world_has_changed_meanwhile() -> None:
    shell = Shell(surge())
    request = shell.plan_request()
    shell.send(Observed(observation=contact("bela")))
    run = play_run()
    shell.plan(request, entered=run, proposals=(play_proposal(run),))
    assert shell.state.runs == {}
    again = shell.plan_request()
    assert [ask.play_id for ask in again.asks] == ["surge"]
    assert again.revision > request.revision


def test_a_signal_that_a_wait_is_for_wakes_the_run() -> None:
    shell = waiting(wakes_on=(SignalKind.WEB_VISIT,))
    seen(shell, SignalKind.EMAIL_OPEN)
    assert shell.state.planning is None
    seen(shell, SignalKind.WEB_VISIT, "x2")
    assert shell.plan_request().run == the_run(shell)


def test_a_signal_that_came_while_the_wait_for_it_was_being_planned_is_not_lost() -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.deliver()
    request = shell.plan_request()
    seen(shell, SignalKind.EMAIL_CLICK)
    assert request.run is not None
    waits = request.run.model_copy(
        update={
            "step": "breathe",
            "due_at": shell.now + timedelta(days=5),
            "wakes_on": (SignalKind.EMAIL_CLICK,),
        }
    )
    shell.plan(request, run=waits)
    assert shell.plan_request().run == waits


def test_a_play_does_not_enter_after_a_signal_that_would_have_ended_it() -> None:
    shell = Shell(surge())
    request = shell.plan_request()
    seen(shell, SignalKind.REPLY)
    run = play_run(exits=(REPLIED,))
    shell.plan(request, entered=run, proposals=(play_proposal(run),))
    again = shell.plan_request()
    shell.plan(again, entered=run, proposals=(play_proposal(run),))
    assert shell.state.runs == {}
    assert shell.state.open == {}
    assert "Somebody answered." in shell.state.play_refusals["surge"]


def test_exit_conditions_are_looked_at_when_the_world_changes_but_not_without_end() -> None:
    shell = waiting(reviews=True)
    seen(shell, SignalKind.WEB_VISIT, "x1")
    shell.plan(run=the_run(shell))
    seen(shell, SignalKind.WEB_VISIT, "x2")
    assert shell.state.planning is None, "the last look was a moment ago"
    shell.wait(seconds=60)
    assert shell.plan_request().run == the_run(shell)


def test_a_run_without_exit_conditions_is_not_planned_for_every_signal() -> None:
    shell = waiting()
    seen(shell, SignalKind.WEB_VISIT)
    assert shell.state.planning is None
    assert shell.state.plan_at is None


def test_a_second_play_does_not_enter_beside_the_first() -> None:
    shell = waiting()
    shell.send(PlayAsked(ask=PlayAsk(play_id="other", asked_by="dana", asked_at=shell.now, by_person=True)))
    request = shell.plan_request()
    assert request.run == the_run(shell)
    shell.plan(
        request, entered=play_run(2, run_id="other.2", play_id="other", pending=(), due_at=request.now)
    )
    assert list(shell.state.runs) == ["surge.1"]
    assert any("another play is running" in line.text for line in shell.state.timeline)


def test_a_play_displaces_another_by_rule_and_the_first_goes_on_after_it() -> None:
    shell = entered()
    shell.send(PlayAsked(ask=PlayAsk(play_id="risk", asked_by="crm s9", asked_at=shell.now)))
    request = shell.plan_request()
    assert request.run is not None
    stood_back = request.run.model_copy(
        update={
            "status": PlayStatus.SUSPENDED,
            "pending": (),
            "suspended_by": "risk.2",
            "suspended_at": request.now,
            "resume_after_seconds": 3_600.0,
        }
    )
    risk = play_run(2, run_id="risk.2", play_id="risk", pending=("risk.2.first.1",))
    shell.plan(request, run=stood_back, entered=risk, proposals=(play_proposal(risk),))
    assert {run.run_id: run.status for run in shell.state.runs.values()} == {
        "surge.1": PlayStatus.SUSPENDED,
        "risk.2": PlayStatus.ACTIVE,
    }
    assert shell.state.closed["surge.1.first.1"].reason is ReasonCode.PLAY_SUSPENDED
    shell.send(PlayCancelled(run_id="risk.2", cancelled_by="dana", reason="over"))
    assert the_run(shell).resume_at == shell.now + timedelta(hours=1)
    shell.wait(hours=1)
    resumed = shell.plan_request()
    assert resumed.run is not None
    assert resumed.run.run_id == "surge.1"
    assert resumed.run.status is PlayStatus.SUSPENDED


@pytest.mark.parametrize(
    ("told", "reason"),
    [(ReceiptStatus.ACCEPTED, ReasonCode.ALLOWED), (ReceiptStatus.UNDELIVERED, ReasonCode.PLAY_SUSPENDED)],
)
def test_a_run_that_stands_back_while_its_touch_is_with_the_channel_learns_what_became_of_it(
    told: ReceiptStatus, reason: ReasonCode
) -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.send(PlayAsked(ask=PlayAsk(play_id="urgent", asked_by="dana.reyes", asked_at=shell.now)))
    back = the_run(shell).model_copy(
        update={"status": PlayStatus.SUSPENDED, "pending": (), "suspended_by": "urgent.2"}
    )
    urgent = play_run(2, run_id="urgent.2", play_id="urgent")
    shell.plan(run=back, entered=urgent, proposals=(play_proposal(urgent, urgent.pending[0]),))
    assert shell.state.runs["surge.1"].pending == ("surge.1.first.1",)
    shell.deliver(told)
    run = shell.state.runs["surge.1"]
    assert run.status is PlayStatus.SUSPENDED
    assert run.pending == ()
    assert [(step.step, step.reason) for step in run.steps] == [("first", reason)]


def test_a_proposal_that_wins_makes_the_run_stand_back_and_it_goes_on_after_its_rest() -> None:
    shell = entered(preemptions=(CLOSING,))
    shell.propose(proposal("offer", action="send_offer"))
    shell.wait(seconds=3)
    shell.rule({"offer": Verdict.ALLOW, "surge.1.first.1": Verdict.DEFER})
    run = the_run(shell)
    assert (run.status, run.suspended_by) == (PlayStatus.SUSPENDED, "offer")
    assert "surge.1.first.1" not in shell.state.open
    assert run.resume_at is None
    shell.deliver()
    assert the_run(shell).resume_at == shell.now + timedelta(days=7)
    shell.wait(days=6)
    assert shell.state.planning is None
    shell.wait(days=1)
    assert shell.plan_request().run == the_run(shell)


def test_a_proposal_that_only_waits_displaces_nothing() -> None:
    shell = entered(preemptions=(CLOSING,))
    shell.propose(proposal("offer", action="send_offer"))
    shell.wait(seconds=3)
    shell.rule({"offer": Verdict.DEFER, "surge.1.first.1": Verdict.DEFER})
    assert the_run(shell).status is PlayStatus.ACTIVE


def test_a_proposal_may_cancel_a_run_by_rule() -> None:
    cancels = CLOSING.model_copy(update={"then": Displacement.CANCEL})
    shell = entered(preemptions=(cancels,))
    shell.propose(proposal("offer", action="anything", intent="closing"))
    shell.wait(seconds=3)
    shell.rule({"offer": Verdict.ALLOW, "surge.1.first.1": Verdict.DEFER})
    (run,) = shell.state.ended_runs.values()
    assert (run.status, run.end_id) == (PlayStatus.CANCELLED, "displaced")


def test_nobody_else_can_carry_out_a_play() -> None:
    shell = entered()
    shell.propose(play_proposal(play_run(), "mine"))
    assert "mine" not in shell.state.open
    assert shell.state.refusals == 1


def test_a_person_ends_a_run_and_nothing_of_it_stays() -> None:
    shell = entered()
    shell.send(PlayCancelled(run_id="surge.1", cancelled_by="dana.reyes", reason="wrong account"))
    assert shell.state.runs == {}
    assert shell.state.open == {}
    shell.send(PlayCancelled(run_id="surge.1", cancelled_by="dana.reyes", reason="again"))
    assert shell.state.refusals == 1


def test_a_person_lets_a_suspended_run_go_on() -> None:
    shell = waiting()
    stopped = the_run(shell).model_copy(update={"status": PlayStatus.SUSPENDED, "suspended_by": "dana"})
    shell.state.runs["surge.1"] = stopped
    shell.wait(days=5)
    assert shell.state.planning is None, "without a rule it waits for a person"
    shell.send(PlayResumed(run_id="surge.1", resumed_by="dana.reyes"))
    assert shell.plan_request().run == the_run(shell)


def test_a_run_moves_to_another_version_on_purpose_only() -> None:
    shell = waiting()
    move = PlayMove(policy_digest="q" * 64, steps={"breathe": "pause"})
    shell.send(PlayMigrated(play_id="surge", move=move, moved_by="dana.reyes"))
    request = shell.plan_request()
    assert request.move_to == move
    moved = play_run(step="pause", pending=(), due_at=START + timedelta(days=9), policy_digest="q" * 64)
    shell.plan(request, run=moved)
    assert the_run(shell).policy_digest == "q" * 64
    assert shell.state.play_moves == {}
    shell.send(PlayMigrated(play_id="surge", move=move, moved_by="dana.reyes"))
    assert shell.state.planning is None, "it is there already"


def test_a_run_never_lasts_longer_than_it_may() -> None:
    shell = waiting(due_at=None, pending=("surge.1.first.1",), step="first")
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.DEFER})
    shell.wait(days=45)
    (run,) = shell.state.ended_runs.values()
    assert (run.status, run.end_id) == (PlayStatus.EXITED, "too_long")
    assert shell.state.open == {}


def test_a_run_with_nothing_to_wait_for_is_ended_instead_of_planned_for_ever() -> None:
    shell = waiting()
    shell.wait(days=3)
    shell.plan(run=play_run(step="breathe", pending=(), due_at=None))
    (run,) = shell.state.ended_runs.values()
    assert run.end_id == "broken"


def test_the_planner_chooses_among_the_buying_group() -> None:
    people = [contact(f"p{number:03}", role=Role.UNKNOWN) for number in range(50)]
    shell = Shell(*(Observed(observation=person) for person in people), surge())
    shown: dict[str, Contact] = shell.plan_request().contacts
    assert list(shown) == ["amira"]


def test_a_new_run_of_the_workflow_asks_again_for_what_was_on_its_way() -> None:
    shell = waiting()
    shell.wait(days=3)
    first = shell.plan_request()
    carried = AccountState.model_validate_json(shell.state.model_dump_json())
    step = resume(carried, shell.now)
    (again,) = [effect for effect in step.effects if isinstance(effect, MakePlan)]
    assert again.request.run == first.run


def test_a_touch_that_never_got_in_is_known_by_its_own_step_and_not_proposed_for_ever() -> None:
    shell = Shell(surge())
    shell.propose(*(proposal(f"p{number}") for number in range(OPEN_LIMIT)))
    run = play_run(step="together", pending=("surge.1.one.1",))
    shell.plan(entered=run, proposals=(play_proposal(run.model_copy(update={"step": "one"})),))
    request = shell.plan_request()
    assert request.run is not None
    assert [(step.step, step.status) for step in request.run.steps] == [("one", ProposalStatus.FAILED)]


@pytest.mark.parametrize(
    ("receipt", "status"),
    [
        (ReceiptStatus.ACCEPTED, ProposalStatus.SENT),
        (ReceiptStatus.UNKNOWN, ProposalStatus.IN_DOUBT),
        (ReceiptStatus.REJECTED, ProposalStatus.FAILED),
    ],
)
def test_a_touch_that_was_made_counts_as_made_whatever_else_ends_in_that_moment(
    receipt: ReceiptStatus, status: ProposalStatus
) -> None:
    """Or it would be made again over the next channel."""
    shell = entered()
    shell.propose(*(proposal(f"p{number}") for number in range(CLOSED_LIMIT)))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW} | {f"p{n}": Verdict.DEFER for n in range(CLOSED_LIMIT)})
    touch_id = shell.hand_over().touch.touch_id
    reply = signal("x1", kind=SignalKind.REPLY, observed_at=shell.now)
    shell.send(
        Delivered(receipt=Receipt(touch_id=touch_id, status=receipt, at=shell.now)),
        Observed(observation=reply),
    )
    (step,) = the_run(shell).steps
    assert (step.step, step.status) == ("first", status)


def by_hand(shell: Shell) -> PlayAsked:
    return PlayAsked(ask=PlayAsk(play_id="surge", asked_by="dana.reyes", asked_at=shell.now, by_person=True))


def test_a_person_who_starts_a_play_that_a_signal_asks_for_is_not_bound_by_its_entry_condition() -> None:
    shell = Shell(surge())
    request = shell.plan_request()
    shell.send(by_hand(shell))
    shell.plan(request, refused=(PlayRefusal(play_id="surge", message="Its entry condition does not hold."),))
    (ask,) = shell.plan_request().asks
    assert (ask.by_person, ask.asked_by) == (True, "dana.reyes")
    assert shell.state.play_refusals == {}


def test_why_a_play_did_not_enter_once_is_not_said_of_the_next_time() -> None:
    shell = Shell(surge())
    shell.plan(refused=(PlayRefusal(play_id="surge", message="It ran three days ago."),))
    shell.send(by_hand(shell))
    assert shell.state.play_refusals == {}


def test_a_touch_that_an_exit_has_revoked_is_revoked_again_in_a_new_run_of_the_workflow() -> None:
    """That run asks for the hand-over again: it must not send what has ended meanwhile."""
    shell = entered(exits=(REPLIED,))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    seen(shell, SignalKind.REPLY)
    carried = AccountState.model_validate_json(shell.state.model_dump_json())
    effects = resume(carried, shell.now).effects
    asked = [type(effect) for effect in effects if isinstance(effect, (HandOver, Revoke))]
    assert asked == [HandOver, Revoke]


def test_so_is_one_on_an_account_on_which_a_hold_stands() -> None:
    shell = entered()
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.send(
        HoldPlaced(hold=Hold(hold_id="h1", placed_by="dana.reyes", reason="a call", placed_at=shell.now))
    )
    effects = resume(shell.state, shell.now).effects
    assert any(isinstance(effect, Revoke) for effect in effects)


@pytest.mark.parametrize(
    ("kind", "told"), [(SignalKind.OPT_OUT, "opted_out_at"), (SignalKind.LEFT_COMPANY, "left_at")]
)
def test_an_exit_acts_at_once_when_a_profile_is_what_tells_of_it(kind: SignalKind, told: str) -> None:
    gone = PlayExit(exit_id="gone", on=(kind,), message="They are gone.", audience_only=True)
    shell = entered(exits=(gone,))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    shell.deliver()
    shell.send(
        Observed(observation=contact("bela", **{told: shell.now})),
        Observed(observation=contact("amira", **{told: None})),
    )
    assert "surge.1" in shell.state.runs
    shell.send(Observed(observation=contact("amira", **{told: shell.now})))
    (run,) = shell.state.ended_runs.values()
    assert run.end_id == "gone"


def test_what_a_profile_tells_of_long_ago_ends_no_run() -> None:
    gone = PlayExit(exit_id="gone", on=(SignalKind.OPT_OUT,), message="Somebody objected.")
    shell = waiting(exits=(gone,))
    shell.send(Observed(observation=contact("bela", opted_out_at=START - timedelta(days=300))))
    assert "surge.1" in shell.state.runs


def test_a_proposal_of_somebody_else_under_the_id_of_a_step_is_not_the_plays() -> None:
    """Whoever guesses the id can neither make the play wait for it nor have the play end it."""
    shell = Shell(surge())
    shell.propose(proposal("surge.1.first.1"))
    run = play_run(exits=(REPLIED,))
    shell.plan(entered=run, proposals=(play_proposal(run),))
    request = shell.plan_request()
    assert request.run is not None
    assert [step.status for step in request.run.steps] == [ProposalStatus.FAILED]
    shell.send(PlayCancelled(run_id="surge.1", cancelled_by="dana.reyes", reason="x"))
    assert list(shell.state.open) == ["surge.1.first.1"]
