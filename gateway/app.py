"""The gateway application: health, unsubscribe links, what comes back, hand-overs, and answers of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from activities.channels import UnsubscribeLinks
from activities.notices import AnswerLinks
from gateway._approval_door import ApprovalDoor
from gateway._approvers import ApproverTokens
from gateway._signatures import OutcomeKeys
from gateway.answer_page import answer_routes
from gateway.approvals import approval_routes
from gateway.bounces import Bounces, bounce_routes
from gateway.handovers import handover_routes
from gateway.outcomes import OutcomeDoor, outcome_routes
from gateway.replies import Replies, reply_routes
from gateway.unsubscribe import AccountDoor, unsubscribe_routes
from ledger import Ledger, LedgerError

__all__ = [
    "MAX_BODY_BYTES",
    "AccountDoor",
    "Accounts",
    "Approvals",
    "ApproverTokens",
    "Bounces",
    "OutcomeKeys",
    "Replies",
    "create_app",
]

MAX_BODY_BYTES = 65_536
"""A longer request body is refused with 413; routes that take batches say their own limit."""

_log = structlog.get_logger("tutti.gateway")


class Accounts(AccountDoor, OutcomeDoor, Protocol):
    """All that the gateway needs of the accounts' workflows."""


@dataclass(frozen=True)
class Approvals:
    """What the gateway needs to take the answers of people.

    Attributes:
        accounts: Where cards come from and answers go.
        links: Reads answer links.
        tokens: Tell who speaks at the approvals API; without any that is off.
        replies: Tell who answers by mail; None: nobody does.
    """

    accounts: ApprovalDoor
    links: AnswerLinks
    tokens: ApproverTokens
    replies: Replies | None = None


def create_app(  # noqa: PLR0913 - what each door of the house needs
    *,
    ledger: Ledger,
    accounts: Accounts,
    links: UnsubscribeLinks,
    outcome_keys: OutcomeKeys,
    bounces: Bounces,
    channel_token: SecretStr | None = None,
    approvals: Approvals | None = None,
) -> FastAPI:
    """Create the gateway.

    Args:
        ledger: An open ledger; it stays the caller's to close.
        accounts: The way to the accounts' workflows.
        links: Reads unsubscribe tokens.
        outcome_keys: Check who reports outcomes.
        bounces: Check who passes on returned mail, and read what it is about.
        channel_token: What channel workers show at the hand-over API; without one that is off.
        approvals: How people answer; None: they do not answer here.

    Returns:
        The ASGI application; its OpenAPI description is at `/openapi.json`.
    """
    # The library's pages for reading the description load scripts from elsewhere, so they are off.
    app = FastAPI(
        title="Tutti gateway", version="1", docs_url=None, redoc_url=None, max_body_size=MAX_BODY_BYTES
    )

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
    app.include_router(outcome_routes(accounts, outcome_keys))
    app.include_router(bounce_routes(accounts, bounces))
    app.include_router(handover_routes(ledger, channel_token))
    if approvals is not None:
        app.include_router(answer_routes(approvals.accounts, approvals.links))
        if approvals.replies is not None:
            app.include_router(reply_routes(approvals.accounts, ledger, approvals.replies))
        app.include_router(approval_routes(approvals.accounts, ledger, approvals.tokens))
    return app
