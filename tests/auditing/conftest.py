import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from domain import LedgerFact
from ledger import Ledger
from tests.auditing import accounts as a

Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture(scope="session")
def facts() -> tuple[LedgerFact, ...]:
    """Everything that the account `northwind` lived through."""
    return a.lived("northwind")


@pytest_asyncio.fixture(scope="session")
async def original(tmp_path_factory: pytest.TempPathFactory, facts: tuple[LedgerFact, ...]) -> Path:
    """A ledger file that knows two accounts; tests work on copies."""
    path = tmp_path_factory.mktemp("audit") / "original.db"
    ledger = await Ledger.open(url_of(path))
    await ledger.migrate()
    await a.tell(ledger, "northwind", facts)
    await a.tell(ledger, "contoso", a.short("contoso"))
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path, original: Path) -> Path:
    copy = tmp_path / "ledger.db"
    shutil.copy(original, copy)
    return copy


@pytest_asyncio.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(url_of(path))
    yield opened
    await opened.close()


@pytest.fixture
def query(path: Path) -> Query:
    """Change the file past the ledger's own code, as somebody does who covers something up."""

    def ask(statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            return connection.execute(statement, values).fetchall()

    return ask
