"""Plans that the world overtakes: what happened meanwhile is neither lost nor held against others."""

from __future__ import annotations

from datetime import timedelta

from domain import (
    Displacement,
    Observed,
    PlayCancelled,
    PlayExit,
    PlayMigrated,
    PlayMove,
    PlayPreemption,
    PlayResumed,
    PlayRun,
    PlayStatus,
    ProposalStatus,
    SignalKind,
    Verdict,
)
from tests.builders import START, Shell, contact, play_proposal, play_run, proposal, signal

REPLIED = PlayExit(exit_id="replied", on=(SignalKind.REPLY,), message="Somebody answered.")
CALMED = PlayExit(exit_id="calmed", on=(SignalKind.MEETING_HELD,), message="They calmed down.")


def running(**changes: object) -> Shell:
    """An account whose run waits for three days."""
    base: dict[str, object] = {"step": "breathe", "pending": (), "due_at": START + timedelta(days=3)}
    shell = Shell()
    seen(shell, SignalKind.INTENT_SURGE, "s1", enters=("surge",))
    shell.plan(entered=play_run(1, **(base | changes)))
    return shell


def seen(shell: Shell, kind: SignalKind, signal_id: str, **changes: object) -> None:
    given: dict[str, object] = {"kind": kind, "observed_at": shell.now}
    shell.send(Observed(observation=signal(signal_id, **(given | changes))))


def begins(shell: Shell, number: int, play_id: str, **changes: object) -> PlayRun:
    """A run that enters now with a first touch."""
    return play_run(
        number,
        **{
            "run_id": f"{play_id}.{number}",
            "play_id": play_id,
            "started_at": shell.now,
            "entered_at": shell.now,
            "ends_by": shell.now + timedelta(days=45),
            "pending": (f"{play_id}.{number}.first.1",),
        }
        | changes,
    )


def test_a_reply_that_ended_a_run_during_its_plan_keeps_no_later_play_out() -> None:
    shell = running(exits=(REPLIED,))
    shell.wait(days=3)
    request = shell.plan_request()
    seen(shell, SignalKind.REPLY, "s2")
    shell.plan(request, run=request.run)
    shell.wait(days=60)
    seen(shell, SignalKind.INTENT_SURGE, "s3", enters=("surge",))
    again = begins(shell, 2, "surge", exits=(REPLIED,))
    shell.plan(entered=again, proposals=(play_proposal(again),))
    assert list(shell.state.runs) == ["surge.2"]
    assert shell.state.play_refusals == {}


def test_a_run_is_not_displaced_by_a_play_whose_own_exit_came_meanwhile() -> None:
    first = PlayPreemption(
        rule_id="trouble-first", plays=("renewal",), then=Displacement.CANCEL, message="Trouble goes first."
    )
    shell = running(preemptions=(first,))
    seen(shell, SignalKind.SUPPORT_CASE, "s2", enters=("renewal",))
    request = shell.plan_request()
    assert request.run is not None
    seen(shell, SignalKind.MEETING_HELD, "s3")
    cancelled = request.run.model_copy(
        update={"status": PlayStatus.CANCELLED, "due_at": None, "ended_at": shell.now, "end_id": "displaced"}
    )
    trouble = begins(shell, 2, "renewal", exits=(CALMED,))
    shell.plan(request, run=cancelled, entered=trouble, proposals=(play_proposal(trouble),))
    assert [run.status for run in shell.state.runs.values()] == [PlayStatus.ACTIVE]
    assert shell.state.play_refusals == {"renewal": "it would have ended at once: They calmed down."}
    assert shell.plan_request().asks == ()


def suspended(**changes: object) -> Shell:
    """An account whose run waits until a person lets it go on."""
    shell = running(
        preemptions=(
            PlayPreemption(
                rule_id="offers-first",
                actions=("send_offer",),
                then=Displacement.SUSPEND,
                message="Offers go first.",
            ),
        ),
        **changes,
    )
    shell.propose(proposal("p1", action="send_offer"))
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    shell.deliver()
    (run,) = shell.state.runs.values()
    assert (run.status, run.resume_at) == (PlayStatus.SUSPENDED, None)
    return shell


def test_a_person_who_lets_a_run_go_on_is_heard_while_it_moves_to_another_version() -> None:
    shell = suspended()
    move = PlayMove(policy_digest="q" * 64)
    shell.send(PlayMigrated(play_id="surge", move=move, moved_by="dana"))
    request = shell.plan_request()
    shell.send(PlayResumed(run_id="surge.1", resumed_by="dana"))
    assert request.run is not None
    shell.plan(request, run=request.run.model_copy(update={"policy_digest": move.policy_digest}))
    (run,) = shell.state.runs.values()
    assert run.resume_at == shell.now
    assert shell.plan_request().run == run


def test_a_touch_still_with_its_channel_stays_known_to_a_run_that_stands_back_twice() -> None:
    """Or it would be made again when the run goes on."""
    shell = Shell()
    seen(shell, SignalKind.INTENT_SURGE, "s1", enters=("surge",))
    run = play_run(
        1,
        preemptions=(
            PlayPreemption(
                rule_id="trouble-first",
                plays=("renewal", "introduction"),
                then=Displacement.SUSPEND,
                message="Trouble goes first.",
            ),
        ),
    )
    shell.plan(entered=run, proposals=(play_proposal(run),))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW})
    seen(shell, SignalKind.SUPPORT_CASE, "s2", enters=("renewal",))
    trouble = begins(shell, 2, "renewal", pending=(), due_at=shell.now + timedelta(days=1))
    shell.plan(run=stood_back(shell, "renewal.2"), entered=trouble)
    met = signal("s3", kind=SignalKind.MEETING_HELD, observed_at=shell.now, enters=("introduction",))
    shell.send(
        PlayCancelled(run_id="renewal.2", cancelled_by="dana", reason="a false alarm"),
        PlayResumed(run_id="surge.1", resumed_by="dana"),
        Observed(observation=met),
    )
    request = shell.plan_request()
    assert request.run is not None
    assert request.run.run_id == "surge.1"
    assert [ask.play_id for ask in request.asks] == ["introduction"]
    other = begins(shell, 3, "introduction", pending=(), due_at=shell.now + timedelta(days=1))
    shell.plan(request, run=stood_back(shell, "introduction.3"), entered=other)
    shell.deliver()
    assert [step.status for step in shell.state.runs["surge.1"].steps] == [ProposalStatus.SENT]


def stood_back(shell: Shell, by: str) -> PlayRun:
    """The first run as the planner suspends it for another."""
    return shell.state.runs["surge.1"].model_copy(
        update={
            "status": PlayStatus.SUSPENDED,
            "pending": (),
            "suspended_by": by,
            "suspended_at": shell.now,
            "resume_at": None,
        }
    )


def test_a_plan_that_took_an_hour_does_not_pass_over_what_came_back_meanwhile() -> None:
    """The planner can be away for long; a branch goes by what is known when it is taken."""
    shell = running()
    shell.wait(days=3)
    request = shell.plan_request()
    shell.wait(hours=1)
    known = contact("amira", title="Head of Operations")
    shell.send(Observed(observation=known))
    assert request.run is not None
    shell.plan(
        request,
        run=request.run.model_copy(update={"step": "elsewhere", "due_at": shell.now + timedelta(days=1)}),
    )
    again = shell.plan_request()
    assert again.contacts["amira"] == known
    assert again.run == request.run


def test_a_plan_that_took_an_hour_in_which_nothing_happened_counts() -> None:
    shell = running()
    shell.wait(days=3)
    request = shell.plan_request()
    shell.wait(hours=1)
    assert request.run is not None
    following = {"step": "elsewhere", "due_at": shell.now + timedelta(days=1)}
    shell.plan(request, run=request.run.model_copy(update=following))
    assert shell.state.runs["surge.1"].step == "elsewhere"
