"""What can be known of a play before it runs: unknown names, steps nobody reaches, endless loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from governance._builder import Builder, Loc
from governance._case import Channel
from governance.content import Content, Part
from governance.plays._build import Written, all_steps, options_of
from governance.plays._file import END, PlayFile, SameAs, StepEntry, TouchEntry
from governance.plays._play import Play, TouchStep, Wait

_HTML_ONLY: Final = Part.HTML


@dataclass(frozen=True, slots=True)
class Around:
    """What a play may name.

    Attributes:
        channels: The channels by name; None while channels.yaml cannot be read.
        contents: The contents by name; None for one that cannot be used.
        plays: Names of all plays.
    """

    channels: Mapping[str, Channel] | None
    contents: Mapping[str, Content | None]
    plays: frozenset[str]


def check_names(file: PlayFile, builder: Builder, around: Around) -> None:
    """Note every name that does not exist, and every touch that its channel could not take."""
    builder.known(("actor",), file.actor, builder.roll.actors, "actor")
    written = all_steps(file)
    steps = {each.entry.id for each in written if not isinstance(each.entry, StepEntry)}
    steps |= {each.entry.id for each in written if _is_touch(each)}
    for index, name in enumerate(file.recall):
        builder.known(("recall", index), name, steps, "touch called")
    for index, rule in enumerate(file.displaced_by):
        loc: Loc = ("displaced_by", index)
        builder.all_known((*loc, "plays"), rule.plays or (), around.plays - {file.id}, "other play")
        builder.all_known((*loc, "actors"), rule.actors or (), builder.roll.actors, "actor")
    _check_jumps(file, builder, steps)
    for each in written:
        for below, touch in options_of(each.entry):
            _check_touch((*each.loc, *below), touch, builder, around)
            if isinstance(touch.to, SameAs):
                builder.known((*each.loc, *below, "to", "same_as"), touch.to.same_as, steps, "touch called")


def _is_touch(written: Written) -> bool:
    return written.entry.touch is not None


def _check_jumps(file: PlayFile, builder: Builder, touches: set[str]) -> None:
    targets = {entry.id for entry in file.steps} | {END}
    for index, entry in enumerate(file.steps):
        if entry.then is not None:
            builder.known(("steps", index, "then"), entry.then, targets, "step")
        for place, way in enumerate(entry.branch or ()):
            loc: Loc = ("steps", index, "branch", place)
            builder.known((*loc, "go"), way.go, targets, "step")
            if way.of is not None:
                builder.known((*loc, "of"), way.of, touches, "touch called")


def _check_touch(loc: Loc, touch: TouchEntry, builder: Builder, around: Around) -> None:
    builder.known((*loc, "channel"), touch.channel, builder.roll.channels, "channel")
    if touch.content is not None:
        builder.known((*loc, "content"), touch.content, around.contents.keys(), "content")
    channel = (around.channels or {}).get(touch.channel)
    content = around.contents.get(touch.content) if touch.content is not None else None
    if content is not None:
        _check_content(loc, touch, content, channel, builder)
    if channel is None:
        return
    if touch.to is None and (channel.needs_email or channel.needs_phone):
        message = f"the channel {channel.name} needs a person: say in `to` which roles it addresses"
        builder.reject((*loc, "channel"), message, code="missing-role")
    if touch.content is None and channel.content_parts:
        message = f"the channel {channel.name} needs a content with {_listed(channel.content_parts)}"
        builder.reject((*loc, "channel"), message, code="missing-content")


def _check_content(
    loc: Loc, touch: TouchEntry, content: Content, channel: Channel | None, builder: Builder
) -> None:
    at = (*loc, "content")
    if touch.to is None and content.speaks_to_a_person:
        message = f"{content.content_id} speaks to a person, and the step addresses nobody; say in `to` whom"
        builder.reject(at, message, code="missing-role")
    if content.channels is not None and touch.channel not in content.channels:
        message = (
            f"{content.content_id} is written for {_listed(content.channels)}, and not for {touch.channel}"
        )
        builder.reject(at, message, code="wrong-content")
    if channel is None:
        return
    lacking = [part for part in channel.content_parts if part not in {each.value for each in content.parts}]
    if lacking:
        message = (
            f"{content.content_id} has no {_listed(lacking)}, which the channel {channel.name} needs; add it "
            f"in content/{content.content_id}.yaml"
        )
        builder.reject(at, message, code="missing-part")
    used = content.uses.get(_HTML_ONLY)
    absent = [name for name in channel.placeholders if used is not None and name not in used]
    if absent:
        message = (
            f"the html of {content.content_id} lacks {_braced(absent)}, which the channel {channel.name} "
            f"needs; add it in content/{content.content_id}.yaml"
        )
        builder.reject(at, message, code="missing-placeholder")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{{ {name} }}}}" for name in names)


def check_ways(file: PlayFile, play: Play, builder: Builder) -> None:
    """Note steps nobody reaches, loops in which no time passes, and people who are not known in time.

    Args:
        file: What people wrote; all its names exist.
        play: The same, compiled.
        builder: Notes mistakes.
    """
    places = {entry.id: ("steps", index) for index, entry in enumerate(file.steps)}
    reached = reachable(play, play.first)
    for name, loc in places.items():
        if name not in reached:
            builder.reject((*loc, "id"), f"no way leads to the step {name}", code="unreachable")
    for name in sorted(_hurried(play) & reached, key=list(places).index):
        message = f"the play can come back to {name} without a wait for a time, and would go round and round"
        builder.reject((*places[name], "id"), message, code="endless-loop")
        break
    _check_same(file, play, builder)
    _check_together(file, builder)


def reachable(play: Play, start: str, *, without: str | None = None) -> frozenset[str]:
    """Return the steps that can come from a step on, itself included.

    Args:
        play: Whose steps they are.
        start: Where to begin.
        without: A step through which no way may lead.
    """
    found: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name in found or name == without or name not in play.steps:
            continue
        found.add(name)
        ahead += play.leads_to(name)
    return frozenset(found)


def _hurried(play: Play) -> frozenset[str]:
    """Return the steps that can be entered twice without a wait for a time in between."""
    quick = {
        name: [other for other in play.leads_to(name) if other in play.steps and not _waits(play, other)]
        for name in play.steps
        if not _waits(play, name)
    }
    found = set()
    for start, following in quick.items():
        seen: set[str] = set()
        ahead = list(following)
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += quick[name]
        if start in seen:
            found.add(start)
    return frozenset(found)


def _waits(play: Play, name: str) -> bool:
    step = play.steps[name]
    return isinstance(step, Wait) and step.surely_waits


def _check_same(file: PlayFile, play: Play, builder: Builder) -> None:
    """`same_as` and `of` look back: the first at what surely was, the second at what may have been."""
    homes = {
        touch.step: name
        for name, step in play.steps.items()
        if isinstance(step, TouchStep)
        for touch in step.touches
    }
    for each in all_steps(file):
        own = homes.get(each.entry.id)
        for below, touch in options_of(each.entry):
            if own is None or not isinstance(touch.to, SameAs):
                continue
            home = homes[touch.to.same_as]
            if home == own or own in reachable(play, play.first, without=home):
                message = f"{touch.to.same_as} is not surely over before {each.entry.id} begins"
                builder.reject((*each.loc, *below, "to", "same_as"), message, code="not-before")
    for index, entry in enumerate(file.steps):
        for place, way in enumerate(entry.branch or ()):
            if way.of is not None and entry.id not in reachable(play, homes[way.of]):
                message = f"{way.of} never comes before {entry.id}, so nothing can have come back on it"
                builder.reject(("steps", index, "branch", place, "of"), message, code="not-before")


def _check_together(file: PlayFile, builder: Builder) -> None:
    """Touches at the same time go to different people: each needs a role that no other looks for first."""
    for index, entry in enumerate(file.steps):
        first: dict[object, str] = {}
        for place, inner in enumerate(entry.parallel or ()):
            loc: Loc = ("steps", index, "parallel", place)
            to = inner.touch.to
            if to is None:
                message = f"{inner.id} addresses nobody; touches at the same time each go to another person"
                builder.reject((*loc, "id"), message, code="missing-role")
                continue
            wanted: tuple[object, ...] = (to.same_as,) if isinstance(to, SameAs) else to
            if all(role in first for role in wanted):
                message = (
                    f"{inner.id} and {first[wanted[0]]} would go to the same person; give it another role "
                    "first, or one to fall back to"
                )
                builder.reject((*loc, "touch", "to"), message, code="same-person")
            first.setdefault(wanted[0], inner.id)
