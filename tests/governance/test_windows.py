"""A window approval answers for those who gave it: for the same, for no more, and for no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import Hold, Proposal, ReasonCode, Tier, Verdict, WindowGrant
from governance import PolicySet
from tests.governance.test_uses import HELLO, SAID, built
from tests.governance.worlds import CONTACTS, NORTHWIND, NOW, only, person, policies, rule_ids

ASKS = (
    "approvals.yaml",
    "  - id: sensitive-accounts\n",
    (
        '  - {id: every-hello, when: proposal.action == "send_email", message: Hellos are read first.}\n'
        "  - id: sensitive-accounts\n"
    ),
)
DAY = timedelta(days=1)
SOC2_KEY = f"claim/soc2-certified@{policies().approvals.firsts.claims['soc2-certified']}"


def asking(*changes: tuple[str, str, str], hello: str = HELLO) -> PolicySet:
    """The shipped policies, in which every mail of the agent is read first."""
    return built(ASKS, *changes, hello=hello)


def hello(**changes: object) -> Proposal:
    return Proposal.model_validate(
        {
            "proposal_id": "p",
            "actor": "sdr-agent",
            "action": "send_email",
            "channel": "email",
            "contact_id": "champion",
            "value": 40_000.0,
            "propensity": 0.3,
            "confidence": 0.86,
            "template": "hello",
            "content": SAID,
            **changes,
        }
    )


def grant(**changes: object) -> WindowGrant:
    given: dict[str, object] = {
        "grant_id": "northwind/first:1",
        "account_id": "northwind",
        "actor": "sdr-agent",
        "action": "send_email",
        "channel": "email",
        "template": "hello",
        "version": asking().contents["hello"].version,
        "rules": ("every-hello",),
        "value": 40_000.0,
        "at_most": 10,
        "used": 4,
        "starts_at": NOW - DAY,
        "ends_at": NOW + 2 * DAY,
        "given_by": ("dana.reyes",),
    }
    return WindowGrant.model_validate({**given, **changes})


def test_within_a_window_nobody_is_asked_and_it_is_told_who_gave_it() -> None:
    decision = only(asking(), hello(), windows=(grant(),))

    assert decision.verdict is Verdict.ALLOW
    assert decision.window == "northwind/first:1"
    (said,) = (hit.message for hit in decision.hits if hit.rule_id == "every-hello")
    assert said == (
        "Approved in advance by dana.reyes, 5 of 10 left until 2026-11-26 10:00Z: Hellos are read first."
    )


def test_without_one_a_person_is_asked_and_learns_how_much_may_be_allowed_in_advance() -> None:
    decision = only(asking(), hello())

    assert (decision.verdict, decision.window) == (Verdict.REQUIRE_APPROVAL, None)
    assert decision.route is not None
    assert (decision.route.window_days, decision.route.window_touches) == (14, 50)


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": "nurture"},
        {"action": "send_executive_email"},
        {"channel": "webhook"},
        {"template": "surge-first-mail"},
        {"version": "0" * 64},
        {"rules": ()},
        {"rules": ("another-rule",)},
        {"value": 39_999.0},
        {"used": 10},
        {"ends_at": NOW},
        {"starts_at": NOW + DAY},
        {"revoked_by": "tom.okafor", "revoked_at": NOW - timedelta(hours=1)},
        {"account_id": "another"},
        {"segment": "nobody-knows"},
        {"segment": "first-tier"},
        {"given_by": ("lena.fischer",)},
        {"given_by": ("mara.lindqvist",)},
        {"given_by": ("dana.reyes", "lena.fischer")},
        {"given_by": ()},
    ],
)
def test_a_window_for_something_else_leaves_the_question_to_a_person(changes: dict[str, object]) -> None:
    decision = only(asking(), hello(), windows=(grant(**changes),))

    assert (decision.verdict, decision.window) == (Verdict.REQUIRE_APPROVAL, None)


@pytest.mark.parametrize("changes", [{"cost": 1.0}, {"reach": 2}])
def test_nothing_dearer_or_wider_goes_out_than_what_was_approved(changes: dict[str, object]) -> None:
    decision = only(asking(), hello(**changes), windows=(grant(),))

    assert decision.verdict is Verdict.REQUIRE_APPROVAL


def test_a_segment_covers_the_accounts_its_condition_holds_for() -> None:
    elsewhere = grant(account_id="another", segment="other-tiers")
    first_tier = NORTHWIND.model_copy(update={"tier": Tier.ONE})

    assert only(asking(), hello(), windows=(elsewhere,)).window == elsewhere.grant_id
    assert only(asking(), hello(), windows=(elsewhere,), account=first_tier).window is None


def test_whatever_else_asks_still_asks() -> None:
    policy_set = asking(("approvals.yaml", "proposal.value >= 250000.0", "proposal.value >= 30000.0"))

    decision = only(policy_set, hello(), windows=(grant(),))

    assert decision.verdict is Verdict.REQUIRE_APPROVAL
    assert decision.hits[0].rule_id in {"large-values", "every-hello"}
    both = grant(rules=("every-hello", "large-values"))
    assert only(policy_set, hello(), windows=(both,)).verdict is Verdict.ALLOW


def test_a_claim_that_was_not_approved_with_it_is_read_by_a_person() -> None:
    given = grant(rules=("every-hello", "first-use-of-a-claim"), claims=(SOC2_KEY,))
    both = hello(claims=("live-in-six-weeks", "soc2-certified"))

    assert only(asking(), hello(claims=("soc2-certified",)), windows=(given,)).window == given.grant_id
    assert only(asking(), both, windows=(given,)).verdict is Verdict.REQUIRE_APPROVAL
    reworded = asking(("approvals.yaml", "without exceptions.", "with two exceptions."))
    again = only(reworded, hello(claims=("soc2-certified",)), windows=(given,))
    assert again.verdict is Verdict.REQUIRE_APPROVAL, "changed words are another claim"


def test_the_oldest_with_room_goes_first() -> None:
    full = grant(grant_id="northwind/old:1", starts_at=NOW - 3 * DAY, used=10)
    late = grant(grant_id="northwind/late:1", starts_at=NOW - timedelta(hours=1))

    decision = only(asking(), hello(), windows=(late, grant(), full))

    assert decision.window == "northwind/first:1"


def test_it_lifts_no_waiting_time() -> None:
    hold = Hold(hold_id="h", placed_by="dana.reyes", reason="talks", placed_at=NOW)

    decision = only(asking(), hello(), windows=(grant(),), holds=(hold,))

    assert (decision.verdict, decision.reason, decision.window) == (
        Verdict.DEFER,
        ReasonCode.ACCOUNT_HOLD,
        None,
    )


def test_it_lifts_no_suppression_and_no_denial() -> None:
    objected = {**CONTACTS, "champion": person("champion", opted_out_at=NOW - DAY)}

    decision = only(asking(), hello(), windows=(grant(),), contacts=objected)

    assert (decision.verdict, decision.window) == (Verdict.DENY, None)


def test_what_only_pretends_to_be_the_template_is_denied_as_ever() -> None:
    forged = hello(content=SAID.model_copy(update={"text": "Buy now."}))

    decision = only(asking(), forged, windows=(grant(),))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.NOT_THE_TEMPLATE)


def test_an_editor_cannot_have_approved_their_own_words_in_advance() -> None:
    decision = only(asking(), hello(edited_by=("dana.reyes",)), windows=(grant(),))

    assert decision.verdict is Verdict.REQUIRE_APPROVAL


def test_executive_sponsors_are_never_addressed_on_a_window() -> None:
    said = SAID.model_copy(
        update={
            "subject": "Hello Executive_Sponsor",
            "text": SAID.text.replace("Champion", "Executive_Sponsor"),
        }
    )
    wanted = hello(contact_id="executive_sponsor", content=said)
    given = grant(rules=("every-hello", "executive-sponsors"))

    decision = only(asking(), wanted, windows=(given,))

    assert decision.template is not None, "it is the template, and yet"
    assert decision.verdict is Verdict.REQUIRE_APPROVAL
    assert decision.route is not None
    assert decision.route.window_touches is None


def test_sensitive_accounts_are_asked_about_and_never_in_advance() -> None:
    careful = NORTHWIND.model_copy(update={"sensitive": True})
    given = grant(rules=("every-hello", "sensitive-accounts"))

    decision = only(asking(), hello(), windows=(given,), account=careful)

    assert decision.verdict is Verdict.REQUIRE_APPROVAL
    assert "sensitive-accounts" in rule_ids(decision)
    assert decision.route is not None
    assert decision.route.window_days is None


def test_lower_bounds_hold_for_what_was_approved_before() -> None:
    fewer = asking(("approvals.yaml", "  at_most: 50", "  at_most: 4"))
    shorter = asking(("approvals.yaml", "  days: 14", "  days: 1"))

    assert only(fewer, hello(), windows=(grant(),)).verdict is Verdict.REQUIRE_APPROVAL
    assert only(fewer, hello(), windows=(grant(used=3),)).verdict is Verdict.ALLOW
    assert only(shorter, hello(), windows=(grant(),)).verdict is Verdict.REQUIRE_APPROVAL


def test_without_the_key_no_window_counts_and_none_can_be_given() -> None:
    text = asking().files["approvals.yaml"]
    start = text.index("windows:\n  id:")
    none = asking(("approvals.yaml", text[start : text.index("routes:\n")], ""))

    decision = only(none, hello(), windows=(grant(),))

    assert decision.verdict is Verdict.REQUIRE_APPROVAL
    assert decision.route is not None
    assert decision.route.window_days is None
