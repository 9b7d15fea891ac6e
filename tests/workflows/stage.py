"""A stage for workflow tests: real engine, governance, ledger, SMTP and HTTP; queues and ids of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import uvicorn
from pydantic import HttpUrl, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.client import Client, RPCError
from temporalio.worker import Worker

import worker as processes
from activities import PolicyKeeper, publish_first
from activities.channels import (
    ChannelActivities,
    ChannelEnvironment,
    EmailSettings,
    StartTls,
    UnsubscribeLinks,
    WebhookSettings,
)
from activities.channels import email as email_channel
from activities.channels import webhook as webhook_channel
from activities.notifying import Notifying
from domain import AccountStatus, Contact, Observation, Proposal, ProposalView
from governance import PolicySet, load_policy_set
from ledger import Ledger
from tests.channels.support import Relay, mail_server
from workflows import AccountClient, workflow_id

ROOT = Path(__file__).resolve().parents[2]
DEMO_POLICIES = ROOT / "examples" / "demo" / "policies"
LINKS = UnsubscribeLinks("https://tutti.example.com", SecretStr("k" * 32))
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_SECONDS = 20.0

_T = TypeVar("_T")


async def until(
    look: Callable[[], Awaitable[_T | None]], what: str, patience: float = PATIENCE_SECONDS
) -> _T:
    """Wait for a condition; `look` returns what was waited for, or None."""
    deadline = asyncio.get_running_loop().time() + patience
    while (found := await look()) is None:
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Receiver:
    """A webhook receiver that accepts everything and remembers it."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    async def take(self, request: Request) -> Response:
        self.calls.append(json.loads(await request.body()))
        return Response(status_code=HTTPStatus.NO_CONTENT)


@dataclass
class Stage:
    """Everything one test plays with."""

    client: Client
    accounts: AccountClient
    ledger: Ledger
    database: Path
    policies: PolicySet
    relay: Relay
    receiver: Receiver
    task_queue: str
    account_id: str
    orchestrator: Worker

    async def introduce(self, *contacts: Contact, account: Observation | None = None) -> None:
        items = [account] if account is not None else []
        await self.accounts.observe(self.account_id, [*items, *contacts])

    async def propose(self, *proposals: Proposal) -> list[ProposalView]:
        return list(
            await asyncio.gather(*(self.accounts.propose(self.account_id, item) for item in proposals))
        )

    async def status_when(
        self, holds: Callable[[AccountStatus], bool], what: str, patience: float = PATIENCE_SECONDS
    ) -> AccountStatus:
        async def look() -> AccountStatus | None:
            status = await self.accounts.status(self.account_id)
            return status if holds(status) else None

        return await until(look, what, patience)

    async def quiet(self) -> None:
        """Wait until the engine has nothing to do for the account: no task and no activity."""

        async def look() -> bool | None:
            raw = (await self.handle.describe()).raw_description
            return not (raw.pending_activities or raw.HasField("pending_workflow_task")) or None

        await until(look, "the engine to have nothing to do")

    @property
    def handle(self) -> Any:  # noqa: ANN401 - raw access, for senders that do not know our types
        return self.client.get_workflow_handle(workflow_id(self.account_id))


def edited_policies(
    folder: Path,
    queue: str,
    edits: Mapping[str, Iterable[tuple[str, str]]],
    original: Path,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Copy a policy set, give its channels queues of their own, and change and add what a test wants."""
    policies = folder / "policies"
    shutil.copytree(original, policies)
    for name, text in (files or {}).items():
        (policies / name).parent.mkdir(exist_ok=True)
        (policies / name).write_text(text, encoding="utf-8")
    own = {"channels.yaml": [("task_queue: channel-", f"task_queue: {queue}-")]}
    for name, changes in [*own.items(), *edits.items()]:
        text = (policies / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{name} does not say {old!r} any more"
            text = text.replace(old, new)
        (policies / name).write_text(text, encoding="utf-8")
    return policies


FAST = {"timing.yaml": [("decision_window: 2s", "decision_window: 0.3s")]}


@asynccontextmanager
async def staged(
    client: Client,
    folder: Path,
    *,
    edits: Mapping[str, Iterable[tuple[str, str]]] | None = None,
    continue_after_events: int = 400,
    max_cached_workflows: int = 1_000,
    channels: Iterable[str] = ("email", "webhook"),
    relay: Relay | None = None,
    original: Path = DEMO_POLICIES,
    files: Mapping[str, str] | None = None,
    more: Mapping[str, Callable[[ChannelEnvironment], ChannelActivities]] = MappingProxyType({}),
    notifying: Callable[[PolicyKeeper, Ledger], Notifying] | None = None,
) -> AsyncIterator[Stage]:
    """Run one orchestrator and the channels, with a mail server and a webhook receiver behind them.

    Nobody is told of exceptions unless `notifying` says how.
    """
    queue = f"test-{uuid.uuid4().hex[:12]}"
    edited = edited_policies(folder, queue, FAST if edits is None else edits, original, files)
    policies = load_policy_set(edited)
    database = folder / "ledger.db"
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(mail_server(relay))
        receiver = await stack.enter_async_context(_receiving())
        ledger = await Ledger.open(f"sqlite+aiosqlite:///{database}?timeout=1")
        stack.push_async_callback(ledger.close)
        await ledger.migrate()
        await publish_first(ledger, policies)
        environment = ChannelEnvironment(ledger=ledger, unsubscribe=LINKS)
        activities: dict[str, Callable[[], ChannelActivities]] = {
            "email": lambda: email_channel.build(environment, email_settings(relay.port)),
            "webhook": lambda: webhook_channel.build(
                environment,
                WebhookSettings(url=HttpUrl(f"http://127.0.0.1:{receiver.port}/"), secret=SecretStr(SECRET)),
            ),
        }
        built = {name: activities[name] for name in channels}
        built |= {name: partial(build, environment) for name, build in more.items()}
        keeper = PolicyKeeper(ledger, policies)
        orchestrator = processes.orchestrator(
            client,
            keeper,
            ledger,
            notifying=notifying(keeper, ledger) if notifying is not None else None,
            task_queue=queue,
            max_cached_workflows=max_cached_workflows,
        )
        await stack.enter_async_context(orchestrator)
        for name, build in built.items():
            task_queue = policies.channels[name].handover.task_queue
            await stack.enter_async_context(Worker(client, task_queue=task_queue, activities=list(build())))
        account_id = f"acme-{uuid.uuid4().hex[:8]}"
        yield Stage(
            client=client,
            accounts=AccountClient(
                client,
                task_queue=queue,
                decision_window=policies.decision_window,
                continue_after_events=continue_after_events,
            ),
            ledger=ledger,
            database=database,
            policies=policies,
            relay=relay,
            receiver=receiver,
            task_queue=queue,
            account_id=account_id,
            orchestrator=orchestrator,
        )
        if await _lists(client):
            await end_accounts(client, queue)


async def _lists(client: Client) -> bool:
    """Whether this server can list workflows; the time-skipping one cannot, and has one that a test ends."""
    try:
        await client.count_workflows()
    except RPCError:
        return False
    return True


async def end_accounts(client: Client, queue: str) -> None:
    """End every workflow of a test: a call still pending when the loop closes can abort the interpreter."""
    async for execution in client.list_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"):
        await client.get_workflow_handle(execution.id).terminate("the test is over")


def email_settings(port: int) -> EmailSettings:
    return EmailSettings(
        host="127.0.0.1", port=port, sender="Sales <sales@example.com>", starttls=StartTls.OFF
    )


@asynccontextmanager
async def _receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/", receiver.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server._serve())  # noqa: SLF001 - serve() would take over the signals
    await until(lambda: _started(server), "the receiver")
    receiver.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.should_exit = True
        await task


async def _started(server: uvicorn.Server) -> bool | None:
    return server.started or None


def soon(**delta: float) -> datetime:
    """A moment from now."""
    return datetime.now(UTC) + timedelta(**delta)
