"""Until when a ruling holds: a touch that is on its way for long never arrives at a bad time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import Decision, Verdict
from governance import PolicySet
from governance._holidays import Calendar
from governance._quiet import QuietHours
from governance.families._suppression import PauseLimit
from tests.governance.worlds import (
    CONTACTS,
    NOW,
    candidate,
    decisions,
    edited,
    email,
    only,
    person,
    personalization,
    policies,
    request,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def at(now: datetime, policy_set: PolicySet | None = None, expires_in: timedelta = 30 * DAY) -> Decision:
    given = candidate(email(), received_at=now, expires_at=now + expires_in)
    return only(policy_set or policies(), given, now=now)


def test_in_the_middle_of_the_day_a_ruling_holds_until_the_proposal_expires() -> None:
    decision = at(NOW)

    assert decision.verdict is Verdict.ALLOW
    assert decision.good_until == NOW + 30 * DAY


def test_right_before_quiet_hours_it_holds_until_they_begin() -> None:
    decision = at(berlin("2026-11-24 19:50"))

    assert decision.verdict is Verdict.ALLOW
    assert decision.good_until == berlin("2026-11-24 20:00")


def test_quiet_hours_that_begin_after_the_longest_flight_do_not_matter() -> None:
    # Two minutes for a worker, five attempts of two minutes, ten minutes of pauses: 22 in all.
    assert at(berlin("2026-11-24 19:38")).good_until == berlin("2026-11-24 19:38") + 30 * DAY
    assert at(berlin("2026-11-24 19:39")).good_until == berlin("2026-11-24 20:00")


def test_a_proposal_that_expires_first_holds_until_then() -> None:
    assert at(berlin("2026-11-24 19:50"), expires_in=5 * MINUTE).good_until == berlin("2026-11-24 19:55")


def test_a_day_off_begins_at_its_midnight(tmp_path: Path) -> None:
    """Given mail that may go at night, when a day off begins, then the ruling ends with the day before."""
    nightly = edited(tmp_path, "timing.yaml", ('"20:00"\n    to: "08:00"', '"03:00"\n    to: "08:00"'))

    assert at(berlin("2026-11-27 23:45"), policies(nightly)).good_until == berlin("2026-11-28 00:00")


def test_rules_that_are_tried_out_end_no_ruling(tmp_path: Path) -> None:
    tried = edited(
        tmp_path,
        "timing.yaml",
        ('to: "08:00"\n    message: No e', 'to: "08:00"\n    mode: log_only\n    message: No e'),
    )

    assert at(berlin("2026-11-24 19:50"), policies(tried)).good_until == berlin("2026-11-24 19:50") + 30 * DAY


def test_where_nobody_knows_the_zone_the_first_that_goes_quiet_ends_it() -> None:
    nowhere = {**CONTACTS, "champion": person("champion", country="US")}
    now = datetime(2026, 11, 25, 0, 50, tzinfo=UTC)  # ten to eight in the evening in New York
    given = candidate(email(), received_at=now, expires_at=now + DAY)

    decision = only(policies(), given, now=now, contacts=nowhere)

    assert decision.verdict is Verdict.ALLOW
    assert decision.good_until == now + 10 * MINUTE


def test_channels_without_quiet_hours_have_no_end_but_expiry() -> None:
    now = berlin("2026-11-24 19:55")
    given = candidate(personalization(), received_at=now, expires_at=now + DAY)

    assert only(policies(), given, now=now).good_until == now + DAY


def test_only_what_is_allowed_has_an_end() -> None:
    now = berlin("2026-11-24 19:50")
    given = [
        candidate(each, received_at=now, expires_at=now + 30 * DAY) for each in (email(), personalization())
    ]

    found = decisions(policies(), request(*given, now=now))

    assert {each.verdict for each in found.values()} == {Verdict.ALLOW, Verdict.DEFER}
    for decision in found.values():
        assert (decision.good_until is not None) is (decision.verdict is Verdict.ALLOW)


def test_a_pause_that_is_known_to_begin_ends_it() -> None:
    pauses = PauseLimit(None, ((NOW + HOUR, NOW + DAY), (NOW + 2 * HOUR, NOW + DAY)))  # type: ignore[arg-type]  # nobody asks whose they are

    assert pauses.begins(NOW, NOW + DAY) == NOW + HOUR
    assert pauses.begins(NOW, NOW + HOUR) is None


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "UTC",
    "Africa/Casablanca",
]
EDGES = [
    datetime(2026, 3, 29, 0, tzinfo=UTC),  # Berlin loses an hour
    datetime(2026, 10, 25, 0, tzinfo=UTC),  # and gets it back
    datetime(2026, 4, 4, 14, tzinfo=UTC),  # half an hour on Lord Howe
    datetime(2026, 7, 3, 18, tzinfo=UTC),
]


@settings(max_examples=300, deadline=None)
@given(
    hours=st.builds(QuietHours, st.integers(0, 1440), st.integers(0, 1440), st.frozensets(st.integers(0, 6))),
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True),
    moment=st.one_of(
        st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - zone is drawn
        st.sampled_from(EDGES),
    ),
    span=st.integers(1, 60 * 30),
    calendar=st.sampled_from([None, Calendar(("DE",), weekends=True)]),
)
def test_it_begins_exactly_where_the_first_quiet_minute_is(
    hours: QuietHours, zones: list[str], moment: datetime, span: int, calendar: Calendar | None
) -> None:
    """Given any hours, zones and moment, then looking at every minute finds the same beginning."""
    where = tuple(ZoneInfo(zone) for zone in zones)
    moment = moment.replace(second=0, microsecond=0)
    if hours.start == hours.end or hours.quiet(moment, where, calendar):
        return
    until = moment + span * MINUTE

    slowly = next(
        (each for n in range(1, span) if hours.quiet(each := moment + n * MINUTE, where, calendar)), None
    )

    assert hours.begins(moment, until, where, calendar) == slowly


@pytest.mark.parametrize("seconds", [0.5, 30, 59.999])
def test_between_two_minutes_it_begins_at_the_minute(seconds: float) -> None:
    hours = QuietHours(20 * 60, 8 * 60, frozenset(range(7)))
    moment = berlin("2026-11-24 19:59") + timedelta(seconds=seconds)

    begins = hours.begins(moment, moment + HOUR, (ZoneInfo("Europe/Berlin"),))

    assert begins == berlin("2026-11-24 20:00")
