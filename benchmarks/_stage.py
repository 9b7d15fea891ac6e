"""The stage of all measurements: a server of its own, the product's workers, ledger and mail sink."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

import worker as processes
from activities import PolicyKeeper, publish_first
from activities.channels import ChannelEnvironment, EmailSettings, StartTls, UnsubscribeLinks
from activities.channels import email as email_channel
from domain import AccountStatus
from governance import PolicySet, load_policy_set
from ledger import Ledger
from tutti.local import SEARCH_ATTRIBUTES
from tutti.local._temporal import server_program
from tutti.local.sinks import SinkPorts, SinkSettings, run_sinks
from workflows import AccountClient, tutti_plugin

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "policies"
WINDOW_SECONDS = 1.0
"""Decision window of the measured policy set, the shortest that ends on time: the engine rounds timers of
less than a second up to one."""
PATIENCE_SECONDS = 60.0

_KEYS: dict[str, Callable[[str], SearchAttributeKey[Any]]] = {
    "Keyword": SearchAttributeKey.for_keyword,
    "Int": SearchAttributeKey.for_int,
    "Bool": SearchAttributeKey.for_bool,
    "Datetime": SearchAttributeKey.for_datetime,
}
_T = TypeVar("_T")


class MeasurementError(Exception):
    """A measurement could not be made; the text says what was waited for or what went wrong."""


@dataclass(frozen=True)
class Stage:
    """Everything a measurement works with."""

    client: Client
    accounts: AccountClient
    ledger: Ledger
    policies: PolicySet
    mails: Path
    """Folder in which the mail sink keeps a file for each accepted message."""

    async def status_when(
        self, account_id: str, holds: Callable[[AccountStatus], bool], what: str
    ) -> AccountStatus:
        """Wait until an account's status is as wanted, and return it."""

        async def look() -> AccountStatus | None:
            status = await self.accounts.status(account_id)
            return status if holds(status) else None

        return await until(look, what)


async def until(look: Callable[[], Awaitable[_T | None]], what: str, *, pause: float = 0.01) -> _T:
    """Wait for a condition.

    Args:
        look: Returns what is waited for, or None.
        what: Names it in the error.
        pause: Seconds between two looks.

    Raises:
        MeasurementError: it did not come true in time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            msg = f"waited {PATIENCE_SECONDS:.0f} s for {what} in vain"
            raise MeasurementError(msg)
        await asyncio.sleep(pause)
    return found


def timeless_policies(folder: Path) -> PolicySet:
    """Compile the shipped policy set with a short decision window and without quiet hours.

    Everything else is as shipped; so the figures are the same on a Sunday night as on a Tuesday morning.
    """
    copy = folder / "policies"
    shutil.copytree(POLICIES, copy)
    timing = copy / "timing.yaml"
    text = timing.read_text(encoding="utf-8")
    text, windows = re.subn(r"(?m)^decision_window:.*$", f"decision_window: {WINDOW_SECONDS:g}s", text)
    text, quiet = re.subn(r"(?ms)^quiet_hours:\n.*?(?=^unknown_zone:)", "quiet_hours: []\n\n", text)
    if (windows, quiet) != (1, 1):
        msg = f"{POLICIES / 'timing.yaml'} is not laid out as expected: decision_window, quiet_hours"
        raise MeasurementError(msg)
    timing.write_text(text, encoding="utf-8")
    return load_policy_set(copy)


@asynccontextmanager
async def staged(compiled: Callable[[Path], PolicySet] = timeless_policies) -> AsyncIterator[Stage]:
    """Run server, orchestrator, e-mail channel, ledger and mail sink in a temporary folder.

    Args:
        compiled: Makes the policy set, in a folder that it may fill.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tutti-bench-")))
        policies = compiled(folder)
        client = (await stack.enter_async_context(await _start_server())).client
        ledger = await Ledger.open(f"sqlite+aiosqlite:///{folder / 'ledger.db'}")
        stack.push_async_callback(ledger.close)
        await ledger.migrate()
        mails = folder / "mail"
        ports = await stack.enter_async_context(_sinks(folder, mails))
        await publish_first(ledger, policies)
        keeper = PolicyKeeper(ledger, policies)
        await stack.enter_async_context(processes.orchestrator(client, keeper, ledger))
        await stack.enter_async_context(_email_worker(client, policies, ledger, ports.mail))
        yield Stage(
            client=client,
            accounts=AccountClient(client, decision_window=policies.decision_window),
            ledger=ledger,
            policies=policies,
            mails=mails,
        )


async def _start_server() -> WorkflowEnvironment:
    with _silent_stdout():
        return await WorkflowEnvironment.start_local(
            runtime=_runtime(),
            plugins=[tutti_plugin()],
            dev_server_existing_path=server_program(),
            dev_server_log_level="error",
            search_attributes=[_KEYS[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        )


@cache
def _runtime() -> Runtime:
    """Return the engine client's runtime; its log goes to stdout; Python's log tells of failures, too."""
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="ERROR")))


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Start programs without a stdout: the server greets on it, and the table is to stand there alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _email_worker(client: Client, policies: PolicySet, ledger: Ledger, port: int) -> Worker:
    links = UnsubscribeLinks("https://tutti.example.com", SecretStr("k" * 32))
    settings = EmailSettings(
        host="127.0.0.1", port=port, sender="Sales <sales@example.com>", starttls=StartTls.OFF
    )
    hand_over = email_channel.build(ChannelEnvironment(ledger=ledger, unsubscribe=links), settings).hand_over
    task_queue = policies.channels["email"].handover.task_queue
    return Worker(
        client, task_queue=task_queue, activities=[hand_over], graceful_shutdown_timeout=processes.GRACE
    )


@asynccontextmanager
async def _sinks(folder: Path, mails: Path) -> AsyncIterator[SinkPorts]:
    stop = asyncio.Event()
    started: asyncio.Future[SinkPorts] = asyncio.get_running_loop().create_future()
    settings = SinkSettings(
        mail_port=0,
        mail_dir=mails,
        webhook_port=0,
        webhook_log=folder / "webhooks.jsonl",
        webhook_secret=SecretStr("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    )
    running = asyncio.create_task(run_sinks(settings, stop, started=started.set_result))
    both: set[asyncio.Future[Any]] = {running, started}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    try:
        if running.done():
            running.result()
        yield started.result()
    finally:
        stop.set()
        await running
