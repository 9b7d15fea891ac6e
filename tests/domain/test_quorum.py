"""An approval by several persons: collected one by one, ended by one no, and never rounded up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    AccountState,
    Answer,
    Answered,
    Approval,
    ApprovalRoute,
    ApprovalStatus,
    Candidate,
    Consult,
    HandOver,
    ProposalStatus,
    ReasonCode,
    Ruled,
    RuleHit,
    Score,
    Verdict,
    card,
    view_proposal,
)
from tests.builders import START, Shell, decide, proposal, route
from tests.domain.situations import answer, asked, result_of


def two_wanted(**changes: object) -> ApprovalRoute:
    return route(approvers=("dana", "mara", "tom"), quorum=2, **changes)


def pending() -> Shell:
    """An account with a pending approval that two of three must give."""
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=two_wanted())
    return shell


def approval_of(shell: Shell) -> Approval:
    (approval,) = shell.state.approvals.values()
    return approval


def consulted(shell: Shell) -> bool:
    return any(isinstance(effect, Consult) for effect in shell.effects)


def test_the_first_of_two_leaves_it_pending_and_says_how_far_it_is() -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)))

    assert approval_of(shell).status is ApprovalStatus.PENDING
    assert approval_of(shell).approvers == ("dana",)
    result = result_of(shell, "a1")
    assert (result.accepted, result.status) == (True, ApprovalStatus.PENDING)
    assert result.message == "recorded: approved by dana; 1 of 2 have approved"
    assert shell.state.open["p1"].status is ProposalStatus.PENDING_APPROVAL
    assert not consulted(shell)
    assert "(1 of 2 have approved: dana)" in card(shell.state)


def test_the_second_completes_it_and_governance_learns_both() -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)))
    shell.send(Answered(answer=answer(shell, answer_id="a2", approver="mara")))

    assert approval_of(shell).status is ApprovalStatus.APPROVED
    assert result_of(shell, "a2").message == "recorded: approved by dana and mara"
    request = shell.consultation()
    assert request.candidates[0].approvers == ("dana", "mara")
    shell.send(Ruled(ruling=decide(request, {"p1": Verdict.ALLOW})))
    assert shell.hand_over().touch.approved_by == "dana and mara"


def test_the_same_person_twice_is_refused() -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)), Answered(answer=answer(shell, answer_id="again")))

    assert not result_of(shell, "again").accepted
    assert result_of(shell, "again").message == (
        "dana has approved already, 1 of 2 have approved; somebody else must be the next"
    )
    assert approval_of(shell).approvers == ("dana",)
    assert not consulted(shell)


def test_the_same_answer_again_gets_the_same_result_and_counts_once() -> None:
    shell = pending()
    given = answer(shell)
    shell.send(Answered(answer=given))
    before = result_of(shell, "a1")
    shell.send(Answered(answer=given))

    assert result_of(shell, "a1") == before
    assert approval_of(shell).approvers == ("dana",)


@pytest.mark.parametrize("who", ["mara", "dana"])
def test_one_rejection_ends_it_also_from_somebody_who_had_approved(who: str) -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)))
    no = answer(shell, answer_id="no", approver=who, answer=Answer.REJECT, comment="wrong tone")
    shell.send(Answered(answer=no))

    assert approval_of(shell).status is ApprovalStatus.REJECTED
    assert shell.state.closed["p1"].reason is ReasonCode.APPROVAL_REJECTED
    late = answer(shell, answer_id="late", approver="mara")
    shell.send(Answered(answer=late))
    assert f"already rejected by {who} at" in result_of(shell, "late").message


def test_half_an_approval_expires_like_none() -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)))
    shell.wait(days=1)

    assert approval_of(shell).status is ApprovalStatus.EXPIRED
    assert shell.state.closed["p1"].reason is ReasonCode.APPROVAL_EXPIRED
    assert shell.state.closed["p1"].message == "only 1 of 2 have approved in time"
    assert not [effect for effect in shell.effects if isinstance(effect, (HandOver, Consult))]


def test_a_late_third_learns_who_approved() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    everybody = route(approvers=("dana", "mara", "lena"), quorum=2)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=everybody)
    for index, who in enumerate(("dana", "mara", "lena")):
        shell.send(Answered(answer=answer(shell, answer_id=f"a{index}", approver=who)))

    assert "already approved by dana and mara at" in result_of(shell, "a2").message


def test_the_excluded_never_complete_a_quorum() -> None:
    shell = pending()
    shell.send(Answered(answer=answer(shell)))
    shell.send(Answered(answer=answer(shell, answer_id="own", approver="tom")))

    assert not result_of(shell, "own").accepted
    assert approval_of(shell).status is ApprovalStatus.PENDING


def test_an_approval_that_no_longer_suffices_is_not_asked_for_again() -> None:
    """Given one approval, when two are wanted at the next ruling, then one more person is asked."""
    shell = asked()
    shell.send(Answered(answer=answer(shell)))
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=two_wanted())

    first, second = shell.state.approvals.values()
    assert (first.status, second.status) == (ApprovalStatus.APPROVED, ApprovalStatus.PENDING)
    assert second.approvers == ("dana",)
    again = answer(shell, answer_id="a2", approval_id=second.approval_id, approver="mara")
    shell.send(Answered(answer=again))
    assert shell.consultation().candidates[0].approvers == ("dana", "mara")


def test_only_those_who_may_still_answer_are_counted_again() -> None:
    shell = asked()
    shell.send(Answered(answer=answer(shell)))
    others = route(approvers=("mara", "lena"), quorum=2)
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=others)

    _, second = shell.state.approvals.values()
    assert second.approvers == ()


def test_states_from_before_quorums_are_read() -> None:
    """Given a state of an approved proposal without the newer fields, then its approval still counts."""
    shell = asked()
    shell.send(Answered(answer=answer(shell)))
    old = shell.state.model_dump(mode="json")
    for item in old["open"].values():
        del item["approvers"], item["starved_at"]
    for approval in old["approvals"].values():
        del approval["approvers"], approval["route"]["quorum"]

    state = AccountState.model_validate(old)

    assert state.open["p1"].approved_by == "dana"
    assert next(iter(state.approvals.values())).route.quorum == 1
    item = state.open["p1"]
    candidate = Candidate(
        proposal=item.proposal,
        received_at=item.received_at,
        expires_at=item.expires_at,
        approved_by=item.approved_by,
        approvers=item.approvers,
    )
    assert candidate.agreed == ("dana",)


STARVED = RuleHit(
    rule_id="starved",
    family="arbitration",
    effect=Verdict.ALLOW,
    reason=ReasonCode.STARVED,
    message="Again and again.",
)


def defer_again(shell: Shell, *hits: RuleHit) -> None:
    shell.rule({"p1": Verdict.DEFER}, until=shell.now + timedelta(days=2), hits=hits)
    shell.wait(days=2)


def test_a_starving_proposal_is_noted_once_and_stays_on_the_card() -> None:
    shell = Shell()
    shell.propose(proposal(expires_at=START + timedelta(days=29)))
    shell.wait(seconds=3)
    defer_again(shell)
    assert "Starving" not in card(shell.state)
    for _ in range(3):
        shell.rule({"p1": Verdict.DEFER}, until=shell.now + timedelta(days=2), hits=(STARVED,))
        text = card(shell.state)
        assert "**Starving: deferred again and again**" in text
        shell.wait(days=2)
    assert "- `p1` send_email of sdr-agent: deferred 4 times since 2026-03-02 09:00:00Z" in card(shell.state)

    notes = [line.text for line in shell.state.timeline if "starves" in line.text]
    assert notes == ["sdr-agent: send_email starves, deferred 2 times"]
    view = view_proposal(shell.state, "p1")
    assert view is not None
    assert (view.starved, view.deferrals) == (True, 4)


def test_a_starvation_rule_that_is_tried_out_alarms_nobody() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    defer_again(shell, STARVED.model_copy(update={"log_only": True}))

    assert "Starving" not in card(shell.state)
    assert not [line for line in shell.state.timeline if "starves" in line.text]


def test_others_learn_how_long_a_person_may_answer_and_when_each_one_came() -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    score = Score(total=500.0, factors=())
    shell.rule({"p1": Verdict.REQUIRE_APPROVAL}, route=two_wanted(), score=score)
    shell.propose(proposal("p2"))
    shell.wait(seconds=3)

    (scheduled,) = shell.consultation().scheduled

    assert scheduled.answer_by == two_wanted().expires_at
    assert scheduled.due_at is None
    assert scheduled.received_at == START
