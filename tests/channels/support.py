"""What the channel tests share: touches to send, and mail servers that misbehave at a chosen step."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr
from starlette.types import ASGIApp
from temporalio.testing import ActivityEnvironment

from activities.channels import ChannelEnvironment, EmailSettings, StartTls, UnsubscribeLinks
from activities.channels import email as email_channel
from activities.channels._contract import HandOver
from domain import (
    Candidate,
    Decision,
    Proposal,
    ReasonCode,
    Receipt,
    ReceiptStatus,
    Recipient,
    Ruling,
    RulingRequest,
    Touch,
    Verdict,
)
from domain import person_key as key_of
from ledger import Ledger, ReleaseKind

ADDRESS = "ada@example.com"
ADA = key_of(ADDRESS)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = "1" * 64
KEY = SecretStr("k" * 32)
LINKS = UnsubscribeLinks("https://tutti.example.com", KEY)


def a_touch(**changes: object) -> Touch:
    """A touch for Ada that every channel accepts; `changes` are not validated, as if smuggled in."""
    touch = Touch(
        touch_id="northwind/p-1/1",
        account_id="northwind",
        account_name="Northwind",
        proposal_id="p-1",
        decision_id="d-1",
        actor="sdr",
        channel="email",
        action="intro",
        recipient=Recipient(contact_id="c-1", name="Ada Lovelace", email=ADDRESS),
        subject="A question",
        text="Hello Ada,\n.a line that begins with a dot\nbye",
        digest="0" * 64,
        policy_digest=POLICY,
    )
    return touch.model_copy(update=changes)


async def put_in_force(ledger: Ledger, digest: str, *, at: datetime = NOW) -> None:
    """Release a policy set, of which channels need the digest alone."""
    standing = await ledger.release_in_force()
    await ledger.publish(
        {},
        digest,
        author="ada",
        reason="better",
        at=at,
        kind=ReleaseKind.PUBLISH,
        expected=standing.number if standing is not None else None,
    )


async def allow(ledger: Ledger, touch: Touch, *, at: datetime = NOW) -> None:
    """Enter the ruling that allowed a touch, which takes its place in all limits."""
    proposal = Proposal(
        proposal_id=touch.proposal_id,
        actor=touch.actor,
        action=touch.action,
        channel=touch.channel,
        value=1_000,
        propensity=0.5,
    )
    request = RulingRequest(
        account_id=touch.account_id,
        account=None,
        contacts={},
        readings=(),
        holds=(),
        touches=(),
        candidates=(Candidate(proposal=proposal, received_at=at, expires_at=at + timedelta(days=30)),),
        revision=1,
        now=at,
    )
    decision = Decision(
        decision_id=touch.decision_id,
        proposal_id=touch.proposal_id,
        verdict=Verdict.ALLOW,
        reason=ReasonCode.ALLOWED,
        policy_digest=touch.policy_digest,
        decided_at=at,
    )
    ruling = Ruling(
        revision=1,
        policy_digest=touch.policy_digest,
        assessment=None,
        decisions=(decision,),
        decision_window_seconds=0,
    )
    assert await ledger.enter_ruling(request, ruling)


def to(email: str | None, name: str = "Ada Lovelace") -> Recipient:
    return Recipient(contact_id="c-1", name="Ada", email=email).model_copy(update={"name": name})


def an_environment(*, scheduled: datetime = NOW, heartbeat: timedelta | None = None) -> ActivityEnvironment:
    """What surrounds an activity in a worker."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, scheduled_time=scheduled, heartbeat_timeout=heartbeat
    )
    return environment


async def perform(activity: HandOver, touch: Touch) -> Receipt:
    """Run an activity the way a worker does."""
    return await an_environment().run(activity, touch)


def email_activity(ledger: Ledger, port: int, *, timeout: float = 5.0, **settings: object) -> HandOver:
    """The e-mail channel in front of a mail server on this machine."""
    return email_channel.build(
        ChannelEnvironment(ledger=ledger, unsubscribe=LINKS),
        EmailSettings(
            host="127.0.0.1",
            port=port,
            sender="Northwind Sales <sales@example.com>",
            timeout_seconds=timeout,
            **({"starttls": StartTls.OFF} | settings),  # type: ignore[arg-type]  # the settings check their values
        ),
    ).hand_over


async def settled(ledger: Ledger, touch: Touch) -> ReceiptStatus | None:
    """What the ledger holds about a touch that was claimed before."""
    claims = {claim.touch_id for claim in await ledger.open_claims()}
    if touch.touch_id in claims:
        return None
    claim = await ledger.claim(touch.touch_id, channel=touch.channel, at=NOW)
    return claim.receipt.status if claim.receipt else None


@dataclass
class Relay:
    """A mail server that answers as it was told, and what it saw."""

    answers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    reached_data: asyncio.Event = field(default_factory=asyncio.Event)
    hang_after_data: bool = False
    """It takes the message and stays silent: the gap between hand-over and receipt, held open. Kill a worker
    here and its claim stays open."""
    drop_after_data: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    before_start_input: Callable[[], None] | None = None

    async def handle_MAIL(  # noqa: N802 - the library's names
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.reached_data.set()
        if self.drop_after_data:
            assert server.transport is not None
            server.transport.close()
        if self.hang_after_data:
            await self.go_on.wait()
        return self.answers.get("MESSAGE", "250 2.0.0 queued as 4711")

    def text(self) -> bytes:
        """The only message it got; a method, because the library evaluates every property of a handler."""
        (envelope,) = self.envelopes
        content = envelope.original_content
        assert content is not None
        return content


def parsed(relay: Relay) -> EmailMessage:
    """The only message it got, as a mail program reads it."""
    message = BytesParser(policy=policy.default).parsebytes(relay.text())
    assert isinstance(message, EmailMessage)
    return message


def content(message: EmailMessage, kind: str) -> str:
    """The part of a kind, `plain` or `html`, decoded and with the line ends of a program."""
    body = message.get_body((kind,))
    assert body is not None
    text: str = body.get_content()
    return text.replace("\r\n", "\n")


class _Connection(SMTP):
    def __init__(self, relay: Relay, register: set[_Connection]) -> None:
        self._relay, self._register = relay, register
        super().__init__(relay, hostname="relay", loop=asyncio.get_running_loop())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._register.add(self)
        super().connection_made(transport)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the library's name
        refusal = self._relay.answers.get("DATA")
        if refusal == "drop":
            assert self.transport is not None
            self.transport.close()
        elif refusal is not None:
            await self.push(refusal)
        else:
            if self._relay.before_start_input is not None:
                self._relay.before_start_input()
            await super().smtp_DATA(arg)


@asynccontextmanager
async def mail_server(relay: Relay | None = None) -> AsyncIterator[Relay]:
    """Run a relay on a free loopback port, and hang up on everybody at the end."""
    relay = relay or Relay()
    connections: set[_Connection] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(relay, connections), "127.0.0.1", 0
    )
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.go_on.set()
        server.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.close()
        await server.wait_closed()


@asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[int]:
    """Run a server that speaks as it likes; yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def closed_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def broken(database: Path, table: str) -> Iterator[Callable[[], None]]:
    """Take a table away from a real ledger; yields the function that gives it back."""
    away = f"{table}_away"

    def rename(old: str, new: str) -> None:
        with sqlite3.connect(database, timeout=10) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.close()

    rename(table, away)
    mended = False

    def mend() -> None:
        nonlocal mended
        if not mended:
            rename(away, table)
            mended = True

    try:
        yield mend
    finally:
        mend()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def http_server(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a free loopback port; yields its base address."""
    server = _Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
