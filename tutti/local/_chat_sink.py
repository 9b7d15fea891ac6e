"""A chat's incoming webhook for development: it takes what Slack would take, and keeps it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from tutti.local._lines import LineFile

LONGEST_MESSAGE: Final = 64 * 1024

_log = structlog.get_logger("tutti.sinks")


class ChatSink:
    """Keeps messages as lines of `{"received_at", "channel", "payload"}`.

    Args:
        log: File to which lines are appended; made if missing.

    Raises:
        OSError: The file cannot be used.
    """

    def __init__(self, log: Path) -> None:
        self._log = LineFile(log)
        for _ in self._log.read():  # cuts off what a crash left unfinished
            pass
        self._lock = asyncio.Lock()

    async def receive(self, request: Request) -> PlainTextResponse:
        """Take one message: 400 with Slack's own words if it is none, 200 once it is kept."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_MESSAGE:
                return PlainTextResponse("msg_too_long", 413)
        payload = _message(bytes(body))
        if payload is None:
            return PlainTextResponse("invalid_payload", 400)
        if not isinstance(payload.get("text"), str) or not payload["text"]:
            return PlainTextResponse("no_text", 400)
        line = {
            "received_at": datetime.now(UTC).isoformat(),
            "channel": request.path_params.get("channel", ""),
            "payload": payload,
        }
        try:
            async with self._lock:
                await asyncio.to_thread(self._log.append, line)
        except OSError as error:
            _log.warning("sinks.message_not_kept", error=error.strerror)
            return PlainTextResponse("could not be kept; try again later", 503)
        return PlainTextResponse("ok")


def _message(body: bytes) -> dict[str, Any] | None:
    try:
        found: Any = from_json(body)  # bounded in depth
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
