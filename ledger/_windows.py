"""Window approvals and first uses: who may go out again without being asked, and what has gone out before.

A touch that goes out on a window takes a place in it. The place is taken in the same transaction that looks
whether there is one, and given back as soon as it is known that the touch did not go out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row as Found
from sqlalchemy import Select, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import (
    Decision,
    DecisionFact,
    LedgerFact,
    ProposalFact,
    ProposalStatus,
    RulingRequest,
    TouchFact,
    TouchStatus,
    Use,
    WindowFact,
    WindowGrant,
)
from ledger._engine import upsert
from ledger._facts import GOVERNED, rows_of
from ledger._tables import DecisionRow, FirstUseRow, TouchRow, WindowGrantRow, WindowUseRow, table_of

_GRANTS = table_of(WindowGrantRow)
_USES = table_of(WindowUseRow)
_FIRST = table_of(FirstUseRow)
_KEPT: Final = frozenset({ProposalStatus.IN_FLIGHT, ProposalStatus.SENT, ProposalStatus.IN_DOUBT})
"""Where a proposal stands that has gone out, may have, or is on its way: its place stays taken."""
_AT_ONCE: Final = 200

Wanted = tuple[str, str, str, str]
"""Actor, action, channel and template of a proposal that a window may cover."""


async def grant(connection: AsyncConnection, account_id: str, facts: Sequence[LedgerFact]) -> int:
    """Write inside a write transaction what facts say about windows; what was taken back stays taken back.

    Returns:
        How many were news.
    """
    rows = [
        values for fact in facts if isinstance(fact, WindowFact) for _, values in rows_of(fact, account_id)
    ]
    written = 0
    for values in sorted(rows, key=lambda each: str(each["grant_id"])):
        changes = ("revoked_by", "revoked_at")
        write = upsert(_GRANTS, connection.dialect.name, _taken_back, changes).returning(_GRANTS.c.grant_id)
        written += len((await connection.execute(write, [values])).all())
    return written


def _taken_back(new: Any, stored: Any) -> Any:  # noqa: ANN401 - columns of either dialect
    return and_(stored.revoked_at.is_(None), new.revoked_at.is_not(None))


async def windows(connection: AsyncConnection, at: datetime | None, limit: int) -> tuple[WindowGrant, ...]:
    """See `Ledger.windows`."""
    wanted = _counted(()).order_by(_GRANTS.c.starts_at.desc(), _GRANTS.c.grant_id).limit(limit)
    if at is not None:
        wanted = wanted.where(_standing(at))
    found = [_grant_of(row) for row in await connection.execute(wanted)]
    return tuple(each for each in found if at is None or each.stands(at))


async def windows_for(
    connection: AsyncConnection,
    wanted: Iterable[Wanted],
    account_id: str,
    judged: Collection[str],
    at: datetime,
) -> tuple[WindowGrant, ...]:
    """See `Ledger.windows_for`."""
    asked = sorted(set(wanted))
    if not asked:
        return ()
    own = [(account_id, proposal_id) for proposal_id in sorted(judged)]
    columns = (_GRANTS.c.actor, _GRANTS.c.action, _GRANTS.c.channel, _GRANTS.c.template)
    found = await connection.execute(
        _counted(own)
        .where(
            _standing(at),
            or_(*(and_(*(c == value for c, value in zip(columns, each, strict=True))) for each in asked)),
            or_(_GRANTS.c.segment.is_not(None), _GRANTS.c.account_id == account_id),
        )
        .order_by(_GRANTS.c.starts_at, _GRANTS.c.grant_id)
    )
    return tuple(_grant_of(row) for row in found)


def _standing(at: datetime) -> Any:  # noqa: ANN401 - a condition
    return and_(_GRANTS.c.revoked_at.is_(None), _GRANTS.c.starts_at <= at, _GRANTS.c.ends_at > at)


def _counted(own: Sequence[tuple[str, str]]) -> Select[Any]:
    """Select grants with the places taken in them, but for those of some proposals, each with its account."""
    taken = select(func.count()).select_from(_USES).where(_USES.c.grant_id == _GRANTS.c.grant_id)
    if own:
        taken = taken.where(tuple_(_USES.c.account_id, _USES.c.proposal_id).not_in(own))
    return select(
        _GRANTS.c.body, _GRANTS.c.revoked_by, _GRANTS.c.revoked_at, taken.scalar_subquery().label("taken")
    )


def _grant_of(row: Found[Any]) -> WindowGrant:
    said = WindowGrant.model_validate_json(row.body)
    # The touch it was given with has a place from the beginning.
    found = {"used": 1 + row.taken, "revoked_by": row.revoked_by, "revoked_at": row.revoked_at}
    return said.model_copy(update=found)


async def revoke(connection: AsyncConnection, grant_id: str, by: str, at: datetime) -> WindowGrant | None:
    """See `Ledger.revoke_window`."""
    await connection.execute(
        update(_GRANTS)
        .where(_GRANTS.c.grant_id == grant_id, _GRANTS.c.revoked_at.is_(None))
        .values(revoked_by=by, revoked_at=at)
    )
    row = (await connection.execute(_counted(()).where(_GRANTS.c.grant_id == grant_id))).first()
    return None if row is None else _grant_of(row)


async def has_room(connection: AsyncConnection, request: RulingRequest, grant_id: str) -> bool:
    """Tell inside a write transaction whether a window has a place for what it is said to cover.

    The ruling saw the window with the bounds of the policies of that moment, which can be the narrower ones.
    """
    seen = next((each for each in request.windows if each.grant_id == grant_id), None)
    judged = [candidate.proposal.proposal_id for candidate in request.candidates]
    own = [(request.account_id, proposal_id) for proposal_id in judged]
    row = (await connection.execute(_counted(own).where(_GRANTS.c.grant_id == grant_id))).first()
    if seen is None or row is None:
        return False
    now = _grant_of(row)
    return now.stands(request.now) and now.used < seen.at_most


async def take_place(connection: AsyncConnection, request: RulingRequest, allowed: Decision) -> None:
    """Take the place of an allowed proposal inside a write transaction; it holds one in all windows."""
    if allowed.window is None:
        return
    own = (_USES.c.account_id == request.account_id, _USES.c.proposal_id == allowed.proposal_id)
    await connection.execute(delete(_USES).where(*own))
    row = {
        "grant_id": allowed.window,
        "account_id": request.account_id,
        "proposal_id": allowed.proposal_id,
        "after_seq": request.seq,
        "at": request.now,
    }
    await connection.execute(upsert(_USES, connection.dialect.name), [row])


async def give_back(connection: AsyncConnection, request: RulingRequest, judged: Collection[str]) -> None:
    """Give back what earlier requests took for the candidates; see `_rulings`, which does so for limits."""
    order = (_USES.c.after_seq, _USES.c.at)
    await connection.execute(
        delete(_USES).where(
            _USES.c.account_id == request.account_id,
            _USES.c.proposal_id.in_(sorted(judged)),
            tuple_(*order) < tuple_(request.seq, request.now, types=[column.type for column in order]),
        )
    )


async def settle(connection: AsyncConnection, account_id: str, facts: Sequence[LedgerFact]) -> None:
    """Give back inside a write transaction the places of touches that did not go out.

    Facts from before a place was taken, as in a rebuild or a repeated batch, say nothing of it.
    """
    latest: dict[str, int] = {}
    for proposal_id, seq in _not_gone_out(facts):
        latest[proposal_id] = max(seq, latest.get(proposal_id, seq))
    for proposal_id, seq in sorted(latest.items()):
        await connection.execute(
            delete(_USES).where(
                _USES.c.account_id == account_id,
                _USES.c.proposal_id == proposal_id,
                _USES.c.after_seq < seq,
            )
        )


def _not_gone_out(facts: Sequence[LedgerFact]) -> Iterator[tuple[str, int]]:
    for fact in facts:
        if isinstance(fact, TouchFact) and fact.status is TouchStatus.RELEASED:
            yield fact.touch.proposal_id, fact.seq
        elif isinstance(fact, ProposalFact) and fact.status not in _KEPT:
            yield fact.proposal.proposal_id, fact.seq


async def used(connection: AsyncConnection, uses: Iterable[Use]) -> tuple[str, ...]:
    """Return the keys of what has gone out before, in order; see `Ledger.used`."""
    wanted = sorted({(use.kind.value, _name(use)) for use in uses})
    found: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows = await connection.execute(
            select(_FIRST.c.kind, _FIRST.c.name).where(tuple_(_FIRST.c.kind, _FIRST.c.name).in_(some))
        )
        found.update(f"{row.kind}/{row.name}" for row in rows)
    return tuple(sorted(found))


def _name(use: Use) -> str:
    return use.key.partition("/")[2]


async def note_uses(connection: AsyncConnection, account_id: str, facts: Sequence[LedgerFact]) -> None:
    """Note inside a write transaction what touches have said that went out, for the first time of each.

    Touches and the decisions behind them may come in any order, so whichever comes last finds the other.
    """
    said = {fact.decision.decision_id: fact.decision for fact in facts if isinstance(fact, DecisionFact)}
    out = [f for f in facts if isinstance(f, TouchFact) and f.status is TouchStatus.HANDED_OVER]
    out += await _gone_out(connection, account_id, [each for each in said.values() if each.uses])
    unknown = {fact.touch.decision_id for fact in out} - said.keys()
    said |= await _decisions(connection, account_id, sorted(unknown))
    rows = {
        (use.kind.value, _name(use)): {
            "kind": use.kind.value,
            "name": _name(use),
            "account_id": account_id,
            "touch_id": fact.touch.touch_id,
            "at": fact.at,
        }
        for fact in sorted(out, key=lambda each: each.seq, reverse=True)
        if fact.touch.decision_id in said
        for use in said[fact.touch.decision_id].uses
    }
    if rows:
        write = upsert(_FIRST, connection.dialect.name)
        await connection.execute(write, [rows[key] for key in sorted(rows)])


async def _gone_out(
    connection: AsyncConnection, account_id: str, decisions: Sequence[Decision]
) -> list[TouchFact]:
    """Return the touches on record that decisions have let go out."""
    if not decisions:
        return []
    wanted = {decision.decision_id for decision in decisions}
    found = await connection.scalars(
        select(col(TouchRow.body)).where(
            col(TouchRow.account_id) == account_id,
            col(TouchRow.source) == GOVERNED,
            col(TouchRow.status) == TouchStatus.HANDED_OVER.value,
            col(TouchRow.proposal_id).in_(sorted({decision.proposal_id for decision in decisions})),
        )
    )
    facts = [TouchFact.model_validate_json(body) for body in found]
    return [fact for fact in facts if fact.touch.decision_id in wanted]


async def _decisions(
    connection: AsyncConnection, account_id: str, decision_ids: Sequence[str]
) -> dict[str, Decision]:
    if not decision_ids:
        return {}
    found = await connection.scalars(
        select(col(DecisionRow.body)).where(
            col(DecisionRow.account_id) == account_id, col(DecisionRow.decision_id).in_(decision_ids)
        )
    )
    decisions = (DecisionFact.model_validate_json(body).decision for body in found)
    return {decision.decision_id: decision for decision in decisions}
