"""Stops: kill switches that people throw and lift, in force for every process because all read them here."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Moment, ShortText, Stop, StopScope
from ledger._engine import upsert
from ledger._errors import LedgerError, LedgerFault
from ledger._tables import StopRow, table_of

_STOPS = table_of(StopRow)
_FIELDS: Final = tuple(Stop.model_fields)


class StopEntry(Frozen):
    """A stop and, once it is over, who lifted it."""

    stop: Stop
    lifted_by: ShortText | None = None
    lifted_at: Moment | None = None
    """None while it stands."""
    lift_reason: ShortText | None = None


_LIST: Final = TypeAdapter(list[Stop])


async def place(connection: AsyncConnection, stop: Stop) -> None:
    """See `Ledger.place_stop`; inside a write transaction."""
    row = stop.model_dump() | {"scope": stop.scope.value}
    await connection.execute(upsert(_STOPS, connection.dialect.name), [row])
    entry = await find(connection, stop.stop_id)
    if entry is None or entry.stop != stop:
        raise LedgerError(
            LedgerFault.TAKEN,
            f"Nothing was stopped: {stop.stop_id} is the id of another stop; choose a new one",
        )
    if entry.lifted_at is not None:
        raise LedgerError(
            LedgerFault.TAKEN,
            f"Nothing was stopped: {entry.lifted_by} lifted the stop {stop.stop_id} at "
            f"{entry.lifted_at:%Y-%m-%d %H:%M:%S}Z ({entry.lift_reason}); place another one with a new id",
        )


async def lift(
    connection: AsyncConnection, stop_id: str, by: str, reason: str, at: datetime
) -> StopEntry | None:
    """See `Ledger.lift_stop`; inside a write transaction."""
    table = _STOPS.c
    await connection.execute(
        update(_STOPS)
        .where(table.stop_id == stop_id, table.lifted_at.is_(None))
        .values(lifted_by=by, lifted_at=at, lift_reason=reason)
    )
    return await find(connection, stop_id)


async def find(connection: AsyncConnection, stop_id: str) -> StopEntry | None:
    """Return a stop by its id, standing or lifted."""
    found = await _entries(connection, _STOPS.c.stop_id == stop_id, 1)
    return found[0] if found else None


async def standing(connection: AsyncConnection) -> tuple[Stop, ...]:
    """See `Ledger.stops`."""
    table = _STOPS.c
    found = await connection.execute(
        select(*(table[name] for name in _FIELDS))
        .where(table.lifted_at.is_(None))
        .order_by(table.placed_at, table.stop_id)
    )
    return tuple(_LIST.validate_python([row._mapping for row in found]))  # noqa: SLF001 - its public name in SQLAlchemy


async def log(connection: AsyncConnection, limit: int) -> list[StopEntry]:
    """See `Ledger.stop_log`."""
    return await _entries(connection, None, limit)


def covering(
    *,
    account_id: ColumnElement[str],
    actor: ColumnElement[str],
    action: ColumnElement[str],
    channel: ColumnElement[str],
) -> ColumnElement[bool]:
    """Return the condition under which a row is a standing stop that covers a touch: `Stop.covers` in SQL."""
    scope, name = col(StopRow.scope), col(StopRow.name)
    return and_(
        col(StopRow.lifted_at).is_(None),
        or_(
            scope == StopScope.TENANT.value,
            and_(scope == StopScope.AGENT.value, name == actor),
            and_(scope == StopScope.ACTION.value, name == action),
            and_(scope == StopScope.CHANNEL.value, name == channel),
            and_(scope == StopScope.ACCOUNT.value, name == account_id),
        ),
    )


async def _entries(
    connection: AsyncConnection, condition: ColumnElement[bool] | None, limit: int
) -> list[StopEntry]:
    wanted = select(_STOPS).order_by(_STOPS.c.placed_at.desc(), _STOPS.c.stop_id).limit(limit)
    if condition is not None:
        wanted = wanted.where(condition)
    found = [dict(row._mapping) for row in await connection.execute(wanted)]  # noqa: SLF001 - its public name in SQLAlchemy
    return [
        StopEntry(
            stop=Stop.model_validate({name: row.pop(name) for name in _FIELDS}),
            **row,
        )
        for row in found
    ]
