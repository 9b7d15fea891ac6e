"""Arbitration: who waits for whom, who starves, what is only tried out, and how ties are broken."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import pytest

from domain import (
    ProposalStatus,
    ReasonCode,
    Verdict,
)
from governance import PolicyError, PolicySet
from governance._hearing import IN_FLIGHT_PAUSE
from tests.governance.rivalries import arbitration, scheduled
from tests.governance.worlds import (
    NOW,
    candidate,
    decisions,
    email,
    executive,
    nurture,
    only,
    personalization,
    policies,
    request,
    rule_ids,
    touch,
)

GAP = timedelta(days=2)


@cache
def looking_ahead(when: str | None = None, mode: str = "enforce") -> PolicySet:
    entry = {"id": "ahead", "mode": mode, "within": "7d", "message": "A better one is due soon."}
    if when is not None:
        entry["when"] = when
    return arbitration(lambda content: content.update(look_ahead=entry))


class TestLookAhead:
    better = scheduled(executive(), 50_000.0, NOW + timedelta(days=3))

    def test_a_worse_one_waits_until_the_better_one_is_out_and_the_gap_is_over(self) -> None:
        waits = only(looking_ahead(), email(), scheduled=(self.better,))

        assert (waits.verdict, waits.reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)
        assert waits.hits[0].rule_id == "ahead"
        assert "exec-1 is due 2026-11-27 10:00:00Z; 50,000.00 against 12,000.00" in waits.hits[0].message
        assert waits.rank is None
        assert waits.until is not None
        assert waits.until >= NOW + timedelta(days=3) + GAP
        sent = touch(NOW + timedelta(days=3), channel="email", contact_id="executive_sponsor")
        assert only(looking_ahead(), email(), touches=(sent,), now=waits.until).verdict is Verdict.ALLOW

    @pytest.mark.parametrize(
        ("changes", "waits"),
        [
            ({}, True),
            ({"score": 12_000.01}, True),
            ({"score": 12_000.0}, False),
            ({"score": 1.0}, False),
            ({"due_at": NOW + timedelta(days=7)}, True),
            ({"due_at": NOW + timedelta(days=7, microseconds=1)}, False),
            ({"due_at": None, "status": ProposalStatus.PENDING_APPROVAL}, False),
        ],
    )
    def test_only_a_better_one_that_is_due_in_time_counts(
        self, changes: dict[str, object], *, waits: bool
    ) -> None:
        ahead = self.better.model_copy(update=changes)

        decision = only(looking_ahead(), email(), scheduled=(ahead,))

        assert (decision.verdict is Verdict.DEFER) is waits

    def test_the_better_one_is_never_held_back_by_the_worse(self) -> None:
        worse = scheduled(email(), 12_000.0, NOW + timedelta(days=1))

        better = email(proposal_id="better", value=40_000.5)

        assert only(looking_ahead(), better, scheduled=(worse,)).verdict is Verdict.ALLOW

    def test_its_condition_sees_the_one_that_is_scheduled(self) -> None:
        same_person = looking_ahead(when="winner.same_contact")

        assert only(same_person, email(), scheduled=(self.better,)).verdict is Verdict.ALLOW
        to_champion = self.better.model_copy(update={"contact_id": "champion"})
        assert only(same_person, email(), scheduled=(to_champion,)).verdict is Verdict.DEFER

    def test_a_condition_that_gives_no_answer_denies_in_its_name(self) -> None:
        rule = looking_ahead(when='winner.intent == "closing" && contact.role == Role.CHAMPION')
        ahead = self.better.model_copy(update={"intent": "closing"})

        denied = only(rule, personalization(), scheduled=(ahead,))

        assert (denied.verdict, denied.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
        assert denied.hits[0].rule_id == "ahead"

    def test_the_next_best_goes_first_meanwhile_if_the_condition_lets_it(self) -> None:
        rule = looking_ahead(when="winner.same_contact")
        ahead = self.better.model_copy(update={"contact_id": "champion"})

        made = decisions(rule, request(email(), personalization(), scheduled=(ahead,)))

        assert made["web-1"].verdict is Verdict.ALLOW
        assert made["sdr-1"].hits[0].rule_id == "ahead"

    def test_tried_out_it_is_told_and_changes_nothing(self) -> None:
        decision = only(looking_ahead(mode="log_only"), email(), scheduled=(self.better,))

        assert (decision.verdict, decision.rank) == (Verdict.ALLOW, 1)
        (hit,) = (hit for hit in decision.hits if hit.rule_id == "ahead")
        assert hit.log_only


class TestStarvation:
    cap = touch(NOW - timedelta(days=1), channel="email", contact_id="champion")

    @pytest.mark.parametrize(("deferrals", "starves"), [(3, False), (4, True), (9, True)])
    def test_from_the_fifth_deferral_on_it_is_said_and_nothing_else_changes(
        self, deferrals: int, *, starves: bool
    ) -> None:
        again = only(policies(), candidate(email(), deferrals=deferrals), touches=(self.cap,))
        first = only(policies(), candidate(email()), touches=(self.cap,))

        assert again.starved is starves
        assert (again.verdict, again.reason, again.until) == (first.verdict, first.reason, first.until)
        notes = [hit for hit in again.hits if hit.reason is ReasonCode.STARVED]
        assert [hit.effect for hit in notes] == [Verdict.ALLOW] * starves
        if starves:
            assert f"({deferrals + 1} times since 2026-11-24 09:59:58Z)" in notes[0].message

    def test_what_goes_out_does_not_starve(self) -> None:
        assert not only(policies(), candidate(email(), deferrals=9)).starved

    def test_tried_out_nobody_is_alarmed(self) -> None:
        trial = arbitration(lambda content: content["starvation"].update(mode="log_only"))

        decision = only(trial, candidate(email(), deferrals=9), touches=(self.cap,))

        assert not decision.starved
        assert "deferred-again-and-again" in rule_ids(decision)


class TestTries:
    def test_slots_that_are_tried_out_hold_nobody_back(self) -> None:
        busy = tuple(
            touch(NOW - timedelta(days=day), touch_id=f"t{day}", contact_id="influencer") for day in (4, 5, 6)
        )
        trial = arbitration(lambda content: content["slots"].update(mode="log_only"))

        assert only(policies(), personalization(), touches=busy).reason is ReasonCode.NO_SLOT
        tried = only(trial, personalization(), touches=busy)
        assert tried.verdict is Verdict.ALLOW
        assert "account-slots" in rule_ids(tried)

    @pytest.mark.parametrize(
        ("way", "waits", "counts"),
        [("exempt", False, False), ("counted", False, True), ("capped", True, True)],
    )
    def test_service_messages_and_slots(self, way: str, *, waits: bool, counts: bool) -> None:
        rule = arbitration(lambda content: content["slots"].update(operational=way))
        days = (4, 5, 6)
        busy = tuple(touch(NOW - timedelta(days=day), touch_id=f"t{day}") for day in days)
        notices = tuple(each.model_copy(update={"action": "send_invoice"}) for each in busy)
        invoice = email(actor="lena.fischer", action="send_invoice")

        held = only(rule, invoice, touches=busy)
        after = only(rule, personalization(), touches=notices)

        assert ("account-slots" in rule_ids(held)) is waits
        assert ("account-slots" in rule_ids(after)) is counts

    def test_a_service_message_that_loses_is_not_dropped(self) -> None:
        notice = email(proposal_id="notice", actor="lena.fischer", action="send_outage_notice", value=1.0)

        made = decisions(policies(), request(email(), notice))

        assert made["sdr-1"].verdict is Verdict.ALLOW
        assert (made["notice"].verdict, made["notice"].reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)
        assert made["notice"].until == NOW + IN_FLIGHT_PAUSE, "no limit holds it, only the winner's hand-over"

    def test_a_service_message_that_dies_meanwhile_is_dropped(self) -> None:
        notice = email(proposal_id="notice", actor="lena.fischer", action="send_outage_notice", value=1.0)
        dying = candidate(notice, expires_at=NOW + IN_FLIGHT_PAUSE)

        made = decisions(policies(), request(email(), dying))

        assert (made["notice"].verdict, made["notice"].reason) == (
            Verdict.SUPPRESS,
            ReasonCode.LOWER_PRIORITY,
        )

    def test_losers_rules_that_are_tried_out_drop_nobody(self) -> None:
        trial = arbitration(lambda content: content["losers"][0].update(mode="log_only"))
        asked = request(email(), nurture())

        assert decisions(policies(), asked)["nurture-1"].verdict is Verdict.SUPPRESS
        tried = decisions(trial, asked)["nurture-1"]
        assert (tried.verdict, tried.hits[0].rule_id) == (Verdict.DEFER, "next-turn")
        assert "one-voice-per-person" in rule_ids(tried)


class TestTies:
    def test_the_earlier_arrival_breaks_a_tie_and_says_so(self) -> None:
        late = candidate(email(proposal_id="a-late"))
        early = candidate(
            email(proposal_id="z-early", contact_id="influencer"), received_at=NOW - timedelta(seconds=9)
        )

        made = decisions(policies(), request(late, early))

        assert made["z-early"].rank == 1
        (won,) = (hit for hit in made["z-early"].hits if hit.rule_id == "engine.winner")
        assert "the next has the same, the earlier arrival decides" in won.message
        assert "12,000.00 against 12,000.00, the earlier arrival decides" in made["a-late"].hits[0].message

    def test_then_the_smaller_id(self) -> None:
        made = decisions(
            policies(), request(email(proposal_id="b"), email(proposal_id="a", contact_id="influencer"))
        )

        assert made["a"].rank == 1
        assert "both came at once and the smaller id decides" in made["b"].hits[0].message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"look_ahead": {"id": "a", "within": "0s", "message": "m"}}, "longer than nothing"),
        ({"look_ahead": {"id": "a", "within": "91d", "message": "m"}}, "at most 90d"),
        ({"look_ahead": {"id": "a", "within": "1d", "message": "m", "when": "winer.value > 1.0"}}, "winner"),
        ({"starvation": {"id": "a", "after": 1, "message": "m"}}, "2"),
        ({"starvation": {"id": "urgent-account", "after": 2, "message": "m"}}, "already used"),
    ],
)
def test_mistakes_in_looking_ahead_and_starvation_are_shown(change: dict[str, object], words: str) -> None:
    with pytest.raises(PolicyError, match=r"arbitration\.yaml:\d+:\d+: error:") as caught:
        arbitration(lambda content: content.update(change))

    assert words in str(caught.value)
