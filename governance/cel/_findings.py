"""One mistake in a condition, and the guess what was meant."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Finding:
    """One mistake.

    Attributes:
        offset: Where the caret starts, in characters from 0.
        length: How many characters it covers.
        code: Stable name of the sort of mistake.
        message: One sentence without full stop.
        suggestion: What was probably meant, to be written in place of the marked text.
        covers: Offsets at which cel-cpp reports the same mistake in its own words.
    """

    offset: int
    length: int
    code: str
    message: str
    suggestion: str | None = None
    covers: set[int] = field(default_factory=set)


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, ignoring case, or None."""
    folded = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    matches = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None
