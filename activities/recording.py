"""The ledger activities: writing facts, and finding out what became of a touch."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from domain import FactBatch, Receipt, ReceiptStatus, Touch
from ledger import ClaimState, Ledger

IN_DOUBT = (
    "the channel's worker was lost after it had claimed the touch: look the touch up at the provider by its "
    "id and settle it by hand; it is never sent again by itself"
)


class Recording:
    """Writes what accounts did, and settles touches whose channel gave no receipt."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the open ledger."""
        self._ledger = ledger

    @activity.defn(name="project")
    async def project(self, batch: FactBatch) -> int:
        """Write facts; the same batch may come again. Returns how many were applied."""
        return await self._ledger.record(batch)

    @activity.defn(name="resolve_touch")
    async def resolve_touch(self, touch: Touch) -> Receipt:
        """Return what is known of a touch without a receipt, and make sure that nothing more happens to it.

        Taking the claim decides it: if it was still free, nobody has handed the touch over and, from now
        on, nobody can. If somebody holds it without a receipt, the touch is in doubt.
        """
        now = datetime.now(UTC)
        claim = await self._ledger.claim(touch.touch_id, channel=touch.channel, at=now)
        if claim.state is ClaimState.SETTLED and claim.receipt is not None:
            return claim.receipt
        if claim.state is ClaimState.NEW:
            receipt = Receipt(
                touch_id=touch.touch_id,
                status=ReceiptStatus.UNDELIVERED,
                at=now,
                detail=f"no worker of {touch.channel} took it; nothing was handed over",
            )
        else:
            receipt = Receipt(touch_id=touch.touch_id, status=ReceiptStatus.UNKNOWN, at=now, detail=IN_DOUBT)
        await self._ledger.settle(receipt)
        return receipt
