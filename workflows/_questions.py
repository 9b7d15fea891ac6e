"""What people say to an account's questions: answers, claims, looks, and what they take back or plant."""

from __future__ import annotations

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import (
        AccountStatus,
        Answered,
        AnswerResult,
        Approval,
        ApprovalAnswer,
        ApprovalClaimed,
        ApprovalReleased,
        ApprovalStatus,
        ApprovalViewed,
        Door,
        ExceptionCard,
        ProposalView,
        ProposalWithdrawn,
        ReasonCode,
        Seeded,
        answer_key,
        card_of,
        claim_refusal,
        view_status,
        withdrawal_refusal,
    )
    from workflows import _contract as contract
    from workflows._decoding import read_model
    from workflows._shell import Shell

ANSWER_HELP: Final = (
    'Answer a question. Takes {"answer_id": "ANY-NEW-ID", "approval_id": "…", "digest": "…", '
    '"answer": "approve", "approver": "YOUR.LOGIN"}; approval_id and digest are in the query `exception` or '
    '`status`. Other answers: "reject", "send_back", "modify" with "changes", "settle" with "stage" or '
    '"settlement", "break_glass"; all of these need "code" and "comment". Repeat with the same answer_id '
    "until there is a result."
)
"""What an operator reads beside the update in the Temporal UI."""


class Questions(Shell):
    """The messages about what people are asked."""

    @workflow.update(name=contract.ANSWER_APPROVAL, description=ANSWER_HELP)
    async def answer_approval(self, *arguments: object) -> AnswerResult:
        """Take in an answer and return what became of it; refusals are recorded, not raised.

        Ends unresolved when the run is about to continue as new and governance has not said yet whether the
        person may answer: ask again with the same id, the answer is known.
        """
        answer = self._read("approval answer", ApprovalAnswer, arguments)
        await self._processed(Answered(answer=answer))
        await workflow.wait_condition(lambda: self._draining or not self._is_vetted(answer))
        result = self._state.answers.get(answer_key(answer))
        if result is not None:
            return result
        if self._is_vetted(answer):
            message = "the answer is recorded, and waits for governance; ask again with the same answer id"
            raise ApplicationError(message, type=contract.UNRESOLVED, non_retryable=True)
        message = "the answer could not be processed; it is recorded as refused"
        raise ApplicationError(message, type="AnswerRefused", non_retryable=True)

    @workflow.signal(
        name=contract.ANSWER_APPROVAL_SIGNAL,
        description="An answer whose sender cannot wait for the result. Takes what `answer_approval` takes.",
    )
    def answer_approval_signal(self, *arguments: object) -> None:
        """Take in an answer; its result is in the status and the ledger."""
        self._receive("approval answer", lambda: Answered(answer=_by_signal(arguments)))

    @workflow.update(
        name=contract.CLAIM_APPROVAL,
        description="Take a question on, so that others leave it alone for a while. Takes "
        '{"approval_id": "…", "claimed_by": "YOUR.LOGIN"}.',
    )
    async def claim_approval(self, *arguments: object) -> Approval:
        """Take a question on and return it, or say who holds it and until when."""
        event = self._read("claim", ApprovalClaimed, arguments)
        await self._processed(event)
        approval = self._state.approvals.get(event.approval_id)
        if approval is None or approval.claimed_by != event.claimed_by:
            why = claim_refusal(self._state, event, workflow.now()) or "the claim has ended already"
            raise _refused("ClaimRefused", why)
        return approval

    @workflow.update(
        name=contract.RELEASE_APPROVAL,
        description='Give a question back that you had taken on. Takes {"approval_id": "…", '
        '"released_by": "YOUR.LOGIN"}.',
    )
    async def release_approval(self, *arguments: object) -> Approval:
        """Give a question back and return it, or say who holds it and until when."""
        event = self._read("release", ApprovalReleased, arguments)
        await self._processed(event)
        approval = self._state.approvals.get(event.approval_id)
        if approval is None or approval.status is not ApprovalStatus.PENDING or approval.claimed_by:
            why = claim_refusal(self._state, event, workflow.now()) or "somebody has claimed it since"
            raise _refused("ReleaseRefused", why)
        return approval

    @workflow.signal(name=contract.APPROVAL_VIEWED, description="Somebody was shown the card of a question.")
    def approval_viewed(self, *arguments: object) -> None:
        """Take in that somebody was shown a card."""
        self._receive("look", lambda: read_model(ApprovalViewed, arguments))

    @workflow.update(
        name=contract.WITHDRAW_PROPOSAL,
        description='Take a proposal back. Takes {"proposal_id": "…", "withdrawn_by": "WHO PROPOSED IT", '
        '"reason": "…"}.',
    )
    async def withdraw_proposal(self, *arguments: object) -> AccountStatus:
        """End a proposal because whoever made it wants so, and return the status."""
        event = self._read("withdrawal", ProposalWithdrawn, arguments)
        await self._processed(event)
        item = self._state.open.get(event.proposal_id)
        ended = self._state.closed.get(event.proposal_id)
        on_its_way_out = item is not None and item.exit_reason is not None
        withdrawn = ended is not None and ended.reason is ReasonCode.WITHDRAWN
        if not (on_its_way_out or withdrawn):
            why = withdrawal_refusal(self._state, event) or f"{event.proposal_id} cannot be taken back"
            raise _refused("WithdrawalRefused", why)
        return view_status(self._state)

    @workflow.update(
        name=contract.SEED_PROPOSAL,
        description="Plant a bad proposal that tests the approvers; it never goes out.",
    )
    async def seed_proposal(self, *arguments: object) -> ProposalView:
        """Plant a proposal and wait for its first ruling, as `propose` does."""
        event = self._read("seed", Seeded, arguments)
        await self._processed(event)
        return await self._first_ruling(event.proposal)

    @workflow.query(
        name=contract.EXCEPTION,
        description="Everything that a person needs to answer one question. Takes the id of its approval.",
    )
    def exception(self, approval_id: str) -> ExceptionCard | None:
        """Return the card of a question; None if the account does not remember it."""
        return card_of(self._state, approval_id)

    def _is_vetted(self, answer: ApprovalAnswer) -> bool:
        """Whether governance is being asked if the person may answer."""
        return answer_key(answer) in self._state.vetting


def _by_signal(arguments: tuple[object, ...]) -> ApprovalAnswer:
    """Read an answer that came as a signal; one that does not say how it came, came so."""
    answer = read_model(ApprovalAnswer, arguments)
    return answer if answer.via is not Door.UPDATE else answer.model_copy(update={"via": Door.SIGNAL})


def _refused(kind: str, why: str) -> ApplicationError:
    """Return the error with which an update ends that the account has refused, and recorded as refused."""
    return ApplicationError(why, type=kind, non_retryable=True)
