"""The embedded Temporal server: where its program is, how it is started, and when it is ready."""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
from datetime import timedelta
from pathlib import Path

from tutti.local._errors import StackCode, StackError
from tutti.local._ports import LOOPBACK, Ports

NAMESPACE = "default"

SEARCH_ATTRIBUTES = {
    "AccountStage": "Keyword",
    "AccountTier": "Keyword",
    "PendingApprovals": "Int",
    "ApprovalDueAt": "Datetime",
    "OnHold": "Bool",
    "NextTouchAt": "Datetime",
    "PolicyVersion": "Keyword",
    "ActivePlay": "Keyword",
    "TouchesInDoubt": "Int",
}
"""What operators filter accounts by in the Temporal UI."""

_POLL_SECONDS = 0.02


def server_program() -> str:
    """Find the server that came with the environment, activated or not.

    Raises:
        StackError: It is not installed.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("temporal", path=scripts) or shutil.which("temporal")
    if found is None:
        raise StackError(
            StackCode.PROGRAM,
            f"the Temporal server (temporal) is not in {scripts}; install it with `make env`",
        )
    return found


def server_command(program: str, ports: Ports, database: Path) -> tuple[str, ...]:
    """Return program and arguments of a server that keeps its state in a file and stays on loopback."""
    attributes = [
        part for name, kind in SEARCH_ATTRIBUTES.items() for part in ("--search-attribute", f"{name}={kind}")
    ]
    return (
        program,
        "server",
        "start-dev",
        "--db-filename",
        str(database),
        "--ip",
        LOOPBACK,
        "--port",
        str(ports.temporal),
        "--ui-port",
        str(ports.ui),
        "--ui-disable-news-fetch",  # the UI must not ask the internet for anything
        "--log-level",
        "warn",
        *attributes,
    )


async def server_ready(ports: Ports) -> None:
    """Return once the server serves the namespace with our search attributes and the UI takes connections."""
    await asyncio.to_thread(_import_service)  # most of a second: a thread, so that others start meanwhile
    while not (await _serving(ports) and await _listening(ports.ui)):  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(_POLL_SECONDS)


def _import_service() -> None:
    import temporalio.service  # noqa: F401


async def _serving(ports: Ports) -> bool:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.service import ConnectConfig, RPCError, ServiceClient

    if not await _listening(ports.temporal):
        return False  # a look is cheaper than a failed connection of the client
    patience = timedelta(seconds=5)
    try:
        client = await ServiceClient.connect(
            ConnectConfig(target_host=f"{LOOPBACK}:{ports.temporal}", connect_timeout=patience)
        )
        if not await client.check_health(timeout=patience):
            return False
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=NAMESPACE), timeout=patience
        )
    except (RPCError, RuntimeError):  # not yet: refused, starting, or the namespace is still being made
        return False
    return SEARCH_ATTRIBUTES.keys() <= known.custom_attributes.keys()


async def _listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
