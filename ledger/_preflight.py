"""The last look before a hand-over: all that the ledger knows against a touch, in one statement."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Stop, Touch, TouchStatus, contact_key, person_key
from ledger._facts import GOVERNED
from ledger._stops import covering
from ledger._tables import PolicyReleaseRow, ReservationRow, StopRow, SuppressionRow, TouchRow, table_of

_STOPS = table_of(StopRow)
_STOP: Final = tuple(Stop.model_fields)


class Preflight(Frozen):
    """What the ledger knows right now about a touch that is about to be handed over."""

    suppressed: bool
    """Whether its person objected, on whichever account."""
    stop: Stop | None
    """The oldest standing stop that covers it."""
    policy_digest: str | None
    """Of the policy set in force; None if nothing was ever released."""
    place_held: bool
    """Whether the place that its ruling took in all limits is still its own."""


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
    stop = {name: getattr(row, name) for name in _STOP}
    return Preflight(
        suppressed=bool(row.suppressed),
        stop=Stop.model_validate(stop) if row.stop_id is not None else None,
        policy_digest=row.policy_digest,
        place_held=bool(row.place_held),
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
    release = (
        select(col(PolicyReleaseRow.digest))
        .order_by(col(PolicyReleaseRow.number).desc())
        .limit(1)
        .scalar_subquery()
    )
    objected = select(literal(1)).where(
        col(SuppressionRow.person_key).in_(bindparam("person_keys", expanding=True))
    )
    always = select(literal(1)).subquery()
    return select(
        objected.exists().label("suppressed"),
        release.label("policy_digest"),
        _place_held().label("place_held"),
        *(stop.c[name] for name in _STOP),
    ).select_from(always.outerjoin(stop, true()))


def _place_held() -> ColumnElement[bool]:
    """Tell whether the place of a touch is reserved or, once its first fact has come, taken by itself.

    A ruling reserves a place for whatever it allows. The fact that the touch is in flight gives the
    reservation back and leaves a row among the touches that counts in its stead; any later fact ends both.
    """
    reserved = select(literal(1)).where(
        col(ReservationRow.account_id) == _name("account_id"),
        col(ReservationRow.proposal_id) == _name("proposal_id"),
    )
    in_flight = select(literal(1)).where(
        col(TouchRow.account_id) == _name("account_id"),
        col(TouchRow.source) == GOVERNED,
        col(TouchRow.touch_id) == _name("touch_id"),
        col(TouchRow.status) == TouchStatus.IN_FLIGHT.value,
    )
    return or_(reserved.exists(), in_flight.exists())


def _name(name: str) -> ColumnElement[str]:
    return bindparam(name, type_=_STOPS.c.stop_id.type)
