"""What is known about a run: everybody's notes, and each account as everybody saw it."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from temporalio.api.history.v1 import HistoryEvent

from domain import AccountStatus, Settlement, TouchStatus
from tests.nemesis.life import Mark
from tests.nemesis.oracle import Entry
from tests.nemesis.plan import Plan


@dataclass
class Scene:
    """One account, as everybody knows it at one moment."""

    account_id: str
    status: AccountStatus
    claims: dict[str, str | None]
    """Status of every claim of a touch by its id; None while it is open."""
    claimed_at: dict[str, datetime]
    touches: dict[str, TouchStatus]
    """What the ledger knows of them."""
    proposals: dict[str, str]
    """Status by proposal, in the ledger."""
    allowed: frozenset[str]
    """Decisions of the ledger with the verdict `allow`."""
    decisions: dict[str, str]
    """Decision behind every touch of the ledger."""


@dataclass
class Found:
    """Everything about one run."""

    plan: Plan
    seconds: float = 0.0
    marks: list[Mark] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    at_rest: list[Scene] = field(default_factory=list)
    """When nothing moved any more, before a person settled what was in doubt."""
    settled: list[Scene] = field(default_factory=list)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    histories: dict[str, list[HistoryEvent]] = field(default_factory=dict)
    timelines: dict[str, list[str]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    """What went wrong before there was anything to check."""
    notes: list[tuple[datetime, str]] = field(default_factory=list)
    """What the run itself did, and when."""

    def note(self, text: str) -> None:
        self.notes.append((datetime.now(UTC), text))


def claims_of(database: Path, account_id: str) -> dict[str, tuple[str | None, datetime]]:
    """Read status and moment of the claims of an account's touches, without the product's own code."""
    query = "SELECT touch_id, status, at FROM claims WHERE touch_id LIKE ?"
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        rows = connection.execute(query, (f"{account_id}/%",)).fetchall()
    return {
        touch_id: (status, datetime.fromisoformat(at).replace(tzinfo=UTC)) for touch_id, status, at in rows
    }
