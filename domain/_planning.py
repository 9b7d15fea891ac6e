"""Plans: when the planner is asked what a play does next, and how its answer is applied."""

from __future__ import annotations

from datetime import datetime

from domain import _running as running
from domain._account import Contact
from domain._messages import MakePlan, Planned
from domain._play import PlanRequest, PlayRun
from domain._proposing import open_proposal
from domain._state import PLAN_AGE, AccountState, Planning
from domain._turn import Turn
from domain._vocabulary import PlayStatus, Role, SignalKind

CONTACTS_SHOWN = 200
"""People the planner chooses from."""


def plan_when_due(turn: Turn) -> None:
    """Ask the planner if a run has something to do, or a play wants to enter."""
    state = turn.state
    if state.planning is not None:
        return
    run = _run_to_plan(state, turn.now)
    if run is None and not state.play_asks:
        return
    if run is None:
        run = state.active_run  # those who ask may have to displace it
    state.planning = Planning(
        revision=state.revision,
        run_id=run.run_id if run else None,
        asks=len(state.play_asks),
        requested_at=turn.now,
    )
    if run is not None and run.reviews:
        state.reviewed_at = turn.now
    state.plan_at = None
    turn.effects.append(MakePlan(request=_request(turn, run)))


def next_plan_at(state: AccountState) -> tuple[datetime, str] | None:
    """Return when the planner is asked next if no message comes, and about which run."""
    if state.planning is not None:
        return None
    run = state.active_run
    if run is not None:
        due = min((at for at in (run.due_at, state.plan_at) if at is not None), default=None)
        return (due, run.run_id) if due is not None else None
    resumes = [(each.resume_at, each.run_id) for each in state.runs.values() if each.resume_at is not None]
    return min(resumes, default=None)


def apply_plan(turn: Turn, event: Planned) -> None:
    """Apply a plan, unless what it is about has changed since it was asked for."""
    state, plan = turn.state, event.plan
    planning = state.planning
    if planning is None or plan.revision != planning.revision:
        return
    late = turn.now - (planning.requested_at or turn.now) > PLAN_AGE
    overtaken = state.revision != planning.revision and (plan.entered is not None or late)
    if planning.stale or overtaken:
        ask_again(turn, planning)
        return
    state.planning = None
    heard, state.heard = frozenset(state.heard), ()
    if plan.entered is not None and _ends_at_once(turn, plan.entered, heard):
        # What it would have displaced goes on, and those who had to stand back for it are asked about anew.
        state.plan_at = turn.now
        return
    state.play_asks = state.play_asks[planning.asks :]
    for refusal in plan.refused:
        running.refused(turn, refusal.play_id, refusal.message)
    before = state.runs.get(planning.run_id) if planning.run_id is not None else None
    if plan.run is not None and before is not None and plan.run.run_id == before.run_id:
        move = state.play_moves.pop(before.run_id, None)
        if move is not None and plan.run.policy_digest == move.policy_digest:
            for touch_id, touch in state.touches.items():
                state.touches[touch_id] = move.renamed(touch, before.run_id)
        _apply_move(turn, before, plan.run)
    if plan.entered is not None:
        _enter(turn, plan.entered)
    now_active = state.active_run
    if now_active is not None and heard.intersection(now_active.wakes_on):
        # What it has just begun to wait for came while the planner made up its mind.
        running.plan_again(turn)
    for proposal in plan.proposals:
        run = state.runs.get(proposal.play.run_id) if proposal.play is not None else None
        if run is not None and run.status is PlayStatus.ACTIVE and proposal.proposal_id in run.pending:
            open_proposal(turn, proposal)


def ask_again(turn: Turn, planning: Planning) -> None:
    """Give up a plan that is on its way, and have another one made."""
    state = turn.state
    state.planning, state.plan_at = None, turn.now
    if not planning.asks:
        state.heard = ()  # the next plan knows of these signals, and nobody asked to enter before them


def _ends_at_once(turn: Turn, entered: PlayRun, heard: frozenset[SignalKind]) -> bool:
    """Refuse a play one of whose exit signals has come since it asked to enter."""
    met = next(
        (each for each in entered.exits if not each.audience_only and heard.intersection(each.on)), None
    )
    if met is None:
        return False
    running.refused(turn, entered.play_id, f"it would have ended at once: {met.message}")
    turn.state.play_asks = tuple(ask for ask in turn.state.play_asks if ask.play_id != entered.play_id)
    return True


def _apply_move(turn: Turn, before: PlayRun, after: PlayRun) -> None:
    if after.status.final:
        running.finish(turn, before, after)
    elif after.status is PlayStatus.SUSPENDED and after.suspended_by != before.suspended_by:
        running.suspended(turn, before, after)
    elif after.status is PlayStatus.ACTIVE and not after.pending and after.due_at is None:
        running.end(turn, after, PlayStatus.EXITED, "broken", "the planner gave it nothing to wait for")
    elif after != before:
        running.store(turn, after)
        if after.step != before.step:
            turn.note(f"Play {after.run_id} is at {after.step}")


def _enter(turn: Turn, run: PlayRun) -> None:
    if turn.state.active_run is not None:
        running.refused(turn, run.play_id, "another play is running")
        return
    running.begin(turn, run)
    if run.status.final:
        running.finish(turn, run, run)
    elif not run.pending and run.due_at is None:
        running.end(turn, run, PlayStatus.EXITED, "broken", "the planner gave it nothing to wait for")
    else:
        running.store(turn, run)


def _run_to_plan(state: AccountState, now: datetime) -> PlayRun | None:
    """Return the run that has something to do now."""
    run = state.active_run
    if run is not None:
        over = not run.pending and run.due_at is None
        due = any(at is not None and at <= now for at in (run.due_at, state.plan_at))
        return run if due or over or run.run_id in state.play_moves else None
    moving = next((each for each in state.runs.values() if each.run_id in state.play_moves), None)
    if moving is not None:
        return moving
    resumes = sorted(
        (each.resume_at, each.run_id)
        for each in state.runs.values()
        if each.resume_at is not None and each.resume_at <= now
    )
    return state.runs[resumes[0][1]] if resumes else None


def _request(turn: Turn, run: PlayRun | None) -> PlanRequest:
    state = turn.state
    return PlanRequest(
        account_id=state.account_id,
        account=state.account,
        contacts=_people(state, run),
        readings=tuple(state.readings[system] for system in sorted(state.readings)),
        touches=state.counted_touches(),
        circumstances=state.circumstances,
        settled=state.settled,
        run=run,
        move_to=state.play_moves.get(run.run_id) if run is not None else None,
        asks=state.play_asks,
        past=tuple(state.past_plays[play_id] for play_id in sorted(state.past_plays)),
        next_number=state.run_number + 1,
        revision=state.revision,
        now=turn.now,
    )


def _people(state: AccountState, run: PlayRun | None) -> dict[str, Contact]:
    """Return whom a play may address: first whom it has addressed, then the buying group."""
    addressed = {step.contact_id for step in run.steps} if run is not None else set()
    ranked = sorted(
        (contact_id not in addressed, contact.role is Role.UNKNOWN, contact_id)
        for contact_id, contact in state.contacts.items()
        if contact_id in addressed or contact.role is not Role.UNKNOWN
    )
    return {contact_id: state.contacts[contact_id] for _, _, contact_id in ranked[:CONTACTS_SHOWN]}
