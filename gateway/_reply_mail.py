"""Reads replies to notices: who wrote, to which key, and what their first words say.

A reply is foreign input. It is bounded before it is parsed, and only exact words count: whatever might mean
something else is not understood, and then nothing is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.message import Message
from email.parser import BytesParser
from enum import StrEnum
from hashlib import sha256
from html.parser import HTMLParser
from itertools import islice
from typing import Final

from activities.notices import REPLY_KEY_LENGTH
from domain import Answer, AnswerCode, Frozen, Identifier, ShortText

MAX_REPLY_BYTES: Final = 1_000_000
"""Largest mail that is read: a reply quotes a notice, and perhaps carries a picture in its signature."""

_MAX_BOUNDARIES, _MAX_DELIMITERS, _MAX_EMBEDDED = 20, 5_000, 20
_MAX_TEXT: Final = 200_000
_MAX_VALUES: Final = 20
_MAX_COMMENT: Final = 2_000

_BOUNDARY: Final = re.compile(rb"boundary[\s*0-9]*=", re.IGNORECASE)
_EMBEDDED: Final = re.compile(rb"content-type:\s*message/", re.IGNORECASE)
_DELIMITER: Final = re.compile(rb"^--", re.MULTILINE)
_KEY: Final = re.compile(rf"\+([a-z2-7]{{{REPLY_KEY_LENGTH}}})@", re.IGNORECASE)
_TO: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc")
"""Where a mail server or program writes the address that a mail came to."""

_ADDRESS: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,200}"
_FROM: Final = re.compile(
    rf'(?P<bare>{_ADDRESS})|(?:"(?:[^"\\@<>]|\\[^@<>])*"|[^"@<>,;:]*)\s*<(?P<address>{_ADDRESS})>'
)
_QUOTED: Final = re.compile(r"\s*[>|]")
_SEPARATOR: Final = re.compile(r"\s*(-{3,}.{0,60}-{3,}|_{10,}|-{5,})\s*")
_HEADER_BLOCK: Final = re.compile(r"(?i:(?!\s*reject))\s*\*?[A-Z][\w-]{1,14}\*?\s?:\*?\s.*@.*")
_SIGNATURE: Final = re.compile(r"-- ?")
_APPROVE: Final = re.compile(r"approve\.?", re.IGNORECASE)
_RESERVATION: Final = re.compile(
    r"\b(but|only|if|unless|until|except|without|provided|not|don.t|no|never|wait|hold|stop|change"
    r"|instead|reject|however|first|after|before)\b",
    re.IGNORECASE,
)
"""Words below an `approve` that may take it back; a yes by mail is plain, everything else is for the page."""
_APPROVE_BEGINS: Final = re.compile(r"\W*(approve|reject)\b", re.IGNORECASE)
_REJECT: Final = re.compile(
    r"reject(?:\s+(?P<code>[a-z_]{1,30}))?\s*:\s*(?P<why>\S.*)", re.IGNORECASE | re.DOTALL
)
_QUOTATION: Final = re.compile(r"gmail_quote|divRplyFwdMsg|appendonsend|yahoo_quoted|moz-cite-prefix")
_AWAY: Final = re.compile(
    r"^\s*(automatic reply|auto(matic)?[- ]?(re(ply|sponse)|answer)|out of (the )?office|vacation|"
    r"automatische antwort|abwesenheit|réponse automatique|respuesta automática|risposta automatica)\b",
    re.IGNORECASE,
)
_METHOD: Final = re.compile(r"(?:^|;)\s*(dmarc|dkim|spf)\s*(?:/\s*\d+\s*)?=\s*([a-z]+)", re.IGNORECASE)
_COMMENT_IN_HEADER: Final = re.compile(r"\([^()]*\)")
_DMARC_IS_FINE: Final = frozenset({"pass", "none", "bestguesspass"})
_PRECEDENCE: Final = frozenset({"bulk", "junk", "list", "auto_reply"})


class UnreadableReplyError(ValueError):
    """The message is no mail that can be read; one line without personal data."""


class Said(Frozen):
    """What the first words of a reply say."""

    answer: Answer
    code: AnswerCode | None = None
    comment: str | None = None


class Proof(StrEnum):
    """What our own mail server says about the sender's address."""

    NOT_REFUTED = "not_refuted"
    """It passed, or nothing is said about it."""
    REFUTED = "refuted"
    """Somebody else wrote it, or nobody could tell."""


class Reply(Frozen):
    """A reply to a notice."""

    keys: tuple[str, ...]
    """Every key in an address that it came to; it is about a notice only if there is one."""
    sender: ShortText | None
    """Who says they wrote it; None if it names nobody or several."""
    proof: Proof
    automatic: bool
    """Whether a program wrote it: an out-of-office note, a bounce, a list."""
    said: Said | None
    """What its own first words say; None if they are no answer."""
    reply_id: Identifier
    """The same for the same mail, however often it is passed on."""


def read_reply(raw: bytes) -> Reply:
    """Read a reply to a notice.

    Takes up to a second of processor time for the worst input, so servers call it in a thread.

    Args:
        raw: The whole mail, as it arrived from the mail server.

    Raises:
        UnreadableReplyError: It is too large, or no mail at all.
    """
    message = _parsed(raw)
    sender = _sender(message)
    own = _own_text(message)
    keys = tuple(
        sorted({match[1].lower() for value in _values(message, *_TO) for match in _KEY.finditer(value)})
    )
    name = next(_values(message, "Message-ID"), "").strip() or own
    return Reply(
        keys=keys,
        sender=sender,
        proof=_proof(message),
        automatic=_automatic(message),
        said=understood(own),
        reply_id=f"mail-{sha256(f'{keys} {name}'.encode(errors='replace')).hexdigest()[:40]}",
    )


def understood(text: str) -> Said | None:
    """Return what the own text of a reply says; None if its first paragraph is no answer.

    `approve` alone approves: "I approve", "approve?" and "approve, but not before Monday" do not.
    `reject: why` and `reject CODE: why` reject. What follows after an empty line is greeting or signature,
    unless it takes something back: then nobody can tell what was meant.
    """
    lines = [line.strip(" \t\u00a0\ufeff\u200b") for line in text.splitlines()]
    start = next((number for number, line in enumerate(lines) if line), None)
    if start is None:
        return None
    end = next((number for number in range(start, len(lines)) if not lines[number]), len(lines))
    paragraph = " ".join(lines[start:end])
    if _APPROVE.fullmatch(paragraph):
        taken_back = any(_RESERVATION.search(line) for line in lines[end:])
        return None if taken_back else Said(answer=Answer.APPROVE)
    rejected = _REJECT.fullmatch(paragraph)
    if rejected is None:
        return None
    code = AnswerCode.OTHER
    if rejected["code"] is not None:
        named = rejected["code"].lower()
        if named not in frozenset(AnswerCode):
            return None
        code = AnswerCode(named)
    return Said(answer=Answer.REJECT, code=code, comment=rejected["why"][:_MAX_COMMENT])


def own_words(text: str) -> str:
    """Return a reply's text without what it quotes and without a signature.

    Lines that begin with `>` are quoted, and so is what stands right below them: programs that wrap long
    lines mark only the first piece, and the rest is whoever's words were quoted. A paragraph of its own right
    above them that ends with a colon says whose words they are. A line of dashes, or one that looks like the
    head of a mail, begins a quotation that is not marked further.
    """
    kept: list[str] = []
    quoting = False
    for line in text.splitlines():
        marked = _QUOTED.match(line) is not None
        quoting = marked or (quoting and bool(line.strip()))
        if marked:
            _drop_attribution(kept)
        elif quoting:
            continue
        elif (
            _SEPARATOR.fullmatch(line)
            or _HEADER_BLOCK.fullmatch(line)
            or _SIGNATURE.fullmatch(line.rstrip("\r"))
        ):
            break
        else:
            kept.append(line)
    return "\n".join(kept)


def _drop_attribution(kept: list[str]) -> None:
    """Remove `On Monday, Tutti wrote:` above a quotation, which mail programs may wrap once.

    What stands in one paragraph with other words of the person belongs to these: "approve / but change this:"
    is no approval.
    """
    while kept and not kept[-1].strip():
        kept.pop()
    if kept and kept[-1].rstrip().endswith(":"):
        begins = len(kept) - 1
        # A wrapped one: its first half names an address or a moment, and no answer does.
        if begins and re.search(r"[@\d]", kept[begins - 1]) and not _APPROVE_BEGINS.match(kept[begins - 1]):
            begins -= 1
        if begins == 0 or not kept[begins - 1].strip():
            del kept[begins:]
    kept.append("")


def _parsed(raw: bytes) -> Message:
    """Parse within bounds: time grows with lines times depth, and nesting costs the parser's stack."""
    if len(raw) > MAX_REPLY_BYTES:
        raise UnreadableReplyError(f"the mail is larger than {MAX_REPLY_BYTES} bytes")
    for pattern, limit in (
        (_BOUNDARY, _MAX_BOUNDARIES),
        (_EMBEDDED, _MAX_EMBEDDED),
        (_DELIMITER, _MAX_DELIMITERS),
    ):
        if sum(1 for _ in islice(pattern.finditer(raw), limit + 1)) > limit:
            raise UnreadableReplyError("the mail has too many parts")
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(raw)
    except Exception as error:  # noqa: BLE001 - the parser promises never to fail, and has failed before
        raise UnreadableReplyError(f"the mail cannot be parsed ({type(error).__name__})") from None
    if not message.keys():
        raise UnreadableReplyError("this is no mail: it has no headers")
    return message


def _values(message: Message, *names: str) -> Iterator[str]:
    """Yield the values of headers, each on one line."""
    for name in names:
        for value in islice(message.get_all(name, []), _MAX_VALUES):
            yield " ".join(str(value)[:2_000].split())


def _sender(message: Message) -> str | None:
    """Return the one address that a mail says it is from; whatever could name two names nobody."""
    headers = list(_values(message, "From"))
    found = _FROM.fullmatch(headers[0]) if len(headers) == 1 else None
    return (found["bare"] or found["address"]) if found is not None else None


def _proof(message: Message) -> Proof:
    """Read what mail servers found out about the sender, RFC 8601.

    Our own server writes its findings on top and removes those in its name. Older ones may be anybody's, but
    nobody gains by claiming that their own mail is forged, so a failure counts wherever it stands.
    """
    results: dict[str, set[str]] = {}
    for value in _values(message, "Authentication-Results"):
        for match in _METHOD.finditer(_without_comments(value)):
            results.setdefault(match[1].lower(), set()).add(match[2].lower())
    dmarc = results.get("dmarc", set())
    if dmarc - _DMARC_IS_FINE:
        return Proof.REFUTED
    if "pass" in dmarc:
        return Proof.NOT_REFUTED
    # The sender's domain asks for nothing, so what the other checks have found is all there is.
    others = results.get("dkim", set()) | results.get("spf", set())
    failed = others & {"fail", "softfail", "permerror", "temperror", "policy"}
    return Proof.REFUTED if failed and "pass" not in others else Proof.NOT_REFUTED


def _without_comments(value: str) -> str:
    """Remove comments from a header, also those in comments: words in them say nothing."""
    while (shorter := _COMMENT_IN_HEADER.sub(" ", value)) != value:
        value = shorter
    return value


def _automatic(message: Message) -> bool:
    """Recognize what no person wrote, RFC 3834."""
    marked = next(_values(message, "Auto-Submitted"), "no").lower()
    return (
        not marked.startswith("no")
        or any(name in message for name in ("X-Autoreply", "X-Autorespond", "List-Id"))
        or next(_values(message, "Precedence"), "").lower() in _PRECEDENCE
        or next(_values(message, "Return-Path"), "").strip() == "<>"
        or message.get_content_type() == "multipart/report"
        or _AWAY.match(next(_values(message, "Subject"), "")) is not None
    )


def _own_text(message: Message) -> str:
    """Return the own text of the first part that is for reading."""
    texts = {"text/plain": "", "text/html": ""}
    for part in islice(message.walk(), 100):
        kind = part.get_content_type()
        if kind in texts and not texts[kind] and part.get_content_disposition() != "attachment":
            texts[kind] = _decoded(part)
    if texts["text/plain"].strip():
        return own_words(texts["text/plain"])
    reader = _Reader()
    reader.feed(texts["text/html"])
    reader.close()
    return own_words("".join(reader.lines))


def _decoded(part: Message) -> str:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return ""
    if not isinstance(content, bytes):
        return ""
    try:
        return content[:_MAX_TEXT].decode(part.get_content_charset("utf-8"), errors="replace")
    except (LookupError, ValueError):
        return content[:_MAX_TEXT].decode("ascii", errors="replace")


class _Reader(HTMLParser):
    """The text of an HTML mail, without what it quotes."""

    _BLOCKS: Final = frozenset({"div", "li", "tr", "h1", "h2", "h3", "table", "ul", "ol"})
    _UNREAD: Final = frozenset({"style", "script", "head", "title", "blockquote"})
    _STRUCK: Final = frozenset({"s", "strike", "del"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._unread: list[str] = []
        self._over = False
        self._dense = False  # whether paragraphs are lines: Outlook's have no space between them

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = " ".join(value or "" for name, value in attrs if name in {"class", "id"})
        # What begins a quotation in common mail programs; nothing after it is the writer's own.
        self._over = self._over or tag == "hr" or _QUOTATION.search(named) is not None
        if tag in self._UNREAD:
            self._unread.append(tag)
        if tag in self._STRUCK:
            self.lines.append(" ~")  # what somebody has crossed out is not what they say
        if tag == "p":
            self._dense = "MsoNormal" in named
        self._break(tag, begins=True)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unread:
            while self._unread.pop() != tag:
                pass
        self._break(tag, begins=False)

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._unread and not self._over:
            self.lines.append(f" {text}")

    def _break(self, tag: str, *, begins: bool) -> None:
        if tag == "p" and self._dense:
            self.lines += ["\n"] if begins else []
        elif tag == "p" or (tag == "br" and begins):
            self.lines.append("\n\n" if tag == "p" else "\n")
        elif tag in self._BLOCKS and self.lines and not self.lines[-1].endswith("\n"):
            self.lines.append("\n")
