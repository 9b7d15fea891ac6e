"""What became of one attempt to tell somebody."""

from __future__ import annotations

from dataclasses import dataclass

from ledger import NoticeStatus


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
