"""The provider: mail server and webhook receiver in a process of their own, whose log is the truth.

`python -m tests.nemesis.oracle LOG` prints `{"mail": PORT, "web": PORT}` and serves until it is ended. Every
line of the log is one JSON object; an acceptance is on disk before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes, policy
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiosmtpd.smtp import SMTP, Envelope, Session

from domain import Frozen, Moment
from tests.nemesis.plan import CHANNEL_EMAIL, CHANNEL_WEBHOOK, Mood, moods_of, wish_for

SLOW_SECONDS = 0.4
TOO_SLOW_SECONDS = 2.0
"""Longer than the channels wait for an answer (`arena.CHANNEL_PATIENCE`)."""
LOOPBACK = "127.0.0.1"


class Event(StrEnum):
    """What the provider writes down."""

    REQUEST = "request"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Entry(Frozen):
    """A line of the provider's log."""

    at: Moment
    event: Event
    account_id: str
    proposal_id: str
    channel: str
    touch_id: str | None = None
    """None where a mail server does not know it yet."""
    reference: str | None = None
    mood: Mood


class Log:
    """Writes lines, and makes sure that an acceptance survives everything."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, entry: Entry) -> None:
        """Append an entry; an acceptance is on disk when this returns."""
        os.write(self._file, entry.model_dump_json().encode() + b"\n")
        if entry.event is Event.ACCEPTED:
            os.fsync(self._file)


def read_log(path: Path) -> list[Entry]:
    """Return everything in a log, in the order it was written."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Entry.model_validate_json(line) for line in lines]


class Conduct:
    """Knows how to take which request."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str]] = Counter()

    def next(self, account_id: str, proposal_id: str) -> Mood:
        """Return how the next request for a proposal is taken."""
        moods = moods_of(account_id, proposal_id)
        number = self._requests[account_id, proposal_id]
        self._requests[account_id, proposal_id] += 1
        return moods[number] if number < len(moods) else Mood.ACCEPT


class Post:
    """The mail server's part: one for each connection."""

    def __init__(self, log: Log, conduct: Conduct) -> None:
        self._log, self._conduct = log, conduct
        self._mood = Mood.ACCEPT
        self._proposal = ("", "")

    async def handle_RCPT(  # noqa: N802 - the library's names
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take or refuse the recipient."""
        self._proposal = wish_for(address)
        self._mood = self._conduct.next(*self._proposal)
        self._note(Event.REQUEST)
        match self._mood:
            case Mood.REFUSE:
                self._note(Event.REFUSED)
                return "550 5.1.1 no such person"
            case Mood.BUSY:
                return "451 4.7.1 come again later"
            case Mood.ERROR:
                assert server.transport is not None
                server.transport.close()
                return "421 gone"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the whole message, or lose it."""
        assert server.transport is not None
        if self._mood is Mood.DROP_BEFORE:
            server.transport.close()
            return "421 gone"
        content = envelope.original_content
        assert content is not None
        message = message_from_bytes(content, policy=policy.default)
        self._note(Event.ACCEPTED, unquote(message["X-Tutti-Touch"]), message["Message-ID"])
        if self._mood is Mood.DROP_AFTER:
            server.transport.close()
        await asyncio.sleep(delay_of(self._mood))
        return "250 2.0.0 queued"

    def _note(self, event: Event, touch_id: str | None = None, reference: str | None = None) -> None:
        account_id, proposal_id = self._proposal
        self._log.write(
            Entry(
                at=datetime.now(UTC),
                event=event,
                account_id=account_id,
                proposal_id=proposal_id,
                channel=CHANNEL_EMAIL,
                touch_id=touch_id,
                reference=reference,
                mood=self._mood,
            )
        )


def delay_of(mood: Mood) -> float:
    """Return how many seconds the provider takes to say that it accepted."""
    return {Mood.SLOW: SLOW_SECONDS, Mood.TOO_SLOW: TOO_SLOW_SECONDS}.get(mood, 0.0)


class Web:
    """The webhook receiver. It knows a touch by its id and does it once, however often it is asked."""

    def __init__(self, log: Log, conduct: Conduct) -> None:
        self._log, self._conduct = log, conduct
        self._done: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the one request of a connection, and answer it or hang up."""
        try:
            headers, body = await _request(reader)
            status = await self._take(headers["webhook-id"], json.loads(body)["data"])
            if status is not None:
                later = "retry-after: 1\r\n" if status is HTTPStatus.TOO_MANY_REQUESTS else ""
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{later}"
                writer.write(f"{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the worker is gone
        finally:
            writer.close()

    async def _take(self, touch_id: str, touch: dict[str, Any]) -> HTTPStatus | None:
        account_id, proposal_id = str(touch["account_id"]), str(touch["proposal_id"])
        mood = self._conduct.next(account_id, proposal_id)
        if mood is Mood.REFUSE and touch_id in self._done:
            mood = Mood.ACCEPT  # whoever has done it already cannot refuse it any more

        def note(event: Event) -> None:
            self._log.write(
                Entry(
                    at=datetime.now(UTC),
                    event=event,
                    account_id=account_id,
                    proposal_id=proposal_id,
                    channel=CHANNEL_WEBHOOK,
                    touch_id=touch_id,
                    reference=touch_id,
                    mood=mood,
                )
            )

        note(Event.REQUEST)
        match mood:
            case Mood.REFUSE:
                note(Event.REFUSED)
                return HTTPStatus.GONE
            case Mood.BUSY:
                return HTTPStatus.TOO_MANY_REQUESTS
            case Mood.ERROR:
                return HTTPStatus.INTERNAL_SERVER_ERROR
            case Mood.DROP_BEFORE:
                return None
        note(Event.ACCEPTED)
        self._done.add(touch_id)
        if mood is Mood.DROP_AFTER:
            return None
        await asyncio.sleep(delay_of(mood))
        return HTTPStatus.INTERNAL_SERVER_ERROR if mood is Mood.ERROR_AFTER else HTTPStatus.NO_CONTENT


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    """Read a request with a body of known length; IncompleteReadError if its sender died meanwhile."""
    _start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return headers, await reader.readexactly(int(headers["content-length"]))


async def serve(log: Log) -> None:
    """Serve mail and web on free loopback ports until the process is ended."""
    loop, conduct = asyncio.get_running_loop(), Conduct()
    mail = await loop.create_server(
        lambda: SMTP(Post(log, conduct), hostname="oracle", loop=loop), LOOPBACK, 0
    )
    web = await asyncio.start_server(Web(log, conduct).serve, LOOPBACK, 0)
    ports = {name: made.sockets[0].getsockname()[1] for name, made in (("mail", mail), ("web", web))}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Log(Path(sys.argv[1]))))
