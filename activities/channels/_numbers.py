"""Whole numbers that touches hold as text."""

from __future__ import annotations

_DIGITS = 6


def whole_number(text: str, *, least: int, most: int) -> int | None:
    """Read a number within bounds; None if the text is anything else, however long it is."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    number = int(text)
    return number if least <= number <= most else None
