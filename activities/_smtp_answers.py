"""What a mail server's answers mean, and how a message is written to one: for channels and notices alike."""

from __future__ import annotations

import re
from typing import Final

START_INPUT: Final = 354
"""The answer to DATA after which the message's own bytes are written (RFC 5321, 4.2.3)."""
_SUCCESS: Final = 2
_FOR_GOOD: Final = 5
_LOGIN_NEEDED: Final = frozenset({530, 534, 535, 538})
_LEADING_DOT: Final = re.compile(rb"(?m)^\.")


def took_it(code: int) -> bool:
    """Return whether a final answer says that the server took the message: 2xx."""
    return code // 100 == _SUCCESS


def refuses_for_good(code: int) -> bool:
    """Return whether a refusal is for good: 5xx, unless it is us whom the server does not know."""
    return code // 100 == _FOR_GOOD and code not in _LOGIN_NEEDED


def as_data(content: bytes) -> bytes:
    """Return a message as DATA takes it: leading dots doubled, one dot at the end (RFC 5321, 4.5.2).

    Args:
        content: The message, its lines ended by CRLF.
    """
    return _LEADING_DOT.sub(b"..", content) + b".\r\n"
