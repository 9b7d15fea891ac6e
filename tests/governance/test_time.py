"""Caps roll, gaps hold, and nights are quiet on the clock of the person, whatever the clock does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain import ReasonCode, TouchStatus, Verdict
from governance import load_policy_set
from governance._case import FAR
from governance._quiet import QuietHours
from governance._zones import possible_zones, zones_of
from tests.governance.worlds import (
    CONTACTS,
    NORTHWIND,
    NOW,
    candidate,
    edited,
    email,
    only,
    person,
    personalization,
    policies,
    rule_ids,
    touch,
)

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
EVERY_DAY = frozenset(range(7))
NIGHTS = QuietHours(20 * 60, 8 * 60, EVERY_DAY)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def test_a_full_cap_defers_to_the_moment_the_oldest_touch_leaves_the_window() -> None:
    # Given a touch of the person, just inside the two weeks.
    made = NOW - 14 * DAY + MINUTE
    earlier = touch(made, channel="email", contact_id="champion", governed=False)

    full = only(policies(), email(), touches=(earlier,))

    assert (full.verdict, full.reason) == (Verdict.DEFER, ReasonCode.FREQUENCY_CAP)
    assert full.hits[0].rule_id == "one-touch-per-person"
    assert full.until == NOW + MINUTE
    # Then it has room exactly one window after that touch, and not a microsecond before.
    at_the_end = only(policies(), email(), touches=(earlier,), now=NOW + MINUTE)
    assert at_the_end.verdict is Verdict.ALLOW
    just_before = only(policies(), email(), touches=(earlier,), now=NOW + MINUTE - timedelta(microseconds=1))
    assert just_before.verdict is Verdict.DEFER


@pytest.mark.parametrize(
    ("contact_id", "status", "verdict"),
    [
        ("champion", TouchStatus.HANDED_OVER, Verdict.DEFER),
        ("champion", TouchStatus.UNKNOWN, Verdict.DEFER),
        ("champion", TouchStatus.IN_FLIGHT, Verdict.DEFER),
        ("champion", TouchStatus.RELEASED, Verdict.ALLOW),
        ("practitioner", TouchStatus.HANDED_OVER, Verdict.ALLOW),
        (None, TouchStatus.HANDED_OVER, Verdict.ALLOW),
    ],
)
def test_all_but_released_touches_of_the_same_person_count(
    contact_id: str | None, status: TouchStatus, verdict: Verdict
) -> None:
    earlier = touch(NOW - 5 * DAY, contact_id=contact_id, status=status)

    decision = only(policies(), email(), touches=(earlier,))

    assert decision.verdict is verdict
    assert ("one-touch-per-person" in rule_ids(decision)) is (verdict is Verdict.DEFER)


def test_a_cap_on_one_channel_counts_that_channel_only() -> None:
    def three(channel: str) -> tuple[object, ...]:
        return tuple(touch(NOW - 3 * DAY - n * MINUTE, channel=channel) for n in range(3))

    assert "account-emails" in rule_ids(only(policies(), email(), touches=three("email")))
    assert "account-emails" not in rule_ids(only(policies(), email(), touches=three("webhook")))
    assert "account-emails" not in rule_ids(only(policies(), personalization(), touches=three("email")))


def test_slots_fill_up_without_any_rival() -> None:
    earlier = tuple(touch(NOW - 3 * DAY - n * MINUTE) for n in range(3))

    decision = only(policies(), personalization(), touches=earlier)

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.NO_SLOT)
    assert decision.until == NOW + 4 * DAY - 2 * MINUTE


def test_a_cap_that_ends_at_night_defers_to_the_morning() -> None:
    # Given the two weeks end on Tuesday at 23 o'clock in Berlin.
    made = local("2026-11-10 23:00", "Europe/Berlin")

    decision = only(policies(), email(), touches=(touch(made, contact_id="champion"),))

    assert decision.verdict is Verdict.DEFER
    assert decision.until == local("2026-11-25 08:00", "Europe/Berlin")
    assert decision.reason is ReasonCode.FREQUENCY_CAP


def test_a_proposal_that_expires_before_its_cap_ends_is_suppressed() -> None:
    earlier = touch(NOW - 10 * DAY, contact_id="champion")

    decision = only(policies(), candidate(email(), expires_at=NOW + 4 * DAY), touches=(earlier,))

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.FREQUENCY_CAP)
    assert "engine.expired" in rule_ids(decision)
    assert decision.until is None


def test_a_friday_evening_waits_for_monday_morning() -> None:
    decision = only(policies(), email(), now=local("2026-11-27 20:30", "Europe/Berlin"))

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.QUIET_HOURS)
    assert decision.until == local("2026-11-30 08:00", "Europe/Berlin")
    assert "Sat 08:00" in next(hit.message for hit in decision.hits if hit.rule_id == "nights")


def test_quiet_hours_are_for_the_channels_they_name() -> None:
    night = local("2026-11-24 23:00", "Europe/Berlin")

    assert only(policies(), personalization(), now=night).verdict is Verdict.ALLOW


def test_the_message_never_goes_out_in_a_persons_night() -> None:
    # Given the account is in Berlin and the person in New York, where it is five in the morning.
    contacts = {**CONTACTS, "champion": person("champion", time_zone="America/New_York")}

    decision = only(policies(), email(), contacts=contacts)

    assert decision.until == local("2026-11-24 08:00", "America/New_York")


@pytest.mark.parametrize(
    ("own_zone", "own_country", "account_zone", "account_country", "zones"),
    [
        ("Asia/Tokyo", "US", "Europe/Berlin", "DE", ("Asia/Tokyo",)),
        (None, None, "Europe/Berlin", "DE", ("Europe/Berlin",)),
        (None, "DE", "Europe/Berlin", None, ("Europe/Berlin",)),
        (None, "US", "Europe/Berlin", "DE", zones_of("US")),
        (None, None, None, "JP", ("Asia/Tokyo",)),
        (None, "AU", None, "JP", zones_of("AU")),
        (None, None, None, None, ("UTC",)),
        (None, "XX", None, None, ("UTC",)),
    ],
)
def test_zones_fail_closed(
    own_zone: str | None,
    own_country: str | None,
    account_zone: str | None,
    account_country: str | None,
    zones: tuple[str, ...],
) -> None:
    contact = person("champion", time_zone=own_zone, country=own_country)
    account = NORTHWIND.model_copy(update={"time_zone": account_zone, "country": account_country})

    found = possible_zones(contact, account, (ZoneInfo("UTC"),))

    assert tuple(zone.key for zone in found) == zones


def test_every_likely_zone_of_a_country_must_be_awake() -> None:
    # Given nothing but the country: it must be past eight in Honolulu and before eight at night in New York.
    contacts = {**CONTACTS, "champion": person("champion", country="US")}
    account = NORTHWIND.model_copy(update={"time_zone": None, "country": "US"})

    decision = only(policies(), email(), contacts=contacts, account=account)

    assert decision.until == local("2026-11-24 08:00", "Pacific/Honolulu")


@pytest.mark.parametrize(
    ("hours", "zone", "asked", "allowed"),
    [
        # Spring: the hour from 2 to 3 is missing, so quiet until 02:30 ends when the clock jumps to 3.
        ((20, 0, 2, 30), "Europe/Berlin", utc("2026-03-29 00:10"), utc("2026-03-29 01:00")),
        ((20, 0, 2, 30), "America/New_York", utc("2026-03-08 06:10"), utc("2026-03-08 07:00")),
        # Lord Howe jumps by half an hour, from 2:00 to 2:30.
        ((20, 0, 2, 15), "Australia/Lord_Howe", utc("2026-10-03 15:00"), utc("2026-10-03 15:30")),
        # Autumn: the night is an hour longer, the morning stays at eight on the wall.
        ((20, 0, 8, 0), "Europe/Berlin", utc("2026-10-24 22:00"), utc("2026-10-25 07:00")),
        ((20, 0, 8, 0), "America/New_York", utc("2026-11-01 03:00"), utc("2026-11-01 13:00")),
        ((20, 0, 8, 0), "Australia/Lord_Howe", utc("2026-04-04 12:00"), utc("2026-04-04 21:30")),
        # Autumn: between 2 and 3 comes twice, and both are quiet if the rule names that hour.
        ((2, 0, 3, 0), "Europe/Berlin", utc("2026-10-25 00:30"), utc("2026-10-25 02:00")),
        ((1, 45, 2, 0), "Australia/Lord_Howe", utc("2026-04-04 14:50"), utc("2026-04-04 15:00")),
        ((1, 45, 2, 0), "Australia/Lord_Howe", utc("2026-04-04 15:20"), utc("2026-04-04 15:30")),
        # Autumn: quiet until 02:30 begins anew when the clock goes back to 2.
        ((20, 0, 2, 30), "Europe/Berlin", utc("2026-10-25 01:00"), utc("2026-10-25 01:30")),
        # Spring in Santiago: midnight itself is missing, the day begins at one.
        ((0, 0, 0, 30), "America/Santiago", utc("2026-09-06 03:59"), utc("2026-09-06 03:59")),
    ],
)
def test_daylight_saving(
    hours: tuple[int, int, int, int], zone: str, asked: datetime, allowed: datetime
) -> None:
    quiet = QuietHours(hours[0] * 60 + hours[1], hours[2] * 60 + hours[3], EVERY_DAY)

    assert quiet.earliest(asked, (ZoneInfo(zone),)) == allowed


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
)
@pytest.mark.parametrize("hours", [(20 * 60, 8 * 60), (105, 165), (0, 1440), (150, 90)], ids=str)
@pytest.mark.parametrize("weekdays", [EVERY_DAY, frozenset({5, 6})], ids=["every_day", "weekend"])
def test_the_end_of_the_quiet_is_what_a_walk_minute_by_minute_finds(
    zone: str, hours: tuple[int, int], weekdays: frozenset[int]
) -> None:
    quiet, zones = QuietHours(*hours, weekdays), (ZoneInfo(zone),)
    for start in _days_of_change(zone):
        first_free = FAR
        # Backwards, so that each minute knows the next free one after it.
        for step in range(4 * 24 * 12, -1, -1):
            moment = start + step * 5 * MINUTE
            if not quiet.quiet(moment, zones):
                first_free = moment
            if first_free is not FAR and step % 7 == 0:
                assert quiet.earliest(moment, zones) == first_free, moment


def test_a_clock_that_jumps_exactly_a_day_after_the_question_ends_the_quiet() -> None:
    """Berlin is quiet until 02:30, which the clock skips; Tokyo covers Berlin's ten minutes of before."""
    quiet = QuietHours(2 * 60 + 40, 2 * 60 + 30, frozenset({4, 5}))
    jump = utc("2026-03-29 01:00")

    assert quiet.earliest(jump - DAY, (ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo"))) == jump


def _days_of_change(zone: str) -> list[datetime]:
    """Three days before each clock change of 2026."""
    place, days = ZoneInfo(zone), [utc("2026-01-01") + n * DAY for n in range(365)]
    return [
        day - 3 * DAY
        for day in days
        if day.astimezone(place).utcoffset() != (day + DAY).astimezone(place).utcoffset()
    ]


def test_hours_that_leave_no_moment_never_end() -> None:
    assert QuietHours(0, 1440, EVERY_DAY).earliest(NOW, (ZoneInfo("UTC"),)) == FAR
    opposite = (ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland"))
    assert NIGHTS.earliest(NOW, opposite) == FAR


def test_a_rule_for_the_night_suppresses_if_the_proposal_dies_in_it(tmp_path: Path) -> None:
    night = local("2026-11-24 21:00", "Europe/Berlin")
    shortlived = candidate(email(), expires_at=night + timedelta(hours=3))

    decision = only(load_policy_set(edited(tmp_path, "timing.yaml")), shortlived, now=night)

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.QUIET_HOURS)
