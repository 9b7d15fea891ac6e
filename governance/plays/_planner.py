"""The planner: what a play does next on one account, and which play enters.

Pure and deterministic: the same request under the same policy set and the same pinned versions gives the same
plan, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from domain import (
    Plan,
    PlanRequest,
    PlayAsk,
    PlayMove,
    PlayRefusal,
    PlayRun,
    PlayStatus,
    Proposal,
    ReasonCode,
)
from governance._case import one_line
from governance.plays._entry import bound_to, displaced, new_run, refusal, stands_back
from governance.plays._moves import BROKEN, Walk, ended, tried_here, walk_on
from governance.plays._play import Play, TouchStep
from governance.plays._world import World

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

Pinned = Mapping[tuple[str, str], Play]
"""Versions by the digest of their policy set and the name of the play."""


def plan(policies: PolicySet, request: PlanRequest, pinned: Pinned) -> Plan:
    """Say what the running play does next, and which of those that ask may enter.

    Nothing in a request makes it raise: a run whose version is not known, or one of whose conditions gives no
    answer, ends as `broken`.

    Args:
        policies: The policy set in force; what enters goes by it.
        request: The account's world.
        pinned: The versions that `request.run` and `request.move_to` name.
    """
    refused: list[PlayRefusal] = []
    run, entered = request.run, None
    proposals: list[Proposal] = []
    if request.account is None:
        refused += [_refused(ask.play_id, "Nothing is known about this account yet.") for ask in request.asks]
        if run is not None:
            said = "Nothing is known about this account any more."
            run = ended(run, PlayStatus.EXITED, BROKEN, said, request.now)
    else:
        world = World(policies, request, request.account)
        if run is not None:
            run, proposals = _moved(world, run, pinned, refused)
        entering = _entering(world, run, refused)
        if entering is not None:
            run, entered, proposals = entering
    return Plan(
        revision=request.revision,
        policy_digest=policies.digest,
        run=run,
        entered=entered,
        proposals=tuple(proposals),
        refused=tuple(refused),
    )


def _refused(play_id: str, message: str) -> PlayRefusal:
    return PlayRefusal(play_id=play_id, message=one_line(message))


def _version(world: World, digest: str, play_id: str, pinned: Pinned) -> Play | None:
    if digest == world.policies.digest and play_id in world.policies.plays:
        return world.policies.plays[play_id]
    return pinned.get((digest, play_id))


def _moved(
    world: World, run: PlayRun, pinned: Pinned, refused: list[PlayRefusal]
) -> tuple[PlayRun, list[Proposal]]:
    """Return the request's run after its move, and what it proposes."""
    move = world.request.move_to
    stays = run.status is PlayStatus.SUSPENDED and move is not None
    if move is not None:
        other = _migrated(world, run, pinned)
        if isinstance(other, str):
            refused.append(_refused(run.play_id, other))
            if stays or run.pending or run.due_at is not None:
                return run, []
            # Its touches have just ended: it goes on by its own version.
        else:
            run, world = other, _renamed(world, move, run.run_id)
    if stays or run.status.final:
        return run, []
    play = _version(world, run.policy_digest, run.play_id, pinned)
    if play is None:
        said = f"The version {run.version[:12]} of the play {run.play_id} cannot be read any more."
        return ended(run, PlayStatus.EXITED, BROKEN, said, world.now), []
    walk = Walk(world, play, _resumed(run))
    walk_on(walk)
    return walk.run, walk.proposals


def _resumed(run: PlayRun) -> PlayRun:
    if run.status is not PlayStatus.SUSPENDED:
        return run
    return run.model_copy(
        update={
            "status": PlayStatus.ACTIVE,
            # What the suspension took back was never tried, and would only push out what was.
            "steps": tuple(each for each in run.steps if each.reason is not ReasonCode.PLAY_SUSPENDED),
            "suspended_by": None,
            "suspended_at": None,
            "resume_after_seconds": None,
            "resume_at": None,
        }
    )


def _migrated(world: World, run: PlayRun, pinned: Pinned) -> PlayRun | str:
    """Return a run that goes by another version, or why it cannot."""
    move = world.request.move_to
    if move is None or run.status.final:
        return "It is over."
    play = _version(world, move.policy_digest, run.play_id, pinned)
    if play is None:
        return f"The policy set {move.policy_digest[:12]} has no play {run.play_id} that can be read."
    here = run.step or ""
    there = move.steps.get(here, here)
    if there not in play.steps:
        return f"The other version has no step {there}; say which of its steps takes the place of {here}."
    own = _version(world, run.policy_digest, run.play_id, pinned)
    if own is not None and here in own.steps and not _same_sort(own, here, play, there):
        return f"The step {there} of the other version is of another sort than {here}."
    waits = {run.step_of(proposal_id) for proposal_id in run.pending}
    if any(move.steps.get(name, name) != name for name in waits):
        return f"The run waits for a touch of {here}, which would be called otherwise; move it afterwards."
    begun = waits | ({each.step for each in tried_here(run)} & _at(own, here))
    lost = {name for name in begun if move.steps.get(name, name) not in _at(play, there)}
    if lost:
        return f"The other version of {there} has no {min(lost)}, which has begun; say what it is there."
    steps = tuple(
        each.model_copy(update={"step": move.steps.get(each.step, each.step)}) for each in run.steps
    )
    run = run.model_copy(update={"step": there, "steps": steps, "due_at": None, "wakes_on": ()})
    return bound_to(run, play, move.policy_digest, world.policies)


def _renamed(world: World, move: PlayMove, run_id: str) -> World:
    """Return the world with what the run has done called as in its new version."""
    touches = tuple(move.renamed(touch, run_id) for touch in world.request.touches)
    return replace(world, request=world.request.model_copy(update={"touches": touches}))


def _same_sort(own: Play, here: str, other: Play, there: str) -> bool:
    one, two = own.steps[here], other.steps[there]
    if isinstance(one, TouchStep) and isinstance(two, TouchStep):
        return one.parallel is two.parallel
    return type(one) is type(two)


def _at(play: Play | None, step: str) -> frozenset[str]:
    here = play.steps.get(step) if play is not None else None
    return frozenset(touch.step for touch in here.touches) if isinstance(here, TouchStep) else frozenset()


def _entering(
    world: World, run: PlayRun | None, refused: list[PlayRefusal]
) -> tuple[PlayRun | None, PlayRun, list[Proposal]] | None:
    """Return what becomes of the running play, what enters and what that proposes; None if none enters."""
    found: tuple[PlayRun | None, PlayRun, list[Proposal]] | None = None
    active = run if run is not None and run.status is PlayStatus.ACTIVE else None
    for ask in sorted(world.request.asks, key=lambda ask: _order(ask, world)):
        play = world.policies.plays.get(ask.play_id)
        if play is None:
            refused.append(_refused(ask.play_id, "There is no such play in the policy set in force."))
            continue
        said = f"The play {found[1].name} enters at the same moment." if found is not None else None
        said = said or refusal(play, ask, world)
        rule = stands_back(active, play.play_id) if active is not None else None
        if said is None and active is not None and rule is None:
            said = f"The play {active.name} is running, and does not stand back before it."
        if said is not None:
            refused.append(_refused(ask.play_id, said))
            continue
        walk = Walk(world, play, new_run(play, ask, world))
        back = displaced(active, rule, walk.run, world) if active is not None and rule is not None else run
        walk_on(walk)
        found = back, walk.run, walk.proposals
    return found


def _order(ask: PlayAsk, world: World) -> tuple[int, object, str]:
    play = world.policies.plays.get(ask.play_id)
    return (-play.priority if play is not None else 1, ask.asked_at, ask.play_id)
