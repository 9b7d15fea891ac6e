"""What became of every row: read, used, skipped for a reason, or malformed."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from pydantic import Field

from domain import Frozen

MALFORMED_KEPT = 1_000
"""Malformed rows described per table; the rest is counted, so that a broken file cannot fill the memory."""


class SkipReason(StrEnum):
    """Why a well-formed row has no effect; the value is what a person reads."""

    NO_USE = "no use for it in Tutti"
    NOT_REFERRED_TO = "no used row refers to it"
    DELETED = "deleted in HubSpot"
    DUPLICATE = "same thing as an earlier row"
    MERGED = "merged duplicate of another contact"
    NO_COMPANY = "contact without a company"
    CONTACT_UNKNOWN = "its contact is not in the export"
    CONTACT_DELETED = "its contact was deleted in HubSpot"
    CONTACT_WITHOUT_COMPANY = "its contact has no company"
    COMPANY_UNKNOWN = "its company is not in the export"
    NOT_CONNECTED = "nothing connects it with a company"
    ADDRESS_SHARED = "several contacts have its address"
    BOT = "bot"
    OBSOLETE = "obsolete, a newer event replaces it"
    TRANSPORT = "mail transport step, nothing a person did"
    UNKNOWN_TYPE = "event type Tutti does not know"
    NO_EVENT = "no e-mail event with its id"
    EVENT_NOT_USED = "its e-mail event is not used"


class RowSkippedError(Exception):
    """A well-formed row has no effect."""

    def __init__(self, reason: SkipReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(Frozen):
    """A row that cannot be read, with the place and the remedy."""

    file: str
    line: int
    """Line of the file on which the row begins, from 1."""
    column: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """Return `file:line:column: what; what to do`."""
        return f"{self.file}:{self.line}:{self.column}: {self.what}; {self.remedy}"


class TableReport(Frozen):
    """What became of the rows of one table: `rows == used + all skipped + malformed`."""

    table: str
    file: str | None
    """File name in the export; None if the table is missing there."""
    rows: int = 0
    used: int = 0
    skipped: dict[SkipReason, int] = Field(default_factory=dict)
    malformed: int = 0
    examples: tuple[Malformed, ...] = ()
    """The malformed rows, at most `MALFORMED_KEPT` of them."""
    remarks: dict[str, int] = Field(default_factory=dict)
    """Values of used rows that were left out, with how often."""


class Tally:
    """Counts the fates of one table's rows while it is read."""

    def __init__(self, table: str, file: str | None) -> None:
        self.table = table
        self.file = file
        self._used = 0
        self._skipped: Counter[SkipReason] = Counter()
        self._malformed = 0
        self._examples: list[Malformed] = []
        self._remarks: Counter[str] = Counter()

    def use(self) -> None:
        """Count a row that had an effect."""
        self._used += 1

    def skip(self, reason: SkipReason) -> None:
        """Count a row that had none."""
        self._skipped[reason] += 1

    def refuse(self, malformed: Malformed) -> None:
        """Count a row that could not be read."""
        self._malformed += 1
        if len(self._examples) < MALFORMED_KEPT:
            self._examples.append(malformed)

    def remark(self, text: str) -> None:
        """Count a value that was left out although its row was used."""
        self._remarks[text] += 1

    def report(self) -> TableReport:
        """Return the counts so far."""
        return TableReport(
            table=self.table,
            file=self.file,
            rows=self._used + self._skipped.total() + self._malformed,
            used=self._used,
            skipped=dict(sorted(self._skipped.items())),
            malformed=self._malformed,
            examples=tuple(self._examples),
            remarks=dict(sorted(self._remarks.items())),
        )
