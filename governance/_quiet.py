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
from governance._holidays import Calendar
from governance._zones import Zones

_DAY = timedelta(days=1)
_SEARCH_DAYS = 9
"""A week has every constellation of weekdays; a day before and after for zones and overnight hours."""
CALENDAR_SEARCH_DAYS = 40
"""Holidays make longer stretches: Japan's of 2019 had ten days, and those of several countries may meet.
What is quiet longer than that counts as quiet for ever, and stops the proposal."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end`, on the days on which they begin.

    Attributes:
        start: Minutes after midnight.
        end: Minutes after midnight; before `start` it means the next day. 1440 is the end of the day.
        weekdays: Days on which they begin, Monday is 0.

    A calendar that is given to a question adds its days to those on which they begin.
    """

    start: int
    end: int
    weekdays: frozenset[int]

    def quiet(self, moment: datetime, zones: Zones, calendar: Calendar | None = None) -> bool:
        """Tell whether it is quiet in any of the zones."""
        return any(self._quiet_on_wall(moment.astimezone(zone), calendar) for zone in zones)

    def earliest(self, moment: datetime, zones: Zones, calendar: Calendar | None = None) -> datetime:
        """Return the first moment, not before the given one, that is quiet in no zone; FAR if none."""
        if not self.quiet(moment, zones, calendar):
            return moment
        for day in range(_SEARCH_DAYS if calendar is None else CALENDAR_SEARCH_DAYS):
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
                if not self.quiet(change, zones, calendar):
                    return change
        return FAR

    def begins(
        self, moment: datetime, until: datetime, zones: Zones, calendar: Calendar | None = None
    ) -> datetime | None:
        """Return when it gets quiet in any zone after a moment that is not; None if not before `until`."""
        found = [
            begin for zone in zones if (begin := self._begins_in(moment, until, zone, calendar)) is not None
        ]
        return min(found, default=None)

    def _begins_in(
        self, moment: datetime, until: datetime, zone: ZoneInfo, calendar: Calendar | None
    ) -> datetime | None:
        wall = moment.astimezone(zone)
        if until - moment < _DAY and wall.utcoffset() == until.astimezone(zone).utcoffset():
            # The clock on the wall does not jump meanwhile, so both times are known without looking for them.
            midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
            changes = [moment + (timedelta(minutes=m) - (wall - midnight)) % _DAY for m in self._beginnings]
        else:
            starts = [moment + n * _DAY for n in range((until - moment).days + 1)]
            changes = [each for start in starts for each in self._changes(start, start + _DAY, zone)]
        return next(
            (
                change
                for change in sorted(changes)
                if moment < change < until and self._quiet_on_wall(change.astimezone(zone), calendar)
            ),
            None,
        )

    @property
    def _beginnings(self) -> tuple[int, int]:
        """Minutes after midnight at which it can become quiet: when it begins, and when the day changes."""
        return 0, self.start % MINUTES_A_DAY

    def _quiet_on_wall(self, wall: datetime, calendar: Calendar | None) -> bool:
        minute = wall.hour * 60 + wall.minute
        if self.start < self.end:
            return self.start <= minute < self.end and self._begins(wall, calendar)
        return (minute >= self.start and self._begins(wall, calendar)) or (
            minute < self.end and self._begins(wall - _DAY, calendar)
        )

    def _begins(self, wall: datetime, calendar: Calendar | None) -> bool:
        return wall.weekday() in self.weekdays or (calendar is not None and wall.date() in calendar)

    def _changes(self, begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        first, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
        for ordinal in range(first.toordinal(), last.toordinal() + 2):
            for minute in {0, self.start % MINUTES_A_DAY, self.end % MINUTES_A_DAY}:
                yield from _both_readings(date.fromordinal(ordinal), minute, zone)
        if begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
            yield jump(begin, end, zone)


def _both_readings(day: date, minute: int, zone: ZoneInfo) -> Iterator[datetime]:
    wall = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    yield wall.astimezone(UTC)
    yield wall.replace(fold=1).astimezone(UTC)


def jump(begin: datetime, end: datetime, zone: ZoneInfo) -> datetime:
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
