"""Unsubscribe links: made by channels that write to persons, read by the gateway."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

from pydantic import SecretStr, ValidationError

from activities._signing import public_address, secret_of, spell, unspell
from activities.channels._bounce_tokens import BounceTokens
from domain import Frozen, Identifier, ShortText

MAX_TOKEN_LENGTH = 1_200

_VERSION = b"\x01"
_PURPOSE = b"tutti unsubscribe link v1\x00"
_SEPARATOR = "\x1f"
_HALF = 32  # bytes of a SHA-256: the length of the person key and of the signature
_PERSON_KEY = re.compile(r"[0-9a-f]{64}")


class UnsubscribeTokenError(ValueError):
    """The token was not made with this key, or was damaged on the way."""


class UnsubscribeClaim(Frozen):
    """Who wants to hear no more, and which touch made them say so."""

    account_id: Identifier
    contact_id: Identifier
    touch_id: ShortText
    person_key: str
    """Hex SHA-256 of the normalized address; the address itself is not in the link."""


class UnsubscribeLinks:
    """Makes and reads unsubscribe links.

    A link never expires: mail laws ask for at least 60 days, and a person who finds an old mail may still
    object. Whoever holds a link can only do what it says: stop messages to that one person.

    Args:
        base_url: Public address of the gateway, such as `https://tutti.example.com`.
        key: Signing key, at least 32 bytes.

    Raises:
        ValueError: The address or the key does not serve; the message names the variable.
    """

    def __init__(self, base_url: str, key: SecretStr) -> None:
        self._key = secret_of(key)
        self._base_url = public_address(base_url)
        self.bounces = BounceTokens(key)
        """The tokens that tie returned messages to their touches, under the same key."""

    def url(self, account_id: str, contact_id: str, touch_id: str, person_key: str) -> str:
        """Return the link that stops all messages to one person.

        Args:
            account_id: Account of the touch.
            contact_id: Contact that the touch addresses.
            touch_id: The touch that carries the link.
            person_key: `domain.person_key` of the address, 64 hexadecimal digits.

        Returns:
            An absolute URL of ASCII characters, the same for the same arguments.

        Raises:
            ValueError: An argument is no valid identifier or person key.
        """
        if not _PERSON_KEY.fullmatch(person_key):
            raise ValueError("person_key must be 64 lower-case hexadecimal digits")
        claim = UnsubscribeClaim(
            account_id=account_id, contact_id=contact_id, touch_id=touch_id, person_key=person_key
        )
        # Touch ids begin with their account; leaving it out keeps the header line short.
        own = claim.touch_id.removeprefix(f"{claim.account_id}/")
        short = f"/{own}" if own != claim.touch_id else claim.touch_id
        names = _SEPARATOR.join((claim.account_id, claim.contact_id, short))
        body = _VERSION + bytes.fromhex(person_key) + names.encode()
        return f"{self._base_url}/unsubscribe/{spell(body + self._sign(body))}"

    def read(self, token: str) -> UnsubscribeClaim:
        """Return what a token says.

        Args:
            token: Last part of the path of a link, as it arrived from outside.

        Returns:
            The claim.

        Raises:
            UnsubscribeTokenError: It is not a token that this key made.
        """
        raw = unspell(token, MAX_TOKEN_LENGTH)
        if raw is None:
            raise UnsubscribeTokenError("not an unsubscribe token")
        body, signature = raw[:-_HALF], raw[-_HALF:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise UnsubscribeTokenError("the token was not made with this key")
        try:
            account_id, contact_id, touch_id = body[1 + _HALF :].decode().split(_SEPARATOR)
            return UnsubscribeClaim(
                account_id=account_id,
                contact_id=contact_id,
                touch_id=f"{account_id}{touch_id}" if touch_id.startswith("/") else touch_id,
                person_key=body[1 : 1 + _HALF].hex(),
            )
        except (ValueError, ValidationError):
            raise UnsubscribeTokenError("the token is of a version that this gateway cannot read") from None

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + body, sha256)
