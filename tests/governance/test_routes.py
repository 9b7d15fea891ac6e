"""Whom a route asks, until when, and who takes the place of those who are not there."""

from __future__ import annotations

from datetime import datetime

import pytest

from domain import ReasonCode, Risk, Verdict
from tests.governance.asking import (
    HOUR,
    NOW,
    OFFICE,
    agreed,
    asked,
    asking,
    berlin,
    delegation,
    large,
    route_of,
    yes,
)
from tests.governance.worlds import candidate

TWO = {"leads": ["ada", "ben"], "chiefs": ["cleo"], "board": ["dan"]}
AWAY = {"person": "ada", "from": "2026-11-23", "until": "2026-11-24"}


def test_a_route_says_every_moment() -> None:
    """Given lengths of time, when somebody is asked, then the route has the moments at which they end."""
    route = route_of(
        asking(
            TWO,
            {
                "group": "leads",
                "due_in": "4h",
                "remind": ["3h", "2h"],
                "escalate": [{"after": "5h", "to": "chiefs"}, {"after": "6h", "to": "board"}],
                "claim_for": "10m",
                "risk": "high",
            },
        )
    )

    assert (route.route_id, route.group, route.approvers) == ("the-route", "leads", ("ada", "ben"))
    assert (route.due_at, route.expires_at) == (NOW + 4 * HOUR, NOW + 8 * HOUR)
    assert route.reminders == (NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert [(each.at, each.group, each.approvers) for each in route.levels] == [
        (NOW + 5 * HOUR, "chiefs", ("cleo",)),
        (NOW + 6 * HOUR, "board", ("dan",)),
    ]
    assert (route.claim_seconds, route.risk, route.on_expiry) == (600.0, Risk.HIGH, Verdict.SUPPRESS)


def test_what_is_left_out_is_due_at_its_end_and_reminds_nobody() -> None:
    route = route_of(asking(TWO, {"group": "leads"}))

    assert route.due_at == route.expires_at == NOW + 8 * HOUR
    assert (route.reminders, route.levels, route.seats, route.risk) == ((), (), (), Risk.NORMAL)


def test_nobody_is_asked_or_reminded_after_the_proposal_has_expired() -> None:
    policy_set = asking(
        TWO,
        {
            "group": "leads",
            "due_in": "6h",
            "remind": ["2h", "3h"],
            "escalate": [{"after": "1h", "to": "chiefs"}, {"after": "5h", "to": "board"}],
        },
    )

    route = route_of(policy_set, candidate(large(), expires_at=NOW + 3 * HOUR))

    assert route.expires_at == route.due_at == NOW + 3 * HOUR
    assert route.reminders == (NOW + 2 * HOUR,)
    assert [level.group for level in route.levels] == ["chiefs"]


def test_a_clock_of_business_hours_stands_still_at_night_and_over_a_weekend() -> None:
    """Given a question on Friday afternoon, then half of the time is left on Monday morning."""
    groups = {"leads": {"members": ["ada"], "hours": OFFICE}, "chiefs": ["cleo"]}
    route = {"group": "leads", "due_in": "2h", "escalate": [{"after": "6h", "to": "chiefs"}]}
    friday = berlin("2026-11-27T15:00")

    working = route_of(asking(groups, {**route, "clock": "business_hours"}), now=friday)
    always = route_of(asking(groups, route), now=friday)

    assert (working.due_at, working.expires_at) == (berlin("2026-11-27T17:00"), berlin("2026-11-30T15:00"))
    assert working.levels[0].at == berlin("2026-11-30T13:00")
    assert (always.due_at, always.expires_at) == (friday + 2 * HOUR, friday + 8 * HOUR)


def test_of_several_groups_the_slowest_clock_counts() -> None:
    groups = {
        "leads": {"members": ["ada"], "hours": OFFICE},
        "legal": {"members": ["ben"], "hours": {**OFFICE, "time_zone": "America/New_York", "holidays": "US"}},
    }
    route = {"groups": ["leads", "legal"], "clock": "business_hours", "answer_within": "1h"}

    found = route_of(asking(groups, route), now=berlin("2026-11-24T10:00"))

    assert found.expires_at == berlin("2026-11-24T16:00"), "ten in the morning in New York"
    assert found.group == "leads and legal"


def test_whoever_is_away_is_skipped() -> None:
    assert route_of(asking(TWO, {"group": "leads"}, leave=[AWAY])).approvers == ("ben",)


@pytest.mark.parametrize(
    ("zone", "now", "there"),
    [
        ("America/Los_Angeles", "2026-11-25T07:59+00:00", False),
        ("America/Los_Angeles", "2026-11-25T08:00+00:00", True),
        ("Europe/Berlin", "2026-11-22T22:59+00:00", True),
        ("Europe/Berlin", "2026-11-22T23:00+00:00", False),
        ("Europe/Berlin", "2026-11-24T22:59+00:00", False),
        ("Europe/Berlin", "2026-11-24T23:00+00:00", True),
        (None, "2026-11-24T23:59+00:00", False),
        (None, "2026-11-25T00:00+00:00", True),
    ],
)
def test_the_days_of_a_leave_are_those_of_the_group_that_is_asked(
    zone: str | None, now: str, *, there: bool
) -> None:
    hours = {} if zone is None else {"hours": {**OFFICE, "time_zone": zone}}
    policy_set = asking({"leads": {"members": ["ada", "ben"], **hours}}, {"group": "leads"}, leave=[AWAY])

    assert ("ada" in route_of(policy_set, now=datetime.fromisoformat(now)).approvers) is there


def test_somebody_answers_in_the_place_of_whoever_is_away() -> None:
    route = route_of(asking(TWO, {"group": "leads"}, leave=[{**AWAY, "delegate": "eve"}]))

    assert route.approvers == ("ben", "eve")
    assert route.delegates == {"eve": "ada"}


def test_a_delegation_holds_as_long_as_it_says() -> None:
    policy_set = asking(TWO, {"group": "leads"})
    to_eve = delegation("ada", "eve", starts_at=NOW, ends_at=NOW + HOUR)

    assert route_of(policy_set, delegations=(to_eve,)).delegates == {"eve": "ada"}
    for other in (
        delegation("ada", "eve", starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR),
        delegation("ada", "eve", starts_at=NOW - HOUR, ends_at=NOW),
        delegation("ada", "eve", ended_at=NOW),
        delegation("cleo", "eve"),
    ):
        found = route_of(policy_set, delegations=(other,))
        assert (found.approvers, found.delegates) == (("ada", "ben"), {})


def test_what_is_delegated_is_not_passed_on() -> None:
    """Given a delegate who has delegated, then whoever they named gets nothing of it."""
    chain = (delegation("ada", "eve"), delegation("eve", "finn"))

    route = route_of(asking(TWO, {"group": "leads"}), delegations=chain)

    assert route.delegates == {"eve": "ada"}
    assert "finn" not in route.approvers


def test_a_delegate_who_is_away_is_asked_no_more_than_anybody_else() -> None:
    leave = [{**AWAY, "delegate": "eve"}, {**AWAY, "person": "eve", "delegate": "finn"}]

    route = route_of(asking(TWO, {"group": "leads"}, leave=leave))

    assert (route.approvers, route.delegates) == (("ben",), {})


def test_nobody_answers_in_the_place_of_who_may_not() -> None:
    """Given a proposer in the group, then nobody can stand in for them; and they can stand in for nobody."""
    policy_set = asking(TWO, {"group": "leads"})

    barred = route_of(policy_set, large(actor="ada"), delegations=(delegation("ada", "eve"),))
    deputy = route_of(policy_set, large(actor="eve"), delegations=(delegation("ada", "eve"),))

    assert (barred.approvers, barred.delegates) == (("ben",), {})
    assert (deputy.approvers, deputy.delegates) == (("ada", "ben"), {})


def test_an_agent_answers_for_nobody() -> None:
    route = route_of(asking(TWO, {"group": "leads"}), delegations=(delegation("ada", "sdr-agent"),))

    assert (route.approvers, route.delegates) == (("ada", "ben"), {})


def test_whoever_wrote_the_content_is_not_asked() -> None:
    route = route_of(asking(TWO, {"group": "leads"}), large(edited_by=("ben",)))

    assert route.approvers == ("ada",)
    assert "ben" in route.excluded


def test_if_nobody_is_left_the_next_level_with_somebody_is_asked_at_once() -> None:
    policy_set = asking(
        {**TWO, "leads": ["ada"]},
        {
            "group": "leads",
            "escalate": [{"after": "2h", "to": "chiefs"}, {"after": "4h", "to": "board"}],
        },
        leave=[AWAY],
    )

    first = route_of(policy_set)
    second = route_of(policy_set, large(edited_by=("cleo",)))

    assert (first.group, first.approvers) == ("chiefs", ("cleo",))
    assert [level.group for level in first.levels] == ["board"]
    assert (second.group, second.approvers, second.levels) == ("board", ("dan",), ())


def test_everybody_away_means_no() -> None:
    away = [{**AWAY, "person": login} for login in ("ada", "ben", "cleo")]
    route = {"group": "leads", "escalate": [{"after": "2h", "to": "chiefs"}]}

    decision = asked(asking(TWO, route, leave=away))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.APPROVAL_NEEDED)
    assert decision.hits[0].rule_id == "engine.no_approver"
    assert decision.hits[0].message == (
        "A person in leads or chiefs must approve this, and nobody there is left who may."
    )


def test_a_level_asks_those_who_are_there_then() -> None:
    """Given somebody who is away today and back tomorrow, then they are asked tomorrow."""
    leave = [{**AWAY, "person": "cleo"}]
    route = {
        "group": "leads",
        "answer_within": "48h",
        "escalate": [{"after": "2h", "to": "chiefs"}, {"after": "24h", "to": "board"}],
    }

    found = route_of(asking({**TWO, "board": ["cleo"]}, route, leave=leave))

    assert [(level.group, level.approvers) for level in found.levels] == [("board", ("cleo",))]


FOUR_EYES = {"groups": ["leads", "legal"], "quorum": 2, "distinct_groups": True}
BOTH = {"leads": ["ada", "ben"], "legal": ["ben", "cleo"], "board": ["dan"]}


def test_four_eyes_come_from_different_groups() -> None:
    policy_set = asking(BOTH, FOUR_EYES)

    route = route_of(policy_set)

    assert [(seat.group, seat.approvers) for seat in route.seats] == [
        ("leads", ("ada", "ben")),
        ("legal", ("ben", "cleo")),
    ]
    for logins, allowed in (
        (("ada", "cleo"), True),
        (("ben", "cleo"), True),
        (("ada", "ben"), True),
        (("ben",), False),
        (("ada", "dan"), False),
        (("ben", "ben"), False),
    ):
        decision = asked(policy_set, agreed(*dict.fromkeys(logins)))
        assert decision.verdict is (Verdict.ALLOW if allowed else Verdict.REQUIRE_APPROVAL), logins


def test_two_of_one_group_are_not_four_eyes() -> None:
    policy_set = asking({"leads": ["ada", "ben", "eve"], "legal": ["cleo"]}, FOUR_EYES)

    assert asked(policy_set, agreed("ada", "ben", "eve")).verdict is Verdict.REQUIRE_APPROVAL
    assert asked(policy_set, agreed("ada", "cleo")).verdict is Verdict.ALLOW


def test_a_level_can_take_the_place_of_a_group_that_is_silent() -> None:
    policy_set = asking(BOTH, {**FOUR_EYES, "escalate": [{"after": "2h", "to": "board"}]})

    assert [seat.group for seat in route_of(policy_set).seats] == ["leads", "legal", "board"]
    assert asked(policy_set, agreed("ada", "dan")).verdict is Verdict.ALLOW


def test_four_eyes_of_one_person_are_no_four_eyes() -> None:
    """Given groups in which one person is left, then it is denied."""
    leave = [{**AWAY, "person": login} for login in ("ada", "cleo")]

    decision = asked(asking(BOTH, FOUR_EYES, leave=leave))

    assert decision.verdict is Verdict.DENY
    assert decision.hits[0].message == (
        "2 persons from different groups in leads or legal must approve this, "
        "and only 1 is left there who may."
    )


def test_an_approval_counts_while_its_giver_could_still_give_it() -> None:
    policy_set = asking(TWO, {"group": "leads", "escalate": [{"after": "2h", "to": "chiefs"}]})

    assert asked(policy_set, agreed("ada")).verdict is Verdict.ALLOW
    assert asked(policy_set, agreed("cleo")).verdict is Verdict.ALLOW, "those of a level may at any time"
    assert asked(policy_set, agreed("dan")).verdict is Verdict.REQUIRE_APPROVAL
    assert asked(policy_set, agreed("sdr-agent")).verdict is Verdict.REQUIRE_APPROVAL
    edited = agreed("ada", proposal=large(edited_by=("ada",)))
    assert asked(policy_set, edited).verdict is Verdict.REQUIRE_APPROVAL


def test_being_on_leave_takes_nothing_back() -> None:
    decision = asked(asking(TWO, {"group": "leads"}, leave=[AWAY]), agreed("ada"))

    assert decision.verdict is Verdict.ALLOW


def test_what_a_delegate_said_counts_if_they_were_one_when_they_said_it() -> None:
    policy_set = asking(TWO, {"group": "leads"})
    until_noon = delegation("ada", "eve", starts_at=NOW - 4 * HOUR, ends_at=NOW - HOUR)
    in_time, late = (agreed(yes("eve", NOW - hours * HOUR, "ada")) for hours in (2, 1))

    decision = asked(policy_set, in_time, delegations=(until_noon,))

    assert decision.verdict is Verdict.ALLOW
    assert any(hit.message.startswith("Approved by eve for ada: ") for hit in decision.hits)
    assert asked(policy_set, late, delegations=(until_noon,)).verdict is Verdict.REQUIRE_APPROVAL
    assert asked(policy_set, in_time).verdict is Verdict.REQUIRE_APPROVAL, "nobody delegated anything"


def test_two_voices_of_one_person_are_one() -> None:
    """Given a delegate and the person in whose place they answer, then both together are one."""
    policy_set = asking({**TWO, "leads": ["ada", "ben", "cleo"]}, {"group": "leads", "quorum": 2})
    both = agreed(yes("eve", answers_for="ada"), yes("ada"))
    two = agreed(yes("eve", answers_for="ada"), yes("ben"))

    given = {"delegations": (delegation("ada", "eve"),)}
    assert asked(policy_set, both, **given).verdict is Verdict.REQUIRE_APPROVAL
    assert asked(policy_set, two, **given).verdict is Verdict.ALLOW
