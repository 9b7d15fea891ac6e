import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.channels import StartTls, read_bounce
from domain import OutcomeKind, ReceiptStatus
from ledger import Ledger
from tests.channels.support import (
    ADA,
    ADDRESS,
    LINKS,
    NOW,
    Relay,
    a_touch,
    broken,
    closed_port,
    content,
    email_activity,
    mail_server,
    parsed,
    perform,
    raw_server,
    settled,
    to,
)


async def test_a_touch_arrives_as_the_message_that_was_decided_on(ledger: Ledger) -> None:
    touch = a_touch(subject="Grüße aus Köln, " + "sehr " * 40 + "kurz")

    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port), touch)

    assert receipt.status is ReceiptStatus.ACCEPTED, receipt.detail
    message, envelope = parsed(relay), relay.envelopes[0]
    assert "queued as 4711" in (receipt.detail or "")
    assert (envelope.mail_from, envelope.rcpt_tos) == ("sales@example.com", [ADDRESS])
    assert message["From"] == "Northwind Sales <sales@example.com>"
    assert message["To"] == f"Ada Lovelace <{ADDRESS}>"
    assert message["Subject"] == touch.subject
    assert message["Message-ID"] == receipt.provider_ref
    assert message["X-Tutti-Touch"] == touch.touch_id
    assert message["Date"].datetime.utcoffset() is not None
    assert content(message, "plain").splitlines()[:3] == touch.text.split("\n")


async def test_mail_programs_find_the_one_click_link_unbroken(ledger: Ledger) -> None:
    touch = a_touch(touch_id=f"northwind/{'p' * 128}/1", account_id="northwind")
    link = LINKS.url("northwind", "c-1", touch.touch_id, ADA)

    async with mail_server() as relay:
        await perform(email_activity(ledger, relay.port), touch)
        lines = relay.text().split(b"\r\n")

    assert f"List-Unsubscribe: <{link}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert content(parsed(relay), "plain").rstrip().endswith(link)
    assert max(map(len, lines)) <= 998
    assert relay.text().isascii()


async def test_the_message_id_belongs_to_the_touch(ledger: Ledger) -> None:
    async with mail_server() as relay:
        activity = email_activity(ledger, relay.port)
        first = await perform(activity, a_touch())
        other = await perform(activity, a_touch(touch_id="northwind/p-1/2"))
        again = await perform(activity, a_touch())

    assert first.provider_ref == again.provider_ref != other.provider_ref
    assert "northwind" not in (first.provider_ref or "")


async def test_a_touch_that_was_sent_is_not_sent_again(ledger: Ledger) -> None:
    async with mail_server() as relay:
        activity = email_activity(ledger, relay.port)

        first = await perform(activity, a_touch())
        second = await perform(activity, a_touch())

    assert second == first
    assert len(relay.envelopes) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipient": None}, "no e-mail address"),
        ({"recipient": to(None)}, "no e-mail address"),
        ({"subject": "Hi\r\nBcc: everybody@example.com"}, "the subject contains a line break"),
        ({"subject": "Hi\u2028Bcc: everybody@example.com"}, "the subject contains a line break"),
        ({"subject": "Hi\x85Bcc: everybody@example.com"}, "the subject contains a line break"),
        ({"recipient": to(ADDRESS, "Ada\nBcc: everybody@example.com")}, "name contains a line break"),
        ({"subject": None, "text": " "}, "neither a subject nor a text"),
        ({"recipient": to("jürgen@example.com")}, "letters before the @"),
    ],
)
async def test_what_cannot_be_a_mail_is_rejected_and_settled(
    ledger: Ledger, changes: dict[str, object], says: str
) -> None:
    touch = a_touch(**changes)

    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port), touch)

    assert receipt.status is ReceiptStatus.REJECTED
    assert says in (receipt.detail or "")
    assert relay.envelopes == []
    assert await settled(ledger, touch) is ReceiptStatus.REJECTED


async def test_an_international_domain_is_written_the_way_servers_read_it(ledger: Ledger) -> None:
    async with mail_server() as relay:
        receipt = await perform(
            email_activity(ledger, relay.port), a_touch(recipient=to("ada@bücher.example.com"))
        )

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert relay.envelopes[0].rcpt_tos == ["ada@xn--bcher-kva.example.com"]


@pytest.mark.parametrize(
    ("step", "answer", "status"),
    [
        ("MAIL", "451 4.3.0 later", ReceiptStatus.UNDELIVERED),
        ("MAIL", "530 5.7.0 log in first", ReceiptStatus.UNDELIVERED),
        ("MAIL", "550 5.7.1 not from you", ReceiptStatus.REJECTED),
        ("RCPT", "450 4.2.1 mailbox busy", ReceiptStatus.UNDELIVERED),
        ("RCPT", "550 5.1.1 no such user", ReceiptStatus.REJECTED),
        ("DATA", "421 4.3.2 closing", ReceiptStatus.UNDELIVERED),
        ("DATA", "554 5.7.1 no", ReceiptStatus.REJECTED),
        ("DATA", "drop", ReceiptStatus.UNDELIVERED),
        ("MESSAGE", "451 4.3.0 disk full", ReceiptStatus.UNDELIVERED),
        ("MESSAGE", "554 5.6.0 spam", ReceiptStatus.REJECTED),
        ("MESSAGE", "250 2.0.0 fine", ReceiptStatus.ACCEPTED),
        ("MESSAGE", "354 what?", ReceiptStatus.UNKNOWN),
        ("MESSAGE", "garbage", ReceiptStatus.UNKNOWN),
    ],
)
async def test_the_step_and_the_answer_decide_what_a_refusal_means(
    ledger: Ledger, step: str, answer: str, status: ReceiptStatus
) -> None:
    touch = a_touch()

    async with mail_server(Relay(answers={step: answer})) as relay:
        receipt = await perform(email_activity(ledger, relay.port), touch)

    assert receipt.status is status
    assert len(relay.envelopes) == (1 if step == "MESSAGE" else 0)
    assert await settled(ledger, touch) is status


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "MESSAGE"])
@pytest.mark.parametrize("code", ["250 2.1.5", "354 2.0.0", "450 4.2.1", "550 5.1.1"])
async def test_the_address_that_a_server_quotes_is_in_no_receipt(
    ledger: Ledger, step: str, code: str
) -> None:
    async with mail_server(Relay(answers={step: f"{code} <{ADDRESS}>: said of {ADDRESS}"})) as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert ADDRESS not in receipt.model_dump_json()


@pytest.mark.parametrize("reason", ["5.1.0", "5.1.1", "5.1.2", "5.1.6", "5.2.1"])
async def test_an_address_that_does_not_exist_is_a_bounce_at_once(ledger: Ledger, reason: str) -> None:
    async with mail_server(Relay(answers={"RCPT": f"550 {reason} no such user"})) as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert (receipt.status, receipt.outcome) == (ReceiptStatus.REJECTED, OutcomeKind.BOUNCE)
    assert reason in (receipt.detail or "")


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("RCPT", "550 5.7.1 we take no mail from you"),
        ("RCPT", "550 no such user, and no code that says so"),
        ("RCPT", "450 4.1.1 try later"),
        ("RCPT", "552 5.2.2 mailbox full"),
        ("MAIL", "550 5.1.0 the sender does not exist"),
        ("MESSAGE", "554 5.6.0 bad content"),
    ],
)
async def test_any_other_refusal_says_nothing_about_the_person(
    ledger: Ledger, step: str, answer: str
) -> None:
    async with mail_server(Relay(answers={step: answer})) as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert receipt.status in {ReceiptStatus.REJECTED, ReceiptStatus.UNDELIVERED}
    assert receipt.outcome is None


async def test_bounces_come_back_to_an_address_that_names_the_touch(ledger: Ledger) -> None:
    touch = a_touch()

    async with mail_server() as relay:
        activity = email_activity(ledger, relay.port, bounce_address="bounces@example.com")
        receipt = await perform(activity, touch)

    returned_to = relay.envelopes[0].mail_from or ""
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert re.fullmatch(r"bounces\+[a-z2-7]+@example\.com", returned_to)
    assert len(returned_to.partition("@")[0]) <= 64
    assert LINKS.bounces.read(returned_to[8:].partition("@")[0]).touch_id == touch.touch_id
    assert parsed(relay)["From"] == "Northwind Sales <sales@example.com>"


async def test_a_bounce_of_a_delivered_message_leads_back_to_its_touch(ledger: Ledger) -> None:
    touch = a_touch(touch_id=f"northwind/{'p' * 128}/1")
    async with mail_server() as relay:
        await perform(email_activity(ledger, relay.port, bounce_address="bounces@example.com"), touch)
    returned = relay.text().partition(b"\r\n\r\n")[0]
    report = (
        b"From: MAILER-DAEMON@example.net\r\nTo: " + (relay.envelopes[0].mail_from or "").encode() + b"\r\n"
        b"Subject: Undeliverable\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n"
        b"Action: failed\r\nStatus: 5.1.1\r\n\r\n"
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" + returned + b"\r\n--b--\r\n"
    )

    bounce = read_bounce(report, links=LINKS.bounces)

    assert (bounce.touch_id, bounce.kind) == (touch.touch_id, OutcomeKind.BOUNCE)


async def test_nobody_listening_leaves_the_touch_undelivered(ledger: Ledger) -> None:
    receipt = await perform(email_activity(ledger, closed_port()), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert "failed at connecting" in (receipt.detail or "")


@pytest.mark.parametrize("greeting", [b"421 too busy\r\n", b"554 go away\r\n", b"nonsense\r\n", b""])
async def test_a_server_that_does_not_greet_us_leaves_the_touch_undelivered(
    ledger: Ledger, greeting: bytes
) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with raw_server(greet) as port:
        receipt = await perform(email_activity(ledger, port), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED


async def test_a_silent_server_is_given_up_before_anything_was_sent(ledger: Ledger) -> None:
    async def keep_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(keep_silent) as port:
        receipt = await perform(email_activity(ledger, port, timeout=0.2), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED


async def test_without_the_encryption_asked_for_nothing_is_sent(ledger: Ledger) -> None:
    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port, starttls=StartTls.REQUIRED), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert "STARTTLS" in (receipt.detail or "")
    assert relay.envelopes == []


async def test_a_failing_login_is_our_trouble_and_not_the_touchs(ledger: Ledger) -> None:
    async with mail_server() as relay:
        receipt = await perform(
            email_activity(ledger, relay.port, username="tutti", password="wrong"), a_touch()
        )

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert relay.envelopes == []


@pytest.mark.parametrize("trouble", ["drop_after_data", "hang_after_data"])
async def test_silence_after_the_message_is_doubt_and_never_a_second_message(
    ledger: Ledger, trouble: str
) -> None:
    touch = a_touch()

    async with mail_server(Relay(**{trouble: True})) as relay:  # type: ignore[arg-type]  # two flags
        activity = email_activity(ledger, relay.port, timeout=0.3)
        receipt = await perform(activity, touch)
        again = await perform(activity, touch)

    assert receipt.status is again.status is ReceiptStatus.UNKNOWN
    assert receipt.provider_ref is not None
    assert receipt.provider_ref in (receipt.detail or "")
    assert len(relay.envelopes) == 1


async def test_a_person_who_objected_anywhere_gets_nothing(ledger: Ledger) -> None:
    await ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)

    async with mail_server() as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch(recipient=to("ADA@example.com")))

    assert receipt.status is ReceiptStatus.BLOCKED
    assert relay.envelopes == []
    assert await settled(ledger, a_touch()) is ReceiptStatus.BLOCKED


async def test_an_objection_during_the_conversation_still_stops_the_message(
    ledger: Ledger, database: Path
) -> None:
    def object_now() -> None:
        with sqlite3.connect(database) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(suppressions)")]
            values = {
                "person_key": ADA,
                "account_id": "northwind",
                "contact_id": "c-1",
                "source": "test",
                "at": NOW.replace(tzinfo=None).isoformat(" "),
            }
            used = [column for column in columns if column in values]
            marks = ", ".join("?" for _ in used)
            connection.execute(
                f"INSERT INTO suppressions ({', '.join(used)}) VALUES ({marks})",  # noqa: S608 - fixed names
                [values[column] for column in used],
            )
        connection.close()

    async with mail_server(Relay(before_start_input=object_now)) as relay:
        receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert receipt.status is ReceiptStatus.BLOCKED
    assert relay.envelopes == []


async def test_suppressions_that_cannot_be_read_block_the_hand_over(ledger: Ledger, database: Path) -> None:
    async with mail_server() as relay:
        with broken(database, "suppressions"):
            receipt = await perform(email_activity(ledger, relay.port), a_touch())

    assert receipt.status is ReceiptStatus.UNDELIVERED
    assert relay.envelopes == []


async def test_a_cancellation_behind_the_line_waits_for_the_answer(ledger: Ledger) -> None:
    environment = ActivityEnvironment()

    async with mail_server(Relay(hang_after_data=True)) as relay:
        running = asyncio.ensure_future(environment.run(email_activity(ledger, relay.port), a_touch()))
        await asyncio.wait_for(relay.reached_data.wait(), 10)
        environment.cancel()
        await asyncio.sleep(0)
        relay.go_on.set()
        receipt = await running

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert await settled(ledger, a_touch()) is ReceiptStatus.ACCEPTED
