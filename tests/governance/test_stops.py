"""Kill switches in rulings: who waits, who goes on, and that a person who left is not addressed."""

from datetime import timedelta

import pytest

from domain import Hold, ReasonCode, RulingRequest, Stop, StopScope, Verdict
from governance._hearing import STOP_PAUSE
from tests.governance.rivalries import arbitration, caring, closing, scheduled, with_conflict
from tests.governance.worlds import (
    CONTACTS,
    NOW,
    candidate,
    decisions,
    email,
    nurture,
    only,
    person,
    personalization,
    policies,
    request,
    rule_ids,
)

SOON = timedelta(minutes=10)


def stop(scope: StopScope = StopScope.TENANT, name: str | None = None, stop_id: str = "s-1") -> Stop:
    return Stop(
        stop_id=stop_id, scope=scope, name=name, reason="wrong price list", placed_by="dana", placed_at=NOW
    )


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (StopScope.TENANT, None),
        (StopScope.AGENT, "sdr-agent"),
        (StopScope.ACTION, "send_email"),
        (StopScope.CHANNEL, "email"),
        (StopScope.ACCOUNT, "northwind"),
    ],
)
def test_what_a_stop_covers_waits_and_says_for_whom_and_why(scope: StopScope, name: str | None) -> None:
    thrown = stop(scope, name)

    decision = only(policies(), email(), stops=(thrown,))

    assert (decision.verdict, decision.reason) == (Verdict.DEFER, ReasonCode.STOPPED)
    assert decision.until == NOW + STOP_PAUSE
    assert decision.hits[0].rule_id == "engine.stop"
    assert decision.hits[0].message == f"dana has stopped {thrown.subject}: wrong price list"
    assert decision.handover is None
    assert decision.good_until is None


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (StopScope.AGENT, "nurture"),
        (StopScope.ACTION, "send_nurture_email"),
        (StopScope.CHANNEL, "webhook"),
        (StopScope.ACCOUNT, "contoso"),
    ],
)
def test_what_a_stop_does_not_cover_goes_as_if_there_were_none(scope: StopScope, name: str) -> None:
    decision = only(policies(), email(), stops=(stop(scope, name),))

    assert decision == only(policies(), email())
    assert decision.verdict is Verdict.ALLOW


def test_a_stop_never_lets_a_proposal_expire_before_its_time() -> None:
    """Given a proposal that ends before the stop is looked at again, then it waits until its end."""
    ending = candidate(email(), expires_at=NOW + SOON)

    decision = only(policies(), ending, stops=(stop(),))

    assert (decision.verdict, decision.until) == (Verdict.DEFER, NOW + SOON)


def test_no_approval_and_no_score_goes_over_a_stop() -> None:
    sure = email(value=1e9, propensity=1.0, confidence=1.0)
    approved = candidate(sure, approvers=("dana.reyes", "lena.voigt"))

    assert only(policies(), approved, stops=(stop(),)).reason is ReasonCode.STOPPED


def test_a_denial_stays_a_denial() -> None:
    stranger = email(actor="stranger")

    assert only(policies(), stranger, stops=(stop(),)).verdict is Verdict.DENY


def test_all_that_keeps_a_proposal_back_is_told() -> None:
    hold = Hold(hold_id="h", placed_by="tom", reason="talks", placed_at=NOW)
    channel = stop(StopScope.CHANNEL, "email", "s-2")

    decision = only(policies(), email(), stops=(stop(), channel), holds=(hold,))

    assert {"engine.stop", "engine.hold"} <= rule_ids(decision)
    assert [hit.message for hit in decision.hits if hit.rule_id == "engine.stop"] == [
        "dana has stopped everything: wrong price list",
        "dana has stopped the channel email: wrong price list",
    ]


def test_a_stopped_proposal_does_not_win_over_one_that_may_go() -> None:
    better, worse = email(), personalization()

    found = decisions(policies(), request(better, worse, stops=(stop(StopScope.CHANNEL, "email"),)))

    assert found["sdr-1"].reason is ReasonCode.STOPPED
    assert found["web-1"].verdict is Verdict.ALLOW


def test_nobody_stands_back_for_a_proposal_that_is_stopped() -> None:
    better, other = closing(), caring()
    policy_set = with_conflict()
    assert decisions(policy_set, request(better, other))["care-1"].verdict is Verdict.SUPPRESS

    stopped = request(better, other, stops=(stop(StopScope.AGENT, "sdr-agent"),))

    assert decisions(policy_set, stopped)["care-1"].verdict is Verdict.ALLOW


def test_nobody_waits_for_a_better_one_ahead_that_is_stopped() -> None:
    ahead = scheduled(email(value=90_000.0), 50_000.0, NOW + SOON)
    asked = request(nurture(), scheduled=(ahead,))
    policy_set = arbitration(lambda content: content["look_ahead"].pop("mode"))
    waits = decisions(policy_set, asked)["nurture-1"]
    assert waits.reason is ReasonCode.LOWER_PRIORITY, waits

    stopped = RulingRequest.model_validate(
        {**asked.model_dump(), "stops": (stop(StopScope.AGENT, "sdr-agent"),)}
    )

    assert decisions(policy_set, stopped)["nurture-1"].verdict is Verdict.ALLOW


def test_what_is_stopped_waits_again_and_again_without_starving() -> None:
    patient = candidate(email(), rulings=40, deferrals=40)

    decision = only(policies(), patient, stops=(stop(),))

    assert not decision.starved
    assert {hit.reason for hit in decision.hits} >= {ReasonCode.STOPPED}


def test_a_reason_as_long_as_one_can_be_fits_into_the_message() -> None:
    long = stop().model_copy(update={"reason": "r" * 300})

    message = only(policies(), email(), stops=(long,)).hits[0].message

    assert len(message) == 300
    assert message.startswith("dana has stopped everything: rrr")


def test_nobody_who_has_left_is_addressed_even_with_an_approval() -> None:
    left = {**CONTACTS, "champion": person("champion", left_at=NOW - timedelta(days=90))}
    approved = candidate(email(), approvers=("dana.reyes",))

    decision = only(policies(), approved, contacts=left)

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.CONTACT_LEFT)
    assert "engine.contact_left" in rule_ids(decision)


def test_that_one_has_left_keeps_nobody_else_back() -> None:
    left = {**CONTACTS, "champion": person("champion", left_at=NOW)}

    assert only(policies(), email(contact_id="practitioner"), contacts=left).verdict is Verdict.ALLOW
    assert only(policies(), personalization(), contacts=left).verdict is Verdict.ALLOW
