"""Business days, public holidays and calling hours hold where the person is, or may be."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import Account, Contact, Decision, ReasonCode, Verdict
from governance import PolicySet, load_policy_set
from governance._case import FAR
from governance._holidays import Calendar, known_countries, non_business_days, public_holidays
from governance._quiet import QuietHours
from governance._zones import possible_countries
from tests.governance.worlds import (
    CONTACTS,
    NORTHWIND,
    candidate,
    edited,
    email,
    only,
    person,
    policies,
    rule_ids,
)

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ALL_DAY = QuietHours(0, 1440, frozenset())


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def asked(policy_set: PolicySet, contact: Contact, now: datetime, account: Account = NORTHWIND) -> Decision:
    given = candidate(email(), received_at=now, expires_at=now + 60 * DAY)
    return only(policy_set, given, contacts={**CONTACTS, "champion": contact}, account=account, now=now)


@pytest.mark.parametrize(
    ("zone", "country", "moment", "until"),
    [
        # Good Friday and Easter Monday around a weekend.
        ("Europe/Berlin", "DE", "2026-04-02 20:30", "2026-04-07 08:00"),
        # The Fourth of July on a Saturday is kept on Friday.
        ("America/New_York", "US", "2026-07-02 20:30", "2026-07-06 08:00"),
        # Golden Week: three holidays, a substitute day and a weekend.
        ("Asia/Tokyo", "JP", "2026-05-01 20:30", "2026-05-07 08:00"),
        # In Saudi Arabia people work on Sunday, and not on Friday.
        ("Asia/Riyadh", "SA", "2026-11-26 20:30", "2026-11-29 08:00"),
        ("Asia/Riyadh", "SA", "2026-11-29 10:00", "2026-11-29 10:00"),
        # Elsewhere a German holiday is a day like any other.
        ("America/New_York", "US", "2026-04-06 10:00", "2026-04-06 10:00"),
        # Boxing Day moves to the Monday, and Christmas to the Friday it is.
        ("Europe/London", "GB", "2026-12-24 20:30", "2026-12-29 08:00"),
    ],
)
def test_mail_waits_for_the_next_business_day_of_the_person(
    zone: str, country: str, moment: str, until: str
) -> None:
    contact = person("champion", country=country, time_zone=zone)

    decision = asked(policies(), contact, local(moment, zone))

    wanted = local(until, zone)
    if until == moment:
        assert decision.verdict is Verdict.ALLOW
    else:
        assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.QUIET_HOURS)
        assert decision.until == wanted
    assert asked(policies(), contact, wanted).verdict is Verdict.ALLOW
    before = asked(policies(), contact, wanted - timedelta(microseconds=1))
    assert (before.verdict is Verdict.ALLOW) is (until == moment)


def test_ten_days_of_holidays_in_a_row_end_when_they_end() -> None:
    """Japan, 2019: longer than a week and its neighbours, which is as far as weekdays alone reach."""
    calendar, zones = Calendar(("JP",), weekends=True), (ZoneInfo("Asia/Tokyo"),)

    until = ALL_DAY.earliest(local("2019-04-26 23:59", "Asia/Tokyo") + MINUTE, zones, calendar)

    assert until == local("2019-05-07 00:00", "Asia/Tokyo")


def test_without_a_country_every_listed_country_has_its_day_off() -> None:
    contact = person("champion", time_zone="Europe/Berlin")
    nowhere = NORTHWIND.model_copy(update={"country": None})
    thanksgiving = local("2026-11-26 10:00", "Europe/Berlin")
    unity = local("2025-10-03 10:00", "Europe/Berlin")

    assert asked(policies(), contact, thanksgiving, nowhere).verdict is Verdict.DEFER
    assert asked(policies(), contact, unity, nowhere).verdict is Verdict.DEFER
    assert asked(policies(), contact, thanksgiving).verdict is Verdict.ALLOW
    assert asked(policies(), contact, unity).verdict is Verdict.DEFER


@pytest.mark.parametrize(
    ("own", "own_zone", "account_country", "countries", "certain"),
    [
        ("FR", None, "DE", ("FR",), True),
        ("FR", "America/New_York", "DE", ("FR",), True),
        (None, None, "DE", ("DE",), True),
        (None, "Europe/Berlin", "DE", ("DE",), True),
        (None, "America/New_York", "DE", ("DE", "US"), False),
        (None, "Asia/Calcutta", "IN", ("IN", "US"), False),
        (None, None, None, ("US",), False),
        ("XX", None, "DE", ("US",), False),
    ],
)
def test_where_a_person_may_be(
    own: str | None,
    own_zone: str | None,
    account_country: str | None,
    countries: tuple[str, ...],
    *,
    certain: bool,
) -> None:
    contact = person("champion", country=own, time_zone=own_zone)
    account = NORTHWIND.model_copy(update={"country": account_country})

    assert possible_countries(contact, account, ("US",)) == (countries, certain)


CALLS = (
    "  - name: webhook\n    medium: web\n    reversibility: full\n",
    "  - name: webhook\n    medium: call\n    reversibility: none\n",
)


@pytest.mark.parametrize(
    ("country", "moment", "held"),
    [
        ("US", "2026-11-24 07:59", True),
        ("US", "2026-11-24 08:00", False),
        ("US", "2026-11-24 20:59", False),
        ("US", "2026-11-24 21:00", True),
        ("CA", "2026-11-24 21:00", False),
        (None, "2026-11-24 21:00", True),
        # The other rule for calls: Thanksgiving, and no other country's holiday.
        ("US", "2026-11-26 12:00", True),
        ("CA", "2026-11-26 12:00", False),
        ("US", "2026-11-28 12:00", False),
    ],
)
def test_calls_into_the_united_states_keep_the_hours_of_the_tcpa(
    tmp_path: Path, country: str | None, moment: str, *, held: bool
) -> None:
    policy_set = load_policy_set(edited(tmp_path, "channels.yaml", CALLS))
    contact = person("champion", country=country, time_zone="America/New_York")
    account = NORTHWIND.model_copy(update={"country": country, "time_zone": None})
    call = email(actor="dana.reyes", action="call", channel="webhook", value=1_000.0)
    now = local(moment, "America/New_York")

    decision = only(
        policy_set,
        candidate(call, received_at=now, expires_at=now + 30 * DAY),
        contacts={**CONTACTS, "champion": contact},
        account=account,
        now=now,
    )

    assert bool({"us-calling-hours", "calls-on-holidays"} & rule_ids(decision)) is held


def test_calling_hours_do_not_hold_back_mail() -> None:
    assert not {"us-calling-hours", "calls-on-holidays"} & rule_ids(only(policies(), email(), now=FAR - DAY))


def test_a_channel_in_either_list_is_meant(tmp_path: Path) -> None:
    rule = (
        '  - {id: lunch, channels: [webhook], media: [email], from: "10:00", to: "13:00", message: Lunch.}\n'
    )
    policy_set = load_policy_set(edited(tmp_path, "timing.yaml", ("quiet_hours:\n", "quiet_hours:\n" + rule)))
    (lunch,) = (each for each in policy_set.timing.quiet if each.origin.rule_id == "lunch")

    assert all(lunch.concerns(policy_set.channels[name]) for name in ("email", "webhook"))
    assert not lunch.concerns(policy_set.channels["paid_media"])
    assert "lunch" in rule_ids(only(policy_set, email()))


def test_quiet_hours_that_are_tried_out_let_everything_pass(tmp_path: Path) -> None:
    change = ("- id: nights\n", "- id: nights\n    mode: log_only\n")
    policy_set = load_policy_set(edited(tmp_path, "timing.yaml", change))

    decision = only(policy_set, email(), now=local("2026-11-24 21:00", "Europe/Berlin"))

    assert decision.verdict is Verdict.ALLOW
    (hit,) = (hit for hit in decision.hits if hit.rule_id == "nights")
    assert (hit.log_only, hit.until) == (True, local("2026-11-25 08:00", "Europe/Berlin"))


def test_hours_that_are_only_tried_out_may_leave_no_moment(tmp_path: Path) -> None:
    rule = '  - {id: never, mode: log_only, from: "00:00", to: "24:00", message: Never.}\n'

    policy_set = load_policy_set(edited(tmp_path, "timing.yaml", ("quiet_hours:\n", "quiet_hours:\n" + rule)))

    assert "never" in rule_ids(only(policy_set, email()))
    assert only(policy_set, email()).verdict is Verdict.ALLOW


def test_every_country_has_business_days() -> None:
    """No year of holidays is endless, and none of them costs a warning or an error."""
    for country in sorted(known_countries()):
        for year in (1999, 2026, 2099):
            off = non_business_days(country, year)
            assert public_holidays(country, year) <= off
            assert 40 < len(off) < 180, country


def test_a_holiday_that_is_kept_in_the_year_before_counts_there() -> None:
    # New Year 2028 is a Saturday, kept on Friday, December 31, 2027.
    assert date(2027, 12, 31) in public_holidays("US", 2027)
    assert date(2027, 12, 31) not in public_holidays("US", 2028)


countries = st.sampled_from(["DE", "US", "JP", "SA", "CN", "IL", "NP"])
places = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(countries, min_size=1, max_size=3, unique=True),
    st.lists(places, min_size=1, max_size=2, unique=True),
    st.sampled_from([(0, 1440), (20 * 60, 8 * 60), (9 * 60, 17 * 60)]),
    st.sampled_from(["holidays", "non_business_days"]),
    st.integers(0, 3 * 365 * 24 * 60).map(
        lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + minutes * MINUTE
    ),
)
def test_the_end_of_days_off_is_what_a_walk_minute_by_minute_finds(
    where: list[str],
    zones: list[str],
    hours: tuple[int, int],
    days: str,
    asked_at: datetime,
) -> None:
    quiet, calendar = (
        QuietHours(*hours, frozenset()),
        Calendar(tuple(where), weekends=days == "non_business_days"),
    )
    there = tuple(ZoneInfo(zone) for zone in zones)

    until = quiet.earliest(asked_at, there, calendar)

    assert until is not FAR
    assert not quiet.quiet(until, there, calendar)
    step = asked_at
    while step < until:
        assert quiet.quiet(step, there, calendar), step
        step += MINUTE
    assert until == asked_at or quiet.quiet(until - timedelta(microseconds=1), there, calendar)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 60 * 24).map(lambda hours: datetime(2026, 3, 20, tzinfo=UTC) + hours * timedelta(hours=1)),
    st.sampled_from([("DE", "Europe/Berlin"), ("US", "America/Chicago"), ("JP", "Asia/Tokyo"), (None, None)]),
)
def test_a_deferral_ends_exactly_when_nothing_is_quiet_any_more(
    now: datetime, home: tuple[str | None, str | None]
) -> None:
    contact = person("champion", country=home[0], time_zone=home[1])
    nowhere = NORTHWIND.model_copy(update={"country": None, "time_zone": None})

    until = asked(policies(), contact, now, nowhere).until

    if until is None:
        return
    assert asked(policies(), contact, until, nowhere).verdict is Verdict.ALLOW
    for step in range(1, 90):
        earlier = until - step * MINUTE
        if earlier >= now:
            assert asked(policies(), contact, earlier, nowhere).verdict is Verdict.DEFER, earlier
