"""What all signed links have in common: the key, the public address, and the spelling of tokens."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

MIN_KEY_BYTES = 32

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


def secret_of(key: SecretStr) -> bytes:
    """Return the bytes of the signing key.

    Raises:
        ValueError: It is too short; the message names the variable and shows nothing of it.
    """
    secret = key.get_secret_value().encode()
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(
            f"TUTTI_SIGNING_KEY has {len(secret)} bytes; it needs at least {MIN_KEY_BYTES} random ones"
        )
    return secret


def spell(raw: bytes) -> str:
    """Write bytes as a token: letters, digits, `-` and `_`, fit for the path of a link."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unspell(token: str, longest: int) -> bytes | None:
    """Return the bytes of a token that `spell` wrote; None for every other text.

    Base64 has spare bits, so that several texts could stand for the same bytes; only one of them counts.

    Args:
        token: As it arrived from outside.
        longest: How many characters it may have.
    """
    if len(token) > longest or not _TOKEN.fullmatch(token):
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        return None
    return raw if spell(raw) == token else None


def public_address(base_url: str) -> str:
    """Accept https anywhere and http on this machine only: mail providers follow nothing else.

    Returns:
        The address without a slash at its end.

    Raises:
        ValueError: It does not serve; the message names the variable.
    """
    parts = urlsplit(base_url)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
        or not base_url.isascii()
        or re.search(r"[\s<>,\"]", base_url)
    ):
        raise ValueError("TUTTI_PUBLIC_URL must be an address such as https://tutti.example.com")
    if parts.scheme == "http" and not _on_this_machine(parts.hostname):
        raise ValueError("TUTTI_PUBLIC_URL must begin with https:// unless it points to this machine")
    return base_url.rstrip("/")


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
