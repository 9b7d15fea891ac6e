"""Promises 6 to 9 on the real engine: what a yes releases, who wins, and what silence and errors never do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import (
    Answer,
    ApprovalStatus,
    Consent,
    ProposalStatus,
    ReasonCode,
    Signal,
    SignalKind,
    Stop,
    StopScope,
    TouchStatus,
)
from tests.workflows.approving import (
    HURRIED,
    PATIENT,
    THREE,
    asked,
    at_rest,
    claim,
    give,
    planted,
    question,
    recorded,
    release,
    says,
    sent,
    taken_back,
)
from tests.workflows.cast import scenario, set_up
from tests.workflows.stage import Stage, soon, staged
from workflows import AccountError, UnknownAccountError

SHORT = THREE | {"approvals.yaml": [(PATIENT, HURRIED)]}
TOGETHER = THREE | {
    "approvals.yaml": [(PATIENT, f"    quorum: 2\n{PATIENT}")],
}


async def test_an_approval_releases_only_the_digest_it_was_given_for_and_once(stage: Stage) -> None:
    """Promise 6."""
    approval = await asked(stage)
    other = await give(stage, says(approval, digest="0" * 64))
    assert not other.accepted
    assert "another version" in other.message
    assert not stage.relay.envelopes

    yes = says(approval)
    first = await give(stage, yes)
    assert first.accepted
    assert first.status is ApprovalStatus.APPROVED
    await sent(stage)
    assert await give(stage, yes) == first, "a repeated answer is the same answer"
    again = await give(stage, says(approval))
    assert not again.accepted
    status = await at_rest(stage)
    (touch,) = [t for t in status.touches if t.status is TouchStatus.HANDED_OVER]
    assert touch.proposal_id == "exec-1"
    assert len(stage.relay.envelopes) == 1, "one yes, one touch"


async def test_what_was_approved_is_ruled_again_before_it_goes_out(stage: Stage) -> None:
    """Promise 6: between question and yes the person's consent is gone; the yes does not bring it back."""
    approval = await asked(stage)
    helen = next(c for c in scenario().contacts if c.contact_id == "helen")
    await stage.accounts.observe(stage.account_id, [helen.model_copy(update={"consent": Consent.WITHDRAWN})])
    result = await give(stage, says(approval))
    status = await at_rest(stage)
    (view,) = status.proposals
    assert view.status in {ProposalStatus.DENIED, ProposalStatus.SUPPRESSED}
    assert view.reason is ReasonCode.CONSENT_MISSING
    assert result.accepted, "the yes counts; it only cannot lift a rule"
    assert not stage.relay.envelopes


async def test_a_yes_waits_for_a_kill_switch_like_everything_else(stage: Stage) -> None:
    """Promise 6: an approval never sends anything by itself."""
    approval = await asked(stage)
    stop = Stop(
        stop_id="s1",
        scope=StopScope.TENANT,
        reason="wrong price list",
        placed_by="tom.okafor",
        placed_at=soon(),
    )
    await stage.ledger.place_stop(stop)
    assert (await give(stage, says(approval))).accepted
    await stage.status_when(
        lambda s: any(v.reason is ReasonCode.STOPPED for v in s.proposals), "the kill switch to hold it"
    )
    assert not stage.relay.envelopes


async def test_of_eight_opposite_answers_one_wins_and_seven_learn_who_and_when(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 7."""
    async with staged(temporal.client, tmp_path, edits=THREE) as stage:
        approval = await asked(stage)
        answers = [
            says(
                approval,
                Answer.REJECT if number % 2 else Answer.APPROVE,
                approver="mara.lindqvist" if number % 4 < 2 else "dana.reyes",
            )
            for number in range(8)
        ]
        results = await asyncio.gather(*(give(stage, item) for item in answers))
        (winner,) = [result for result in results if result.accepted]
        given = next(item for item in answers if item.answer_id == winner.answer_id)
        for result in results:
            if not result.accepted:
                assert result.answered_by == given.approver
                assert result.answered_at is not None
                assert f"already {winner.status} by {given.approver}" in result.message
        assert await asyncio.gather(*(give(stage, item) for item in answers)) == results
        if given.answer is Answer.APPROVE:
            await sent(stage)
        await at_rest(stage)
        assert len(stage.relay.envelopes) == (given.answer is Answer.APPROVE)
        told = await recorded(stage)
        assert {item.answer_id for item in told} == {item.answer_id for item in answers}
        assert sum(item.accepted for item in told) == 1


async def test_a_double_click_counts_once(stage: Stage) -> None:
    """Promise 7: the same answer from two tabs at the same moment."""
    approval = await asked(stage)
    yes = says(approval)
    first, second = await asyncio.gather(give(stage, yes), give(stage, yes))
    assert first == second
    assert first.accepted
    await sent(stage)
    await at_rest(stage)
    assert len(await recorded(stage)) == 1
    assert len(stage.relay.envelopes) == 1


async def test_two_persons_at_once_are_both_heard_when_two_are_needed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Promise 7: a quorum of two, both at the same moment: both count, and one touch goes out."""
    async with staged(temporal.client, tmp_path, edits=TOGETHER) as stage:
        approval = await asked(stage)
        results = await asyncio.gather(
            give(stage, says(approval)), give(stage, says(approval, approver="mara.lindqvist"))
        )
        assert [result.accepted for result in results] == [True, True]
        assert {result.status for result in results} == {ApprovalStatus.PENDING, ApprovalStatus.APPROVED}
        await sent(stage)
        await at_rest(stage)
        assert len(stage.relay.envelopes) == 1


async def test_nothing_is_allowed_by_silence(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    """Promise 8: nobody answers in time, and whoever answers later is told so."""
    async with staged(temporal.client, tmp_path, edits=SHORT) as stage:
        approval = await asked(stage)
        status = await at_rest(stage)
        (view,) = status.proposals
        assert (view.status, view.reason) == (ProposalStatus.SUPPRESSED, ReasonCode.APPROVAL_EXPIRED)
        late = await give(stage, says(approval))
        assert (late.accepted, late.status) == (False, ApprovalStatus.EXPIRED)
        assert "already expired" in late.message
        assert not stage.relay.envelopes
        (told,) = await recorded(stage)
        assert (told.accepted, told.message) == (False, late.message), "the late answer is on record"


async def test_half_a_quorum_is_no_yes(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    """Promise 8: one of two has agreed when the time runs out."""
    edits = SHORT | {"approvals.yaml": [(PATIENT, f"    quorum: 2\n{HURRIED}")]}
    async with staged(temporal.client, tmp_path, edits=edits) as stage:
        approval = await asked(stage)
        assert (await give(stage, says(approval))).status is ApprovalStatus.PENDING
        status = await at_rest(stage)
        assert status.proposals[0].reason is ReasonCode.APPROVAL_EXPIRED
        assert not stage.relay.envelopes


@pytest.mark.parametrize(
    "approver",
    [
        pytest.param("tom.okafor", id="the owner of the agent"),
        pytest.param("executive-office", id="the agent itself"),
        pytest.param("sdr-agent", id="another agent"),
        pytest.param("nurture", id="a system"),
        pytest.param("lena.fischer", id="somebody of another group"),
        pytest.param("never.seen", id="nobody we know"),
        pytest.param("DANA.REYES", id="another spelling"),
    ],
)
async def test_whoever_may_not_answer_is_refused_and_that_is_recorded(stage: Stage, approver: str) -> None:
    """Promise 9: the proposer is never the approver, and agents never approve."""
    approval = await asked(stage)
    for kind in (Answer.APPROVE, Answer.REJECT):
        result = await give(stage, says(approval, kind, approver=approver))
        assert (result.accepted, result.status) == (False, ApprovalStatus.PENDING)
    told = await recorded(stage)
    assert [(item.approver, item.accepted) for item in told] == [(approver, False)] * 2
    assert all(item.message for item in told)
    assert not stage.relay.envelopes
    assert (await question(stage)).status is ApprovalStatus.PENDING


async def test_a_person_never_approves_what_they_proposed(stage: Stage) -> None:
    """Promise 9: Dana is in the group, and it is hers."""
    approval = await asked(stage, actor="dana.reyes", action="send_email")
    result = await give(stage, says(approval))
    assert not result.accepted
    assert "dana.reyes" in result.message
    assert not stage.relay.envelopes


async def test_an_opt_out_takes_the_question_back(stage: Stage) -> None:
    """The world changed while Dana thought about it."""
    approval = await asked(stage)
    stop = Signal(
        signal_id="o1", source="crm", kind=SignalKind.OPT_OUT, observed_at=soon(), contact_id="helen"
    )
    await stage.accounts.observe(stage.account_id, [stop])
    status = await at_rest(stage)
    assert status.approvals == ()
    late = await give(stage, says(approval))
    assert (late.accepted, late.status) == (False, ApprovalStatus.WITHDRAWN)
    assert not stage.relay.envelopes


@pytest.mark.parametrize(
    "kind", [SignalKind.REPLY, SignalKind.MEETING_BOOKED, SignalKind.DEAL_WON, SignalKind.DEAL_LOST]
)
async def test_a_world_that_has_moved_on_takes_the_question_back(stage: Stage, kind: SignalKind) -> None:
    approval = await asked(stage)
    news = Signal(signal_id="n1", source="crm", kind=kind, observed_at=soon(), contact_id="helen")
    await stage.accounts.observe(stage.account_id, [news])
    status = await at_rest(stage)
    assert status.proposals[0].status is ProposalStatus.SUPPRESSED
    assert (await give(stage, says(approval))).status is ApprovalStatus.WITHDRAWN
    assert not stage.relay.envelopes


async def test_whoever_proposed_it_can_take_it_back_and_nobody_else(stage: Stage) -> None:
    approval = await asked(stage)
    await stage.accounts.withdraw_proposal(stage.account_id, taken_back("tom.okafor"))
    status = await at_rest(stage)
    assert status.proposals[0].reason is ReasonCode.WITHDRAWN
    assert (await give(stage, says(approval))).status is ApprovalStatus.WITHDRAWN
    assert not stage.relay.envelopes
    with pytest.raises(AccountError, match="not open"):
        await stage.accounts.withdraw_proposal(stage.account_id, taken_back("tom.okafor", "never-proposed"))


async def test_a_stranger_cannot_take_a_proposal_back(stage: Stage) -> None:
    await asked(stage)
    with pytest.raises(AccountError, match=r"lena\.fischer did not propose exec-1"):
        await stage.accounts.withdraw_proposal(stage.account_id, taken_back("lena.fischer"))
    assert (await question(stage)).status is ApprovalStatus.PENDING


async def test_what_somebody_has_taken_on_others_leave_alone(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=THREE) as stage:
        approval = await asked(stage)
        claimed = await stage.accounts.claim_approval(stage.account_id, claim(approval, "dana.reyes"))
        assert claimed.claimed_by == "dana.reyes"
        assert claimed.claimed_until is not None
        with pytest.raises(AccountError, match=r"held by dana\.reyes until"):
            await stage.accounts.claim_approval(stage.account_id, claim(approval, "mara.lindqvist"))
        refused = await give(stage, says(approval, approver="mara.lindqvist"))
        assert "held by dana.reyes until" in refused.message
        free = await stage.accounts.release_approval(stage.account_id, release(approval, "dana.reyes"))
        assert free.claimed_by is None
        assert (await give(stage, says(approval, approver="mara.lindqvist"))).accepted
        with pytest.raises(AccountError, match=r"already approved by mara\.lindqvist"):
            await stage.accounts.claim_approval(stage.account_id, claim(approval, "dana.reyes"))


async def test_the_card_shows_what_an_answer_is_bound_to(stage: Stage) -> None:
    approval = await asked(stage)
    card = await stage.accounts.card(stage.account_id, approval.approval_id)
    assert card.approval.digest == approval.digest
    assert card.proposal is not None
    assert card.proposal.digest(stage.account_id) == approval.digest
    assert card.proposal.content.text
    assert card.recipient is not None
    assert card.decision is not None
    assert card.decision.hits
    assert {each.answer for each in card.consequences} >= {Answer.APPROVE, Answer.REJECT, None}
    with pytest.raises(AccountError, match="asks nothing under 'nope'"):
        await stage.accounts.card(stage.account_id, "nope")


async def test_an_answer_by_a_signal_counts_as_much(stage: Stage) -> None:
    """A mail reply, or an operator in the Temporal UI: durable at once, and nobody waits for the result."""
    approval = await asked(stage)
    yes = says(approval)
    await stage.handle.signal("answer_approval_signal", yes.model_dump(mode="json", exclude={"via"}))
    await sent(stage)
    result = await give(stage, yes)
    assert result.accepted, "asked again as an update, the same answer has the same result"
    (told,) = await recorded(stage)
    assert told.answer_id == yes.answer_id


async def test_a_planted_proposal_never_goes_out(stage: Stage) -> None:
    """Approvers who wave it through are found out; nobody hears of it outside."""
    await set_up(stage)
    view = await stage.accounts.seed(stage.account_id, planted())
    assert view.status is ProposalStatus.PENDING_APPROVAL
    approval = await question(stage, "bad-1")
    assert (await give(stage, says(approval))).accepted
    status = await at_rest(stage)
    assert status.proposals[0].reason is ReasonCode.SEEDED
    assert not stage.relay.envelopes
    assert not status.touches


async def test_answers_that_fit_no_question_are_refused_in_words(stage: Stage) -> None:
    approval = await asked(stage)
    unknown = await give(stage, says(approval, approval_id="exec-1:a99"))
    assert (unknown.accepted, unknown.status) == (False, None)
    assert "there is no approval exec-1:a99" in unknown.message
    silent = await give(stage, says(approval, Answer.REJECT, comment=" "))
    assert "needs a comment" in silent.message
    odd = await give(stage, says(approval, Answer.SETTLE))
    assert "settle is no answer" in odd.message
    with pytest.raises(UnknownAccountError):
        await stage.accounts.answer("never-seen", says(approval))
    assert len(await recorded(stage)) == 3
    assert not stage.relay.envelopes


async def test_unreadable_answers_are_refused_and_the_question_stays_open(stage: Stage) -> None:
    approval = await asked(stage)
    good = says(approval).model_dump(mode="json")
    bad: tuple[object, ...] = (
        good | {"answer": "yes please"},
        good | {"approver": "a" * 1_000},
        good | {"allow": True},
        {k: v for k, v in good.items() if k != "digest"},
        None,
    )
    for payload in bad:
        await stage.handle.signal("answer_approval_signal", payload)
    status = await stage.status_when(lambda s: s.refusals >= len(bad), "every refusal")
    assert status.refusals == len(bad)
    assert [a.status for a in status.approvals] == [ApprovalStatus.PENDING]
    assert not stage.relay.envelopes
