"""One stack for all tests of this folder: each test has accounts of its own on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A running stack; who stops it starts it again."""
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        await made.start()
        yield made
    finally:
        await made.kill()
    assert not made.processes()
