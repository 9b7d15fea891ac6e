"""Entering: whether a play may start on an account now, and before whom a running one stands back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from domain import (
    Displacement,
    PlayAsk,
    PlayPast,
    PlayPreemption,
    PlayRun,
    PlayStatus,
    Signal,
)
from governance._case import FAR
from governance._shared import written
from governance.plays._file import Since
from governance.plays._moves import ended
from governance.plays._play import Play, Reentry
from governance.plays._world import UnreadableError, World

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

DISPLACED = "displaced"
_ENTERS = 20
"""Plays that a signal can carry."""


def with_plays(plays: Iterable[Play], signal: Signal) -> Signal:
    """Return a signal with the plays that its kind may start: the twenty of the highest priority, by name."""
    starting = [play for play in plays if signal.kind in play.starts_on]
    starting.sort(key=lambda play: (-play.priority, play.play_id))
    enters = tuple(sorted(play.play_id for play in starting[:_ENTERS]))
    return signal if enters == signal.enters else signal.model_copy(update={"enters": enters})


def refusal(play: Play, ask: PlayAsk, world: World) -> str | None:
    """Return why a play does not enter, apart from what else is running; None if it may."""
    past = next((each for each in world.request.past if each.play_id == play.play_id), None)
    said = _too_early(play.reentry, past, world) if past is not None else None
    if said is not None:
        return said
    try:
        if not ask.by_person and play.when is not None and not world.holds(play.when, None):
            return "Its entry condition does not hold."
        for criterion in play.criteria:
            if world.holds(criterion.when, new_run(play, ask, world)):
                return f"It would end at once: {criterion.message}"
    except UnreadableError as error:
        return f"One of its conditions gives no answer: {error}"
    return None


def _too_early(reentry: Reentry | None, past: PlayPast, world: World) -> str | None:
    if past.last_ended_at is None:
        return "It is running on this account already."
    if reentry is None:
        return "It has run on this account, and never runs twice."
    if reentry.at_most is not None and past.runs >= reentry.at_most:
        times = "once" if reentry.at_most == 1 else f"{reentry.at_most} times"
        return (
            f"It has run {past.runs} times, and runs at most {times}."
            if past.runs > 1
            else (f"It has run before, and runs at most {times}.")
        )
    since = past.last_started_at if reentry.since is Since.START else past.last_ended_at
    again = min(since + reentry.after, FAR)
    if world.now < again:
        return (
            f"It may run again from {again:%Y-%m-%d %H:%M}Z on, {written(reentry.after)} after the "
            f"{reentry.since.value} of its last run."
        )
    return None


def stands_back(run: PlayRun, play_id: str) -> PlayPreemption | None:
    """Return the rule by which a running play stands back before another one; None if it does not."""
    return next((rule for rule in run.preemptions if play_id in rule.plays), None)


def displaced(run: PlayRun, rule: PlayPreemption, by: PlayRun, world: World) -> PlayRun:
    """Return a run that stands back before another one."""
    if rule.then is Displacement.CANCEL:
        return ended(run, PlayStatus.CANCELLED, DISPLACED, rule.message, world.now)
    return run.model_copy(
        update={
            "status": PlayStatus.SUSPENDED,
            "pending": (),
            "suspended_by": by.run_id,
            "suspended_at": world.now,
            "resume_after_seconds": rule.resume_after_seconds,
            "resume_at": None,
        }
    )


def new_run(play: Play, ask: PlayAsk, world: World) -> PlayRun:
    """Return a run at its first step, before it has done anything."""
    now = world.now
    run = PlayRun(
        run_id=f"{play.play_id}.{world.request.next_number}",
        play_id=play.play_id,
        name=play.name,
        version=play.version,
        policy_digest=world.policies.digest,
        status=PlayStatus.ACTIVE,
        started_at=now,
        started_by=ask.asked_by,
        ends_by=min(now + play.lasts_at_most, FAR),
        step=play.first,
        entered_at=now,
        moves=1,
    )
    return bound_to(run, play, world.policies.digest, world.policies)


def bound_to(run: PlayRun, play: Play, digest: str, policies: PolicySet) -> PlayRun:
    """Return a run that goes by a version: with what must act at once copied from it.

    Args:
        run: The run.
        play: The version.
        digest: The policy set in which that version is found.
        policies: The set in force, which knows what actions are after.
    """
    return run.model_copy(
        update={
            "name": play.name,
            "version": play.version,
            "policy_digest": digest,
            "ends_by": min(run.started_at + play.lasts_at_most, FAR),
            "exits": play.exits,
            "reviews": bool(play.criteria),
            "preemptions": tuple(_preemptions(play, policies)),
            "recalls": play.recalls,
        }
    )


def _preemptions(play: Play, policies: PolicySet) -> list[PlayPreemption]:
    intents = policies.arbitration.intents
    return [
        PlayPreemption(
            rule_id=rule.rule_id,
            intents=rule.intents,
            actions=tuple(
                sorted(
                    {*rule.actions, *(action for action, intent in intents.items() if intent in rule.intents)}
                )
            ),
            actors=rule.actors,
            plays=rule.plays,
            then=rule.then,
            resume_after_seconds=rule.resume_after.total_seconds() if rule.resume_after is not None else None,
            message=rule.message,
        )
        for rule in play.displaced_by
    ]
