"""Limits in time: rules that say `not now`, and the moment at which all of them say `now`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, Self, TypeVar

from domain import ReasonCode, RuleHit, TouchRecord, Verdict
from governance._case import FAR, Origin

T = TypeVar("T")


class Limit(Protocol):
    """A rule that makes a proposal wait."""

    @property
    def lifts(self) -> bool:
        """Whether it may end early (a hold is released), so that it never drops a proposal by itself."""

    @property
    def log_only(self) -> bool:
        """Whether its rule is only tried out."""

    def earliest(self, moment: datetime) -> datetime:
        """Return the first moment, not before the given one, at which the rule lets the proposal pass.

        It must not decrease when the moment increases, and a moment it returns must satisfy itself.
        """

    def begins(self, moment: datetime, until: datetime) -> datetime | None:
        """Return the first moment, after one at which the proposal passes, at which the rule speaks again.

        None if that does not come before `until`.
        """

    def hit(self, until: datetime) -> RuleHit:
        """Return what the rule says while it makes the proposal wait."""


@dataclass(frozen=True, slots=True)
class NotBefore:
    """A limit that ends at a known moment.

    Attributes:
        origin: Whose limit it is.
        reason: Its reason code.
        moment: When it ends.
        lifts: Whether it may end early.
    """

    origin: Origin
    reason: ReasonCode
    moment: datetime
    lifts: bool = False

    @property
    def log_only(self) -> bool:
        """Whether its rule is only tried out."""
        return self.origin.log_only

    def earliest(self, moment: datetime) -> datetime:
        """Return the later of the two moments."""
        return max(self.moment, moment)

    def begins(self, moment: datetime, until: datetime) -> datetime | None:  # noqa: ARG002 - see `Limit`
        """Return None: what has ended does not begin again."""
        return None

    def hit(self, until: datetime) -> RuleHit:
        """Return a deferral until the limit ends."""
        return self.origin.hit(Verdict.DEFER, self.reason, until=until)


def waiting(origin: Origin, reason: ReasonCode, moment: datetime | None, now: datetime) -> NotBefore | None:
    """Return the limit that ends at a moment; None if there is none, or if it has come already."""
    return None if moment is None or moment <= now else NotBefore(origin, reason, moment)


class Timeline(tuple[TouchRecord, ...]):  # noqa: SLOT001 -- a tuple that remembers cannot have slots
    """Touches that many candidates are judged by; what one of them had worked out, the others need not.

    Attributes:
        known: What is known of the touches, by who asked: the id of a rule, and what else it went by.
    """

    known: dict[Hashable, Any]

    def __new__(cls, touches: Iterable[TouchRecord]) -> Self:
        """Take touches in the order in which they are given."""
        timeline = super().__new__(cls, touches)
        timeline.known = {}
        return timeline


def once(touches: Sequence[TouchRecord], key: Hashable, work: Callable[[], T]) -> T:
    """Return what some work over touches results in; the same touches are gone through once for each key."""
    if not isinstance(touches, Timeline):
        return work()
    if key not in touches.known:
        touches.known[key] = work()
    found: T = touches.known[key]
    return found


def touches_of(touches: Sequence[TouchRecord], contact_id: str | None) -> Sequence[TouchRecord]:
    """Return the touches of one person, in the given order; with None those that addressed nobody."""
    return once(touches, "by contact", lambda: _by_contact(touches)).get(contact_id, ())


def _by_contact(touches: Sequence[TouchRecord]) -> dict[str | None, list[TouchRecord]]:
    found: dict[str | None, list[TouchRecord]] = {}
    for touch in touches:
        found.setdefault(touch.contact_id, []).append(touch)
    return found


def settle(limits: Sequence[Limit], now: datetime, horizon: datetime) -> datetime:
    """Return the earliest moment at which no limit holds any more; the horizon if there is none before it.

    One limit's end can lie in another's time (a cap ends at night), so this goes round until all agree.
    """
    moment = now
    while moment < horizon:
        later = max((limit.earliest(moment) for limit in limits), default=moment)
        if later == moment:
            return moment
        moment = later
    return horizon


def room_at(touches: Iterable[TouchRecord], limit: int, window: timedelta) -> datetime | None:
    """Return when a rolling window has room for one more touch; None if it had room all along.

    A touch leaves the window exactly one window after it was made.
    """
    moments = [touch.at for touch in touches]
    if len(moments) < limit:
        return None
    moments.sort(reverse=True)
    return min(moments[limit - 1] + window, FAR)
