"""The inbox: every open question to people, over all accounts, in the order in which it is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, exists, func, or_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from domain import (
    Approval,
    ApprovalFact,
    ApprovalStatus,
    ApprovalStepFact,
    ExceptionKind,
    Frozen,
    Identifier,
    Moment,
    Risk,
    ShortText,
)
from ledger._tables import AccountRow, ApprovalPersonRow, ApprovalRow, ApprovalStepRow, DelegationRow

_RISKS: Final = {Risk.HIGH.value: 0, Risk.NORMAL.value: 1, Risk.LOW.value: 2}
"""Of two that are due at the same moment the more dangerous one goes first."""


class InboxFilter(Frozen):
    """Which open questions are wanted; what is left out does not matter."""

    login: ShortText | None = None
    """Whom they wait for: a person who was asked, or who stands in for one now, and is not barred."""
    group: ShortText | None = None
    """The group that was asked first."""
    kind: ExceptionKind | None = None
    rule_id: ShortText | None = None
    """The rule that asks."""
    action: Identifier | None = None
    account_id: Identifier | None = None
    due_before: Moment | None = None
    """Due before this moment."""


class InboxItem(Frozen):
    """One open question, as far as the ledger knows it."""

    account_id: Identifier
    account_name: ShortText | None
    """None while no profile of the account has arrived."""
    approval: Approval


class Inbox(Frozen):
    """The open questions that were asked for, those due first on top."""

    items: tuple[InboxItem, ...]
    total: int
    """How many there are, whether listed or not."""
    overdue: int
    """How many of them should have been answered by now."""
    oldest_at: Moment | None
    """Since when the oldest of them waits; None if there is none."""


async def inbox(connection: AsyncConnection, wanted: InboxFilter, at: datetime, limit: int) -> Inbox:
    """See `Ledger.inbox`."""
    conditions = tuple(_conditions(wanted, at))
    due_at = col(ApprovalRow.due_at)
    late = func.coalesce(func.sum(case((due_at < at, 1), else_=0)), 0)
    total, overdue, oldest_at = (
        await connection.execute(
            select(func.count(), late, func.min(col(ApprovalRow.requested_at))).where(*conditions)
        )
    ).one()
    found = await connection.execute(
        select(col(ApprovalRow.account_id), col(AccountRow.name), col(ApprovalRow.body))
        .outerjoin(AccountRow, col(AccountRow.account_id) == col(ApprovalRow.account_id))
        .where(*conditions)
        .order_by(
            due_at,
            case(_RISKS, value=col(ApprovalRow.risk), else_=len(_RISKS)),
            col(ApprovalRow.account_id),
            col(ApprovalRow.approval_id),
        )
        .limit(limit)
    )
    items = tuple(
        InboxItem(
            account_id=account_id,
            account_name=name,
            approval=ApprovalFact.model_validate_json(body).approval,
        )
        for account_id, name, body in found
    )
    return Inbox(items=items, total=total, overdue=overdue, oldest_at=oldest_at)


async def approval(connection: AsyncConnection, account_id: str, approval_id: str) -> Approval | None:
    """See `Ledger.approval`."""
    body = await connection.scalar(
        select(col(ApprovalRow.body)).where(
            col(ApprovalRow.account_id) == account_id, col(ApprovalRow.approval_id) == approval_id
        )
    )
    return None if body is None else ApprovalFact.model_validate_json(body).approval


async def trail(connection: AsyncConnection, account_id: str, approval_id: str) -> list[ApprovalStepFact]:
    """See `Ledger.approval_trail`."""
    found = await connection.scalars(
        select(col(ApprovalStepRow.body))
        .where(col(ApprovalStepRow.account_id) == account_id, col(ApprovalStepRow.approval_id) == approval_id)
        .order_by(col(ApprovalStepRow.seq))
    )
    return [ApprovalStepFact.model_validate_json(body) for body in found]


async def drop_superseded_persons(
    connection: AsyncConnection, account_id: str, approvals: list[dict[str, Any]]
) -> None:
    """Remove inside a write transaction the persons who do not belong to a question as it now stands."""
    standing = (
        select(col(ApprovalRow.seq))
        .where(
            col(ApprovalRow.account_id) == col(ApprovalPersonRow.account_id),
            col(ApprovalRow.approval_id) == col(ApprovalPersonRow.approval_id),
        )
        .scalar_subquery()
    )
    await connection.execute(
        delete(ApprovalPersonRow).where(
            col(ApprovalPersonRow.account_id) == account_id,
            col(ApprovalPersonRow.approval_id).in_(bindparam("approval_ids", expanding=True)),
            col(ApprovalPersonRow.seq) != standing,
        ),
        {"approval_ids": sorted({values["approval_id"] for values in approvals})},
    )


def _conditions(wanted: InboxFilter, at: datetime) -> Iterator[ColumnElement[bool]]:
    yield col(ApprovalRow.status) == ApprovalStatus.PENDING.value
    if wanted.due_before is not None:
        yield col(ApprovalRow.due_at) < wanted.due_before
    equal = (
        (col(ApprovalRow.route_group), wanted.group),
        (col(ApprovalRow.kind), wanted.kind and wanted.kind.value),
        (col(ApprovalRow.rule_id), wanted.rule_id),
        (col(ApprovalRow.action), wanted.action),
        (col(ApprovalRow.account_id), wanted.account_id),
    )
    yield from (column == value for column, value in equal if value is not None)
    if wanted.login is not None:
        stands_in_for = select(col(DelegationRow.principal)).where(
            col(DelegationRow.delegate) == wanted.login,
            col(DelegationRow.starts_at) <= at,
            col(DelegationRow.ends_at) > at,
            or_(col(DelegationRow.ended_at).is_(None), col(DelegationRow.ended_at) > at),
        )
        login, barred = col(ApprovalPersonRow.login), col(ApprovalPersonRow.barred)
        yield _concerns(or_(login == wanted.login, login.in_(stands_in_for)), barred.is_(False))
        yield ~_concerns(login == wanted.login, barred.is_(True))


def _concerns(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a question concerns a person of whom something holds."""
    return exists().where(
        and_(
            col(ApprovalPersonRow.account_id) == col(ApprovalRow.account_id),
            col(ApprovalPersonRow.approval_id) == col(ApprovalRow.approval_id),
            *conditions,
        )
    )
