"""What an audit may find: the words, and one line for each."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain import Frozen
from tutti.render import clock, plain


class What(StrEnum):
    """What is wrong, or worth knowing; stable enough for programs to act on."""

    EDITED = "edited"
    """What was recorded is not what was chained."""
    FORGED = "forged"
    """A link whose digest does not fit what it ties together."""
    MISSING = "missing"
    """A link is not there, and a later one is."""
    REORDERED = "reordered"
    """A link does not stand behind the one that came before it."""
    FORK = "fork"
    """Two links follow the same one."""
    TRUNCATED = "truncated"
    """The log ends before a link that was anchored."""
    REPLACED = "replaced"
    """Another link stands where one was anchored."""
    VANISHED = "vanished"
    """An account has no log, and an anchor or a table says that it had one."""
    NOT_IN_LOG = "not_in_log"
    """A row of the ledger that no link vouches for, or that is an older version than the log has."""
    NOT_IN_TABLES = "not_in_tables"
    """A fact of the log whose row is gone from its table."""
    UNCLAIMED = "unclaimed"
    """A touch was handed over without a claim."""
    UNKNOWN_CLAIM = "unknown_claim"
    """A touch was claimed, and no account tells of it."""
    BAD_ANCHOR = "bad_anchor"
    """An anchor file was changed, or is signed with another key."""

    BEGUN_ANEW = "begun_anew"
    """An account's log has a second beginning: it was ended and started again, or somebody added one."""
    BEHIND_ANCHOR = "behind_anchor"
    """Links say that they are older than an anchor that does not know them."""
    CHECKS = "checks"
    """Touches of `tutti channel verify`, which belong to no account."""

    @property
    def is_note(self) -> bool:
        """Whether it may be in order, so that it is told and does not fail the audit."""
        return self in {What.BEGUN_ANEW, What.BEHIND_ANCHOR, What.CHECKS}


class Finding(Frozen):
    """One thing an audit found."""

    what: What
    account_id: str | None = None
    number: int | None = None
    """Of the link; None: it is about none."""
    text: str
    """What is wrong, for people."""
    since: datetime | None = None
    """Moment of the fact concerned, or the last one at which everything still agreed."""

    @property
    def line(self) -> str:
        """All of it on one line."""
        place = "" if self.account_id is None else self.account_id
        place += "" if self.number is None else f" #{self.number}"
        moment = "" if self.since is None else f" ({clock(self.since)})"
        return plain(f"{place}: {self.text}{moment}" if place else f"{self.text}{moment}").replace("\n", " ")
