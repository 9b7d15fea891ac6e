"""Advertising platforms that answer a whole batch, or a part of it, in ways that must hurt nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import HttpUrl, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.exceptions import ApplicationError

from activities.channels import ChannelEnvironment, PaidMediaSettings, paid_media
from domain import ChannelFault, Receipt, ReceiptStatus, Stop, StopScope, Touch
from ledger import Ledger
from tests.channels.support import LINKS, NOW, allow, an_environment, http_server, to
from tests.channels.vendors import touch_for

Answer = Callable[[list[dict[str, Any]]], Awaitable[Response]]


async def handed_over(ledger: Ledger, count: int, answer: Answer) -> list[Receipt | BaseException]:
    """Hand as many touches over in one batch to a platform that answers so."""

    async def take(request: Request) -> Response:
        return await answer((await request.json())["operations"])

    touches: list[Touch] = [
        touch_for(
            "paid_media",
            touch_id=f"acme-{n}/p-{n}/1",
            account_id=f"acme-{n}",
            proposal_id=f"p-{n}",
            recipient=to(f"p{n}@example.com"),
        )
        for n in range(count)
    ]
    for touch in touches:
        await allow(ledger, touch)
    app = Starlette(routes=[Route("/v1/audiences/{audience}/members:batch", take, methods=["POST"])])
    async with http_server(app) as url:
        settings = PaidMediaSettings(
            base_url=HttpUrl(url), token=SecretStr("token"), timeout_seconds=5.0, batch_seconds=0.05
        )
        hand_over = paid_media.build(ChannelEnvironment(ledger, LINKS), settings).hand_over
        running = (an_environment().run(hand_over, touch) for touch in touches)
        return await asyncio.gather(*running, return_exceptions=True)


def accepted(operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"results": [{"id": each["id"], "status": "accepted"} for each in operations]}


async def test_a_stop_that_is_thrown_while_a_refused_batch_is_halved_holds(ledger: Ledger) -> None:
    """Given a batch that the platform refuses as a whole, when somebody throws the kill switch before it is
    sent again in halves, then nobody is handed over."""
    arrived: list[str] = []

    async def answer(operations: list[dict[str, Any]]) -> Response:
        if len(operations) == 4:
            stop = Stop(
                stop_id="s-1",
                scope=StopScope.TENANT,
                reason="wrong audience",
                placed_by="ada",
                placed_at=NOW + timedelta(hours=1),
            )
            await ledger.place_stop(stop)
            return JSONResponse({"error": "one of them will not do"}, 422)
        arrived.extend(each["id"] for each in operations)
        return JSONResponse(accepted(operations))

    receipts = await handed_over(ledger, 4, answer)

    assert arrived == []
    stopped = [receipt for receipt in receipts if isinstance(receipt, Receipt)]
    assert [receipt.status for receipt in stopped] == [ReceiptStatus.UNDELIVERED] * 4
    assert "ada stopped everything" in (stopped[0].detail or "")


@pytest.mark.parametrize(
    "changes", [{"status": "pending_review"}, {"member_id": "m\r\n1"}, {"member_id": "9" * 51}]
)
async def test_a_result_that_cannot_be_read_spoils_no_other(
    ledger: Ledger, changes: dict[str, object]
) -> None:
    """Given a platform with a word of its own for one member, then the others have their receipts at once."""

    async def answer(operations: list[dict[str, Any]]) -> Response:
        first, *others = accepted(operations)["results"]
        return JSONResponse({"results": [first | changes, *others, "and more", None]})

    unread, *others = await handed_over(ledger, 3, answer)

    assert [each.status for each in others if isinstance(each, Receipt)] == [ReceiptStatus.ACCEPTED] * 2
    assert isinstance(unread, ApplicationError)
    assert "did not say what became of this member" in unread.message


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results": 7}', b"[" * 200_000])
async def test_an_answer_that_is_no_answer_is_asked_for_again(ledger: Ledger, body: bytes) -> None:
    async def answer(_: list[dict[str, Any]]) -> Response:
        return Response(body)

    (unread,) = await handed_over(ledger, 1, answer)

    assert isinstance(unread, ApplicationError)
    assert unread.type == ChannelFault.IN_DOUBT


async def test_an_address_that_the_platform_quotes_is_in_no_receipt(ledger: Ledger) -> None:
    async def answer(operations: list[dict[str, Any]]) -> Response:
        if len(operations) == 2:
            first, second = accepted(operations)["results"]
            quoted = {"status": "rejected", "detail": "p0@example.com opted out"}
            return JSONResponse({"results": [first | quoted, second]})
        return JSONResponse({"error": "p0@example.com is on a list"}, 403)

    for receipt in [*await handed_over(ledger, 2, answer), *await handed_over(ledger, 1, answer)]:
        assert isinstance(receipt, Receipt)
        assert "p0@" not in receipt.model_dump_json()
