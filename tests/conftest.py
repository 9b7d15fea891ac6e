"""Servers for the tests, and the check that nothing of them is left behind.

Both servers are the real programs from the locked environment; nothing is downloaded and no Docker is
needed. One embedded server serves the whole run, so a test takes a task queue and ids of its own, and
awaits or terminates what it started: a call still pending when the loop closes can abort the interpreter.
"""

import os
import shutil
import signal
import sysconfig
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from workflows import tutti_plugin

SEARCH_ATTRIBUTES = (
    SearchAttributeKey.for_keyword("AccountStage"),
    SearchAttributeKey.for_keyword("AccountTier"),
    SearchAttributeKey.for_int("PendingApprovals"),
    SearchAttributeKey.for_datetime("ApprovalDueAt"),
    SearchAttributeKey.for_bool("OnHold"),
    SearchAttributeKey.for_datetime("NextTouchAt"),
    SearchAttributeKey.for_keyword("PolicyVersion"),
    SearchAttributeKey.for_keyword("ActivePlay"),
    SearchAttributeKey.for_int("TouchesInDoubt"),
)

_MARKER = "TUTTI_TEST_RUN"
_GRACE_SECONDS = 5.0
_PROC = Path("/proc")


def program(name: str) -> str:
    """Find a program of the environment the tests run in, activated or not.

    Args:
        name: The program's file name, such as ``temporal``.

    Returns:
        Its full path.

    Raises:
        FileNotFoundError: The environment has no such program.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        message = f"{name} is not installed beside {sysconfig.get_path('scripts')}: run `make env`"
        raise FileNotFoundError(message)
    return found


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """Fail the run if a process that it started outlives it.

    Being first, this fixture is the last to be torn down. A mark in the environment is inherited by every
    descendant, so a server whose parent died and was handed to init is found as well.
    """
    if not _PROC.is_dir():
        yield  # /proc is Linux only; elsewhere the check has nothing to read
        return
    mark = uuid.uuid4().hex
    os.environ[_MARKER] = mark
    yield
    deadline = time.monotonic() + _GRACE_SECONDS
    while (left := _descendants(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left:
        pytest.fail(f"still running after the tests: {left}", pytrace=False)


def _descendants(mark: str) -> dict[int, str]:
    """List the living processes that carry the mark, with their command lines."""
    wanted = f"{_MARKER}={mark}".encode()
    found: dict[int, str] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            marked = wanted in (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # ended while we looked, or belongs to somebody else
        # Python keeps this helper of multiprocessing until the interpreter itself exits.
        if marked and "multiprocessing.resource_tracker" not in command:
            found[int(entry.name)] = command
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """One embedded Temporal server for the whole run, with our search attributes registered."""
    async with await WorkflowEnvironment.start_local(
        plugins=[tutti_plugin()],
        dev_server_existing_path=program("temporal"),
        dev_server_log_level="error",
        search_attributes=SEARCH_ATTRIBUTES,
    ) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A fresh server whose clock jumps over waits, for one test.

    Its clock is shared by everything on it: run one workflow at a time, else it hangs.
    """
    async with await WorkflowEnvironment.start_time_skipping(
        plugins=[tutti_plugin()],
        test_server_existing_path=program("temporal-test-server"),
    ) as environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes={
                    key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
                    for key in SEARCH_ATTRIBUTES
                },
            )
        )
        yield environment
