"""Returned mail: a mail server passes on what came to the bounce address, and it becomes an outcome.

Two proofs are asked for. The bearer token says that our own mail server speaks; the token inside the mail
says which touch it is about. The second alone would not do: whoever got a message holds its token, and a mail
server that passes on everything it gets is an open door for whoever writes to the bounce address.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from activities.channels import MAX_BOUNCE_BYTES, BounceTokens, UnreadableBounceError, read_bounce
from domain import Frozen, Identifier, Outcome, OutcomeKind, ShortText
from gateway.outcomes import BOUNCES, RETRY_AFTER_SECONDS, OutcomeDoor, ReportStatus, report_one

_log = structlog.get_logger("tutti.gateway")
_bearer = HTTPBearer(auto_error=False, description="TUTTI_BOUNCE_TOKEN")


class BounceStatus(StrEnum):
    """What became of a returned mail.

    `accepted`: the engine has the outcome. `nothing_to_do`: a delay or an automatic reply says nothing final.
    `refused`: it says nothing about a touch of ours. `unknown_account`, `unavailable`: as for callbacks.
    """

    ACCEPTED = "accepted"
    NOTHING_TO_DO = "nothing_to_do"
    REFUSED = "refused"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNAVAILABLE = "unavailable"


class BounceAnswer(Frozen):
    """Answer to a returned mail."""

    status: BounceStatus
    kind: OutcomeKind | None = None
    """What the account is told."""
    outcome_id: Identifier | None = None
    error: ShortText | None = None
    """One line for people."""


_CODES = {
    ReportStatus.ACCEPTED: 202,
    ReportStatus.REFUSED: 422,
    ReportStatus.UNKNOWN_ACCOUNT: 404,
    ReportStatus.UNAVAILABLE: 503,
}


@dataclass(frozen=True)
class Bounces:
    """The two proofs of returned mail.

    Attributes:
        tokens: Reads which touch a mail is about.
        bearer: What the mail server must present; None: returned mail is not taken at all.
    """

    tokens: BounceTokens
    bearer: SecretStr | None = None


def bounce_routes(accounts: OutcomeDoor, proofs: Bounces) -> APIRouter:
    """Make the route of returned mail.

    Args:
        accounts: Where outcomes go.
        proofs: What is asked of a mail and of whoever passes it on.

    Returns:
        The route `POST /v1/bounces`.
    """
    router = APIRouter(tags=["outcomes"])

    @router.post(
        "/v1/bounces",
        summary="Pass on a returned mail",
        response_model=BounceAnswer,
        responses=_RESPONSES,
        openapi_extra=_DESCRIBED,
        max_body_size=MAX_BOUNCE_BYTES,
    )
    async def take(
        request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> JSONResponse:
        """Read a bounce or complaint, and tell the account of the touch that it is about.

        The body is the mail as the server got it. Delays and automatic replies are answered with 200 and
        change nothing. The same mail may be passed on again: it is the same outcome.
        """
        if not _allowed(proofs.bearer, shown):
            _log.warning("bounces.not_allowed", token_is_set=proofs.bearer is not None)
            return JSONResponse(
                {"error": "present the token for returned mail as Authorization: Bearer ..."},
                401,
                {"www-authenticate": "Bearer"},
            )
        raw = await request.body()
        try:
            # In a thread: the worst mail takes a second or two to read.
            bounce = await asyncio.to_thread(read_bounce, raw, links=proofs.tokens)
        except UnreadableBounceError as error:
            _log.info("bounces.refused", code=error.code)
            return _answer(422, BounceAnswer(status=BounceStatus.REFUSED, error=str(error)[:300]))
        log = _log.bind(account_id=bounce.account_id, touch_id=bounce.touch_id, nature=bounce.nature.value)
        if bounce.kind is None:
            log.info("bounces.nothing_to_do")
            return _answer(200, BounceAnswer(status=BounceStatus.NOTHING_TO_DO))
        outcome = Outcome(
            outcome_id=bounce.outcome_id,
            source=BOUNCES,
            touch_id=bounce.touch_id,
            kind=bounce.kind,
            # The moment in the mail is the word of a foreign server; this one is ours.
            at=datetime.now(UTC),
            detail=bounce.detail,
        )
        result = await report_one(accounts, bounce.account_id, outcome)
        log.info("bounces.reported", status=result.status.value)
        answer = BounceAnswer(
            status=BounceStatus(result.status.value),
            kind=bounce.kind,
            outcome_id=bounce.outcome_id,
            error=result.error,
        )
        return _answer(_CODES[result.status], answer)

    return router


def _allowed(bearer: SecretStr | None, shown: HTTPAuthorizationCredentials | None) -> bool:
    if bearer is None or shown is None:
        return False
    return hmac.compare_digest(shown.credentials.encode(), bearer.get_secret_value().encode())


def _answer(status: int, answer: BounceAnswer) -> JSONResponse:
    headers = (
        {"retry-after": str(RETRY_AFTER_SECONDS)} if status == _CODES[ReportStatus.UNAVAILABLE] else None
    )
    return JSONResponse(answer.model_dump(mode="json"), status, headers)


_EXAMPLE = """Return-Path: <>
To: bounces+mfrgg3dfmz2gqzlsmu@example.com
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Action: failed
Status: 5.1.1

--b--
"""
_DESCRIBED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "message/rfc822": {
                "schema": {"type": "string", "format": "binary"},
                "examples": {"bounce": {"summary": "A report of RFC 3464", "value": _EXAMPLE}},
            }
        },
    }
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A delay or an automatic reply: nothing to do."},
    202: {"description": "The engine has the outcome.", "model": BounceAnswer},
    401: {"description": "The bearer token is missing or wrong, or none is set for this gateway."},
    404: {"description": "There is no such account.", "model": BounceAnswer},
    413: {"description": f"The mail is longer than {MAX_BOUNCE_BYTES:,} bytes."},
    422: {
        "description": "The mail is no bounce, or carries no token of a touch of ours.",
        "model": BounceAnswer,
    },
    503: {
        "description": "The engine does not answer: pass the mail on again after `Retry-After`.",
        "model": BounceAnswer,
    },
}
