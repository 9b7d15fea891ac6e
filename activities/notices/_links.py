"""Answer links and reply keys: how a notice lets one person answer one question, once."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

from pydantic import SecretStr, StringConstraints, ValidationError

from activities._signing import public_address, secret_of, spell, unspell
from domain import Frozen, Identifier, Moment, ShortText

LONGEST_TOKEN: Final = 3_000
"""Characters: the longest names that a ticket can hold make a shorter one."""
REPLY_KEY_LENGTH: Final = 24
"""Characters of a reply key: lower-case letters and digits, because some mail servers change the case."""

_VERSION: Final = b"\x01"
_TICKET: Final = b"tutti answer link v1\x00"
_NONCE: Final = b"tutti answer nonce v1\x00"
_REPLY: Final = b"tutti answer reply v1\x00"
_SHOWN: Final = b"tutti answer shown v1\x00"
"""What a signature is for comes before what is signed: no token of one kind can pass for one of another."""
_SEPARATOR: Final = "\x1f"  # no id, login or line of text can hold it
_MOMENT_BYTES: Final = 8
_DIGEST_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 32
_STAMP_LENGTH: Final = 32
_HEAD: Final = 1 + _MOMENT_BYTES + _DIGEST_BYTES
_REPLY_BYTES: Final = 15
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class LinkFault(StrEnum):
    """What is wrong with an answer link."""

    MALFORMED = "malformed"
    """It is no answer link, or a piece of it is missing."""
    FOREIGN = "foreign"
    """It was changed, or not signed with this key."""
    UNREADABLE = "unreadable"
    """It is of a version that this code cannot read."""
    EXPIRED = "expired"
    """It was good, and its time is over."""


class AnswerLinkError(ValueError):
    """An answer link does not serve; the message is one sentence for the person who opened it.

    Attributes:
        fault: What is wrong with it.
    """

    def __init__(self, fault: LinkFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class AnswerTicket(Frozen):
    """What an answer link says: that one person may answer one question, for exactly what it asks."""

    account_id: Identifier
    approval_id: Annotated[ShortText, StringConstraints(min_length=1, max_length=160)]
    login: Annotated[ShortText, StringConstraints(min_length=1)]
    """Login of the person to whom the link was sent."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of exactly what was asked about."""
    expires_at: Moment
    """From then on the link is worth nothing: when the question itself expires."""
    nonce: Identifier
    """The id of the answer that is given with the link; being one, it counts once."""


class AnswerLinks:
    """Makes and reads answer links, and makes the keys by which a mail reply finds its question.

    A link belongs to one person and is good for one answer. Whoever holds it can answer in that person's
    name, so it goes to them alone, by mail. What they say is judged by the account like every other answer.

    Args:
        public_url: Public address of the gateway, such as `https://tutti.example.com`.
        key: Signing key, at least 32 bytes.

    Raises:
        ValueError: The address or the key does not serve; the message names the variable.
    """

    def __init__(self, public_url: str, key: SecretStr) -> None:
        self._key = secret_of(key)
        self._public_url = public_address(public_url)

    def url(self, ticket: AnswerTicket) -> str:
        """Return the link to the page on which the ticket's person answers.

        Returns:
            An absolute URL of ASCII characters, the same for the same ticket.
        """
        names = _SEPARATOR.join((ticket.nonce, ticket.account_id, ticket.approval_id, ticket.login))
        moment = (ticket.expires_at - _EPOCH) // _MICROSECOND
        head = _VERSION + moment.to_bytes(_MOMENT_BYTES, "big") + bytes.fromhex(ticket.digest)
        body = head + names.encode()
        return f"{self._public_url}/answer/{spell(body + self._sign(_TICKET, body))}"

    def read(self, token: str, *, now: datetime | None = None) -> AnswerTicket:
        """Return what a link says.

        Args:
            token: Last part of the path of a link, as it arrived from outside.
            now: The present moment, aware; None: ask the clock.

        Raises:
            AnswerLinkError: It is not a link that this key made, or its time is over.
        """
        raw = unspell(token, LONGEST_TOKEN)
        if raw is None or len(raw) <= _HEAD + _SIGNATURE_BYTES:
            raise AnswerLinkError(
                LinkFault.MALFORMED, "This is no answer link; open it again from the mail, whole."
            )
        body, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(_TICKET, body)):
            raise AnswerLinkError(
                LinkFault.FOREIGN, "This answer link was changed on its way, or was not made here."
            )
        ticket = _ticket_of(body)
        if ticket.expires_at <= (datetime.now(UTC) if now is None else now):
            raise AnswerLinkError(
                LinkFault.EXPIRED,
                f"This answer link was good until {ticket.expires_at:%Y-%m-%d %H:%M} UTC; "
                "what it asked about has expired.",
            )
        return ticket

    def nonce(self, notice_id: str, login: str) -> str:
        """Return the nonce of one person's link in one notice: the same however often the notice is tried.

        Nobody can guess it, so nobody can use up a link that they have not seen.
        """
        return f"link-{self._sign(_NONCE, _pair(notice_id, login)).hex()[:32]}"

    def reply_key(self, notice_id: str, login: str) -> str:
        """Return the key in the address that one person's reply to one notice goes to.

        Returns:
            24 lower-case letters and digits that nobody can guess; the same for the same notice and person.
        """
        signature = self._sign(_REPLY, _pair(notice_id, login))[:_REPLY_BYTES]
        return base64.b32encode(signature).decode().lower()

    def stamp(self, ticket: AnswerTicket, moment: datetime) -> str:
        """Return a mark that says when the ticket's card was shown; it comes back with the form."""
        shown = str((moment - _EPOCH) // _MICROSECOND)
        return f"{shown}.{self._sign(_SHOWN, _pair(ticket.nonce, shown)).hex()[:_STAMP_LENGTH]}"

    def shown_at(self, ticket: AnswerTicket, stamp: str) -> datetime | None:
        """Return when a card was shown, by its mark; None if that was not made here for this ticket."""
        shown, _, signature = stamp.partition(".")
        expected = self._sign(_SHOWN, _pair(ticket.nonce, shown)).hex()[:_STAMP_LENGTH]
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return _EPOCH + _MICROSECOND * int(shown)

    def _sign(self, purpose: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, purpose + body, sha256)


def _pair(notice_id: str, login: str) -> bytes:
    return _SEPARATOR.join((notice_id, login)).encode()


def _ticket_of(body: bytes) -> AnswerTicket:
    """Read a body whose signature is good."""
    unreadable = AnswerLinkError(
        LinkFault.UNREADABLE, "This answer link is of a version that cannot be read here; ask for a new one."
    )
    if body[:1] != _VERSION:
        raise unreadable
    try:
        nonce, account_id, approval_id, login = body[_HEAD:].decode().split(_SEPARATOR)
        return AnswerTicket(
            account_id=account_id,
            approval_id=approval_id,
            login=login,
            digest=body[1 + _MOMENT_BYTES : _HEAD].hex(),
            expires_at=_EPOCH + _MICROSECOND * int.from_bytes(body[1 : 1 + _MOMENT_BYTES], "big"),
            nonce=nonce,
        )
    except (ValueError, OverflowError, ValidationError):
        raise unreadable from None
