"""The executive channel: a brief and an invitation for the office, and nothing for the person outside."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from activities.channels import ChannelEnvironment, ChannelSettingsError, ExecutiveSettings, StartTls
from activities.channels import executive as executive_channel
from activities.channels._contract import HandOver
from activities.channels._directory import read_directory
from activities.channels._invitation import read_slot
from activities.channels._mime import UnsendableError
from domain import ReceiptStatus, Recipient, Touch
from ledger import Ledger
from tests.channels.support import (
    ADA,
    ADDRESS,
    LINKS,
    NOW,
    Relay,
    a_touch,
    content,
    mail_server,
    parsed,
    perform,
    settled,
    to,
)

DIRECTORY = """\
mira.chen:
  name: Mira Chen
  email: mira.chen@seller.example.com
  assistant: {name: Jo Park, email: jo.park@seller.example.com}
tom.okafor:
  name: Tom Okafor
  email: tom.okafor@seller.example.com
"""
START = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    file = tmp_path / "executives.yaml"
    file.write_text(DIRECTORY, encoding="utf-8")
    return file


def the_activity(ledger: Ledger, port: int, directory: Path, *, timeout: float = 5.0) -> HandOver:
    return executive_channel.build(
        ChannelEnvironment(ledger=ledger, unsubscribe=LINKS),
        ExecutiveSettings(
            host="127.0.0.1",
            port=port,
            sender="Tutti <tutti@seller.example.com>",
            starttls=StartTls.OFF,
            timeout_seconds=timeout,
            directory=directory,
        ),
    ).hand_over


def a_meeting(fields: dict[str, str | None] | None = None, **changes: object) -> Touch:
    """A touch that proposes a meeting; a field of None is left out."""
    given: dict[str, str | None] = {
        "executive": "mira.chen",
        "starts_at": START.isoformat(),
        "minutes": "45",
        "why_now": "They renew in March and compare us with two others.",
        "role": "Chief Financial Officer",
        "open questions": "price of the second site",
        "invitation": "Shall we talk about the second site?",
        "place": "https://meet.example.com/42",
    }
    given |= fields or {}
    return a_touch(
        channel="executive",
        action="send_executive_invitation",
        subject="Northwind and us: the second site",
        text="Ada asked on Tuesday who decides about the second site.\n\nOur champion is Max.",
        fields={name: text for name, text in given.items() if text is not None},
        approved_by="dana.reyes",
    ).model_copy(update=changes)


def attachment(message: EmailMessage) -> EmailMessage:
    (part,) = message.iter_attachments()
    assert isinstance(part, EmailMessage)
    return part


def event_of(message: EmailMessage) -> dict[str, Any]:
    """The only event of the attached file, as a calendar reads it."""
    calendar = Calendar.from_ical(attachment(message).get_content())
    assert calendar["METHOD"] == "REQUEST"
    (event,) = calendar.walk("VEVENT")
    return dict(event)


async def test_the_office_gets_a_brief_and_an_invitation_to_send(ledger: Ledger, directory: Path) -> None:
    touch = a_meeting()

    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), touch)

    assert receipt.status is ReceiptStatus.ACCEPTED, receipt.detail
    message, envelope = parsed(relay), relay.envelopes[0]
    assert envelope.rcpt_tos == ["jo.park@seller.example.com"]
    assert envelope.mail_from == "tutti@seller.example.com"
    assert message["To"] == "Jo Park <jo.park@seller.example.com>"
    assert message["Subject"] == "Invitation to send: Northwind and us: the second site"
    assert message["Message-ID"] == receipt.provider_ref
    assert message["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        body = content(message, kind)
        for words in (
            "Jo Park",
            "Mira Chen",
            "Ada Lovelace",
            "Chief Financial Officer",
            "They renew in March",
            "Ada asked on Tuesday",
            "open questions: price of the second site",
            "45 minutes",
            f"{START:%H:%M} (UTC)",
            "Approved by dana.reyes",
            "Nothing has been sent to Ada Lovelace",
        ):
            assert words in body
        assert "{" not in body.partition("<body")[2]


async def test_the_invitation_comes_from_the_executive_and_asks_the_person(
    ledger: Ledger, directory: Path
) -> None:
    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), a_meeting())

    part = attachment(parsed(relay))
    event = event_of(parsed(relay))
    assert part.get_content_type() == "text/calendar"
    assert part["Content-Type"].params["method"] == "REQUEST"
    assert part.get_filename() == "invitation.ics"
    assert event["UID"] == (receipt.provider_ref or "").strip("<>")
    assert event["ORGANIZER"] == "mailto:mira.chen@seller.example.com"
    assert event["ORGANIZER"].params["CN"] == "Mira Chen"
    assert event["ATTENDEE"] == f"mailto:{ADDRESS}"
    assert event["ATTENDEE"].params["RSVP"] == "TRUE"
    assert event["SUMMARY"] == "Northwind and us: the second site"
    assert event["LOCATION"] == "https://meet.example.com/42"
    assert event["DTSTART"].dt == START
    assert event["DTEND"].dt - START == timedelta(minutes=45)
    assert event["DTSTAMP"].dt.utcoffset() == timedelta(0)


async def test_what_is_for_the_office_stays_out_of_the_invitation(ledger: Ledger, directory: Path) -> None:
    async with mail_server() as relay:
        await perform(the_activity(ledger, relay.port, directory), a_meeting())

    file = attachment(parsed(relay)).get_content()
    assert event_of(parsed(relay))["DESCRIPTION"] == "Shall we talk about the second site?"
    for inside in ("compare us", "asked on Tuesday", "champion", "price of", "Jo Park", "dana"):
        assert inside not in file


@pytest.mark.parametrize("name", ["tom.okafor", " TOM.OKAFOR ", "tom.okafor@seller.example.com"])
async def test_an_executive_without_an_assistant_gets_it_in_person(
    ledger: Ledger, directory: Path, name: str
) -> None:
    async with mail_server() as relay:
        receipt = await perform(
            the_activity(ledger, relay.port, directory), a_meeting({"executive": name, "minutes": None})
        )

    assert receipt.status is ReceiptStatus.ACCEPTED, receipt.detail
    assert relay.envelopes[0].rcpt_tos == ["tom.okafor@seller.example.com"]
    assert event_of(parsed(relay))["DTEND"].dt - START == timedelta(minutes=30)


async def test_the_same_touch_is_the_same_calendar_entry_and_another_is_another(
    ledger: Ledger, directory: Path
) -> None:
    uids = []
    for touch_id in ("northwind/p-1/1", "northwind/p-1/2"):
        async with mail_server() as relay:
            await perform(the_activity(ledger, relay.port, directory), a_meeting(touch_id=touch_id))
        uids.append(event_of(parsed(relay))["UID"])

    assert len(set(uids)) == 2
    assert not any("northwind" in uid for uid in uids)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"executive": None}, "the field executive, the login or address of the executive, is missing"),
        ({"executive": " "}, "is missing"),
        ({"executive": "nobody"}, "the executive 'nobody' is not in the directory"),
        ({"starts_at": None}, "starts_at, the proposed start, is missing; write it like"),
        ({"starts_at": "tomorrow"}, "is no moment in a known time zone"),
        ({"starts_at": "2099-13-01T10:00:00Z"}, "is no moment"),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "is no moment"),
        ({"starts_at": "2099-12-01T10:00:00"}, "has no time zone; write it like"),
        ({"starts_at": "2099-12-01"}, "has no time zone"),
        ({"starts_at": "2099-12-01T10:00[Europe/Atlantis]"}, "is no moment in a known time zone"),
        ({"starts_at": "2099-12-01T10:00[../../etc/passwd]"}, "is no moment in a known time zone"),
        ({"starts_at": "2026-03-01T10:00:00Z"}, "is past"),
        ({"starts_at": "2999-03-01T10:00:00Z"}, "is more than a year ahead"),
        ({"minutes": "0004800"}, "minutes must be a whole number from 1 to 480"),
        ({"minutes": "0"}, "minutes must be a whole number from 1 to 480"),
        ({"minutes": "481"}, "minutes must be"),
        ({"minutes": "an hour"}, "minutes must be"),
        ({"minutes": "٣٠"}, "minutes must be"),
        ({"minutes": "9" * 900}, "minutes must be"),
    ],
)
async def test_what_cannot_be_an_invitation_is_rejected_in_one_sentence(
    ledger: Ledger, directory: Path, fields: dict[str, str | None], says: str
) -> None:
    touch = a_meeting(fields)

    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), touch)

    assert receipt.status is ReceiptStatus.REJECTED
    assert says in (receipt.detail or "")
    assert (receipt.detail or "").count(". ") == 0
    assert relay.envelopes == []
    assert await settled(ledger, touch) is ReceiptStatus.REJECTED


@pytest.mark.parametrize("recipient", [None, to(None)])
async def test_without_somebody_to_invite_nothing_is_sent(
    ledger: Ledger, directory: Path, recipient: Recipient | None
) -> None:
    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), a_meeting(recipient=recipient))

    assert receipt.status is ReceiptStatus.REJECTED
    assert "no person with an e-mail address" in (receipt.detail or "")


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    'Ada"; CN=Eve:mailto:eve@example.com',
    "x" * 250,
    "Ада 😀 \u202e",
]


@pytest.mark.parametrize("attack", ATTACKS)
async def test_names_and_words_stay_what_they_are(ledger: Ledger, directory: Path, attack: str) -> None:
    async with mail_server() as relay:
        receipt = await perform(
            the_activity(ledger, relay.port, directory),
            a_meeting(
                {"why_now": attack, "invitation": attack, "place": attack},
                recipient=to(ADDRESS, attack),
                account_name=attack,
                subject=attack,
                text=attack,
            ),
        )

    assert receipt.status is ReceiptStatus.ACCEPTED, receipt.detail
    message, event = parsed(relay), event_of(parsed(relay))
    assert "<script>" not in content(message, "html")
    assert "<img" not in content(message, "html")
    assert attack in content(message, "plain")
    assert (event["SUMMARY"], event["DESCRIPTION"], event["LOCATION"]) == (attack,) * 3
    assert event["ATTENDEE"] == f"mailto:{ADDRESS}"
    assert event["ORGANIZER"] == "mailto:mira.chen@seller.example.com"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x0b"])
async def test_no_line_end_begins_another_property_or_header(
    ledger: Ledger, directory: Path, end: str
) -> None:
    evil = f"a{end}ATTENDEE:mailto:eve@example.com{end}Bcc: eve@example.com"

    async with mail_server() as relay:
        activity = the_activity(ledger, relay.port, directory)
        receipt = await perform(activity, a_meeting({"invitation": evil, "place": evil}, text=evil))
        in_subject = await perform(activity, a_meeting(subject=evil, touch_id="northwind/p-1/2"))
        in_name = await perform(activity, a_meeting(recipient=to(ADDRESS, evil), touch_id="northwind/p-1/3"))

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert in_subject.status is in_name.status is ReceiptStatus.REJECTED
    assert parsed(relay)["Bcc"] is None
    assert event_of(parsed(relay))["ATTENDEE"] == f"mailto:{ADDRESS}"


async def test_the_longest_text_arrives_whole(ledger: Ledger, directory: Path) -> None:
    text = "ü" * 20_000

    async with mail_server() as relay:
        await perform(the_activity(ledger, relay.port, directory), a_meeting(text=text))

    assert text in content(parsed(relay), "plain")
    assert text in content(parsed(relay), "html")


NIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("starts_at", "start", "end"),
    [
        # The clocks go forward at 2:00 on 29 March and back at 3:00 on 25 October.
        ("2026-03-28T10:00[Europe/Berlin]", "2026-03-28T09:00", "2026-03-28T11:00"),
        ("2026-03-29T10:00[Europe/Berlin]", "2026-03-29T08:00", "2026-03-29T10:00"),
        ("2026-03-29T01:30[Europe/Berlin]", "2026-03-29T00:30", "2026-03-29T02:30"),
        ("2026-10-25T02:30+02:00[Europe/Berlin]", "2026-10-25T00:30", "2026-10-25T02:30"),
        ("2026-10-25T02:30+01:00[Europe/Berlin]", "2026-10-25T01:30", "2026-10-25T03:30"),
        ("2026-10-25T01:30[Europe/Berlin]", "2026-10-24T23:30", "2026-10-25T01:30"),
        ("2026-07-01T10:00-07:00", "2026-07-01T17:00", "2026-07-01T19:00"),
        # The first of January is a Thursday; the tenth a Saturday, and in Auckland it is noon of the first.
        ("+5d 10:00[Europe/Berlin]", "2026-01-06T09:00", "2026-01-06T11:00"),
        ("+9d 10:00[Europe/Berlin]", "2026-01-12T09:00", "2026-01-12T11:00"),
        ("+1d 10:00[Pacific/Auckland]", "2026-01-01T21:00", "2026-01-01T23:00"),
        ("+100d 10:00[Europe/Berlin]", "2026-04-13T08:00", "2026-04-13T10:00"),
    ],
)
def test_a_meeting_lasts_as_long_as_it_says_when_the_clocks_change(
    starts_at: str, start: str, end: str
) -> None:
    slot = read_slot(starts_at, "120", now=NIGHT)

    assert slot.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert slot.end == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("starts_at", "says"),
    [
        ("2026-03-29T02:30[Europe/Berlin]", "skips"),
        ("2026-10-25T02:30[Europe/Berlin]", "happens twice that night"),
        ("+5d 10:00[Europe/Nowhere]", "no moment in a known time zone"),
        ("+5d 25:00[Europe/Berlin]", "no moment in a known time zone"),
        ("+0d 00:00[Europe/Berlin]", "past"),
        ("+999d 10:00[Europe/Berlin]", "more than a year ahead"),
        ("2026-07-01T10:00+01:00[Europe/Berlin]", "distance from UTC that its zone does not have"),
    ],
)
def test_a_local_time_that_is_not_one_moment_is_refused(starts_at: str, says: str) -> None:
    with pytest.raises(UnsendableError, match=says):
        read_slot(starts_at, None, now=NIGHT)


async def test_the_brief_names_the_local_time(ledger: Ledger, directory: Path) -> None:
    local = (datetime.now(UTC) + timedelta(days=60)).strftime("%Y-%m-%dT10:00[Asia/Tokyo]")

    async with mail_server() as relay:
        await perform(the_activity(ledger, relay.port, directory), a_meeting({"starts_at": local}))

    assert "10:00 (Asia/Tokyo)" in content(parsed(relay), "plain")
    assert event_of(parsed(relay))["DTSTART"].dt.hour == 1


async def test_a_brief_is_never_sent_twice(ledger: Ledger, directory: Path) -> None:
    touch = a_meeting()

    async with mail_server() as relay:
        activity = the_activity(ledger, relay.port, directory)
        first = await perform(activity, touch)
        again = await perform(activity, touch)

    assert first == again
    assert len(relay.envelopes) == 1


async def test_a_claim_left_open_goes_to_a_person_and_not_to_the_office(
    ledger: Ledger, directory: Path
) -> None:
    touch = a_meeting()
    await ledger.claim(touch.touch_id, channel="executive", at=NOW)

    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), touch)

    assert receipt.status is ReceiptStatus.UNKNOWN
    assert (receipt.provider_ref or "-") in (receipt.detail or "")
    assert relay.envelopes == []


async def test_silence_after_the_brief_is_doubt(ledger: Ledger, directory: Path) -> None:
    async with mail_server(Relay(drop_after_data=True)) as relay:
        activity = the_activity(ledger, relay.port, directory)
        receipts = [await perform(activity, a_meeting()) for _ in range(2)]

    assert {receipt.status for receipt in receipts} == {ReceiptStatus.UNKNOWN}
    assert len(relay.envelopes) == 1


async def test_nobody_prepares_a_meeting_with_a_person_who_objected(ledger: Ledger, directory: Path) -> None:
    await ledger.suppress(ADA, account_id="contoso", contact_id="c-9", source="test", at=NOW)

    async with mail_server() as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), a_meeting())

    assert receipt.status is ReceiptStatus.BLOCKED
    assert relay.envelopes == []


async def test_an_office_that_does_not_exist_says_nothing_about_the_person(
    ledger: Ledger, directory: Path
) -> None:
    async with mail_server(Relay(answers={"RCPT": "550 5.1.1 no such user"})) as relay:
        receipt = await perform(the_activity(ledger, relay.port, directory), a_meeting())

    assert receipt.status is ReceiptStatus.REJECTED
    assert receipt.outcome is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must map logins to executives"),
        ("- a\n- b\n", "must map logins to executives"),
        ("a: {name: A, email: a@example.com\nb: 1\n", r"executives\.yaml, line \d"),
        ("a:\n  name: A\n  email: a@example.com\na:\n  name: B\n", r"line 4: .*duplicate key"),
        ("a: {name: A, email: a@example.com}\nb: {name: B, email: nowhere}\n", r"line 2: email of 'b'"),
        ("a: {name: A}\n", r"line 1: email of 'a'"),
        ("a: {name: A, email: a@example.com, phone: 1}\n", r"line 1: phone of 'a'"),
        ("a: 7\n", r"line 1: 'a' must have a name and an email"),
        ("\xa0\x00", r"executives\.yaml"),
    ],
)
def test_a_directory_that_does_not_serve_is_one_line_with_the_place(
    directory: Path, text: str, says: str
) -> None:
    directory.write_text(text, encoding="utf-8")

    with pytest.raises(ChannelSettingsError, match=says) as caught:
        read_directory(directory)

    assert "\n" not in str(caught.value)


def test_a_directory_may_be_json(directory: Path) -> None:
    directory.write_text('{"mira": {"name": "Mira", "email": "mira@example.com"}}', encoding="utf-8")

    found = read_directory(directory).find("MIRA@example.com")

    assert found is not None
    assert found.office.email == "mira@example.com"
