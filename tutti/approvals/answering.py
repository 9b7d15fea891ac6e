"""Answers from the command line: one question or several of one sort, with an outcome for each."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

from domain import (
    BULK_LIMIT,
    Answer,
    AnswerCode,
    AnswerResult,
    ApprovalAnswer,
    Changes,
    Door,
    ExceptionCard,
    Frozen,
    Identifier,
    LongText,
    Risk,
    Settlement,
    ShortText,
    Stage,
    WindowAsk,
    bulk_refusal,
)
from ledger import InboxFilter
from tutti.approvals.card import briefly, shortly
from tutti.approvals.inbox import read_inbox
from tutti.approvals.options import QuestionId, whole
from tutti.render import clock, command, counted, plain
from tutti.settings import Settings
from tutti.terminal import CommandError
from workflows import AccountClient, AccountError, EngineUnavailableError, connect

PATIENCE = timedelta(seconds=30)
"""How long a person waits for an account before they are told that nothing is confirmed."""
_AT_ONCE = 10
"""Cards that are fetched at the same time."""


class Said(Frozen):
    """What somebody says, of whatever questions."""

    answer: Answer
    approver: ShortText
    answer_id: Identifier
    code: AnswerCode | None = None
    comment: LongText | None = None
    changes: Changes | None = None
    stage: Stage | None = None
    settlement: Settlement | None = None
    window: WindowAsk | None = None

    def to(self, approval_id: str, digest: str) -> ApprovalAnswer:
        """Return it as the answer to one question in one version."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return ApprovalAnswer(**own, approval_id=approval_id, digest=digest, via=Door.COMMAND)


async def answer_each(
    console: Console,
    questions: Sequence[QuestionId],
    said: Said,
    *,
    digest: str | None,
    patience: timedelta = PATIENCE,
) -> int:
    """Answer questions, each for exactly what is printed, and print what became of each answer.

    Args:
        console: Where it is printed.
        questions: Which ones, each once.
        said: What is said of all of them.
        digest: Of the version that is meant, or its beginning. None: of the one that is printed.
        patience: How long to wait for each card, and for each answer, before it counts as not confirmed.

    Returns:
        The exit code: 0 if every answer was taken, else 1.

    Raises:
        AccountError: the engine does not answer at all.
        CommandError: the questions are not of one sort; nothing was answered.
    """
    accounts = AccountClient(await connect())
    cards = await _cards(accounts, questions, patience)
    known = {question: card for question, card in cards.items() if isinstance(card, ExceptionCard)}
    if (why := bulk_refusal([card.approval for card in known.values()])) is not None:
        raise CommandError(f"nothing was answered: {why}")
    taken, unconfirmed = 0, 0
    for question, card in cards.items():
        if isinstance(card, ExceptionCard):
            console.print(briefly(card) if len(questions) > 1 else shortly(card), highlight=False)
            for_digest = whole(card.approval.digest, digest)
        elif isinstance(card, EngineUnavailableError) and digest is None:
            unconfirmed += 1
            _tell(
                console, "not confirmed", "bold yellow", question, "nothing was sent: no card to answer for"
            )
            continue
        else:
            # Whoever answers what the account does not know is refused by it, so that it is on record.
            for_digest = digest or "unseen"
        try:
            answer = said.to(question.approval_id, for_digest)
            result = await accounts.answer(question.account_id, answer, patience=patience)
        except EngineUnavailableError:
            unconfirmed += 1
            _tell(console, "not confirmed", "bold yellow", question, "the engine does not answer")
        except AccountError as error:
            _tell(console, "refused", "bold red", question, str(error))
        else:
            taken += result.accepted
            style = "bold green" if result.accepted else "bold red"
            _tell(console, "ok" if result.accepted else "refused", style, question, _outcome(result))
    if len(questions) > 1:
        console.print(f"{taken} of {counted(len(questions), 'answer')} taken", style="bold", highlight=False)
    if unconfirmed:
        _tell_how_to_repeat(console, said)
    return 0 if taken == len(questions) else 1


async def waiting(
    settings: Settings, *, login: str, rule_id: str, action: str, group: str | None
) -> tuple[list[QuestionId], list[str]]:
    """Return what waits for a person and may be answered together, and what is left out and why.

    Raises:
        CommandError: nothing does.
        LedgerError: the ledger cannot be read.
    """
    wanted = InboxFilter(login=login, rule_id=rule_id, action=action, group=group)
    found = await read_inbox(settings, wanted, at=datetime.now(UTC), limit=10 * BULK_LIMIT)
    risky = [item for item in found.items if item.approval.route.risk is Risk.HIGH]
    rest = [item for item in found.items if item.approval.route.risk is not Risk.HIGH]
    left_out = [
        f"{item.account_id}/{item.approval.approval_id} is of high risk and is answered alone"
        for item in risky
    ]
    if len(rest) > BULK_LIMIT:
        left_out.append(
            f"{found.total - len(risky) - BULK_LIMIT:,} more wait; at most {BULK_LIMIT} are answered at once"
        )
    if not rest:
        nothing = f"nothing about {action} that {rule_id} asks waits for {login}"
        raise CommandError(f"{left_out[0] if left_out else nothing}; see `tutti inbox --for {login}`")
    return [QuestionId(item.account_id, item.approval.approval_id) for item in rest[:BULK_LIMIT]], left_out


async def _cards(
    accounts: AccountClient, questions: Sequence[QuestionId], patience: timedelta
) -> dict[QuestionId, ExceptionCard | AccountError]:
    """Return the card of every question, or why there is none."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def card(question: QuestionId) -> ExceptionCard | AccountError:
        async with room:
            try:
                async with asyncio.timeout(patience.total_seconds()):
                    return await accounts.card(*question)
            except TimeoutError:
                return EngineUnavailableError("the account does not answer in time")
            except AccountError as error:
                return error

    found = await asyncio.gather(*(card(question) for question in questions))
    return dict(zip(questions, found, strict=True))


def _outcome(result: AnswerResult) -> str:
    """Say what became of an answer, and who was first if somebody was."""
    text = result.message
    if not result.accepted and result.answered_by is not None and result.answered_by not in text:
        at = f" at {clock(result.answered_at)}" if result.answered_at else ""
        text = f"{text} ({result.answered_by} had answered{at})"
    return text


def _tell(console: Console, word: str, style: str, question: QuestionId, text: str) -> None:
    console.print(
        Text.assemble((f"{word} ", style), (f"{question}  ", "bold"), plain(text)),
        highlight=False,
        soft_wrap=True,
    )


def _tell_how_to_repeat(console: Console, said: Said) -> None:
    typed = sys.argv[1:]
    again = typed if "--answer-id" in typed else [*typed, "--answer-id", said.answer_id]
    console.print(
        Text(
            "It is not known whether what is not confirmed was recorded. Repeat it; it counts once:\n"
            f"  {command()} {shlex.join(again)}"
        ),
        highlight=False,
        soft_wrap=True,
    )
