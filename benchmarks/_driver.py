"""The driver of the hand-over measurement: one workflow that gives a channel many touches at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain import Receipt, ReceiptStatus, Touch


@workflow.defn(name="HandOverAll")
class HandOverAll:
    """Hands many touches to a channel at once and counts the accepted."""

    @workflow.run
    async def run(self, task_queue: str, touches: list[Touch]) -> int:
        """Return how many receipts said `accepted`."""
        receipts: list[Receipt] = await asyncio.gather(
            *(
                workflow.execute_activity(
                    "hand_over",
                    touch,
                    task_queue=task_queue,
                    result_type=Receipt,
                    start_to_close_timeout=timedelta(minutes=2),
                    heartbeat_timeout=timedelta(seconds=30),
                )
                for touch in touches
            )
        )
        return sum(receipt.status is ReceiptStatus.ACCEPTED for receipt in receipts)
