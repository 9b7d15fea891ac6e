"""Delegations: who answers in whose place, for every process because all read them here."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import Delegation
from ledger._engine import upsert
from ledger._errors import LedgerError, LedgerFault
from ledger._tables import DelegationRow, table_of

_DELEGATIONS = table_of(DelegationRow)
_FIELDS: Final = tuple(Delegation.model_fields)
_LIST: Final = TypeAdapter(list[Delegation])


async def enter(connection: AsyncConnection, delegation: Delegation) -> None:
    """See `Ledger.delegate`; inside a write transaction."""
    await connection.execute(upsert(_DELEGATIONS, connection.dialect.name), [delegation.model_dump()])
    (kept,) = await _found(connection, _DELEGATIONS.c.delegation_id == delegation.delegation_id)
    if kept.model_copy(update={"ended_at": None}) != delegation.model_copy(update={"ended_at": None}):
        raise LedgerError(
            LedgerFault.TAKEN,
            f"Nothing was delegated: {delegation.delegation_id} is the id of another delegation; choose a "
            "new one",
        )
    if kept.ended_at is not None:
        raise LedgerError(
            LedgerFault.TAKEN,
            f"Nothing was delegated: the delegation {kept.delegation_id} was ended at "
            f"{kept.ended_at:%Y-%m-%d %H:%M:%S}Z; enter another one with a new id",
        )


async def end(connection: AsyncConnection, delegation_id: str, by: str, at: datetime) -> Delegation | None:
    """See `Ledger.end_delegation`; inside a write transaction."""
    table = _DELEGATIONS.c
    await connection.execute(
        update(_DELEGATIONS)
        .where(table.delegation_id == delegation_id, table.ended_at.is_(None))
        .values(ended_by=by, ended_at=at)
    )
    found = await _found(connection, table.delegation_id == delegation_id)
    return found[0] if found else None


async def current(connection: AsyncConnection, at: datetime) -> tuple[Delegation, ...]:
    """See `Ledger.delegations`."""
    table = _DELEGATIONS.c
    lasting = or_(table.ended_at.is_(None), table.ended_at > at)
    return await _found(connection, table.ends_at > at, lasting)


async def _found(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> tuple[Delegation, ...]:
    wanted = select(*(_DELEGATIONS.c[name] for name in _FIELDS)).where(*conditions)
    rows = await connection.execute(wanted.order_by(_DELEGATIONS.c.starts_at, _DELEGATIONS.c.delegation_id))
    return tuple(_LIST.validate_python([row._mapping for row in rows]))  # noqa: SLF001 - its public name in SQLAlchemy
