import re
import subprocess
import time
import tomllib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.conftest import SEARCH_ATTRIBUTES, program

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"


class Nap(BaseModel):
    length: timedelta
    ends_before: datetime


@workflow.defn
class NapWorkflow:
    @workflow.run
    async def run(self, nap: Nap) -> bool:
        await workflow.sleep(nap.length)
        return workflow.now() < nap.ends_before


async def take_nap(
    client: Client, length: timedelta, attributes: TypedSearchAttributes | None = None
) -> bool:
    name = f"scaffolding-{uuid.uuid4()}"
    async with Worker(client, task_queue=name, workflows=[NapWorkflow]):
        return await client.execute_workflow(
            NapWorkflow.run,
            Nap(length=length, ends_before=datetime(9999, 1, 1, tzinfo=UTC)),
            id=name,
            task_queue=name,
            search_attributes=attributes or TypedSearchAttributes.empty,
        )


async def test_the_embedded_server_runs_a_workflow_with_our_search_attributes(
    temporal: WorkflowEnvironment,
) -> None:
    by_type = {str: "x", int: 1, bool: True, datetime: datetime(2026, 1, 1, tzinfo=UTC)}
    attributes = TypedSearchAttributes(
        [SearchAttributePair(key, by_type[key.origin_value_type]) for key in SEARCH_ATTRIBUTES]
    )

    assert await take_nap(temporal.client, timedelta(milliseconds=1), attributes)


async def test_the_time_skipping_server_jumps_over_a_month(time_skipping: WorkflowEnvironment) -> None:
    started = time.monotonic()

    assert await take_nap(time_skipping.client, timedelta(days=30))
    assert time.monotonic() - started < 30


def test_the_command_line_of_the_server_is_in_the_environment() -> None:
    answer = subprocess.run([program("temporal"), "--version"], check=True, capture_output=True, text=True)

    assert answer.stdout.startswith("temporal version")


def test_a_missing_program_is_named_with_the_remedy() -> None:
    with pytest.raises(FileNotFoundError, match=r"^no-such-program .*make env"):
        program("no-such-program")


def test_the_lock_names_no_index_host_or_path() -> None:
    text = LOCK.read_text(encoding="utf-8")

    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    assert not re.search(r"(^|\s)(/|file:|-e\b)", text, flags=re.MULTILINE)


def test_every_dependency_is_locked_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    entries = re.findall(
        r"^([a-z0-9-]+)==[^\n]*\\\n\s+--hash=sha256:[0-9a-f]{64}", LOCK.read_text("utf-8"), flags=re.MULTILINE
    )

    missing = {normalised(requirement) for requirement in asked} - set(entries)

    assert len(asked) > 20
    assert not missing


def normalised(requirement: str) -> str:
    """Reduce ``sqlalchemy[asyncio]>=2`` to the name as the lock spells it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()
