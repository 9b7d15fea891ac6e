"""Reads what mail servers send back: bounces, complaints and automatic replies.

A report is foreign input. It is bounded before it is parsed, and it counts for a touch only if it carries a
token that we made: anybody can write to a bounce address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser, HeaderParser
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from urllib.parse import unquote

from flufl.bounce import all_failures
from pydantic import ValidationError

from activities.channels._bounce_tokens import BounceClaim, BounceTokenError, BounceTokens, digest_of
from activities.channels._contract import clean, without_addresses
from domain import Frozen, Identifier, OutcomeKind, ShortText

TOUCH_HEADER = "X-Tutti-Touch"
"""Header of our messages that names the touch, for people."""
TOKEN_HEADER = "X-Tutti-Token"  # noqa: S105 - the header's name
"""Header of our messages that names the touch under our signature."""
MAX_BOUNCE_BYTES = 1_000_000
"""Largest report that is read; our messages are far smaller, and a report returns one at most."""

_MAX_DETAIL = 300
_MAX_BOUNDARIES, _MAX_DELIMITERS, _MAX_EMBEDDED = 20, 5_000, 20
_HEURISTIC_BYTES = 64_000  # a notice stands at the top, and the heuristics are slow
_MAX_CANDIDATES = 50

_BOUNDARY = re.compile(rb"boundary[\s*0-9]*=", re.IGNORECASE)
_EMBEDDED = re.compile(rb"content-type:\s*message/", re.IGNORECASE)
_DELIMITER = re.compile(rb"^--", re.MULTILINE)
_VERP = re.compile(rb"\+([a-z2-7]{20,63})@", re.IGNORECASE)
_SIGNED = re.compile(rb"X-Tutti-Token:\s{0,4}([a-z2-7]{20,800})", re.IGNORECASE)
_NAMED = re.compile(rb"X-Tutti-Touch:\s{0,4}([!-~]{1,900})", re.IGNORECASE)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_SAYS_WHY = re.compile(r"(?:^|[^\d.])([45]\d\d[ -]|[45]\.\d{1,3}\.\d{1,3}\b)")
_AWAY = re.compile(
    r"^\s*(automatic reply|auto(matic)?[- ]?(re(ply|sponse)|answer)|out of (the )?office|vacation|"
    r"automatische antwort|abwesenheit|réponse automatique|respuesta automática|risposta automatica)\b",
    re.IGNORECASE,
)
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "dmarc"})  # RFC 6430, RFC 6591

# It logs each detector, and exceptions with what it was reading: neither belongs into a log.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)


class BounceNature(StrEnum):
    """What a report says about the message it returns."""

    PERMANENT = "permanent"
    """It will not be delivered."""
    TEMPORARY = "temporary"
    """The server goes on trying, or gave up for a reason that passes."""
    COMPLAINT = "complaint"
    """The person called it junk."""
    AUTO_REPLY = "auto_reply"
    """It was delivered, and a program answered."""


class UnreadableBounceError(ValueError):
    """The message says nothing about a touch; the message of the error is one line without personal data.

    Attributes:
        code: Stable machine-readable code.
    """

    code = "BOUNCE_UNREADABLE"


class NotABounceError(UnreadableBounceError):
    """It is a message like any other, or a report of success."""

    code = "BOUNCE_NONE"


class ForgedBounceError(UnreadableBounceError):
    """It names a touch, but not under our signature."""

    code = "BOUNCE_FORGED"


class UnknownTouchError(UnreadableBounceError):
    """It is a bounce, but no touch of ours can be found in it."""

    code = "BOUNCE_UNKNOWN_TOUCH"


class Bounce(Frozen):
    """What came back, and for which touch."""

    account_id: Identifier
    touch_id: ShortText
    nature: BounceNature
    status: ShortText | None = None
    """The enhanced status code of RFC 3463, such as `5.1.1`, if the report has one."""
    detail: ShortText | None = None
    """The provider's line, without addresses."""
    outcome_id: Identifier
    """The same for every report of one nature about one touch."""

    @property
    def kind(self) -> OutcomeKind | None:
        """What the account shall be told; None: nothing, for a delay or an automatic reply."""
        return _KINDS.get(self.nature)


_KINDS = {BounceNature.PERMANENT: OutcomeKind.BOUNCE, BounceNature.COMPLAINT: OutcomeKind.COMPLAINT}


@dataclass(frozen=True)
class _Finding:
    nature: BounceNature
    status: str | None = None
    words: str | None = None


def read_bounce(raw: bytes, *, links: BounceTokens) -> Bounce:
    """Read a report about a message of ours.

    Takes up to a second or two of processor time for the worst input, so servers call it in a thread.

    Args:
        raw: The whole report, as it arrived from the mail server.
        links: Reads the tokens that our messages carry.

    Returns:
        What it says about which touch.

    Raises:
        UnreadableBounceError: It is too large, no message at all, no report (`NotABounceError`), carries a
            token that we did not make (`ForgedBounceError`) or names no touch (`UnknownTouchError`).
    """
    message = _parsed(raw)
    finding = _reported(message) or _heuristic(message, raw) or _automatic(message)
    if finding is None:
        raise NotABounceError("the message is no bounce, complaint or automatic reply")
    account_id, touch_id = _touch_of(message, raw, links)
    return Bounce(
        account_id=account_id,
        touch_id=touch_id,
        nature=finding.nature,
        status=finding.status,
        detail=_detail(finding.words),
        outcome_id=f"bounce:{sha256(f'{finding.nature.value} {touch_id}'.encode()).hexdigest()[:40]}",
    )


def _parsed(raw: bytes) -> Message:
    """Parse within bounds: time grows with lines times depth, and nesting costs the parser's stack."""
    if len(raw) > MAX_BOUNCE_BYTES:
        raise UnreadableBounceError(f"the message is larger than {MAX_BOUNCE_BYTES} bytes")
    for pattern, limit in (
        (_BOUNDARY, _MAX_BOUNDARIES),
        (_EMBEDDED, _MAX_EMBEDDED),
        (_DELIMITER, _MAX_DELIMITERS),
    ):
        if sum(1 for _ in islice(pattern.finditer(raw), limit + 1)) > limit:
            raise UnreadableBounceError("the message has too many parts")
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(raw)
    except Exception as error:  # noqa: BLE001 - the parser promises never to fail, and has failed before
        raise UnreadableBounceError(f"the message cannot be parsed ({type(error).__name__})") from None
    if not message.keys():
        raise UnreadableBounceError("this is no e-mail message: it has no headers")
    return message


def _header(message: Message, name: str) -> str:
    return clean(str(message.get(name, "")))


def _reported(message: Message) -> _Finding | None:
    """Read the machine-readable part of a report, if it has one."""
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/feedback-report":
            return _complaint(part)
        if kind in {"message/delivery-status", "message/global-delivery-status"}:
            finding = _delivery(part)
            if finding is not None:
                return finding
    return None


def _complaint(part: Message) -> _Finding:
    """Read a feedback report, RFC 5965."""
    fields = next(_blocks(part), None)
    kind = "" if fields is None else _header(fields, "Feedback-Type").lower()
    if kind in _NO_COMPLAINT:
        raise NotABounceError(f"the feedback report ({kind}) is no complaint")
    return _Finding(BounceNature.COMPLAINT, words=f"complaint: {kind or 'no type given'}")


def _delivery(part: Message) -> _Finding | None:
    """Read a delivery status, RFC 3464; of several recipients the one with the worst news counts."""
    findings: list[_Finding] = []
    delivered = False
    for block in _blocks(part):
        action = _header(block, "Action").lower()
        status = _STATUS.search(_header(block, "Status"))
        nature = _nature(action, status and status[1])
        if nature is None:
            delivered = delivered or action.startswith(("delivered", "relayed", "expanded"))
            continue
        words = _header(block, "Diagnostic-Code")
        findings.append(_Finding(nature, status and status[0], words.partition(";")[2] or words or None))
    findings.sort(key=lambda finding: finding.nature is not BounceNature.PERMANENT)
    if not findings and delivered:
        raise NotABounceError("the report says that the message was delivered")
    return findings[0] if findings else None


def _nature(action: str, status_class: str | None) -> BounceNature | None:
    """Judge a recipient by Action and the class of Status.

    A server that gave up for a passing reason (`failed`, 4.4.7) says nothing about the address.
    """
    if action.startswith(("delivered", "relayed", "expanded")) or status_class == "2":
        return None
    if action.startswith("delayed") or status_class == "4":
        return BounceNature.TEMPORARY
    if status_class == "5" or action.startswith(("fail", "error")):
        return BounceNature.PERMANENT
    return None


def _blocks(part: Message) -> Iterator[Message]:
    """Return the groups of fields in a part, whatever the parser made of it."""
    payload = part.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if not isinstance(block, Message):
            continue
        yield block
        rest = block.get_payload()
        if isinstance(rest, str):  # types of RFC 6533 and 5965 are parsed as if they were messages
            for text in islice(re.split(r"\r?\n\r?\n", rest), _MAX_CANDIDATES):
                yield HeaderParser(policy=policy.compat32).parsestr(text.strip())


def _heuristic(message: Message, raw: bytes) -> _Finding | None:
    """Recognize what servers send that do not keep to RFC 3464, unless a person's program is answering."""
    if _is_away_note(message):
        return None
    head = BytesParser(policy=policy.compat32).parsebytes(raw[:_HEURISTIC_BYTES])
    if not _header(head, "From"):  # one of the heuristics takes it for granted
        del head["From"]
        head["From"] = "unknown@invalid"
    try:
        passing, final = all_failures(head)
    except Exception:  # noqa: BLE001 - the heuristics trip over malformed input; then they know nothing
        return None
    if not passing and not final:
        return None
    words = _words_in(head)
    status = _STATUS.search(words or "")
    nature = BounceNature.PERMANENT if final else BounceNature.TEMPORARY
    return _Finding(nature, status and status[0], words)


def _words_in(message: Message) -> str | None:
    """Return the first line of a notice that quotes a server's answer."""
    for text in _texts(message):
        for line in islice(text.decode(errors="replace").splitlines(), 500):
            if _SAYS_WHY.search(line[:1_000]):
                return line[:1_000]
    return None


def _automatic(message: Message) -> _Finding | None:
    """Recognize an automatic reply, RFC 3834."""
    marked = _header(message, "Auto-Submitted").lower()
    if _is_away_note(message) or (marked and not marked.startswith("no")):
        return _Finding(BounceNature.AUTO_REPLY, words="an automatic reply")
    return None


def _is_away_note(message: Message) -> bool:
    return (
        "X-Autoreply" in message
        or "X-Autorespond" in message
        or _header(message, "Precedence").lower() == "auto_reply"
        or _AWAY.match(_header(message, "Subject")) is not None
    )


def _touch_of(message: Message, raw: bytes, links: BounceTokens) -> tuple[str, str]:
    """Find the touch that our own token names: in the address it came to, else in what was returned."""
    envelope = "\n".join(str(value)[:2_000] for value in islice(message.values(), 200))
    sources = (envelope.encode(errors="replace"), raw, *_texts(message))
    claims, forged = _claims(sources, links)
    names = [(claim.account_id, claim.touch_id) for claim in claims] + [
        (name.partition("/")[0], name) for name in _names(sources)
    ]
    for claim in claims:
        for account_id, touch_id in names:
            if account_id is None or touch_id is None:
                continue
            if claim.touch_id == touch_id or claim.digest == digest_of(account_id, touch_id):
                return account_id, touch_id
    if claims:
        raise UnknownTouchError("the bounce carries our token, but not the headers that name its touch")
    if forged or any(True for _ in _names(sources)):
        raise ForgedBounceError("the bounce names a touch without the signature that our messages carry")
    raise UnknownTouchError("the bounce returns no message of ours")


def _claims(sources: Iterable[bytes], links: BounceTokens) -> tuple[list[BounceClaim], bool]:
    """Return what the tokens say that we made, in order, and whether there are others."""
    claims: list[BounceClaim] = []
    forged = False
    for source in sources:
        for pattern in (_VERP, _SIGNED):
            for match in islice(pattern.finditer(source), _MAX_CANDIDATES):
                try:
                    claims.append(links.read(match[1].decode()))
                except BounceTokenError:
                    forged = True
    return claims, forged


def _names(sources: Iterable[bytes]) -> Iterator[str]:
    for source in sources:
        for match in islice(_NAMED.finditer(source), _MAX_CANDIDATES):
            name = unquote(match[1].decode())
            with suppress(ValidationError):
                yield BounceClaim(account_id=name.partition("/")[0], touch_id=name).touch_id or name


def _texts(message: Message) -> Iterator[bytes]:
    """Return the decoded text of every part that holds text."""
    for part in message.walk():
        if part.is_multipart():
            continue
        with suppress(ValueError, LookupError, AssertionError):
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                yield content


def _detail(words: str | None) -> str | None:
    if not words:
        return None
    return clean(without_addresses(words), limit=_MAX_DETAIL) or None
