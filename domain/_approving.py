"""Approvals: asking a person, taking the answer, and what happens when none comes."""

from __future__ import annotations

from domain._approval import AnswerResult, Approval, ApprovalAnswer
from domain._base import in_words, one_line
from domain._exception_words import Answer, ApprovalStatus
from domain._messages import Answered
from domain._proposal import Decision
from domain._records import AnswerFact, ApprovalFact
from domain._route import ApprovalRoute
from domain._state import ANSWERS_LIMIT, APPROVALS_LIMIT, OpenProposal
from domain._turn import Turn, trim
from domain._vocabulary import (
    ProposalStatus,
    ReasonCode,
    Verdict,
)


def request(turn: Turn, item: OpenProposal, decision: Decision) -> None:
    """Put a proposal to the people its decision names."""
    route = decision.route
    if route is None:
        turn.close(
            item,
            ProposalStatus.DENIED,
            ReasonCode.EVALUATION_ERROR,
            "an approval was required without saying whose; denied",
            decision,
        )
        return
    approval = Approval(
        approval_id=f"{item.proposal.proposal_id}:a{decision.decision_id.rpartition(':')[2]}",
        proposal_id=item.proposal.proposal_id,
        digest=item.digest,
        reason=decision.reason,
        message=next(
            (hit.message for hit in decision.hits if hit.reason is decision.reason), decision.reason.value
        ),
        route=route,
        requested_at=turn.now,
        # Somebody whose answer no longer suffices alone has still agreed to this very digest.
        approvers=tuple(login for login in item.approvers if login in _eligible(route)),
    )
    turn.put(
        item.model_copy(
            update={
                "status": ProposalStatus.PENDING_APPROVAL,
                "approval_id": approval.approval_id,
                "due_at": None,
            }
        )
    )
    turn.tell(item, ProposalStatus.PENDING_APPROVAL, decision.reason, approval.message)
    _store(turn, approval)
    turn.note(f"Asked {route.group} about {item.proposal.action} of {item.proposal.actor}")


def answer_key(given: ApprovalAnswer) -> str:
    """Return the key under which an answer's result is remembered: ids are unique per approval."""
    return f"{given.approval_id}/{given.answer_id}"


def answer(turn: Turn, event: Answered) -> None:
    """Take an answer: the first valid one wins, and every one is recorded with its result."""
    given = event.answer
    if answer_key(given) in turn.state.answers:
        return
    approval = turn.state.approvals.get(given.approval_id)
    refusal = _why_refused(turn, approval, given)
    if refusal is not None or approval is None:
        status = approval.status if approval else None
        _remember(turn, given, AnswerResult(
            answer_id=given.answer_id,
            approval_id=given.approval_id,
            accepted=False,
            status=status,
            message=one_line(refusal or "there is no such approval"),
        ))  # fmt: skip
        return
    item = turn.state.open[approval.proposal_id or ""]
    if given.answer is Answer.REJECT:
        rejected = _settled(turn, approval, given, ApprovalStatus.REJECTED)
        _accept(turn, given, rejected, f"rejected by {given.approver}")
        turn.world_changed()
        turn.note(f"{given.approver} rejected {approval.approval_id}")
        turn.close(item, ProposalStatus.DENIED, ReasonCode.APPROVAL_REJECTED, f"rejected by {given.approver}")
        return
    approval = approval.model_copy(update={"approvers": (*approval.approvers, given.approver)})
    if len(approval.approvers) < approval.route.quorum:
        _accept(turn, given, approval, f"approved by {given.approver}; {approval.progress}")
        turn.note(f"{given.approver} approved {approval.approval_id}: {approval.progress}")
        turn.tell(item, ProposalStatus.PENDING_APPROVAL, approval.reason, approval.progress)
        return
    approved = _settled(turn, approval, given, ApprovalStatus.APPROVED)
    everybody = in_words(approved.approvers)
    _accept(turn, given, approved, f"approved by {everybody}")
    turn.world_changed()
    turn.note(f"{given.approver} approved {approval.approval_id}")
    # An approval never sends anything by itself: the proposal is ruled again, now with the approval.
    turn.put(
        item.model_copy(
            update={
                "status": ProposalStatus.DEFERRED,
                "due_at": turn.now,
                "approved_by": one_line(everybody),
                "approvers": approved.approvers,
            }
        )
    )
    turn.tell(item, ProposalStatus.DEFERRED, None, f"approved by {everybody}; ruled again")


def _settled(turn: Turn, approval: Approval, given: ApprovalAnswer, status: ApprovalStatus) -> Approval:
    return approval.model_copy(
        update={
            "status": status,
            "answered_by": given.approver,
            "answered_at": turn.now,
            "comment": given.comment,
        }
    )


def _accept(turn: Turn, given: ApprovalAnswer, approval: Approval, what: str) -> None:
    """Keep an approval as an answer has left it, and tell the person."""
    _store(turn, approval)
    _remember(turn, given, AnswerResult(
        answer_id=given.answer_id,
        approval_id=given.approval_id,
        accepted=True,
        status=approval.status,
        message=one_line(f"recorded: {what}"),
    ))  # fmt: skip


def withdraw(turn: Turn, item: OpenProposal, why: str) -> None:
    """Take back a pending request because the world changed."""
    approval = turn.state.approvals.get(item.approval_id or "")
    if approval is None or approval.status is not ApprovalStatus.PENDING:
        return
    _store(
        turn,
        approval.model_copy(
            update={
                "status": ApprovalStatus.WITHDRAWN,
                "answered_at": turn.now,
                "comment": why,
            }
        ),
    )


def expire(turn: Turn) -> None:
    """End approvals whose time has run out; nothing is ever allowed by a timeout."""
    for approval in turn.state.pending_approvals:
        if approval.route.expires_at > turn.now:
            continue
        _store(
            turn,
            approval.model_copy(update={"status": ApprovalStatus.EXPIRED, "answered_at": turn.now}),
        )
        denied = approval.route.on_expiry is Verdict.DENY
        turn.world_changed()
        turn.close(
            turn.state.open[approval.proposal_id or ""],
            ProposalStatus.DENIED if denied else ProposalStatus.SUPPRESSED,
            ReasonCode.APPROVAL_EXPIRED,
            _unanswered(approval),
        )


def _unanswered(approval: Approval) -> str:
    if approval.approvers:
        return f"only {approval.progress} in time"
    return f"nobody in {approval.route.group} answered in time"


def _eligible(route: ApprovalRoute) -> frozenset[str]:
    return frozenset(route.approvers) - frozenset(route.excluded)


def _why_refused(turn: Turn, approval: Approval | None, given: ApprovalAnswer) -> str | None:
    if approval is None:
        return f"there is no approval {given.approval_id} on this account"
    if approval.status is not ApprovalStatus.PENDING:
        together = approval.approvers if approval.status is ApprovalStatus.APPROVED else ()
        by = in_words(together) or approval.answered_by
        who = f" by {by}" if by else ""
        when = f" at {approval.answered_at.isoformat()}" if approval.answered_at else ""
        return f"already {approval.status.value}{who}{when}"
    if approval.route.expires_at <= turn.now:
        return f"expired at {approval.route.expires_at.isoformat()}"
    if given.digest != approval.digest:
        return "the answer is for another version of the action; open the approval again"
    if given.approver in approval.route.excluded:
        return f"{given.approver} proposed this or owns the agent that did; somebody else must answer"
    if given.approver not in approval.route.approvers:
        return f"{given.approver} is not in {approval.route.group}"
    if given.answer is Answer.APPROVE and given.approver in approval.approvers:
        return f"{given.approver} has approved already, {approval.progress}; somebody else must be the next"
    if given.answer is Answer.REJECT and not (given.comment or "").strip():
        return "a rejection needs a comment that says why"
    return None


def _store(turn: Turn, approval: Approval) -> None:
    turn.state.approvals[approval.approval_id] = approval
    turn.record(ApprovalFact(seq=turn.next_seq(), at=turn.now, approval=approval))
    ended = [a for a in turn.state.approvals.values() if a.status is not ApprovalStatus.PENDING]
    for old in ended[:-APPROVALS_LIMIT]:
        del turn.state.approvals[old.approval_id]


def _remember(turn: Turn, given: ApprovalAnswer, result: AnswerResult) -> None:
    turn.state.answers[answer_key(given)] = result
    trim(turn.state.answers, ANSWERS_LIMIT)
    turn.record(AnswerFact(seq=turn.next_seq(), at=turn.now, answer=given, result=result))
    if not result.accepted:
        turn.note(f"Answer of {given.approver} refused: {result.message}")
