"""What holds for every request, not only for those somebody has thought of."""

import re
import shutil
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import (
    Candidate,
    Consent,
    Contact,
    Decision,
    Hold,
    Proposal,
    Reading,
    RulingRequest,
    Stage,
    TouchStatus,
    Verdict,
)
from governance import PolicySet, load_policy_set
from tests.governance.worlds import (
    CONTACTS,
    DEFAULT,
    DEMO,
    NORTHWIND,
    NOW,
    candidate,
    email,
    executive,
    landed,
    nurture,
    personalization,
    policies,
    request,
    rule,
    touch,
)

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

minutes = st.integers(0, 60 * 24 * 40).map(lambda count: timedelta(minutes=count))
people = st.sampled_from(sorted(CONTACTS))
statuses = st.sampled_from(
    [TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN, TouchStatus.RELEASED, TouchStatus.IN_FLIGHT]
)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    make = draw(st.sampled_from([email, nurture, personalization, executive]))
    changes: dict[str, object] = {
        "value": draw(st.sampled_from([0.0, 10_000.0, 60_000.0, 400_000.0])),
        "propensity": draw(st.sampled_from([0.0, 0.1, 0.5])),
        "confidence": draw(st.sampled_from([0.1, 0.6, 0.9])),
        "earliest": draw(st.none() | minutes.map(lambda delay: NOW + delay)),
    }
    if make is not personalization:
        changes["contact_id"] = draw(people)
    return make(**changes)


@st.composite
def worlds(draw: st.DrawFn, most: int = 4) -> RulingRequest:
    candidates: list[Candidate] = []
    for index, proposal in enumerate(draw(st.lists(proposals(), min_size=1, max_size=most))):
        received = NOW - timedelta(seconds=draw(st.integers(0, 3)))
        approved = draw(st.sampled_from([None, "dana.reyes", "tom.okafor"]))
        candidates.append(
            candidate(
                proposal.model_copy(update={"proposal_id": f"p{index}"}),
                received_at=received,
                expires_at=received + timedelta(days=draw(st.integers(0, 30))),
                approved_by=approved,
            )
        )
    touches = [
        touch(NOW - ago, touch_id=f"t{index}", channel=channel, contact_id=contact, status=status)
        for index, (ago, channel, contact, status) in enumerate(
            draw(
                st.lists(
                    st.tuples(minutes, st.sampled_from(["email", "webhook"]), st.none() | people, statuses),
                    max_size=6,
                )
            )
        )
    ]
    hold = Hold(hold_id="h", placed_by="dana.reyes", reason="reorganisation", placed_at=NOW)
    ends = draw(st.none() | minutes)
    zone = draw(st.sampled_from([None, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
    consent = draw(st.sampled_from(Consent))
    contacts: dict[str, Contact] = {
        name: contact.model_copy(update={"time_zone": zone}) for name, contact in CONTACTS.items()
    }
    contacts["champion"] = contacts["champion"].model_copy(update={"consent": consent})
    account = NORTHWIND.model_copy(update={"time_zone": draw(st.sampled_from([None, "Europe/Berlin"]))})
    reading = Reading(system="crm", stage=Stage.CLOSING, urgency=0.9, confidence=0.9, observed_at=NOW)
    return request(
        *candidates,
        account=account,
        contacts=contacts,
        touches=tuple(touches),
        holds=() if ends is None else (hold.model_copy(update={"expires_at": NOW + ends}),),
        readings=(reading,) if draw(st.booleans()) else (),
        suppressed=draw(st.sampled_from([(), ("practitioner",)])),
        now=NOW + draw(minutes),
    )


@quick
@given(worlds(), st.sampled_from([DEFAULT, DEMO]))
def test_one_decision_each_and_never_two_allowed(world: RulingRequest, directory: Path) -> None:
    ruling = rule(policies(directory), world)

    assert sorted(each.proposal_id for each in ruling.decisions) == sorted(
        each.proposal.proposal_id for each in world.candidates
    )
    assert sum(each.verdict is Verdict.ALLOW for each in ruling.decisions) <= 1
    expires = {each.proposal.proposal_id: each.expires_at for each in world.candidates}
    for each in ruling.decisions:
        assert (each.handover is not None) is (each.verdict is Verdict.ALLOW)
        assert (each.route is not None) is (each.verdict is Verdict.REQUIRE_APPROVAL)
        assert (each.until is not None) is (each.verdict is Verdict.DEFER)
        assert each.verdict is max((hit.effect for hit in each.hits), key=lambda effect: effect.rank)
        if each.until is not None:
            assert world.now < each.until <= expires[each.proposal_id]
        if each.verdict is not Verdict.ALLOW:
            assert each.hits[0].reason is each.reason


@quick
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_candidates_touches_and_people_changes_nothing(
    world: RulingRequest, chance: object
) -> None:
    def shuffled(items: Iterable[object]) -> tuple[object, ...]:
        mixed = list(items)
        chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis hides the type of its generator
        return tuple(mixed)

    other = world.model_copy(
        update={
            "candidates": shuffled(world.candidates),
            "touches": shuffled(world.touches),
            "contacts": dict(reversed(world.contacts.items())),
        }
    )

    assert rule(policies(), other) == rule(policies(), world)


@cache
def turned_over() -> PolicySet:
    """The default set with the rules of every list in the opposite order, routes apart."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "policies"
        shutil.copytree(DEFAULT, target)
        for path in target.glob("*.yaml"):
            blocks = re.split(r"(?m)^(?=  - |\S)", path.read_text())
            lists: list[list[str]] = [[]]
            for block in blocks:
                if not block.startswith("  - "):
                    lists += [[block], []]
                else:
                    lists[-1].append(block if block.endswith("\n") else block + "\n")
            path.write_text("".join("".join(reversed(each)) for each in lists))
        return load_policy_set(target)


def test_the_rules_are_really_turned_over() -> None:
    caps = [cap.origin.rule_id for cap in policies().frequency.caps]

    assert [cap.origin.rule_id for cap in turned_over().frequency.caps] == caps[::-1]
    assert turned_over().digest != policies().digest


@quick
@given(worlds())
def test_the_order_of_rules_changes_no_outcome(world: RulingRequest) -> None:
    def outcome(decision: Decision) -> tuple[object, ...]:
        hits = [(hit.rule_id, hit.effect, hit.reason, hit.until) for hit in decision.hits]
        return decision.verdict, decision.reason, decision.until, decision.rank, decision.score, hits

    there = [outcome(each) for each in rule(policies(), world).decisions]

    assert [outcome(each) for each in rule(turned_over(), world).decisions] == there


STRICTER = {
    "consent.yaml": (
        "rules:\n",
        "rules:\n  - {id: extra, when: proposal.value > 2e4, then: deny, reason: SUPPRESSED, message: No.}\n",
    ),
    "frequency.yaml": (
        "caps:\n",
        "caps:\n  - {id: extra, per: account, limit: 1, window: 5d, message: Rest.}\n",
    ),
    "timing.yaml": (
        "quiet_hours:\n",
        'quiet_hours:\n  - {id: extra, from: "12:00", to: "14:00", message: Lunch.}\n',
    ),
    "approvals.yaml": (
        "require:\n",
        "require:\n  - {id: extra, when: proposal.confidence < 0.8, message: Ask.}\n",
    ),
    "authority.yaml": (
        "grants:\n",
        (
            "grants:\n  - {id: extra, actor: sdr-agent, actions: [any], channels: [any], level: draft_only,\n"
            "     when: proposal.value >= 0.0, confidence: {act_at: 0.5, ask_at: 0.5}, max_value: 10,\n"
            "     granted_by: dana.reyes, valid_until: 2099-12-31}\n"
        ),
    ),
}


@cache
def stricter(name: str) -> PolicySet:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "policies"
        shutil.copytree(DEFAULT, target)
        text = (target / name).read_text()
        old, new = STRICTER[name]
        assert old in text
        (target / name).write_text(text.replace(old, new, 1))
        return load_policy_set(target)


@quick
@given(worlds(most=1), st.sampled_from(sorted(STRICTER)))
def test_one_more_restrictive_rule_never_loosens(world: RulingRequest, name: str) -> None:
    (before,) = rule(policies(), world).decisions
    (after,) = rule(stricter(name), world).decisions

    assert after.verdict.rank >= before.verdict.rank
    if before.until is not None and after.until is not None:
        assert after.until >= before.until


@quick
@given(worlds(most=1), st.sampled_from([DEFAULT, DEMO]))
def test_what_is_deferred_is_allowed_then_if_nothing_else_changes(
    world: RulingRequest, directory: Path
) -> None:
    (decision,) = rule(policies(directory), world).decisions
    if decision.until is None or decision.until >= world.candidates[0].expires_at:
        return
    # The touch in flight has ended by then; everything else is as it was.

    (then,) = rule(
        policies(directory),
        world.model_copy(update={"now": decision.until, "touches": landed(world.touches)}),
    ).decisions

    assert then.verdict is Verdict.ALLOW
    just_before = decision.until - timedelta(microseconds=1)
    if just_before > world.now:
        (still,) = rule(
            policies(directory),
            world.model_copy(update={"now": just_before, "touches": landed(world.touches)}),
        ).decisions
        if all(hit.rule_id != "engine.touch_in_flight" for hit in decision.hits):
            assert still.verdict is not Verdict.ALLOW


@quick
@given(worlds(), st.sampled_from([DEFAULT, DEMO]))
def test_a_loser_is_allowed_when_its_turn_comes_after_the_winners_touch(
    world: RulingRequest, directory: Path
) -> None:
    made = rule(policies(directory), world).decisions
    winner = next((each for each in made if each.verdict is Verdict.ALLOW), None)
    if winner is None:
        return
    chosen = next(each for each in world.candidates if each.proposal.proposal_id == winner.proposal_id)
    sent = touch(
        world.now,
        touch_id="the-winner",
        channel=chosen.proposal.channel,
        contact_id=chosen.proposal.contact_id,
    )
    for loser in made:
        if loser.verdict is not Verdict.DEFER or loser.reason.value != "LOWER_PRIORITY":
            continue
        alone = tuple(each for each in world.candidates if each.proposal.proposal_id == loser.proposal_id)
        later = world.model_copy(
            update={"now": loser.until, "touches": (*world.touches, sent), "candidates": alone}
        )
        (then,) = rule(policies(directory), later).decisions
        assert then.verdict is Verdict.ALLOW
