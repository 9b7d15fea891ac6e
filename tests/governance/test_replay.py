"""Recorded rulings under another set: what comes out otherwise is counted once, and which rules speak."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from domain import RulingRequest, Verdict
from governance import (
    Comparison,
    Coverage,
    PastOutcome,
    PastRuling,
    PolicySet,
    RuleUse,
    load_policy_set,
    rerule,
)
from tests.governance.worlds import (
    NOW,
    edited,
    email,
    executive,
    nurture,
    personalization,
    policies,
    request,
    rule,
    touch,
    with_room,
)


def recorded(asked: RulingRequest, policy_set: PolicySet | None = None) -> PastRuling:
    asked = with_room(policy_set or policies(), asked)
    outcomes = {
        decision.proposal_id: PastOutcome(
            decision.verdict, decision.reason, decision.hits[0].rule_id if decision.hits else None
        )
        for decision in rule(policy_set or policies(), asked).decisions
    }
    return PastRuling(asked, outcomes)


def crowd(count: int) -> list[PastRuling]:
    """Rulings on five rivals each, an hour apart."""
    return [
        recorded(
            request(
                email(),
                nurture(),
                personalization(),
                executive(),
                email(proposal_id="sdr-2", contact_id="influencer"),
                now=NOW + timedelta(hours=number),
                account_id=f"account-{number % 30}",
            )
        )
        for number in range(count)
    ]


def test_the_set_that_decided_decides_the_same_again() -> None:
    comparison = rerule(policies(), crowd(30))

    assert (comparison.rulings, comparison.decisions) == (30, 150)
    assert (comparison.changed, comparison.reasons, comparison.examples) == (0, 0, ())


def test_a_looser_rule_is_named_as_the_one_that_no_longer_decides(tmp_path: Path) -> None:
    draft = load_policy_set(
        edited(tmp_path, "frequency.yaml", ("limit: 1\n    window: 14d", "limit: 1\n    window: 3d"))
    )
    past = recorded(
        request(email(), touches=(touch(NOW - timedelta(days=5), contact_id="champion", channel="email"),))
    )

    comparison = rerule(draft, [past])

    assert comparison.verdicts == {(Verdict.DEFER, Verdict.ALLOW): 1}
    assert comparison.frees == {"one-touch-per-person": 1}
    assert comparison.actors == {"sdr-agent": 1}
    assert comparison.accounts == {"northwind": 1}
    (example,) = comparison.examples
    assert (example.before.rule_id, example.after.verdict) == ("one-touch-per-person", Verdict.ALLOW)


def test_a_stricter_rule_is_named_as_the_one_that_decides_now(tmp_path: Path) -> None:
    draft = load_policy_set(
        edited(tmp_path, "approvals.yaml", ("proposal.value >= 250000.0", "proposal.value >= 30000.0"))
    )

    comparison = rerule(draft, [recorded(request(email())), recorded(request(personalization()))])

    assert comparison.verdicts == {(Verdict.ALLOW, Verdict.REQUIRE_APPROVAL): 1}
    assert comparison.stops == {"large-values": 1}
    assert comparison.policy_digest == draft.digest
    assert comparison.examples[0].after.message == "So much is at stake that a person decides."


def test_the_same_verdict_for_another_reason_is_no_change_of_verdict(tmp_path: Path) -> None:
    draft = load_policy_set(edited(tmp_path, "timing.yaml", ("id: nights", "id: night-rest")))
    night = NOW + timedelta(hours=12)

    comparison = rerule(draft, [recorded(request(email(), now=night))])

    assert (comparison.changed, comparison.reasons) == (0, 1)


def test_the_order_of_the_record_changes_nothing_but_the_examples(tmp_path: Path) -> None:
    draft = load_policy_set(
        edited(tmp_path, "timing.yaml", ("at_least: 2d", "at_least: 1d"), ('to: "08:00"', 'to: "10:00"'))
    )
    past = crowd(24)

    def counts(comparison: Comparison) -> tuple[object, ...]:
        return (
            list(comparison.verdicts.items()),
            list(comparison.stops.items()),
            list(comparison.frees.items()),
            list(comparison.accounts.items()),
        )

    assert counts(rerule(draft, past)) == counts(rerule(draft, reversed(past)))
    assert rerule(draft, past).changed > 0


def test_a_shared_limit_that_the_record_does_not_know_denies(tmp_path: Path) -> None:
    cap = "  - id: everybody\n    per: tenant\n    limit: 9\n    window: 1d\n    message: Enough.\n\n"
    draft = load_policy_set(edited(tmp_path, "frequency.yaml", ("caps:\n", f"caps:\n{cap}")))
    past = recorded(request(email()))

    unknown = rerule(draft, [past])
    known = rerule(draft, [PastRuling(with_room(draft, past.request), past.outcomes)])

    assert unknown.verdicts == {(Verdict.ALLOW, Verdict.DENY): 1}
    assert unknown.stops == {"everybody": 1}
    assert known.changed == 0


def uses(past: list[PastRuling], policy_set: PolicySet | None = None) -> dict[str, RuleUse]:
    coverage = Coverage(policy_set or policies())
    for each in past:
        coverage.take(each)
    return {use.rule_id: use for use in coverage.uses()}


def test_rules_are_counted_for_the_proposals_they_are_about() -> None:
    found = uses(crowd(20))

    assert (found["nights"].applicable, found["nights"].fired) == (80, 44), (
        "from eight in the evening, Berlin time"
    )
    assert found["executive-sponsors"].applicable == 100
    assert found["executive-sponsors"].fired == 20
    assert (found["nurture-emails"].applicable, found["nurture-emails"].fired) == (20, 20)
    assert found["nurture-emails"].always
    assert (found["contract-talks"].fired, found["large-values"].fired) == (0, 0)
    assert not found["large-values"].always
    lost = found["next-turn"].fired + found["one-voice-per-person"].fired
    assert 0 < lost == found["next-turn"].applicable < 100, "rules for losers are about losers only"


def test_a_weight_counts_as_speaking_when_it_changes_a_score() -> None:
    found = uses([recorded(request(email(contact_id="decision_maker"))), recorded(request(email()))])

    assert (found["decision-makers-first"].fired, found["decision-makers-first"].applicable) == (1, 2)


def test_a_rule_that_spoke_always_but_rarely_is_not_called_so() -> None:
    assert not uses(crowd(19))["nurture-emails"].always


def test_ten_thousand_rulings_take_half_a_minute() -> None:
    past = crowd(200)
    rerule(policies(), past[:20])  # what is only done once is not measured

    began = time.process_time()
    rerule(policies(), past)
    seconds = time.process_time() - began

    assert seconds * 10_000 / len(past) < 60.0, "twice the aim, for a machine that does other things besides"
