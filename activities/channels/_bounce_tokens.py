"""Bounce tokens: what a returned message proves about the touch it came from."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from email.headerregistry import Address
from hashlib import sha256

from pydantic import SecretStr, ValidationError

from domain import Frozen, Identifier, ShortText

MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
MAX_BOUNCE_LOCAL_PART = 19
"""Longest part before the @ that a bounce address may have: the token needs the rest of the 64."""

_PURPOSE = b"tutti bounce token v1\x00"
_WHOLE, _SHORT = b"\x01", b"\x02"
_SEPARATOR = "\x1f"
_DIGEST_BYTES = 16
_SIGNATURE_BYTES = 10  # guessed against a live gateway only: 2**80 requests
_MAX_TOKEN = 800
_TOKEN = re.compile(r"[a-z2-7]+")


class BounceTokenError(ValueError):
    """The token was not made with this key, or was damaged on the way."""


class BounceClaim(Frozen):
    """What a token says: a touch by name, or only the digest of its name."""

    account_id: Identifier | None = None
    touch_id: ShortText | None = None
    digest: str | None = None
    """Hex digest of account and touch, where the name did not fit."""


class BounceTokens:
    """Makes and reads the tokens that tie a returned message to its touch.

    A token is written in lower-case letters and digits, because some servers change the case of addresses.
    Whoever received the message holds its token and could claim a bounce of that message, and of no other.

    Args:
        key: Signing key, at least 32 bytes.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    def token(self, account_id: str, touch_id: str) -> str:
        """Return the token that names its touch in full, for a header of the message."""
        return self._sealed(_WHOLE + _names(account_id, touch_id))

    def envelope_sender(self, bounce_address: Address, account_id: str, touch_id: str) -> str:
        """Return the address to which a message of the touch is returned.

        The part before the @ may have 64 characters only, so a touch with a long name is named by a digest;
        then the headers of the returned message say which touch it is.

        Args:
            bounce_address: Mailbox for bounces, with at most 19 characters before the @.
            account_id: Account of the touch.
            touch_id: The touch.

        Returns:
            An address such as `bounces+<token>@example.com`.
        """
        token = self.token(account_id, touch_id)
        if len(bounce_address.username) + 1 + len(token) > MAX_LOCAL_PART:
            token = self._sealed(_SHORT + _digest(account_id, touch_id))
        return f"{bounce_address.username}+{token}@{bounce_address.domain}"

    def read(self, token: str) -> BounceClaim:
        """Return what a token says.

        Args:
            token: As it arrived from outside, in whatever case.

        Raises:
            BounceTokenError: It is not a token that this key made.
        """
        text = token.lower()
        if len(text) > _MAX_TOKEN or not _TOKEN.fullmatch(text):
            raise BounceTokenError("not a bounce token")
        try:
            raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
        except binascii.Error:
            raise BounceTokenError("not a bounce token") from None
        body, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)) or _encode(raw) != text:
            raise BounceTokenError("the token was not made with this key")
        try:
            return _claim(body)
        except (ValueError, ValidationError):
            raise BounceTokenError("the token is of a version that cannot be read here") from None

    def _sealed(self, body: bytes) -> str:
        return _encode(body + self._sign(body))

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + body, sha256)[:_SIGNATURE_BYTES]


def digest_of(account_id: str, touch_id: str) -> str:
    """Return the digest by which a short token names a touch."""
    return _digest(account_id, touch_id).hex()


def _names(account_id: str, touch_id: str) -> bytes:
    # Touch ids begin with their account; saying it once keeps the token short.
    own = touch_id.removeprefix(f"{account_id}/")
    return _SEPARATOR.join((account_id, f"/{own}" if own != touch_id else touch_id)).encode()


def _digest(account_id: str, touch_id: str) -> bytes:
    return sha256(_names(account_id, touch_id)).digest()[:_DIGEST_BYTES]


def _claim(body: bytes) -> BounceClaim:
    version, content = body[:1], body[1:]
    if version == _SHORT and len(content) == _DIGEST_BYTES:
        return BounceClaim(digest=content.hex())
    if version != _WHOLE:
        raise ValueError("unknown version")
    account_id, touch_id = content.decode().split(_SEPARATOR)
    return BounceClaim(
        account_id=account_id,
        touch_id=f"{account_id}{touch_id}" if touch_id.startswith("/") else touch_id,
    )


def _encode(raw: bytes) -> str:
    return base64.b32encode(raw).rstrip(b"=").decode().lower()
