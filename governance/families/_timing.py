"""timing.yaml: the decision window, the gap between touches, and quiet hours in local time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from domain import CountryCode, Identifier, Medium, ReasonCode, RuleHit, TouchRecord, Verdict, ZoneName
from governance._builder import Builder, Loc
from governance._case import Case, Channel, Origin
from governance._fields import (
    MINUTES_A_DAY,
    NotEmpty,
    PolicyModel,
    RuleEntry,
    Sentence,
    ShortSpan,
    TimeOfDay,
    Window,
)
from governance._holidays import Calendar, known_countries
from governance._limits import Limit, once, room_at, settle, waiting
from governance._quiet import CALENDAR_SEARCH_DAYS, QuietHours
from governance._zones import Whereabouts, Zones, possible_countries, possible_zones
from governance.families._frequency import Exemption, Operational

_SOME_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


class Days(StrEnum):
    """Days on which quiet hours begin."""

    EVERY_DAY = "every_day"
    WEEKDAYS = "weekdays"
    WEEKEND = "weekend"
    HOLIDAYS = "holidays"
    NON_BUSINESS_DAYS = "non_business_days"


_WEEKDAYS: Mapping[Days, frozenset[int]] = {
    Days.EVERY_DAY: frozenset(range(7)),
    Days.WEEKDAYS: frozenset(range(5)),
    Days.WEEKEND: frozenset({5, 6}),
    Days.HOLIDAYS: frozenset(),
    Days.NON_BUSINESS_DAYS: frozenset(),
}
_BY_CALENDAR = frozenset({Days.HOLIDAYS, Days.NON_BUSINESS_DAYS})


class GapEntry(RuleEntry):
    """The rest between any two touches of an account."""

    at_least: Window
    operational: Operational = Operational.EXEMPT
    message: Sentence


class QuietEntry(RuleEntry):
    """One stretch of quiet hours."""

    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    media: Annotated[tuple[Medium, ...], NotEmpty] | None = None
    countries: Annotated[tuple[CountryCode, ...], NotEmpty] | None = None
    start: TimeOfDay = Field(alias="from")
    end: TimeOfDay = Field(alias="to")
    days: Days = Days.EVERY_DAY
    message: Sentence


class TimingFile(PolicyModel):
    """The file as people write it."""

    decision_window: ShortSpan
    minimum_gap: GapEntry
    quiet_hours: tuple[QuietEntry, ...]
    unknown_zone: Annotated[tuple[ZoneName, ...], NotEmpty]
    unknown_country: Annotated[tuple[CountryCode, ...], NotEmpty]


@dataclass(frozen=True, slots=True)
class QuietRule:
    """Quiet hours of some or all channels and countries.

    Attributes:
        origin: Whose they are.
        channels: Channels they hold for by name; None: by medium alone.
        media: Media they hold for; None: by name alone. With neither they hold for every channel.
        countries: Countries in which they hold; None: everywhere.
        days: Days on which they begin.
        hours: The times on the wall.
    """

    origin: Origin
    channels: frozenset[str] | None
    media: frozenset[Medium] | None
    countries: tuple[str, ...] | None
    days: Days
    hours: QuietHours

    def concerns(self, channel: Channel) -> bool:
        """Tell whether the hours hold for a channel; one that either list names is meant."""
        if self.channels is None and self.media is None:
            return True
        return (self.channels is not None and channel.name in self.channels) or (
            self.media is not None and channel.medium in self.media
        )

    def holds_at(self, where: Whereabouts) -> bool:
        """Tell whether the hours hold for a person; where their country is not certain, they do."""
        return self.countries is None or not where.certain or where.countries[0] in self.countries

    def calendar(self, where: Whereabouts, otherwise: tuple[str, ...]) -> Calendar | None:
        """Return the days off that count for a person; None if the hours do not ask for any.

        A person whose country is not certain has the days off of every country they may be in, as far as
        the rule holds there.
        """
        if self.days not in _BY_CALENDAR:
            return None
        countries = where.countries if where.certain or self.countries is None else self.countries
        if any(country not in known_countries() for country in countries):
            countries = otherwise
        return Calendar(countries, weekends=self.days is Days.NON_BUSINESS_DAYS)


@dataclass(frozen=True, slots=True)
class Timing:
    """The compiled file."""

    decision_window: timedelta
    gap: Origin
    gap_length: timedelta
    gap_exemption: Exemption
    quiet: tuple[QuietRule, ...]
    unknown_zone: Zones
    unknown_country: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuietLimit:
    """Quiet hours in the zones of one person, on the days off of their country."""

    rule: QuietRule
    zones: Zones
    calendar: Calendar | None = None
    lifts: bool = False

    @property
    def log_only(self) -> bool:
        """Whether its rule is only tried out."""
        return self.rule.origin.log_only

    def earliest(self, moment: datetime) -> datetime:
        """Return the first moment that is not quiet in any zone."""
        return self.rule.hours.earliest(moment, self.zones, self.calendar)

    def begins(self, moment: datetime, until: datetime) -> datetime | None:
        """Return the first moment that is quiet in some zone."""
        return self.rule.hours.begins(moment, until, self.zones, self.calendar)

    def hit(self, until: datetime) -> RuleHit:
        """Return a deferral that names the zones and the local time at which it ends."""
        local = until.astimezone(self.zones[0])
        where = self.zones[0].key if len(self.zones) == 1 else f"all of {len(self.zones)} possible zones"
        message = f"{self.rule.origin.message} (until {local:%a %H:%M} in {self.zones[0].key}"
        message += ")" if len(self.zones) == 1 else f", to suit {where})"
        return self.rule.origin.hit(Verdict.DEFER, ReasonCode.QUIET_HOURS, message=message, until=until)


def build_timing(
    file: TimingFile,
    builder: Builder,
    channels: Mapping[str, Channel] | None = None,
    operational: frozenset[str] = frozenset(),
) -> Timing:
    """Compile the file.

    Args:
        file: What people wrote.
        builder: Where rules and mistakes are noted.
        channels: The channels by name; None while channels.yaml cannot be read.
        operational: Actions that are service messages.
    """
    gap = builder.origin(
        ("minimum_gap",), file.minimum_gap.id, file.minimum_gap.message, file.minimum_gap.mode
    )
    zones = tuple(ZoneInfo(name) for name in file.unknown_zone)
    builder.all_known(("unknown_country",), file.unknown_country, known_countries(), "known country")
    quiet = tuple(
        _quiet_rule(("quiet_hours", index), entry, builder) for index, entry in enumerate(file.quiet_hours)
    )
    timing = Timing(
        file.decision_window,
        gap,
        file.minimum_gap.at_least,
        Exemption.of(file.minimum_gap.operational, operational),
        quiet,
        zones,
        tuple(sorted(file.unknown_country)),
    )
    for name in sorted(channels or ()):
        if channels is not None and _rejects_endless_quiet(timing, channels[name], builder):
            break
    return timing


def _quiet_rule(loc: Loc, entry: QuietEntry, builder: Builder) -> QuietRule:
    builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
    media = [medium.value for medium in entry.media or ()]
    builder.all_known((*loc, "media"), media, None, "medium")
    builder.all_known((*loc, "countries"), entry.countries or (), known_countries(), "known country")
    if entry.start == entry.end or (entry.start, entry.end) == (MINUTES_A_DAY, 0):
        builder.reject((*loc, "to"), 'from and to are the same time; a whole day is from "00:00" to "24:00"')
    return QuietRule(
        builder.origin(loc, entry.id, entry.message, entry.mode),
        frozenset(entry.channels) if entry.channels is not None else None,
        frozenset(entry.media) if entry.media is not None else None,
        tuple(sorted(entry.countries)) if entry.countries is not None else None,
        entry.days,
        QuietHours(entry.start, entry.end, _WEEKDAYS[entry.days]),
    )


def _rejects_endless_quiet(timing: Timing, channel: Channel, builder: Builder) -> bool:
    """Note a mistake if a channel never has a moment, in any country or where nothing is known."""
    known = known_countries()
    if any(country not in known for country in timing.unknown_country):
        return True
    rules = [
        rule
        for rule in timing.quiet
        if rule.concerns(channel)
        and not rule.origin.log_only
        and rule.hours.start != rule.hours.end
        and all(country in known for country in rule.countries or ())
    ]
    named = sorted({country for rule in rules for country in rule.countries or ()})
    utc: Zones = (ZoneInfo("UTC"),)
    places = [
        (("quiet_hours",), utc, Whereabouts((country,), certain=True), "")
        for country in (timing.unknown_country[0], *named)
    ]
    anywhere = Whereabouts(timing.unknown_country, certain=False)
    places.append((("unknown_zone",), timing.unknown_zone, anywhere, " in all of these zones at once"))
    horizon = _SOME_MONDAY + timedelta(days=CALENDAR_SEARCH_DAYS)
    for loc, zones, where, words in places:
        limits = [
            QuietLimit(rule, zones, rule.calendar(where, timing.unknown_country))
            for rule in rules
            if rule.holds_at(where)
        ]
        if settle(limits, _SOME_MONDAY, horizon) == horizon:
            builder.reject(
                loc, f"quiet hours leave no moment of the week for the channel {channel.name!r}{words}"
            )
            return True
    return False


def quiet_limits(timing: Timing, case: Case) -> Iterator[Limit]:
    """Yield the quiet hours that hold for the proposal's channel, where its person may be."""
    zones: Zones | None = None
    where: Whereabouts | None = None
    for rule in timing.quiet:
        if not rule.concerns(case.channel):
            continue
        where = where or possible_countries(case.contact, case.account, timing.unknown_country)
        if rule.holds_at(where):
            zones = zones or possible_zones(case.contact, case.account, timing.unknown_zone)
            yield QuietLimit(rule, zones, rule.calendar(where, timing.unknown_country))


def gap_limits(timing: Timing, case: Case, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    """Yield the rest after the latest touch."""
    if case.candidate.proposal.action in timing.gap_exemption.spared:
        return
    uncounted, since = timing.gap_exemption.uncounted, case.now - timing.gap_length
    moment = once(
        touches,
        timing.gap.rule_id,
        lambda: room_at(
            [touch for touch in touches if touch.at > since and touch.action not in uncounted],
            1,
            timing.gap_length,
        ),
    )
    limit = waiting(timing.gap, ReasonCode.MINIMUM_GAP, moment, case.now)
    if limit is not None:
        yield limit
