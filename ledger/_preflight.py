"""The last look before a hand-over: all that the ledger knows against a touch, in one statement."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Moment, Stop, Touch, TouchStatus, contact_key, person_key
from ledger._facts import GOVERNED
from ledger._releases import Release
from ledger._stops import covering
from ledger._tables import PolicyReleaseRow, ReservationRow, StopRow, SuppressionRow, TouchRow, table_of
from ledger._types import UtcDateTime

_STOPS = table_of(StopRow)
_RELEASES = table_of(PolicyReleaseRow)
_RESERVATIONS = table_of(ReservationRow)
_TOUCHES = table_of(TouchRow)
_STOP: Final = tuple(Stop.model_fields)
_RELEASE: Final = tuple(Release.model_fields)


class Preflight(Frozen):
    """What the ledger knows right now about a touch that is about to be handed over."""

    suppressed: bool
    """Whether its person objected, on whichever account."""
    stop: Stop | None
    """The oldest standing stop that covers it."""
    release: Release | None
    """The policy set in force; None if nothing was ever released."""
    held_since: Moment | None
    """Since when the place that its ruling took in all limits has been its own; None if it is not now."""


async def preflight(connection: AsyncConnection, touch: Touch) -> Preflight:
    """See `Ledger.preflight`."""
    names = {
        "account_id": touch.account_id,
        "actor": touch.actor,
        "action": touch.action,
        "channel": touch.channel,
        "proposal_id": touch.proposal_id,
        "touch_id": touch.touch_id,
    }
    row = (await connection.execute(_question(), names | {"person_keys": _keys(touch)})).one()
    stop = {name: getattr(row, f"stop_{name}") for name in _STOP}
    release = {name: getattr(row, f"release_{name}") for name in _RELEASE}
    return Preflight(
        suppressed=bool(row.suppressed),
        stop=Stop.model_validate(stop) if row.stop_stop_id is not None else None,
        release=Release.model_validate(release) if row.release_number is not None else None,
        held_since=row.held_since,
    )


def _keys(touch: Touch) -> list[str]:
    if touch.recipient is None:
        return []
    keys = [contact_key(touch.account_id, touch.recipient.contact_id)]
    if touch.recipient.email is not None:
        keys.append(person_key(touch.recipient.email))
    return keys


@cache
def _question() -> Select[Any]:
    """Return the statement, made once: making it takes longer than answering it.

    One statement sees one moment, also on SQLite without a transaction: a reservation that becomes a touch
    meanwhile is seen as one of the two.
    """
    covers = covering(
        account_id=_name("account_id"), actor=_name("actor"), action=_name("action"), channel=_name("channel")
    )
    stop = (
        select(*(_STOPS.c[name] for name in _STOP))
        .where(covers)
        .order_by(_STOPS.c.placed_at, _STOPS.c.stop_id)
        .limit(1)
        .subquery()
    )
    release = select(_RELEASES).order_by(_RELEASES.c.number.desc()).limit(1).subquery()
    objected = select(literal(1)).where(
        col(SuppressionRow.person_key).in_(bindparam("person_keys", expanding=True))
    )
    always = select(literal(1)).subquery()
    return select(
        objected.exists().label("suppressed"),
        _held_since().label("held_since"),
        *(stop.c[name].label(f"stop_{name}") for name in _STOP),
        *(release.c[name].label(f"release_{name}") for name in _RELEASE),
    ).select_from(always.outerjoin(stop, true()).outerjoin(release, true()))


def _held_since() -> ColumnElement[Any]:
    """Tell since when the place of a touch is reserved or, once its first fact has come, taken by itself.

    A ruling reserves a place for whatever it allows. The fact that the touch is in flight gives the
    reservation back and leaves a row among the touches that counts in its stead; any later fact ends both.
    """
    reserved = select(_RESERVATIONS.c.at).where(
        _RESERVATIONS.c.account_id == _name("account_id"),
        _RESERVATIONS.c.proposal_id == _name("proposal_id"),
    )
    in_flight = select(_TOUCHES.c.at).where(
        _TOUCHES.c.account_id == _name("account_id"),
        _TOUCHES.c.source == GOVERNED,
        _TOUCHES.c.touch_id == _name("touch_id"),
        _TOUCHES.c.status == TouchStatus.IN_FLIGHT.value,
    )
    return func.coalesce(reserved.scalar_subquery(), in_flight.scalar_subquery(), type_=UtcDateTime())


def _name(name: str) -> ColumnElement[str]:
    return bindparam(name, type_=_STOPS.c.stop_id.type)
