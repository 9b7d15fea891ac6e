from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ledger import Ledger


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest_asyncio.fixture(loop_scope="session")
async def ledger(database: Path) -> AsyncIterator[Ledger]:
    """A real ledger in a file of its own."""
    opened = await Ledger.open(f"sqlite+aiosqlite:///{database}")
    try:
        await opened.migrate()
        yield opened
    finally:
        await opened.close()
