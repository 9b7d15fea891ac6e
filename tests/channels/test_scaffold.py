"""`tutti channel new`: what it makes works as it is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import uuid
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.testing import WorkflowEnvironment

from activities import publish_first
from activities.channels import UnknownChannelError, build_channel
from governance import load_policy_set
from ledger import Ledger
from tests.channels.support import LINKS, http_server
from tests.cli.program import ROOT, folder_is_untouched, refused, tutti
from tests.workflows.stage import DEMO_POLICIES

SECONDS = 100.0
DELIVERIES = ("idempotent", "at_most_once")


async def run(*arguments: str | Path, cwd: Path, **settings: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=cwd,
        env=os.environ | settings,
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
    assert process.returncode == 0, f"{arguments}:\n{said.decode()[-3_000:]}"


@pytest.mark.timeout(300)
async def test_what_is_made_passes_lint_types_and_its_own_test(tmp_path: Path) -> None:
    for delivery in DELIVERIES:
        name = delivery.replace("_", "-")
        made = await tutti(
            "channel", "new", f"crm-{name}", "--into", ".", "--delivery", delivery, cwd=tmp_path
        )
        assert made.code == 0, made.err
        assert f"delivery: {delivery}" in made.out

    # As a team of its own has it: our packages are third parties there.
    rules = "ALL", "--ignore", "COM812,CPY,D107,D203,D213,D413,EM,INP001,PLR2004,S101,S105,TC,TRY003"
    layout = "--isolated", "--line-length", "110", "--target-version", "py311"
    await run("ruff", "check", *layout, "--select", *rules, ".", cwd=tmp_path)
    await run("ruff", "format", *layout, "--check", ".", cwd=tmp_path)
    await run("mypy", "--strict", ".", cwd=tmp_path, MYPYPATH=str(ROOT))
    await run("pytest", "-q", "-p", "no:cacheprovider", ".", cwd=tmp_path)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_what_is_made_runs_and_keeps_the_contract(
    temporal: WorkflowEnvironment, tmp_path: Path, delivery: str
) -> None:
    calls: list[object] = []

    async def take(request: Request) -> Response:
        calls.append(await request.json())
        return Response(status_code=204)

    made = await tutti("channel", "new", "crm-notes", "--into", ".", "--delivery", delivery, cwd=tmp_path)
    queue = f"crm-notes-{uuid.uuid4().hex[:8]}"
    entry = made.out[made.out.index("  - name:") : made.out.index("\nRun it")]
    policies, url = tmp_path / "policies", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    shutil.copytree(DEMO_POLICIES, policies)
    with (policies / "channels.yaml").open("a", encoding="utf-8") as file:
        file.write("\n" + entry.replace("task_queue: channel-crm-notes", f"task_queue: {queue}"))
    ledger = await Ledger.open(url)
    try:
        await ledger.migrate()
        await publish_first(ledger, load_policy_set(policies))
    finally:
        await ledger.close()
    address = temporal.client.service_client.config.target_host
    async with http_server(Starlette(routes=[Route("/", take, methods=["POST"])])) as service:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "worker",
            "crm-notes",
            cwd=tmp_path,
            env=os.environ
            | {
                "TEMPORAL_ADDRESS": address,
                "TUTTI_LEDGER_URL": url,
                "TUTTI_POLICIES": str(policies),
                "TUTTI_SIGNING_KEY": "k" * 32,
                "TUTTI_CHANNEL_MODULE": "crm_notes",
                "TUTTI_CRM_NOTES_URL": f"{service}/",
                "TUTTI_CRM_NOTES_TOKEN": "token",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert worker.stdout is not None
            line = await asyncio.wait_for(worker.stdout.readline(), 60)
            assert json.loads(line) == {"ready": "crm-notes"}
            drain = asyncio.create_task(worker.stdout.read())
            told = await tutti(
                *("channel", "verify", "crm-notes", "--json"),
                cwd=tmp_path,
                TEMPORAL_ADDRESS=address,
                TUTTI_LEDGER_URL=url,
            )
        finally:
            worker.terminate()
            await asyncio.wait_for(worker.wait(), 30)
        await drain

    assert told.code == 0, told.out + told.err
    assert calls


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Room", "is no name for a channel"),
        ("../room", "is no name for a channel"),
        ("1room", "is no name for a channel"),
        ("r" * 31, "is no name for a channel"),
        ("email", "comes with Tutti"),
        ("json", "is a name of Python's own"),
        ("class", "is a name of Python's own"),
        ("worker", "is the name of a module that is installed here"),
        ("pydantic", "is the name of a module that is installed here"),
    ],
)
async def test_a_name_that_will_not_do_is_refused_and_nothing_is_made(
    tmp_path: Path, name: str, why: str
) -> None:
    assert why in refused(await tutti("channel", "new", name, cwd=tmp_path))
    assert folder_is_untouched(tmp_path)


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_room.py").write_text("mine")

    line = refused(await tutti("channel", "new", "room", "--into", ".", cwd=tmp_path))

    assert "test_room.py is there already" in line
    assert not (tmp_path / "room.py").exists()
    assert (tmp_path / "test_room.py").read_text() == "mine"


@pytest.mark.parametrize(("module", "why"), [("no.such.module", "No module named"), ("json", "build")])
async def test_a_module_that_is_no_channel_is_named(ledger: Ledger, module: str, why: str) -> None:
    with pytest.raises(UnknownChannelError, match=f"TUTTI_CHANNEL_MODULE={module} cannot be used: .*{why}"):
        build_channel("room", ledger=ledger, unsubscribe=LINKS, module=module)
