"""Writing facts so that order and repetition do not matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, literal_column, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from domain import FactBatch, SettlementFact
from ledger import _decision_log, _windows
from ledger._claims import settle_by_hand
from ledger._engine import upsert
from ledger._facts import Values, rows_of
from ledger._inbox import drop_superseded_persons
from ledger._rulings import settle_reservations
from ledger._tables import (
    PROJECTION,
    ApprovalPersonRow,
    ApprovalRow,
    DecisionRow,
    PolicySetRow,
    Row,
    RuleHitRow,
    SuppressionRow,
    table_of,
)

_SUPPRESSIONS = table_of(SuppressionRow)
_ONE: ColumnElement[int] = literal_column("1")
_PARTS = (RuleHitRow, ApprovalPersonRow)
"""Rows that belong to another row of the same fact, which counts for them."""


async def record(connection: AsyncConnection, batch: FactBatch) -> int:
    """Write a batch inside a write transaction.

    Returns:
        How many facts changed the ledger; the rest were known, or older than what it holds.
    """
    pending: dict[type[Row], list[Values]] = defaultdict(list)
    for fact in batch.facts:
        for row, values in rows_of(fact, batch.account_id):
            pending[row].append(values)
    applied = 0
    for row in PROJECTION:
        if row in pending:
            written = await _write(connection, table_of(row), pending[row], _later)
            applied += written if row not in _PARTS else 0
    if DecisionRow in pending:
        await _drop_superseded_hits(connection, batch.account_id, pending[DecisionRow])
    if ApprovalRow in pending:
        await drop_superseded_persons(connection, batch.account_id, pending[ApprovalRow])
    await settle_reservations(connection, batch.account_id, batch.facts)
    applied += await _windows.grant(connection, batch.account_id, batch.facts)
    await _windows.settle(connection, batch.account_id, batch.facts)
    await _windows.note_uses(connection, batch.account_id, batch.facts)
    for fact in batch.facts:
        if isinstance(fact, SettlementFact):
            await settle_by_hand(connection, fact)
    await _decision_log.append(connection, batch)
    if SuppressionRow in pending:
        applied += await suppress(connection, pending[SuppressionRow])
    return applied


async def suppress(connection: AsyncConnection, rows: list[Values]) -> int:
    """Block persons inside a write transaction; the earliest objection of a person is the one that is kept.

    Returns:
        How many of them were news.
    """
    # The latest first: `_write` keeps the last of several rows about one person.
    latest_first = sorted(rows, key=lambda row: tuple(row[name] for name in _PROVENANCE), reverse=True)
    return await _write(connection, _SUPPRESSIONS, latest_first, _earlier)


def _later(new: Any, stored: Any) -> Any:  # noqa: ANN401 - columns of either dialect
    return new.seq > stored.seq


_PROVENANCE = ("at", "account_id", "contact_id", "source")


def _earlier(new: Any, stored: Any) -> Any:  # noqa: ANN401 - columns of either dialect
    # The names break ties between two objections of the same moment, so that any order ends in the same row.
    return tuple_(*(new[name] for name in _PROVENANCE)) < tuple_(*(stored[name] for name in _PROVENANCE))


async def _write(connection: AsyncConnection, table: Table, rows: list[Values], wins: Any) -> int:  # noqa: ANN401
    """Upsert rows of one table and return how many were written."""
    keys = [column.name for column in table.primary_key.columns]
    best: dict[tuple[Any, ...], Values] = {}
    for values in rows:
        key = tuple(values[name] for name in keys)
        if "seq" not in values or key not in best or best[key]["seq"] <= values["seq"]:
            best[key] = values
    # In order of key, so that two writers on PostgreSQL lock the same rows in the same order.
    ordered = [best[key] for key in sorted(best)]
    statement = upsert(table, connection.dialect.name, wins).returning(_ONE)
    result = await connection.execute(statement, ordered)
    return len(result.all())


async def _drop_superseded_hits(
    connection: AsyncConnection, account_id: str, decisions: list[Values]
) -> None:
    """Remove the hits that do not belong to the decision as it now stands."""
    standing = (
        select(col(DecisionRow.seq))
        .where(
            col(DecisionRow.account_id) == col(RuleHitRow.account_id),
            col(DecisionRow.decision_id) == col(RuleHitRow.decision_id),
        )
        .scalar_subquery()
    )
    await connection.execute(
        delete(RuleHitRow).where(
            col(RuleHitRow.account_id) == account_id,
            col(RuleHitRow.decision_id).in_(bindparam("decision_ids", expanding=True)),
            col(RuleHitRow.seq) != standing,
        ),
        {"decision_ids": sorted({values["decision_id"] for values in decisions})},
    )


async def record_policy_set(
    connection: AsyncConnection, digest: str, files: Mapping[str, str], at: datetime
) -> None:
    """Keep the files of a policy set inside a write transaction, unless its digest is known."""
    write = upsert(table_of(PolicySetRow), connection.dialect.name)
    await connection.execute(write, [{"digest": digest, "at": at, "files": dict(files)}])


async def erase_projection(connection: AsyncConnection) -> None:
    """Empty inside a write transaction what a rebuild brings back."""
    for row in PROJECTION:
        await connection.execute(delete(row))
