import re
import time
from email.headerregistry import Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.channels import (
    MAX_BOUNCE_BYTES,
    BounceNature,
    BounceTokens,
    ForgedBounceError,
    NotABounceError,
    UnknownTouchError,
    UnreadableBounceError,
    read_bounce,
)
from domain import OutcomeKind
from tests.channels.support import KEY

SAMPLES = Path(__file__).parent / "bounces"
TOKENS = BounceTokens(KEY)
STRANGER = BounceTokens(SecretStr("z" * 32))
MAILBOX = Address(addr_spec="bounces@example.com")
SHORT = "northwind/p-1/1"
LONG = "northwind/surge-response.2026-03-02T09:00:00+00:00.step-2/1"


def sample(name: str, touch_id: str = SHORT, tokens: BounceTokens = TOKENS) -> bytes:
    """A report about a message of the touch."""
    values = {
        "@@VERP@@": tokens.envelope_sender(MAILBOX, "northwind", touch_id),
        "@@TOKEN@@": tokens.token("northwind", touch_id),
        "@@TOUCH@@": touch_id,
        "@@MESSAGE_ID@@": "<tutti.0123456789@example.com>",
    }
    text = (SAMPLES / f"{name}.eml").read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text.replace("\n", "\r\n").encode()


def said(raw: bytes) -> str:
    """What reading a report gives, or the sentence that refuses it."""
    try:
        return read_bounce(raw, links=TOKENS).model_dump_json()
    except UnreadableBounceError as error:
        return str(error)


def without(raw: bytes, *headers: str) -> bytes:
    for header in headers:
        raw = re.sub(rf"(?m)^{header}: .*\r\n".encode(), b"", raw)
    return raw


@pytest.mark.parametrize("touch_id", [SHORT, LONG])
@pytest.mark.parametrize(
    ("name", "nature", "kind", "status", "detail"),
    [
        ("postfix", "permanent", "bounce", "5.1.1", "User unknown"),
        ("postfix_delayed", "temporary", None, "4.4.1", "Connection timed out"),
        ("expired", "temporary", None, "4.4.7", "delivery time expired"),
        ("exchange", "permanent", "bounce", "5.1.10", "RESOLVER.ADR.RecipientNotFound"),
        ("gmail", "permanent", "bounce", "5.1.1", "does not exist"),
        ("sendmail_old", "permanent", "bounce", None, "550 <(address)>... User unknown"),
        ("qmail", "permanent", "bounce", "5.1.1", "unknown or illegal alias"),
        ("internationalized", "permanent", "bounce", "5.2.1", "is disabled"),
        ("complaint", "complaint", "complaint", None, "complaint: abuse"),
    ],
)
def test_a_report_is_read_whatever_server_wrote_it(
    touch_id: str, name: str, *, nature: str, kind: str | None, status: str | None, detail: str
) -> None:
    bounce = read_bounce(sample(name, touch_id), links=TOKENS)

    assert (bounce.account_id, bounce.touch_id) == ("northwind", touch_id)
    assert bounce.nature is BounceNature(nature)
    assert bounce.kind is (OutcomeKind(kind) if kind else None)
    assert bounce.status == status
    assert detail in (bounce.detail or "")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.eml")), ids=lambda path: path.stem)
def test_no_address_is_kept(path: Path) -> None:
    assert "@" not in said(sample(path.stem))


def test_an_automatic_reply_is_no_outcome() -> None:
    bounce = read_bounce(sample("out_of_office"), links=TOKENS)

    assert bounce.nature is BounceNature.AUTO_REPLY
    assert bounce.kind is None


@pytest.mark.parametrize("name", ["reply", "delivered"])
def test_a_message_that_reports_no_failure_is_no_bounce(name: str) -> None:
    with pytest.raises(NotABounceError) as caught:
        read_bounce(sample(name), links=TOKENS)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "dmarc"])
def test_a_feedback_report_of_another_kind_is_no_complaint(kind: str) -> None:
    raw = sample("complaint").replace(b"Feedback-Type: abuse", f"Feedback-Type: {kind}".encode())

    with pytest.raises(NotABounceError):
        read_bounce(raw, links=TOKENS)


def test_two_reports_about_one_message_are_one_outcome_and_other_reports_are_others() -> None:
    first, again = (read_bounce(sample(name), links=TOKENS) for name in ("postfix", "exchange"))
    others = [
        read_bounce(sample("postfix", LONG), links=TOKENS),
        read_bounce(sample("complaint"), links=TOKENS),
    ]

    assert first.outcome_id == again.outcome_id
    assert len({first.outcome_id, *(other.outcome_id for other in others)}) == 3


def test_a_short_touch_is_known_from_the_address_alone() -> None:
    raw = without(sample("postfix"), "X-Tutti-Touch", "X-Tutti-Token")

    assert read_bounce(raw, links=TOKENS).touch_id == SHORT


def test_a_long_touch_is_known_from_the_address_and_its_own_name() -> None:
    raw = without(sample("postfix", LONG), "X-Tutti-Token")

    assert read_bounce(raw, links=TOKENS).touch_id == LONG


def test_a_server_that_changes_the_case_of_addresses_does_no_harm() -> None:
    raw = without(sample("postfix"), "X-Tutti-Touch", "X-Tutti-Token")
    address = TOKENS.envelope_sender(MAILBOX, "northwind", SHORT)

    bounce = read_bounce(raw.replace(address.encode(), address.upper().encode()), links=TOKENS)

    assert bounce.touch_id == SHORT


def test_the_line_that_a_mail_servers_pipe_puts_first_does_no_harm() -> None:
    raw = b"From MAILER-DAEMON  Mon Mar  2 09:00:05 2026\n" + sample("postfix").replace(b"\r\n", b"\n")

    assert read_bounce(raw, links=TOKENS) == read_bounce(sample("postfix"), links=TOKENS)


def test_a_long_touch_that_the_bounce_does_not_name_is_unknown() -> None:
    raw = without(sample("postfix", LONG), "X-Tutti-Touch", "X-Tutti-Token")

    with pytest.raises(UnknownTouchError, match="not the headers that name its touch"):
        read_bounce(raw, links=TOKENS)


def test_the_name_of_another_touch_beside_the_token_is_not_believed() -> None:
    raw = without(sample("postfix", LONG), "X-Tutti-Token").replace(LONG.encode(), b"contoso/p-9/1")

    with pytest.raises(UnknownTouchError):
        read_bounce(raw, links=TOKENS)


@pytest.mark.parametrize("name", ["postfix", "exchange", "gmail", "sendmail_old", "qmail", "complaint"])
def test_a_report_with_tokens_of_another_key_is_forged(name: str) -> None:
    with pytest.raises(ForgedBounceError):
        read_bounce(sample(name, tokens=STRANGER), links=TOKENS)


def test_a_touch_named_without_any_signature_is_forged() -> None:
    raw = without(sample("exchange"), "X-Tutti-Token")

    with pytest.raises(ForgedBounceError, match="without the signature"):
        read_bounce(raw, links=TOKENS)


def test_a_bounce_of_somebody_elses_message_names_no_touch() -> None:
    raw = without(sample("exchange"), "X-Tutti-Token", "X-Tutti-Touch")

    with pytest.raises(UnknownTouchError, match="no message of ours"):
        read_bounce(raw, links=TOKENS)


def test_headers_that_are_only_quoted_and_encoded_are_found() -> None:
    token = TOKENS.token("northwind", LONG)
    body = f"550 5.1.1 unknown\n\n> X-Tutti-Touch: {LONG}\n> X-Tutti-Token: {token}\n"
    raw = (
        "From: postmaster@example.com\nTo: sales@example.com\nSubject: Returned mail\n"
        "Content-Type: multipart/report; boundary=b; report-type=delivery-status\n\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
        "Action: failed\nStatus: 5.1.1\n\n"
        "--b\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n"
        + "".join(f"{line[:40]}=\n{line[40:]}\n" for line in body.splitlines())
        + "--b--\n"
    )

    assert read_bounce(raw.encode(), links=TOKENS).touch_id == LONG


def nested(depth: int) -> bytes:
    return b"From: x@example.com\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(depth)
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 1_000,
        b"no headers here",
        b"x" * (MAX_BOUNCE_BYTES + 1),
        b"From: x@example.com\n\n" + b"x\n" * ((MAX_BOUNCE_BYTES - 30) // 2),
        nested(15) + b"x\n" * 400_000,
        nested(10_000),
        b"From: x@example.com\n" + b"Content-Type: message/rfc822\n\n" * 30_000,
        b"From: x@example.com\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 150_000,
        b"From: x@example.com\nSubject: x\n\nthe following addresses had\n" + b" " * 900_000,
        b"From: x@example.com\nSubject: x\n\n" + b"<" * 900_000,
        b"From: x@example.com\n" + b"X-Tutti-Touch: a/b/1\n" * 45_000 + b"\n",
        b"From: x@example.com\n" + b"To: a+%s@example.com\n" % (b"a" * 50) * 12_000 + b"\n",
        b"From: x@example.com\n" + b"X: " + b"y " * 400_000 + b"\n\n",
    ],
    ids=[
        "nothing",
        "binary",
        "no message",
        "too large",
        "many lines",
        "nested with many lines",
        "nested deeply",
        "messages in messages",
        "many parts",
        "a line of spaces",
        "a line of brackets",
        "many names",
        "many tokens",
        "a long header",
    ],
)
def test_hostile_input_is_refused_in_bounded_time(raw: bytes) -> None:
    started = time.process_time()

    with pytest.raises(UnreadableBounceError) as caught:
        read_bounce(raw, links=TOKENS)

    assert time.process_time() - started < 15
    assert "\n" not in str(caught.value)


@given(st.data())
def test_damage_anywhere_in_a_report_never_raises_anything_else(data: st.DataObject) -> None:
    raw = bytearray(sample(data.draw(st.sampled_from(["postfix", "gmail", "complaint", "sendmail_old"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=20))

    assert "\n" not in said(bytes(raw))


@given(st.data())
def test_whatever_is_changed_in_a_token_it_is_refused(data: st.DataObject) -> None:
    good = TOKENS.token("northwind", SHORT)
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("abcxyz234567-").filter(lambda c: c != good[at]))

    with pytest.raises(ValueError, match="token"):
        TOKENS.read(good[:at] + letter + good[at + 1 :])


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}\Z"), st.text(min_size=1, max_size=100))
def test_an_envelope_sender_fits_into_what_servers_take(account: str, rest: str) -> None:
    address = TOKENS.envelope_sender(
        Address(username="b" * 19, domain="example.com"), account, f"{account}/{rest}/1"
    )

    assert len(address.partition("@")[0]) <= 64
    assert address.isascii()


def test_reports_leave_nothing_in_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for path in SAMPLES.glob("*.eml"):
        assert said(sample(path.stem))

    assert "ada@" not in caplog.text
