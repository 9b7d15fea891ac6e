"""Gathers the observations of every account while the tables are read."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from domain import PastTouch, Signal, SignalKind
from gateway.imports._people import Person, ours
from gateway.imports._tally import RowSkippedError, SkipReason
from gateway.imports._words import one_line

SOURCE = "hubspot"

_ACTIONS = {"email": "send_email", "call": "call"}


class Collector:
    """Signals and past touches by company; the second of two with one id is dropped."""

    def __init__(self) -> None:
        self._found: defaultdict[str, dict[str, Signal | PastTouch]] = defaultdict(dict)

    def signal(  # noqa: PLR0913 - a signal has this many parts
        self,
        company_id: str,
        signal_id: str,
        kind: SignalKind,
        at: datetime,
        *,
        contact: Person | None = None,
        facts: dict[str, str] | None = None,
        summary: str = "",
    ) -> bool:
        """Keep a signal; return whether it is new."""
        if signal_id in self._found[company_id]:
            return False
        self._found[company_id][signal_id] = Signal(
            signal_id=signal_id,
            source=SOURCE,
            kind=kind,
            observed_at=at,
            contact_id=contact.contact_id if contact else None,
            facts=facts or {},
            summary=one_line(summary) or None,
        )
        return True

    def past_touch(
        self, company_id: str, touch_id: str, channel: str, at: datetime, *, contact: Person | None
    ) -> bool:
        """Keep a touch that HubSpot or a person made; return whether it is new."""
        if touch_id in self._found[company_id]:
            return False
        self._found[company_id][touch_id] = PastTouch(
            touch_id=touch_id,
            source=SOURCE,
            channel=channel,
            action=_ACTIONS.get(channel, "send_message"),
            at=at,
            contact_id=contact.contact_id if contact else None,
        )
        return True

    def of(self, company_id: str) -> tuple[Signal | PastTouch, ...]:
        """Return what was found on a company, in order of time."""
        found = self._found.get(company_id, {})
        return tuple(found[key] for key in sorted(found, key=lambda key: (_moment(found[key]), key)))


def _moment(item: Signal | PastTouch) -> datetime:
    return item.observed_at if isinstance(item, Signal) else item.at


def require_new(*kept: bool) -> None:
    """Raise `RowSkippedError` if none of the observations of a row was new."""
    if not any(kept):
        raise RowSkippedError(SkipReason.DUPLICATE)


def touch_id_of_send(event_id: str) -> str:
    """Return the touch id of a SENT e-mail event."""
    return f"{ours('email')}-{event_id}"
