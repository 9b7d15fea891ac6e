"""timing.yaml: the decision window, the gap between touches, and quiet hours in local time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from domain import Identifier, ReasonCode, RuleHit, TouchRecord, Verdict, ZoneName
from governance._builder import Builder
from governance._case import FAR, Case, Origin
from governance._fields import NotEmpty, PolicyModel, RuleId, Sentence, ShortSpan, TimeOfDay, Window
from governance._limits import Limit, NotBefore, room_at, settle
from governance._quiet import QuietHours
from governance._zones import Zones, possible_zones

_SOME_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


class Days(StrEnum):
    """Days on which quiet hours begin."""

    EVERY_DAY = "every_day"
    WEEKDAYS = "weekdays"
    WEEKEND = "weekend"


_WEEKDAYS = {
    Days.EVERY_DAY: frozenset(range(7)),
    Days.WEEKDAYS: frozenset(range(5)),
    Days.WEEKEND: frozenset({5, 6}),
}


class GapEntry(PolicyModel):
    """The rest between any two touches of an account."""

    id: RuleId
    at_least: Window
    message: Sentence


class QuietEntry(PolicyModel):
    """One stretch of quiet hours."""

    id: RuleId
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
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


@dataclass(frozen=True, slots=True)
class QuietRule:
    """Quiet hours of some or all channels."""

    origin: Origin
    channels: frozenset[str] | None
    hours: QuietHours


@dataclass(frozen=True, slots=True)
class Timing:
    """The compiled file."""

    decision_window: timedelta
    gap: Origin
    gap_length: timedelta
    quiet: tuple[QuietRule, ...]
    unknown_zone: Zones


@dataclass(frozen=True, slots=True)
class QuietLimit:
    """Quiet hours in the zones of one person."""

    rule: QuietRule
    zones: Zones
    lifts: bool = False

    @property
    def log_only(self) -> bool:
        """Whether its rule is only tried out."""
        return self.rule.origin.log_only

    def earliest(self, moment: datetime) -> datetime:
        """Return the first moment that is not quiet in any zone."""
        return self.rule.hours.earliest(moment, self.zones)

    def hit(self, until: datetime) -> RuleHit:
        """Return a deferral that names the zones and the local time at which it ends."""
        local = until.astimezone(self.zones[0])
        where = self.zones[0].key if len(self.zones) == 1 else f"all of {len(self.zones)} possible zones"
        message = f"{self.rule.origin.message} (until {local:%a %H:%M} in {self.zones[0].key}"
        message += ")" if len(self.zones) == 1 else f", to suit {where})"
        return self.rule.origin.hit(Verdict.DEFER, ReasonCode.QUIET_HOURS, message=message, until=until)


def build_timing(file: TimingFile, builder: Builder) -> Timing:
    """Compile the file."""
    gap = builder.origin(("minimum_gap",), file.minimum_gap.id, file.minimum_gap.message)
    zones = tuple(ZoneInfo(name) for name in file.unknown_zone)
    quiet = []
    for index, entry in enumerate(file.quiet_hours):
        loc = ("quiet_hours", index)
        builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
        if entry.start == entry.end:
            builder.reject(
                (*loc, "to"), 'from and to are the same time; a whole day is from "00:00" to "24:00"'
            )
        quiet.append(
            QuietRule(
                builder.origin(loc, entry.id, entry.message),
                frozenset(entry.channels) if entry.channels is not None else None,
                QuietHours(entry.start, entry.end, _WEEKDAYS[entry.days]),
            )
        )
    for channel in sorted(builder.roll.channels or ()):
        _reject_endless_quiet(tuple(quiet), channel, zones, builder)
    return Timing(file.decision_window, gap, file.minimum_gap.at_least, tuple(quiet), zones)


def _reject_endless_quiet(
    quiet: tuple[QuietRule, ...], channel: str, strict: Zones, builder: Builder
) -> None:
    rules = [
        rule
        for rule in quiet
        if (rule.channels is None or channel in rule.channels) and rule.hours.start != rule.hours.end
    ]
    horizon = _SOME_MONDAY + timedelta(days=9)
    for loc, zones in ((("quiet_hours",), (ZoneInfo("UTC"),)), (("unknown_zone",), strict)):
        limits = [QuietLimit(rule, zones) for rule in rules]
        if settle(limits, _SOME_MONDAY, horizon) == horizon:
            where = "" if loc == ("quiet_hours",) else " in all of these zones at once"
            builder.reject(loc, f"quiet hours leave no moment of the week for the channel {channel!r}{where}")
            return


def quiet_limits(timing: Timing, case: Case) -> Iterator[Limit]:
    """Yield the quiet hours that hold for the proposal's channel, in the zones of its person."""
    channel = case.candidate.proposal.channel
    zones: Zones | None = None
    for rule in timing.quiet:
        if rule.channels is None or channel in rule.channels:
            zones = zones or possible_zones(case.contact, case.account, timing.unknown_zone)
            yield QuietLimit(rule, zones)


def gap_limits(timing: Timing, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    """Yield the rest after the latest touch."""
    moment = room_at(touches, 1, timing.gap_length)
    if moment is not None:
        yield NotBefore(timing.gap, ReasonCode.MINIMUM_GAP, min(moment, FAR))
