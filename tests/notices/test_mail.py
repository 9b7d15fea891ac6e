"""Notices by mail: everything that an approver needs, a link that is theirs, and each of them once."""

import asyncio
import re
import sqlite3
import sys
from contextlib import closing
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest
import structlog
from aiosmtpd.smtp import Envelope, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.notices import NOTICE_HEADER, wording_of
from domain import ExceptionKind, NoticeReport, Occasion, Verdict
from ledger import Ledger, LedgerError
from tests.channels.support import Relay, broken, closed_port, content, mail_server, raw_server
from tests.notices.support import (
    LINKS,
    NOW,
    PEOPLE,
    PUBLIC_URL,
    a_card,
    a_notice,
    a_route,
    an_approval,
    mail_to,
    messages,
    notifying,
    tell,
)

LINK = re.compile(rf"{PUBLIC_URL}/answer/([A-Za-z0-9_-]+)")
WORDS_OF_REQUEST = (
    "You are asked to decide.",
    "Account: Northwind (northwind)",
    "Action: send email over email",
    "Proposed by: sdr-agent",
    "To: Ada Lovelace",
    "Value: 60,000, confidence 80%",
    "Evidence: visited the price page twice",
    "Subject: Ten minutes, Ada?",
    "shall we talk & <decide>?",
    "large-deals (require approval, authority.yaml:12): a person decides above 50,000",
    "no answer: If nobody answers by Friday, it is suppressed; never sent.",
)


async def test_a_request_says_everything_and_links_to_the_answer_page(ledger: Ledger) -> None:
    async with mail_server() as relay:
        report = await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice())

    assert report == NoticeReport(notice_id=a_notice().notice_id, delivered=("dana.reyes by mail",))
    (message,) = messages(relay)
    text, html = content(message, "plain"), content(message, "html")
    for said in WORDS_OF_REQUEST:
        assert said in text
    assert "shall we talk &amp; &lt;decide&gt;?" in html
    assert str(message["To"]) == "dana.reyes@example.com"
    assert str(message["Subject"]) == "Approval needed: send email for Northwind"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message[NOTICE_HEADER] == a_notice().notice_id
    (in_text,), (in_html,) = set(LINK.findall(text)), set(LINK.findall(html))
    assert in_text == in_html
    ticket = LINKS.read(in_text, now=NOW)
    assert (ticket.account_id, ticket.approval_id, ticket.login) == ("northwind", "p-1/r-2", "dana.reyes")
    assert ticket.digest == an_approval().digest
    assert ticket.expires_at == an_approval().route.expires_at


async def test_each_person_gets_a_link_and_a_reply_address_of_their_own(ledger: Ledger) -> None:
    notice = a_notice(to=("dana.reyes", "tom.okafor", "dana.reyes"))
    async with mail_server() as relay:
        report = await tell(notifying(ledger, mail=mail_to(relay.port)), notice)

    assert report.delivered == ("dana.reyes by mail", "tom.okafor by mail")
    assert [envelope.rcpt_tos for envelope in relay.envelopes] == [
        [PEOPLE["dana.reyes"]],
        [PEOPLE["tom.okafor"]],
    ]
    tickets = [LINKS.read(LINK.findall(content(each, "plain"))[0], now=NOW) for each in messages(relay)]
    assert [each.login for each in tickets] == ["dana.reyes", "tom.okafor"]
    assert len({each.nonce for each in tickets}) == 2
    assert len({str(each["Message-ID"]) for each in messages(relay)}) == 2
    for message, login in zip(messages(relay), ("dana.reyes", "tom.okafor"), strict=True):
        found = re.fullmatch(r"approvals\+([a-z2-7]{24})@example\.com", str(message["Reply-To"]))
        assert found is not None
        entry = await ledger.notice_of_reply(found[1])
        assert entry is not None
        assert (entry.login, entry.about.approval_id, entry.about.digest) == (login, "p-1/r-2", "ab" * 32)


async def test_nobody_to_tell_is_no_failure(ledger: Ledger) -> None:
    report = await tell(notifying(ledger, mail=mail_to(closed_port())), a_notice(to=()))

    assert report == NoticeReport(notice_id=a_notice().notice_id)


async def test_reminder_and_withdrawal_join_the_conversation(ledger: Ledger) -> None:
    async with mail_server() as relay:
        activities = notifying(ledger, mail=mail_to(relay.port))
        await tell(activities, a_notice(1))
        await tell(activities, a_notice(2, Occasion.REMINDER))
        await tell(activities, a_notice(3, Occasion.WITHDRAWN, message="You need not answer: they opted out"))

    request, reminder, withdrawal = messages(relay)
    assert "In-Reply-To" not in request
    for later in (reminder, withdrawal):
        assert later["In-Reply-To"] == later["References"] == request["Message-ID"]
        assert str(later["Subject"]) == f"Re: {request['Subject']}"
    assert len({str(each["Message-ID"]) for each in (request, reminder, withdrawal)}) == 3
    assert "A reminder: nobody has decided yet." in content(reminder, "plain")
    one, two = (LINK.findall(content(each, "plain"))[0] for each in (request, reminder))
    assert LINKS.read(one, now=NOW).nonce != LINKS.read(two, now=NOW).nonce
    said = content(withdrawal, "plain")
    assert "You need not answer: they opted out" in said
    assert not LINK.search(said + content(withdrawal, "html"))
    assert "Reply-To" not in withdrawal
    assert "reply" not in said.lower()


@pytest.mark.parametrize("occasion", [Occasion.ANSWERED, Occasion.EXPIRED, Occasion.WITHDRAWN])
async def test_what_is_over_cannot_be_answered(ledger: Ledger, occasion: Occasion) -> None:
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(1, occasion))

    (message,) = messages(relay)
    assert "/answer/" not in content(message, "plain") + content(message, "html")
    assert "WHAT HAPPENS" not in content(message, "plain")


@pytest.mark.parametrize(
    ("kind", "replies"),
    [
        (ExceptionKind.ACTION, True),
        (ExceptionKind.CONFLICT, True),
        (ExceptionKind.REVIEW, True),
        (ExceptionKind.AMBIGUITY, False),
        (ExceptionKind.IN_DOUBT, False),
    ],
)
async def test_only_what_one_word_can_answer_can_be_replied_to(
    ledger: Ledger, kind: ExceptionKind, *, replies: bool
) -> None:
    card = a_card(an_approval(kind=kind))
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(card=card))

    (message,) = messages(relay)
    assert ("Reply-To" in message) is replies
    assert ("Or reply to this mail" in content(message, "plain")) is replies
    assert LINK.search(content(message, "plain"))


async def test_without_a_mailbox_for_replies_nobody_is_asked_to_reply(ledger: Ledger) -> None:
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port, reply_to=None)), a_notice())

    (message,) = messages(relay)
    assert "Reply-To" not in message
    assert "reply to this mail" not in content(message, "plain") + content(message, "html")


async def test_a_delegate_learns_in_whose_place_they_are_asked(ledger: Ledger) -> None:
    card = a_card(an_approval(route=a_route(delegates={"lena.fischer": "dana.reyes"})))
    async with mail_server() as relay:
        await tell(
            notifying(ledger, mail=mail_to(relay.port)),
            a_notice(to=("lena.fischer", "tom.okafor"), card=card),
        )

    delegate, other = messages(relay)
    assert "You are asked in place of dana.reyes." in content(delegate, "plain")
    assert "in place of" not in content(other, "plain")


async def test_silence_is_explained_even_if_the_card_does_not(ledger: Ledger) -> None:
    card = a_card(an_approval(route=a_route(on_expiry=Verdict.DENY)), consequences=())
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(card=card))

    assert re.search(r"If nobody answers by .* UTC: deny\.", content(messages(relay)[0], "plain"))


# -- bad input ----------------------------------------------------------------------------------------------

HOSTILE = "Evil\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>{{ 7 * 7 }}\u202e*_`"


async def test_a_hostile_account_name_stays_text(ledger: Ledger) -> None:
    card = a_card(account_name=HOSTILE)
    async with mail_server() as relay:
        report = await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(card=card))

    assert report.delivered
    (message,) = messages(relay)
    (envelope,) = relay.envelopes
    assert envelope.rcpt_tos == [PEOPLE["dana.reyes"]]
    assert "Bcc" not in message
    assert "\u202e" not in str(message["Subject"])
    assert "<script>" not in content(message, "html")
    assert "&lt;script&gt;" in content(message, "html")
    assert "{{ 7 * 7 }}" in content(message, "html")


async def test_hidden_characters_of_the_content_are_shown(ledger: Ledger) -> None:
    card = a_card()
    assert card.proposal is not None
    hidden = card.proposal.content.model_copy(
        update={"text": "pay\u202eecno\u200b now\ttab", "subject": "Pay\u202e now"}
    )
    card = card.model_copy(update={"proposal": card.proposal.model_copy(update={"content": hidden})})
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(card=card))

    (message,) = messages(relay)
    assert "pay[U+202E]ecno[U+200B] now\ttab" in content(message, "plain")
    assert "Subject: Pay[U+202E] now" in content(message, "plain")
    assert "pay[U+202E]ecno[U+200B] now\ttab" in content(message, "html")


async def test_html_that_says_something_else_is_shown_in_source(ledger: Ledger) -> None:
    card = a_card()
    assert card.proposal is not None
    other = card.proposal.content.model_copy(update={"html": "<p>Pay <b>now</b>\u202e</p>"})
    card = card.model_copy(update={"proposal": card.proposal.model_copy(update={"content": other})})
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice(card=card))

    (message,) = messages(relay)
    assert "THE SAME AS HTML\n<p>Pay <b>now</b>[U+202E]</p>" in content(message, "plain")
    assert "&lt;p&gt;Pay &lt;b&gt;now&lt;/b&gt;[U+202E]&lt;/p&gt;" in content(message, "html")


WRITER = mail_to(25)
HEADERS = {
    "Auto-Submitted",
    "Content-Type",
    "Date",
    "From",
    "MIME-Version",
    "Message-ID",
    "Reply-To",
    "Subject",
    "To",
    "X-Auto-Response-Suppress",
    NOTICE_HEADER,
}


@settings(deadline=None)
@given(text=st.text(st.characters(), max_size=400), subject=st.text(max_size=400))
def test_whatever_comes_from_outside_no_header_begins_and_no_tag_opens(text: str, subject: str) -> None:
    """Values are smuggled past the models: what the checks at the door would refuse must do no harm here."""
    card = a_card(account_name=text)
    assert card.proposal is not None
    assert card.recipient is not None
    said = card.proposal.content.model_copy(
        update={"subject": subject, "text": f"<i>{text}", "html": text, "fields": {"extra": text}}
    )
    proposal = card.proposal.model_copy(update={"content": said, "evidence": (text,), "actor": text})
    recipient = card.recipient.model_copy(update={"name": text, "title": text})
    hostile = card.model_copy(
        update={"proposal": proposal, "recipient": recipient, "consent": text, "edited_by": (text,)}
    )
    notice = a_notice().model_copy(update={"card": hostile, "message": text})

    mail = WRITER.compose(
        notice, wording_of(notice), login="dana.reyes", address=PEOPLE["dana.reyes"], first=None, at=NOW
    )

    message = BytesParser(policy=policy.default).parsebytes(mail.content)
    assert isinstance(message, EmailMessage)
    assert set(message.keys()) == HEADERS
    assert mail.content.isascii()
    assert max(len(line) for line in mail.content.split(b"\r\n")) <= 998
    html = content(message, "html")
    assert "<i>" not in html
    assert set(LINK.findall(html)) == set(LINK.findall(content(message, "plain")))


@pytest.mark.parametrize("address", ["no address", "a@b\r\nBcc: x@example.com", "", "ada@"])
async def test_an_address_that_is_none_fails_alone_and_is_sent_once_corrected(
    ledger: Ledger, address: str
) -> None:
    people = {**PEOPLE, "dana.reyes": address}
    notice = a_notice(to=("dana.reyes", "tom.okafor"))
    async with mail_server() as relay:
        report = await tell(notifying(ledger, mail=mail_to(relay.port), people=people), notice)
        again = await tell(notifying(ledger, mail=mail_to(relay.port)), notice)

    assert report.delivered == ("tom.okafor by mail",)
    assert report.failed == ("dana.reyes by mail: the recipient's address is not a valid e-mail address",)
    assert not report.try_again
    assert again.delivered == ("dana.reyes by mail", "tom.okafor by mail")
    assert len(relay.envelopes) == 2


async def test_an_agent_whose_proposal_was_answered_is_no_failure(ledger: Ledger) -> None:
    answered = a_notice(to=("sdr-agent", "tom.okafor"), occasion=Occasion.ANSWERED)
    async with mail_server() as relay:
        report = await tell(notifying(ledger, mail=mail_to(relay.port)), answered)

    assert (report.delivered, report.failed) == (("tom.okafor by mail",), ())


async def test_a_person_without_an_address_fails_for_good_and_the_others_are_told(ledger: Ledger) -> None:
    async with mail_server() as relay:
        report = await tell(
            notifying(ledger, mail=mail_to(relay.port)), a_notice(to=("gone.away", "tom.okafor"))
        )

    assert report.delivered == ("tom.okafor by mail",)
    assert report.failed == ("gone.away by mail: people.yaml has no e-mail address of this person",)
    assert not report.try_again


# -- never twice, and never lost ----------------------------------------------------------------------------


async def test_a_dead_mail_server_that_comes_back_brings_one_mail_and_not_five(ledger: Ledger) -> None:
    dead = notifying(ledger, mail=mail_to(closed_port()))
    for _ in range(5):
        report = await tell(dead, a_notice())
        assert report.delivered == ()
        assert report.try_again
        assert report.failed[0].startswith("dana.reyes by mail: the mail server cannot be used")

    async with mail_server() as relay:
        alive = notifying(ledger, mail=mail_to(relay.port))
        reports = [await tell(alive, a_notice()) for _ in range(5)]

    assert len(relay.envelopes) == 1
    assert {each.delivered for each in reports} == {("dana.reyes by mail",)}
    assert not any(each.failed for each in reports)


async def test_a_server_that_never_greets_is_waited_for_once_and_tried_again_later(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hundred notices in a bad hour, then the worker does not stand still for each of them."""
    knocks = 0

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1

    async with raw_server(silent) as port:
        activities = notifying(ledger, mail=mail_to(port, timeout=0.3))
        reports = [await tell(activities, a_notice(number)) for number in range(20)]
        monkeypatch.setattr("activities.notices._delivery.OUTAGE_SECONDS", 0.0)
        assert knocks == 1

        later = notifying(ledger, mail=mail_to(port, timeout=0.3))
        for number in range(2):
            await tell(later, a_notice(number))

    assert knocks == 3
    assert all(each.try_again for each in reports)
    assert {each.failed for each in reports} == {reports[0].failed}


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "MESSAGE"])
async def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(ledger: Ledger, step: str) -> None:
    async with mail_server(Relay(answers={step: "451 4.3.0 later <dana.reyes@example.com>"})) as relay:
        activities = notifying(ledger, mail=mail_to(relay.port))
        later = await tell(activities, a_notice(1))
        relay.answers = {step: "550 5.7.1 never <dana.reyes@example.com>"}
        never = await tell(activities, a_notice(1))
        relay.answers = {}
        after = await tell(activities, a_notice(1))

    assert later.try_again
    assert later.failed == ("dana.reyes by mail: the mail server refused it: 451 4.3.0 later <(address)>",)
    assert not never.try_again
    assert (
        never.failed
        == after.failed
        == ("dana.reyes by mail: the mail server refused it: 550 5.7.1 never <(address)>",)
    )
    assert not after.try_again


async def test_one_person_that_the_server_refuses_does_not_stop_the_others(ledger: Ledger) -> None:
    class Picky(Relay):
        async def handle_RCPT(  # noqa: N802 - the library's name
            self, server: object, session: Session, envelope: Envelope, address: str, options: list[str]
        ) -> str:
            if address == PEOPLE["dana.reyes"]:
                return "550 5.1.1 no such mailbox"
            return await super().handle_RCPT(server, session, envelope, address, options)  # type: ignore[arg-type]  # the library's server

    async with mail_server(Picky()) as relay:
        report = await tell(
            notifying(ledger, mail=mail_to(relay.port)), a_notice(to=("dana.reyes", "tom.okafor"))
        )

    assert report.delivered == ("tom.okafor by mail",)
    assert len(report.failed) == 1
    assert [envelope.rcpt_tos for envelope in relay.envelopes] == [[PEOPLE["tom.okafor"]]]


async def test_a_server_that_hangs_up_in_the_middle_is_called_again_for_the_next_person(
    ledger: Ledger,
) -> None:
    async with mail_server(Relay(answers={"DATA": "drop"})) as relay:
        report = await tell(
            notifying(ledger, mail=mail_to(relay.port)), a_notice(to=("dana.reyes", "tom.okafor"))
        )
        relay.answers = {}
        again = await tell(
            notifying(ledger, mail=mail_to(relay.port)), a_notice(to=("dana.reyes", "tom.okafor"))
        )

    assert len(report.failed) == 2
    assert report.try_again
    assert again.delivered == ("dana.reyes by mail", "tom.okafor by mail")
    assert len(relay.envelopes) == 2


@pytest.mark.parametrize("how", ["hang_after_data", "drop_after_data"])
async def test_a_server_that_never_says_that_it_took_it_gets_it_twice_and_no_more(
    ledger: Ledger, how: str
) -> None:
    relay = Relay()
    setattr(relay, how, True)
    async with mail_server(relay):
        activities = notifying(ledger, mail=mail_to(relay.port, timeout=0.3))
        reports = [await tell(activities, a_notice()) for _ in range(5)]

    assert len(relay.envelopes) == 2
    assert len({str(each["Message-ID"]) for each in messages(relay)}) == 1
    assert [each.try_again for each in reports] == [True, True, False, False, False]
    assert all("did not say whether it took it" in each.failed[0] for each in reports[:2])
    assert "it was sent twice" in reports[-1].failed[0]


async def test_a_ledger_that_dies_between_sending_and_settling_costs_one_mail_too_many(
    ledger: Ledger, database: Path
) -> None:
    def break_settling() -> None:
        with closing(sqlite3.connect(database, timeout=10)) as connection:
            connection.execute(
                "CREATE TRIGGER no_settling BEFORE UPDATE OF status ON notices WHEN NEW.status = 'delivered' "
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            )

    def mend() -> None:
        with closing(sqlite3.connect(database, timeout=10)) as connection:
            connection.execute("DROP TRIGGER no_settling")

    async with mail_server() as relay:
        activities = notifying(ledger, mail=mail_to(relay.port))
        break_settling()
        with pytest.raises(LedgerError):
            await tell(activities, a_notice())
        mend()
        report = await tell(activities, a_notice())
        await tell(activities, a_notice())

    assert report.delivered == ("dana.reyes by mail",)
    one, two = messages(relay)
    assert one["Message-ID"] == two["Message-ID"]
    assert LINK.findall(content(one, "plain")) == LINK.findall(content(two, "plain"))


async def test_a_worker_killed_between_sending_and_settling_costs_one_mail_too_many(
    ledger: Ledger, database: Path
) -> None:
    """Given two workers killed in the gap, then a third and a fourth send nothing any more."""
    async with mail_server(Relay(hang_after_data=True)) as relay:
        for _ in range(2):
            relay.reached_data.clear()
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.notices.child", str(database), str(relay.port)
            )
            await asyncio.wait_for(relay.reached_data.wait(), 60)
            worker.kill()
            await worker.wait()
        relay.hang_after_data = False
        activities = notifying(ledger, mail=mail_to(relay.port))
        third, fourth = [await tell(activities, a_notice()) for _ in range(2)]
        reminder = await tell(activities, a_notice(2, Occasion.REMINDER))

    assert len(relay.envelopes) == 3
    assert len({str(each["Message-ID"]) for each in messages(relay)[:2]}) == 1
    assert "it was sent twice" in third.failed[0]
    assert third == fourth
    assert not third.try_again
    assert reminder.delivered == ("dana.reyes by mail",), "the next notice starts afresh"


async def test_without_a_ledger_nothing_is_sent(ledger: Ledger, database: Path) -> None:
    async with mail_server() as relay:
        activities = notifying(ledger, mail=mail_to(relay.port))
        with broken(database, "notices"), pytest.raises(LedgerError):
            await tell(activities, a_notice())
        assert relay.envelopes == []
        assert (await tell(activities, a_notice())).delivered


# -- nothing configured, and what logs say ------------------------------------------------------------------


async def test_nothing_configured_is_said_once_and_fails_nothing(ledger: Ledger) -> None:
    activities = notifying(ledger)
    with structlog.testing.capture_logs() as logs:
        reports = [await tell(activities, a_notice(number)) for number in range(3)]

    assert reports == [NoticeReport(notice_id=a_notice(number).notice_id) for number in range(3)]
    assert [entry["event"] for entry in logs] == ["notices.off"]


@pytest.mark.parametrize("answer", ["250 OK", "550 5.1.1 <dana.reyes@example.com> is unknown"])
async def test_neither_logs_nor_reports_name_addresses_or_contacts(ledger: Ledger, answer: str) -> None:
    async with mail_server(Relay(answers={"RCPT": answer})) as relay:
        with structlog.testing.capture_logs() as logs:
            report = await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice())

    said = f"{logs} {report}"
    assert logs
    for secret in ("dana.reyes@", "Ada", "northwind.example", "/answer/", "approvals+", "Ten minutes"):
        assert secret not in said


async def test_no_name_of_a_contact_is_in_the_subject(ledger: Ledger) -> None:
    async with mail_server() as relay:
        await tell(notifying(ledger, mail=mail_to(relay.port)), a_notice())

    assert "Ada" not in str(messages(relay)[0]["Subject"])
