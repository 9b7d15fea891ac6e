"""The hand-over API: preflight, claim and settlement for channel workers that cannot read the ledger.

A channel of its own language or network asks `check` or `claim` right before it calls its provider, and puts
its receipt on record with `settle`. Touch ids hold slashes, so they travel in the body.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import ConfigDict, Field, SecretStr

from activities.channels import preflight, receipt_for
from domain import Frozen, Identifier, Receipt, ReceiptStatus, ShortText, Touch
from gateway._problems import Handler, bearer, is_token, malformed, problem, whole
from ledger import ClaimState, Ledger, LedgerError

TOKEN_SETTING = "TUTTI_CHANNEL_TOKEN"  # noqa: S105 - the name of a setting
"""Environment variable with the token that channel workers show."""

MAX_HANDOVER_BYTES = 1_048_576
"""A longer body is refused: a touch with both texts of 20,000 characters, escaped, stays below."""

_RETRY_AFTER_SECONDS = 5
_log = structlog.get_logger("tutti.gateway")


class Answered(StrEnum):
    """What a channel worker is told.

    `go`: hand over now. `settled`: an earlier attempt reported, return its receipt. `open`: an earlier
    attempt claimed the touch and did not report, return the receipt `unknown`. `not_now`: nothing may be
    handed over, return the receipt.
    """

    GO = "go"
    SETTLED = "settled"
    OPEN = "open"
    NOT_NOW = "not_now"


class HandoverQuestion(Frozen):
    """Body of `check` and `claim`: may this touch go to the provider now?"""

    model_config = ConfigDict(extra="ignore")

    touch: Touch
    """The touch as the activity got it."""
    reference: ShortText | None = None
    """The name under which the provider would know the touch, for the person who settles a doubt."""


class HandoverAnswer(Frozen):
    """Answer of `check`, `claim` and `settle`."""

    answer: Answered
    """What to do."""
    receipt: Receipt | None = None
    """What the activity has to return; set for every answer but `go`."""


class HandoverReport(Frozen):
    """Body of `settle`: what became of a touch."""

    model_config = ConfigDict(extra="ignore")

    channel: Identifier
    """The channel's name in `channels.yaml`."""
    receipt: Receipt
    """What the channel says about the touch."""


class HandoverProblem(Frozen):
    """Body of every refusal."""

    error: ShortText
    """What is wrong, as a stable word for programs."""
    message: str
    """What is wrong and what to do, as one line for a person."""
    problems: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """With `malformed`: each field that does not fit, and why."""


def handover_routes(ledger: Ledger, token: SecretStr | None) -> APIRouter:
    """Make the routes of the hand-over API.

    Args:
        ledger: Keeper of suppressions, kill switches and claims.
        token: What a channel worker has to show; None turns the routes off.

    Returns:
        The routes `POST /v1/handovers/check`, `/claim` and `/settle`.
    """
    router = APIRouter(
        prefix="/v1/handovers",
        tags=["hand-over"],
        route_class=_guarded(token),
        # For the description only: the guard looks at the header before it reads the body.
        dependencies=[Depends(HTTPBearer(auto_error=False, description=f"The value of {TOKEN_SETTING}."))],
        max_body_size=sys.maxsize,  # the guard counts: the framework would answer in plain text
        responses={
            401: {"model": HandoverProblem, "description": "The token is missing or wrong."},
            413: {"model": HandoverProblem, "description": "The body is too long."},
            422: {"model": HandoverProblem, "description": "The body is not what the contract says."},
            503: {"model": HandoverProblem, "description": "The ledger is away, or no token is set."},
        },
    )

    @router.post("/check", summary="Ask whether a touch may be handed over now", **_examples(_QUESTION))
    async def check(question: HandoverQuestion) -> HandoverAnswer:
        """Read suppressions, kill switches and the touch's own limit, right before the provider is called.

        An idempotent channel needs no more than this. It claims nothing and may be asked at any time.
        """
        refusal = await preflight(ledger, question.touch)
        if refusal is not None:
            return HandoverAnswer(answer=Answered.NOT_NOW, receipt=refusal)
        return HandoverAnswer(answer=Answered.GO)

    @router.post(
        "/claim", summary="Claim the only right to hand a touch over, and ask", **_examples(_QUESTION)
    )
    async def claim(question: HandoverQuestion) -> HandoverAnswer:
        """Check, and claim the touch for this attempt: exactly one caller is ever told `go`.

        An answer that got lost counts as an attempt: asked again, the touch is `open`, because nobody knows
        whether the first one handed it over.
        """
        touch = question.touch
        # Before the claim: if the ledger cannot answer this, no claim must stay open behind the refusal.
        refusal = await preflight(ledger, touch)
        found = await ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
        if found.state is ClaimState.NEW:
            if refusal is None:
                return HandoverAnswer(answer=Answered.GO)
            return HandoverAnswer(
                answer=Answered.NOT_NOW, receipt=await _settle(ledger, touch.channel, refusal)
            )
        if found.receipt is not None:
            return HandoverAnswer(answer=Answered.SETTLED, receipt=found.receipt)
        doubt = receipt_for(
            touch,
            ReceiptStatus.UNKNOWN,
            "An earlier attempt claimed this touch and did not report back, so it may have reached the "
            f"provider. Look for {question.reference or touch.touch_id} there and record what you find.",
            provider_ref=question.reference,
        )
        final = await _settle(ledger, touch.channel, doubt)
        answer = Answered.OPEN if final.status is ReceiptStatus.UNKNOWN else Answered.SETTLED
        return HandoverAnswer(answer=answer, receipt=final)

    @router.post("/settle", summary="Put a receipt on record", **_examples(_REPORT))
    async def settle(report: HandoverReport) -> HandoverAnswer:
        """Store what became of a touch, and return the receipt that stands.

        The first receipt stays, except that `unknown` gives way to `accepted` and `rejected`. So the answer
        is what the activity returns. It may be repeated at any time.
        """
        return HandoverAnswer(
            answer=Answered.SETTLED, receipt=await _settle(ledger, report.channel, report.receipt)
        )

    return router


async def _settle(ledger: Ledger, channel: str, receipt: Receipt) -> Receipt:
    """Store a receipt and return the one that stands, which may be an earlier one."""
    await ledger.settle(receipt)
    standing = await ledger.claim(receipt.touch_id, channel=channel, at=receipt.at)
    _log.info(
        "handover.settled", touch_id=receipt.touch_id, status=(standing.receipt or receipt).status.value
    )
    return standing.receipt or receipt


def _guarded(token: SecretStr | None) -> type[APIRoute]:
    """Make a route class that knows the token, and answers every problem in one shape."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Response:
                refusal = _refused(request, token)
                if refusal is not None:
                    return refusal
                read = await whole(request, MAX_HANDOVER_BYTES)
                if read is None:
                    return problem(413, "too_long", f"the body is longer than {MAX_HANDOVER_BYTES} bytes")
                return await _told(inner, read)

            return handler

    return Guarded


def _refused(request: Request, token: SecretStr | None) -> Response | None:
    if token is None:
        return problem(
            503,
            "no_token",
            f"the hand-over API is off because {TOKEN_SETTING} is not set at the gateway; "
            "make a token with `openssl rand -hex 32` and set it there and at the channel worker",
        )
    if not is_token(bearer(request) or "", token):
        return problem(
            401,
            "unauthorized",
            f"show the value of {TOKEN_SETTING} in the header `Authorization: Bearer ...`",
            headers={"www-authenticate": "Bearer"},
        )
    return None


async def _told(inner: Handler, request: Request) -> Response:
    try:
        return await inner(request)
    except RequestValidationError as error:
        return malformed(error)
    except LedgerError as error:
        _log.warning("handover.ledger_away", code=str(error.code), reason=str(error))
        # The sentence may name files and hosts, so it goes to the log only.
        return problem(
            503,
            "ledger_unavailable",
            "the ledger does not answer; hand nothing over and ask again",
            headers={"retry-after": str(_RETRY_AFTER_SECONDS)},
        )


def _examples(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "openapi_extra": {"requestBody": {"content": {"application/json": {"example": body}}}},
        "response_model_exclude_none": True,
    }


_TOUCH = {
    "touch_id": "northwind/p-17/1",
    "account_id": "northwind",
    "account_name": "Northwind",
    "proposal_id": "p-17",
    "decision_id": "northwind/4/p-17",
    "actor": "sdr.agent",
    "channel": "account-room",
    "action": "follow_up",
    "recipient": {"contact_id": "c-1", "name": "Ada Lovelace", "email": "ada@example.com"},
    "text": "Hello Ada, would Thursday suit you?",
    "digest": "0" * 64,
    "policy_digest": "1" * 64,
}
_QUESTION = {"touch": _TOUCH, "reference": "<northwind.p-17.1@example.com>"}
_REPORT = {
    "channel": "account-room",
    "receipt": {
        "touch_id": "northwind/p-17/1",
        "status": "accepted",
        "at": "2026-11-25T09:30:00Z",
        "provider_ref": "<northwind.p-17.1@example.com>",
    },
}
