"""Plays on a terminal: the list of a policy set, and one play as a picture of its ways."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from domain import MOVES_LIMIT, Displacement
from governance import Branch, Play, PolicySet, TouchStep, Wait
from tutti.render import counted, plain, words

END = "end"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def told_plays(policies: PolicySet) -> RenderableType:
    """Return the plays of a policy set, those that go first on top."""
    if not policies.plays:
        return Text(f"{policies.name} has no plays")
    parts: list[RenderableType] = []
    for play in sorted(policies.plays.values(), key=lambda each: (-each.priority, each.play_id)):
        starts = " or ".join(sorted(words(kind.value) for kind in play.starts_on))
        about = (
            f"starts on {starts}; {counted(len(play.steps), 'step')}, "
            f"{_length(play.lasts_at_most.total_seconds())} at most; again {_again(play)}"
        )
        head = Text.assemble((play.play_id, "bold"), f"  {plain(play.name)}  ", (play.version[:12], "dim"))
        parts += [head, Padding(Text(about, style="dim"), (0, 0, 0, 2))]
    return Group(*parts)


def drawn_play(play: Play) -> RenderableType:
    """Return one play as a picture: its steps in their order, with the ways that branches take."""
    head = Text.assemble((play.name, "bold"), f"  {play.play_id}  ", (play.version[:12], "dim"))
    about = Table.grid(padding=(0, 2, 0, 0))
    about.add_column(style="dim", no_wrap=True)
    about.add_column()
    starts = ", ".join(sorted(words(kind.value) for kind in play.starts_on))
    about.add_row("starts on", starts + (", if its condition holds" if play.when is not None else ""))
    about.add_row("proposes as", play.actor)
    about.add_row("again", _again(play))
    for each in play.exits:
        kinds = ", ".join(words(kind.value) for kind in each.on)
        who = " from whom it addressed" if each.audience_only else ""
        what = "reaches its goal" if each.goal else "ends"
        about.add_row(what, Text(f"on {kinds}{who}: {plain(each.message)}"))
    for criterion in play.criteria:
        about.add_row("ends", Text(f"when {criterion.exit_id} holds: {plain(criterion.message)}"))
    for rule in play.displaced_by:
        about.add_row("stands back", Text(f"{_displaced(rule.then)} ({rule.rule_id}): {plain(rule.message)}"))
    if play.recalls:
        about.add_row("takes back", ", ".join(play.recalls))
    about.add_row("lasts", f"{_length(play.lasts_at_most.total_seconds())} at most")
    return Group(head, Padding(about, (0, 0, 1, 2)), drawn_steps(play))


def drawn_steps(play: Play) -> RenderableType:
    """Return the steps of a play as a tree."""
    tree = Tree(Text("enters", style="green"), guide_style="dim")
    _grow(tree, play, play.first, set())
    return Padding(tree, (0, 0, 0, 2))


def _grow(tree: Tree, play: Play, step_id: str, drawn: set[str]) -> None:
    """Draw what comes from a step on; a way that leads to what is drawn already only names it."""
    for _ in range(MOVES_LIMIT):
        if step_id == END:
            tree.add(Text("end", style="red"))
            return
        if step_id in drawn:
            tree.add(Text(f"goes on at {step_id}", style="dim"))
            return
        drawn.add(step_id)
        match play.steps[step_id]:
            case TouchStep() as step:
                _draw_touches(tree, step_id, step)
                step_id = step.then
            case Wait() as wait:
                tree.add(Text.assemble(("wait ", "yellow"), _wait(wait), (f"  {step_id}", "dim")))
                step_id = wait.then
            case Branch() as branch:
                fork = tree.add(Text.assemble(("which way?", "cyan"), (f"  {step_id}", "dim")))
                for way in branch.ways:
                    _grow(
                        fork.add(Text(_way(way.outcomes, way.of, way.when is not None))), play, way.go, drawn
                    )
                return


def _draw_touches(tree: Tree, step_id: str, step: TouchStep) -> None:
    place = tree
    if step.parallel:
        place = tree.add(Text.assemble(("together", "green"), (f"  {step_id}", "dim")))
    for touch in step.touches:
        first, *others = touch.options
        node = place.add(
            Text.assemble(
                (words(first.action), "bold green"),
                f" over {first.channel}",
                f" to {_whom(first.roles, first.same_as)}" if first.personal else " to the account",
                (f"  {touch.step}", "dim"),
            )
        )
        for other in others:
            node.add(Text(f"else {words(other.action)} over {other.channel}", style="dim"))
        if touch.stops:
            node.add(Text("else the play ends", style="dim"))


def _whom(roles: tuple[object, ...], same_as: str | None) -> str:
    if same_as is not None:
        return f"whom {same_as} went to"
    return " or ".join(words(str(role)) for role in roles)


def _wait(wait: Wait) -> str:
    if wait.signals:
        kinds = " or ".join(words(kind.value) for kind in wait.signals)
        return f"for {kinds}, {_length(wait.at_most.total_seconds())} at most"
    if wait.business_days is not None:
        return f"{wait.business_days} business day{'s' if wait.business_days != 1 else ''}"
    if wait.weekday is not None:
        return f"until {_DAYS[wait.weekday]} {wait.minute // 60:02}:{wait.minute % 60:02}, their time"
    return _length(wait.length.total_seconds() if wait.length is not None else 0.0)


def _way(outcomes: tuple[object, ...], of: str | None, conditional: bool) -> str:  # noqa: FBT001 - a fact, no switch
    if outcomes:
        return f"{' or '.join(words(str(each)) for each in outcomes)} came back on {of}"
    return "its condition holds" if conditional else "otherwise"


def _again(play: Play) -> str:
    if play.reentry is None:
        return "never"
    most = f", {play.reentry.at_most} times in all" if play.reentry.at_most is not None else ""
    return f"{_length(play.reentry.after.total_seconds())} after the last {play.reentry.since.value}{most}"


def _displaced(then: Displacement) -> str:
    return "is suspended" if then is Displacement.SUSPEND else "is cancelled"


def _length(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds:g} seconds"
