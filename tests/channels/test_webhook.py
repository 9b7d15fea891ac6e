import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import HttpUrl, SecretStr
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.exceptions import ApplicationError

from activities.channels import ChannelEnvironment, HandOver, WebhookPayload, WebhookSettings, webhook
from activities.channels._http import delay_of
from domain import ReceiptStatus
from ledger import Ledger
from tests.channels.support import ADA, LINKS, NOW, a_touch, broken, closed_port, http_server, perform

SECRET = "whsec_" + "A" * 32


class Receiver:
    """A real HTTP server that answers as told and remembers what it got."""

    def __init__(self, answer: Callable[[], Response]) -> None:
        self.answer = answer
        self.url = ""
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        return self.answer()


@asynccontextmanager
async def receiver(answer: Callable[[], Response] = Response) -> AsyncIterator[Receiver]:
    taking = Receiver(answer)
    app = Starlette(routes=[Route("/{path:path}", taking.take, methods=["POST", "GET"])])
    async with http_server(app) as url:
        taking.url = f"{url}/touches"
        yield taking


def webhook_activity(ledger: Ledger, url: str, *, timeout: float = 5.0) -> HandOver:
    settings = WebhookSettings(url=HttpUrl(url), secret=SecretStr(SECRET), timeout_seconds=timeout)
    return webhook.build(ChannelEnvironment(ledger=ledger, unsubscribe=LINKS), settings).hand_over


async def test_the_receiver_gets_the_touch_signed_and_in_the_documented_form(ledger: Ledger) -> None:
    touch = a_touch(fields={"task": "call back"})

    async with receiver() as taking:
        receipt = await perform(webhook_activity(ledger, taking.url), touch)

    (headers, body), *rest = taking.requests
    assert rest == []
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert receipt.provider_ref == headers["webhook-id"] == touch.touch_id
    assert headers["content-type"] == "application/json"
    Webhook(SECRET).verify(body, headers)
    payload = WebhookPayload.model_validate_json(body)
    assert payload.type == "touch.handed_over"
    assert payload.data == touch


async def test_a_repeated_request_is_the_same_to_the_receiver(ledger: Ledger) -> None:
    async with receiver() as taking:
        activity = webhook_activity(ledger, taking.url)
        await perform(activity, a_touch())
        await perform(activity, a_touch())

    (first, first_body), (second, second_body) = taking.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert first_body == second_body
    assert json.loads(first_body)["timestamp"] == "2026-03-02T09:00:00Z"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 301, 308])
async def test_a_refusal_for_good_is_a_receipt(ledger: Ledger, status: int) -> None:
    async with receiver(lambda: Response("no\nsuch thing", status, {"location": "/elsewhere"})) as taking:
        receipt = await perform(webhook_activity(ledger, taking.url), a_touch())

    assert receipt.status is ReceiptStatus.REJECTED
    assert str(status) in (receipt.detail or "")
    assert len(taking.requests) == 1


@pytest.mark.parametrize(
    ("status", "retry_after", "delay"),
    [
        (429, "7", timedelta(seconds=7)),
        (503, "10", timedelta(seconds=10)),
        (500, None, None),
        (502, "soon", None),
        (502, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (408, None, None),
    ],
)
async def test_a_receiver_that_cannot_now_is_asked_again_when_it_says(
    ledger: Ledger, status: int, retry_after: str | None, delay: timedelta | None
) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}

    async with receiver(lambda: Response(status_code=status, headers=headers)) as taking:
        with pytest.raises(ApplicationError, match=f"HTTP {status}") as caught:
            await perform(webhook_activity(ledger, taking.url), a_touch())

    assert caught.value.next_retry_delay == delay
    assert not caught.value.non_retryable


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("11", timedelta(seconds=11)),
        ("99999999999999999999", timedelta(hours=1)),
        ("9" * 5_000, timedelta(hours=1)),
    ],
)
async def test_a_receiver_that_asks_for_much_time_gives_the_touch_back(
    ledger: Ledger, retry_after: str, wait: timedelta
) -> None:
    async with receiver(lambda: Response(status_code=429, headers={"retry-after": retry_after})) as taking:
        before = datetime.now(UTC)
        receipt = await perform(webhook_activity(ledger, taking.url), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert receipt.retry_at is not None
    assert timedelta(0) <= receipt.retry_at - before - wait < timedelta(seconds=5)


async def test_nobody_listening_means_try_again(ledger: Ledger) -> None:
    with pytest.raises(ApplicationError, match="no answer") as caught:
        await perform(webhook_activity(ledger, f"http://127.0.0.1:{closed_port()}/"), a_touch())

    assert not caught.value.non_retryable


async def test_an_answer_that_drips_in_is_given_up_in_time(ledger: Ledger) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            writer.write(bytes([byte]))
            try:
                await writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started = asyncio.get_running_loop().time()
    try:
        with pytest.raises(ApplicationError, match="TimeoutError"):
            await perform(webhook_activity(ledger, f"http://127.0.0.1:{port}/", timeout=0.3), a_touch())
    finally:
        server.close()
        await server.wait_closed()

    assert asyncio.get_running_loop().time() - started < 3


async def test_a_person_who_objected_is_not_passed_on(ledger: Ledger) -> None:
    await ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)

    async with receiver() as taking:
        blocked = await perform(webhook_activity(ledger, taking.url), a_touch())
        nobody = await perform(webhook_activity(ledger, taking.url), a_touch(recipient=None))

    assert blocked.status is ReceiptStatus.BLOCKED
    assert nobody.status is ReceiptStatus.ACCEPTED
    assert len(taking.requests) == 1


async def test_suppressions_that_cannot_be_read_stop_the_request(ledger: Ledger, database: Path) -> None:
    async with receiver() as taking:
        with (
            broken(database, "suppressions"),
            pytest.raises(ApplicationError, match="nothing was handed over"),
        ):
            await perform(webhook_activity(ledger, taking.url), a_touch())

    assert taking.requests == []


async def test_a_touch_id_that_would_break_the_headers_is_rejected(ledger: Ledger) -> None:
    async with receiver() as taking:
        receipt = await perform(webhook_activity(ledger, taking.url), a_touch(touch_id="a\x7fü"))

    assert receipt.status is ReceiptStatus.REJECTED
    assert taking.requests == []


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        (None, None),
        ("0", None),
        ("-5", None),
        ("٣", None),
        ("120", timedelta(minutes=2)),
        ("Mon, 02 Mar 2026 09:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 02 Mar 2026 08:00:00 GMT", None),
        ("Tue, 02 Mar 2027 08:00:00 GMT", timedelta(hours=1)),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, delay: timedelta | None) -> None:
    assert delay_of(header, datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) == delay
