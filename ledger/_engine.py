"""Connections: how SQLite and PostgreSQL are opened, read and written, and all that differs between them."""

from __future__ import annotations

import importlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Table, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ledger._errors import LedgerError, LedgerFault
from ledger._types import as_text, to_json

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"

_DRIVERS: Final = {SQLITE: "aiosqlite", POSTGRES: "asyncpg"}
_SQLITE_READERS = 4
_BUSY_SECONDS = 10.0
_POOL_SECONDS = 30.0
_INODE = "ledger_file"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ledger is.

    Attributes:
        url: The address with its driver; for SQLite the path is absolute.
        dialect: `sqlite` or `postgresql`.
        path: The file, for SQLite only.
        label: The place as a person knows it, without password.
    """

    url: URL
    dialect: str
    path: Path | None
    label: str


def place_of(address: str) -> Place:
    """Read a database address such as `sqlite+aiosqlite:////var/lib/tutti/ledger.db`.

    Raises:
        LedgerError: `bad_url`, if it is none, or names another database, driver or no file.
    """
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise _bad_url("it cannot be read as one") from error
    dialect = url.get_backend_name()
    if url.drivername != f"{dialect}+{_DRIVERS.get(dialect)}":
        raise _bad_url(f"{url.drivername!r} is not supported")
    if dialect != SQLITE:
        return Place(url, dialect, None, url.render_as_string(hide_password=True))
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise _bad_url("it names no file, and processes cannot share a ledger in memory")
    path = Path(url.database).absolute()
    return Place(url.set(database=str(path)), dialect, path, str(path))


def open_reader(place: Place) -> AsyncEngine:
    """Return the engine for reading; nothing is opened yet."""
    if place.path is None:
        return _engine(place.url, pool_pre_ping=True)
    engine = _engine(
        _sqlite_url(place, place.path), pool_size=_SQLITE_READERS, max_overflow=0, pool_timeout=_POOL_SECONDS
    )
    _prepare_sqlite(engine, place.path, "PRAGMA query_only=ON")
    return engine


def open_writer(place: Place) -> AsyncEngine:
    """Return the engine for writing; nothing is opened yet.

    On SQLite it has one connection, whose queue lets writers of this process take turns fairly instead of
    polling for the file's lock, and every transaction takes that lock at its beginning, so that what it reads
    stays true until it commits.
    """
    if place.path is None:
        return _engine(place.url, pool_pre_ping=True)
    engine = _engine(_sqlite_url(place, place.path), pool_size=1, max_overflow=0, pool_timeout=_POOL_SECONDS)
    _prepare_sqlite(engine, place.path, "PRAGMA foreign_keys=ON", "PRAGMA synchronous=FULL")

    @event.listens_for(engine.sync_engine, "begin")
    def _lock_first(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def make_file(place: Place) -> None:
    """Make sure that there is a SQLite file that readers and a writer can use at the same time.

    The file itself remembers this mode (WAL). It blocks: call it from a thread of its own. For PostgreSQL,
    and for an address that asks for `mode=ro`, there is nothing to do.
    """
    if place.path is None or "mode" in place.url.query:
        return
    address = f"file:{quote(str(place.path))}?mode=rwc"
    deadline = time.monotonic() + _BUSY_SECONDS
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                # Here SQLite does not wait for a busy file, as it does elsewhere.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@cache
def upsert(
    table: Table,
    dialect: str,
    wins: Callable[[Any, Any], Any] | None = None,
    changes: tuple[str, ...] | None = None,
) -> SqliteInsert | PostgresInsert:
    """Return an insert that settles a conflict over the primary key.

    Args:
        table: Where to insert.
        dialect: `sqlite` or `postgresql`.
        wins: Given the columns of the new and of the stored row, the condition under which the new one
            replaces the stored one. None: the stored one stays.
        changes: The columns that are then replaced. None: all but the key.
    """
    # Imported when first needed: the dialect that is not in use is never loaded.
    statement = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    keys = list(table.primary_key.columns)
    if wins is None:
        return statement.on_conflict_do_nothing(index_elements=keys)  # type: ignore[no-any-return]
    new = statement.excluded
    changed = changes or tuple(column.name for column in table.columns if not column.primary_key)
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=keys,
        set_={name: new[name] for name in changed},
        where=wins(new, table.c),
    )


def _engine(url: URL, **options: Any) -> AsyncEngine:  # noqa: ANN401 - create_async_engine's own options
    try:
        return create_async_engine(url, json_serializer=to_json, json_deserializer=as_text, **options)
    except ModuleNotFoundError as error:
        raise _bad_url(f"its driver {error.name} is not installed; install it") from error


def _sqlite_url(place: Place, path: Path) -> URL:
    """Build SQLite's own kind of address, which can say that a missing file must not be made.

    The caller's options win, such as `mode=ro`, or `timeout`: the seconds to wait for a lock.
    """
    query = {"timeout": str(_BUSY_SECONDS), "mode": "rw", "uri": "true"} | dict(place.url.query)
    return place.url.set(database=f"file:{quote(str(path))}", query=query)


def _prepare_sqlite(engine: AsyncEngine, path: Path, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's own
        connection.isolation_level = None  # we begin transactions; the driver would begin too late
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()
        entry.info[_INODE] = _inode(path)

    @event.listens_for(engine.sync_engine, "checkout")
    def _same_file(connection: Any, entry: ConnectionPoolEntry, proxy: Any) -> None:  # noqa: ANN401, ARG001
        # A file that was deleted or replaced stays writable for whoever has it open, and everything written
        # to it, claims included, would be lost. Connecting again finds the new file, or says there is none.
        if _inode(path) != entry.info[_INODE]:
            raise DisconnectionError(f"{path} was removed or replaced")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _bad_url(why: str) -> LedgerError:
    return LedgerError(
        LedgerFault.BAD_URL,
        f"Cannot use the ledger's address: {why}; write it like sqlite+aiosqlite:////absolute/path/ledger.db "
        "or postgresql+asyncpg://user:password@host/database",
    )
