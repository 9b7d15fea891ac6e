"""Waits end on the clock and the calendar of where the person is, and late rather than early if unsure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from domain import Account, Contact
from governance.plays._waits import on_wall
from tests.governance.plays.staging import Stage, mail, task, wait, with_steps
from tests.governance.worlds import CONTACTS, NORTHWIND, person

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NOWHERE = NORTHWIND.model_copy(update={"country": None, "time_zone": None})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(what: str, entered: str, *, account: Account = NORTHWIND, contact: Contact | None = None) -> datetime:
    """When a wait ends that is entered at a moment, after a mail to the contact if there is one."""
    if contact is None:
        stage = Stage(with_steps(wait(what=what)), account=account, now=moment(entered)).enter()
    else:
        contacts = {**CONTACTS, "champion": contact}
        play = with_steps(mail() + wait(what=what))
        stage = Stage(play, account=account, contacts=contacts, now=moment(entered)).enter().end("mail")
    assert stage.standing.due_at is not None
    return stage.standing.due_at


@pytest.mark.parametrize(
    ("day", "minute", "zone", "expected"),
    [
        # Berlin jumps at 01:00Z, from two to three: there is no half past two.
        ("2026-03-29", 150, BERLIN, "2026-03-29T01:00"),
        ("2026-03-29", 120, BERLIN, "2026-03-29T01:00"),
        ("2026-03-29", 119, BERLIN, "2026-03-29T00:59"),
        ("2026-03-29", 180, BERLIN, "2026-03-29T01:00"),
        # And back at 01:00Z, from three to two: half past two comes twice, and the first one counts.
        ("2026-10-25", 150, BERLIN, "2026-10-25T00:30"),
        ("2026-10-25", 180, BERLIN, "2026-10-25T02:00"),
        ("2026-03-08", 150, NEW_YORK, "2026-03-08T07:00"),
        ("2026-11-01", 90, NEW_YORK, "2026-11-01T05:30"),
        ("2026-06-01", 1440, BERLIN, "2026-06-01T22:00"),
    ],
)
def test_hours_that_the_clock_skips_or_shows_twice(
    day: str, minute: int, zone: ZoneInfo, expected: str
) -> None:
    assert on_wall(date.fromisoformat(day), minute, zone) == moment(expected)


@pytest.mark.parametrize(
    ("entered", "expected"),
    [
        ("2026-11-23T10:00", "2026-11-24T08:00"),  # a Monday
        ("2026-11-24T07:59", "2026-11-24T08:00"),
        ("2026-11-24T08:00", "2026-12-01T08:00"),  # never no wait at all
        ("2026-11-25T00:00", "2026-12-01T08:00"),
        ("2026-10-20T10:00", "2026-10-27T08:00"),  # over the end of summer time: still nine o'clock
        ("2026-10-13T10:00", "2026-10-20T07:00"),
    ],
)
def test_until_a_weekday_and_an_hour_in_the_account_s_zone(entered: str, expected: str) -> None:
    assert due('until: {weekday: tuesday, at: "09:00"}', entered) == moment(expected)


def test_until_an_hour_where_the_person_is_who_was_addressed_last() -> None:
    in_tokyo = person("champion", role="champion", time_zone="Asia/Tokyo")

    assert due('until: {weekday: tuesday, at: "09:00"}', "2026-11-23T10:00", contact=in_tokyo) == moment(
        "2026-11-24T00:00"
    )


@pytest.mark.parametrize(
    ("entered", "expected"),
    [
        # Nobody knows where: nine in Los Angeles, when it is six in the evening in Berlin.
        ("2026-11-23T10:00", "2026-11-24T17:00"),
        ("2026-11-24T10:00", "2026-11-24T17:00"),
        ("2026-11-24T17:00", "2026-12-01T17:00"),
    ],
)
def test_where_the_zone_is_not_known_it_must_be_that_hour_or_later_everywhere(
    entered: str, expected: str
) -> None:
    assert due('until: {weekday: tuesday, at: "09:00"}', entered, account=NOWHERE) == moment(expected)


@pytest.mark.parametrize(
    ("days", "entered", "expected"),
    [
        (1, "2026-11-24T10:00", "2026-11-25T10:00"),
        (2, "2026-11-26T10:00", "2026-11-30T10:00"),  # over a weekend
        (1, "2026-11-28T10:00", "2026-11-30T10:00"),  # from a Saturday
        (2, "2026-12-23T10:00", "2026-12-28T10:00"),  # over Christmas, the 25th and 26th in Germany
        (1, "2026-04-02T10:00", "2026-04-07T10:00"),  # Good Friday and Easter Monday
        (3, "2026-10-22T10:00", "2026-10-27T11:00"),  # over the end of summer time: same time on the wall
    ],
)
def test_business_days_are_those_of_the_person_s_country(days: int, entered: str, expected: str) -> None:
    assert due(f"business_days: {days}", entered) == moment(expected)


def test_business_days_of_an_american_go_over_thanksgiving() -> None:
    in_new_york = person("champion", role="champion", country="US", time_zone="America/New_York")

    assert due("business_days: 1", "2026-11-25T15:00", contact=in_new_york) == moment("2026-11-27T15:00")


def test_business_days_where_the_country_is_not_known_are_worked_everywhere() -> None:
    # Thanksgiving is a working day in Germany, and nobody knows that they are not in the United States.
    assert due("business_days: 1", "2026-11-25T15:00", account=NOWHERE) == moment("2026-11-27T15:00")


def test_a_wait_whose_hour_is_skipped_ends_right_after_the_jump() -> None:
    assert due('until: {weekday: sunday, at: "02:30"}', "2026-03-27T10:00") == moment("2026-03-29T01:00")


def test_a_wait_goes_on_to_the_next_step_when_it_is_over() -> None:
    stage = Stage(with_steps(wait(what='until: {weekday: tuesday, at: "09:00"}') + task())).enter()
    assert stage.standing.due_at is not None

    assert stage.later(stage.standing.due_at - stage.now).steps_open == ["task"]
