"""What a reply says: exact words count, and whatever might mean something else is not understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import Answer, AnswerCode
from gateway._reply_mail import (
    MAX_REPLY_BYTES,
    Proof,
    Said,
    UnreadableReplyError,
    own_words,
    read_reply,
    understood,
)

KEY = "mfrggzdfmztwq2lkmfrggzdf"
YES = Said(answer=Answer.APPROVE)


def mail(text: str = "approve\n", *headers: str, kind: str = "text/plain; charset=utf-8") -> bytes:
    base = (
        "From: Dana Reyes <dana.reyes@example.com>",
        f"To: approvals+{KEY}@example.com",
        "Message-ID: <1@example.com>",
        f"Content-Type: {kind}",
    )
    own = {line.partition(":")[0].lower() for line in headers}
    kept = [line for line in base if line.partition(":")[0].lower() not in own]
    return "\r\n".join((*kept, *headers, "", text.replace("\n", "\r\n"))).encode()


QUOTES = {
    "gmail": "approve\n\nOn Wed, 25 Nov 2026, Tutti <tutti@example.com> wrote:\n> reject: no\n> approve\n",
    "wrapped": "approve\n\nOn Wed, 25 Nov 2026 at 17:03, Tutti\n<tutti@example.com> wrote:\n\n> reject: no\n",
    "german": "approve\n\nAm 25.11.2026 um 17:03 schrieb Tutti:\n> reject: no\n",
    "outlook": "approve\n\n-----Original Message-----\nFrom: Tutti <tutti@example.com>\nreject: no\n",
    "outlook-lines": "approve\n\n____________________\nVon: Tutti <tutti@example.com>\nreject: no\n",
    "apple": "approve\n\n> On 25 Nov 2026, at 17:03, Tutti <tutti@example.com> wrote:\n> \n> reject: no\n",
    "bottom": "On Wed, 25 Nov 2026 at 17:03, Tutti <tutti@example.com> wrote:\n> reject: no\n\napprove\n",
    "signature": "\n\nApprove.\n-- \nDana Reyes\nreject: no\n",
    "name": "APPROVE\n\nDana Reyes\nVP Sales\n",
    "blanks": "\ufeff \u00a0approve \n",
}


@pytest.mark.parametrize("text", QUOTES.values(), ids=QUOTES.keys())
def test_an_approval_is_found_above_or_below_what_it_quotes(text: str) -> None:
    assert read_reply(mail(text)).said == YES


@pytest.mark.parametrize(
    "text",
    [
        "I do not approve",
        "I approve",
        "approved",
        "approve?",
        "approve!",
        "do not\napprove",
        "not approve",
        "approve, but not before Monday",
        "approve\nbut only if Legal agrees",
        "approve\nbut change this:\n> Hello Bob\n",
        "approve\nwith one condition:\n\n> only after Monday\n",
        "approve\nnot before 2 December\nand only this part:\n> Hello Bob\n",
        "approve 1 of 3\nand only this part:\n> Hello Bob\n",
        "> the first piece of a long line that a mail program has wrapped, and\napprove\n",
        "> May this go out?\napprove\n> Hello Bob\n",
        "approve: yes",
        "approve reject: no",
        "> approve",
        "| approve",
        "ok",
        "yes",
        "+1",
        "",
        "\n\n\n",
        "disapprove",
        "\u0430pprove",  # a Cyrillic letter
        "ap\u00adprove",  # a soft hyphen
        "approve\u2028reject: no",
        "reject",
        "reject:",
        "reject: ",
        "reject because: no",
        "reject nonsense: no",
        "please reject: no",
        "Reject - no",
        "From: Tutti <tutti@example.com>\napprove",
        "-----Original Message-----\napprove",
        "-- \napprove",
    ],
)
def test_whatever_else_is_said_is_no_answer(text: str) -> None:
    assert read_reply(mail(text)).said is None


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("reject: they are busy", AnswerCode.OTHER, "they are busy"),
        (
            "Reject WRONG_TIME: they are\nclosing their books\n\nDana",
            AnswerCode.WRONG_TIME,
            "they are closing their books",
        ),
        ("reject legal : ask bob@example.com first", AnswerCode.LEGAL, "ask bob@example.com first"),
        ("reject: " + "x" * 5_000, AnswerCode.OTHER, "x" * 2_000),
    ],
)
def test_a_rejection_carries_its_reason(text: str, code: AnswerCode, why: str) -> None:
    assert read_reply(mail(text)).said == Said(answer=Answer.REJECT, code=code, comment=why)


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<div>approve</div><div><br></div><div>Dana</div>", YES),
        (
            "<html><head><title>reject: x</title><style>p{}</style></head><body><p>approve</p></body></html>",
            YES,
        ),
        (
            '<div dir="ltr">approve</div><br><div class="gmail_quote">On ... wrote: reject: no</div>',
            YES,
        ),
        ("<blockquote>reject: no</blockquote><p>approve</p>", YES),
        ("<p>approve</p><hr><p>From: Tutti</p>", YES),
        ("<div>approve</div><div>but not before Monday</div>", None),
        ("approve<br>but not before Monday", None),
        ('<p class="MsoNormal">approve</p><p class="MsoNormal">but only after Monday</p>', None),
        ('<p class="MsoNormal">approve</p><p class="MsoNormal">&nbsp;</p><p class="MsoNormal">Dana</p>', YES),
        ("<p><s>approve</s></p>", None),
        ("<p><del>approve</del></p><p>reject: no</p>", None),
        ("<p>I do <b>not</b> approve</p>", None),
        ("<p>I do not</p>approve", None),
        ("<blockquote>approve</blockquote>", None),
        ('<div class="gmail_quote">approve</div>', None),
        ("<title>x<p>approve</p>", None),
    ],
)
def test_a_reply_in_html_alone_is_read_as_strictly(html: str, said: Said | None) -> None:
    assert read_reply(mail(html, kind="text/html; charset=utf-8")).said == said


def test_of_two_forms_the_plain_text_counts() -> None:
    body = (
        "--b\nContent-Type: text/plain\n\nreject: no\n--b\nContent-Type: text/html\n\n<p>approve</p>\n--b--\n"
    )
    said = read_reply(mail(body, kind='multipart/alternative; boundary="b"')).said

    assert said is not None
    assert said.answer is Answer.REJECT


def test_an_attachment_says_nothing() -> None:
    body = (
        "--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\napprove\n--b\n"
        "Content-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: x\n\nhello\n--b--\n"
    )
    assert read_reply(mail(body, kind='multipart/mixed; boundary="b"')).said is None


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        ("From: dana.reyes@example.com", "dana.reyes@example.com"),
        ('From: "Reyes, Dana" <dana.reyes@example.com>', "dana.reyes@example.com"),
        ("From: =?utf-8?q?D=C3=A4na?= <dana.reyes@example.com>", "dana.reyes@example.com"),
        ("From: dana.reyes@example.com, mallory@example.net", None),
        ('From: "dana.reyes@example.com" <mallory@example.net>', None),
        ("From: <dana.reyes@example.com> <mallory@example.net>", None),
        ("From: dana.reyes@example.com <mallory@example.net>", None),
        ("From: (dana) dana.reyes@example.com (x)", None),
        ("From: mallory@example.net\r\nFrom: dana.reyes@example.com", None),
        ("From: dana.reyes@example.com@example.net", None),
        ("From: d\u0430na.reyes@example.com", None),
        ("From: everybody: dana.reyes@example.com;", None),
        ("From: ", None),
        ("X-From: x", "dana.reyes@example.com"),
    ],
)
def test_a_mail_has_one_sender_or_none(header: str, sender: str | None) -> None:
    assert read_reply(mail("approve", header)).sender == sender


@pytest.mark.parametrize(
    ("results", "proof"),
    [
        ((), Proof.NOT_REFUTED),
        (("mx.example.com; none",), Proof.NOT_REFUTED),
        (("mx.example.com; spf=pass; dkim=pass header.d=example.com; dmarc=pass",), Proof.NOT_REFUTED),
        (("mx.example.com; spf=fail; dkim=pass; dmarc=pass (p=reject)",), Proof.NOT_REFUTED),
        (("mx.example.com; spf=pass; dkim=pass; dmarc=fail (p=none)",), Proof.REFUTED),
        (("mx.example.com; DMARC = FAIL",), Proof.REFUTED),
        (("mx.example.com; dmarc=temperror",), Proof.REFUTED),
        (("mx.example.com; spf=fail; dkim=none; dmarc=none",), Proof.REFUTED),
        (("mx.example.com; spf=pass; dkim=none; dmarc=none",), Proof.NOT_REFUTED),
        (("mx.example.com; dmarc/1=fail",), Proof.REFUTED),
        (("mx.example.com; dmarc (a (b) c; dmarc=pass) =fail",), Proof.REFUTED),
        (("mx.example.com; dmarc=fail", "elsewhere.example.net; dmarc=pass"), Proof.REFUTED),
        (("mx.example.com; spf=softfail; dkim=none",), Proof.REFUTED),
        (("mx.example.com; spf=fail; dkim=pass",), Proof.NOT_REFUTED),
        (("mx.example.com; x=y (dmarc=fail)",), Proof.NOT_REFUTED),
    ],
)
def test_what_the_mail_server_found_out_counts(results: tuple[str, ...], proof: Proof) -> None:
    headers = [f"Authentication-Results: {result}" for result in results]

    assert read_reply(mail("approve", *headers)).proof is proof


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "List-Id: <sales.example.com>",
        "Return-Path: <>",
        "Subject: Automatic reply: May this go out?",
        "Subject: Abwesenheit: Urlaub",
    ],
)
def test_what_a_program_wrote_is_known_as_such(header: str) -> None:
    assert read_reply(mail("approve", header)).automatic
    assert not read_reply(mail("approve", "Auto-Submitted: no", "Return-Path: <dana@example.com>")).automatic


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ((), (KEY,)),
        (("To: Tutti <approvals@example.com>", f"Delivered-To: approvals+{KEY.upper()}@example.com"), (KEY,)),
        (("To: approvals@example.com",), ()),
        (("To: approvals+short@example.com",), ()),
        ((f"Cc: approvals+{'a' * 24}@example.com",), ("a" * 24, KEY)),
    ],
)
def test_the_key_stands_in_the_address(headers: tuple[str, ...], keys: tuple[str, ...]) -> None:
    assert read_reply(mail("approve", *headers)).keys == keys


def test_the_same_mail_is_the_same_answer_and_another_is_another() -> None:
    first, again = read_reply(mail()), read_reply(mail("approve\n", "Received: by a second way"))

    assert first.reply_id == again.reply_id
    assert first.reply_id != read_reply(mail("approve", "Message-ID: <2@example.com>")).reply_id
    unnamed = [read_reply(mail(text, "Message-ID: ")).reply_id for text in ("approve", "reject: no")]
    assert len(set(unnamed)) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x" * (MAX_REPLY_BYTES + 1),
        b"Content-Type: multipart/mixed; boundary=b\r\n" * 30 + b"\r\n",
        b"Subject: x\r\n\r\n" + b"--b\r\n" * 6_000,
    ],
)
def test_what_is_no_mail_or_too_much_of_one_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableReplyError) as refused:
        read_reply(raw)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "kind", ["text/plain; charset=nonsense", "text/plain; charset=utf-16", 'text/plain; charset="utf-8\x00"']
)
def test_a_charset_that_nobody_knows_breaks_nothing(kind: str) -> None:
    assert read_reply(mail("reject: ä", kind=kind)).said in {None, *_rejections()}


def _rejections() -> set[Said]:
    return {
        Said(answer=Answer.REJECT, code=AnswerCode.OTHER, comment=comment)
        for comment in ("ä", "\ufffd\ufffd")
    }


@given(st.binary(max_size=600))
def test_whatever_bytes_come_are_read_or_refused(raw: bytes) -> None:
    for whole in (raw, mail() + raw, b"From: " + raw, mail().replace(b"approve", raw)):
        try:
            reply = read_reply(whole)
        except UnreadableReplyError:
            continue
        assert reply.reply_id.startswith("mail-")


@given(before=st.text(max_size=40), after=st.text(max_size=40))
def test_nothing_but_the_exact_word_approves(before: str, after: str) -> None:
    said = understood(own_words(f"{before}approve{after}"))
    if said == YES:
        first = next(line for line in f"{before}approve{after}".splitlines() if _has_words(line))
        assert first.strip(" \t\u00a0\ufeff\u200b\r").rstrip(".").lower() == "approve"


def _has_words(line: str) -> bool:
    return bool(line.strip(" \t\u00a0\ufeff\u200b")) and not line.lstrip().startswith((">", "|"))


@pytest.mark.parametrize(
    "below",
    ["but only after Monday", "Only if legal agrees.", "Please don't send it", "Wait for me", "do not"],
)
def test_a_yes_that_is_taken_back_below_is_no_yes(below: str) -> None:
    assert understood(f"approve\n\n{below}") is None


@pytest.mark.parametrize("below", ["Dana Reyes\nVP Sales", "Best regards,\nDana", "Sent from my phone"])
def test_a_greeting_or_a_name_below_takes_nothing_back(below: str) -> None:
    said = understood(f"approve\n\n{below}")
    assert said is not None
    assert said.answer is Answer.APPROVE
