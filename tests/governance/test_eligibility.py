"""Golden cases of eligibility.yaml: who at all, whether now, whether it suits them, on what evidence."""

from datetime import datetime, timedelta
from functools import cache

import pytest

from domain import (
    Circumstances,
    Decision,
    Proposal,
    Reading,
    ReasonCode,
    RuleHit,
    SignalKind,
    Stage,
    SupportCase,
    Tier,
    Verdict,
)
from governance import PolicyError, PolicySet, compile_policy_set
from tests.governance.worlds import (
    DEFAULT,
    NORTHWIND,
    NOW,
    candidate,
    email,
    executive,
    nurture,
    only,
    personalization,
    policies,
)

DAY = timedelta(days=1)
QUESTIONS = {
    "eligibility": ReasonCode.NOT_ELIGIBLE,
    "applicability": ReasonCode.NOT_APPLICABLE,
    "suitability": ReasonCode.NOT_SUITABLE,
}


@cache
def asking(**lists: str) -> PolicySet:
    """The default set with these entries alone in eligibility.yaml."""
    files = {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}
    names = (*QUESTIONS, "evidence")
    files["eligibility.yaml"] = "".join(f"{name}: [{lists.get(name, '')}]\n" for name in names)
    return compile_policy_set(files)


def rule(what: str = "", then: str = "suppress") -> str:
    return f"{{id: tested, {what}{', ' if what else ''}then: {then}, message: Not now.}}"


def said(decision: Decision) -> list[RuleHit]:
    return [hit for hit in decision.hits if hit.family == "eligibility"]


def at_stage(stage: Stage) -> dict[str, object]:
    reading = Reading(system="crm", stage=stage, urgency=0.1, confidence=0.9, observed_at=NOW)
    return {"readings": (reading,)}


def with_case(severity: int) -> dict[str, object]:
    case = SupportCase(case_id="c1", severity=severity, opened_at=NOW - DAY, reported_at=NOW)
    return {"circumstances": Circumstances(open_cases=(case,))}


def after(kind: SignalKind, ago: timedelta) -> dict[str, object]:
    return {"circumstances": Circumstances(latest={kind: NOW - ago})}


def tier(which: Tier) -> dict[str, object]:
    return {"account": NORTHWIND.model_copy(update={"tier": which})}


@pytest.mark.parametrize(
    ("proposal", "world", "rule_id", "reason"),
    [
        (executive(contact_id="champion"), {}, "executive-outreach-goes-up", ReasonCode.NOT_ELIGIBLE),
        (executive(contact_id="decision_maker"), {}, None, None),
        (executive(), {}, None, None),
        (executive(), tier(Tier.THREE), "executive-time-is-for-large-accounts", ReasonCode.NOT_ELIGIBLE),
        (email(), tier(Tier.THREE), None, None),
        (nurture(), at_stage(Stage.CLOSING), "no-nurture-while-closing", ReasonCode.NOT_APPLICABLE),
        (nurture(), at_stage(Stage.CUSTOMER), "no-nurture-while-closing", ReasonCode.NOT_APPLICABLE),
        (nurture(), at_stage(Stage.EVALUATING), None, None),
        (nurture(), {}, None, None),
        (email(), at_stage(Stage.CUSTOMER), "customers-are-not-prospects", ReasonCode.NOT_APPLICABLE),
        (email(actor="dana.reyes"), at_stage(Stage.CUSTOMER), None, None),
        (email(), after(SignalKind.DEAL_LOST, 89 * DAY), "lost-deal-rests", ReasonCode.NOT_APPLICABLE),
        (email(), after(SignalKind.DEAL_LOST, 90 * DAY), None, None),
        (email(), after(SignalKind.DEAL_WON, DAY), None, None),
        (email(actor="dana.reyes"), after(SignalKind.DEAL_LOST, DAY), None, None),
        (personalization(), after(SignalKind.DEAL_LOST, DAY), None, None),
        (email(actor="dana.reyes"), with_case(1), "outage-first", ReasonCode.NOT_SUITABLE),
        (email(), with_case(2), "serious-case-ask-first", ReasonCode.NOT_SUITABLE),
        (email(), with_case(3), None, None),
        (personalization(), with_case(1), None, None),
    ],
)
def test_what_the_shipped_rules_say(
    proposal: Proposal, world: dict[str, object], rule_id: str | None, reason: ReasonCode | None
) -> None:
    hits = said(only(policies(), proposal, **world))

    assert [(hit.rule_id, hit.reason) for hit in hits] == ([(rule_id, reason)] if rule_id else [])


def test_a_serious_case_is_a_question_for_a_person_and_the_worst_is_none() -> None:
    asked, refused = (only(policies(), email(), **with_case(severity)) for severity in (2, 1))

    assert (asked.verdict, asked.reason) == (Verdict.REQUIRE_APPROVAL, ReasonCode.NOT_SUITABLE)
    approved = candidate(email(), approved_by="dana.reyes")
    assert only(policies(), approved, **with_case(2)).verdict is Verdict.ALLOW
    assert (refused.verdict, refused.reason) == (Verdict.SUPPRESS, ReasonCode.NOT_SUITABLE)
    assert only(policies(), approved, **with_case(1)).verdict is Verdict.SUPPRESS


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("then", ["suppress", "deny", "require_approval"])
def test_each_question_has_its_own_reason_and_every_effect(question: str, then: str) -> None:
    decision = only(asking(**{question: rule(then=then)}), email())

    assert (decision.verdict, decision.reason) == (Verdict(then), QUESTIONS[question])
    assert decision.hits[0].message == "Not now."
    assert decision.hits[0].file == "eligibility.yaml"


@pytest.mark.parametrize(
    ("what", "concerned"),
    [
        ("actions: [send_email]", True),
        ("actions: [send_letter, send_email]", True),
        ("actions: [send_letter]", False),
        ("intents: [renewal]", True),
        ("intents: [upsell]", False),
        ("channels: [email]", True),
        ("channels: [webhook]", False),
        ("actions: [send_email], intents: [upsell]", False),
        ("when: proposal.value > 1.0", True),
        ("when: proposal.value < 1.0", False),
        ("actions: [send_letter], when: proposal.value > 1.0", False),
    ],
)
def test_a_rule_concerns_what_has_everything_it_names(what: str, *, concerned: bool) -> None:
    decision = only(asking(applicability=rule(what)), email(intent="renewal"))

    assert bool(said(decision)) is concerned


def test_a_proposal_whose_intent_nobody_knows_is_not_meant_by_rules_about_intents() -> None:
    unsaid = email(actor="dana.reyes", action="wave")

    assert said(only(asking(applicability=rule("intents: [upsell]")), unsaid)) == []
    assert said(
        only(asking(applicability=rule("intents: [upsell]")), unsaid.model_copy(update={"intent": "upsell"}))
    )


def test_a_rule_that_is_tried_out_is_recorded_only() -> None:
    decision = only(asking(suitability=rule("mode: log_only", then="deny")), email())

    (hit,) = said(decision)
    assert (decision.verdict, hit.effect, hit.log_only) == (Verdict.ALLOW, Verdict.DENY, True)


@pytest.mark.parametrize("name", [*QUESTIONS, "evidence"])
def test_a_condition_that_gives_no_answer_denies(name: str) -> None:
    entry = rule('when: contact.title == "CEO"' + (", max_age: 1s" if name == "evidence" else ""))

    decision = only(asking(**{name: entry}), candidate(personalization(), received_at=NOW - DAY))

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.hits[0].rule_id == "tested"


@pytest.mark.parametrize(
    ("observed", "received", "stale"),
    [
        (timedelta(days=14), timedelta(days=1), False),
        (timedelta(days=14, seconds=1), timedelta(days=1), True),
        (None, timedelta(days=14), False),
        (None, timedelta(days=14, seconds=1), True),
        (timedelta(days=-900), timedelta(days=15), True),
        (timedelta(days=1), timedelta(days=15), True),
        (timedelta(days=-900), timedelta(days=1), False),
    ],
    ids=[
        "old",
        "too-old",
        "unsaid",
        "unsaid-and-late",
        "from-the-future",
        "newer-than-itself",
        "future-but-new",
    ],
)
def test_evidence_is_as_old_as_it_says_and_never_newer_than_its_proposal(
    observed: timedelta | None, received: timedelta, *, stale: bool
) -> None:
    policy_set = asking(evidence=rule("max_age: 14d"))
    evidence_at: datetime | None = None if observed is None else NOW - observed
    asked = candidate(email(evidence_at=evidence_at), received_at=NOW - received)

    decision = only(policy_set, asked)

    assert [hit.reason for hit in said(decision)] == ([ReasonCode.EVIDENCE_STALE] if stale else [])
    assert (decision.verdict is Verdict.SUPPRESS) is stale


@pytest.mark.parametrize(
    ("max_age", "age", "words"),
    [
        ("14d", timedelta(days=16, hours=8), "The newest is 16.3 days old, and 14 days count."),
        ("2h", timedelta(hours=5, minutes=30), "The newest is 5.5 hours old, and 2 hours count."),
        ("90s", timedelta(minutes=3), "The newest is 3 minutes old, and 1.5 minutes count."),
        ("5s", timedelta(seconds=12), "The newest is 12 seconds old, and 5 seconds count."),
    ],
)
def test_stale_evidence_tells_its_age(max_age: str, age: timedelta, words: str) -> None:
    stale = candidate(email(evidence_at=NOW - age))

    decision = only(asking(evidence=rule(f"max_age: {max_age}")), stale)

    assert decision.hits[0].message == f"Not now. {words}"


def test_what_waited_too_long_is_dropped_when_its_turn_comes() -> None:
    policy_set = asking(evidence=rule("max_age: 14d, channels: [email], actions: [send_email]"))
    waiting = candidate(email(evidence_at=NOW - 13 * DAY))

    assert only(policy_set, waiting).verdict is Verdict.ALLOW
    later = only(policy_set, waiting, now=NOW + 2 * DAY)
    assert (later.verdict, later.reason) == (Verdict.SUPPRESS, ReasonCode.EVIDENCE_STALE)
    other = waiting.model_copy(update={"proposal": nurture(evidence_at=NOW - 13 * DAY)})
    assert said(only(policy_set, other, now=NOW + 2 * DAY)) == []


def test_stale_evidence_can_be_a_question_for_a_person() -> None:
    policy_set = asking(evidence=rule("max_age: 14d", then="require_approval"))
    stale = candidate(email(evidence_at=NOW - 20 * DAY))

    asked = only(policy_set, stale)

    assert (asked.verdict, asked.reason) == (Verdict.REQUIRE_APPROVAL, ReasonCode.EVIDENCE_STALE)
    approved = stale.model_copy(update={"approved_by": "dana.reyes"})
    assert only(policy_set, approved).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"eligibility": rule("actions: [a, a]")}, "'a' is listed twice"),
        ({"eligibility": rule("intents: [a, b, a]")}, "'a' is listed twice"),
        ({"eligibility": rule("channels: [emial]")}, "did you mean `email`?"),
        ({"eligibility": rule("actions: []")}, "needs at least 1 entry"),
        ({"eligibility": rule("when: account.teir == Tier.ONE")}, "did you mean `tier`?"),
        ({"eligibility": rule(then="defer")}, "suppress, deny, require_approval"),
        ({"applicability": rule("max_age: 14d")}, "there is no key `max_age` here"),
        ({"evidence": rule()}, "the key `max_age` is missing"),
        ({"evidence": rule("max_age: 0d")}, "longer than nothing"),
        ({"evidence": rule("max_age: 14d", then="deny")}, "suppress, require_approval"),
        ({"suitability": rule(), "eligibility": rule()}, "already used in eligibility.yaml"),
        ({"suitability": rule("mode: off")}, "enforce, log_only"),
    ],
)
def test_a_mistake_is_one_clear_line_with_its_place(lists: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        asking(**lists)

    (problem,) = caught.value.problems
    assert words in str(problem)
    assert str(problem.place).startswith("eligibility.yaml:")
