"""What became of one attempt to tell somebody."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from ledger import NoticeStatus

OUTAGE_SECONDS: Final = 15.0
"""How long nobody knocks at a door again that was found shut."""


@dataclass(frozen=True)
class Delivery:
    """The end of one attempt."""

    status: NoticeStatus
    """`delivered`, `not_sent`, `in_doubt` or `refused`."""
    detail: str
    """Why, in a few words without addresses."""

    @property
    def hopeful(self) -> bool:
        """Whether a later attempt may succeed."""
        return self.status in {NoticeStatus.NOT_SENT, NoticeStatus.IN_DOUBT}


class Outage:
    """Remembers that the other side could not be reached.

    Without it, every notice of a bad hour would wait for the same dead server, and keep the worker from
    rulings meanwhile.
    """

    def __init__(self) -> None:
        self._why = ""
        self._until = 0.0

    def begin(self, why: str) -> None:
        """Note that it cannot be reached, and why."""
        self._why, self._until = why, time.monotonic() + OUTAGE_SECONDS

    @property
    def delivery(self) -> Delivery | None:
        """What becomes of messages now; None: try."""
        return Delivery(NoticeStatus.NOT_SENT, self._why) if time.monotonic() < self._until else None
