"""Clearance: what the last look before a hand-over means for the touch, and how a person reads it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from domain import ReceiptStatus, Touch
from ledger import Preflight

LONG_AFTER: Final = timedelta(seconds=60)
"""A ruling this long after a release knew of it, even if the clocks of the two do not agree."""
_AGAIN: Final = "it is ruled on again"


class Obstacle(NamedTuple):
    """What keeps a touch from being handed over."""

    status: ReceiptStatus
    why: str
    """A sentence for a person: the reason, and what happens next."""


def obstacle(touch: Touch, found: Preflight, now: datetime) -> Obstacle | None:
    """Return the first thing that speaks against handing a touch over; None if it may go.

    Args:
        touch: What would be handed over.
        found: What the ledger knows about it.
        now: The present moment, aware.
    """
    if found.suppressed:
        return Obstacle(ReceiptStatus.BLOCKED, "The person objected to being contacted.")
    why = _stopped(found) or _too_late(touch, now) or _overtaken(touch, found) or _without_place(found)
    return Obstacle(ReceiptStatus.UNDELIVERED, f"Not handed over: {why}.") if why is not None else None


def _stopped(found: Preflight) -> str | None:
    stop = found.stop
    if stop is None:
        return None
    return (
        f"{stop.placed_by} stopped {stop.subject} ({stop.reason}); {_AGAIN}, and waits until the stop "
        f"{stop.stop_id} is lifted"
    )


def _too_late(touch: Touch, now: datetime) -> str | None:
    if touch.good_until is None or now < touch.good_until:
        return None
    return f"its ruling held until {touch.good_until:%Y-%m-%d %H:%M:%S}Z only; {_AGAIN}"


def _overtaken(touch: Touch, found: Preflight) -> str | None:
    """Tell whether another policy set came into force since the ruling.

    A release that this version cannot compile never rules: the last good set goes on. So a set that still
    ruled long after the release is the one in force as far as anybody can tell.
    """
    release = found.release
    if release is None:
        return f"no policy set is in force; {_AGAIN}"
    if release.digest == touch.policy_digest:
        return None
    if found.held_since is not None and found.held_since > release.at + LONG_AFTER:
        return None
    return (
        f"{release.author} put another policy set in force since its ruling (release {release.number}, "
        f"{release.digest[:12]}); {_AGAIN}"
    )


def _without_place(found: Preflight) -> str | None:
    if found.held_since is not None:
        return None
    return f"the place that its ruling took in all limits was given back meanwhile; {_AGAIN}"
