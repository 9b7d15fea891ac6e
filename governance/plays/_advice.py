"""What is allowed in a play and still deserves a look."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from governance._builder import Loc
from governance._shared import written
from governance.plays._build import all_steps, options_of
from governance.plays._file import END, PlayFile
from governance.plays._play import Play, Step, Wait

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

Advice = tuple[Loc, str, str]
"""Where, a stable name of the sort of advice, and a sentence."""


def advise(file: PlayFile, play: Play, policies: PolicySet) -> Iterator[Advice]:
    """Yield what people rarely mean: no time for the waits, touches nobody has granted, idle recalls.

    Args:
        file: The play as written.
        play: The same, compiled.
        policies: The set to which it belongs.
    """
    least = shortest(play)
    if least > play.lasts_at_most:
        message = (
            f"the waits of the shortest way through add up to {written(least)}, longer than the play lasts"
        )
        yield ("lasts_at_most",), "too-short", message
    granted = [grant for grant in policies.authority if not grant.origin.log_only]
    kind = policies.people.actors[play.actor].kind
    for each in all_steps(file):
        for below, touch in options_of(each.entry):
            if not any(
                (grant.actor == play.actor if grant.actor is not None else grant.actor_kind is kind)
                and (grant.actions is None or touch.action in grant.actions)
                and (grant.channels is None or touch.channel in grant.channels)
                for grant in granted
            ):
                message = f"nobody has granted {play.actor} the action {touch.action} over {touch.channel}"
                yield (*each.loc, *below, "action"), "no-grant", message
    yield from _recalls(file, play, policies)


def _recalls(file: PlayFile, play: Play, policies: PolicySet) -> Iterator[Advice]:
    touches = {touch.step: touch for touch in play.touches()}
    for index, name in enumerate(file.recall):
        channels = [policies.channels[option.channel] for option in touches[name].options]
        if not any(channel.handover.recalls for channel in channels):
            message = f"no channel of {name} can take a touch back (channels.yaml, recall)"
            yield ("recall", index), "idle-recall", message


def shortest(play: Play) -> timedelta:
    """Return the least time that a run spends waiting before it comes to its end; signals come at once."""
    ahead: list[tuple[timedelta, str]] = [(timedelta(0), play.first)]
    done: set[str] = set()
    while ahead:
        spent, name = heapq.heappop(ahead)
        if name == END:
            return spent
        if name in done:
            continue
        done.add(name)
        for following in play.leads_to(name):
            heapq.heappush(ahead, (spent + _least(play.steps[name]), following))
    return timedelta(0)  # it never ends by itself, so no way is too long


def _least(step: Step) -> timedelta:
    if not isinstance(step, Wait):
        return timedelta(0)
    return step.length or timedelta(days=step.business_days or 0)
