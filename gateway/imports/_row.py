"""One row of an export, and how its cells are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gateway.imports._tally import Malformed

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}")
_SECONDS_ARE_BELOW = 100_000_000_000
# An hour may have one digit, a fraction up to nine; fromisoformat takes neither.
_LOOSE_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[ T](?P<hour>\d{1,2}):(?P<rest>\d{2}(?::\d{2})?)"
    r"(?:\.(?P<fraction>\d{1,9}))?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_TRUE = frozenset({"true", "t", "1", "yes", "y"})
_FALSE = frozenset({"", "false", "f", "0", "no", "n"})


class RowMalformedError(Exception):
    """A row cannot be read."""

    def __init__(self, malformed: Malformed) -> None:
        super().__init__(str(malformed))
        self.malformed = malformed


def parse_moment(text: str) -> datetime | None:
    """Read a moment as exports write it.

    Args:
        text: ISO 8601 with a space or a `T`, one or two digits for the hour, any fraction, with `Z`, `UTC`,
            an offset or nothing (which means UTC); or seconds or milliseconds since 1970.

    Returns:
        The moment in UTC, or None if the text is none of these.
    """
    try:
        if text.isascii() and text.isdigit():
            number = int(text)
            return datetime.fromtimestamp(number if number < _SECONDS_ARE_BELOW else number / 1_000, UTC)
        return _in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError, OSError):
        pass
    match = _LOOSE_MOMENT.fullmatch(text)
    if match is None:
        return None
    zone = (match["zone"] or "Z").upper().replace("UTC", "Z").replace("GMT", "Z")
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    rest = match["rest"] if ":" in match["rest"] else match["rest"] + ":00"
    try:
        return _in_utc(
            datetime.fromisoformat(f"{match['date']}T{match['hour'].zfill(2)}:{rest}.{fraction}{zone}")
        )
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown(text: str) -> str:
    """Return a cell's text short enough for a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")  # noqa: PLR2004 - fits one line of a terminal


class Row:
    """The cells of one row, by column name."""

    __slots__ = ("_columns", "_values", "file", "line")

    def __init__(self, file: str, line: int, columns: Mapping[str, int], values: Sequence[str]) -> None:
        self.file = file
        self.line = line
        self._columns = columns
        self._values = values

    def text(self, *columns: str) -> str:
        """Return the first of these cells that holds anything, stripped; empty if none does."""
        for column in columns:
            index = self._columns.get(column)
            if index is not None and (value := self._values[index].strip()):
                return value
        return ""

    def malformed(self, column: str, what: str, remedy: str) -> RowMalformedError:
        """Return the error to raise for a cell of this row."""
        return RowMalformedError(
            Malformed(file=self.file, line=self.line, column=column, what=what, remedy=remedy)
        )

    def identifier(self, column: str) -> str:
        """Return the id in a cell as it is written, leading zeros included.

        Raises:
            RowMalformedError: The cell is empty or holds no id.
        """
        value = self.text(column)
        if not value:
            raise self.malformed(column, "no id", "export the row again with its id")
        if not _IDENTIFIER.fullmatch(value):
            raise self.malformed(
                column,
                f"{shown(value)} is no id",
                "use a letter or digit first, then letters, digits and . _ : + - (100 at most)",
            )
        return value

    def flag(self, column: str) -> bool:
        """Return the truth value in a cell; an empty one is false.

        Raises:
            RowMalformedError: The cell holds neither true nor false.
        """
        value = self.text(column).lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise self.malformed(column, f"{shown(value)} is neither true nor false", "write true or false")

    def moment_or_none(self, *columns: str) -> datetime | None:
        """Return the moment in the first of these cells that holds anything, or None.

        Raises:
            RowMalformedError: That cell holds no moment between 1990 and 2100.
        """
        for column in columns:
            value = self.text(column)
            if not value:
                continue
            moment = parse_moment(value)
            if moment is None:
                raise self.malformed(
                    column, f"{shown(value)} is no date and time", "write it like 2026-03-01 14:30:00"
                )
            if not EARLIEST <= moment < LATEST:
                raise self.malformed(
                    column,
                    f"{shown(value)} lies outside {EARLIEST.year} to {LATEST.year}",
                    "correct the date in the export",
                )
            return moment
        return None

    def moment(self, *columns: str, until: datetime | None = None) -> datetime:
        """Return the moment in the first of these cells that holds anything.

        Args:
            columns: The cells to look at, the best one first.
            until: For things that have happened: the present. A day more is forgiven, clocks differ.

        Raises:
            RowMalformedError: All are empty, it is no moment, or it lies in the future.
        """
        moment = self.moment_or_none(*columns)
        if moment is None:
            raise self.malformed(columns[0], "no date and time", "write it like 2026-03-01 14:30:00")
        if until is not None and moment > until + timedelta(days=1):
            column = next(column for column in columns if self.text(column))
            raise self.malformed(
                column,
                f"{shown(self.text(column))} lies in the future",
                "correct the date in the export; a past event cannot lie ahead",
            )
        return moment
