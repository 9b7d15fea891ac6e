"""Notices in a chat: each group once, nothing that only one person may see, and nothing that a chat obeys."""

import json
import logging
from datetime import timedelta

import pytest
import structlog
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from activities.notices import wording_of
from activities.notices._chat import payload
from domain import EscalationLevel, ExceptionKind, NoticeReport, Occasion, Seat
from ledger import Ledger
from tests.channels.support import closed_port, http_server, mail_server
from tests.notices.support import (
    NOW,
    Chat,
    a_card,
    a_notice,
    a_route,
    an_approval,
    chat_to,
    mail_to,
    notifying,
    tell,
)


def too_many(seconds: str) -> Response:
    return PlainTextResponse("rate_limited", 429, headers={"Retry-After": seconds})


async def test_a_request_is_posted_once_for_all(ledger: Ledger) -> None:
    chat = Chat()
    async with http_server(chat) as base:
        activities = notifying(ledger, chat=chat_to(f"{base}/hooks/secret"))
        report = await tell(activities, a_notice(to=("dana.reyes", "tom.okafor")))
        again = await tell(activities, a_notice(to=("dana.reyes", "tom.okafor")))

    assert report == again == NoticeReport(notice_id=a_notice().notice_id, delivered=("chat",))
    ((path, body),) = chat.got
    assert path == "/hooks/secret"
    assert body["text"].startswith("Approval needed: send email for Northwind\n")
    for said in ("tutti inbox", "northwind/p-1/r-2", "Account: Northwind (northwind)", "sales-leadership"):
        assert said in body["text"]
    assert [block["type"] for block in body["blocks"]] == ["header", "section"]


async def test_many_read_a_chat_so_neither_link_nor_content_nor_contact_is_posted(ledger: Ledger) -> None:
    chat = Chat()
    async with http_server(chat) as base, mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port), chat=chat_to(base)), a_notice())

    said = json.dumps(chat.got)
    for secret in ("/answer/", "approvals+", "Ada", "northwind.example", "shall we talk", "Ten minutes"):
        assert secret not in said


async def test_each_group_has_its_own_webhook_and_the_rest_share_one(ledger: Ledger) -> None:
    route = a_route(
        group="legal and sales-leadership",
        seats=(
            Seat(group="legal", approvers=("lena.fischer",)),
            Seat(group="sales-leadership", approvers=("dana.reyes",)),
        ),
        levels=(
            EscalationLevel(at=NOW, group="board", approvers=("mara.lindqvist",)),
            EscalationLevel(at=NOW + timedelta(hours=1), group="owners", approvers=("mara.lindqvist",)),
        ),
    )
    card = a_card(an_approval(route=route, level=1))
    chat = Chat()
    async with http_server(chat) as base:
        own = chat_to(f"{base}/all", legal=f"{base}/legal", owners=f"{base}/owners")
        report = await tell(notifying(ledger, chat=own), a_notice(card=card))
        without = await tell(notifying(ledger, chat=chat_to(legal=f"{base}/legal")), a_notice(2, card=card))

    assert report.delivered == ("legal by chat", "chat")
    assert without.delivered == ("legal by chat",)
    assert [path for path, _ in chat.got] == ["/legal", "/all", "/legal"]


async def test_a_group_without_any_webhook_is_no_failure(ledger: Ledger) -> None:
    report = await tell(notifying(ledger, chat=chat_to(legal="http://127.0.0.1:1/legal")), a_notice())

    assert report == NoticeReport(notice_id=a_notice().notice_id)


HOSTILE = "<!channel> & <https://evil.example|Northwind> *bold* {{ 7 * 7 }}"


def test_whatever_a_name_holds_a_chat_obeys_none_of_it() -> None:
    notice = a_notice(card=a_card(account_name=HOSTILE), message=f"{HOSTILE} is asked about")

    body = payload(notice, wording_of(notice))

    said = json.dumps(body)
    assert "<" not in said
    assert ">" not in said
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|Northwind&gt; *bold* {{ 7 * 7 }}" in body["text"]
    assert body["mrkdwn"] is False
    assert {block["text"]["type"] for block in body["blocks"]} == {"plain_text"}


@pytest.mark.parametrize("kind", list(ExceptionKind))
@pytest.mark.parametrize("occasion", list(Occasion))
def test_every_message_fits_what_chats_take(kind: ExceptionKind, occasion: Occasion) -> None:
    approval = an_approval(kind=kind, message="m" * 300, action="a" * 128, route=a_route(group="g" * 300))
    notice = a_notice(occasion=occasion, message="m" * 300, card=a_card(approval, account_name="&" * 300))

    body = payload(notice, wording_of(notice))

    header, section = (block["text"]["text"] for block in body["blocks"])
    assert 0 < len(header) <= 150
    assert 0 < len(section) <= 3_000
    assert len(body["text"]) <= 4_000
    assert ("tutti inbox" in section) is (
        occasion in {Occasion.REQUESTED, Occasion.REMINDER, Occasion.ESCALATED}
    )


async def test_a_chat_that_asks_for_a_short_pause_gets_it(ledger: Ledger) -> None:
    chat = Chat(answers=[too_many("1")])
    async with http_server(chat) as base:
        report = await tell(notifying(ledger, chat=chat_to(base)), a_notice())

    assert report.delivered == ("chat",)
    assert len(chat.got) == 2


@pytest.mark.parametrize(
    ("answer", "try_again"),
    [
        (too_many("600"), True),
        (PlainTextResponse("rate_limited", 429), True),
        (PlainTextResponse("oops", 500), True),
        (PlainTextResponse("oops", 503), True),
        (PlainTextResponse("no_service", 404), False),
        (PlainTextResponse("invalid_payload", 400), False),
        (RedirectResponse("https://elsewhere.example/", 302), False),
    ],
)
async def test_a_chat_that_fails_is_tried_later_and_one_that_refuses_is_not(
    ledger: Ledger, answer: Response, *, try_again: bool
) -> None:
    chat = Chat(answers=[answer])
    async with http_server(chat) as base:
        report = await tell(notifying(ledger, chat=chat_to(base)), a_notice())
        assert len(chat.got) == 1
        later = await tell(notifying(ledger, chat=chat_to(base)), a_notice())

    assert report.failed == (f"chat: the chat answered HTTP {answer.status_code}",)
    assert report.try_again is try_again
    assert len(chat.got) == (2 if try_again else 1)
    assert bool(later.delivered) is try_again


async def test_a_chat_that_is_down_and_comes_back_gets_one_message_and_not_five(ledger: Ledger) -> None:
    for _ in range(5):
        report = await tell(
            notifying(ledger, chat=chat_to(f"http://127.0.0.1:{closed_port()}/hooks/hunter2")), a_notice()
        )
        assert report.failed == ("chat: the chat cannot be reached",)
        assert report.try_again

    chat = Chat()
    async with http_server(chat) as base:
        for _ in range(5):
            assert (await tell(notifying(ledger, chat=chat_to(base)), a_notice())).delivered == ("chat",)
    assert len(chat.got) == 1


async def test_a_chat_that_hangs_keeps_no_mail_waiting_and_gets_it_twice_and_no_more(ledger: Ledger) -> None:
    chat = Chat(hangs=True)
    async with http_server(chat) as base, mail_server() as relay:
        activities = notifying(ledger, mail=mail_to(relay.port), chat=chat_to(base, timeout=0.3))
        reports = [await tell(activities, a_notice()) for _ in range(4)]

    assert {each.delivered for each in reports} == {("dana.reyes by mail",)}
    assert [each.try_again for each in reports] == [True, True, False, False]
    assert len(relay.envelopes) == 1
    assert len(chat.got) == 2


async def test_the_address_of_a_webhook_is_in_no_log_and_no_report(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Chat()
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.DEBUG):
        async with http_server(chat) as base:
            told = await tell(notifying(ledger, chat=chat_to(f"{base}/hooks/hunter2")), a_notice(1))
        failed = await tell(
            notifying(ledger, chat=chat_to(f"http://127.0.0.1:{closed_port()}/hooks/hunter2")), a_notice(2)
        )

    assert told.delivered
    assert failed.failed
    assert logs
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert ours
    assert "hunter2" not in f"{logs} {told} {failed} {ours}"
