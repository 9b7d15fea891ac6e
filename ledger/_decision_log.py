"""The decision log: links are added to it and never changed, whatever order and however often they come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, TypeGuard

from sqlalchemy import RowMapping, String, and_, exists, tuple_, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from domain import FactBatch, Frozen, chained
from ledger._engine import upsert
from ledger._errors import LedgerError, LedgerFault
from ledger._facts import Values
from ledger._tables import DecisionLogRow, table_of
from ledger._types import stored_moment

_AT_ONCE: Final = 500
_NUMBERS: Final = ("number", "seq")
_LARGEST: Final = 2**53 - 1
"""The largest number that canonical JSON can write exactly, RFC 8785."""
_TEXTS: Final = ("previous", "digest", "body_digest", "type")


class LogEntry(Frozen):
    """One link as it stands in the ledger. It may have been tampered with, so nothing in it is trusted."""

    account_id: str
    number: int
    previous: str
    digest: str
    body_digest: str
    seq: int
    at: datetime | None
    type: str
    body: str | None
    """The JSON of the fact as it was chained; None once it was erased."""
    unreadable: tuple[str, ...] = ()
    """Columns that do not hold what they should; their fields say 0, nothing or None."""

    @property
    def key(self) -> LogKey:
        """Where a page of entries goes on."""
        return self.account_id, self.digest


class LogHead(Frozen):
    """A link that no other follows: the end of an account's log, or of one of its branches."""

    account_id: str
    number: int
    digest: str
    at: datetime


LogKey = tuple[str, str]
"""Account and digest."""


async def append(connection: AsyncConnection, batch: FactBatch) -> None:
    """Add the linked facts of a batch inside a write transaction; links that are there stay as they are."""
    rows: list[Values] = [
        {
            "account_id": batch.account_id,
            "digest": fact.link.digest,
            "number": fact.link.number,
            "previous": fact.link.previous,
            "seq": fact.seq,
            "at": fact.at,
            "type": fact.type,
            "body_digest": fact.link.body,
            "body": chained(fact),
        }
        for fact in batch.facts
        if fact.link is not None
    ]
    if rows:
        # In order of key, so that two writers on PostgreSQL lock the same rows in the same order.
        rows.sort(key=lambda row: row["digest"])
        await connection.execute(upsert(table_of(DecisionLogRow), connection.dialect.name), rows)


async def entries(
    connection: AsyncConnection, accounts: Collection[str] | None, after: LogKey | None, limit: int
) -> list[LogEntry]:
    """See `Ledger.decision_log`."""
    key = col(DecisionLogRow.account_id), col(DecisionLogRow.digest)
    # As they are stored: what was tampered with may be no number and no moment.
    raw = [type_coerce(column, String).label(column.name) for column in table_of(DecisionLogRow).columns]
    wanted = select(*raw).order_by(*key).limit(limit)
    if accounts is not None:
        wanted = wanted.where(key[0].in_(sorted(accounts)))
    if after is not None:
        wanted = wanted.where(tuple_(*key) > after)
    return [_entry(row) for row in (await connection.execute(wanted)).mappings()]


async def logged_accounts(connection: AsyncConnection, after: str, limit: int) -> list[str]:
    """See `Ledger.logged_accounts`."""
    account = col(DecisionLogRow.account_id)
    found = await connection.scalars(
        select(account).where(account > after).distinct().order_by(account).limit(limit)
    )
    return list(found)


async def heads(connection: AsyncConnection, accounts: Sequence[str]) -> list[LogHead]:
    """See `Ledger.log_heads`."""
    follower = aliased(DecisionLogRow)
    followed = exists().where(
        and_(
            col(follower.account_id) == col(DecisionLogRow.account_id),
            # For the index; a follower that says another number is no follower.
            col(follower.number) == col(DecisionLogRow.number) + 1,
            col(follower.previous) == col(DecisionLogRow.digest),
        )
    )
    found: list[LogHead] = []
    for start in range(0, len(accounts), _AT_ONCE):
        rows = await connection.execute(
            select(
                col(DecisionLogRow.account_id),
                col(DecisionLogRow.number),
                col(DecisionLogRow.digest),
                type_coerce(col(DecisionLogRow.at), String).label("at"),
            )
            .where(col(DecisionLogRow.account_id).in_(accounts[start : start + _AT_ONCE]), ~followed)
            .order_by(col(DecisionLogRow.account_id), col(DecisionLogRow.number), col(DecisionLogRow.digest))
        )
        found += [_head(row.account_id, row.number, row.digest, row.at) for row in rows]
    return found


def _head(account_id: str, number: object, digest: str, at: object) -> LogHead:
    moment = stored_moment(at)
    if not _is_number(number) or moment is None:
        raise LedgerError(
            LedgerFault.DAMAGED,
            f"The end of the decision log of {account_id} cannot be read: its number or moment was changed; "
            "run `tutti audit-log verify`",
        )
    return LogHead(account_id=account_id, number=number, digest=digest, at=moment)


def _entry(row: RowMapping) -> LogEntry:
    unreadable = [name for name in _NUMBERS if not _is_number(row[name])]
    unreadable += [name for name in _TEXTS if not isinstance(row[name], str)]
    at, body = stored_moment(row["at"]), row["body"]
    if at is None:
        unreadable.append("at")
    return LogEntry(
        account_id=row["account_id"],
        number=_number(row["number"]),
        previous=_text(row["previous"]),
        digest=_text(row["digest"]),
        body_digest=_text(row["body_digest"]),
        seq=_number(row["seq"]),
        at=at,
        type=_text(row["type"]),
        body=body if body is None or isinstance(body, str) else repr(body),
        unreadable=tuple(unreadable),
    )


def _is_number(stored: object) -> TypeGuard[int]:
    return isinstance(stored, int) and abs(stored) <= _LARGEST


def _number(stored: object) -> int:
    return stored if _is_number(stored) else 0


def _text(stored: object) -> str:
    return stored if isinstance(stored, str) else ""
