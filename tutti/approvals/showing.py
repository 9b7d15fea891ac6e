"""`tutti approval show`: the live card of a question, or what is on record of one that is long over."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from domain import (
    Approval,
    ApprovalStatus,
    ApprovalStepFact,
    ApprovalViewed,
    Door,
    ExceptionCard,
    StepKind,
    visible,
)
from ledger import Ledger, LedgerError
from tutti.approvals.card import drawn, ended, told_trail
from tutti.approvals.options import QuestionId
from tutti.render import plain
from tutti.settings import Settings
from tutti.terminal import err
from workflows import AccountClient, AccountError, EngineUnavailableError, connect

_PLANTED = "seeded"
"""How the account marks a planted question in its audit trail."""


async def show_card(
    console: Console, settings: Settings, question: QuestionId, *, viewer: str | None, as_json: bool
) -> None:
    """Print a card, and put on record who looked at it.

    Raises:
        AccountError: nobody knows the question, or the engine does not answer.
    """
    accounts = AccountClient(await connect())
    try:
        card = await accounts.card(*question)
    except EngineUnavailableError:
        raise
    except AccountError:
        if not await _show_record(console, settings, question, as_json=as_json):
            raise
        return
    if viewer is not None:
        look = ApprovalViewed(approval_id=question.approval_id, viewed_by=viewer, via=Door.COMMAND)
        await accounts.viewed(question.account_id, look)
    trail = await _trail(settings, question)
    if card.approval.status is ApprovalStatus.PENDING:
        trail = [fact for fact in trail if not _tells_of_a_test(fact)]
    if as_json:
        _print_json(console, card, trail)
        return
    console.print(drawn(card, trail, datetime.now(UTC)), highlight=False)
    if viewer is None:
        err.print(Text("this look is not on record: say who you are with --as or TUTTI_LOGIN", "dim"))


async def show_html(console: Console, question: QuestionId) -> None:
    """Print the HTML version of what a question is about, as it would go out.

    Raises:
        AccountError: nobody knows the question, or the engine does not answer.
    """
    card = await AccountClient(await connect()).card(*question)
    source = card.proposal.content if card.proposal is not None else card.touch
    html = source.html if source is not None else None
    console.print(visible(html or "there is no HTML version"), markup=False, highlight=False, soft_wrap=True)


async def _show_record(console: Console, settings: Settings, question: QuestionId, *, as_json: bool) -> bool:
    """Print what the ledger knows of a question; return whether it knows it."""
    try:
        ledger = await Ledger.open(settings.ledger)
        try:
            approval = await ledger.approval(*question)
            trail = await ledger.approval_trail(*question)
        finally:
            await ledger.close()
    except LedgerError:
        return False
    if approval is None:
        return False
    if as_json:
        _print_json(console, approval, trail)
        return True
    console.print(
        Group(
            Text(str(question), "bold"),
            Text("from the ledger: the account itself no longer holds it", "dim"),
            Text(plain(approval.message)),
            Text(ended(approval)),
            Padding(told_trail(trail), (0, 0, 0, 2)),
        ),
        highlight=False,
    )
    return True


async def _trail(settings: Settings, question: QuestionId) -> list[ApprovalStepFact]:
    """Return what happened so far; nothing if the ledger does not answer: the card is worth showing alone."""
    try:
        ledger = await Ledger.open(settings.ledger)
        try:
            return await ledger.approval_trail(*question)
        finally:
            await ledger.close()
    except LedgerError:
        return []


def _tells_of_a_test(fact: ApprovalStepFact) -> bool:
    """Whether a step says that a question was planted: whoever is tested must not read it beforehand."""
    return fact.step.kind is StepKind.REQUESTED and fact.step.detail == _PLANTED


def _print_json(console: Console, shown: ExceptionCard | Approval, trail: list[ApprovalStepFact]) -> None:
    content = shown.model_dump(mode="json") | {"trail": [fact.model_dump(mode="json") for fact in trail]}
    console.print_json(json.dumps(content))
