"""Office hours: when a group of people is at work, and when so much working time has passed.

Whether a group is at work is a question to the clock on its wall, so a skipped or repeated hour needs no rule
of its own. Each day is taken apart once into stretches of UTC, and working time is added along them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from governance._fields import MINUTES_A_DAY
from governance._holidays import Calendar
from governance._quiet import jump

_DAY = timedelta(days=1)
_DAYS_KEPT = 4_096
"""Days in memory, over all groups: a year of ten groups."""


@dataclass(frozen=True, slots=True)
class HalfDay:
    """A day on which work ends earlier.

    Attributes:
        weekday: Monday is 0; None: it is a day of the year.
        month_and_day: `12-24`; None: it is a day of the week.
        end: Minutes after midnight.
    """

    weekday: int | None
    month_and_day: str | None
    end: int

    def falls_on(self, day: date) -> bool:
        """Tell whether a day is one of these."""
        if self.weekday is not None:
            return day.weekday() == self.weekday
        return f"{day:%m-%d}" == self.month_and_day


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """From `start` to `end` on the clock of a zone, on some days of the week that are no public holidays.

    Attributes:
        weekdays: Days on which the group works, Monday is 0.
        start: Minutes after midnight.
        end: Minutes after midnight, after `start`. 1440 is the end of the day.
        zone: Whose clock on the wall counts.
        holidays: Public holidays; None: the group works on all of them.
        half_days: Days on which work ends earlier; of several that fall on a day the earliest end counts.
    """

    weekdays: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo
    holidays: Calendar | None = None
    half_days: tuple[HalfDay, ...] = ()

    def open_at(self, moment: datetime) -> bool:
        """Tell whether the group is at work."""
        wall = moment.astimezone(self.zone)
        return self.start <= wall.hour * 60 + wall.minute < self.end_on(wall.date())

    def end_on(self, day: date) -> int:
        """Return when work ends on a day, in minutes after midnight; 0 if there is none."""
        if day.weekday() not in self.weekdays or (self.holidays is not None and day in self.holidays):
            return 0
        return min((half.end for half in self.half_days if half.falls_on(day)), default=self.end)

    def after(self, moment: datetime, working: timedelta, latest: datetime) -> datetime:
        """Return when so much working time has passed since a moment.

        Time that is outside the hours does not count. The moment found lies within the hours or is the very
        end of them: eight hours from nine to five end at five, and not on the next morning.

        Args:
            moment: From when on, in UTC.
            working: How much working time, longer than nothing.
            latest: What to return at most, in UTC; the search ends there.
        """
        left = working
        for begin, end in self._stretches(moment):
            if begin >= latest:
                break
            if left <= end - begin:
                return min(begin + left, latest)
            left -= end - begin
        return latest

    def between(self, moment: datetime, until: datetime) -> timedelta:
        """Return how much working time lies between two moments, both in UTC."""
        total = timedelta()
        for begin, end in self._stretches(moment):
            if begin >= until:
                break
            total += min(end, until) - begin
        return total

    def _stretches(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield when the group works from a moment on, in order; without end but that of the calendar."""
        # The day before too: a clock set back over midnight makes a part of it come again.
        first = moment.astimezone(self.zone).date().toordinal() - 1
        for ordinal in range(first, date.max.toordinal()):
            for begin, end in stretches_of(self, date.fromordinal(ordinal)):
                if end > moment:
                    yield max(begin, moment), end


@lru_cache(maxsize=_DAYS_KEPT)
def stretches_of(hours: OfficeHours, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Return from when until when a group works on a day of its calendar, in UTC and in order."""
    end = hours.end_on(day)
    if end == 0:
        return ()
    moments = {
        moment
        for minute in (0, hours.start, end, MINUTES_A_DAY)
        for moment in _readings(day, minute, hours.zone)
    }
    first, last = min(moments), max(moments)
    if first.astimezone(hours.zone).utcoffset() != last.astimezone(hours.zone).utcoffset():
        moments.add(jump(first, last, hours.zone))
    return tuple(
        _joined(
            (begin, until)
            for begin, until in pairwise(sorted(moments))
            if begin.astimezone(hours.zone).date() == day and hours.open_at(begin)
        )
    )


def _joined(stretches: Iterator[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the same stretches, those as one that follow each other without a gap."""
    held: tuple[datetime, datetime] | None = None
    for begin, end in stretches:
        if held is not None and held[1] == begin:
            held = held[0], end
            continue
        if held is not None:
            yield held
        held = begin, end
    if held is not None:
        yield held


def _readings(day: date, minute: int, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the moments at which a clock on the wall shows a time; two where it is set back."""
    wall = datetime.combine(day + minute // MINUTES_A_DAY * _DAY, time(), tzinfo=zone) + timedelta(
        minutes=minute % MINUTES_A_DAY
    )
    yield wall.astimezone(UTC)
    yield wall.replace(fold=1).astimezone(UTC)
