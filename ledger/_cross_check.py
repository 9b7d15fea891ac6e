"""Whether the rest of the ledger agrees with the decision log: rows with links, and claims with touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Column, String, exists, select, type_coerce, union
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, LedgerFact, Link, ReceiptStatus, WindowGrant, chained, digest_of, read_body
from ledger._claims import OpenClaim
from ledger._facts import GOVERNED, rows_of
from ledger._tables import (
    ApprovalAnswerRow,
    ApprovalRow,
    ApprovalStepRow,
    ClaimRow,
    DecisionLogRow,
    DecisionRow,
    FactRow,
    HoldRow,
    OutcomeRow,
    PlayRunRow,
    ProposalRow,
    RecallRow,
    Row,
    SettlementRow,
    TouchRow,
    WindowGrantRow,
    table_of,
)
from ledger._types import UtcDateTime, stored_moment

CHECKED: Final[tuple[type[FactRow], ...]] = (
    ProposalRow,
    DecisionRow,
    ApprovalRow,
    ApprovalStepRow,
    ApprovalAnswerRow,
    TouchRow,
    OutcomeRow,
    PlayRunRow,
    SettlementRow,
    RecallRow,
    HoldRow,
)
"""Tables whose rows are facts of the decision log, each as it stands now."""

_FOUND_BY: Final = ("segment", "actor", "action", "channel", "template", "version", "at_most")
_FACT: TypeAdapter[LedgerFact] = TypeAdapter(LedgerFact)
_AT_ONCE: Final = 500


class RowInLog(Frozen):
    """A row of the projection, and what it says of its place in the decision log."""

    account_id: str
    table: str
    key: str
    """What it is about: the part of the primary key behind the account."""
    seq: int | None
    link: Link | None
    """None: the row was written before there was a log, or does not say."""
    body: str | None
    """Digest of the row's fact as it would be chained; None: its fact cannot be read."""
    differing: tuple[str, ...] = ()
    """Columns that do not say what the fact says."""


class Place(NamedTuple):
    """A row of the checked tables, as `RowInLog` names it."""

    table: str
    key: str


def fact_of(body: str) -> LedgerFact | None:
    """Return the fact of a link from its JSON; None if this version of the code cannot read it."""
    try:
        return _FACT.validate_json(body)
    except ValidationError:
        return None


def places_of(account_id: str, body: str) -> dict[Place, int]:
    """Return the rows in which a fact of the log stands, each with the number of the fact.

    Args:
        account_id: Whose fact it is.
        body: The JSON of the fact as it was chained.

    Returns:
        Nothing for a fact without rows of these tables, or one that this version of the code cannot read.
    """
    fact = fact_of(body)
    if fact is None:
        return {}
    return {
        Place(str(row.__tablename__), _key(row, values)): fact.seq
        for row, values in rows_of(fact, account_id)
        if row in CHECKED
    }


async def rows_in_log(connection: AsyncConnection, accounts: Sequence[str]) -> list[RowInLog]:
    """See `Ledger.rows_in_log`."""
    found: list[RowInLog] = []
    for row in CHECKED:
        table = table_of(row)
        # As they are stored: what was tampered with may be no moment and no JSON.
        columns = [
            type_coerce(column, String).label(column.name) if _raw(column) else column
            for column in table.columns
        ]
        wanted = select(*columns).where(table.c.account_id.in_(accounts))
        if row is TouchRow:
            wanted = wanted.where(table.c.source == GOVERNED)
        rows = (await connection.execute(wanted)).mappings()
        found.extend(_row_in_log(row, dict(values)) for values in rows)
    return found


class GrantRow(NamedTuple):
    """A window approval as rulings read it: what is stored, whether or not any log tells of it."""

    account_id: str
    grant_id: str
    read_as: tuple[str, ...]
    """The columns that grants are found by, and the body without what changes later."""


async def grant_rows(connection: AsyncConnection, accounts: Sequence[str]) -> list[GrantRow]:
    """See `Ledger.grant_rows`."""
    table = table_of(WindowGrantRow)
    columns = [
        type_coerce(table.c[name], String).label(name)
        for name in ("account_id", "grant_id", *_FOUND_BY, "ends_at", "body")
    ]
    rows = (await connection.execute(select(*columns).where(table.c.account_id.in_(accounts)))).mappings()
    return [
        GrantRow(
            account_id=str(row["account_id"]),
            grant_id=str(row["grant_id"]),
            read_as=(
                *(str(row[name]) for name in _FOUND_BY),
                str(stored_moment(row["ends_at"])),
                _plain(str(row["body"])),
            ),
        )
        for row in rows
    ]


def grant_row_of(account_id: str, grant: WindowGrant) -> GrantRow:
    """Return the row in which a grant of the log should stand."""
    said = (str(getattr(grant, name)) for name in _FOUND_BY)
    read_as = (*said, str(grant.ends_at), _plain(grant.model_dump_json()))
    return GrantRow(account_id, grant.grant_id, read_as)


def _plain(body: str) -> str:
    try:
        grant = WindowGrant.model_validate_json(body)
    except ValidationError:
        return "unreadable"
    return grant.model_copy(update={"used": 0, "revoked_by": None, "revoked_at": None}).model_dump_json()


async def accounts_beside_the_log(connection: AsyncConnection) -> list[str]:
    """See `Ledger.accounts_beside_the_log`."""
    each = [
        select(column := table_of(row).c.account_id)
        .where(~exists().where(col(DecisionLogRow.account_id) == column))
        .distinct()
        for row in CHECKED
    ]
    return sorted(await connection.scalars(union(*each)))


async def claims_without_touch(connection: AsyncConnection, before: datetime) -> list[OpenClaim]:
    """See `Ledger.claims_without_touch`."""
    told = exists().where(col(TouchRow.touch_id) == col(ClaimRow.touch_id), col(TouchRow.source) == GOVERNED)
    rows = await connection.execute(
        select(
            col(ClaimRow.touch_id), col(ClaimRow.channel), type_coerce(col(ClaimRow.at), String).label("at")
        )
        .where(~told, col(ClaimRow.at) < before)
        .order_by(col(ClaimRow.at), col(ClaimRow.touch_id))
    )
    return [
        # What was tampered with may be no moment; that there is a claim is told all the same.
        OpenClaim(touch_id=row.touch_id, channel=row.channel or "", at=stored_moment(row.at) or before)
        for row in rows
    ]


async def claimed(connection: AsyncConnection, touch_ids: Sequence[str]) -> dict[str, ReceiptStatus | None]:
    """See `Ledger.claimed`."""
    known = {status.value: status for status in ReceiptStatus}
    found: dict[str, ReceiptStatus | None] = {}
    for start in range(0, len(touch_ids), _AT_ONCE):
        rows = await connection.execute(
            select(col(ClaimRow.touch_id), col(ClaimRow.status)).where(
                col(ClaimRow.touch_id).in_(touch_ids[start : start + _AT_ONCE])
            )
        )
        # What was tampered with may be no status.
        found |= {row.touch_id: known.get(row.status) for row in rows}
    return found


def _raw(column: Column[Any]) -> bool:
    return column.name == "body" or isinstance(column.type, UtcDateTime)


def _row_in_log(row: type[FactRow], values: dict[str, Any]) -> RowInLog:
    about = RowInLog(
        account_id=values["account_id"],
        table=str(row.__tablename__),
        key=_key(row, values),
        seq=values["seq"] if isinstance(values["seq"], int) else None,
        link=None,
        body=None,
    )
    try:
        read_body(str(values["body"]))
        fact = _FACT.validate_json(str(values["body"]))
    except (ValueError, RecursionError):
        return about
    expected = next((said for kind, said in rows_of(fact, about.account_id) if kind is row), None)
    if expected is None:
        differing: tuple[str, ...] = ("body",)
    else:
        differing = tuple(name for name, said in expected.items() if not _same(values[name], said))
    return about.model_copy(
        update={"link": fact.link, "body": digest_of(chained(fact)), "differing": differing}
    )


def _key(row: type[Row], values: Mapping[str, Any]) -> str:
    keys = (column.name for column in table_of(row).primary_key.columns)
    return "/".join(str(values[name]) for name in keys if name not in {"account_id", "source"})


def _same(stored: object, said: object) -> bool:
    if isinstance(said, BaseModel):
        return True  # the body itself
    return (stored_moment(stored) if isinstance(said, datetime) else stored) == said
