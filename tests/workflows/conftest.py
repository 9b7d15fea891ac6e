"""The stage fixture: every workflow test runs with the workflow cache and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.workflows.stage import Stage, staged


@pytest_asyncio.fixture(
    loop_scope="session",
    params=[pytest.param(1_000, id="cached"), pytest.param(0, id="uncached")],
)
async def stage(
    request: pytest.FixtureRequest, temporal: WorkflowEnvironment, tmp_path: Path
) -> AsyncIterator[Stage]:
    """A stage with the demo's policies; uncached, every workflow task replays the whole history."""
    async with staged(temporal.client, tmp_path, max_cached_workflows=request.param) as made:
        yield made
