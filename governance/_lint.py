"""What is allowed in a policy set and still deserves a look: what ends soon, never applies or never matters.

Pure: the day is an argument. A warning is never a reason to refuse a set; `tutti policy check --strict` makes
it one for those who want that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from domain import RuleMode
from governance._outline import Entry, Loc, Sheet, comparable, outline
from governance._source import Problem
from governance.cel._conditions import ConditionError, EvaluationError, Vocabulary
from governance.families._people import PeopleFile
from governance.families._routes import AskEntry
from governance.plays import PlayFile, advise

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

SOON: Final = timedelta(days=30)
"""How long before its end a rule is called to mind."""

_ENDS: Final = {"expires": "binds", "valid_until": "grants anything"}
"""Fields that hold a rule's last day, and what the rule no longer does after it."""

_EXPLAINING: Final = frozenset(
    {"id", "name", "message", "source", "owner", "granted_by", "review", "expires", "valid_until"}
)
"""Fields that say who, why and until when, and not what a rule does."""

_TEXTS: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_NAMES: Final = re.compile(
    r"(?<![\w.])(?:account|contact|proposal|actor|assessment|days_since|now|winner|run)(?![\w(])"
)
_CONSTANT: Final = {True: "always holds; leave it out", False: "never holds, so the rule does nothing"}
_ANY: Final = "any"
_WIDER: Final = {"contact": frozenset({"contact", "account"}), "channel": frozenset({"channel", "tenant"})}
"""Whoever is counted per contact is counted per account as well, and so on."""


class Warn(Problem):
    """Something that is allowed and still deserves a look."""

    __slots__ = ()

    def __str__(self) -> str:
        """Place and sentence in one line."""
        return f"{self.place}: warning: {self.message}"


@dataclass(frozen=True, slots=True)
class _Desk:
    """One file under inspection, and what was found in it."""

    sheet: Sheet
    found: list[Warn]

    def warn(self, loc: Loc, code: str, message: str) -> None:
        problem = self.sheet.document.problem(loc, message, code=code)
        self.found.append(Warn(problem.place, problem.message, None, problem.code, problem.length))

    def named(self, entry: Entry) -> Loc:
        """Return the place of the name of an entry."""
        return (*entry.loc, "name" if "name" in entry.raw else "id")

    def section(self, *names: str) -> list[Entry]:
        return [entry for entry in self.sheet.entries if entry.section in names]


def lint(policies: PolicySet, today: date) -> tuple[Warn, ...]:
    """Look for what people rarely mean.

    Args:
        policies: A compiled set.
        today: The day (UTC) for which ends and reviews are told.

    Returns:
        The warnings in the order of files and lines.
    """
    sheets = outline(policies.files)
    found: list[Warn] = []
    desks = {name: _Desk(sheet, found) for name, sheet in sheets.items()}
    for desk in desks.values():
        _dates(desk, today)
        _constants(desk)
        _duplicates(desk)
    _routes(desks["approvals.yaml"])
    _losers(desks["arbitration.yaml"])
    _weights(desks["arbitration.yaml"])
    _caps(desks["frequency.yaml"])
    _unused(desks)
    _leave(desks["people.yaml"], today)
    for name, play in policies.plays.items():
        desk = desks[f"plays/{name}.yaml"]
        for loc, code, message in advise(desk.sheet.document.validate(PlayFile), play, policies):
            desk.warn(loc, code, message)
    _unused_contents(desks, policies)
    return tuple(sorted(found, key=lambda warning: (warning.place, warning.message)))


def _dates(desk: _Desk, today: date) -> None:
    for entry in desk.sheet.entries:
        for key, effect in _ENDS.items():
            last = entry.value(key)
            if not isinstance(last, date):
                continue
            if last < today:
                message = f"{entry.name} ended on {last}: it no longer {effect}; renew or remove it"
                desk.warn((*entry.loc, key), "expired", message)
            elif last - today <= SOON:
                days = (last - today).days
                when = "today" if days == 0 else f"in {days} day{'' if days == 1 else 's'}"
                message = f"{entry.name} ends {when}, on {last}; renew it if it is still needed"
                desk.warn((*entry.loc, key), "ends-soon", message)
        review = entry.value("review")
        if isinstance(review, date) and review < today:
            message = f"{entry.name} was to be reviewed by {review}; look at it again and set the next day"
            desk.warn((*entry.loc, "review"), "review-overdue", message)


def _constants(desk: _Desk) -> None:
    for entry in desk.sheet.entries:
        when = entry.value("when")
        if not isinstance(when, str) or not _reads_nothing(when):
            continue
        answer = _answer(when)
        answer = _answer(when)
        said = "always gives the same answer" if answer is None else _CONSTANT[answer]
        desk.warn((*entry.loc, "when"), "constant", f"the condition of {entry.name} reads nothing and {said}")


def _reads_nothing(text: str) -> bool:
    return _NAMES.search(_TEXTS.sub("", text)) is None


@cache
def _no_names() -> Vocabulary:
    return Vocabulary({})


def _answer(text: str) -> bool | None:
    """Return the one answer of a condition that reads nothing; None if it cannot be told without names."""
    vocabulary = _no_names()
    try:
        return vocabulary.compile(text).holds(vocabulary.bind({}))
    except (ConditionError, EvaluationError):
        return None


def _duplicates(desk: _Desk) -> None:
    seen: dict[str, Entry] = {}
    for entry in desk.sheet.entries:
        if not entry.is_rule:
            continue
        effect = {key: comparable(value) for key, value in entry.values() if key not in _EXPLAINING}
        first = seen.setdefault(f"{entry.section} {effect!r}", entry)
        if first is not entry:
            message = f"{entry.name} has the same condition and effect as {first.name}; one of them is enough"
            desk.warn(desk.named(entry), "duplicate-rule", message)


def _routes(desk: _Desk) -> None:
    earlier: dict[str, Entry] = {}
    always: Entry | None = None
    for entry in desk.section("routes"):
        when = str(comparable(entry.value("when")))
        if always is not None:
            message = f"{entry.name} is never reached: {always.name} before it always matches"
            desk.warn(desk.named(entry), "unreachable", message)
        elif when in earlier:
            message = f"{entry.name} is never reached: {earlier[when].name} before it has the same condition"
            desk.warn(desk.named(entry), "unreachable", message)
        earlier.setdefault(when, entry)
        if always is None and _holds_always(entry):
            always = entry
    if always is not None:
        for entry in desk.section("default_route"):
            message = f"{entry.name} is never reached: {always.name} always matches"
            desk.warn(desk.named(entry), "unreachable", message)


def _holds_always(entry: Entry) -> bool:
    when = entry.value("when")
    return when is None or (isinstance(when, str) and _reads_nothing(when) and _answer(when) is True)


def _losers(desk: _Desk) -> None:
    """A rule that always suppresses the losers leaves the others nothing to say."""
    losers = desk.section("losers")
    always = [
        entry
        for entry in losers
        if entry.value("then") == "suppress" and _holds_always(entry) and _binds(entry)
    ]
    for entry in losers:
        if always and entry is not always[0]:
            message = f"{entry.name} never matters: {always[0].name} suppresses whatever loses"
            desk.warn(desk.named(entry), "unreachable", message)


def _weights(desk: _Desk) -> None:
    for entry in desk.section("context", "levers"):
        if entry.value("when") is None:
            message = (
                f"{entry.name} has no condition: it counts for every proposal alike and changes no order"
            )
            desk.warn(desk.named(entry), "constant", message)


def _binds(entry: Entry) -> bool:
    return entry.value("mode") is not RuleMode.LOG_ONLY


def _caps(desk: _Desk) -> None:
    caps = desk.section("caps")
    for cap in caps:
        for other in caps:
            if other is not cap and _binds(other) and _always_full_first(other, cap):
                message = (
                    f"{cap.name} never binds: {other.name} allows no more "
                    f"({other.told('limit')} in {other.told('window')}) and is full first"
                )
                desk.warn(desk.named(cap), "never-binds", message)
                break


def _always_full_first(other: Entry, cap: Entry) -> bool:
    one, two = dict(other.values()), dict(cap.values())
    fewer, longer = one["limit"] <= two["limit"], one["window"] >= two["window"]  # type: ignore[operator]
    same = one["limit"] == two["limit"] and one["window"] == two["window"] and one["per"] == two["per"]
    rest = {key for key in one.keys() | two.keys() if key not in _EXPLAINING} - {
        *("mode", "limit", "window", "per", "channels", "when"),
    }
    return (
        fewer
        and longer
        and not same
        and one["per"] in _WIDER.get(str(two["per"]), {two["per"]})
        and _covers(one.get("channels"), two.get("channels"))
        and (one.get("when") is None or comparable(one["when"]) == comparable(two.get("when")))
        and all(comparable(one.get(key)) == comparable(two.get(key)) for key in rest)
    )


def _covers(wide: object, narrow: object) -> bool:
    if wide is None:
        return True
    return isinstance(wide, tuple) and isinstance(narrow, tuple) and set(wide) >= set(narrow)


def _unused(desks: Mapping[str, _Desk]) -> None:
    grants = [grant for grant in desks["authority.yaml"].section("grants") if _binds(grant)]
    people, channels = desks["people.yaml"], desks["channels.yaml"]
    for actor in people.section("actors"):
        kinds = {grant.value("actor_kind") for grant in grants}
        if actor.value("kind") not in kinds and actor.name not in {grant.value("actor") for grant in grants}:
            message = f"{actor.name} has no grant in authority.yaml, so all its proposals are denied"
            people.warn(people.named(actor), "no-grant", message)
    usable = _listed(grants, "channels")
    for channel in channels.section("channels"):
        if _ANY not in usable and channel.name not in usable:
            message = f"no grant in authority.yaml covers the channel {channel.name}, so nobody may use it"
            channels.warn(channels.named(channel), "unused-channel", message)
    asked = _asked(desks["approvals.yaml"].sheet)
    for group in people.section("groups"):
        if group.name not in asked:
            message = f"no route in approvals.yaml asks the group {group.name}"
            people.warn(people.named(group), "unused-group", message)


def _leave(desk: _Desk, today: date) -> None:
    """A leave that is over says nothing; a delegate who is away meanwhile answers for nobody."""
    leave = desk.sheet.document.validate(PeopleFile).leave
    for index, entry in enumerate(leave):
        loc = ("leave", index)
        if entry.until < today:
            message = f"the leave of {entry.person} ended on {entry.until}; remove it"
            desk.warn((*loc, "until"), "expired", message)
            continue
        for other in leave:
            if other.person == entry.delegate and other.start <= entry.until and entry.start <= other.until:
                first, last = max(entry.start, other.start), min(entry.until, other.until)
                days = f"on {first}" if first == last else f"from {first} until {last}"
                message = f"{entry.delegate} is away as well {days}; nobody answers for {entry.person} then"
                desk.warn((*loc, "delegate"), "delegate-away", message)


def _asked(sheet: Sheet) -> set[str]:
    """Return the groups that any part of approvals.yaml names."""
    routes = [entry.content for entry in sheet.entries if isinstance(entry.content, AskEntry)]
    named = {setting.value for setting in sheet.settings if setting.loc[-1] == "group"}
    for route in routes:
        named |= {route.group, *(route.groups or ()), *(level.to for level in route.escalate)}
    return {str(name) for name in named}


def _unused_contents(desks: Mapping[str, _Desk], policies: PolicySet) -> None:
    used = {
        option.content.content_id
        for play in policies.plays.values()
        for touch in play.touches()
        for option in touch.options
        if option.content is not None
    }
    for file, desk in desks.items():
        folder, _, name = file.removesuffix(".yaml").partition("/")
        if folder == "content" and name not in used:
            desk.warn(("id",), "unused-content", f"no play uses the content {name}")


def _listed(entries: Iterable[Entry], key: str) -> set[str]:
    return {name for entry in entries for name in _names(entry.value(key))}


def _names(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        yield from (str(each) for each in value)
