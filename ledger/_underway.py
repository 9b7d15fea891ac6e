"""What is under way where a stop reaches: touches that were allowed and have not come to an end yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Identifier, Moment, ReceiptStatus, Stop, StopScope, TouchStatus
from ledger._facts import GOVERNED
from ledger._tables import ClaimRow, ReservationRow, TouchRow

_AT_ONCE: Final = 20
_ATTEMPTS: Final = 20
"""Attempts whose claims are looked at; what became of a touch tried more often, only its account tells."""


class Underway(Frozen):
    """A touch that was allowed and has not ended, as far as the ledger knows."""

    account_id: Identifier
    proposal_id: Identifier
    actor: Identifier
    action: Identifier
    channel: Identifier
    since: Moment
    """When it was ruled on, or handed to its channel."""
    claimed: bool = False
    """Whether a worker of its channel has taken it up."""


class Whereabouts(StrEnum):
    """What has become of a touch that was under way."""

    UNDER_WAY = "under_way"
    HANDED_OVER = "handed_over"
    """The provider took it."""
    NOT_HANDED_OVER = "not_handed_over"
    """It was stopped, or came to nothing for another reason."""
    IN_DOUBT = "in_doubt"
    """It may have been handed over; a person must settle it."""


async def underway(connection: AsyncConnection, stop: Stop) -> tuple[Underway, ...]:
    """See `Ledger.underway`."""
    reserved = await connection.execute(
        select(
            col(ReservationRow.account_id),
            col(ReservationRow.proposal_id),
            col(ReservationRow.actor),
            col(ReservationRow.action),
            col(ReservationRow.channel),
            col(ReservationRow.at),
        ).where(_reached(stop, ReservationRow))
    )
    flying = await connection.execute(
        select(
            col(TouchRow.account_id),
            col(TouchRow.proposal_id),
            col(TouchRow.actor),
            col(TouchRow.action),
            col(TouchRow.channel),
            col(TouchRow.at),
        ).where(
            col(TouchRow.source) == GOVERNED,
            col(TouchRow.status) == TouchStatus.IN_FLIGHT.value,
            _reached(stop, TouchRow),
        )
    )
    claims = await connection.scalars(select(col(ClaimRow.touch_id)).where(col(ClaimRow.status).is_(None)))
    claimed = {touch_id.rpartition("/")[0] for touch_id in claims}
    found = {
        (row.account_id, row.proposal_id): Underway(
            account_id=row.account_id,
            proposal_id=row.proposal_id,
            actor=row.actor,
            action=row.action,
            channel=row.channel,
            since=row.at,
            claimed=f"{row.account_id}/{row.proposal_id}" in claimed,
        )
        for rows in (reserved, flying)
        for row in rows
    }
    return tuple(sorted(found.values(), key=lambda each: (each.since, each.account_id, each.proposal_id)))


def _reached(stop: Stop, row: type[ReservationRow | TouchRow]) -> ColumnElement[bool]:
    match stop.scope:
        case StopScope.TENANT:
            return true()
        case StopScope.AGENT:
            return col(row.actor) == stop.name
        case StopScope.ACTION:
            return col(row.action) == stop.name
        case StopScope.CHANNEL:
            return col(row.channel) == stop.name
        case StopScope.ACCOUNT:
            return col(row.account_id) == stop.name


async def whereabouts(connection: AsyncConnection, touches: Sequence[Underway]) -> tuple[Whereabouts, ...]:
    """See `Ledger.whereabouts`."""
    found: list[Whereabouts] = []
    for some in _portions(touches):
        pairs = [(each.account_id, each.proposal_id) for each in some]
        flying = await _still_flying(connection, pairs)
        ended = await _ends(connection, pairs)
        receipts = await _receipts(connection, pairs)
        found += [_where(each, flying, ended, receipts) for each in some]
    return tuple(found)


_Pair = tuple[str, str]
_ENDS: Final = {
    TouchStatus.HANDED_OVER.value: Whereabouts.HANDED_OVER,
    TouchStatus.UNKNOWN.value: Whereabouts.IN_DOUBT,
    TouchStatus.RELEASED.value: Whereabouts.NOT_HANDED_OVER,
    ReceiptStatus.ACCEPTED.value: Whereabouts.HANDED_OVER,
    ReceiptStatus.UNKNOWN.value: Whereabouts.IN_DOUBT,
}


def _where(
    touch: Underway,
    flying: dict[_Pair, datetime],
    ended: dict[_Pair, tuple[datetime, str]],
    receipts: dict[_Pair, tuple[datetime, str]],
) -> Whereabouts:
    pair = (touch.account_id, touch.proposal_id)
    # The account tells the end later than the channel, which settles its claim first.
    for at, status in (each for each in (ended.get(pair), receipts.get(pair)) if each is not None):
        if at >= touch.since:
            return _ENDS.get(status, Whereabouts.NOT_HANDED_OVER)
    return Whereabouts.UNDER_WAY if pair in flying else Whereabouts.NOT_HANDED_OVER


async def _still_flying(connection: AsyncConnection, pairs: Sequence[_Pair]) -> dict[_Pair, datetime]:
    own = tuple_(col(ReservationRow.account_id), col(ReservationRow.proposal_id))
    reserved = await connection.execute(
        select(col(ReservationRow.account_id), col(ReservationRow.proposal_id), col(ReservationRow.at)).where(
            own.in_(pairs)
        )
    )
    flying = await _touches(connection, pairs, col(TouchRow.status) == TouchStatus.IN_FLIGHT.value)
    return {(row[0], row[1]): row[2] for row in (*reserved, *flying)}


async def _ends(connection: AsyncConnection, pairs: Sequence[_Pair]) -> dict[_Pair, tuple[datetime, str]]:
    rows = await _touches(connection, pairs, col(TouchRow.status) != TouchStatus.IN_FLIGHT.value)
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def _touches(
    connection: AsyncConnection, pairs: Sequence[_Pair], condition: ColumnElement[bool]
) -> Sequence[Any]:
    """Return account, proposal, moment and status of touches, the latest last."""
    own = tuple_(col(TouchRow.account_id), col(TouchRow.proposal_id))
    found = await connection.execute(
        select(col(TouchRow.account_id), col(TouchRow.proposal_id), col(TouchRow.at), col(TouchRow.status))
        .where(own.in_(pairs), col(TouchRow.source) == GOVERNED, condition)
        .order_by(col(TouchRow.seq))
    )
    return found.all()


async def _receipts(connection: AsyncConnection, pairs: Sequence[_Pair]) -> dict[_Pair, tuple[datetime, str]]:
    """Return when touches were last claimed and what their channels then said, by account and proposal."""
    ids = [f"{account}/{proposal}/{n}" for account, proposal in pairs for n in range(1, _ATTEMPTS + 1)]
    found = await connection.execute(
        select(col(ClaimRow.touch_id), col(ClaimRow.at), col(ClaimRow.status))
        .where(col(ClaimRow.touch_id).in_(ids), col(ClaimRow.status).is_not(None))
        .order_by(col(ClaimRow.at))
    )
    receipts: dict[_Pair, tuple[datetime, str]] = {}
    for touch_id, at, status in found:
        account_id, proposal_id, _ = touch_id.split("/")
        receipts[account_id, proposal_id] = (at, status or "")
    return receipts


def _portions(items: Sequence[Underway]) -> Iterator[Sequence[Underway]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
