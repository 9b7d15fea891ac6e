"""Returned mail becomes an outcome of its touch, if our mail server passes it on and we sent it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest
import pytest_asyncio
import structlog
from temporalio.testing import WorkflowEnvironment

from activities.channels import MAX_BOUNCE_BYTES
from domain import OutcomeKind
from ledger import Ledger
from tests.channels.test_bounces import MAILBOX, SAMPLES, STRANGER, TOKENS
from tests.gateway.reporting import BEARER, Office, opened


@pytest_asyncio.fixture(loop_scope="session")
async def office(temporal: WorkflowEnvironment, ledger: Ledger) -> AsyncIterator[Office]:
    async with opened(temporal.client, ledger) as made:
        yield made


def returned(name: str, account_id: str, tokens: object = TOKENS) -> bytes:
    """A report about a message of the account's touch."""
    assert isinstance(tokens, type(TOKENS))
    touch_id = f"{account_id}/p-1/1"
    text = (SAMPLES / f"{name}.eml").read_text(encoding="utf-8")
    for placeholder, value in {
        "@@VERP@@": tokens.envelope_sender(MAILBOX, account_id, touch_id),
        "@@TOKEN@@": tokens.token(account_id, touch_id),
        "@@TOUCH@@": touch_id,
        "@@MESSAGE_ID@@": "<tutti.0123456789@example.com>",
    }.items():
        text = text.replace(placeholder, value)
    return text.replace("\n", "\r\n").encode()


async def passed_on(
    office: Office, mail: bytes, authorization: str | None = f"Bearer {BEARER}"
) -> httpx.Response:
    headers = {"content-type": "message/rfc822"} | ({"authorization": authorization} if authorization else {})
    return await office.http.post("/v1/bounces", content=mail, headers=headers)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("postfix", OutcomeKind.BOUNCE), ("gmail", OutcomeKind.BOUNCE), ("complaint", OutcomeKind.COMPLAINT)],
)
async def test_a_returned_mail_is_an_outcome_of_its_touch(
    office: Office, name: str, kind: OutcomeKind
) -> None:
    answers = [await passed_on(office, returned(name, office.account_id)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    first, again = await office.arrived()
    assert (first.kind, first.touch_id, first.source) == (kind, f"{office.account_id}/p-1/1", "bounces")
    assert first.outcome_id == again.outcome_id
    assert "@" not in (first.detail or "")


@pytest.mark.parametrize("name", ["postfix_delayed", "out_of_office"])
async def test_a_delay_or_an_automatic_reply_is_nothing_to_do(office: Office, name: str) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await passed_on(office, returned(name, office.account_id))

    assert (answer.status_code, answer.json()["status"]) == (200, "nothing_to_do")
    assert [line["event"] for line in lines] == ["bounces.nothing_to_do"]
    assert await office.arrived() == []


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", f"Bearer {BEARER}x", f"Basic {BEARER}", "Bearer é"]
)
async def test_only_our_mail_server_passes_mail_on(office: Office, authorization: str | None) -> None:
    """A token in the mail is no permission: whoever got the message has it."""
    value = authorization.encode("latin-1") if authorization else None
    headers = {b"content-type": b"message/rfc822"} | ({b"authorization": value} if value else {})

    answer = await office.http.post(
        "/v1/bounces", content=returned("postfix", office.account_id), headers=list(headers.items())
    )

    assert answer.status_code == 401
    assert await office.arrived() == []


async def test_without_a_token_in_the_settings_no_mail_is_taken(
    temporal: WorkflowEnvironment, ledger: Ledger
) -> None:
    async with opened(temporal.client, ledger, bearer=None) as closed:
        assert (await passed_on(closed, returned("postfix", closed.account_id))).status_code == 401


@pytest.mark.parametrize("mail", [b"", b"\x00\xff" * 500, b"Subject: hello\r\n\r\nhello\r\n"])
async def test_what_is_no_bounce_is_refused_in_one_line(office: Office, mail: bytes) -> None:
    answer = await passed_on(office, mail)

    assert (answer.status_code, answer.json()["status"]) == (422, "refused")
    assert answer.json()["error"].isprintable()


async def test_a_touch_that_somebody_else_signed_is_refused(office: Office) -> None:
    answer = await passed_on(office, returned("postfix", office.account_id, STRANGER))

    assert answer.status_code == 422
    assert await office.arrived() == []


async def test_a_touch_of_an_account_that_is_gone_is_told(office: Office) -> None:
    assert (await passed_on(office, returned("postfix", "nobody"))).status_code == 404


async def test_a_mail_that_is_too_long_is_refused(office: Office) -> None:
    assert (await passed_on(office, b"x" * (MAX_BOUNCE_BYTES + 1))).status_code == 413
