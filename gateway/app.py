"""The gateway application: health and unsubscribe links."""

from __future__ import annotations

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.channels import UnsubscribeLinks
from gateway.unsubscribe import AccountDoor, unsubscribe_routes
from ledger import Ledger, LedgerError

__all__ = ["MAX_BODY_BYTES", "AccountDoor", "create_app"]

MAX_BODY_BYTES = 65_536
"""Requests with a longer body are refused with 413."""

_log = structlog.get_logger("tutti.gateway")


def create_app(*, ledger: Ledger, accounts: AccountDoor, links: UnsubscribeLinks) -> FastAPI:
    """Create the gateway.

    Args:
        ledger: An open ledger; it stays the caller's to close.
        accounts: The way to the accounts' workflows.
        links: Reads unsubscribe tokens.

    Returns:
        The ASGI application; its OpenAPI description is at `/openapi.json`.
    """
    # The library's pages for reading the description load scripts from elsewhere, so they are off.
    app = FastAPI(title="Tutti gateway", version="1", docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)

    @app.get(
        "/healthz",
        tags=["operation"],
        summary="Tell whether the gateway can do its work",
        responses={503: {"description": "The ledger cannot be used."}},
    )
    async def healthz() -> JSONResponse:
        """Check that the ledger answers and has the tables this version needs."""
        try:
            await ledger.check()
        except LedgerError as error:
            _log.error("gateway.unhealthy", code=str(error.code), reason=str(error))
            # The sentence may name files and hosts, so it goes to the log only.
            return JSONResponse({"status": "unavailable", "ledger": str(error.code)}, 503)
        return JSONResponse({"status": "ok"})

    app.include_router(unsubscribe_routes(ledger, accounts, links))
    return app


class BodyLimit:
    """Reads a request's body up to a limit before the application sees it.

    The announced length is not believed: a body in chunks announces none.

    Args:
        app: The application behind it.
        max_bytes: Longest body that is let through.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            refusal = JSONResponse(
                {"detail": f"The request body is longer than {self._max_bytes} bytes."},
                413,
                {"connection": "close"},
            )
            await refusal(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the whole body, or None if it is too long."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the client went away
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)
