"""Taking a question on, giving it back, and taking back what one has proposed."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from domain import ApprovalClaimed, ApprovalReleased, Door, ProposalWithdrawn
from tutti.approvals.options import QuestionId
from tutti.approvals.wording import holding
from workflows import AccountClient, connect


async def claim(console: Console, question: QuestionId, *, login: str) -> None:
    """Take a question on, so that others leave it alone for a while.

    Raises:
        AccountError: somebody else holds it, it is over, or the person may not answer it.
    """
    event = ApprovalClaimed(approval_id=question.approval_id, claimed_by=login, via=Door.COMMAND)
    approval = await AccountClient(await connect()).claim_approval(question.account_id, event)
    held = holding(approval, datetime.now(UTC))
    console.print(Text.assemble(("ok ", "bold green"), f"{question}  {held}"), highlight=False)


async def release(console: Console, question: QuestionId, *, login: str) -> None:
    """Give a question back that one had taken on.

    Raises:
        AccountError: somebody else holds it, or it is over.
    """
    event = ApprovalReleased(approval_id=question.approval_id, released_by=login, via=Door.COMMAND)
    await AccountClient(await connect()).release_approval(question.account_id, event)
    console.print(Text.assemble(("ok ", "bold green"), f"{question}  anybody may answer it"), highlight=False)


async def withdraw(console: Console, account_id: str, proposal_id: str, *, login: str, reason: str) -> None:
    """Take a proposal back, with whatever was asked about it.

    Raises:
        AccountError: somebody else proposed it, it has ended, or it is with its channel.
    """
    event = ProposalWithdrawn(proposal_id=proposal_id, withdrawn_by=login, reason=reason, via=Door.COMMAND)
    await AccountClient(await connect()).withdraw_proposal(account_id, event)
    console.print(
        Text.assemble(
            ("ok ", "bold green"), f"{account_id}/{proposal_id} is taken back; nobody is asked any more"
        ),
        highlight=False,
    )
