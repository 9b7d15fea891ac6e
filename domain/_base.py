"""Shared field types and the frozen base of every model in the language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

# Asked once: every call walks the zone files, and models are validated inside workflow tasks.
_ZONES = frozenset(available_timezones())
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Controls, characters without width, and those that turn the direction of writing; not tab and line end."""
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Frozen(BaseModel):
    """Base of all values: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _plausible_utc(value: datetime) -> datetime:
    try:
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError:
        msg = "lies outside the calendar"
        raise ValueError(msg) from None
    if not EARLIEST <= moment < LATEST:
        msg = f"must lie between {EARLIEST.year} and {LATEST.year}; found {moment.isoformat()}"
        raise ValueError(msg)
    return moment


def _known_zone(value: str) -> str:
    if value not in _ZONES:
        msg = f"{value!r} is no IANA time zone; write it like 'Europe/Berlin'"
        raise ValueError(msg)
    return value


def _one_line(value: str) -> str:
    if not value.isprintable() and _CONTROL.search(value):
        msg = "must be one line without control characters"
        raise ValueError(msg)
    return value


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = f"{value!r} is no duration; write it like 30s, 15m, 4h or 7d"
        raise ValueError(msg)
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def one_line(text: str, limit: int = 300) -> str:
    """Return text as a `ShortText`: control characters become spaces, the rest is cut at the limit."""
    return _CONTROL.sub(" ", text)[:limit]


def visible(text: str) -> str:
    """Make visible what could hide or reorder words: an approver must see what the reader would not."""
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text.replace("\r\n", "\n"))


def in_words(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: `a`, `a and b`, `a, b and c`; nothing for no names."""
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last


Moment = Annotated[AwareDatetime, AfterValidator(_plausible_utc)]
"""A moment in time: aware, converted to UTC, between 1990 and 2100."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]*$", max_length=128)]
"""A stable name from a source system: no spaces, no `@` (ids appear where personal data must not)."""

ZoneName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
"""An IANA time zone name, e.g. `Europe/Berlin`."""

CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2, upper case, e.g. `DE`."""

ShortText = Annotated[str, StringConstraints(max_length=300), AfterValidator(_one_line)]
"""One line of text, at most 300 characters."""

LongText = Annotated[str, StringConstraints(max_length=20_000)]
"""Free text, at most 20,000 characters."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number from 0 to 1."""

Amount = Annotated[float, Field(ge=0.0, le=1e12)]
"""A non-negative amount in the tenant's currency."""

Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time as people write it in files: `30s`, `15m`, `4h`, `7d`, `1.5s`; not negative."""
