"""One error for all that can go wrong with the database: a code to act on and a sentence to read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class LedgerFault(StrEnum):
    """What is wrong, stable enough for programs to act on."""

    BAD_URL = "bad_url"
    """The address names no database this room can use."""
    UNREACHABLE = "unreachable"
    """No file, folder or server where the address points, or no permission to reach it."""
    LOCKED = "locked"
    """Somebody else kept the database busy for too long; later may work."""
    READ_ONLY = "read_only"
    """The database can be read but not written."""
    FULL = "full"
    """No space is left for the database."""
    DAMAGED = "damaged"
    """The file is no database, or its content is broken."""
    NOT_MIGRATED = "not_migrated"
    """The tables are missing or older than this code."""
    NEWER = "newer"
    """The tables were made by a later version of this code."""
    OVERTAKEN = "overtaken"
    """Somebody else published a policy set since the caller looked."""
    TAKEN = "taken"
    """The id names something else already, or something that is over."""
    FAILED = "failed"
    """Anything else that the database refused."""


class LedgerError(Exception):
    """The ledger could not do what was asked; nothing of that request was written.

    One exception to the second half: if the connection to a server broke while a commit was under way, the
    request may have been written. Every request can be repeated, and a claim that was written in that gap
    reads as open, never as new.

    Attributes:
        code: What is wrong, for programs.
    """

    def __init__(self, code: LedgerFault, sentence: str) -> None:
        super().__init__(sentence)
        self.code: Final = code


_REMEDIES: Final = {
    LedgerFault.UNREACHABLE: "check that it exists, is running and may be opened",
    LedgerFault.LOCKED: "another process keeps it busy; try again, or find what holds it",
    LedgerFault.READ_ONLY: "make the file, its folder and the disk writable for this user",
    LedgerFault.FULL: "free some space on its disk; nothing was written",
    LedgerFault.DAMAGED: "restore it from a backup, or move it away and rebuild the ledger",
    LedgerFault.NOT_MIGRATED: "run the migration before using it",
}

# Primary result codes of SQLite; extended ones such as SQLITE_IOERR_WRITE begin with the same words.
_SQLITE: Final = (
    ("SQLITE_BUSY", LedgerFault.LOCKED),
    ("SQLITE_LOCKED", LedgerFault.LOCKED),
    ("SQLITE_FULL", LedgerFault.FULL),
    ("SQLITE_READONLY", LedgerFault.READ_ONLY),
    ("SQLITE_CANTOPEN", LedgerFault.UNREACHABLE),
    ("SQLITE_PERM", LedgerFault.UNREACHABLE),
    ("SQLITE_AUTH", LedgerFault.UNREACHABLE),
    ("SQLITE_CORRUPT", LedgerFault.DAMAGED),
    ("SQLITE_NOTADB", LedgerFault.DAMAGED),
)

# SQLite has one code for every mistake in a statement; only its words tell that something is missing.
_SQLITE_MISSING: Final = ("no such table", "no such column", "has no column named")

# PostgreSQL's SQLSTATE codes, the longer ones first.
_SQLSTATE: Final = (
    ("42P01", LedgerFault.NOT_MIGRATED),
    ("42703", LedgerFault.NOT_MIGRATED),
    ("53100", LedgerFault.FULL),
    ("53300", LedgerFault.LOCKED),
    ("25006", LedgerFault.READ_ONLY),
    ("42501", LedgerFault.READ_ONLY),
    ("55P03", LedgerFault.LOCKED),
    ("57014", LedgerFault.LOCKED),
    ("40", LedgerFault.LOCKED),
    ("08", LedgerFault.UNREACHABLE),
    ("28", LedgerFault.UNREACHABLE),
    ("3D", LedgerFault.UNREACHABLE),
    ("57P", LedgerFault.UNREACHABLE),
)


@contextmanager
def told_as_ledger_error(doing: str, where: str) -> Iterator[None]:
    """Turn what drivers raise inside the block into a `LedgerError`.

    Args:
        doing: What was being done, to follow "Cannot", e.g. `record facts`.
        where: The database as a person knows it: a file path or an address without password.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise _refusal(LedgerFault.LOCKED, doing, where, "every connection is in use") from error
    except DBAPIError as error:
        code, cause = _read(error.orig)
        raise _refusal(code, doing, where, cause) from error
    except sqlite3.Error as error:  # where we use the driver without SQLAlchemy
        code, cause = _read(error)
        raise _refusal(code, doing, where, cause) from error
    except SQLAlchemyError as error:
        raise _refusal(LedgerFault.FAILED, doing, where, _first_line(error)) from error
    except OSError as error:  # what asyncpg raises when no server answers
        raise _refusal(LedgerFault.UNREACHABLE, doing, where, _first_line(error)) from error
    except Exception as error:
        # asyncpg raises its own errors while connecting, before SQLAlchemy can wrap them.
        if getattr(error, "sqlstate", None) is None:
            raise
        code, cause = _read(error)
        raise _refusal(code, doing, where, cause) from error


def _read(error: BaseException | None) -> tuple[LedgerFault, str]:
    """Tell what a driver's error means."""
    cause = _first_line(error)
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_ERROR" and any(sign in cause for sign in _SQLITE_MISSING):
            return LedgerFault.NOT_MIGRATED, cause
        if name.startswith("SQLITE_CANTOPEN"):
            cause = "there is no such file or it may not be opened"
        return _by_prefix(_SQLITE, name), cause
    return _by_prefix(_SQLSTATE, getattr(error, "sqlstate", None) or ""), cause


def _by_prefix(table: tuple[tuple[str, LedgerFault], ...], name: str) -> LedgerFault:
    return next((code for prefix, code in table if name.startswith(prefix)), LedgerFault.FAILED)


def _refusal(code: LedgerFault, doing: str, where: str, cause: str) -> LedgerError:
    remedy = _REMEDIES.get(code)
    return LedgerError(code, f"Cannot {doing}: {cause} (ledger {where})" + (f"; {remedy}" if remedy else ""))


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
