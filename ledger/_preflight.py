"""The last look before a hand-over: all that the ledger knows against a touch, in one statement."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Stop, Touch, TouchStatus, contact_key, person_key
from ledger._facts import GOVERNED
from ledger._stops import covering
from ledger._tables import PolicyReleaseRow, ReservationRow, StopRow, SuppressionRow, TouchRow

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
    stop = (
        select(*(col(getattr(StopRow, name)) for name in _STOP))
        .where(
            covering(
                account_id=touch.account_id, actor=touch.actor, action=touch.action, channel=touch.channel
            )
        )
        .order_by(col(StopRow.placed_at), col(StopRow.stop_id))
        .limit(1)
        .subquery()
    )
    release = (
        select(col(PolicyReleaseRow.digest))
        .order_by(col(PolicyReleaseRow.number).desc())
        .limit(1)
        .scalar_subquery()
    )
    # One statement sees one moment: a reservation that becomes a touch meanwhile is seen as one of the two.
    always = select(literal(1)).subquery()
    row = (
        await connection.execute(
            select(
                _suppressed(touch).label("suppressed"),
                release.label("policy_digest"),
                _place_held(touch).label("place_held"),
                *(stop.c[name] for name in _STOP),
            ).select_from(always.outerjoin(stop, true()))
        )
    ).one()
    return Preflight(
        suppressed=bool(row.suppressed),
        stop=Stop.model_validate({name: getattr(row, name) for name in _STOP})
        if row.stop_id is not None
        else None,
        policy_digest=row.policy_digest,
        place_held=bool(row.place_held),
    )


def _suppressed(touch: Touch) -> ColumnElement[bool]:
    if touch.recipient is None:
        return literal(value=False)
    keys = [contact_key(touch.account_id, touch.recipient.contact_id)]
    if touch.recipient.email is not None:
        keys.append(person_key(touch.recipient.email))
    return select(literal(1)).where(col(SuppressionRow.person_key).in_(keys)).exists()


def _place_held(touch: Touch) -> ColumnElement[bool]:
    """Tell whether the place of a touch is reserved or, once its first fact has come, taken by itself.

    A ruling reserves a place for whatever it allows. The fact that the touch is in flight gives the
    reservation back and leaves a row among the touches that counts in its stead; any later fact ends both.
    """
    reserved = select(literal(1)).where(
        col(ReservationRow.account_id) == touch.account_id,
        col(ReservationRow.proposal_id) == touch.proposal_id,
    )
    in_flight = select(literal(1)).where(
        col(TouchRow.account_id) == touch.account_id,
        col(TouchRow.source) == GOVERNED,
        col(TouchRow.touch_id) == touch.touch_id,
        col(TouchRow.status) == TouchStatus.IN_FLIGHT.value,
    )
    return or_(reserved.exists(), in_flight.exists())
