"""How people have answered: every question since a moment, with its answers and what happened to it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from domain import (
    AnswerFact,
    Approval,
    ApprovalFact,
    ApprovalStep,
    ApprovalStepFact,
    Frozen,
    Moment,
    StepKind,
)
from ledger._tables import ApprovalAnswerRow, ApprovalRow, ApprovalStepRow

_TELLING: Final = (StepKind.REQUESTED, StepKind.VIEWED, StepKind.ESCALATED)
"""Steps that say something about how people answer."""


class Question(Frozen):
    """A question to people, and how it was answered."""

    account_id: str
    approval: Approval
    answers: tuple[AnswerFact, ...]
    """Those that counted, in order."""
    steps: tuple[tuple[Moment, ApprovalStep], ...]
    """When it was requested, viewed and escalated, in order."""


async def questions(connection: AsyncConnection, since: datetime) -> list[Question]:
    """See `Ledger.questions`."""
    recent = col(ApprovalRow.requested_at) >= since
    asked = await connection.execute(
        select(col(ApprovalRow.account_id), col(ApprovalRow.approval_id), col(ApprovalRow.body))
        .where(recent)
        .order_by(col(ApprovalRow.requested_at), col(ApprovalRow.account_id), col(ApprovalRow.approval_id))
    )
    given = await connection.execute(
        select(
            col(ApprovalAnswerRow.account_id),
            col(ApprovalAnswerRow.approval_id),
            col(ApprovalAnswerRow.body),
        )
        .join(
            ApprovalRow,
            and_(
                col(ApprovalRow.account_id) == col(ApprovalAnswerRow.account_id),
                col(ApprovalRow.approval_id) == col(ApprovalAnswerRow.approval_id),
            ),
        )
        .where(recent, col(ApprovalAnswerRow.accepted))
        .order_by(col(ApprovalAnswerRow.account_id), col(ApprovalAnswerRow.seq))
    )
    happened = await connection.execute(
        select(col(ApprovalStepRow.account_id), col(ApprovalStepRow.approval_id), col(ApprovalStepRow.body))
        .join(
            ApprovalRow,
            and_(
                col(ApprovalRow.account_id) == col(ApprovalStepRow.account_id),
                col(ApprovalRow.approval_id) == col(ApprovalStepRow.approval_id),
            ),
        )
        .where(recent, col(ApprovalStepRow.kind).in_([kind.value for kind in _TELLING]))
        .order_by(col(ApprovalStepRow.account_id), col(ApprovalStepRow.seq))
    )
    answers: defaultdict[tuple[str, str], list[AnswerFact]] = defaultdict(list)
    for account_id, approval_id, body in given:
        answers[account_id, approval_id].append(AnswerFact.model_validate_json(body))
    steps: defaultdict[tuple[str, str], list[tuple[datetime, ApprovalStep]]] = defaultdict(list)
    for account_id, approval_id, body in happened:
        fact = ApprovalStepFact.model_validate_json(body)
        steps[account_id, approval_id].append((fact.at, fact.step))
    return [
        Question(
            account_id=account_id,
            approval=ApprovalFact.model_validate_json(body).approval,
            answers=tuple(answers[account_id, approval_id]),
            steps=tuple(steps[account_id, approval_id]),
        )
        for account_id, approval_id, body in asked
    ]
