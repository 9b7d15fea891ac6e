"""The TypeScript example is installed, built and run, and keeps the contract on the real engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from temporalio.testing import WorkflowEnvironment

from activities import publish_first
from governance import load_policy_set
from ledger import Ledger
from tests.channels.support import http_server
from tests.cli.program import ROOT, tutti
from tests.gateway.test_handovers import an_app
from tests.workflows.stage import DEMO_POLICIES

EXAMPLE = ROOT / "examples" / "channel-typescript"
TOKEN = "t" * 32
SECONDS = 90.0


class MatrixRoom:
    """A home server that keeps to the specification: a transaction is one event, and events are redacted."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, str]] = {}
        self.redacted: set[str] = set()
        self._by_transaction: dict[str, str] = {}

    def app(self) -> Starlette:
        rooms = "/_matrix/client/v3/rooms/{room}"
        return Starlette(
            routes=[
                Route(f"{rooms}/send/m.room.message/{{transaction:path}}", self._send, methods=["PUT"]),
                Route(f"{rooms}/redact/{{event}}/{{transaction:path}}", self._redact, methods=["PUT"]),
            ]
        )

    async def _send(self, request: Request) -> JSONResponse:
        assert request.headers["authorization"] == "Bearer room-token"
        transaction = request.path_params["transaction"]
        event = self._by_transaction.setdefault(transaction, f"$event-{len(self._by_transaction)}")
        self.events.setdefault(event, await request.json())
        return JSONResponse({"event_id": event})

    async def _redact(self, request: Request) -> JSONResponse:
        event = request.path_params["event"]
        if event not in self.events:
            return JSONResponse({"errcode": "M_NOT_FOUND", "error": "unknown event"}, 404)
        self.redacted.add(event)
        return JSONResponse({"event_id": f"$redaction-of-{event}"})


async def run(*arguments: str, cwd: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, f"{' '.join(arguments)}:\n{said.decode()[-3_000:]}"


@asynccontextmanager
async def node_worker(folder: Path, **settings: str) -> AsyncIterator[None]:
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node,
        "dist/worker.js",
        cwd=folder,
        env=os.environ | settings,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert json.loads(line) == {"ready": settings["ROOM_TASK_QUEUE"]}
        yield
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()


def policies_with_the_room(folder: Path, queue: str) -> Path:
    policies = folder / "policies"
    shutil.copytree(DEMO_POLICIES, policies)
    entry = f"""
  - name: account-room
    medium: message
    reversibility: partial
    recall: true
    task_queue: {queue}
    delivery: idempotent
    schedule_to_start: 2m
    start_to_close: 1m
    heartbeat: 3s
    retry_after: 15m
    needs: nothing
"""
    with (policies / "channels.yaml").open("a", encoding="utf-8") as file:
        file.write(entry)
    return policies


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed and built once."""
    assert shutil.which("node"), "node is not installed: apt-get install nodejs npm, as .ci/run does"
    assert shutil.which("npm"), "npm is not installed: apt-get install nodejs npm, as .ci/run does"
    folder = tmp_path_factory.mktemp("typescript") / "channel"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    await run("npm", "ci", "--no-fund", "--no-audit", cwd=folder)
    await run("npm", "run", "build", cwd=folder)
    return folder


@pytest.mark.timeout(240)
async def test_the_typescript_channel_keeps_the_contract(
    temporal: WorkflowEnvironment, tmp_path: Path, built: Path
) -> None:
    queue, room = f"room-{uuid.uuid4().hex[:8]}", MatrixRoom()
    url = f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    ledger = await Ledger.open(url)
    try:
        await ledger.migrate()
        await publish_first(ledger, load_policy_set(policies_with_the_room(tmp_path, queue)))
        address = temporal.client.service_client.config.target_host
        async with (
            http_server(an_app(ledger, SecretStr(TOKEN))) as gateway,
            http_server(room.app()) as homeserver,
            node_worker(
                built,
                TEMPORAL_ADDRESS=address,
                TUTTI_GATEWAY_URL=gateway,
                TUTTI_CHANNEL_TOKEN=TOKEN,
                ROOM_HOMESERVER=homeserver,
                ROOM_TOKEN="room-token",
                ROOM_ID="!northwind:example.com",
                ROOM_TASK_QUEUE=queue,
            ),
        ):
            told = await tutti(
                "channel",
                "verify",
                "account-room",
                "--json",
                cwd=tmp_path,
                TEMPORAL_ADDRESS=address,
                TUTTI_LEDGER_URL=url,
            )
    finally:
        await ledger.close()

    assert told.code == 0, told.out + told.err
    results = {probe["name"]: probe["result"] for probe in json.loads(told.out)["probes"]}
    skipped = {name for name, result in results.items() if result == "skipped"}
    assert skipped == {"claimed", "left-open", "no-recipient"}
    assert room.redacted


@pytest.mark.timeout(240)
@pytest.mark.parametrize("said", [None, {}, [], {"answer": "open"}, {"answer": "perhaps"}])
async def test_without_the_word_of_the_gateway_the_typescript_channel_hands_nothing_over(
    built: Path, said: object
) -> None:
    """Given something else than the gateway at its address, then the last look raises an error to retry."""

    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(said)

    script = """
        import { Handovers } from './dist/handovers.js';
        const asked = new Handovers(process.argv[1], 'token').check({ touch_id: 'a/p/1' });
        await asked.then(() => process.exit(1), (error) => process.exit(error.type === 'Retryable' ? 0 : 2));
    """
    app = Starlette(routes=[Route("/v1/handovers/check", answer, methods=["POST"])])
    async with http_server(app) as url:
        await run("node", "--input-type=module", "-e", script, url, cwd=built)


def test_the_lock_of_the_example_names_no_host() -> None:
    lock = json.loads((EXAMPLE / "package-lock.json").read_text())

    assert all("resolved" not in package for package in lock["packages"].values())
    assert all(
        package["integrity"].startswith("sha512-") for name, package in lock["packages"].items() if name
    )
