"""Plans that the account's world overtakes: nothing that happened meanwhile is lost, or held against others."""

from __future__ import annotations

from datetime import timedelta

from domain import Displacement, Observed, PlayExit, PlayPreemption, PlayRun, PlayStatus, SignalKind
from tests.builders import START, Shell, play_proposal, play_run, signal

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
