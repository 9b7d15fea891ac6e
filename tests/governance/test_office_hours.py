"""Working time: minutes are counted while a group is at work, whatever the calendar and the clock do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance._holidays import Calendar, public_holidays
from governance._office_hours import HalfDay, OfficeHours, stretches_of

MINUTE = timedelta(minutes=1)
FAR = datetime(2099, 12, 31, tzinfo=UTC)
WEEK = frozenset(range(5))
BERLIN = OfficeHours(
    WEEK,
    9 * 60,
    17 * 60,
    ZoneInfo("Europe/Berlin"),
    Calendar(("DE",), weekends=False),
    (HalfDay(4, None, 13 * 60), HalfDay(None, "12-24", 12 * 60)),
)
ROUND_THE_CLOCK = OfficeHours(frozenset(range(7)), 0, 1440, ZoneInfo("Europe/Berlin"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


@pytest.mark.parametrize(
    ("asked", "hours", "answered", "why"),
    [
        ("2026-11-24 09:00", 4, "2026-11-24 13:00", "within a day"),
        ("2026-11-24 09:00", 8, "2026-11-24 17:00", "a whole day ends with it"),
        ("2026-11-24 15:00", 4, "2026-11-25 11:00", "over the night"),
        ("2026-11-24 20:00", 1, "2026-11-25 10:00", "asked in the evening"),
        ("2026-11-24 06:00", 1, "2026-11-24 10:00", "asked in the early morning"),
        ("2026-11-27 12:00", 2, "2026-11-30 10:00", "over a half day and a weekend"),
        ("2026-12-23 16:00", 5, "2026-12-28 10:00", "over Christmas: half a day, two holidays, a weekend"),
        ("2026-12-31 16:00", 2, "2027-01-04 10:00", "over New Year, a Friday"),
        ("2026-03-27 12:00", 9, "2026-03-30 17:00", "over the night in which the clock is put forward"),
        ("2026-10-23 12:00", 9, "2026-10-26 17:00", "over the night in which it is put back"),
    ],
)
def test_only_working_time_counts(asked: str, hours: int, answered: str, why: str) -> None:
    assert BERLIN.after(at(asked), timedelta(hours=hours), FAR) == at(answered), why


@pytest.mark.parametrize(
    ("day", "length"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-24", 24)],
)
def test_a_day_round_the_clock_is_as_long_as_it_is(day: str, length: int) -> None:
    ((begin, end),) = stretches_of(ROUND_THE_CLOCK, date.fromisoformat(day))

    assert end - begin == timedelta(hours=length)
    assert begin == at(day)


def test_an_hour_that_comes_twice_is_worked_twice() -> None:
    """Given hours that end within the hour that is repeated, then each pass counts by its clock."""
    night = OfficeHours(frozenset(range(7)), 60, 150, ZoneInfo("Europe/Berlin"))

    found = stretches_of(night, date(2026, 10, 25))

    assert found == (
        (datetime(2026, 10, 24, 23, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    )
    assert stretches_of(night, date(2026, 3, 29)) == (
        (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    )


def test_the_search_ends_where_it_is_told_to() -> None:
    latest = at("2026-11-24 10:30")

    assert BERLIN.after(at("2026-11-24 09:00"), timedelta(days=90), latest) == latest
    assert BERLIN.after(at("2026-11-28 09:00"), MINUTE, at("2026-11-29 09:00")) == at("2026-11-29 09:00")


ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
)
COUNTRIES = (None, "DE", "US", "IN", "NZ")


@st.composite
def office_hours(draw: st.DrawFn) -> OfficeHours:
    start = draw(st.integers(0, 1438))
    end = draw(st.integers(start + 2, 1440))
    country = draw(st.sampled_from(COUNTRIES))
    shorter = st.integers(start + 1, end - 1)
    half_days = [
        HalfDay(draw(st.integers(0, 6)), None, draw(shorter)) for _ in range(draw(st.integers(0, 2)))
    ]
    half_days += [
        HalfDay(None, day, draw(shorter)) for day in draw(st.lists(st.sampled_from(["12-24", "10-25"])))
    ]
    return OfficeHours(
        frozenset(draw(st.sets(st.integers(0, 6), min_size=1))),
        start,
        end,
        ZoneInfo(draw(st.sampled_from(ZONES))),
        None if country is None else Calendar((country,), weekends=False),
        tuple(half_days),
    )


NEAR_CHANGES = (
    datetime(2026, 3, 28, 12, tzinfo=UTC),
    datetime(2026, 10, 24, 12, tzinfo=UTC),
    datetime(2026, 3, 7, 12, tzinfo=UTC),
    datetime(2026, 10, 31, 12, tzinfo=UTC),
    datetime(2026, 4, 4, 0, tzinfo=UTC),
    datetime(2026, 4, 23, 12, tzinfo=UTC),
    datetime(2026, 12, 23, 0, tzinfo=UTC),
)
moments = st.builds(
    lambda day, minutes: day + minutes * MINUTE, st.sampled_from(NEAR_CHANGES), st.integers(0, 4 * 1440)
)
lengths = st.integers(1, 3 * 1440).map(lambda minutes: minutes * MINUTE)


def by_the_wall(hours: OfficeHours, moment: datetime) -> bool:
    """Whether a group is at work, worked out in the most simple-minded way."""
    wall = moment.astimezone(hours.zone)
    if wall.weekday() not in hours.weekdays:
        return False
    if hours.holidays is not None and wall.date() in public_holidays(hours.holidays.countries[0], wall.year):
        return False
    ends = [hours.end]
    ends += [
        half.end
        for half in hours.half_days
        if half.weekday == wall.weekday() or half.month_and_day == f"{wall:%m-%d}"
    ]
    return hours.start <= wall.hour * 60 + wall.minute < min(ends)


@settings(max_examples=60, deadline=None)
@given(office_hours(), moments, st.integers(1, 900))
def test_it_agrees_with_counting_minute_by_minute(hours: OfficeHours, moment: datetime, minutes: int) -> None:
    """Given any hours and moment, when minutes are counted one by one, then the same moment is reached."""
    counted, there = 0, moment
    horizon = moment + timedelta(days=12)
    while counted < minutes and there < horizon:
        counted += by_the_wall(hours, there)
        there += MINUTE

    found = hours.after(moment, minutes * MINUTE, horizon)

    assert found == there
    assert hours.between(moment, found) == counted * MINUTE


@settings(deadline=None)
@given(office_hours(), moments, lengths, lengths)
def test_more_working_time_is_never_earlier(
    hours: OfficeHours, moment: datetime, one: timedelta, more: timedelta
) -> None:
    first, both = hours.after(moment, one, FAR), hours.after(moment, one + more, FAR)

    assert moment < first < both
    assert hours.after(first, more, FAR) == both, "it adds up"


@settings(deadline=None)
@given(office_hours(), moments, lengths, st.integers(1, 500))
def test_who_is_asked_later_has_until_later(
    hours: OfficeHours, moment: datetime, length: timedelta, later: int
) -> None:
    assert hours.after(moment, length, FAR) <= hours.after(moment + later * MINUTE, length, FAR)


@settings(deadline=None)
@given(office_hours(), moments, lengths)
def test_it_never_ends_outside_the_hours(hours: OfficeHours, moment: datetime, length: timedelta) -> None:
    found = hours.after(moment, length, FAR)

    assert by_the_wall(hours, found - timedelta(microseconds=1)), "the last of the time was worked"


@settings(deadline=None)
@given(office_hours(), st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_the_stretches_of_a_day_are_in_order_and_apart(hours: OfficeHours, day: date) -> None:
    found = stretches_of(hours, day)

    assert all(begin < end for begin, end in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))
