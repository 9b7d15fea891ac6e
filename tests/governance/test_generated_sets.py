"""What holds under every policy set, not only under those somebody has written.

The sets are made of the shipped files and generated entries in most families; accounts, proposals and
histories are generated as well.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain import (
    Decision,
    Observed,
    Proposal,
    ProposalStatus,
    Proposed,
    ReceiptStatus,
    RulingRequest,
    Scheduled,
    TouchRecord,
    TouchStatus,
    Verdict,
)
from governance import PolicySet
from tests.governance.generated import (
    CONDITIONS,
    INTENTS,
    Draft,
    Entry,
    Knobs,
    as_content,
    content_of,
    crowds,
    drafts,
    entry,
    policy_set,
    reordered,
    restrictions,
)
from tests.governance.test_properties import proposals
from tests.governance.worlds import (
    CONTACTS,
    NORTHWIND,
    NOW,
    candidate,
    email,
    executive,
    landed,
    nurture,
    personalization,
    printed_elsewhere,
    request,
    rule,
    touch,
)
from tutti.simulator import Simulator

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def alone(world: RulingRequest, proposal_id: str) -> RulingRequest:
    kept = tuple(each for each in world.candidates if each.proposal.proposal_id == proposal_id)
    return world.model_copy(update={"candidates": kept})


def allowed(decisions: Iterable[Decision]) -> set[str]:
    return {each.proposal_id for each in decisions if each.verdict is Verdict.ALLOW}


def deferring(decision: Decision) -> set[str]:
    return {hit.rule_id for hit in decision.hits if hit.effect is Verdict.DEFER and not hit.log_only}


@few
@given(drafts, restrictions, crowds(most=1))
def test_one_more_restriction_never_loosens(draft: Draft, more: Entry, world: RulingRequest) -> None:
    (before,) = rule(policy_set(draft), world).decisions
    (after,) = rule(policy_set(draft.and_(more)), world).decisions

    assert after.verdict.rank >= before.verdict.rank
    if before.until is not None and after.until is not None:
        assert after.until >= before.until


@few
@given(drafts, restrictions, crowds())
def test_a_restriction_that_is_tried_out_changes_nothing(
    draft: Draft, more: Entry, world: RulingRequest
) -> None:
    def binding(decision: Decision) -> tuple[object, ...]:
        # The other rules stand some lines further down now.
        hits = [hit.model_copy(update={"line": None}) for hit in decision.hits if not hit.log_only]
        return decision.verdict, decision.reason, decision.until, decision.rank, hits, decision.route

    trial = more._replace(text=json.dumps({**more.content, "mode": "log_only"}, sort_keys=True))
    before = rule(policy_set(draft), world).decisions
    after = rule(policy_set(draft.and_(trial)), world).decisions

    assert [binding(each) for each in after] == [binding(each) for each in before]


@few
@given(drafts, crowds())
def test_company_never_allows_what_is_not_allowed_alone(draft: Draft, world: RulingRequest) -> None:
    together = rule(policy_set(draft), world).decisions

    assert len(allowed(together)) <= 1
    for each in together:
        (single,) = rule(policy_set(draft), alone(world, each.proposal_id)).decisions
        assert each.verdict.rank >= single.verdict.rank


@few
@given(drafts, crowds())
def test_nobody_goes_beside_a_conflicting_one_that_goes_too(draft: Draft, world: RulingRequest) -> None:
    """Given a rule without exceptions, when one goes, then whatever it excludes does not go beside it."""
    policies = policy_set(draft)
    made = {each.proposal_id: each for each in rule(policies, world).decisions}
    intents = {
        each.proposal.proposal_id: each.proposal.intent
        or policies.arbitration.intents.get(each.proposal.action)
        for each in world.candidates
    }
    goes = min(allowed(made.values()), default=None)
    if goes is None:
        return
    for each in draft.entries:
        content = each.content
        if each.key != "conflicts" or "when" in content or len(content["intents"]) == 1:
            continue
        if intents[goes] not in content["intents"]:
            continue
        for other, decision in made.items():
            if intents[other] in content["intents"] and intents[other] != intents[goes]:
                assert decision.verdict is not Verdict.ALLOW
                if content["then"] == "suppress" and content.get("keeps") == intents[goes]:
                    assert decision.verdict in {Verdict.SUPPRESS, Verdict.DENY}


@few
@given(drafts, crowds(), st.integers(0, 1_000))
def test_no_order_of_anything_changes_an_outcome(draft: Draft, world: RulingRequest, seed: int) -> None:
    def outcome(decision: Decision) -> tuple[object, ...]:
        hits = [
            (hit.rule_id, hit.effect, hit.reason, hit.until, hit.message, hit.log_only)
            for hit in decision.hits
        ]
        score = decision.score
        return decision.proposal_id, decision.verdict, decision.until, decision.rank, score, hits

    chance = random.Random(seed)
    mixed = world.model_copy(
        update={
            name: tuple(chance.sample(getattr(world, name), len(getattr(world, name))))
            for name in ("candidates", "touches", "scheduled", "holds")
        }
        | {"contacts": dict(chance.sample(list(world.contacts.items()), len(world.contacts)))}
    )

    there = rule(policy_set(draft), world)

    assert rule(policy_set(draft), mixed) == there
    elsewhere = rule(reordered(draft, seed), mixed)
    assert [outcome(each) for each in elsewhere.decisions] == [outcome(each) for each in there.decisions]


@few
@given(drafts, crowds(most=1))
def test_what_waits_is_not_held_back_by_the_same_rules_at_its_time(
    draft: Draft, world: RulingRequest
) -> None:
    (decision,) = rule(policy_set(draft), world).decisions
    if decision.until is None or decision.until >= world.candidates[0].expires_at:
        return
    # Those that were waited for have given up by then, and the touch in flight has ended.
    then_world = world.model_copy(
        update={"now": decision.until, "touches": landed(world.touches), "scheduled": ()}
    )

    (then,) = rule(policy_set(draft), then_world).decisions

    assert not deferring(then) & deferring(decision)


@few
@given(drafts, crowds(), st.integers(0, 9))
def test_a_starving_proposal_is_told_and_treated_like_any_other(
    draft: Draft, world: RulingRequest, deferrals: int
) -> None:
    def with_deferrals(count: int) -> tuple[Decision, ...]:
        again = tuple(each.model_copy(update={"deferrals": count}) for each in world.candidates)
        return rule(policy_set(draft), world.model_copy(update={"candidates": again})).decisions

    fresh, again = with_deferrals(0), with_deferrals(deferrals)

    for one, other in zip(fresh, again, strict=True):
        assert (one.verdict, one.reason, one.until) == (other.verdict, other.reason, other.until)
        waits = other.verdict is Verdict.DEFER
        assert other.starved is (waits and deferrals + 1 >= draft.knobs.starving_after)


class Step(NamedTuple):
    """A proposal, and how long after the one before it arrives."""

    after: timedelta
    proposal: Proposal
    receipts: tuple[ReceiptStatus, ...]


steps = st.builds(
    Step,
    st.sampled_from([0, 1, 60, 60 * 26, 60 * 24 * 4]).map(lambda minutes: timedelta(minutes=minutes)),
    st.builds(
        lambda proposal, intent, value: proposal.model_copy(
            update={"intent": intent, "value": value, "propensity": 0.5, "confidence": 0.9, "earliest": None}
        ),
        proposals(),
        st.none() | st.sampled_from(INTENTS),
        st.sampled_from([5_000.0, 9_000.0, 19_000.0]),
    ),
    st.lists(
        st.sampled_from([ReceiptStatus.UNDELIVERED, ReceiptStatus.REJECTED, ReceiptStatus.UNKNOWN]),
        max_size=2,
    ).map(tuple),
)
SCRIPT = tuple(
    Step(timedelta(0), make(contact_id=contact, value=9_000.0, intent=intent), ())
    for make, contact, intent in (
        (email, "champion", "closing"),
        (nurture, "influencer", None),
        (email, "practitioner", "upsell"),
        (email, "decision_maker", None),
    )
)


def history(policies: PolicySet, script: Sequence[Step]) -> Simulator:
    """Play proposals against an account until nothing is left to happen."""
    receipts = {f"p{index}": step.receipts for index, step in enumerate(script)}
    simulator = Simulator(policies, NORTHWIND.account_id, NOW, receipts=receipts)
    people = (Observed(observation=contact) for contact in CONTACTS.values())
    simulator.send([Observed(observation=NORTHWIND), *people])
    for index, step in enumerate(script):
        simulator.run_to(simulator.now + step.after)
        named = step.proposal.model_copy(update={"proposal_id": f"p{index}"})
        simulator.send([Proposed(proposal=named)])
    simulator.run_to(simulator.now + timedelta(days=31))
    return simulator


def made(simulator: Simulator) -> list[TouchRecord]:
    """Return what counts as sent, but for doubts about receivers that take a touch twice.

    Such a touch gives its place back until it is repeated, and takes it again if that never happens.
    """
    counted = simulator.state.counted_touches()
    return [each for each in counted if each.channel != "webhook" or each.status is not TouchStatus.UNKNOWN]


def in_force(draft: Draft, file: str, key: str) -> list[Mapping[str, Any]]:
    """The rules of a list that hold always and for all."""
    found: list[Mapping[str, Any]] = as_content(draft).get(file, content_of(file))[key]
    return [each for each in found if each.get("mode") != "log_only" and "when" not in each]


def days(text: str) -> timedelta:
    assert text.endswith("d")
    return timedelta(days=int(text[:-1]))


def at_most(moments: Sequence[datetime], limit: int, window: timedelta) -> bool:
    ordered = sorted(moments)
    return all(later - earlier >= window for earlier, later in zip(ordered, ordered[limit:], strict=False))


@few
@given(drafts, st.lists(steps, min_size=1, max_size=6).map(tuple))
@example(Draft(), SCRIPT)
def test_no_history_breaks_a_cap_a_gap_a_slot_or_a_rest(draft: Draft, script: tuple[Step, ...]) -> None:
    policies = policy_set(draft)
    simulator = history(policies, script)
    touches = made(simulator)

    assert not simulator.state.open, "every proposal reaches its end"
    for cap in in_force(draft, "frequency.yaml", "caps"):
        if cap["per"] not in {"contact", "account"} or cap.get("counts", "touches") != "touches":
            continue
        channels = cap.get("channels") or ["email", "webhook"]
        counted = [each for each in touches if each.channel in channels]
        for contact in (
            sorted({each.contact_id or "" for each in counted}) if cap["per"] == "contact" else [""]
        ):
            mine = [each.at for each in counted if cap["per"] == "account" or each.contact_id == contact]
            if cap["per"] == "account" or contact:
                assert at_most(mine, cap["limit"], days(cap["window"])), cap["id"]
    assert at_most([each.at for each in touches], 1, policies.timing.gap_length)
    assert at_most([each.at for each in touches], draft.knobs.slots, timedelta(days=7))
    for conflict in in_force(draft, "arbitration.yaml", "conflicts"):
        after = [(each.at, each.intent or policies.arbitration.intents.get(each.action)) for each in touches]
        for earlier, one in after:
            for later, other in after:
                if later >= earlier and one != other and {one, other} <= set(conflict["intents"]):
                    assert later - earlier >= days(conflict.get("apart", "0d")), conflict["id"]


def test_the_generated_history_is_no_empty_one() -> None:
    touches = made(history(policy_set(Draft()), SCRIPT))

    assert len(touches) == 3, "two introduce themselves within a week, one waits, nurture stands back"
    assert {each.intent for each in touches} == {"closing", "upsell", None}


def full_digest() -> str:
    """Return the digest of a ruling under a set with an entry of every generated kind."""
    draft = Draft(
        Knobs(look_ahead="9d", quorum=2),
        (
            entry("arbitration.yaml", "conflicts", intents=["closing", "upsell"], apart="9d", then="defer"),
            entry(
                "arbitration.yaml",
                "conflicts",
                intents=["nurture", "upsell"],
                keeps="upsell",
                then="suppress",
            ),
            entry("arbitration.yaml", "conflicts", intents=["upsell"], when=CONDITIONS[0], then="suppress"),
            entry(
                "frequency.yaml", "caps", per="account", limit=2, window="9d", channels=["webhook", "email"]
            ),
            entry("consent.yaml", "rules", when=CONDITIONS[-1], then="deny", reason="SUPPRESSED"),
            entry("timing.yaml", "quiet_hours", **{"from": "12:00", "to": "13:00"}),
            entry("approvals.yaml", "require", when=CONDITIONS[1]),
        ),
    )
    asked = request(
        email(intent="closing"),
        nurture(contact_id="influencer"),
        personalization(intent="upsell"),
        executive(),
        candidate(email(proposal_id="again", contact_id="decision_maker"), deferrals=7),
        touches=(touch(NOW - timedelta(days=3), intent="upsell"),),
        scheduled=(
            Scheduled(
                proposal_id="later",
                actor="sdr-agent",
                action="send_email",
                channel="email",
                contact_id="practitioner",
                value=1.0,
                status=ProposalStatus.DEFERRED,
                due_at=NOW + timedelta(days=1),
                score=9e9,
            ),
        ),
    )
    return hashlib.sha256(rule(policy_set(draft), asked).model_dump_json().encode()).hexdigest()


def test_no_hash_seed_changes_a_byte() -> None:
    script = "from tests.governance.test_generated_sets import full_digest; print(full_digest())"
    told = printed_elsewhere(script, "7", "987654321")

    assert told == {full_digest()}
