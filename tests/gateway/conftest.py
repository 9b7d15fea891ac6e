"""The gateway's tests work on the same kind of ledger as the channels'; some ask accounts that are alive."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.channels.conftest import database, empty_ledger, ledger
from tests.gateway.asking import Desk, desk_of

__all__ = ["database", "desk", "empty_ledger", "front", "ledger"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(
    temporal: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """A gateway in front of accounts that ask people."""
    async with desk_of(temporal.client, tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def desk(front: Desk) -> Desk:
    """The same, with an account that no other test knows."""
    return await front.another()
