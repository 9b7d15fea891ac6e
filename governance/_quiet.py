"""Quiet hours on the wall clock: whether a moment is quiet, and when the quiet ends.

Whether it is quiet is a question to the clock on the wall alone, so a skipped or repeated hour needs no
rule of its own. The end of the quiet is looked for at every moment at which the answer can change: the
written times and midnights, in both readings of an ambiguous time, and the jumps of the clock itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from governance._case import FAR
from governance._fields import MINUTES_A_DAY
from governance._zones import Zones

_DAY = timedelta(days=1)
_SEARCH_DAYS = 9
"""A week has every constellation of weekdays; a day before and after for zones and overnight hours."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end`, on the days on which they begin.

    Attributes:
        start: Minutes after midnight.
        end: Minutes after midnight; before `start` it means the next day. 1440 is the end of the day.
        weekdays: Days on which they begin, Monday is 0.
    """

    start: int
    end: int
    weekdays: frozenset[int]

    def quiet(self, moment: datetime, zones: Zones) -> bool:
        """Tell whether it is quiet in any of the zones."""
        return any(self._quiet_on_wall(moment.astimezone(zone)) for zone in zones)

    def earliest(self, moment: datetime, zones: Zones) -> datetime:
        """Return the first moment, not before the given one, that is quiet in no zone; FAR if none."""
        if not self.quiet(moment, zones):
            return moment
        for day in range(_SEARCH_DAYS):
            begin = moment + day * _DAY
            changes = sorted(
                {
                    change
                    for zone in zones
                    for change in self._changes(begin, begin + _DAY, zone)
                    if begin < change <= begin + _DAY
                }
            )
            for change in changes:
                if not self.quiet(change, zones):
                    return change
        return FAR

    def _quiet_on_wall(self, wall: datetime) -> bool:
        minute = wall.hour * 60 + wall.minute
        weekday = wall.weekday()
        if self.start < self.end:
            return weekday in self.weekdays and self.start <= minute < self.end
        yesterday = (weekday - 1) % 7
        return (minute >= self.start and weekday in self.weekdays) or (
            minute < self.end and yesterday in self.weekdays
        )

    def _changes(self, begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        first, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
        for ordinal in range(first.toordinal(), last.toordinal() + 2):
            for minute in {0, self.start % MINUTES_A_DAY, self.end % MINUTES_A_DAY}:
                yield from _both_readings(date.fromordinal(ordinal), minute, zone)
        if begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
            yield _jump(begin, end, zone)


def _both_readings(day: date, minute: int, zone: ZoneInfo) -> Iterator[datetime]:
    wall = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    yield wall.astimezone(UTC)
    yield wall.replace(fold=1).astimezone(UTC)


def _jump(begin: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """Return the first whole second after which the zone's clock has jumped between two moments."""
    before = begin.astimezone(zone).utcoffset()
    low, high = int(begin.timestamp()), int(end.timestamp()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
