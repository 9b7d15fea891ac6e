"""Answering several questions at once: only what is of one sort, and never what is of high risk."""

from __future__ import annotations

from domain import BULK_LIMIT, Approval, Risk, bulk_refusal
from tests.domain.questions import approval, asked

ONE = approval(asked())


def another(n: int = 2, **changes: object) -> Approval:
    base: dict[str, object] = {"approval_id": f"p{n}:a1", "rule_id": "executives"}
    return ONE.model_copy(update=base | changes)


def test_questions_of_one_rule_about_one_action_are_answered_together() -> None:
    assert bulk_refusal([another(n) for n in range(BULK_LIMIT)]) is None


def test_one_question_is_always_answered_alone() -> None:
    assert bulk_refusal([]) is None
    risky = ONE.route.model_copy(update={"risk": Risk.HIGH})
    assert bulk_refusal([another(rule_id=None, route=risky)]) is None


def test_two_rules_or_two_actions_are_not_answered_together() -> None:
    assert bulk_refusal([another(1), another(2, rule_id="large-values")]) == (
        "p1:a1 is asked by executives and p2:a1 by large-values; only what one rule asks is answered together"
    )
    assert "about send_email and p2:a1 about gift" in (
        bulk_refusal([another(1), another(2, action="gift")]) or ""
    )


def test_high_risk_is_answered_alone() -> None:
    risky = ONE.route.model_copy(update={"risk": Risk.HIGH})
    assert bulk_refusal([another(1), another(2, route=risky)]) == (
        "p2:a1 is of high risk and is answered alone"
    )


def test_what_no_rule_asks_is_answered_alone() -> None:
    assert "p2:a1 is about no action that one rule asks about" in (
        bulk_refusal([another(1), another(2, rule_id=None)]) or ""
    )


def test_more_than_anybody_has_looked_at_is_not_answered_together() -> None:
    many = [another(n) for n in range(BULK_LIMIT + 1)]
    assert bulk_refusal(many) == "at most 50 questions are answered at once, and these are 51"
