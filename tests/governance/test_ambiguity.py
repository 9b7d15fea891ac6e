"""Readings that disagree too much: a person says what is so, and silence lets nothing go out."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

import pytest

from domain import (
    Ambiguity,
    Approval,
    ApprovalStatus,
    Assessment,
    ExceptionKind,
    Reading,
    ReasonCode,
    Ruling,
    SettledStage,
    Stage,
    Verdict,
)
from governance import PolicyError, PolicySet, assess, compile_policy_set
from tests.governance.worlds import NOW, candidate, email, policies, request, rule

ROUTE = "\nexceptions:\n  ambiguity: {id: ask-what-is-so, group: sales-leadership, answer_within: 24h}\n"
ASK = """
ambiguity:
  id: too-different
  disagreement_above: 0.5
  holds_for: 14d
"""


@cache
def built(*, ask: str = ASK, route: str = ROUTE, operational: str = "") -> PolicySet:
    """The shipped policies, with what they say about ambiguity replaced."""
    files = dict(policies().files)
    files["interpretation.yaml"] = files["interpretation.yaml"].partition("\nambiguity:")[0] + ask
    files["approvals.yaml"] = files["approvals.yaml"].partition("\nexceptions:")[0] + route
    if operational:
        old = "operational: ["
        assert old in files["frequency.yaml"]
        files["frequency.yaml"] = files["frequency.yaml"].replace(old, f"{old}{operational}, ")
    return compile_policy_set(files)


def reading(system: str, stage: Stage, confidence: float = 0.9, ago: timedelta = timedelta(0)) -> Reading:
    return Reading(system=system, stage=stage, urgency=0.5, confidence=confidence, observed_at=NOW - ago)


SPLIT = (reading("crm", Stage.AWARE), reading("intent-provider", Stage.CLOSING))
AGREED = (reading("crm", Stage.ENGAGED), reading("intent-provider", Stage.ENGAGED))


def ruled(policy_set: PolicySet | None = None, /, **changes: object) -> Ruling:
    return rule(policy_set or built(), request(email(), **{"readings": SPLIT, **changes}))


def question(found: Ambiguity, status: ApprovalStatus, **changes: object) -> Approval:
    """What the account asks a person once a ruling has said so."""
    given: dict[str, object] = {
        "approval_id": "readings:1",
        "kind": ExceptionKind.AMBIGUITY,
        "proposal_id": None,
        "digest": found.digest,
        "reason": ReasonCode.AMBIGUOUS,
        "message": found.message,
        "route": found.route,
        "requested_at": NOW,
        "status": status,
    }
    return Approval.model_validate({**given, **changes})


def asked(status: ApprovalStatus, **changes: object) -> Approval:
    found = ruled().ambiguity
    assert found is not None
    return question(found, status, **changes)


def settled(stage: Stage = Stage.AWARE, until: datetime = NOW + timedelta(days=1)) -> SettledStage:
    found = ruled().ambiguity
    assert found is not None
    return SettledStage(
        stage=stage, settled_by="dana.reyes", settled_at=NOW, holds_until=until, digest=found.digest
    )


def test_a_person_is_asked_what_is_so_and_proposals_wait_for_the_answer() -> None:
    ruling = ruled()
    (decision,) = ruling.decisions

    assert ruling.ambiguity is not None
    assert ruling.ambiguity.rule_id == "too-different"
    assert ruling.ambiguity.message == "crm says aware, intent-provider says closing."
    assert ruling.ambiguity.disagreement > 0.5
    assert ruling.ambiguity.holds_seconds == timedelta(days=14).total_seconds()
    assert ruling.ambiguity.route.approvers == ("dana.reyes", "tom.okafor")
    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.AMBIGUOUS)
    assert decision.until == ruling.ambiguity.route.expires_at == NOW + timedelta(days=1)
    hit = decision.hits[0]
    assert (hit.rule_id, hit.file) == ("too-different", "interpretation.yaml")
    assert hit.message == "A person is asked what is so: crm says aware, intent-provider says closing."


def test_while_the_question_is_open_they_wait_for_its_end_and_no_longer() -> None:
    first = ruled().ambiguity
    assert first is not None
    route = first.route.model_copy(update={"expires_at": NOW + timedelta(hours=3)})

    (decision,) = ruled(ambiguity=asked(ApprovalStatus.PENDING, route=route)).decisions

    assert decision.until == NOW + timedelta(hours=3)


def test_when_nobody_answered_in_time_they_are_dropped() -> None:
    ruling = ruled(ambiguity=asked(ApprovalStatus.EXPIRED))
    (decision,) = ruling.decisions

    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.AMBIGUOUS)
    assert ruling.ambiguity is not None, "the account knows the question by its digest, and asks no more"


def test_after_as_long_as_an_answer_holds_silence_is_no_answer_any_more() -> None:
    expired = asked(ApprovalStatus.EXPIRED, answered_at=NOW - timedelta(days=14))

    (decision,) = ruled(ambiguity=expired).decisions

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.AMBIGUOUS)
    assert decision.until == NOW + timedelta(days=1), "somebody is asked again"


def test_other_readings_are_another_question() -> None:
    turned = (
        reading("crm", Stage.ENGAGED),
        reading("intent-provider", Stage.TARGET),
        reading("web", Stage.CUSTOMER),
    )

    ruling = ruled(readings=turned, ambiguity=asked(ApprovalStatus.EXPIRED))

    assert ruling.decisions[0].verdict is Verdict.DEFER
    assert ruling.ambiguity is not None
    assert ruling.ambiguity.digest != asked(ApprovalStatus.EXPIRED).digest


def test_the_same_said_again_later_is_the_same_question() -> None:
    again = tuple(each.model_copy(update={"observed_at": NOW - timedelta(hours=1)}) for each in SPLIT)

    first, second = ruled().ambiguity, ruled(readings=again).ambiguity

    assert first is not None
    assert second is not None
    assert first.digest == second.digest


def test_what_a_person_has_settled_counts_instead_of_the_vote() -> None:
    ruling = ruled(settled=settled(Stage.CLOSING))

    assert ruling.ambiguity is None
    assert all(hit.reason is not ReasonCode.AMBIGUOUS for hit in ruling.decisions[0].hits)
    assert ruling.assessment is not None
    assert (ruling.assessment.stage, ruling.assessment.confidence) == (Stage.CLOSING, 1.0)
    assert [each.system for each in ruling.assessment.dissent] == ["crm"]
    assert ruling.assessment.disagreement > 0.5, "that they disagree stays on record"


def test_a_settled_stage_that_no_system_said_leaves_all_of_them_dissenting() -> None:
    ruling = ruled(settled=settled(Stage.ENGAGED))

    assert ruling.assessment is not None
    assert ruling.assessment.stage is Stage.ENGAGED
    assert [each.system for each in ruling.assessment.dissent] == ["crm", "intent-provider"]


@pytest.mark.parametrize(
    "changes",
    [
        {"settled": settled(until=NOW)},
        {"settled": settled().model_copy(update={"digest": "0" * 64})},
    ],
)
def test_an_answer_counts_for_a_time_and_about_its_own_readings(changes: dict[str, object]) -> None:
    ruling = ruled(**changes)

    assert ruling.ambiguity is not None
    assert ruling.decisions[0].reason is ReasonCode.AMBIGUOUS


def test_systems_that_agree_ask_nobody() -> None:
    ruling = ruled(readings=AGREED)

    assert ruling.ambiguity is None
    assert ruling.decisions[0].verdict is Verdict.ALLOW


def test_one_system_alone_disagrees_with_nobody() -> None:
    three = built(ask=f"{ASK}  systems_at_least: 3\n")

    assert ruled(three).ambiguity is None


def test_they_go_on_meanwhile_if_the_file_says_so_and_a_person_is_asked_all_the_same() -> None:
    going_on = built(ask=f"{ASK}  meanwhile: go_on\n")

    ruling = ruled(going_on)

    assert ruling.ambiguity is not None
    assert all(hit.reason is not ReasonCode.AMBIGUOUS for hit in ruling.decisions[0].hits)
    late = ruled(going_on, ambiguity=asked(ApprovalStatus.EXPIRED))
    assert all(hit.reason is not ReasonCode.AMBIGUOUS for hit in late.decisions[0].hits)


def test_a_rule_that_is_tried_out_asks_nobody_and_holds_nothing_up() -> None:
    ruling = ruled(built(ask=f"{ASK}  mode: log_only\n"))
    (decision,) = ruling.decisions

    assert ruling.ambiguity is None
    assert decision.reason is not ReasonCode.AMBIGUOUS
    assert [hit.log_only for hit in decision.hits if hit.rule_id == "too-different"] == [True]


def test_if_nobody_can_be_asked_nothing_goes_out() -> None:
    days = "from: 2026-11-01, until: 2026-12-31"
    away = f"\nleave:\n  - {{person: dana.reyes, {days}}}\n  - {{person: tom.okafor, {days}}}\n"
    files = dict(built().files)
    files["people.yaml"] = files["people.yaml"].partition("\nleave:")[0] + away

    ruling = rule(compile_policy_set(files), request(email(), readings=SPLIT))

    assert ruling.ambiguity is None
    (decision,) = ruling.decisions
    assert (decision.verdict, decision.reason) == (Verdict.SUPPRESS, ReasonCode.AMBIGUOUS)
    assert "nobody in sales-leadership is left" in decision.hits[0].message


def test_a_set_that_does_not_say_whom_to_ask_is_refused() -> None:
    with pytest.raises(PolicyError, match="does not say whom to ask") as error:
        built(route="")

    assert error.value.problems[0].place.file == "interpretation.yaml"


def test_service_messages_do_not_wait() -> None:
    ruling = rule(built(operational="send_email"), request(email(), readings=SPLIT))

    assert all(hit.reason is not ReasonCode.AMBIGUOUS for hit in ruling.decisions[0].hits)


def test_waiting_for_an_answer_drops_nothing_by_itself() -> None:
    soon = candidate(email(), expires_at=NOW + timedelta(hours=2))

    (decision,) = rule(built(), request(soon, readings=SPLIT)).decisions

    assert (decision.verdict, decision.until) == (Verdict.DEFER, NOW + timedelta(hours=2))


def test_the_door_tells_the_same_stage() -> None:
    assessment = assess(built(), SPLIT, NOW, settled(Stage.ENGAGED))

    assert isinstance(assessment, Assessment)
    assert assessment.stage is Stage.ENGAGED
