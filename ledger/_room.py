"""Room in the limits that all accounts share: what takes a place in them, and when the next one is free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    literal,
    not_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import LONGEST_FLIGHT, Draw, TouchStatus
from ledger._tables import ReservationRow, TouchRow
from ledger._types import UtcDateTime

NEVER: Final = datetime(2099, 12, 31, tzinfo=UTC)
"""When there is room for what costs more than the whole limit; moments of the language end with 2099."""
DONE_COUNTED: Final = 10_000
"""Touches of an actor are counted up to this number, so that a ruling never counts for long."""
_ROUNDING = 1e-6
"""What sums of many amounts may be off by; far below the smallest coin."""


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """From where a limit is looked at.

    Attributes:
        account_id: Whose proposals are judged.
        judged: The proposals that are judged together: what they have reserved before does not count.
        now: The moment of the ruling.
        until: Touches after this moment do not count; None: all do, because the clocks of two accounts differ
            by moments.
    """

    account_id: str
    judged: tuple[str, ...]
    now: datetime
    until: datetime | None = None


async def room(
    connection: AsyncConnection, draws: Sequence[tuple[str, Draw]], viewpoint: Viewpoint
) -> dict[str, datetime]:
    """See `Ledger.room`."""
    known: dict[Draw, datetime] = {}
    moments: dict[str, datetime] = {}
    for proposal_id, draw in draws:
        if draw not in known:
            known[draw] = await _room_for(connection, draw, viewpoint)
        moments[f"{draw.rule_id}/{proposal_id}"] = known[draw]
    return moments


async def done(connection: AsyncConnection, tracked: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Count what actors have made with an action, under `<actor>/<action>`, up to `DONE_COUNTED`."""
    counted: dict[str, int] = {}
    for actor, action in sorted(set(tracked)):
        made = (
            select(col(TouchRow.touch_id))
            .where(
                col(TouchRow.actor) == actor,  # only our own touches have one
                col(TouchRow.action) == action,
                col(TouchRow.status) == TouchStatus.HANDED_OVER.value,
            )
            .limit(DONE_COUNTED)
            .subquery()
        )
        counted[f"{actor}/{action}"] = await connection.scalar(select(func.count()).select_from(made)) or 0
    return counted


@dataclass(frozen=True, slots=True)
class _Counted:
    """What takes a place in one limit: touches, and reservations that are not touches yet."""

    draw: Draw
    viewpoint: Viewpoint

    def latest(self, at_most: int) -> Subquery:
        """Return the moments of the latest ones of either kind, each up to a number."""
        arms = (
            statement.order_by(statement.selected_columns.at.desc()).limit(at_most).subquery()
            for statement in self._arms()
        )
        return union_all(*(select(arm.c.at) for arm in arms)).subquery()

    def all(self) -> Subquery:
        """Return moment and cost of everything that costs something."""
        return union_all(*(each.where(each.selected_columns.cost > 0) for each in self._arms())).subquery()

    def _arms(self) -> tuple[Select[datetime, float], ...]:
        # One statement reads both, so that a reservation that becomes a touch meanwhile is seen exactly once.
        touches = select(col(TouchRow.at), col(TouchRow.cost)).where(
            col(TouchRow.status) != TouchStatus.RELEASED.value, *self._fits(TouchRow)
        )
        own = and_(
            col(ReservationRow.account_id) == self.viewpoint.account_id,
            col(ReservationRow.proposal_id).in_(self.viewpoint.judged),
        )
        reserved = select(col(ReservationRow.at), col(ReservationRow.cost)).where(
            not_(own), *self._fits(ReservationRow)
        )
        if self.viewpoint.until is not None:
            return touches, reserved
        # What is on its way for longer than the window may be made at any moment: it counts as made now.
        now = literal(self.viewpoint.now, UtcDateTime()).label("at")
        late_touches = select(now, col(TouchRow.cost)).where(
            col(TouchRow.status) == TouchStatus.IN_FLIGHT.value, *self._late(TouchRow)
        )
        late_reserved = select(now, col(ReservationRow.cost)).where(not_(own), *self._late(ReservationRow))
        return touches, reserved, late_touches, late_reserved

    @property
    def _since(self) -> datetime:
        return self.viewpoint.now - timedelta(seconds=self.draw.window_seconds)

    def _fits(self, row: type[TouchRow | ReservationRow]) -> list[ColumnElement[bool]]:
        conditions = [col(row.at) > self._since, *self._about(row)]
        if self.viewpoint.until is not None:
            conditions.append(col(row.at) <= self.viewpoint.until)
        return conditions

    def _late(self, row: type[TouchRow | ReservationRow]) -> list[ColumnElement[bool]]:
        return [
            col(row.at) <= self._since,
            col(row.at) > self._since - LONGEST_FLIGHT,
            *self._about(row),
        ]

    def _about(self, row: type[TouchRow | ReservationRow]) -> list[ColumnElement[bool]]:
        draw = self.draw
        conditions: list[ColumnElement[bool]] = []
        if draw.channels is not None:
            conditions.append(col(row.channel).in_(draw.channels))
        if draw.actors is not None:
            conditions.append(col(row.actor).in_(draw.actors))
        if draw.actions is not None:
            conditions.append(col(row.action).in_(draw.actions))
        if draw.exempt_actions:
            conditions.append(col(row.action).not_in(draw.exempt_actions))
        return conditions


async def _room_for(connection: AsyncConnection, draw: Draw, viewpoint: Viewpoint) -> datetime:
    counted, window = _Counted(draw, viewpoint), timedelta(seconds=draw.window_seconds)
    moments = [viewpoint.now]
    if draw.touches is not None:
        at = counted.latest(draw.touches).c.at
        last = await connection.scalar(select(at).order_by(at.desc()).offset(draw.touches - 1).limit(1))
        if last is not None:
            moments.append(last + window)
    if draw.amount is not None:
        if draw.cost > draw.amount:
            return NEVER
        costs = counted.all()
        left = draw.amount - draw.cost + _ROUNDING
        # Adding up is far cheaper than finding the moment, and as a rule there is room.
        if (await connection.scalar(select(func.sum(costs.c.cost))) or 0.0) <= left:
            return min(max(moments), NEVER)
        # Moments that are the same leave the window together: a sum by range takes them together.
        spent = func.sum(costs.c.cost).over(order_by=costs.c.at.desc()).label("spent")
        sums = select(costs.c.at, spent).subquery()
        last = await connection.scalar(select(func.max(sums.c.at)).where(sums.c.spent > left))
        if last is not None:
            moments.append(last + window)
    return min(max(moments), NEVER)
