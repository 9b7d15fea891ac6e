"""The questions that other rooms ask."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter
from sqlalchemy import func, literal, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from domain import Account, AccountFact, Decision, DecisionFact, PastTouchFact, ProposalFact, TouchFact
from ledger._tables import (
    METADATA,
    AccountRow,
    DecisionRow,
    PolicySetRow,
    ProposalRow,
    SignalRow,
    SuppressionRow,
    TouchRow,
)

_ANY_TOUCH: TypeAdapter[TouchFact | PastTouchFact] = TypeAdapter(
    Annotated[TouchFact | PastTouchFact, Field(discriminator="type")]
)

# SQLite and PostgreSQL bound the parameters of a statement; this is far below either bound.
_AT_ONCE = 500

_Item = TypeVar("_Item")


async def suppressed(connection: AsyncConnection, person_keys: Collection[str]) -> frozenset[str]:
    """See `Ledger.suppressed`."""
    key = col(SuppressionRow.person_key)
    found: set[str] = set()
    for some in _portions(sorted(set(person_keys))):
        found.update((await connection.scalars(select(key).where(key.in_(some)))).all())
    return frozenset(found)


async def policy_set(connection: AsyncConnection, digest: str) -> dict[str, str] | None:
    """See `Ledger.policy_set`."""
    files = await connection.scalar(select(col(PolicySetRow.files)).where(col(PolicySetRow.digest) == digest))
    return None if files is None else json.loads(files)


async def account_exists(connection: AsyncConnection, account_id: str) -> bool:
    """See `Ledger.account_exists`."""
    found = await connection.scalar(
        select(col(AccountRow.account_id)).where(col(AccountRow.account_id) == account_id)
    )
    return found is not None


async def accounts(connection: AsyncConnection, after: str, limit: int) -> list[Account]:
    """See `Ledger.accounts`."""
    found = await connection.scalars(
        select(col(AccountRow.body))
        .where(col(AccountRow.account_id) > after)
        .order_by(col(AccountRow.account_id))
        .limit(limit)
    )
    return [AccountFact.model_validate_json(body).account for body in found]


async def decisions(
    connection: AsyncConnection, account_id: str, proposal_id: str | None, limit: int
) -> list[Decision]:
    """See `Ledger.decisions`."""
    wanted = select(col(DecisionRow.body)).where(col(DecisionRow.account_id) == account_id)
    if proposal_id is not None:
        wanted = wanted.where(col(DecisionRow.proposal_id) == proposal_id)
    found = await connection.scalars(wanted.order_by(col(DecisionRow.seq).desc()).limit(limit))
    return [DecisionFact.model_validate_json(body).decision for body in found]


async def proposals(connection: AsyncConnection, account_id: str, limit: int) -> list[ProposalFact]:
    """See `Ledger.proposals`."""
    found = await connection.scalars(
        select(col(ProposalRow.body))
        .where(col(ProposalRow.account_id) == account_id)
        .order_by(col(ProposalRow.seq).desc())
        .limit(limit)
    )
    return [ProposalFact.model_validate_json(body) for body in found]


async def touches(
    connection: AsyncConnection, account_id: str, limit: int
) -> list[TouchFact | PastTouchFact]:
    """See `Ledger.touches`."""
    found = await connection.scalars(
        select(col(TouchRow.body))
        .where(col(TouchRow.account_id) == account_id)
        .order_by(col(TouchRow.at).desc(), col(TouchRow.seq).desc())
        .limit(limit)
    )
    return [_ANY_TOUCH.validate_json(body) for body in found]


async def signals_known(
    connection: AsyncConnection, account_id: str, signals: Collection[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """See `Ledger.signals_known`."""
    source, signal_id = col(SignalRow.source), col(SignalRow.signal_id)
    found: set[tuple[str, str]] = set()
    for some in _portions(sorted(set(signals))):
        rows = await connection.execute(
            select(source, signal_id).where(
                col(SignalRow.account_id) == account_id, tuple_(source, signal_id).in_(some)
            )
        )
        found.update((row[0], row[1]) for row in rows)
    return frozenset(found)


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """See `Ledger.counts`."""
    each = (select(literal(name), func.count()).select_from(table) for name, table in METADATA.tables.items())
    rows = await connection.execute(union_all(*each))
    return {row[0]: row[1] for row in rows}


def _portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
