"""The version of the tables: bringing a database up to this code, and telling when it is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger._engine import POSTGRES, Place, make_file, open_writer
from ledger._errors import LedgerError, LedgerFault, told_as_ledger_error

REVISIONS: Final = ("0001", "0002", "0003", "0004")
"""Every revision under `migrations/versions`, oldest first. Listed, because asking alembic costs 0.4 s."""

HEAD: Final = REVISIONS[-1]

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 7_846_238_905  # any number, as long as every version of this code asks for the same


async def migrate(place: Place) -> str:
    """Bring the tables to `HEAD` and return it.

    Runs on an event loop in a thread of its own, since alembic is synchronous and slow to import.

    Raises:
        LedgerError: `newer`, or anything that keeps the database from being written.
    """
    return await asyncio.to_thread(lambda: asyncio.run(_migrate(place)))


async def check(connection: AsyncConnection, place: Place) -> None:
    """Raise a `LedgerError` unless the tables are exactly those of this code."""
    found = await connection.run_sync(_revision)
    if found == HEAD:
        return
    _refuse_if_newer(found, place)
    state = f"has its tables at revision {found}, this program needs {HEAD}" if found else "has no tables yet"
    raise LedgerError(
        LedgerFault.NOT_MIGRATED, f"The ledger {place.label} {state}; run the migration before using it"
    )


async def _migrate(place: Place) -> str:
    engine = open_writer(place)
    try:
        with told_as_ledger_error("migrate the ledger", place.label):
            make_file(place)
            async with engine.begin() as connection:
                if place.dialect == POSTGRES:
                    await connection.execute(
                        text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                    )
                # Read under the lock: whoever waited for it finds the work done.
                found = await connection.run_sync(_revision)
                _refuse_if_newer(found, place)
                if found != HEAD:
                    await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()
    return HEAD


def _revision(connection: Connection) -> str | None:
    """Return the revision the database is at, None if it has no tables of ours."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _refuse_if_newer(found: str | None, place: Place) -> None:
    if found is not None and found not in REVISIONS:
        raise LedgerError(
            LedgerFault.NEWER,
            f"The ledger {place.label} is at revision {found}, which this program does not know (it knows up "
            f"to {HEAD}); it was made by a later version: use that version",
        )


def _upgrade(connection: Connection) -> None:
    # Imported here: every start checks the revision, hardly any start migrates.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
