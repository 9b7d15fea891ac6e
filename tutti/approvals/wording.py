"""How times and persons are told where questions are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from domain import Approval
from tutti.render import clock, plain, since

_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MINUTE: Final = 60


def length(start: datetime, end: datetime) -> str:
    """Return the time between two moments, in minutes and two units at most: `3h 12m`."""
    seconds = abs(end - start).total_seconds()
    rounded = round(seconds / _MINUTE) * _MINUTE if seconds >= _MINUTE else round(seconds)
    return since(_START, _START + timedelta(seconds=rounded)).removeprefix("+")


def when(moment: datetime, now: datetime) -> str:
    """Return a moment with how far it is away."""
    distance = f"in {length(now, moment)}" if moment > now else f"{length(moment, now)} ago"
    return f"{clock(moment)} ({distance})"


def holding(approval: Approval, now: datetime) -> str:
    """Say who has taken a question on, and for how long others leave it alone; nothing if nobody has."""
    if approval.claimed_by is None or approval.claimed_until is None or approval.claimed_until <= now:
        return ""
    return f"held by {plain(approval.claimed_by)} for {length(now, approval.claimed_until)}"
