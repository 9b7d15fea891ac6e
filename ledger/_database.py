"""The database behind the ledger: opening it, its tables, and one transaction at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import (
    _schema,
)
from ledger._engine import Place, open_reader, open_writer, place_of
from ledger._errors import told_as_ledger_error


class Database:
    """One database, shared by the tasks of a process and with other processes."""

    def __init__(self, place: Place, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Prepare the use of a database; nothing is connected and no schema is made yet.

        Args:
            url: `sqlite+aiosqlite:////absolute/path/ledger.db` (`?timeout=SECONDS` sets how long to wait for
                a lock, 10 by default), or `postgresql+asyncpg://user:password@host/database`.

        Raises:
            LedgerError: `bad_url`.
        """
        place = place_of(url)
        writer = open_writer(place)
        return cls(place, open_reader(place) if place.path else writer, writer)

    async def migrate(self) -> str:
        """Bring the tables to the version of this code, making the SQLite file if there is none.

        Safe when several processes do it at once: one works, the others wait.

        Returns:
            The revision, such as `0001`.

        Raises:
            LedgerError: `newer`, if the tables were made by a later version of this code.
        """
        return await _schema.migrate(self._place)

    async def check(self) -> None:
        """Make sure that the database answers and its tables are those of this code.

        Raises:
            LedgerError: `unreachable`, `not_migrated`, `newer`, or what else is wrong.
        """
        async with self._reading("open the ledger") as connection:
            await _schema.check(connection, self._place)

    async def close(self) -> None:
        """Close all connections; closing twice does no harm."""
        await self._reader.dispose()
        await self._writer.dispose()

    @asynccontextmanager
    async def _reading(self, doing: str) -> AsyncIterator[AsyncConnection]:
        with told_as_ledger_error(doing, self._place.label):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self, doing: str) -> AsyncIterator[AsyncConnection]:
        with told_as_ledger_error(doing, self._place.label):
            async with self._writer.begin() as connection:
                yield connection
