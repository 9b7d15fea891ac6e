"""Two pairs of eyes: some actions need more than one person, and never fewer than the file asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import ReasonCode, Verdict
from governance import PolicyError, PolicySet, load_policy_set
from tests.governance.worlds import candidate, edited, email, executive, only, policies

MEMBERS = ("members: [dana.reyes, tom.okafor]", "members: [dana.reyes, tom.okafor, mara.lindqvist]")


def two_of_three(folder: Path, quorum: int = 2) -> PolicySet:
    edited(folder, "people.yaml", MEMBERS)
    ask = "  group: sales-leadership\n  answer_within: 8h"
    return load_policy_set(
        edited(folder, "approvals.yaml", (ask, ask.replace("\n", f"\n  quorum: {quorum}\n", 1)))
    )


LARGE = email(value=300_000.0, actor="lena.fischer")


def test_the_route_says_how_many_must_approve(tmp_path: Path) -> None:
    route = only(two_of_three(tmp_path), LARGE).route

    assert route is not None
    assert route.quorum == 2
    assert route.approvers == ("dana.reyes", "tom.okafor", "mara.lindqvist")
    sponsors = only(two_of_three(tmp_path / "other"), executive()).route
    assert sponsors is not None
    assert sponsors.quorum == 1, "the other routes ask for one, as before"


@pytest.mark.parametrize(
    ("approvers", "allowed"),
    [
        (("dana.reyes",), False),
        (("dana.reyes", "tom.okafor"), True),
        (("dana.reyes", "dana.reyes"), False),
        (("dana.reyes", "lena.fischer"), False),
        (("dana.reyes", "sdr-agent"), False),
        (("lena.fischer", "dana.reyes", "mara.lindqvist"), True),
    ],
)
def test_only_different_persons_who_would_be_asked_today_count(
    tmp_path: Path, approvers: tuple[str, ...], *, allowed: bool
) -> None:
    given = candidate(LARGE, approved_by=" and ".join(approvers), approvers=approvers)

    decision = only(two_of_three(tmp_path), given)

    assert decision.verdict is (Verdict.ALLOW if allowed else Verdict.REQUIRE_APPROVAL)
    if allowed:
        named = [login for login in approvers if login != "lena.fischer"]
        assert any(hit.message.startswith(f"Approved by {' and '.join(named)}: ") for hit in decision.hits)


def test_an_approval_from_before_quorums_counts_as_one(tmp_path: Path) -> None:
    """Given an approval whose giver is written under `approved_by` alone, then it is one person's."""
    old = candidate(LARGE, approved_by="dana.reyes")

    assert only(policies(), old).verdict is Verdict.ALLOW
    assert only(two_of_three(tmp_path), old).verdict is Verdict.REQUIRE_APPROVAL


@pytest.mark.parametrize(
    ("quorum", "words"),
    [
        (3, "3 persons in sales-leadership must approve this, and only 2 are left there who may."),
        (2, None),
    ],
)
def test_if_fewer_are_left_than_must_approve_it_is_denied(
    tmp_path: Path, quorum: int, words: str | None
) -> None:
    asked = email(value=300_000.0, actor="mara.lindqvist")

    decision = only(two_of_three(tmp_path, quorum), asked)

    if words is None:
        assert decision.verdict is Verdict.REQUIRE_APPROVAL
        return
    assert (decision.verdict, decision.reason) == (Verdict.DENY, ReasonCode.APPROVAL_NEEDED)
    assert decision.hits[0].rule_id == "engine.no_approver"
    assert decision.hits[0].message == words


def test_a_quorum_larger_than_the_group_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"approvals\.yaml:\d+:\d+: error:") as caught:
        two_of_three(tmp_path, quorum=4)

    assert "4 must approve, but the group 'sales-leadership' has only 3 members" in str(caught.value)


@pytest.mark.parametrize(
    ("members", "words"),
    [("[tom.okafor]", "only 1 member"), ("[dana.reyes, tom.okafor]", "only 2 members")],
)
def test_the_group_that_is_too_small_is_told_with_its_size(tmp_path: Path, members: str, words: str) -> None:
    edited(tmp_path, "people.yaml", ("members: [dana.reyes, tom.okafor]", f"members: {members}"))
    ask = "  group: sales-leadership\n  answer_within: 8h"

    with pytest.raises(PolicyError) as caught:
        load_policy_set(edited(tmp_path, "approvals.yaml", (ask, f"{ask}\n  quorum: 3")))

    (problem,) = caught.value.problems
    assert problem.message == (
        f"3 must approve, but the group 'sales-leadership' has {words}; "
        "lower the quorum or add members in people.yaml"
    )


@pytest.mark.parametrize("quorum", [0, -1])
def test_nobody_is_no_quorum(tmp_path: Path, quorum: int) -> None:
    with pytest.raises(PolicyError, match=r"approvals\.yaml:\d+:\d+: error:") as caught:
        two_of_three(tmp_path, quorum=quorum)

    assert "1" in str(caught.value).splitlines()[0].partition("error:")[2]


def test_a_requirement_that_is_tried_out_asks_nobody(tmp_path: Path) -> None:
    rule = "  - id: large-values\n"
    trial = load_policy_set(edited(tmp_path, "approvals.yaml", (rule, rule + "    mode: log_only\n")))

    decision = only(trial, LARGE)

    assert decision.verdict is Verdict.ALLOW
    (hit,) = (hit for hit in decision.hits if hit.rule_id == "large-values")
    assert hit.log_only
