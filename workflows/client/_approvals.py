"""The client's side of what people are asked: cards, answers, claims, looks, withdrawals and seeds."""

from __future__ import annotations

import uuid
from datetime import timedelta

from domain import (
    AccountStatus,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalClaimed,
    ApprovalReleased,
    ApprovalViewed,
    Door,
    ExceptionCard,
    ProposalView,
    ProposalWithdrawn,
    Seeded,
)
from workflows import _contract as contract
from workflows.client._calls import PATIENCE, Calls, insisting
from workflows.client._errors import AccountError, EngineUnavailableError


class ApprovalCalls(Calls):
    """Calls about what people are asked. Every one may be repeated with the same ids."""

    async def answer(
        self, account_id: str, answer: ApprovalAnswer, *, patience: timedelta = PATIENCE
    ) -> AnswerResult:
        """Answer an exception and learn what became of the answer.

        The same answer is sent again until its result is known, also while the server is away. A refusal is a
        result: `accepted` is false, and `message` says why.

        Args:
            account_id: The account that asks.
            answer: Its `answer_id` makes it count once, however often it is sent.
            patience: How long to go on when nobody answers.

        Raises:
            EngineUnavailableError: the result is not known; repeat with the same `answer_id`.
            AccountError: there is no such account, or it could not take the answer.
        """
        update_id = f"{answer.approval_id}:{answer.answer_id}"
        try:
            return await self._insist(
                account_id, contract.ANSWER_APPROVAL, answer, update_id, AnswerResult, patience=patience
            )
        except EngineUnavailableError as error:
            msg = f"the answer is not confirmed: repeat it with the same answer id ({answer.answer_id})"
            raise EngineUnavailableError(msg) from error

    async def answer_later(self, account_id: str, answer: ApprovalAnswer) -> None:
        """Hand an answer in without waiting for what becomes of it. Durable when it returns.

        Its result is in the ledger, and in the notice to whoever was asked.

        Raises:
            UnknownAccountError: there is no such account.
            EngineUnavailableError: nothing is known to be stored; repeat with the same `answer_id`.
        """
        by_signal = (
            answer if answer.via is not Door.UPDATE else answer.model_copy(update={"via": Door.SIGNAL})
        )
        await self._signal(account_id, contract.ANSWER_APPROVAL_SIGNAL, by_signal)

    async def claim_approval(self, account_id: str, claim: ApprovalClaimed) -> Approval:
        """Take a question on, so that others leave it alone for a while, and return it.

        Raises:
            AccountError: somebody else holds it (and until when), it is over, or the person may not.
        """
        update_id = f"claim:{claim.approval_id}:{uuid.uuid4().hex}"
        return await self._insist(account_id, contract.CLAIM_APPROVAL, claim, update_id, Approval)

    async def release_approval(self, account_id: str, release: ApprovalReleased) -> Approval:
        """Give a question back, and return it.

        Raises:
            AccountError: somebody else holds it, or it is over.
        """
        update_id = f"release:{release.approval_id}:{uuid.uuid4().hex}"
        return await self._insist(account_id, contract.RELEASE_APPROVAL, release, update_id, Approval)

    async def viewed(self, account_id: str, look: ApprovalViewed) -> None:
        """Record that somebody was shown a card. Durable when it returns."""
        await self._signal(account_id, contract.APPROVAL_VIEWED, look)

    async def card(self, account_id: str, approval_id: str) -> ExceptionCard:
        """Return everything that a person needs to answer an exception.

        Raises:
            AccountError: the account does not remember such an exception.
        """

        async def ask() -> ExceptionCard | None:
            found: ExceptionCard | None = await self._handle(account_id).query(
                contract.EXCEPTION, approval_id, result_type=ExceptionCard, rpc_timeout=PATIENCE
            )
            return found

        card = await insisting(account_id, ask, PATIENCE)
        if card is None:
            msg = (
                f"account {account_id} asks nothing under {approval_id!r}; see `tutti inbox` for what is open"
            )
            raise AccountError(msg)
        return card

    async def withdraw_proposal(self, account_id: str, withdrawn: ProposalWithdrawn) -> AccountStatus:
        """Take a proposal back, with whatever was asked about it.

        Raises:
            AccountError: somebody else proposed it, it has ended, or it is with its channel.
        """
        update_id = f"withdraw:{withdrawn.proposal_id}:{uuid.uuid4().hex}"
        return await self._insist(account_id, contract.WITHDRAW_PROPOSAL, withdrawn, update_id, AccountStatus)

    async def seed(self, account_id: str, seeded: Seeded) -> ProposalView:
        """Plant a bad proposal that tests the approvers, and wait for its first ruling; it never goes out.

        Raises:
            AccountError: it was refused, e.g. because its id was used for another action.
            EngineUnavailableError: no ruling yet; repeat with the same proposal.
        """
        proposal = seeded.proposal
        attempt = 1
        while True:
            view = await self._insist(
                account_id,
                contract.SEED_PROPOSAL,
                seeded,
                f"seed:{proposal.proposal_id}:{proposal.digest(account_id)[:12]}:{attempt}",
                ProposalView,
            )
            if view.settled:
                return view
            # The run is continuing as new: the next one knows the proposal and is asked with a new id.
            attempt += 1
