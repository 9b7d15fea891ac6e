"""What all runs share: a Temporal server with a namespace a lane, the provider, a fork server, policies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities import publish_first
from governance import PolicySet, load_policy_set
from ledger import Ledger
from tests.conftest import SEARCH_ATTRIBUTES, program
from tests.nemesis.plan import Fate, Memory, Role
from tutti.local._children import PRELOADED
from tutti.local._link import KeeperLink, Running
from workflows import tutti_plugin

ROOT = Path(__file__).resolve().parents[2]
DEMO_POLICIES = ROOT / "examples" / "demo" / "policies"
EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "channels.yaml": (
        ("heartbeat: 10s", "heartbeat: 1s"),
        ("schedule_to_start: 10s", "schedule_to_start: 3s"),
        ("start_to_close: 30s", "start_to_close: 4s"),
        ("retry_after: 5s", "retry_after: 1s"),
    ),
    "timing.yaml": (("decision_window: 2s", "decision_window: 0.2s"), ("at_least: 12s", "at_least: 0.1s")),
    "frequency.yaml": (
        ("    limit: 3\n    window: 14s", "    limit: 3\n    window: 60s"),
        ("    limit: 2\n    window: 14s", "    limit: 20\n    window: 14s"),
    ),
    "arbitration.yaml": (("  touches: 3\n  per: 14s", "  touches: 30\n  per: 14s"),),
}
"""What makes the demo's policies quick, with one cap left that a run can reach: three e-mails a minute."""
ANOTHER = {"timing.yaml": (("An account rests twelve seconds", "An account rests a moment"),)}
"""What makes another policy set of it that rules alike."""
CHANNEL_PATIENCE = 1.0
"""Seconds that a channel waits for the provider's answer."""
WEBHOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Lane:
    """Where one run at a time takes place."""

    namespace: str
    client: Client


@dataclass(frozen=True)
class Arena:
    """Everything that is there before a run begins."""

    folder: Path
    lanes: tuple[Lane, ...]
    policies: PolicySet
    others: PolicySet
    """The set that is published in the middle of some runs."""
    provider_log: Path
    address: str
    ports: Mapping[str, int]
    keeper: KeeperLink
    memory: Memory

    def start(self, role: Role, fate: Fate | None, lane: Lane, home: Path) -> Running:
        """Start a worker process of a run, whose files are in `home`."""
        return self.keeper.start(
            role.value,
            module="tests.nemesis.life",
            arguments=[role.value],
            environment=self._environment(lane, home)
            | {"NEMESIS_FATE": fate.model_dump_json() if fate is not None else ""},
            log=home / f"{role.value}.log",
        )

    def _environment(self, lane: Lane, home: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "TUTTI_E", "TUTTI_W"))}
        return kept | {
            "TEMPORAL_ADDRESS": self.address,
            "TEMPORAL_NAMESPACE": lane.namespace,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TUTTI_HOME": str(home),
            "TUTTI_POLICIES": str(self.folder / "policies"),
            "TUTTI_LEDGER_URL": ledger_url(home),
            "TUTTI_SIGNING_KEY": "k" * 32,
            "TUTTI_PUBLIC_URL": "https://tutti.example.com",
            "TUTTI_EMAIL_HOST": "127.0.0.1",
            "TUTTI_EMAIL_PORT": str(self.ports["mail"]),
            "TUTTI_EMAIL_SENDER": "Sales <sales@example.com>",
            "TUTTI_EMAIL_STARTTLS": "off",
            "TUTTI_EMAIL_TIMEOUT_SECONDS": str(CHANNEL_PATIENCE),
            "TUTTI_WEBHOOK_URL": f"http://127.0.0.1:{self.ports['web']}/",
            "TUTTI_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "TUTTI_WEBHOOK_TIMEOUT_SECONDS": str(CHANNEL_PATIENCE),
            "NEMESIS_JOURNAL": str(journal_of(home)),
            "NEMESIS_MEMORY": self.memory.value,
        }


def ledger_url(home: Path) -> str:
    """Return the address of a run's ledger."""
    return f"sqlite+aiosqlite:///{home / 'ledger.db'}"


def journal_of(home: Path) -> Path:
    """Return where a run's workers write down how they end."""
    return home / "journal.jsonl"


@asynccontextmanager
async def opened(lanes: int, memory: Memory = Memory.KEEPS) -> AsyncIterator[Arena]:
    """Open an arena for so many runs at once; everything it started is gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tutti-nemesis-")))
        policies = load_policy_set(_edited(DEMO_POLICIES, folder / "policies", EDITS))
        others = load_policy_set(_edited(folder / "policies", folder / "others", ANOTHER))
        await _first_ledger(folder, policies)
        keeper = await fork_server(stack, folder)
        provider_log = folder / "provider.jsonl"
        ports = await _oracle(stack, provider_log)
        names = [f"lane-{number}" for number in range(lanes)]
        server = await stack.enter_async_context(
            await WorkflowEnvironment.start_local(
                plugins=[tutti_plugin()],
                dev_server_existing_path=program("temporal"),
                dev_server_log_level="never",
                dev_server_extra_args=[part for name in names for part in ("--namespace", name)],
                search_attributes=SEARCH_ATTRIBUTES,
            )
        )
        address = server.client.service_client.config.target_host
        yield Arena(
            folder=folder,
            lanes=tuple([await _lane(address, name) for name in names]),
            policies=policies,
            others=others,
            provider_log=provider_log,
            address=address,
            ports=ports,
            keeper=keeper,
            memory=memory,
        )


async def _lane(address: str, namespace: str) -> Lane:
    return Lane(namespace, await Client.connect(address, namespace=namespace, plugins=[tutti_plugin()]))


def _edited(original: Path, folder: Path, edits: Mapping[str, tuple[tuple[str, str], ...]]) -> Path:
    shutil.copytree(original, folder)
    for name, changes in edits.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{name} does not say {old!r} any more"
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


async def _first_ledger(folder: Path, policies: PolicySet) -> None:
    """Make the ledger that every run begins with a copy of."""
    ledger = await Ledger.open(ledger_url(folder))
    await ledger.migrate()
    await publish_first(ledger, policies)
    await ledger.close()


async def fork_server(stack: AsyncExitStack, folder: Path) -> KeeperLink:
    """Start the fork server of the local stack: with everything imported, a worker is back at once."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, lock)
    keeper = await KeeperLink.open(lock=lock, log=folder / "keeper.log")
    stack.push_async_callback(keeper.close)
    keeper.preload([*PRELOADED, "tests.nemesis.warm"])
    return keeper


async def _oracle(stack: AsyncExitStack, log: Path) -> Mapping[str, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.nemesis.oracle", str(log), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    assert process.stdout is not None
    ports: dict[str, int] = json.loads(await asyncio.wait_for(process.stdout.readline(), _START_SECONDS))
    return ports
