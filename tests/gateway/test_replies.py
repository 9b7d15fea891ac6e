"""Answers by mail: three proofs are asked for, and a mail from somebody else is a recorded refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2 as httpx
import pytest
import structlog

from domain import Answer, Approval, ApprovalStatus, Door
from gateway._reply_mail import MAX_REPLY_BYTES
from gateway.replies import UNVERIFIED
from ledger import NoticeAbout, NoticeKey, NoticeStatus
from tests.gateway.asking import ANSWER_LINKS, DANA, REPLIES, TOM, Desk
from tests.workflows.stage import soon, until
from workflows import AccountClient


async def noticed(desk: Desk, approval: Approval, login: str = DANA) -> str:
    """Write down that a person was told of a question, and return the key of their reply."""
    notice_id = f"{desk.account_id}/{approval.approval_id}/n1"
    key = NoticeKey(notice_id=notice_id, recipient=login, medium="mail")
    about = NoticeAbout(
        account_id=desk.account_id,
        approval_id=approval.approval_id,
        digest=approval.digest,
        reply_key=ANSWER_LINKS.reply_key(notice_id, login),
    )
    await desk.stage.ledger.claim_notice(key, about, at=soon())
    await desk.stage.ledger.settle_notice(key, NoticeStatus.DELIVERED, at=soon())
    assert about.reply_key is not None
    return about.reply_key


def reply(key: str, text: str = "approve", sender: str = "dana.reyes@example.com", *headers: str) -> bytes:
    lines = (
        f"From: Dana Reyes <{sender}>",
        f"To: approvals+{key}@example.com",
        "Subject: Re: May this go out?",
        f"Message-ID: <{key}.{text[:6].strip()}@example.com>",
        *headers,
        "",
        text,
        "",
        "> May this go out?",
        "> approve",
    )
    return "\r\n".join(lines).encode()


async def passed_on(desk: Desk, mail: bytes, token: str | None = REPLIES) -> httpx.Response:
    headers = {"content-type": "message/rfc822"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return await desk.http.post("/v1/approvals/replies", content=mail, headers=headers)


async def test_a_reply_answers_the_question_that_its_key_belongs_to(desk: Desk) -> None:
    approval = await desk.asks()
    key = await noticed(desk, approval)

    answers = [await passed_on(desk, reply(key)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == {"status": "accepted", "answer": "approve", "error": None}
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.answer.via, fact.result.accepted) == (DANA, Door.MAIL, True)
    assert await desk.status(approval.approval_id) is ApprovalStatus.APPROVED


async def test_a_reply_rejects_with_a_reason(desk: Desk) -> None:
    approval = await desk.asks()

    answer = await passed_on(desk, reply(await noticed(desk, approval), "reject wrong_time: not this week"))

    assert answer.status_code == 202
    (fact,) = await desk.answers(1)
    assert (fact.answer.answer, fact.answer.code, fact.answer.comment) == (
        Answer.REJECT,
        "wrong_time",
        "not this week",
    )


FORGERIES = {
    "another-address": {"sender": "mallory@example.net"},
    "a-colleague": {"sender": "tom.okafor@example.com"},
    "two-senders": {"sender": "dana.reyes@example.com>, <mallory@example.net"},
    "refuted": {"more": ("Authentication-Results: mx.example.com; dmarc=fail",)},
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_reply_is_a_recorded_refusal_and_never_an_answer(
    desk: Desk, forgery: dict[str, Any]
) -> None:
    approval = await desk.asks()
    key = await noticed(desk, approval)
    sender = forgery.get("sender", "dana.reyes@example.com")

    with structlog.testing.capture_logs() as lines:
        answers = [
            await passed_on(desk, reply(key, text, sender, *forgery.get("more", ())))
            for text in ("approve", "approve", "reject: no")
        ]

    assert [answer.status_code for answer in answers] == [403] * 3
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.answer.via, fact.result.accepted) == (UNVERIFIED, Door.MAIL, False)
    assert f"under the key of {DANA}" in (fact.answer.comment or "")
    assert "It said: approve" in (fact.answer.comment or "")
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING
    assert key not in str(lines)
    assert sender not in str(lines)
    assert (await passed_on(desk, reply(key))).status_code == 202  # the person can still answer


async def test_a_reply_of_somebody_who_may_not_answer_is_refused_by_the_account(desk: Desk) -> None:
    """Tom owns the agent that proposes it."""
    approval = await desk.asks()
    key = await noticed(desk, approval, TOM)

    answer = await passed_on(desk, reply(key, sender="tom.okafor@example.com"))

    assert answer.status_code == 202
    (fact,) = await desk.answers(1)
    assert (fact.answer.approver, fact.result.accepted) == (TOM, False)
    assert await desk.status(approval.approval_id) is ApprovalStatus.PENDING


async def test_a_late_reply_is_refused_by_the_account(desk: Desk) -> None:
    approval = await desk.asks("sdr-1")
    key = await noticed(desk, approval)
    await desk.decide(approval, TOM, Answer.REJECT)

    await passed_on(desk, reply(key))

    _, late = await desk.answers(2)
    assert (late.result.accepted, late.result.answered_by) == (False, TOM)


@pytest.mark.parametrize("text", ["I do not approve", "approve, but not before Monday", "looks good", ""])
async def test_what_is_not_understood_answers_nothing(desk: Desk, text: str) -> None:
    approval = await desk.asks()

    answer = await passed_on(desk, reply(await noticed(desk, approval), text))

    assert (answer.status_code, answer.json()["status"]) == (422, "not_understood")
    assert "approve" in answer.json()["error"]
    assert await desk.told() == []


async def test_an_out_of_office_note_is_nothing_to_do(desk: Desk) -> None:
    approval = await desk.asks()
    note = reply(
        await noticed(desk, approval), "approve", "dana.reyes@example.com", "Auto-Submitted: auto-replied"
    )

    answer = await passed_on(desk, note)

    assert (answer.status_code, answer.json()["status"]) == (200, "nothing_to_do")
    assert await desk.told() == []


async def test_a_mail_without_a_key_or_with_a_guessed_one_answers_nothing(desk: Desk) -> None:
    approval = await desk.asks()
    key = await noticed(desk, approval)
    others = [
        reply("a" * 24),
        reply("short"),
        reply(key).replace(b"Subject:", f"Cc: approvals+{'a' * 24}@example.com\r\nSubject:".encode()),
    ]

    answers = [await passed_on(desk, mail) for mail in others]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert await desk.told() == []


@pytest.mark.parametrize("token", [None, "", "x", f"{REPLIES}x", REPLIES[:-1]])
async def test_only_our_mail_server_passes_replies_on(desk: Desk, token: str | None) -> None:
    approval = await desk.asks()
    key = await noticed(desk, approval)

    answer = await passed_on(desk, reply(key), token.strip() or "y" if token is not None else None)

    assert answer.status_code == 401
    assert await desk.told() == []


async def test_a_mail_that_is_too_long_is_refused(desk: Desk) -> None:
    assert (await passed_on(desk, b"x" * (MAX_REPLY_BYTES + 1))).status_code == 413


async def test_a_reply_survives_that_all_workers_are_away(front: Desk) -> None:
    """A signal is durable before it is acknowledged; an update would be lost with the server."""
    left_alone = AccountClient(front.stage.client, task_queue=f"nobody-{soon().microsecond}")
    approval = await (await front.another()).asks()
    desk = await replace(front, stage=replace(front.stage, accounts=left_alone)).another()
    key = await noticed(desk, approval)

    answer = await passed_on(desk, reply(key))

    async def there() -> list[str] | None:
        return await desk.told() or None

    assert answer.status_code == 202
    assert await until(there, "the signal in the history") == ["answer_approval_signal"]
    await desk.stage.handle.terminate("the test is over")
