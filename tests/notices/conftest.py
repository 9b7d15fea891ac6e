import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ledger import Ledger


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger to copy: making it takes longer than most tests."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    opened = await Ledger.open(f"sqlite+aiosqlite:///{file}")
    try:
        await opened.migrate()
    finally:
        await opened.close()
    return file


@pytest.fixture
def database(tmp_path: Path, empty_ledger: Path) -> Path:
    return Path(shutil.copy(empty_ledger, tmp_path))


@pytest_asyncio.fixture(loop_scope="session")
async def ledger(database: Path) -> AsyncIterator[Ledger]:
    """A real ledger in a file of its own."""
    opened = await Ledger.open(f"sqlite+aiosqlite:///{database}")
    try:
        yield opened
    finally:
        await opened.close()
