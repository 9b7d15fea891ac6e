"""The contract of a channel whose provider takes the same touch only once: it may be handed over again.

No claim is needed: what may or may not have arrived is sent once more under the same id. What stays is the
last question before the provider, that a cancellation counts on the near side of that question only, and that
an attempt which may have arrived is never told as one that has not: a touch that is not sent again after all
(it expired, it was revoked) goes to a person.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels._contract import (
    LEDGER_UNAVAILABLE,
    bound_log,
    heartbeats,
    preflight,
    receipt_for,
)
from domain import ChannelFault, Receipt, ReceiptStatus, Touch
from ledger import Ledger, LedgerError

_NOT_SENT = frozenset({ReceiptStatus.UNDELIVERED, ReceiptStatus.BLOCKED})


class _Attempts:
    """Which touches an attempt of this process may have brought to their provider."""

    def __init__(self, limit: int = 10_000) -> None:
        self._uncertain: OrderedDict[str, bool] = OrderedDict()
        self._limit = limit

    def may_have_arrived(self, touch: Touch, *, now: bool) -> bool:
        """Tell whether any attempt so far may have arrived.

        Args:
            touch: What was attempted.
            now: Whether the attempt that has just ended may have.
        """
        earlier = self._uncertain.pop(touch.touch_id, True)
        # What an attempt in another process came to, before this one took over, nobody here knows.
        uncertain = now or (earlier and activity.info().attempt > 1)
        self._uncertain[touch.touch_id] = uncertain
        while len(self._uncertain) > self._limit:
            self._uncertain.popitem(last=False)
        return uncertain


_ATTEMPTS = _Attempts()


class Line:
    """The line in front of the provider: a channel crosses it right before its request.

    Before the line a cancellation stops the work; behind it the provider's answer is awaited, because giving
    up then would turn knowledge into doubt.
    """

    def __init__(self, ledger: Ledger, touch: Touch) -> None:
        self._ledger = ledger
        self._touch = touch
        self.crossed = False
        self.revoked = False

    async def cross(self) -> Receipt | None:
        """Ask for the last time whether the touch may go, and step over the line if it may.

        Returns:
            None if the request may be made; else the receipt that says why not.

        Raises:
            ApplicationError: Retryable; the ledger did not answer, so nothing may go.
        """
        try:
            held = await preflight(self._ledger, self._touch)
        except LedgerError as error:
            raise ApplicationError(
                f"{error}; nothing was handed over, the check is made again", type=LEDGER_UNAVAILABLE
            ) from error
        # No await from here on: nothing can come between the question and the line.
        if held is None and self.revoked:
            held = self.cancelled()
        self.crossed = held is None
        return held

    def cancelled(self) -> Receipt:
        """Return the receipt of a touch that was revoked before the line."""
        return receipt_for(
            self._touch, ReceiptStatus.UNDELIVERED, "Cancelled before the hand-over; nothing was sent."
        )


async def hand_over_again(
    ledger: Ledger, touch: Touch, attempt: Callable[[Touch, Line], Coroutine[Any, Any, Receipt]]
) -> Receipt:
    """Run a channel's part with heartbeats, and let a cancellation stop it on the near side of the line.

    Args:
        ledger: Asked for the last time before the request.
        touch: What to hand over.
        attempt: The channel's part. It calls `line.cross()` right before the provider gets the touch, returns
            what that says if it says anything, and else a receipt for every answer it expects.

    Returns:
        What became of the touch; also after a cancellation.

    Raises:
        ApplicationError: Retryable; ledger or provider cannot answer now.
    """
    try:
        receipt = await _attempted(ledger, touch, attempt)
    except ApplicationError as error:
        if not _ATTEMPTS.may_have_arrived(touch, now=error.type == ChannelFault.IN_DOUBT.value):
            raise
        raise ApplicationError(
            error.message, type=ChannelFault.IN_DOUBT.value, next_retry_delay=error.next_retry_delay
        ) from error
    if receipt.status not in _NOT_SENT or not _ATTEMPTS.may_have_arrived(touch, now=False):
        return receipt
    return receipt.model_copy(update={"status": ReceiptStatus.UNKNOWN})


async def _attempted(
    ledger: Ledger, touch: Touch, attempt: Callable[[Touch, Line], Coroutine[Any, Any, Receipt]]
) -> Receipt:
    line = Line(ledger, touch)
    async with heartbeats():
        task = asyncio.create_task(attempt(touch, line))
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    if line.crossed or not line.revoked:  # the event loop is closing
                        raise
                    bound_log(touch).info("channel.cancelled")
                    return line.cancelled()
                line.revoked = True
                if not line.crossed:
                    task.cancel()
