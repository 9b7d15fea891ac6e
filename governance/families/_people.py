"""people.yaml: who proposes, who decides when a person must, when they work, and who is away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import EmailStr, Field

from domain import ActorKind, CountryCode, Identifier, ZoneName
from governance._builder import Builder, Loc
from governance._case import Actor
from governance._facts import ActorFacts
from governance._fields import Day, NotEmpty, PolicyModel, TimeOfDay
from governance._holidays import Calendar, known_countries
from governance._office_hours import HalfDay, OfficeHours

_LEAP_YEAR: Final = 2024
_MONTH_AND_DAY: Final = re.compile(r"\d{2}-\d{2}")


class Weekday(StrEnum):
    """Days of the week, in their order."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_NUMBERS: Final[Mapping[str, int]] = {day.value: number for number, day in enumerate(Weekday)}


class ActorEntry(PolicyModel):
    """One actor."""

    id: Identifier
    kind: ActorKind
    owner: Identifier | None = None
    email: EmailStr | None = None
    """Of a person: where they are told what waits for them."""


class HoursEntry(PolicyModel):
    """When a group works."""

    days: Annotated[tuple[Weekday, ...], NotEmpty] = (
        Weekday.MON,
        Weekday.TUE,
        Weekday.WED,
        Weekday.THU,
        Weekday.FRI,
    )
    """The days of the week on which it works; left out: Monday to Friday."""
    start: TimeOfDay = Field(alias="from")
    """When work begins."""
    until: TimeOfDay
    """When work ends."""
    time_zone: ZoneName
    """Whose clock on the wall counts, such as Europe/Berlin."""
    holidays: CountryCode | None = None
    """The country whose public holidays are no working days; left out: none are."""
    half_days: dict[str, TimeOfDay] = {}
    """Days on which work ends earlier, by weekday or by month and day: {fri: "14:00", 12-24: "12:00"}."""


class GroupEntry(PolicyModel):
    """Persons who answer approvals together; the first valid answer counts."""

    name: Identifier
    members: Annotated[tuple[Identifier, ...], NotEmpty]
    hours: HoursEntry | None = None
    """When it works, for routes with `clock: business_hours`; left out: its clock never stops."""


class LeaveEntry(PolicyModel):
    """A person is away for some days."""

    person: Identifier
    """Login of the person who is away."""
    start: Day = Field(alias="from")
    """The first day, on the calendar of the group that is asked (UTC if it has no hours)."""
    until: Day
    """The last day."""
    delegate: Identifier | None = None
    """Login of the person who answers in their place; left out: nobody does."""


class PeopleFile(PolicyModel):
    """The file as people write it."""

    actors: Annotated[tuple[ActorEntry, ...], NotEmpty]
    groups: Annotated[tuple[GroupEntry, ...], NotEmpty]
    leave: tuple[LeaveEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """Some days on which a person is away.

    Attributes:
        first: The first of them.
        last: The last of them.
        delegate: Login of the person who answers in their place, if anybody does.
    """

    first: date
    last: date
    delegate: str | None


@dataclass(frozen=True, slots=True)
class People:
    """Who exists.

    Attributes:
        actors: Everybody who may propose, by id.
        groups: Logins of each group, in the order of the file.
        hours: When groups work, by name; those that are not in it always do.
        leave: When persons are away, by login.
        emails: Addresses of persons, by login.
    """

    actors: dict[str, Actor]
    groups: dict[str, tuple[str, ...]]
    hours: dict[str, OfficeHours] = field(default_factory=dict)
    leave: dict[str, tuple[Leave, ...]] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)

    def is_person(self, login: str) -> bool:
        """Tell whether a login is that of a person; nobody else ever answers."""
        actor = self.actors.get(login)
        return actor is not None and actor.kind is ActorKind.PERSON

    def leave_of(self, login: str, group: str, moment: datetime) -> Leave | None:
        """Return why a member of a group is away at a moment; None if they are there."""
        absences = self.leave.get(login)
        if absences is None:
            return None
        hours = self.hours.get(group)
        day = moment.astimezone(hours.zone if hours is not None else UTC).date()
        return next((each for each in absences if each.first <= day <= each.last), None)


def build_people(file: PeopleFile, builder: Builder) -> People:
    """Check the file and tell the other families which names exist."""
    roll = builder.roll
    roll.persons = frozenset(entry.id for entry in file.actors if entry.kind is ActorKind.PERSON)
    roll.actors = frozenset(entry.id for entry in file.actors)
    roll.groups = {group.name: frozenset(group.members) for group in file.groups}
    roll.hours = frozenset(group.name for group in file.groups if group.hours is not None)
    actors: dict[str, Actor] = {}
    for index, entry in enumerate(file.actors):
        loc = ("actors", index)
        if entry.id in actors:
            builder.reject((*loc, "id"), f"the actor {entry.id!r} is listed twice", code="duplicate-id")
        if entry.owner is not None:
            builder.known((*loc, "owner"), entry.owner, roll.persons, "person")
        elif entry.kind is ActorKind.AI_AGENT:
            builder.reject(loc, f"the agent {entry.id!r} needs an owner: the person who answers for it")
        if entry.email is not None and entry.kind is not ActorKind.PERSON:
            message = f"{entry.id!r} is no person; only persons are told what waits for them"
            builder.reject((*loc, "email"), message, code="not-a-person")
        facts = ActorFacts(id=entry.id, kind=entry.kind, owner=entry.owner)
        actors[entry.id] = Actor(entry.id, entry.kind, entry.owner, facts)
    groups: dict[str, tuple[str, ...]] = {}
    hours: dict[str, OfficeHours] = {}
    for index, group in enumerate(file.groups):
        if group.name in groups:
            builder.reject(
                ("groups", index, "name"), f"the group {group.name!r} is listed twice", code="duplicate-id"
            )
        builder.all_known(("groups", index, "members"), group.members, roll.persons, "person")
        groups[group.name] = group.members
        if group.hours is not None:
            hours[group.name] = _hours(("groups", index, "hours"), group.hours, builder)
    emails = {entry.id: entry.email for entry in file.actors if entry.email is not None}
    return People(actors, groups, hours, _leave(file, builder), emails)


def _hours(loc: Loc, entry: HoursEntry, builder: Builder) -> OfficeHours:
    if entry.until <= entry.start:
        message = "the hours end before they begin" if entry.until < entry.start else "the hours are empty"
        builder.reject((*loc, "until"), f"{message}; `until` must be later than `from`", code="hours")
    for index, day in enumerate(entry.days):
        if day in entry.days[:index]:
            builder.reject((*loc, "days", index), f"{day.value!r} is listed twice", code="duplicate")
    if entry.holidays is not None and entry.holidays not in known_countries():
        builder.reject(
            (*loc, "holidays"),
            f"the public holidays of {entry.holidays!r} are not known; leave `holidays` out or write a "
            "two-letter country code such as DE",
            code="unknown-country",
        )
    half_days = []
    for day_name, end in entry.half_days.items():
        _check_half_day((*loc, "half_days", day_name), day_name, end, entry, builder)
        weekday = _NUMBERS.get(day_name)
        half_days.append(HalfDay(weekday, None if weekday is not None else day_name, end))
    calendar = Calendar((entry.holidays,), weekends=False) if entry.holidays is not None else None
    return OfficeHours(
        frozenset(_NUMBERS[day.value] for day in entry.days),
        entry.start,
        entry.until,
        ZoneInfo(entry.time_zone),
        calendar,
        tuple(half_days),
    )


def _check_half_day(loc: Loc, day: str, end: int, entry: HoursEntry, builder: Builder) -> None:
    if day not in _NUMBERS and not _is_day_of_year(day):
        message = f"{day!r} is no day; write it like fri or 12-24"
        builder.reject(loc, message, code="unknown-day", key=True)
    elif day in _NUMBERS and day not in entry.days:
        message = f"the group does not work on {day!r} at all; list it under `days` or leave it out"
        builder.reject(loc, message, code="hours", key=True)
    if not entry.start < end < entry.until:
        message = "a half day must end after work begins and before it ends on other days"
        builder.reject(loc, message, code="hours")


def _is_day_of_year(text: str) -> bool:
    if not _MONTH_AND_DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(f"{_LEAP_YEAR}-{text}")
    except ValueError:
        return False
    return True


def _leave(file: PeopleFile, builder: Builder) -> dict[str, tuple[Leave, ...]]:
    roll = builder.roll
    agents = (roll.actors or frozenset()) - (roll.persons or frozenset())
    for index, entry in enumerate(file.leave):
        loc = ("leave", index)
        builder.known((*loc, "person"), entry.person, roll.persons, "person")
        if entry.until < entry.start:
            builder.reject((*loc, "until"), "the leave ends before it begins", code="leave")
        if entry.delegate is None:
            continue
        if entry.delegate == entry.person:
            message = f"{entry.person} cannot answer in their own place; name somebody else or leave it out"
            builder.reject((*loc, "delegate"), message, code="delegate")
        elif entry.delegate in agents:
            message = f"{entry.delegate!r} is no person; agents never approve, for nobody"
            builder.reject((*loc, "delegate"), message, code="delegate")
        else:
            builder.known((*loc, "delegate"), entry.delegate, roll.persons, "person")
    for (_, one), (index, other) in combinations(enumerate(file.leave), 2):
        if one.person == other.person and one.start <= other.until and other.start <= one.until:
            message = f"{other.person} is away from {one.start} until {one.until} already"
            builder.reject(("leave", index, "from"), message, code="leave")
    found: dict[str, tuple[Leave, ...]] = {}
    for entry in file.leave:
        leave = Leave(entry.start, entry.until, entry.delegate)
        found[entry.person] = (*found.get(entry.person, ()), leave)
    return found
