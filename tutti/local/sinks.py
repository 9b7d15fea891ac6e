"""Where touches end up during development: a mail server and a webhook receiver that keep what they get.

Both listen on the loopback address only. Mails become `.eml` files, those to our own approvers in the folder
`notices` below; webhooks become lines of JSON, each of them `{"id", "received_at", "payload"}`. The receiver
does what a real one should: it checks the signature and takes each `webhook-id` once, also after a restart.
Under `/chat` it takes messages as Slack does.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Annotated, Any

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import Field, SecretStr, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from activities.notices import NOTICE_HEADER
from domain import Frozen
from tutti.local._chat_sink import ChatSink
from tutti.local._lines import LineFile
from tutti.local._listening import served

LOOPBACK = "127.0.0.1"
SECRET_VARIABLE = "TUTTI_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
MAX_MAIL_BYTES = 10 * 1024 * 1024
MAX_WEBHOOK_BYTES = 1024 * 1024

Port = Annotated[int, Field(ge=0, le=65_535)]

_log = structlog.get_logger("tutti.sinks")


class SinkError(Exception):
    """A sink cannot do its work; the message is one line."""

    code = "SINK"


class SinkSettings(Frozen):
    """Where the sinks listen and where they keep what they get."""

    mail_port: Port
    """0 picks a free one."""
    mail_dir: Path
    webhook_port: Port
    """0 picks a free one."""
    webhook_log: Path
    webhook_secret: SecretStr
    """Shared with the webhook channel: `whsec_` and base64."""
    chat_log: Path | None = None
    """Where messages to the chat are kept; None: there is no chat."""


@dataclass(frozen=True)
class SinkPorts:
    """The ports that the sinks really listen on."""

    mail: int
    webhook: int


class MailSink:
    """Keeps each accepted message as a file; what has a file has been accepted, and the other way round.

    What is for our own people is kept apart from what goes to contacts.

    Args:
        folder: Where the files go; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        """Keep one message and only then say so."""
        content = envelope.original_content or b""
        try:
            path = await asyncio.to_thread(self._keep, content)
        except OSError as error:
            _log.warning("sinks.mail_not_kept", error=error.strerror)
            return "452 4.3.1 The message could not be kept; try again later"
        return f"250 2.0.0 kept as {path.name}"

    def _keep(self, content: bytes) -> Path:
        # Names sort by time; the random part keeps messages of one microsecond apart.
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}"
        hidden = self._folder / f".{name}.part"
        try:
            final = self._place(content) / f"{name}.eml"
            with hidden.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            hidden.replace(final)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise
        return final

    def _place(self, content: bytes) -> Path:
        """Return the folder for a message, which is there."""
        if NOTICE_HEADER not in BytesHeaderParser().parsebytes(content):
            return self._folder
        folder = self._folder / "notices"
        folder.mkdir(exist_ok=True)
        return folder


class WebhookSink:
    """Checks, deduplicates and keeps webhooks.

    Args:
        log: File to which lines are appended; made if missing.
        secret: Shared secret, `whsec_...`.

    Raises:
        SinkError: The secret or the file cannot be used.
    """

    def __init__(self, log: Path, secret: SecretStr) -> None:
        try:
            self._webhook = Webhook(secret.get_secret_value())
        except Exception as error:  # the library raises what the decoding happens to raise
            raise SinkError(f"{SECRET_VARIABLE} must be whsec_ followed by base64") from error
        self._log = LineFile(log)
        try:
            self._seen = {str(line["id"]) for line in self._log.read() if "id" in line}
        except OSError as error:
            raise SinkError(f"cannot use {log}: {error.strerror}; change --webhook-log") from error
        self._lock = asyncio.Lock()

    async def receive(self, request: Request) -> JSONResponse:
        """Take one webhook: 401 if its signature is wrong, 200 if it is kept or was kept before."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_WEBHOOK_BYTES:
                return JSONResponse({"detail": f"longer than {MAX_WEBHOOK_BYTES} bytes"}, 413)
        payload = self._verified(bytes(body), dict(request.headers))
        if payload is None:
            return JSONResponse({"detail": "the signature is missing or wrong"}, 401)
        webhook_id = request.headers["webhook-id"]
        async with self._lock:
            if webhook_id in self._seen:
                return JSONResponse({"status": "known"})
            line = {"id": webhook_id, "received_at": datetime.now(UTC).isoformat(), "payload": payload}
            try:
                await asyncio.to_thread(self._log.append, line)
            except OSError as error:
                _log.warning("sinks.webhook_not_kept", error=error.strerror)
                return JSONResponse({"detail": "could not be kept; try again later"}, 503)
            self._seen.add(webhook_id)
        return JSONResponse({"status": "kept"})

    def _verified(self, body: bytes, headers: dict[str, str]) -> Any | None:  # noqa: ANN401 - foreign JSON
        try:
            return self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):  # a garbled signature is a ValueError of some kind
            return None


async def run_sinks(
    settings: SinkSettings, stop: asyncio.Event, *, started: Callable[[SinkPorts], None] | None = None
) -> None:
    """Run both sinks until told to stop.

    Args:
        settings: Where to listen and where to keep things.
        stop: Set it to end.
        started: Called once both listen.

    Raises:
        SinkError: A port is taken, or a path cannot be used.
    """
    _make(settings.mail_dir, settings.webhook_log)
    chat = _chat(settings.chat_log)
    async with AsyncExitStack() as stack:
        webhook = WebhookSink(settings.webhook_log, settings.webhook_secret)
        mail_port = await stack.enter_async_context(_mail_server(settings))
        webhook_port = await stack.enter_async_context(_webhook_server(settings, webhook, chat))
        if started is not None:
            started(SinkPorts(mail=mail_port, webhook=webhook_port))
        await stop.wait()


@asynccontextmanager
async def _mail_server(settings: SinkSettings) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    sink = MailSink(settings.mail_dir)
    open_connections: set[_Connection] = set()

    def connection() -> _Connection:
        return _Connection(sink, open_connections, loop)

    with _told("mail", settings.mail_port, "--mail-port"):
        server = await loop.create_server(connection, LOOPBACK, settings.mail_port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # Since Python 3.12 wait_closed waits for the connections too, and a client may keep one for minutes.
        for each in list(open_connections):
            each.hang_up()
        await server.wait_closed()


class _Connection(SMTP):
    """One client of the mail sink; known to it, so that it can be hung up."""

    def __init__(self, sink: MailSink, register: set[_Connection], loop: asyncio.AbstractEventLoop) -> None:
        self._register = register
        # Without a host name the library asks the resolver for one, which can take seconds.
        super().__init__(
            sink, data_size_limit=MAX_MAIL_BYTES, hostname="localhost", ident="Tutti mail sink", loop=loop
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._register.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._register.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()


@asynccontextmanager
async def _webhook_server(
    settings: SinkSettings, sink: WebhookSink, chat: ChatSink | None
) -> AsyncIterator[int]:
    routes = [Route("/{path:path}", sink.receive, methods=["POST"])]
    if chat is not None:
        paths = ("/chat", "/chat/{channel:path}")
        routes = [*(Route(path, chat.receive, methods=["POST"]) for path in paths), *routes]
    app = Starlette(routes=routes)
    with _told("webhooks", settings.webhook_port, "--webhook-port"):
        listener = socket.create_server((LOOPBACK, settings.webhook_port))
    async with served(app, listener) as port:
        yield port


def _chat(log: Path | None) -> ChatSink | None:
    if log is None:
        return None
    try:
        return ChatSink(log)
    except OSError as error:
        raise SinkError(f"cannot use {log}: {error.strerror}; change --chat-log") from error


@contextmanager
def _told(what: str, port: int, option: str) -> Iterator[None]:
    """Say which port could not be had, for what, and which option changes it."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"cannot listen for {what} on {LOOPBACK}:{port}: {error.strerror}; choose another with {option}"
        ) from error


def _make(mail_dir: Path, webhook_log: Path) -> None:
    """Make the folders and prove that both places can be written."""
    for path, option in ((mail_dir, "--mail-dir"), (webhook_log.parent, "--webhook-log")):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot make the folder {path}: {error.strerror}; change {option}") from error
    try:
        for left_over in mail_dir.glob(".*.part"):  # of a process that was killed; never acknowledged
            left_over.unlink()
        if not os.access(mail_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise SinkError(f"cannot write to {mail_dir}: {error.strerror}; change --mail-dir") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sinks as a program until SIGTERM or SIGINT.

    Once both listen it prints one line, `{"ready": "sinks", "mail_port": N, "webhook_port": N}`.

    Returns:
        The exit code: 0 after an orderly stop, 1 with one line on stderr if a sink cannot work.
    """
    # The ready line has stdout for itself.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    parser = argparse.ArgumentParser(
        prog="python -m tutti.local.sinks", description=(__doc__ or "").split("\n")[0]
    )
    for option, kind, purpose in (
        ("--mail-port", int, "loopback port of the mail server"),
        ("--mail-dir", Path, "folder for the .eml files"),
        ("--webhook-port", int, "loopback port of the webhook receiver"),
        ("--webhook-log", Path, "file for the webhooks, one JSON object a line"),
    ):
        parser.add_argument(option, type=kind, required=True, help=purpose)
    parser.add_argument("--chat-log", type=Path, help="file for messages to /chat; without it there is none")
    options = parser.parse_args(arguments)
    try:
        settings = SinkSettings(**vars(options), webhook_secret=SecretStr(_secret()))
        asyncio.run(_serve(settings))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        print(f"sinks: --{option}: {first['msg']}", file=sys.stderr)  # noqa: T201 - a program's last word
        return 1
    except SinkError as error:
        print(f"sinks: {error}", file=sys.stderr)  # noqa: T201 - a program's last word
        return 1
    return 0


def _secret() -> str:
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise SinkError(
            f"{SECRET_VARIABLE} is not set; it must hold the secret shared with the webhook channel"
        )
    return secret


async def _serve(settings: SinkSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def say_ready(ports: SinkPorts) -> None:
        line = {"ready": "sinks", "mail_port": ports.mail, "webhook_port": ports.webhook}
        print(json.dumps(line), flush=True)  # noqa: T201 - who started this program waits for the line

    await run_sinks(settings, stop, started=say_ready)


if __name__ == "__main__":
    sys.exit(main())
