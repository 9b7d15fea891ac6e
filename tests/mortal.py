"""A Temporal server, and workers, that can be killed and come back: the server with the file it had."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, RPCError
from temporalio.service import ConnectConfig, ServiceClient

from tests.conftest import program
from tests.workflows.stage import ROOT
from tutti.local._temporal import SEARCH_ATTRIBUTES
from workflows import tutti_plugin

START_SECONDS = 30.0


def lasting_port() -> int:
    """Return a free port that no outgoing connection takes while its server is dead (RFC 6335, 6)."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    message = "none of a hundred ports is free"
    raise AssertionError(message)


class MortalServer:
    """An embedded server on a port and a file of its own, which survive it."""

    def __init__(self, folder: Path) -> None:
        self._file, self._port = folder / "temporal.db", lasting_port()
        self._process: asyncio.subprocess.Process | None = None
        self.address = f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it, for the first time or again, and return when it serves."""
        attributes = [
            part
            for name, kind in SEARCH_ATTRIBUTES.items()
            for part in ("--search-attribute", f"{name}={kind}")
        ]
        self._process = await asyncio.create_subprocess_exec(
            program("temporal"),
            "server",
            "start-dev",
            "--headless",
            "--ip",
            "127.0.0.1",
            "--port",
            str(self._port),
            "--db-filename",
            str(self._file),
            "--log-level",
            "error",
            *attributes,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_SECONDS):
            while not await self._serves():
                assert self._process.returncode is None, "the server has ended"
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Take its life, without a word of warning."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def _serves(self) -> bool:
        try:
            service = await ServiceClient.connect(ConnectConfig(target_host=self.address))
            await service.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        except (RPCError, RuntimeError):
            return False
        return True


@asynccontextmanager
async def mortal_server(folder: Path) -> AsyncIterator[tuple[MortalServer, Client]]:
    """A server that serves, and a client that finds it again after it has been killed and started."""
    server = MortalServer(folder)
    try:
        await server.start()
        yield server, await Client.connect(server.address, plugins=[tutti_plugin()])
    finally:
        await server.kill()


class MortalWorker:
    """A worker process of one role, as `python -m worker ROLE` starts it."""

    def __init__(self, role: str, environment: Mapping[str, str]) -> None:
        self._role, self._environment = role, environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it polls."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "worker",
            self._role,
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        assert json.loads(line) == {"ready": self._role}

    async def kill(self) -> None:
        """Take its life, without a word of warning."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
