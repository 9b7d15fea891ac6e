"""Runs of plays: what acts on them at once, whatever they wait for, and how they end.

At most one run is active. One that had to stand back is suspended: it proposes nothing until its turn comes.
"""

from __future__ import annotations

from datetime import timedelta

from domain import _recalling as recalling
from domain._account import Signal
from domain._base import one_line
from domain._dropping import drop
from domain._messages import PlayCancelled, PlayMigrated, PlayResumed
from domain._play import STEPS_REMEMBERED, PlayAsk, PlayPast, PlayPreemption, PlayRun, PlayStep
from domain._proposal import Proposal
from domain._records import PlayFact
from domain._state import (
    ASKS_LIMIT,
    ENDED_RUNS_LIMIT,
    EXIT_REACH,
    PAST_PLAYS_LIMIT,
    OpenProposal,
)
from domain._touch import TouchRecord
from domain._turn import Turn, trim
from domain._vocabulary import Displacement, PlayStatus, ProposalStatus, ReasonCode, TouchStatus

ENTRY_REACH = timedelta(days=7)
"""A signal starts a play up to this long after it was observed: what an import digs up starts nothing."""
REVIEW_GAP = timedelta(seconds=60)
"""Exit conditions are looked at when the world changes, in a stream of changes at most this often."""
REFUSALS_REMEMBERED = 20
"""Plays of which it is remembered why they did not enter the last time."""
CANCELLED, DISPLACED, TOO_LONG = "cancelled", "displaced", "too_long"
_MADE = frozenset({TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN})
_ENDS = {
    TouchStatus.HANDED_OVER: (ProposalStatus.SENT, ReasonCode.ALLOWED),
    TouchStatus.UNKNOWN: (ProposalStatus.IN_DOUBT, ReasonCode.IN_DOUBT),
    None: (ProposalStatus.FAILED, ReasonCode.EVALUATION_ERROR),
}
"""How a proposal has ended whose end is forgotten, by the status of its touch."""


def hear(turn: Turn, signal: Signal) -> None:
    """Let a signal end runs, wake the one that waits for it, and bring in plays that it may start."""
    if turn.state.planning is not None and signal.kind not in turn.state.heard:
        turn.state.heard = (*turn.state.heard, signal.kind)
    for run in tuple(turn.state.runs.values()):
        if run.started_at > signal.observed_at + EXIT_REACH:
            continue
        met = next(
            (
                e
                for e in run.exits
                if signal.kind in e.on and (not e.audience_only or signal.contact_id in _addressed(turn, run))
            ),
            None,
        )
        if met is not None:
            status = PlayStatus.COMPLETED if met.goal else PlayStatus.EXITED
            end(turn, run, status, met.exit_id, met.message)
        elif run.status is PlayStatus.ACTIVE and signal.kind in run.wakes_on:
            plan_again(turn)
    if signal.observed_at >= turn.now - ENTRY_REACH:
        for play_id in signal.enters:
            asked_by = one_line(f"{signal.source} {signal.signal_id}")
            ask(turn, PlayAsk(play_id=play_id, asked_by=asked_by, asked_at=turn.now))


def ask(turn: Turn, wanted: PlayAsk) -> None:
    """Let a play ask to enter; one asks once at a time, and a person's word is worth more."""
    asks = turn.state.play_asks
    waiting = next((each for each in asks if each.play_id == wanted.play_id), None)
    if waiting is not None:
        if wanted.by_person and not waiting.by_person:
            turn.state.play_asks = tuple(wanted if each is waiting else each for each in asks)
            outdate(turn)
        return
    if len(asks) >= ASKS_LIMIT:
        turn.refuse("play", f"{wanted.play_id}: at most {ASKS_LIMIT} plays may wait to enter")
        return
    turn.state.play_asks = (*asks, wanted)
    turn.state.play_refusals.pop(wanted.play_id, None)


def refused(turn: Turn, play_id: str, why: str) -> None:
    """Record that a play did not enter, or a run did not move, and why."""
    known = turn.state.play_refusals
    known.pop(play_id, None)
    known[play_id] = one_line(why)
    trim(known, REFUSALS_REMEMBERED)
    turn.refuse("play", f"{play_id}: {why}")


def plan_again(turn: Turn) -> None:
    """Have the planner asked at once; what it is working on now is out of date."""
    turn.state.plan_at = turn.now
    outdate(turn)


def outdate(turn: Turn) -> None:
    """Make a plan that is on its way stale."""
    if turn.state.planning is not None:
        turn.state.planning = turn.state.planning.model_copy(update={"stale": True})


def review(turn: Turn) -> None:
    """Have exit conditions looked at, because the account's world has changed."""
    run = turn.state.active_run
    if run is None or not run.reviews:
        return
    last = turn.state.reviewed_at
    at = turn.now if last is None else max(turn.now, last + REVIEW_GAP)
    turn.state.plan_at = min(at, turn.state.plan_at or at)


def store(turn: Turn, run: PlayRun) -> None:
    """Keep a run as it stands now, and tell the ledger."""
    turn.state.runs[run.run_id] = run
    turn.record(PlayFact(seq=turn.next_seq(), at=turn.now, run=run))


def end(turn: Turn, run: PlayRun, status: PlayStatus, end_id: str, message: str) -> None:
    """End a run now: nothing of it stays scheduled, and what can be taken back is."""
    finish(
        turn,
        run,
        run.model_copy(
            update={
                "status": status,
                "pending": (),
                "due_at": None,
                "wakes_on": (),
                "ended_at": turn.now,
                "end_id": end_id,
                "end_message": one_line(message),
            }
        ),
    )


def finish(turn: Turn, before: PlayRun, ended: PlayRun) -> None:
    """Take a run that has ended out of those that are running."""
    state = turn.state
    outdate(turn)
    state.runs.pop(ended.run_id, None)
    state.play_moves.pop(ended.run_id, None)
    state.ended_runs[ended.run_id] = ended
    trim(state.ended_runs, ENDED_RUNS_LIMIT)
    past = state.past_plays.get(ended.play_id)
    if past is not None:
        state.past_plays[ended.play_id] = past.model_copy(update={"last_ended_at": turn.now})
    turn.record(PlayFact(seq=turn.next_seq(), at=turn.now, run=ended))
    why = ended.end_message or "its steps are done"
    turn.note(f"Play {ended.run_id} {ended.status.value}: {why}")
    _drop_pending(turn, before, ReasonCode.PLAY_ENDED, f"{ended.run_id} {ended.status.value}: {why}")
    for touch in tuple(state.touches.values()):
        _take_back(turn, ended, touch)


def take_back_late(turn: Turn, touch_id: str) -> None:
    """Take back what a channel has made of a run that ended while it was at it."""
    touch = turn.state.touches.get(touch_id)
    ended = turn.state.ended_runs.get(touch.play.run_id) if touch is not None and touch.play else None
    if touch is not None and ended is not None:
        _take_back(turn, ended, touch)


def _take_back(turn: Turn, ended: PlayRun, touch: TouchRecord) -> None:
    if touch.play is None or touch.play.run_id != ended.run_id or touch.status is TouchStatus.IN_FLIGHT:
        return
    # A task with which a play comes to its end is what the play was for.
    if touch.play.step in ended.recalls and ended.status is not PlayStatus.COMPLETED:
        why = ended.end_message or "its steps are done"
        recalling.begin(turn, touch, f"{ended.run_id} {ended.status.value}: {why}")


def begin(turn: Turn, run: PlayRun) -> None:
    """Take in a run that has entered."""
    state = turn.state
    state.run_number += 1
    past = state.past_plays.pop(run.play_id, None)
    state.past_plays[run.play_id] = PlayPast(
        play_id=run.play_id, runs=past.runs + 1 if past else 1, last_started_at=turn.now
    )
    trim(state.past_plays, PAST_PLAYS_LIMIT)
    turn.note(f"Play {run.run_id} entered ({run.started_by})")


def stand_back(turn: Turn, proposal: Proposal) -> None:
    """Let the active run stand back for a proposal that has just won, if one of its rules says so."""
    run = turn.state.active_run
    if run is None or (proposal.play is not None and proposal.play.run_id == run.run_id):
        return
    rule = next((each for each in run.preemptions if _matches(each, proposal)), None)
    if rule is None:
        return
    if rule.then is Displacement.CANCEL:
        end(turn, run, PlayStatus.CANCELLED, DISPLACED, rule.message)
    else:
        suspend(turn, run, by=proposal.proposal_id, rule=rule)


def suspend(turn: Turn, run: PlayRun, *, by: str, rule: PlayPreemption) -> None:
    """Have a run wait until what displaced it is over."""
    suspended(
        turn,
        run,
        run.model_copy(
            update={
                "status": PlayStatus.SUSPENDED,
                "pending": (),
                "suspended_by": by,
                "suspended_at": turn.now,
                "resume_after_seconds": rule.resume_after_seconds,
                "resume_at": None,
            }
        ),
    )


def suspended(turn: Turn, before: PlayRun, now: PlayRun) -> None:
    """Take in a run that has been suspended; its open proposals end, and are made again later.

    One that is with its channel may be too far on to be stopped: the run keeps it until the channel has said
    so, and does not make it twice.
    """
    outdate(turn)
    _drop_pending(turn, before, ReasonCode.PLAY_SUSPENDED, f"{now.run_id} stands back for {now.suspended_by}")
    flying = tuple(each for each in before.pending if _open_of(turn, before, each) is not None)
    store(turn, now.model_copy(update={"pending": flying}))
    turn.note(f"Play {now.run_id} suspended for {now.suspended_by}")


def cancel(turn: Turn, event: PlayCancelled) -> None:
    """End a run because a person says so."""
    run = turn.state.runs.get(event.run_id)
    if run is None:
        turn.refuse("play", f"no run {event.run_id} is running on this account")
        return
    end(turn, run, PlayStatus.CANCELLED, CANCELLED, f"{event.cancelled_by}: {event.reason}")


def resume(turn: Turn, event: PlayResumed) -> None:
    """Let a suspended run go on because a person says so; it waits while another is active."""
    run = turn.state.runs.get(event.run_id)
    if run is None or run.status is not PlayStatus.SUSPENDED:
        turn.refuse("play", f"no run {event.run_id} is suspended on this account")
        return
    outdate(turn)
    turn.note(f"{event.resumed_by} lets play {run.run_id} go on")
    store(turn, run.model_copy(update={"resume_at": turn.now}))


def migrate(turn: Turn, event: PlayMigrated) -> None:
    """Have the runs of a play go on with another version of it, if the planner finds their place there."""
    for run in turn.state.runs.values():
        if run.play_id == event.play_id and run.policy_digest != event.move.policy_digest:
            turn.state.play_moves[run.run_id] = event.move
            turn.note(f"{event.moved_by} moves play {run.run_id} to set {event.move.policy_digest[:12]}")
            outdate(turn)


def settle(turn: Turn) -> None:
    """Take note of touches that ended, of runs that last too long, and of what suspended ones wait for."""
    for run in tuple(turn.state.runs.values()):
        if run.ends_by <= turn.now:
            end(turn, run, PlayStatus.EXITED, TOO_LONG, "it has lasted as long as it may")
            continue
        left = _collected(turn, run)
        suspended_for_now = left.status is PlayStatus.SUSPENDED and left.resume_at is None
        if suspended_for_now and left.resume_after_seconds is not None and _is_over(turn, left):
            at = turn.now + timedelta(seconds=left.resume_after_seconds)
            store(turn, left.model_copy(update={"resume_at": at}))


def _is_over(turn: Turn, run: PlayRun) -> bool:
    by = run.suspended_by or ""
    return by not in turn.state.open and by not in turn.state.runs


def _collected(turn: Turn, run: PlayRun) -> PlayRun:
    """Move the run's proposals that have ended from those pending to what became of its steps."""
    ended = [each for each in run.pending if _open_of(turn, run, each) is None]
    if not ended:
        return run
    steps = [*run.steps, *(_step(turn, run, proposal_id) for proposal_id in ended)]
    pending = tuple(proposal_id for proposal_id in run.pending if proposal_id not in ended)
    update = {"steps": tuple(steps[-STEPS_REMEMBERED:]), "pending": pending}
    turn.state.runs[run.run_id] = run = run.model_copy(update=update)
    if run.status is PlayStatus.ACTIVE:
        plan_again(turn)
    return run


def _open_of(turn: Turn, run: PlayRun, proposal_id: str) -> OpenProposal | None:
    """Return a run's own proposal if it is open; somebody else may have taken the id before."""
    item = turn.state.open.get(proposal_id)
    play = item.proposal.play if item is not None else None
    return item if play is not None and play.run_id == run.run_id else None


def _step(turn: Turn, run: PlayRun, proposal_id: str) -> PlayStep:
    closed = turn.state.closed.get(proposal_id)
    if closed is None or closed.proposal.play is None:
        return _step_without_end(turn, run, proposal_id)
    return PlayStep(
        step=closed.proposal.play.step,
        proposal_id=proposal_id,
        channel=closed.proposal.channel,
        contact_id=closed.proposal.contact_id,
        status=closed.status,
        reason=closed.reason,
        at=turn.now,
    )


def _step_without_end(turn: Turn, run: PlayRun, proposal_id: str) -> PlayStep:
    """Return what became of a proposal that never got in, or whose end many others have pushed out since.

    Its touch says whether it was made; without one, it was not.
    """
    touches = turn.state.touches.values()
    made = next((t for t in touches if t.proposal_id == proposal_id and t.play and t.status in _MADE), None)
    status, reason = _ENDS[made.status if made is not None else None]
    return PlayStep(
        step=run.step_of(proposal_id),
        proposal_id=proposal_id,
        channel=made.channel if made is not None else "unknown",
        contact_id=made.contact_id if made is not None else None,
        status=status,
        reason=reason,
        at=turn.now,
    )


def _drop_pending(turn: Turn, run: PlayRun, reason: ReasonCode, message: str) -> None:
    for proposal_id in run.pending:
        item = _open_of(turn, run, proposal_id)
        if item is not None:
            drop(turn, item, reason, message)


def _matches(rule: PlayPreemption, proposal: Proposal) -> bool:
    return (
        proposal.action in rule.actions
        or proposal.actor in rule.actors
        or (proposal.intent is not None and proposal.intent in rule.intents)
    )


def _addressed(turn: Turn, run: PlayRun) -> frozenset[str | None]:
    """Return everybody to whom the run has made a touch, or is making one."""
    return frozenset(
        touch.contact_id
        for touch in turn.state.touches.values()
        if touch.play is not None
        and touch.play.run_id == run.run_id
        and touch.status is not TouchStatus.RELEASED
    ) - {None}
