import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from ledger import Ledger

Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "100% ledger?.db"


@pytest.fixture
def url(path: Path) -> str:
    # A short wait for locks: no test here wants to see a long one succeed.
    return f"sqlite+aiosqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}?timeout=0.2"


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    """A migrated ledger in a file of its own."""
    opened = await Ledger.open(url)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
def query(path: Path) -> Query:
    """Look into the file past the ledger's own code."""

    def ask(statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    return ask
