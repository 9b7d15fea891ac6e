"""Notices: who was told what, by which medium, so that a notice tried again reaches only those it has not.

An attempt is written down before it begins. One that left no result behind, or that the other side did not
answer, may have reached its person: such a notice is sent once more and then never again. So a crash costs at
most one message too many, and never one too few.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, and_, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Identifier, Moment, ShortText
from ledger._engine import upsert
from ledger._tables import NoticeRow, table_of

MAX_DOUBTS: Final = 2
"""How often a message may have left without anybody knowing: the first time, and once more to be sure."""

_NOTICES = table_of(NoticeRow)


class NoticeStatus(StrEnum):
    """What became of the latest attempt."""

    CLAIMED = "claimed"
    """It began; nothing more is known."""
    DELIVERED = "delivered"
    """The medium took it."""
    NOT_SENT = "not_sent"
    """It certainly did not leave; a later attempt may succeed."""
    IN_DOUBT = "in_doubt"
    """It was written, and nobody said that it was taken."""
    REFUSED = "refused"
    """It is refused for good."""


class NoticeTurn(StrEnum):
    """What a caller is to do about a notice."""

    SEND = "send"
    """Send it, then settle."""
    DELIVERED = "delivered"
    """It was delivered before."""
    REFUSED = "refused"
    """It was refused for good before."""
    EXHAUSTED = "exhausted"
    """It may have been delivered, twice: leave it."""


class NoticeKey(Frozen):
    """One notice to one recipient by one medium."""

    notice_id: ShortText
    recipient: ShortText
    """Login of a person, or the name of a group; never an address."""
    medium: Identifier


class NoticeClaim(Frozen):
    """The answer to a claim."""

    turn: NoticeTurn
    first: ShortText | None = None
    """The first notice about the same question that was delivered to the same recipient, if there is one."""
    detail: ShortText | None = None
    """What was written down about the attempt before."""


class NoticeAbout(Frozen):
    """What a notice is about, as its recipient was told it."""

    account_id: Identifier
    approval_id: ShortText
    digest: str
    """Of what was asked about."""
    reply_key: str | None = None
    """The key by which a reply finds it; None if it cannot be replied to."""


class NoticeEntry(Frozen):
    """A notice as it is written down."""

    key: NoticeKey
    about: NoticeAbout
    status: NoticeStatus
    at: Moment
    detail: ShortText | None = None

    @property
    def login(self) -> str:
        """Whom it went to."""
        return self.key.recipient


async def claim(connection: AsyncConnection, key: NoticeKey, about: NoticeAbout, at: datetime) -> NoticeClaim:
    """See `Ledger.claim_notice`; nobody may act on the answer before it is committed."""
    row = key.model_dump() | about.model_dump()
    row |= {"status": NoticeStatus.CLAIMED.value, "doubts": 1, "at": at}
    table = _NOTICES.c
    insert = upsert(_NOTICES, connection.dialect.name).returning(table.notice_id)
    if (await connection.execute(insert, [row])).first() is not None:
        return NoticeClaim(turn=NoticeTurn.SEND, first=await _first(connection, key, about))
    final = (NoticeStatus.DELIVERED.value, NoticeStatus.REFUSED.value)
    again = (
        update(_NOTICES)
        .where(_is(key), table.status.not_in(final), table.doubts < MAX_DOUBTS)
        .values(status=NoticeStatus.CLAIMED.value, doubts=table.doubts + 1, at=at)
        .returning(table.notice_id)
    )
    if (await connection.execute(again)).first() is not None:
        return NoticeClaim(turn=NoticeTurn.SEND, first=await _first(connection, key, about))
    found = (await connection.execute(select(table.status, table.detail).where(_is(key)))).one()
    turn = NoticeTurn(found.status) if found.status in final else NoticeTurn.EXHAUSTED
    return NoticeClaim(turn=turn, detail=found.detail)


async def settle(
    connection: AsyncConnection, key: NoticeKey, status: NoticeStatus, at: datetime, detail: str | None
) -> None:
    """See `Ledger.settle_notice`; inside a write transaction."""
    table = _NOTICES.c
    left = status is not NoticeStatus.NOT_SENT
    doubts = table.doubts if left else case((table.doubts > 0, table.doubts - 1), else_=0)
    await connection.execute(
        update(_NOTICES)
        # What was delivered by an attempt that everybody had given up stays delivered.
        .where(_is(key), table.status != NoticeStatus.DELIVERED.value)
        .values(status=status.value, doubts=doubts, at=at, detail=detail)
    )


async def of_reply(connection: AsyncConnection, reply_key: str) -> NoticeEntry | None:
    """See `Ledger.notice_of_reply`."""
    found = (await connection.execute(select(_NOTICES).where(_NOTICES.c.reply_key == reply_key))).first()
    if found is None:
        return None
    row = found._mapping  # noqa: SLF001 - its public name in SQLAlchemy
    return NoticeEntry(
        key=NoticeKey(**{name: row[name] for name in NoticeKey.model_fields}),
        about=NoticeAbout(**{name: row[name] for name in NoticeAbout.model_fields}),
        status=row["status"],
        at=row["at"],
        detail=row["detail"],
    )


async def _first(connection: AsyncConnection, key: NoticeKey, about: NoticeAbout) -> str | None:
    """Return the notice that began the conversation with the recipient, this one apart."""
    table = _NOTICES.c
    first: str | None = await connection.scalar(
        select(table.notice_id)
        .where(
            table.account_id == about.account_id,
            table.approval_id == about.approval_id,
            table.recipient == key.recipient,
            table.medium == key.medium,
            table.notice_id != key.notice_id,
            table.status == NoticeStatus.DELIVERED.value,
        )
        .order_by(table.at, table.notice_id)
        .limit(1)
    )
    return first


def _is(key: NoticeKey) -> ColumnElement[bool]:
    return and_(
        col(NoticeRow.notice_id) == key.notice_id,
        col(NoticeRow.recipient) == key.recipient,
        col(NoticeRow.medium) == key.medium,
    )
