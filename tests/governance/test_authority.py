"""What an actor may do alone: within a grant that lasts, its budgets, its reach, and once it is trusted."""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import Proposal, ReasonCode, Standing, Verdict
from governance import PolicyError, PolicySet, draws, load_policy_set, tracked
from governance import rule as rule_as_told
from tests.governance.worlds import (
    NOW,
    candidate,
    edited,
    email,
    nurture,
    only,
    personalization,
    policies,
    request,
    rule_ids,
)

DAY = timedelta(days=1)
GRANT = {
    "id": "extra",
    "actor": "sdr-agent",
    "actions": "[send_email]",
    "channels": "[email]",
    "level": "act_and_report",
    "confidence": "{act_at: 0.1, ask_at: 0.0}",
    "max_value": "1000000",
    "irreversible": "act",
    "granted_by": "dana.reyes",
    "valid_until": "2027-06-30",
}


def grant(**changes: str | None) -> str:
    fields = {**GRANT, **changes}
    return "  - {" + ", ".join(f"{key}: {value}" for key, value in fields.items() if value) + "}\n"


def granting(folder: Path, *grants: str) -> PolicySet:
    """The shipped set with these grants and no others."""
    target = edited(folder, "authority.yaml")
    (target / "authority.yaml").write_text("grants:\n" + "".join(grants))
    return load_policy_set(target)


def outcome(policy_set: PolicySet, proposal: Proposal, **changes: object) -> tuple[Verdict, ReasonCode]:
    decision = only(policy_set, proposal, **changes)
    return decision.verdict, decision.reason


def test_a_grant_binds_to_the_end_of_its_last_day_and_then_gives_nothing(tmp_path: Path) -> None:
    policy_set = granting(tmp_path, grant(valid_until=f"{NOW:%Y-%m-%d}"))
    midnight = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + DAY
    # On the next day in UTC it is still early evening in New York.
    asked = email(channel="webhook", contact_id=None)
    policy_set = granting(tmp_path, grant(valid_until=f"{NOW:%Y-%m-%d}", channels="[webhook]"))

    assert only(policy_set, asked, now=midnight - timedelta(microseconds=1)).verdict is Verdict.ALLOW
    decision = only(policy_set, asked, now=midnight)

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.AUTHORITY_EXPIRED)
    assert decision.hits[0].rule_id == "extra"
    for word in ("extra", "dana.reyes", "sdr-agent", f"{NOW:%Y-%m-%d}"):
        assert word in decision.hits[0].message


def test_another_grant_carries_on_after_one_has_ended(tmp_path: Path) -> None:
    policy_set = granting(tmp_path, grant(valid_until="2026-01-31"), grant(id="newer"))

    decision = only(policy_set, email())

    assert decision.verdict is Verdict.ALLOW
    assert "extra" not in rule_ids(decision)


@pytest.mark.parametrize(
    ("level", "verdict"),
    [
        ("off", Verdict.DENY),
        ("draft_only", Verdict.SUPPRESS),
        ("approval_required", Verdict.REQUIRE_APPROVAL),
        ("act_and_report", Verdict.ALLOW),
    ],
)
def test_the_passing_of_time_frees_nothing(tmp_path: Path, level: str, verdict: Verdict) -> None:
    ended = grant(valid_until="2026-01-31", level=level, when="proposal.value >= 0.0")

    decision = only(granting(tmp_path, ended, grant(id="newer")), email())

    assert decision.verdict is verdict
    if verdict is not Verdict.ALLOW:
        assert "ended with 2026-01-31" in decision.hits[0].message


def test_a_grant_that_is_tried_out_neither_gives_nor_takes(tmp_path: Path) -> None:
    alone = granting(tmp_path, grant(mode="log_only"))
    assert outcome(alone, email()) == (Verdict.DENY, ReasonCode.NO_AUTHORITY)
    beside = granting(tmp_path, grant(), grant(id="trial", mode="log_only", level="off"))

    decision = only(beside, email())

    assert decision.verdict is Verdict.ALLOW
    (hit,) = (hit for hit in decision.hits if hit.rule_id == "trial")
    assert (hit.log_only, hit.effect) == (True, Verdict.DENY)


@pytest.mark.parametrize(
    ("changes", "asked", "verdict", "reason"),
    [
        ({"irreversible": "act"}, {}, Verdict.ALLOW, ReasonCode.ALLOWED),
        ({"irreversible": "ask"}, {}, Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ({"irreversible": None}, {}, Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ({"irreversible": "never"}, {}, Verdict.DENY, ReasonCode.AUTHORITY_EXCEEDED),
        (
            {"irreversible": "never", "channels": "[webhook]"},
            {"channel": "webhook", "contact_id": None},
            Verdict.ALLOW,
            ReasonCode.ALLOWED,
        ),
        ({}, {"reach": 2}, Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
        ({"max_reach": "500"}, {"reach": 500}, Verdict.ALLOW, ReasonCode.ALLOWED),
        ({"max_reach": "500"}, {"reach": 501}, Verdict.REQUIRE_APPROVAL, ReasonCode.AUTHORITY_EXCEEDED),
    ],
)
def test_reach_and_what_cannot_be_taken_back(
    tmp_path: Path,
    changes: dict[str, str | None],
    asked: dict[str, object],
    verdict: Verdict,
    reason: ReasonCode,
) -> None:
    assert outcome(granting(tmp_path, grant(**changes)), email(**asked)) == (verdict, reason)


NOVELTY = "{first: 5, level: approval_required}"


@pytest.mark.parametrize(
    ("done", "verdict"),
    [
        ({}, Verdict.REQUIRE_APPROVAL),
        ({"sdr-agent/send_email": 4}, Verdict.REQUIRE_APPROVAL),
        ({"sdr-agent/send_email": 5}, Verdict.ALLOW),
        ({"nurture/send_email": 5, "sdr-agent/other": 5}, Verdict.REQUIRE_APPROVAL),
    ],
)
def test_an_actor_is_asked_until_it_has_done_an_action_often_enough(
    tmp_path: Path, done: dict[str, int], verdict: Verdict
) -> None:
    decision = only(granting(tmp_path, grant(novelty=NOVELTY)), email(), standing=Standing(done=done))

    assert decision.verdict is verdict
    if verdict is Verdict.REQUIRE_APPROVAL:
        assert decision.reason is ReasonCode.NOVELTY
        assert "until 5" in decision.hits[0].message


def test_novelty_asks_for_the_numbers_it_needs_and_no_others(tmp_path: Path) -> None:
    asked = request(
        email(), email(proposal_id="again"), nurture(), personalization(), email(actor="stranger")
    )

    assert tracked(policies(), asked) == ()
    with_novelty = granting(
        tmp_path, grant(novelty=NOVELTY), grant(id="others", actor="nurture", actions="[any]")
    )
    assert tracked(with_novelty, asked) == (("sdr-agent", "send_email"),)
    ended = granting(tmp_path, grant(novelty=NOVELTY, valid_until="2026-01-01"))
    assert tracked(ended, asked) == ()


@pytest.mark.parametrize("level", ["off", "draft_only", "act_and_report"])
def test_novelty_that_asks_for_nothing_is_refused_with_the_reason(tmp_path: Path, level: str) -> None:
    with pytest.raises(PolicyError) as caught:
        granting(tmp_path, grant(novelty=f"{{first: 5, level: {level}}}"))

    (problem,) = caught.value.problems
    assert problem.message == (
        "novelty can ask for an approval (approval_required); below that nothing would ever go out, the "
        "actor would stay new, and act_and_report would change nothing"
    )
    assert problem.place.line == 2


BUDGETS = "[{touches: 50, per: 1d}, {cost: 500, per: 7d}]"
TOUCHES, COST = "extra#touches-86400s", "extra#cost-604800s"


def test_a_budget_is_drawn_by_the_actor_over_what_the_grant_covers(tmp_path: Path) -> None:
    policy_set = granting(tmp_path, grant(budgets=BUDGETS))

    found = {draw.rule_id: draw for _, draw in draws(policy_set, request(email(cost=12.0)))}
    decision = only(policy_set, email(cost=12.0))

    touches, money = found[TOUCHES], found[COST]
    assert (touches.touches, touches.amount, touches.window_seconds) == (50, None, 86_400.0)
    assert (money.touches, money.amount, money.window_seconds, money.cost) == (None, 500.0, 604_800.0, 12.0)
    for draw in (touches, money):
        assert (draw.actors, draw.actions, draw.channels) == (("sdr-agent",), ("send_email",), ("email",))
    assert decision.verdict is Verdict.ALLOW
    assert [draw.rule_id for draw in decision.draws] == ["email-deliverability", COST, TOUCHES]


def test_the_actors_of_a_kind_share_a_budget(tmp_path: Path) -> None:
    policy_set = granting(
        tmp_path, grant(actor=None, actor_kind="ai_agent", actions="[any]", budgets=BUDGETS)
    )

    (draw,) = (draw for _, draw in draws(policy_set, request(email())) if draw.rule_id == TOUCHES)

    assert draw.actors == ("executive-office", "paid-media", "personalization", "sdr-agent")
    assert draw.actions is None


@pytest.mark.parametrize(
    ("used_up", "room", "words"),
    [
        (TOUCHES, NOW + DAY, ("50 touches per 1d", "2026-11-25 10:00:00Z", "dana.reyes")),
        (COST, NOW + 2 * DAY, ("500.00 per 7d", "2026-11-26 10:00:00Z", "12.00")),
    ],
)
def test_over_budget_a_person_is_asked_and_told_what_is_used_up(
    tmp_path: Path, used_up: str, room: datetime, words: tuple[str, ...]
) -> None:
    policy_set = granting(tmp_path, grant(budgets=BUDGETS))
    standing = Standing(room_at={f"{used_up}/sdr-1": room})

    decision = only(policy_set, email(cost=12.0), standing=standing)

    assert (decision.verdict, decision.reason) == (Verdict.REQUIRE_APPROVAL, ReasonCode.BUDGET_EXCEEDED)
    assert decision.draws == ()
    for word in words:
        assert word in decision.hits[0].message
    # An approval carries it beyond the budget, so it takes nothing from it; the caps of all hold on.
    approved = only(policy_set, candidate(email(cost=12.0), approved_by="dana.reyes"), standing=standing)
    assert approved.verdict is Verdict.ALLOW
    assert [draw.rule_id for draw in approved.draws] == ["email-deliverability"]


def test_an_approval_of_the_wrong_person_carries_nothing(tmp_path: Path) -> None:
    standing = Standing(room_at={f"{COST}/sdr-1": NOW + DAY})
    asked = candidate(email(), approved_by="mara.lindqvist")

    decision = only(granting(tmp_path, grant(budgets=BUDGETS)), asked, standing=standing)

    assert decision.verdict is Verdict.REQUIRE_APPROVAL


def test_an_old_approval_that_nobody_needs_any_more_spares_no_budget(tmp_path: Path) -> None:
    asked = candidate(email(), approved_by="dana.reyes")

    decision = only(granting(tmp_path, grant(budgets=BUDGETS)), asked)

    assert {TOUCHES, COST} <= {draw.rule_id for draw in decision.draws}


def test_what_costs_more_than_the_whole_budget_says_so(tmp_path: Path) -> None:
    never = Standing(room_at={f"{COST}/sdr-1": datetime(2099, 12, 31, tzinfo=UTC)})

    decision = only(granting(tmp_path, grant(budgets=BUDGETS)), email(cost=501.0), standing=never)

    assert decision.reason is ReasonCode.BUDGET_EXCEEDED
    assert "more than the whole budget of 500.00" in decision.hits[0].message


def test_without_word_from_the_ledger_a_budget_denies(tmp_path: Path) -> None:
    policy_set = granting(tmp_path, grant(budgets=BUDGETS))
    standing = Standing(room_at={"email-deliverability/sdr-1": NOW, f"{TOUCHES}/sdr-1": NOW})

    (decision,) = rule_as_told(policy_set, request(email(), standing=standing)).decisions

    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.EVALUATION_ERROR)
    assert decision.hits[0].rule_id == "extra"


def test_the_budget_of_a_grant_that_is_tried_out_is_recorded_only(tmp_path: Path) -> None:
    policy_set = granting(tmp_path, grant(), grant(id="trial", mode="log_only", budgets=BUDGETS))
    standing = Standing(room_at={"trial#touches-86400s/sdr-1": NOW + DAY})

    decision = only(policy_set, email(), standing=standing)

    assert decision.verdict is Verdict.ALLOW
    assert [draw.rule_id for draw in decision.draws] == ["email-deliverability"]
    assert ReasonCode.BUDGET_EXCEEDED in {hit.reason for hit in decision.hits if hit.log_only}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([None, -DAY, timedelta(0), timedelta(microseconds=1), 3 * DAY]),
    st.sampled_from([None, -DAY, timedelta(0), timedelta(microseconds=1), 3 * DAY]),
    st.sampled_from([None, "dana.reyes", "mara.lindqvist"]),
)
def test_a_budget_never_gives_more_than_there_is_room_for(
    touches: timedelta | None, money: timedelta | None, approver: str | None
) -> None:
    """Alone only with room in both; with an approval also beyond; and never while one is unknown."""
    room = {"email-deliverability/sdr-1": NOW}
    room |= {f"{TOUCHES}/sdr-1": NOW + touches} if touches is not None else {}
    room |= {f"{COST}/sdr-1": NOW + money} if money is not None else {}
    asked = request(candidate(email(), approved_by=approver), standing=Standing(room_at=room))

    (decision,) = rule_as_told(budgeted(), asked).decisions

    unknown = touches is None or money is None
    fits = not unknown and max(touches or -DAY, money or -DAY) <= timedelta(0)
    if unknown:
        assert decision.verdict is Verdict.DENY
    elif fits:
        assert decision.verdict is Verdict.ALLOW
        assert {TOUCHES, COST} <= {draw.rule_id for draw in decision.draws}
    else:
        wanted = Verdict.ALLOW if approver == "dana.reyes" else Verdict.REQUIRE_APPROVAL
        assert decision.verdict is wanted
        assert not {TOUCHES, COST} & {draw.rule_id for draw in decision.draws}


@cache
def budgeted() -> PolicySet:
    with tempfile.TemporaryDirectory() as folder:
        return granting(Path(folder), grant(budgets=BUDGETS))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"level": "off"}, {}),
        ({}, {"level": "draft_only"}),
        ({"level": "off", "actions": "[any]"}, {"level": "approval_required"}),
        ({"level": "off", "channels": "[any]"}, {"channels": "[webhook, email]"}),
        (
            {"actor": None, "actor_kind": "ai_agent", "level": "off"},
            {"actor": None, "actor_kind": "ai_agent", "actions": "[any]"},
        ),
    ],
)
def test_grants_that_contradict_each_other_are_refused_with_both_places(
    tmp_path: Path, first: dict[str, str | None], second: dict[str, str | None]
) -> None:
    with pytest.raises(PolicyError) as caught:
        granting(tmp_path, grant(id="one", **first), grant(id="two", **second))

    (problem,) = caught.value.problems
    assert (problem.code, problem.place.line) == ("contradiction", 3)
    assert "authority.yaml:2" in problem.message
    assert "the most restrictive counts" in problem.message
    assert "never" in problem.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"level": "off"}, {"actor": "nurture"}),
        ({"level": "off"}, {"actor": None, "actor_kind": "ai_agent"}),
        ({"level": "off"}, {"channels": "[webhook]"}),
        ({"level": "off"}, {"actions": "[call]"}),
        ({"level": "off", "when": "account.tier == Tier.ONE"}, {}),
        ({"level": "off", "mode": "log_only"}, {}),
        ({"level": "off"}, {"level": "draft_only"}),
        ({"level": "approval_required"}, {}),
    ],
)
def test_grants_that_can_both_be_meant_are_accepted(
    tmp_path: Path, first: dict[str, str | None], second: dict[str, str | None]
) -> None:
    assert len(granting(tmp_path, grant(id="one", **first), grant(id="two", **second)).authority) == 2
