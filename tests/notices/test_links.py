"""Answer links: what one says is what was put into it, and nothing else passes for one."""

import base64
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.channels import UnsubscribeLinks, UnsubscribeTokenError
from activities.notices import (
    LONGEST_TOKEN,
    REPLY_KEY_LENGTH,
    AnswerLinkError,
    AnswerLinks,
    AnswerTicket,
    LinkFault,
)
from domain import person_key

KEY = SecretStr("k" * 32)
LINKS = AnswerLinks("https://tutti.example.com/", KEY)
PREFIX = "https://tutti.example.com/answer/"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

identifiers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}\Z")
lines = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=160)
moments = st.datetimes(datetime(2026, 3, 3), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given beside


@st.composite
def tickets(draw: st.DrawFn) -> AnswerTicket:
    return AnswerTicket(
        account_id=draw(identifiers),
        approval_id=draw(lines),
        login=draw(lines),
        digest=draw(st.binary(min_size=32, max_size=32)).hex(),
        expires_at=draw(moments),
        nonce=draw(identifiers),
    )


TICKET = AnswerTicket(
    account_id="northwind",
    approval_id="p-1/r-2",
    login="dana.reyes",
    digest="ab" * 32,
    expires_at=NOW + timedelta(days=2),
    nonce="link-1",
)


def token(ticket: AnswerTicket = TICKET, links: AnswerLinks = LINKS) -> str:
    return links.url(ticket).rsplit("/", 1)[1]


def fault_of(text: str, *, now: datetime = NOW, links: AnswerLinks = LINKS) -> LinkFault:
    with pytest.raises(AnswerLinkError) as caught:
        links.read(text, now=now)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value.fault


@given(tickets())
def test_a_link_says_what_was_put_into_it(ticket: AnswerTicket) -> None:
    url = LINKS.url(ticket)

    assert url.startswith(PREFIX)
    assert url.isascii()
    assert url == LINKS.url(ticket)
    assert LINKS.read(url.removeprefix(PREFIX), now=NOW) == ticket


def test_the_longest_names_still_make_a_link_that_can_be_read() -> None:
    longest = AnswerTicket(
        account_id="a" * 128,
        approval_id="😀" * 160,
        login="😀" * 300,
        digest="f" * 64,
        expires_at=NOW + timedelta(days=1),
        nonce="n" * 128,
    )

    assert len(token(longest)) <= LONGEST_TOKEN
    assert LINKS.read(token(longest), now=NOW) == longest


def test_a_usual_link_is_short_enough_for_a_line_of_text_mail() -> None:
    usual = TICKET.model_copy(update={"nonce": LINKS.nonce("northwind/p-1/r-2/n1", "dana.reyes")})

    assert len(LINKS.url(usual)) < 250


@given(st.data())
def test_whatever_is_changed_in_a_token_it_is_refused(data: st.DataObject) -> None:
    good = token()
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda c: c != good[at]))

    assert fault_of(good[:at] + letter + good[at + 1 :]) in {LinkFault.FOREIGN, LinkFault.MALFORMED}


@given(tickets(), tickets())
def test_the_signature_of_one_ticket_does_not_serve_another(one: AnswerTicket, other: AnswerTicket) -> None:
    if one == other:
        return
    half = 43  # characters that hold the 32 bytes of a signature, wherever they begin
    spliced = token(one)[:-half] + token(other)[-half:]

    assert fault_of(spliced) in {LinkFault.FOREIGN, LinkFault.MALFORMED}


@given(st.text())
def test_garbage_is_refused_and_nothing_else_happens(text: str) -> None:
    assert fault_of(text) in {LinkFault.FOREIGN, LinkFault.MALFORMED}


@pytest.mark.parametrize(
    "bad",
    ["", "A", "x" * 1_000_000, token() + "=", token()[:-1], f" {token()}", f"{token()}\n", "ü", "A" * 60],
)
def test_malformed_tokens_are_refused(bad: str) -> None:
    assert fault_of(bad) in {LinkFault.FOREIGN, LinkFault.MALFORMED}


@given(tickets(), st.timedeltas(timedelta(0), timedelta(days=900)))
def test_a_link_is_worth_nothing_from_its_last_moment_on(ticket: AnswerTicket, later: timedelta) -> None:
    just_before = ticket.expires_at - timedelta(microseconds=1)

    assert LINKS.read(token(ticket), now=just_before) == ticket
    assert fault_of(token(ticket), now=ticket.expires_at + later) is LinkFault.EXPIRED


def test_a_forged_link_does_not_learn_whether_it_has_expired() -> None:
    forged = token(links=AnswerLinks("https://tutti.example.com", SecretStr("z" * 32)))

    assert fault_of(forged, now=NOW + timedelta(days=900)) is LinkFault.FOREIGN


@pytest.mark.parametrize(
    "body", [b"\x02" + b"x" * 80, b"\x01" + b"\xff" * 80, b"\x01" + b"\x00" * 40 + b"a\x1fb"]
)
def test_a_link_of_another_version_is_told_from_a_forged_one(body: bytes) -> None:
    signature = hmac.digest(b"k" * 32, b"tutti answer link v1\x00" + body, "sha256")
    text = base64.urlsafe_b64encode(body + signature).rstrip(b"=").decode()

    assert fault_of(text) is LinkFault.UNREADABLE


def test_without_a_moment_the_clock_decides() -> None:
    gone = TICKET.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    good = TICKET.model_copy(update={"expires_at": datetime.now(UTC) + timedelta(hours=1)})

    assert LINKS.read(token(good)) == good
    with pytest.raises(AnswerLinkError, match=r"was good until .* UTC"):
        LINKS.read(token(gone))


def test_an_unsubscribe_link_is_no_answer_link_nor_the_other_way_round() -> None:
    unsubscribe = UnsubscribeLinks("https://tutti.example.com", KEY)
    other = unsubscribe.url("northwind", "c-1", "northwind/p-1/1", person_key("ada@example.com"))

    assert fault_of(other.rsplit("/", 1)[1]) is LinkFault.FOREIGN
    with pytest.raises(UnsubscribeTokenError):
        unsubscribe.read(token())


@given(identifiers, identifiers, st.text(max_size=40), st.text(max_size=40))
def test_nonces_and_reply_keys_belong_to_one_notice_and_one_person(
    login: str, other: str, notice: str, another: str
) -> None:
    key, nonce = LINKS.reply_key(notice, login), LINKS.nonce(notice, login)

    assert len(key) == REPLY_KEY_LENGTH
    assert key == key.lower()
    assert key.isalnum()
    assert (key, nonce) == (LINKS.reply_key(notice, login), LINKS.nonce(notice, login))
    assert key.removeprefix("link-")[:24] != nonce.removeprefix("link-")[:24]
    if (login, notice) != (other, another):
        assert key != LINKS.reply_key(another, other)
        assert nonce != LINKS.nonce(another, other)
    assert key != AnswerLinks("https://x.example", SecretStr("z" * 32)).reply_key(notice, login)


def test_a_key_that_is_too_short_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="TUTTI_SIGNING_KEY has 6 bytes") as caught:
        AnswerLinks("https://tutti.example.com", SecretStr("hunter"))

    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "tutti.example.com", "https://x/?q=1", "http://tutti.example.com"])
def test_an_address_that_mail_programs_would_not_follow_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="TUTTI_PUBLIC_URL"):
        AnswerLinks(url, KEY)


def test_a_mark_says_when_a_card_was_shown_and_only_for_its_ticket() -> None:
    mark = LINKS.stamp(TICKET, NOW)
    assert LINKS.shown_at(TICKET, mark) == NOW
    other = TICKET.model_copy(update={"nonce": "another"})
    assert LINKS.shown_at(other, mark) is None


@given(st.text(max_size=60))
def test_a_mark_that_was_not_made_here_says_nothing(text: str) -> None:
    assert LINKS.shown_at(TICKET, text) is None
    assert LINKS.shown_at(TICKET, f"0.{text}") is None
