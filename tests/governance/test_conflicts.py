"""Conflicts: what does not go together, who stands back for whom, and that nobody is lost on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations

import pytest

from domain import (
    Circumstances,
    Hold,
    ProposalStatus,
    ReasonCode,
    SignalKind,
    SupportCase,
    TouchStatus,
    Verdict,
)
from governance import PolicyError
from governance._hearing import IN_FLIGHT_PAUSE
from tests.governance.rivalries import arbitration, caring, closing, scheduled, with_conflict
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

APART = timedelta(days=14)
GAP = timedelta(days=2)


class TestConflicts:
    def test_the_intent_that_is_kept_stays_whatever_the_scores_say(self) -> None:
        made = decisions(policies(), request(closing(value=1.0), caring()))

        assert made["close-1"].verdict is Verdict.ALLOW
        lost = made["care-1"]
        assert (lost.verdict, lost.reason) == (Verdict.SUPPRESS, ReasonCode.CONFLICTING_INTENT)
        assert lost.hits[0].rule_id == "nurture-or-closing"
        assert "close-1 stays: closing" in lost.hits[0].message
        assert lost.hits[0].file == "arbitration.yaml"

    def test_without_a_kept_intent_the_better_proposal_stays(self) -> None:
        made = decisions(with_conflict(), request(closing(value=1.0), caring()))

        assert made["care-1"].verdict is Verdict.ALLOW
        assert made["close-1"].reason is ReasonCode.CONFLICTING_INTENT

    def test_an_intent_does_not_conflict_with_itself(self) -> None:
        made = decisions(
            policies(), request(caring(), caring(proposal_id="care-2", contact_id="practitioner"))
        )

        assert all(each.reason is not ReasonCode.CONFLICTING_INTENT for each in made.values())

    def test_one_that_waits_for_a_person_stays_as_well(self) -> None:
        asked = executive(intent="closing")

        made = decisions(policies(), request(asked, caring()))

        assert made["exec-1"].verdict is Verdict.REQUIRE_APPROVAL
        assert made["care-1"].reason is ReasonCode.CONFLICTING_INTENT

    def test_one_that_nobody_may_approve_keeps_nobody_back(self) -> None:
        alone = arbitration(
            lambda content: [group.update(members=["tom.okafor"]) for group in content["groups"]],
            "people.yaml",
        )

        made = decisions(alone, request(executive(intent="closing"), caring()))

        assert made["exec-1"].verdict is Verdict.DENY
        assert made["care-1"].verdict is Verdict.ALLOW

    def test_a_denied_one_keeps_nobody_back(self) -> None:
        made = decisions(policies(), request(closing(actor="stranger"), caring()))

        assert made["care-1"].verdict is Verdict.ALLOW

    def test_whoever_stood_back_for_one_that_lost_is_not_lost(self) -> None:
        """A stands back for B, and B is dropped because C speaks to the same person: A gets its turn."""
        winner = email(value=80_000.0, actor="lena.fischer")
        second = closing(value=40_000.0)
        third = caring()

        made = decisions(policies(), request(winner, second, third))

        assert made["sdr-1"].verdict is Verdict.ALLOW
        assert made["close-1"].hits[0].rule_id == "one-voice-per-person"
        assert (made["care-1"].verdict, made["care-1"].reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)

    def test_that_holds_when_it_had_the_highest_score_of_all(self) -> None:
        winner = email(value=20_000.0, actor="lena.fischer")
        kept = closing(value=1.0)
        best = caring(value=19_000.0, propensity=0.9)

        made = decisions(policies(), request(winner, kept, best))

        assert made["sdr-1"].verdict is Verdict.ALLOW
        assert made["close-1"].verdict is Verdict.SUPPRESS
        assert made["care-1"].verdict is Verdict.DEFER
        assert "stood back for another that does not go either" in made["care-1"].hits[0].message

    def test_no_order_of_arrival_or_of_ids_matters_where_scores_differ(self) -> None:
        asked = [closing(value=1.0), caring(), email(), personalization(), executive(intent="closing")]
        expected = decisions(policies(), request(*asked))

        for order in permutations(asked):
            assert decisions(policies(), request(*order)) == expected

    def test_deferring_waits_until_the_one_that_stays_is_out_and_the_rest_is_over(self) -> None:
        rule = with_conflict(("then", "defer"), ("apart", "20d"), ("keeps", "closing"))

        waits = decisions(rule, request(closing(), caring()))["care-1"]

        assert (waits.verdict, waits.reason) == (Verdict.DEFER, ReasonCode.CONFLICTING_INTENT)
        assert waits.until is not None
        assert waits.until >= NOW + timedelta(days=20)
        (lost,) = (hit for hit in waits.hits if hit.reason is ReasonCode.LOWER_PRIORITY)
        assert lost.until == NOW + GAP, "what the conflict adds is told by the conflict alone"
        gone = touch(NOW, channel="email", contact_id="champion", action="send_email", intent="closing")
        assert only(rule, caring(), touches=(gone,), now=waits.until).verdict is Verdict.ALLOW
        early = only(rule, caring(), touches=(gone,), now=NOW + timedelta(days=20, seconds=-1))
        assert early.reason is ReasonCode.CONFLICTING_INTENT

    def test_a_wait_beyond_the_end_of_the_proposal_is_a_suppression_for_the_same_reason(self) -> None:
        rule = with_conflict(("then", "defer"), ("apart", "20d"), ("keeps", "closing"))
        short = candidate(caring(), expires_at=NOW + timedelta(days=19))

        lost = decisions(rule, request(closing(), short))["care-1"]

        assert (lost.verdict, lost.reason) == (Verdict.SUPPRESS, ReasonCode.CONFLICTING_INTENT)

    @pytest.mark.parametrize("intent", ["closing", None])
    def test_a_touch_holds_back_the_other_intent_to_the_second(self, intent: str | None) -> None:
        """What the touch was after is what its proposal said, else what the file says of its action."""
        sent = touch(NOW - timedelta(days=8), action="send_nurture_email", intent=None)
        proposal = closing()
        if intent is None:
            sent, proposal = touch(NOW - timedelta(days=8), action="any", intent="closing"), caring()

        waits = only(policies(), proposal, touches=(sent,))

        assert (waits.verdict, waits.reason) == (Verdict.DEFER, ReasonCode.CONFLICTING_INTENT)
        (hit,) = (hit for hit in waits.hits if hit.reason is ReasonCode.CONFLICTING_INTENT)
        assert hit.until == sent.at + APART
        assert f"{sent.action} on 2026-11-16" in hit.message
        assert only(policies(), proposal, touches=(sent,), now=sent.at + APART).verdict is Verdict.ALLOW

    def test_a_released_touch_holds_nobody_back(self) -> None:
        released = touch(NOW - timedelta(days=8), action="send_nurture_email", status=TouchStatus.RELEASED)

        assert only(policies(), closing(), touches=(released,)).verdict is Verdict.ALLOW

    def test_a_scheduled_one_counts_like_one_that_is_judged_now(self) -> None:
        kept = scheduled(closing(), 1.0, NOW + timedelta(days=3))

        lost = only(policies(), caring(), scheduled=(kept,))

        assert (lost.verdict, lost.reason) == (Verdict.SUPPRESS, ReasonCode.CONFLICTING_INTENT)
        stays = only(policies(), closing(), scheduled=(scheduled(caring(), 1e9, NOW + timedelta(days=3)),))
        assert stays.verdict is Verdict.ALLOW

    def test_deferring_behind_a_scheduled_one_leaves_it_its_turn(self) -> None:
        rule = with_conflict(("then", "defer"), ("keeps", "closing"))
        due = NOW + timedelta(days=3)

        waits = only(rule, caring(), scheduled=(scheduled(closing(), 1.0, due),))

        assert waits.until is not None
        assert waits.until >= due + GAP
        person = scheduled(closing(), 1.0, None, status=ProposalStatus.PENDING_APPROVAL, answer_by=due)
        assert only(rule, caring(), scheduled=(person,)).until == due

    def test_deferring_behind_one_that_a_person_decides_waits_for_the_answer(self) -> None:
        rule = with_conflict(("then", "defer"), ("keeps", "closing"))

        made = decisions(rule, request(executive(intent="closing"), caring()))

        route = made["exec-1"].route
        assert route is not None
        assert made["care-1"].until == route.expires_at == NOW + timedelta(days=1)

    @pytest.mark.parametrize("due", [NOW - timedelta(hours=1), NOW])
    def test_one_that_is_due_already_is_ruled_right_after_this_ruling(self, due: datetime) -> None:
        """So the rest is reckoned from a moment that is still to come."""
        rule = with_conflict(("then", "defer"), ("keeps", "closing"))

        waits = only(rule, caring(), scheduled=(scheduled(closing(), 1.0, due),))

        assert waits.until == NOW + IN_FLIGHT_PAUSE + GAP

    def test_behind_a_scheduled_one_the_rest_between_intents_is_kept_too(self) -> None:
        """What the scheduled one is after is what its proposal said, whatever its action is called."""
        rule = with_conflict(("then", "defer"), ("apart", "20d"), ("keeps", "closing"))
        due = NOW + timedelta(days=3)

        waits = only(rule, caring(), scheduled=(scheduled(closing(), 1.0, due),))

        assert waits.until == due + timedelta(days=20)

    def test_a_loser_that_stands_back_for_nobody_still_keeps_apart_from_the_winner(self) -> None:
        """The rule concerns the smaller one alone, which it keeps: so it only lost, and then has to rest."""
        rule = with_conflict(("keeps", "closing"), ("apart", "20d"), ("when", "proposal.value < 1000.0"))

        made = decisions(rule, request(closing(value=999.0), caring()))

        assert made["care-1"].verdict is Verdict.ALLOW
        lost = made["close-1"]
        assert (lost.verdict, lost.reason) == (Verdict.DEFER, ReasonCode.LOWER_PRIORITY)
        assert lost.until == lost.hits[0].until == NOW + timedelta(days=20)

    def test_two_that_are_equal_do_not_wait_for_each_other(self) -> None:
        rule = with_conflict(("then", "defer"))
        one, other = closing(value=100.0, propensity=0.5), caring(value=100.0, propensity=0.5)
        due = NOW + timedelta(days=3)
        earlier = NOW - timedelta(hours=1)

        first = only(
            rule,
            candidate(one, received_at=earlier),
            scheduled=(scheduled(other, 50.0, due, received_at=NOW),),
        )
        second = only(
            rule,
            candidate(other, received_at=NOW),
            scheduled=(scheduled(one, 50.0, due, received_at=earlier),),
        )

        assert first.verdict is Verdict.ALLOW
        assert second.reason is ReasonCode.CONFLICTING_INTENT

    def test_a_condition_narrows_the_rule_to_those_who_would_stand_back(self) -> None:
        rule = with_conflict(("keeps", "closing"), ("when", "proposal.value < 1000.0"))

        assert decisions(rule, request(closing(), caring(value=999.0)))["care-1"].reason is (
            ReasonCode.CONFLICTING_INTENT
        )
        assert decisions(rule, request(closing(), caring(value=1000.0)))["care-1"].reason is (
            ReasonCode.LOWER_PRIORITY
        )

    @pytest.mark.parametrize("keeps", ["closing", None])
    def test_tried_out_it_is_told_and_changes_nothing(self, keeps: str | None) -> None:
        given = (("keeps", keeps),) if keeps else ()
        trial = with_conflict(("mode", "log_only"), ("apart", "14d"), *given)
        none = arbitration(lambda content: content.update(conflicts=[]))
        asked = request(closing(value=1.0), caring())

        tried, without = decisions(trial, asked), decisions(none, asked)

        for proposal_id, decision in without.items():
            assert tried[proposal_id].verdict is decision.verdict
            assert tried[proposal_id].until == decision.until
            assert tried[proposal_id].rank == decision.rank
        (told,) = ((key, hit) for key, each in tried.items() for hit in each.hits if hit.rule_id == "clash")
        assert told[0] == ("care-1" if keeps else "close-1"), "the one that would have stood back"
        assert told[1].log_only

    def test_one_that_is_dropped_itself_keeps_nobody_back(self) -> None:
        """X stays and Y has to go, so Z, which Y would have driven out, is free."""
        rule = arbitration(
            lambda content: content["conflicts"].append(
                {"id": "more", "intents": ["nurture", "upsell"], "then": "suppress", "message": "No."}
            )
        )
        stays, gone = executive(intent="closing"), caring()
        free = email(intent="upsell", contact_id="practitioner", value=1.0)

        made = decisions(rule, request(stays, gone, free))

        assert made["exec-1"].verdict is Verdict.REQUIRE_APPROVAL
        assert made["care-1"].verdict is Verdict.SUPPRESS
        assert (made["sdr-1"].verdict, made["sdr-1"].rank) == (Verdict.ALLOW, 1)

    def test_where_scores_go_round_in_a_circle_nobody_is_dropped_for_a_worse_one(self) -> None:
        """Closing is kept before nurture, nurture scores above upsell, and upsell above closing."""
        pairs = [("closing", "nurture"), ("nurture", "upsell"), ("upsell", "closing")]
        entries: list[dict[str, object]] = [
            {"id": f"c{n}", "intents": list(pair), "then": "suppress", "message": "No."}
            for n, pair in enumerate(pairs)
        ]
        entries[0]["keeps"] = "closing"
        rule = arbitration(lambda content: content.update(conflicts=entries))
        upsell = email(intent="upsell", contact_id="practitioner", value=1_000.0)

        made = decisions(rule, request(closing(value=10.0), caring(), upsell))

        assert made["sdr-1"].verdict is Verdict.ALLOW
        assert made["close-1"].verdict is Verdict.SUPPRESS
        assert (made["care-1"].verdict, made["care-1"].reason) == (
            Verdict.DEFER,
            ReasonCode.CONFLICTING_INTENT,
        )

    def test_a_conflict_takes_nothing_from_the_rules_for_losers(self) -> None:
        rule = with_conflict(("then", "defer"), ("keeps", "closing"))

        lost = decisions(rule, request(closing(), nurture()))["nurture-1"]

        assert (lost.verdict, lost.hits[0].rule_id) == (Verdict.SUPPRESS, "one-voice-per-person")
        assert "clash" in rule_ids(lost)

    def test_waiting_for_another_comes_on_top_of_a_hold(self) -> None:
        rule = with_conflict(("then", "defer"), ("keeps", "closing"))
        ends = NOW + timedelta(days=9)
        hold = Hold(hold_id="h", placed_by="dana.reyes", reason="talks", placed_at=NOW, expires_at=ends)
        soon = scheduled(closing(), 1.0, NOW + timedelta(days=1))

        waits = only(rule, caring(), holds=(hold,), scheduled=(soon,))

        assert waits.until == ends
        assert {"clash", "engine.hold"} <= rule_ids(waits)

    def test_three_intents_go_round_without_a_circle(self) -> None:
        rule = with_conflict(("intents", ("nurture", "closing", "upsell")))
        upsell = email(proposal_id="up-1", intent="upsell", contact_id="practitioner", value=90.0)

        made = decisions(rule, request(closing(value=100.0), caring(value=1.0), upsell))

        assert made["close-1"].verdict is Verdict.ALLOW
        assert made["care-1"].reason is ReasonCode.CONFLICTING_INTENT
        assert made["up-1"].reason is ReasonCode.CONFLICTING_INTENT


class TestMisfits:
    @pytest.mark.parametrize(("severity", "fits"), [(1, False), (2, True)])
    def test_nothing_is_sold_while_a_severe_case_is_open(self, severity: int, *, fits: bool) -> None:
        case = SupportCase(case_id="c", severity=severity, opened_at=NOW, reported_at=NOW)
        upsell = email(intent="upsell")

        decision = only(policies(), upsell, circumstances=Circumstances(open_cases=(case,)))

        assert ("no-upsell-in-trouble" in rule_ids(decision)) is not fits
        assert "no-upsell-in-trouble" not in rule_ids(
            only(policies(), email(), circumstances=Circumstances(open_cases=(case,)))
        )

    def test_nobody_is_introduced_after_a_meeting_was_booked(self) -> None:
        met = Circumstances(latest={SignalKind.MEETING_BOOKED: NOW - timedelta(days=29)})
        long_ago = Circumstances(latest={SignalKind.MEETING_BOOKED: NOW - timedelta(days=31)})

        late = only(policies(), email(intent="intro"), circumstances=met)

        assert (late.verdict, late.reason) == (Verdict.SUPPRESS, ReasonCode.CONFLICTING_INTENT)
        assert only(policies(), email(intent="intro"), circumstances=long_ago).verdict is Verdict.ALLOW
        assert only(policies(), email(intent="intro")).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"intents": ["nurture"]}, "one intent alone needs `when`"),
        ({"intents": ["upsell"], "when": "true", "apart": "1d"}, "`apart` needs two intents or more"),
        ({"intents": ["upsell"], "when": "true", "keeps": "upsell"}, "`keeps` needs two intents or more"),
        ({"intents": ["upsell"], "when": "true", "then": "defer"}, "can only be suppressed"),
        ({"intents": []}, "at least 1 entry"),
        ({"intents": ["nurture", "nurture"]}, "'nurture' is listed twice"),
        ({"intents": ["nurture", "closng"]}, "did you mean `closing`?"),
        ({"keeps": "upsell"}, "there is no intent in this conflict named 'upsell'"),
        ({"keeps": "closng"}, "did you mean `closing`?"),
        ({"apart": "91d"}, "at most 90d"),
        ({"then": "deny"}, "suppress"),
        ({"when": "winner.same_contact"}, "winner"),
    ],
)
def test_a_conflict_that_makes_no_sense_is_refused(entry: dict[str, object], words: str) -> None:
    items = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}

    with pytest.raises(PolicyError, match=r"arbitration\.yaml:\d+:\d+: error:") as caught:
        with_conflict(*items.items())

    assert words in str(caught.value)


def test_an_intent_that_only_proposals_know_is_no_mistake() -> None:
    rule = with_conflict(("intents", ("nurture", "win-back")))

    lost = decisions(rule, request(email(intent="win-back"), caring()))["care-1"]

    assert lost.reason is ReasonCode.CONFLICTING_INTENT


def test_rules_that_keep_intents_in_a_circle_are_refused() -> None:
    entries = [
        {"id": rule_id, "intents": list(pair), "keeps": pair[0], "then": "defer", "message": "No."}
        for rule_id, pair in {
            "one": ("closing", "upsell"),
            "two": ("upsell", "nurture"),
            "three": ("nurture", "closing"),
        }.items()
    ]

    with pytest.raises(PolicyError, match="says the opposite") as caught:
        arbitration(lambda content: content.update(conflicts=entries))

    assert "'upsell' cannot stay instead of 'nurture': three and one says the opposite" in str(caught.value)
