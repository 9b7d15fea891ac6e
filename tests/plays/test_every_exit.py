"""Every exit criterion of every default play, at every step, whatever the run waits for there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import pytest

from domain import (
    ApprovalStatus,
    Event,
    Observed,
    PlayCancelled,
    PlayExit,
    PlayRun,
    PlayStatus,
    Signal,
    SignalKind,
    Touch,
    TouchStatus,
    advance,
)
from governance import Play
from governance.plays._file import Since
from governance.plays._play import Criterion, TouchStep
from tests.plays.walking import (
    HOWS,
    PEOPLE,
    STIMULI,
    STRANGER,
    WAITING,
    Recording,
    Stand,
    begun,
    introduced,
    mapped,
    policies,
    resting_steps,
    ways_to,
)

PLAYS = sorted(policies().plays)
QUARTER = timedelta(days=90)
REVIEW_GAP = timedelta(seconds=60)
"""In a stream of reports conditions are looked at at most this often."""
SECOND = timedelta(seconds=1)


def stands(play_id: str) -> Iterator[tuple[Stand, Recording]]:
    """Every place of a play, each with an account of its own."""
    for stand, sim in mapped(play_id).stands.items():
        yield stand, sim.fork()


def signal_exits() -> list[tuple[str, str]]:
    return [(play_id, met.exit_id) for play_id in PLAYS for met in policies().plays[play_id].exits]


def condition_exits() -> list[tuple[str, str]]:
    return [(play_id, met.exit_id) for play_id in PLAYS for met in policies().plays[play_id].criteria]


@pytest.mark.parametrize("play_id", PLAYS)
def test_a_walk_reaches_every_step_in_every_state_of_its_touches(play_id: str) -> None:
    play = policies().plays[play_id]
    seen = mapped(play_id).stands.keys()
    assert {stand.step for stand in seen} == resting_steps(play)
    for name, step in play.steps.items():
        how = {each for stand in seen if stand.step == name for each in stand.how.split("+")}
        if isinstance(step, TouchStep):
            assert how >= set(HOWS), name
        elif name in resting_steps(play):
            assert how == {WAITING}, name


@pytest.mark.parametrize(("play_id", "exit_id"), signal_exits())
def test_a_signal_ends_the_run_in_the_same_turn_wherever_it_stands(play_id: str, exit_id: str) -> None:
    play = policies().plays[play_id]
    (met,) = [each for each in play.exits if each.exit_id == exit_id]
    ended, went_on = 0, 0
    for kind in met.on:
        for stand, sim in stands(play_id):
            for whom in senders(sim):
                about = f"{kind.value} from {whom} at {stand}"
                expected = first_met(play, kind, whom, addressed(sim))
                tried = sim.fork()
                event = Observed(observation=tried.see(kind, contact_id=whom))
                if expected is None:
                    (after,) = advance(tried.state, [event], tried.now).state.runs.values()
                    assert after.status is PlayStatus.ACTIVE, about
                    went_on += 1
                    continue
                ends_at_once(tried, event, expected, about)
                ended += expected.exit_id == exit_id
    assert ended >= len(mapped(play_id).stands) if not met.audience_only else ended
    assert bool(went_on) is met.audience_only


def senders(sim: Recording) -> list[str | None]:
    """Nobody in particular, everybody addressed, one member of the group who is not, and a stranger."""
    told = addressed(sim)
    others = sorted(PEOPLE.keys() - told)[:1]
    return [None, *sorted(told), *others, STRANGER]


def addressed(sim: Recording) -> set[str]:
    """Whom the run has addressed so far, one who is being addressed included."""
    return {
        touch.recipient.contact_id
        for _, touch in sim.handed_over(sim.run.run_id)
        if touch.recipient is not None
    }


def first_met(play: Play, kind: SignalKind, whom: str | None, told: set[str]) -> PlayExit | None:
    return next(
        (each for each in play.exits if kind in each.on and (not each.audience_only or whom in told)), None
    )


def ends_at_once(sim: Recording, event: Event, met: PlayExit, about: str) -> None:
    """Let a signal come, and check that it ends the run in that very turn, for good."""
    before, run = sim.fork(), sim.run
    turn = advance(sim.state, [event], sim.now).state
    assert run.run_id not in turn.runs, about
    status = PlayStatus.COMPLETED if met.goal else PlayStatus.EXITED
    ended = turn.ended_runs[run.run_id]
    assert (ended.status, ended.end_id, ended.end_message) == (status, met.exit_id, met.message), about
    sim.send([event])
    is_over(before, sim, run, about)


def is_over(before: Recording, sim: Recording, run: PlayRun, about: str) -> None:
    """Check all that must hold once a run has ended: now, later, and when it wants to run again."""
    state = sim.state
    ended = state.ended_runs[run.run_id]
    assert run.run_id not in state.runs, about
    assert ended.ended_at == sim.now, about
    assert not ended.pending, about
    assert ended.due_at is None, about
    open_still = [
        item
        for item in state.open.values()
        if item.proposal.play is not None and item.proposal.play.run_id == run.run_id
    ]
    flying = state.active.touch if state.active is not None else None
    assert [item.proposal.proposal_id for item in open_still] == (
        [flying.proposal_id] if flying is not None else []
    ), about
    assert all(item.exit_reason is not None for item in open_still), about
    if flying is not None:
        assert sim.revoked()[len(before.revoked()) :][:1] == [flying.touch_id], about
    for approval in before.state.pending_approvals:
        assert state.approvals[approval.approval_id].status is ApprovalStatus.WITHDRAWN, about
    checks_recalls(before, sim, ended, flying, about)
    silent_afterwards(sim, run, about)
    may_run_again_by_its_rule(sim, ended, about)


def checks_recalls(
    before: Recording, sim: Recording, ended: PlayRun, flying: Touch | None, about: str
) -> None:
    made = {
        touch.touch_id
        for touch in sim.state.touches.values()
        if touch.play is not None
        and touch.play.run_id == ended.run_id
        and touch.play.step in ended.recalls
        and touch.status in {TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN}
        and touch.recall_queue is not None
        and touch.touch_id not in before.taken_back()
    }
    expected = made if ended.status is not PlayStatus.COMPLETED else set()
    assert set(sim.taken_back()) - set(before.taken_back()) == expected, about
    if flying is None or flying.play is None:
        return
    # The channel was faster than the exit: what it made is taken back as soon as it says so.
    later = sim.fork()
    later.run_to(later.now + SECOND)
    record = later.state.touches[flying.touch_id]
    assert record.status is TouchStatus.HANDED_OVER, about
    wanted = flying.play.step in ended.recalls and record.recall_queue is not None
    assert (flying.touch_id in later.taken_back()) is (wanted and ended.status is not PlayStatus.COMPLETED), (
        about
    )


def silent_afterwards(sim: Recording, run: PlayRun, about: str) -> None:
    later = sim.fork()
    handed = len(later.handed_over(run.run_id))
    later.run_to(later.now + QUARTER)
    assert len(later.handed_over(run.run_id)) == handed, about
    assert not later.state.open, about
    assert later.state.ended_runs[run.run_id] == sim.state.ended_runs[run.run_id], about


def may_run_again_by_its_rule(sim: Recording, ended: PlayRun, about: str) -> None:
    rule = sim.policies.plays[ended.play_id].reentry
    if rule is None:
        for days in (0, 400):
            assert "never runs twice" in refusal_of(sim, ended, days * 86_400.0), about
        return
    assert ended.ended_at is not None
    since = ended.started_at if rule.since is Since.START else ended.ended_at
    again = since + rule.after
    if rule.at_most == 1:
        assert "at most once" in refusal_of(sim, ended, (again - sim.now).total_seconds()), about
        return
    if again > sim.now:
        for early in (sim.now, again - SECOND):
            said = refusal_of(sim, ended, (early - sim.now).total_seconds())
            assert f"may run again from {again:%Y-%m-%d %H:%M}Z on" in said, about
    later = sim.fork()
    later.run_to(max(sim.now, again))
    later.send([later.ask(ended.play_id)])
    if later.state.active_run is None:
        # What ended it holds still, and would end it again.
        criteria = sim.policies.plays[ended.play_id].criteria
        said = later.state.play_refusals[ended.play_id]
        assert said in {f"It would end at once: {each.message}" for each in criteria}, about
    else:
        assert later.run.play_id == ended.play_id, about
        assert later.run.run_id != ended.run_id, about


def refusal_of(sim: Recording, ended: PlayRun, seconds: float) -> str:
    """Return why the play does not enter so much later."""
    later = sim.fork()
    later.run_to(sim.now + timedelta(seconds=seconds))
    later.send([later.ask(ended.play_id)])
    assert later.state.active_run is None
    return later.state.play_refusals[ended.play_id]


@cache
def openings(play_id: str, exit_id: str) -> tuple[str, ...]:
    """What has to happen, one thing or two, so that a condition of a play holds."""
    (met,) = [each for each in policies().plays[play_id].criteria if each.exit_id == exit_id]
    found = next(ways_to(begun(policies().plays[play_id]), lambda sim: has_ended_by(sim, met)), None)
    assert found is not None, f"nothing makes {exit_id} true"
    return found


def has_ended_by(sim: Recording, met: Criterion) -> bool:
    sim.run_to(sim.now + REVIEW_GAP)
    return any(run.end_id == met.exit_id for run in sim.state.ended_runs.values())


@pytest.mark.parametrize(("play_id", "exit_id"), condition_exits())
def test_a_condition_ends_the_run_with_the_next_plan_wherever_it_stands(play_id: str, exit_id: str) -> None:
    play = policies().plays[play_id]
    (met,) = [each for each in play.criteria if each.exit_id == exit_id]
    names = openings(play_id, exit_id)
    for stand, sim in stands(play_id):
        about = f"{names} at {stand}"
        before, run = sim.fork(), sim.run
        due = sim.now
        for name in names:
            last = sim.state.reviewed_at
            due = max(due, last + REVIEW_GAP) if last is not None else due
            sim.send(STIMULI[name](sim))
        if run.run_id in sim.state.runs:
            # It had been looked at within the last minute.
            assert due > sim.now, about
            for _ in range(20):
                if run.run_id in sim.state.runs and sim.now < due:
                    sim.tick()
                    before = sim.fork() if run.run_id in sim.state.runs else before
        ended = sim.state.ended_runs.get(run.run_id)
        assert ended is not None, about
        assert (ended.status, ended.end_id, ended.end_message) == (
            PlayStatus.EXITED,
            met.exit_id,
            met.message,
        ), about
        is_over(before, sim, run, about)


@pytest.mark.parametrize("play_id", PLAYS)
def test_a_person_and_the_end_of_its_time_end_it_wherever_it_stands(play_id: str) -> None:
    for stand, sim in stands(play_id):
        run = sim.run
        cancelled = sim.fork()
        cancelled.send(
            [PlayCancelled(run_id=run.run_id, cancelled_by="dana.reyes", reason="the wrong account")]
        )
        ended = cancelled.state.ended_runs[run.run_id]
        assert (ended.status, ended.end_id) == (PlayStatus.CANCELLED, "cancelled"), stand
        assert ended.end_message == "dana.reyes: the wrong account", stand
        is_over(sim, cancelled, run, f"cancelled at {stand}")

        # A freeze keeps every touch waiting, so that nothing but its time can end it.
        long = sim.fork()
        long.run_to(run.ends_by + SECOND)
        (ended,) = [each for each in long.state.ended_runs.values() if each.run_id == run.run_id]
        assert ended.ended_at is not None, stand
        assert ended.ended_at <= run.ends_by, stand
        if ended.status is PlayStatus.COMPLETED:
            assert not long.taken_back(), "what a play leaves at its own end stays"


@pytest.mark.parametrize(
    ("play_id", "kind"), [(play, kind) for play in PLAYS for kind in sorted(policies().plays[play].starts_on)]
)
def test_each_of_its_signals_starts_a_play_and_too_early_does_not_start_it_again(
    play_id: str, kind: SignalKind
) -> None:
    sim = entered_by(play_id, kind)
    run = next(each for each in sim.state.runs.values() if each.play_id == play_id)
    assert run.started_by.startswith("crm "), "the signal is named"
    sim.send([PlayCancelled(run_id=run.run_id, cancelled_by="dana.reyes", reason="once more")])
    sim.send([started(sim, play_id, kind)])
    assert play_id not in {each.play_id for each in sim.state.runs.values()}
    assert play_id in sim.state.play_refusals


def entered_by(play_id: str, kind: SignalKind) -> Recording:
    """An account on which a signal of this kind has started the play, after one or two things."""

    def enters(sim: Recording) -> bool:
        sim.send([started(sim, play_id, kind)])
        return any(run.play_id == play_id for run in sim.state.runs.values())

    plain = introduced()
    if enters(plain):
        return plain
    names = next(ways_to(introduced(), enters), None)
    assert names is not None, f"no {kind.value} starts {play_id}"
    sim = introduced()
    for name in names:
        sim.send(STIMULI[name](sim))
    assert enters(sim)
    return sim


def started(sim: Recording, play_id: str, kind: SignalKind) -> Observed:
    """A signal as it comes in by the door, asking for one of the plays that it may start."""
    seen = sim.at_the_door(Observed(observation=sim.see(kind)))
    assert isinstance(seen, Observed)
    assert isinstance(seen.observation, Signal)
    assert play_id in seen.observation.enters
    return Observed(observation=seen.observation.model_copy(update={"enters": (play_id,)}))
