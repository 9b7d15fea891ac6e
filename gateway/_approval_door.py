"""The way of answers to the accounts' workflows, and how long a request at the gateway waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final, Protocol

from domain import (
    AnswerResult,
    Approval,
    ApprovalAnswer,
    ApprovalClaimed,
    ApprovalReleased,
    ApprovalViewed,
    ExceptionCard,
)
from workflows import EngineUnavailableError

PATIENCE: Final = timedelta(seconds=15)
"""How long somebody at a browser or a tool waits before they are told that it is not confirmed."""
RETRY_AFTER_SECONDS: Final = 5


class ApprovalDoor(Protocol):
    """What the gateway asks of the accounts about exceptions; see `workflows.AccountClient`."""

    async def card(self, account_id: str, approval_id: str) -> ExceptionCard:
        """Return everything that a person needs to answer an exception."""

    async def answer(
        self, account_id: str, answer: ApprovalAnswer, *, patience: timedelta = PATIENCE
    ) -> AnswerResult:
        """Answer an exception and learn what became of the answer."""

    async def answer_later(self, account_id: str, answer: ApprovalAnswer) -> None:
        """Hand an answer in without waiting for what becomes of it; durable when it returns."""

    async def claim_approval(self, account_id: str, claim: ApprovalClaimed) -> Approval:
        """Take a question on, so that others leave it alone for a while."""

    async def release_approval(self, account_id: str, release: ApprovalReleased) -> Approval:
        """Give a question back."""

    async def viewed(self, account_id: str, look: ApprovalViewed) -> None:
        """Record that somebody was shown a card; durable when it returns."""


async def card_of(accounts: ApprovalDoor, account_id: str, approval_id: str) -> ExceptionCard:
    """Return a card, or give up after a while.

    Raises:
        EngineUnavailableError: No answer in time.
        AccountError: There is no such account, or it asks nothing under this id.
    """
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await accounts.card(account_id, approval_id)
    except TimeoutError:
        raise EngineUnavailableError("the engine did not answer in time") from None
