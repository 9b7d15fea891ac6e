"""From a play's file to steps that can be walked through; every mistake is collected with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from domain import OutcomeKind, PlayExit, digest_of
from governance._builder import Builder, Loc
from governance.cel._conditions import Condition
from governance.content import Content
from governance.plays._facts import PLAYS
from governance.plays._file import (
    END,
    CaseEntry,
    DisplacedEntry,
    ExitEntry,
    InnerStepEntry,
    NextEntry,
    Path,
    PlayFile,
    ReentryEntry,
    SameAs,
    StepEntry,
    TouchEntry,
    WaitEntry,
    Weekday,
)
from governance.plays._play import (
    Branch,
    Criterion,
    Displacing,
    Option,
    Play,
    Reentry,
    Step,
    Touch,
    TouchStep,
    Wait,
    Way,
)

GOAL: Final = "goal"
ENDINGS: Final = frozenset({GOAL, END, "too_long", "stop", "cancelled", "displaced", "broken"})
"""Ways to end that have a name of their own, which no exit criterion may take."""
_EXPIRES_IN: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Written:
    """A step as written, with its place.

    Attributes:
        loc: Where it stands.
        entry: The step, or one of several touches at the same time.
    """

    loc: Loc
    entry: StepEntry | InnerStepEntry


def build_play(file: PlayFile, builder: Builder, contents: Mapping[str, Content | None]) -> Play | None:
    """Compile a play; None if its structure makes no sense, which has been noted.

    Args:
        file: What people wrote.
        builder: Notes mistakes.
        contents: Contents by name; None for one that cannot be used.
    """
    before = len(builder.roll.problems)
    _reject_twins(file, builder)
    steps = _steps(file, builder, contents)
    exits, criteria = _exits(file, builder)
    displaced = tuple(
        _displacing(("displaced_by", index), entry, builder) for index, entry in enumerate(file.displaced_by)
    )
    when = builder.condition(("entry", "when"), file.entry.when, PLAYS)
    if len(builder.roll.problems) > before:
        return None
    return Play(
        play_id=file.id,
        name=file.name,
        version=_version(builder.document.data, steps.values()),
        actor=file.actor,
        priority=file.priority,
        lasts_at_most=file.lasts_at_most,
        starts_on=frozenset(file.entry.on),
        when=when,
        reentry=_reentry(file.reentry),
        exits=exits,
        criteria=criteria,
        displaced_by=displaced,
        recalls=file.recall,
        first=file.steps[0].id,
        steps=steps,
    )


def all_steps(file: PlayFile) -> list[Written]:
    """Return every step as written, and each of several touches at the same time as a step of its own."""
    found: list[Written] = []
    for index, entry in enumerate(file.steps):
        found.append(Written(("steps", index), entry))
        found += [
            Written(("steps", index, "parallel", place), inner)
            for place, inner in enumerate(entry.parallel or ())
        ]
    return found


def _reject_twins(file: PlayFile, builder: Builder) -> None:
    groups: tuple[tuple[str, list[tuple[Loc, str]]], ...] = (
        ("step", [(written.loc, written.entry.id) for written in all_steps(file)]),
        ("exit criterion", [(("exit", index), entry.id) for index, entry in enumerate(file.exit)]),
        ("rule", [(("displaced_by", index), entry.id) for index, entry in enumerate(file.displaced_by)]),
    )
    for what, named in groups:
        taken: set[str] = set()
        for loc, name in named:
            if name in taken:
                builder.reject(
                    (*loc, "id"), f"this play has two {_several(what)} {name!r}", code="duplicate-id"
                )
            taken.add(name)
            if what == "step" and name == END:
                builder.reject((*loc, "id"), "`end` is how a play ends; give the step another name")
            if what == "exit criterion" and name in ENDINGS:
                builder.reject((*loc, "id"), f"{name!r} is the name of an ending of its own; take another")


def _several(what: str) -> str:
    return {"step": "steps", "exit criterion": "exit criteria"}.get(what, f"{what}s")


def _steps(file: PlayFile, builder: Builder, contents: Mapping[str, Content | None]) -> dict[str, Step]:
    found: dict[str, Step] = {}
    for index, entry in enumerate(file.steps):
        below = file.steps[index + 1].id if index + 1 < len(file.steps) else END
        step = _step(("steps", index), entry, entry.then or below, builder, contents)
        if step is not None:
            found.setdefault(entry.id, step)
    return found


def _step(
    loc: Loc, entry: StepEntry, then: str, builder: Builder, contents: Mapping[str, Content | None]
) -> Step | None:
    given = [key for key in ("touch", "wait", "branch", "parallel") if getattr(entry, key) is not None]
    if len(given) != 1:
        said = f"this one has {' and '.join(given)}" if given else "this one has none"
        builder.reject((*loc, "id"), f"a step is one of touch, wait, branch and parallel; {said}")
        return None
    if entry.touch is None:
        _reject_idle(loc, entry, builder, ("if_suppressed", "next_channels"), "touch")
    if entry.touch is not None:
        return TouchStep((_touch(loc, entry, entry.touch, builder, contents),), then)
    if entry.wait is not None:
        return _wait((*loc, "wait"), entry.wait, then, builder)
    if entry.branch is not None:
        _reject_idle(loc, entry, builder, ("then",), "touch, a wait or a parallel step")
        return _branch((*loc, "branch"), entry.branch, builder)
    inner = entry.parallel or ()
    if len(inner) < 2:  # noqa: PLR2004 - more than one
        builder.reject((*loc, "parallel"), "a parallel step has at least two touches")
    return TouchStep(
        tuple(
            _touch((*loc, "parallel", index), each, each.touch, builder, contents)
            for index, each in enumerate(inner)
        ),
        then,
        parallel=True,
    )


def _reject_idle(loc: Loc, entry: StepEntry, builder: Builder, keys: Sequence[str], where: str) -> None:
    for key in keys:
        if key in entry.model_fields_set:
            builder.reject((*loc, key), f"`{key}` belongs to a {where}", code="useless", key=True)


def _touch(
    loc: Loc,
    entry: StepEntry | InnerStepEntry,
    touch: TouchEntry,
    builder: Builder,
    contents: Mapping[str, Content | None],
) -> Touch:
    if entry.next_channels and entry.if_suppressed is not Path.NEXT_CHANNEL:
        message = "`next_channels` are tried with if_suppressed: next_channel only"
        builder.reject((*loc, "next_channels"), message, code="useless", key=True)
    if entry.if_suppressed is Path.NEXT_CHANNEL and not entry.next_channels:
        builder.reject((*loc, "if_suppressed"), "next_channel needs `next_channels` to say which")
    options = [_option(touch, contents)]
    options += [_option(_overridden(touch, other), contents) for other in entry.next_channels]
    return Touch(entry.id, tuple(options), stops=entry.if_suppressed is Path.STOP)


def _overridden(touch: TouchEntry, other: NextEntry) -> TouchEntry:
    """Return the touch with what another channel says otherwise."""
    said = {name: value for name, value in other if name in other.model_fields_set and value is not None}
    return touch.model_copy(update=said)


def _option(touch: TouchEntry, contents: Mapping[str, Content | None]) -> Option:
    to = touch.to
    return Option(
        channel=touch.channel,
        action=touch.action,
        roles=to if isinstance(to, tuple) else (),
        same_as=to.same_as if isinstance(to, SameAs) else None,
        content=contents.get(touch.content) if touch.content is not None else None,
        value=touch.value,
        propensity=touch.propensity,
        confidence=touch.confidence,
        intent=touch.intent,
        cost=touch.cost,
        reach=touch.reach,
        expires_in=touch.expires_in or _EXPIRES_IN,
    )


def options_of(entry: StepEntry | InnerStepEntry) -> list[tuple[Loc, TouchEntry]]:
    """Return every way to make a touch as written, each with its place below the step."""
    if entry.touch is None:
        return []
    found: list[tuple[Loc, TouchEntry]] = [(("touch",), entry.touch)]
    found += [
        (("next_channels", index), _overridden(entry.touch, other))
        for index, other in enumerate(entry.next_channels)
    ]
    return found


def _wait(loc: Loc, entry: WaitEntry, then: str, builder: Builder) -> Wait | None:
    given = [key for key in ("length", "business_days", "until", "signal") if getattr(entry, key) is not None]
    if len(given) != 1:
        builder.reject(loc, "a wait has exactly one of for, business_days, until and signal")
        return None
    if (entry.signal is None) != (entry.at_most is None):
        builder.reject(loc, "`signal` and `at_most` belong together: nobody waits for a signal for ever")
        return None
    until = entry.until
    return Wait(
        then,
        length=entry.length,
        business_days=entry.business_days,
        weekday=list(Weekday).index(until.weekday) if until is not None else None,
        signals=entry.signal or (),
        minute=until.at if until is not None else 0,
        at_most=entry.at_most or timedelta(0),
    )


def _branch(loc: Loc, entries: tuple[CaseEntry, ...], builder: Builder) -> Branch:
    ways = []
    for index, entry in enumerate(entries):
        last = index == len(entries) - 1
        plain = entry.outcome is None and entry.when is None
        if plain and not last:
            builder.reject((*loc, index), "only the last way of a branch has no condition")
        if last and not plain:
            builder.reject(
                (*loc, index), "the last way of a branch has no condition: it says where to go otherwise"
            )
        if entry.outcome is not None and entry.when is not None:
            builder.reject((*loc, index), "a way has either `outcome` or `when`; write two")
        if (entry.outcome is None) != (entry.of is None):
            builder.reject(
                (*loc, index), "`outcome` and `of` belong together: what came back, and on which step"
            )
        outcome = entry.outcome
        ways.append(
            Way(
                go=entry.go,
                when=builder.condition((*loc, index, "when"), entry.when, PLAYS),
                outcomes=(outcome,) if isinstance(outcome, OutcomeKind) else outcome or (),
                of=entry.of,
            )
        )
    return Branch(tuple(ways))


def _exits(file: PlayFile, builder: Builder) -> tuple[tuple[PlayExit, ...], tuple[Criterion, ...]]:
    exits: list[PlayExit] = []
    criteria: list[Criterion] = []
    if file.goal is not None:
        exits.append(PlayExit(exit_id=GOAL, on=file.goal.on, message=file.goal.message, goal=True))
    for index, entry in enumerate(file.exit):
        loc = ("exit", index)
        when = _exit_condition(loc, entry, builder)
        if when is not None:
            criteria.append(Criterion(entry.id, when, entry.message))
        elif entry.on is not None:
            exits.append(
                PlayExit(
                    exit_id=entry.id,
                    on=entry.on,
                    message=entry.message,
                    audience_only=entry.who.value == "audience",
                )
            )
    return tuple(exits), tuple(criteria)


def _exit_condition(loc: Loc, entry: ExitEntry, builder: Builder) -> Condition | None:
    if (entry.on is None) == (entry.when is None):
        builder.reject((*loc, "id"), "an exit criterion has either `on` (signals) or `when` (a condition)")
    if entry.when is not None and "who" in entry.model_fields_set:
        builder.reject((*loc, "who"), "`who` belongs to `on`: conditions come from nobody", key=True)
    return builder.condition((*loc, "when"), entry.when, PLAYS)


def _displacing(loc: Loc, entry: DisplacedEntry, builder: Builder) -> Displacing:
    if not any((entry.intents, entry.actions, entry.actors, entry.plays)):
        builder.reject((*loc, "id"), "say before whom it stands back: intents, actions, actors or plays")
    if entry.resume_after is not None and entry.then.value != "suspend":
        message = "what is cancelled does not go on; `resume_after` belongs to then: suspend"
        builder.reject((*loc, "resume_after"), message, code="useless", key=True)
    return Displacing(
        entry.id,
        entry.intents or (),
        entry.actions or (),
        entry.actors or (),
        entry.plays or (),
        entry.then,
        entry.resume_after,
        entry.message,
    )


def _reentry(entry: object) -> Reentry | None:
    return Reentry(entry.after, entry.since, entry.at_most) if isinstance(entry, ReentryEntry) else None


def _version(source: object, steps: Iterable[Step]) -> str:
    """Hash what the file and its contents say: comments and layout make no other version."""
    contents = {
        option.content.content_id: option.content.source
        for step in steps
        if isinstance(step, TouchStep)
        for touch in step.touches
        for option in touch.options
        if option.content is not None
    }
    return digest_of({"play": source, "contents": contents})  # type: ignore[dict-item]
