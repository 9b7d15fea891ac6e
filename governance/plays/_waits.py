"""When a wait ends: on the wall clock and the calendar of where the person may be.

Where that is not known for certain, the wait ends when it is over in every place that is possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain import Account, Contact
from governance._case import FAR
from governance._holidays import Calendar, known_countries
from governance._quiet import jump
from governance._zones import Zones, possible_countries, possible_zones
from governance.families._timing import Timing
from governance.plays._play import Wait

_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = 7
_SEARCH_DAYS: Final = 400
"""More days than any number of business days that a play may wait for."""


def end_of(
    wait: Wait, entered_at: datetime, timing: Timing, account: Account, contact: Contact | None
) -> datetime:
    """Return when a wait ends, unless a signal ends it earlier.

    Args:
        wait: The wait.
        entered_at: When the run came to it.
        timing: Where a person may be if nobody knows.
        account: The company.
        contact: The person addressed last; None: nobody yet.
    """
    if wait.length is not None:
        return min(entered_at + wait.length, FAR)
    if wait.signals:
        return min(entered_at + wait.at_most, FAR)
    zones = possible_zones(contact, account, timing.unknown_zone)
    if wait.weekday is not None:
        return _next(wait.weekday, wait.minute, entered_at, zones)
    countries = possible_countries(contact, account, timing.unknown_country).countries
    if any(country not in known_countries() for country in countries):
        countries = timing.unknown_country
    days = wait.business_days or 0
    return max(
        _business_days_later(entered_at, days, zone, Calendar(countries, weekends=True)) for zone in zones
    )


def _business_days_later(moment: datetime, days: int, zone: ZoneInfo, off: Calendar) -> datetime:
    """Return the same local time so many business days later, seconds left out."""
    wall = moment.astimezone(zone)
    day = wall.date()
    for _ in range(_SEARCH_DAYS):
        if days == 0:
            found = on_wall(day, wall.hour * 60 + wall.minute, zone)
            return found + timedelta(seconds=wall.second, microseconds=wall.microsecond)
        day += _DAY
        days -= day not in off
    return FAR


def _next(weekday: int, minute: int, moment: datetime, zones: Zones) -> datetime:
    """Return the first moment after the given one at which it is that time, or later, in all zones."""
    for day in _days(weekday, moment):
        found = max(on_wall(day, minute, zone) for zone in zones)
        if found > moment:
            return found
    return FAR


def _days(weekday: int, moment: datetime) -> Iterator[date]:
    # From two days before, as it may be yesterday somewhere, and the hour of that day still to come.
    first = moment.astimezone(UTC).date() - 2 * _DAY
    first += (weekday - first.weekday()) % _WEEKDAYS * _DAY
    for week in range(4):
        yield first + week * _WEEKDAYS * _DAY


def on_wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """Return the moment at which the clock on the wall shows a time.

    A time that the clock skips stands for the first moment after the jump; of a time that it shows twice the
    first one is meant.

    Args:
        day: The local day.
        minute: Minutes after midnight; 1440 is the next midnight.
        zone: Where the clock hangs.
    """
    if minute >= 24 * 60:
        day, minute = day + _DAY, minute - 24 * 60
    wall = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    found = wall.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return found
    # Read with the clock's state before the jump the moment lies after it, and the other way round.
    return jump(wall.replace(fold=1).astimezone(UTC) - _DAY, found, zone)
