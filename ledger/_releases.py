"""Releases: which policy set is in force, and who put it there."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, TypeAdapter
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import Frozen, Moment, ShortText
from ledger._engine import POSTGRES
from ledger._errors import LedgerError, LedgerFault
from ledger._tables import PolicyReleaseRow, table_of
from ledger._writing import record_policy_set

_RELEASES = table_of(PolicyReleaseRow)
_PUBLISH_LOCK = 7_846_238_906  # any number, as long as every version of this code asks for the same


class ReleaseKind(StrEnum):
    """How a policy set came into force."""

    FIRST = "first"
    """The first worker on an empty ledger found it in its folder."""
    PUBLISH = "publish"
    """Somebody published it."""
    ROLLBACK = "rollback"
    """Somebody went back to the files of an earlier release."""


class Release(Frozen):
    """A policy set put in force."""

    number: Annotated[int, Field(ge=1)]
    """Counts up from 1 without gaps; the highest is in force."""
    digest: str
    author: ShortText
    reason: ShortText
    at: Moment
    kind: ReleaseKind


_LIST: Final = TypeAdapter(list[Release])


async def publish(connection: AsyncConnection, files: Mapping[str, str], release: Release) -> Release:
    """Put a policy set in force inside a write transaction, as the release after the one before its number.

    See `Ledger.publish`.
    """
    if connection.dialect.name == POSTGRES:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _PUBLISH_LOCK})
    standing = await in_force(connection)
    if standing is not None and standing.digest == release.digest:
        return standing
    found = standing.number if standing is not None else 0
    if found + 1 != release.number:
        raise LedgerError(LedgerFault.OVERTAKEN, _overtaken(standing, release.number - 1))
    await record_policy_set(connection, release.digest, files, release.at)
    await connection.execute(insert(_RELEASES), [release.model_dump()])
    return release


def _overtaken(standing: Release | None, expected: int) -> str:
    seen = f"release {expected} was expected to be" if expected else "no release was expected to be"
    if standing is None:
        return f"Nothing was published: {seen} in force, but there is none; look again at what is in force"
    return (
        f"Nothing was published: {seen} in force, but {standing.author} published release {standing.number} "
        f"at {standing.at:%Y-%m-%d %H:%M:%S}Z ({standing.reason}); compare with it, then publish again"
    )


async def in_force(connection: AsyncConnection) -> Release | None:
    """See `Ledger.release_in_force`."""
    found = await releases(connection, 1)
    return found[0] if found else None


async def releases(connection: AsyncConnection, limit: int) -> list[Release]:
    """See `Ledger.releases`."""
    wanted = select(_RELEASES).order_by(col(PolicyReleaseRow.number).desc()).limit(limit)
    found = await connection.execute(wanted)
    return _LIST.validate_python([row._mapping for row in found])  # noqa: SLF001 - its public name in SQLAlchemy
