"""The small programs of the stack, run as the stack runs them."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.local.helpers import SECONDS
from tutti.local import ChildSpec, ChildState, Layout, LocalStack, Ports, StackEvent, standard_children


def gateway_and_what_it_needs(layout: Layout) -> tuple[ChildSpec, ...]:
    return tuple(
        child for child in standard_children(layout) if child.name in {"temporal", "migrate", "gateway"}
    )


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_the_gateway_serves_once_it_is_ready_and_stops_when_asked(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    stack = LocalStack(
        tmp_path, ports=Ports.free(), children=gateway_and_what_it_needs, on_event=events.append
    )
    async with stack:
        assert await asyncio.to_thread(status, f"{stack.addresses.gateway}/healthz") == 200
        assert await asyncio.to_thread(status, f"{stack.addresses.gateway}/unsubscribe/forged") == 404

    assert ("gateway", ChildState.STOPPED) in [(event.child, event.state) for event in events]
    assert json.loads(stack.paths.log("gateway").read_text().splitlines()[0]) == {"ready": "gateway"}


def complaint(module: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_gateway_without_its_key_says_so_in_one_line(tmp_path: Path) -> None:
    said = complaint("tutti.local.serve_gateway", {"TUTTI_HOME": str(tmp_path)})

    assert said.startswith("TUTTI_SIGNING_KEY is not set")


def test_a_ledger_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    said = complaint(
        "tutti.local.migrate", {"TUTTI_LEDGER_URL": f"sqlite+aiosqlite:///{tmp_path}/no/ledger.db"}
    )

    assert f"{tmp_path}/no" in said
