"""Claims: the durable right to hand one touch to its provider, given to exactly one caller."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from domain import Frozen, Moment, Receipt, ReceiptStatus, Settlement, SettlementFact
from ledger._engine import upsert
from ledger._tables import ClaimRow, table_of

_CLAIMS = table_of(ClaimRow)


class ClaimState(StrEnum):
    """What a caller finds when it claims a touch."""

    NEW = "new"
    """It is yours: hand over, then settle."""
    OPEN = "open"
    """Somebody claimed it and left no receipt: it may or may not have been handed over."""
    SETTLED = "settled"
    """It has a receipt; hand over nothing."""


class Claim(Frozen):
    """The answer to a claim."""

    state: ClaimState
    receipt: Receipt | None = None
    """Set exactly if the claim is settled."""


class OpenClaim(Frozen):
    """A claim without a receipt: under way, or left behind by a crash."""

    touch_id: str
    channel: str
    at: Moment


async def claim(connection: AsyncConnection, touch_id: str, channel: str, at: datetime) -> Claim:
    """Claim a touch inside a write transaction; nobody may act on the answer before it is committed."""
    insert = upsert(_CLAIMS, connection.dialect.name).returning(_CLAIMS.c.touch_id)
    inserted = await connection.execute(insert, [{"touch_id": touch_id, "channel": channel, "at": at}])
    if inserted.first() is not None:
        return Claim(state=ClaimState.NEW)
    settled = await receipt(connection, touch_id)
    return Claim(state=ClaimState.OPEN if settled is None else ClaimState.SETTLED, receipt=settled)


async def settle(connection: AsyncConnection, receipt: Receipt) -> None:
    """Store a receipt on its claim unless a better one is there.

    A receipt for a touch that nobody claimed, as after the ledger was replaced, is stored all the same: it is
    evidence of a hand-over, and makes a later claim of that touch find it.
    """
    await _store(connection, receipt, _knows_more)


async def _store(connection: AsyncConnection, receipt: Receipt, wins: Callable[[Any, Any], Any]) -> None:
    row = {"touch_id": receipt.touch_id, "at": receipt.at, "status": receipt.status.value, "receipt": receipt}
    write = upsert(_CLAIMS, connection.dialect.name, wins, ("status", "receipt"))
    await connection.execute(write, [row])


async def settle_by_hand(connection: AsyncConnection, fact: SettlementFact) -> None:
    """Store on the claim of a touch in doubt what a person found out; what a channel knows for sure stays."""
    handed_over = fact.settlement is Settlement.HANDED_OVER
    found = "was handed over" if handed_over else "was not handed over"
    receipt = Receipt(
        touch_id=fact.touch_id,
        status=ReceiptStatus.ACCEPTED if handed_over else ReceiptStatus.UNDELIVERED,
        at=fact.at,
        detail=f"{fact.settled_by} found that it {found}: {fact.comment}",
    )
    await _store(connection, receipt, _in_doubt)


def _knows_more(new: Any, stored: Any) -> Any:  # noqa: ANN401 - columns of either dialect
    definite = (ReceiptStatus.ACCEPTED.value, ReceiptStatus.REJECTED.value)
    return or_(
        stored.status.is_(None),
        and_(stored.status == ReceiptStatus.UNKNOWN.value, new.status.in_(definite)),
    )


def _in_doubt(new: Any, stored: Any) -> Any:  # noqa: ANN401, ARG001 - columns of either dialect
    return or_(stored.status.is_(None), stored.status == ReceiptStatus.UNKNOWN.value)


async def receipt(connection: AsyncConnection, touch_id: str) -> Receipt | None:
    """See `Ledger.receipt`."""
    found = await connection.scalar(select(col(ClaimRow.receipt)).where(col(ClaimRow.touch_id) == touch_id))
    return None if found is None else Receipt.model_validate_json(found)


async def open_claims(connection: AsyncConnection) -> list[OpenClaim]:
    """Return the claims without receipt, oldest first."""
    found = await connection.execute(
        select(col(ClaimRow.touch_id), col(ClaimRow.channel), col(ClaimRow.at))
        .where(col(ClaimRow.status).is_(None))
        .order_by(col(ClaimRow.at), col(ClaimRow.touch_id))
    )
    return [OpenClaim(touch_id=row.touch_id, channel=row.channel, at=row.at) for row in found]
