"""Unsubscribing: a page for persons, one click for mail programs (RFC 8058).

The order is the promise: first the suppression is written to the ledger, then the account is told, then the
request is acknowledged. Channels read the suppression store right before every hand-over, so an opt-out holds
from the moment of its acknowledgement even if the account could not be told. Nothing is queued for telling it
later: governance reads the same store at every ruling, and pressing the button again tells the account again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from activities.channels import UnsubscribeClaim, UnsubscribeLinks, UnsubscribeTokenError
from domain import Observation, Signal, SignalKind, digest_of
from ledger import Ledger, LedgerError

SOURCE = "unsubscribe"
"""Source of the suppressions and signals that come from here."""

_TELL_SECONDS = 5.0
_RETRY_AFTER_SECONDS = 30

_log = structlog.get_logger("tutti.gateway")


class AccountDoor(Protocol):
    """The way to an account's workflow."""

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        """Deliver observations to the account, starting its workflow if there is none."""


def unsubscribe_routes(ledger: Ledger, accounts: AccountDoor, links: UnsubscribeLinks) -> APIRouter:
    """Make the routes behind unsubscribe links.

    Args:
        ledger: Keeper of suppressions.
        accounts: Told about every opt-out.
        links: Reads the tokens.

    Returns:
        The routes `GET` and `POST /unsubscribe/{token}`.
    """
    router = APIRouter(tags=["unsubscribe"], default_response_class=HTMLResponse)
    not_found = {"description": "The link was not made by this gateway, or was damaged."}
    unavailable = {"description": "The opt-out could not be recorded; the request may be repeated."}

    @router.get("/unsubscribe/{token}", summary="Show the unsubscribe page", responses={404: not_found})
    async def ask(token: str) -> HTMLResponse:
        """Show a page with one button; looking at it changes nothing, because mail scanners look too."""
        try:
            links.read(token)
        except UnsubscribeTokenError:
            return _unknown_link()
        return _page(200, _ASK)

    @router.post(
        "/unsubscribe/{token}",
        dependencies=[Depends(_whole_body)],
        summary="Unsubscribe",
        responses={404: not_found, 503: unavailable},
    )
    async def unsubscribe(token: str) -> HTMLResponse:
        """Record the objection of the person behind the link; repeating it changes nothing."""
        try:
            claim = links.read(token)
        except UnsubscribeTokenError:
            return _unknown_link()
        now = datetime.now(UTC)
        log = _log.bind(account_id=claim.account_id, touch_id=claim.touch_id)
        try:
            await ledger.suppress(
                claim.person_key,
                account_id=claim.account_id,
                contact_id=claim.contact_id,
                source=SOURCE,
                at=now,
            )
        except LedgerError as error:
            log.warning("unsubscribe.not_recorded", code=str(error.code))
            return _page(503, _LATER, {"retry-after": str(_RETRY_AFTER_SECONDS)})
        await _tell(accounts, claim, now, log)
        return _page(200, _DONE)

    return router


async def _whole_body(request: Request) -> None:
    """Read the body before acting: a request that is refused as too long must have done nothing."""
    async for _ in request.stream():
        pass


async def _tell(
    accounts: AccountDoor,
    claim: UnsubscribeClaim,
    now: datetime,
    log: structlog.typing.FilteringBoundLogger,
) -> None:
    """Tell the account once, with a deadline; a failure is logged and changes nothing for the person."""
    signal = Signal(
        # Derived from the link, so that a second click is the same signal.
        signal_id=digest_of([claim.account_id, claim.contact_id, claim.touch_id]),
        source=SOURCE,
        kind=SignalKind.OPT_OUT,
        observed_at=now,
        contact_id=claim.contact_id,
        facts={"touch_id": claim.touch_id},
        summary="Unsubscribed through the link in a message",
    )
    try:
        async with asyncio.timeout(_TELL_SECONDS):
            await accounts.observe(claim.account_id, [signal])
    except Exception as error:  # noqa: BLE001 - whatever keeps the account from hearing, the opt-out stands
        log.warning("unsubscribe.account_not_told", error=type(error).__name__, signal_id=signal.signal_id)
    else:
        log.info("unsubscribe.recorded", signal_id=signal.signal_id)


def _unknown_link() -> HTMLResponse:
    return _page(404, _UNKNOWN)


def _page(status: int, content: str, headers: dict[str, str] | None = None) -> HTMLResponse:
    return HTMLResponse(_FRAME.format(content=content), status, {**_HEADERS, **(headers or {})})


# The address of the page is the permission: no cache, referrer or search engine shall learn it.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Unsubscribe</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.125rem/1.5 system-ui, sans-serif; margin: 0; }}
main {{ max-width: 34rem; margin: 15vh auto 0; padding: 0 1.25rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
button {{ font: inherit; font-weight: 600; color: #fff; background: #0b57d0; border: 0;
  border-radius: .5rem; padding: .75rem 1.5rem; min-height: 2.75rem; cursor: pointer; }}
button:focus-visible {{ outline: 3px solid currentColor; outline-offset: 3px; }}
</style>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""

# A form without an action posts to the page's own address, so no value is ever written into the page.
_ASK = """<h1>Do you want to hear no more from us?</h1>
<p>One click is enough: we will send you no more messages, whichever company you work for.</p>
<form method="post"><button type="submit">Unsubscribe</button></form>"""

_DONE = """<h1>You are unsubscribed</h1>
<p role="status">We recorded your wish and will send you no more messages.</p>"""

_LATER = """<h1>That did not work yet</h1>
<p role="alert">We could not record your wish just now. Please press the button again in a minute.</p>
<form method="post"><button type="submit">Unsubscribe</button></form>"""

_UNKNOWN = """<h1>This link does not work</h1>
<p role="alert">It is incomplete or was not made by us: please open the link from the message again.</p>"""
