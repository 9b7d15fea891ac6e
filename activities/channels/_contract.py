"""The contract of a channel: how a touch reaches a provider at most once.

Claim the touch in the ledger, look for the last time whether it may go, hand over, settle the claim with the
receipt. Whatever dies in between leaves an open claim, and an open claim is never handed over again:
it becomes an `unknown` receipt that a person settles.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels._clearance import obstacle
from activities.channels._unsubscribe import UnsubscribeLinks
from domain import Recall, Recalled, Receipt, ReceiptStatus, Touch
from ledger import Claim, ClaimState, Ledger, LedgerError

LEDGER_UNAVAILABLE = "LedgerUnavailable"
"""Type of the retryable error that says: the ledger did not answer."""

HandOver = Callable[[Touch], Coroutine[Any, Any, Receipt]]
"""A channel's activity `hand_over`."""
TakeBack = Callable[[Recall], Coroutine[Any, Any, Recalled]]
"""A channel's activity `recall`."""

_log = structlog.get_logger("tutti.channels")

_BEAT_SECONDS = 5.0
_MAX_DETAIL = 1_000
_ADDRESS = re.compile(r"[^\s<>@\"',;:()]{1,128}@[^\s<>@\"',;:()]{1,255}")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class ChannelEnvironment:
    """What every channel is given."""

    ledger: Ledger
    unsubscribe: UnsubscribeLinks


@dataclass(frozen=True)
class ChannelActivities:
    """What a channel's worker serves."""

    hand_over: HandOver
    recall: TakeBack | None = None
    """None: what was handed over cannot be taken back."""
    at_once: int = 100
    """How many of them one worker carries out at the same time."""

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        """Go through the activities, as a worker registers them."""
        yield self.hand_over
        if self.recall is not None:
            yield self.recall


class NotClearedError(Exception):
    """Something speaks against the touch: nothing may be handed over.

    Attributes:
        receipt: What to report.
    """

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.detail)
        self.receipt = receipt


class RevokedError(Exception):
    """The activity was cancelled, or given up by the engine, before the hand-over."""


class Pulse:
    """Whether the engine can still believe that this attempt lives.

    A process that was stopped, or a machine that slept, goes on as if nothing had happened; meanwhile the
    attempt was given up, and a person may have been told that nothing was handed over.

    Args:
        allowed: How long the attempt may stay silent, in seconds; None: for ever.
        clock: Returns seconds that pass while the process is stopped, too.
    """

    def __init__(self, allowed: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._clock = clock
        self._last = clock()
        self._missed = False

    def beat(self) -> None:
        """Tell the engine that the attempt lives."""
        self._missed = self.lost
        self._last = self._clock()
        activity.heartbeat()

    @property
    def lost(self) -> bool:
        """Whether it was silent for longer than allowed, even if it has spoken since."""
        return self._missed or (self._allowed is not None and self._clock() - self._last > self._allowed)


class Crossing:
    """The line between "certainly nothing handed over" and "may have been handed over".

    A channel calls `enter` once, right before the bytes that make the provider act. Before that line a
    cancellation stops the work; behind it the work goes on until the provider has answered.
    """

    def __init__(self, ledger: Ledger, touch: Touch, pulse: Pulse) -> None:
        self._ledger = ledger
        self._touch = touch
        self._pulse = pulse
        self._task: asyncio.Task[Receipt] | None = None
        self.crossed = False
        self.revoked = False

    async def enter(self) -> None:
        """Look for the last time whether the touch may go, and step over the line.

        Raises:
            NotClearedError: See `preflight`.
            RevokedError: The activity was cancelled.
            LedgerError: The ledger did not answer.
        """
        await self.check()
        # No await from here on: nothing can come between the check and the line.
        self.crossed = True

    async def check(self) -> None:
        """Ask whether the touch may still go, without stepping over the line.

        Raises:
            NotClearedError: See `preflight`.
            RevokedError: The activity was cancelled.
            LedgerError: The ledger did not answer.
        """
        refusal = await preflight(self._ledger, self._touch)
        if refusal is not None:
            raise NotClearedError(refusal)
        # asyncio.wait_for of Python 3.11 may swallow a cancellation, so the flag is what counts.
        if self.revoked or self._pulse.lost:
            raise RevokedError

    async def run(self, work: Coroutine[Any, Any, Receipt]) -> Receipt:
        """Run the channel's part so that `revoke` can stop it on the near side of the line."""
        self._task = asyncio.create_task(work)
        return await self._task

    def revoke(self) -> None:
        """Stop the work, unless the line was crossed."""
        self.revoked = True
        if self._task is not None and not self.crossed:
            self._task.cancel()


class AtMostOnce:
    """Runs a channel's hand-over under the at-most-once protocol.

    Args:
        ledger: Keeper of claims, and of all that may speak against a touch.
        hand_over: The channel's part. It takes the touch and the crossing, calls `crossing.enter()` right
            before the provider gets the content, and returns a receipt for every answer it expects.
        reference: Returns the name under which the provider would know the touch, for a person who has to
            find out what became of it.
        settle_for: How long a receipt is offered to a ledger that does not answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        hand_over: Callable[[Touch, Crossing], Coroutine[Any, Any, Receipt]],
        *,
        reference: Callable[[Touch], str],
        settle_for: timedelta = timedelta(seconds=60),
    ) -> None:
        self._ledger = ledger
        self._hand_over = hand_over
        self._reference = reference
        self._settle_for = settle_for

    async def run(self, touch: Touch) -> Receipt:
        """Hand the touch over unless an earlier attempt may have done so.

        A cancellation before the hand-over releases the touch (`undelivered`). Behind it the answer is
        awaited and recorded, because giving up then would turn knowledge into doubt.

        Returns:
            What became of the touch; also after a cancellation.

        Raises:
            ApplicationError: Retryable; the ledger did not answer.
        """
        async with heartbeats() as pulse:
            crossing = Crossing(self._ledger, touch, pulse)
            task = asyncio.create_task(self._protocol(touch, crossing))
            while True:
                try:
                    return await asyncio.shield(task)
                except asyncio.CancelledError:
                    if task.cancelled():  # the event loop is closing
                        raise
                    crossing.revoke()

    async def _protocol(self, touch: Touch, crossing: Crossing) -> Receipt:
        log = bound_log(touch)
        claim = await self._claim(touch)
        if claim.state is ClaimState.SETTLED and claim.receipt is not None:
            log.info("channel.already_settled", status=claim.receipt.status.value)
            return claim.receipt
        if claim.state is not ClaimState.NEW:
            return await self._give_to_a_person(touch)
        receipt = await self._once(touch, crossing)
        log.info("channel.receipt", status=receipt.status.value, provider_ref=receipt.provider_ref)
        await self._settle(touch, receipt)
        return receipt

    async def _claim(self, touch: Touch) -> Claim:
        try:
            return await self._ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
        except LedgerError as error:
            raise ApplicationError(
                f"{error}; nothing was handed over, the claim is tried again", type=LEDGER_UNAVAILABLE
            ) from error

    async def _give_to_a_person(self, touch: Touch) -> Receipt:
        """Settle an open claim as unknown, unless the attempt that holds it reports meanwhile."""
        reference = self._reference(touch)
        doubt = receipt_for(
            touch,
            ReceiptStatus.UNKNOWN,
            "An earlier attempt claimed this touch and did not report back, so it may have reached the "
            f"provider. Look for {reference} at the provider and record what you find; it is not sent again.",
            provider_ref=reference,
        )
        await self._settle(touch, doubt)
        claim = await self._claim(touch)
        final = claim.receipt or doubt
        bound_log(touch).warning("channel.open_claim", status=final.status.value)
        return final

    async def _once(self, touch: Touch, crossing: Crossing) -> Receipt:
        """Hand over and turn everything that can happen into a receipt."""
        try:
            await crossing.check()
            return await crossing.run(self._hand_over(touch, crossing))
        except NotClearedError as refusal:
            return refusal.receipt
        except (RevokedError, asyncio.CancelledError):
            if crossing.crossed:  # the event loop is closing: the claim stays open and speaks for itself
                raise
            return receipt_for(
                touch, ReceiptStatus.UNDELIVERED, "Cancelled before the hand-over; nothing was sent."
            )
        except LedgerError as error:
            return receipt_for(
                touch, ReceiptStatus.UNDELIVERED, f"Nothing was sent: the last check got no answer. {error}"
            )
        except Exception as error:  # noqa: BLE001 - a claim must not stay open because of a programming error
            return self._unexpected(touch, crossing, error)

    def _unexpected(self, touch: Touch, crossing: Crossing, error: Exception) -> Receipt:
        # The message may quote the touch, hence the type and the place only.
        where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        kind = type(error).__name__
        bound_log(touch).error("channel.failed", error=kind, where=where, crossed=crossing.crossed)
        if crossing.crossed:
            reference = self._reference(touch)
            return receipt_for(
                touch,
                ReceiptStatus.UNKNOWN,
                f"The channel failed ({kind}) while handing over. Look for {reference} at the provider.",
                provider_ref=reference,
            )
        return receipt_for(
            touch, ReceiptStatus.UNDELIVERED, f"The channel failed ({kind}) before the hand-over."
        )

    async def _settle(self, touch: Touch, receipt: Receipt) -> None:
        """Offer the receipt to the ledger until it is taken or time is up.

        Raises:
            ApplicationError: Retryable; the retry finds the open claim and hands it to a person.
        """
        clock = asyncio.get_running_loop()
        deadline = clock.time() + self._settle_for.total_seconds()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._ledger.settle(receipt)
            except LedgerError as error:
                bound_log(touch).warning("channel.settle_failed", status=receipt.status.value)
                if clock.time() + pause >= deadline:
                    raise ApplicationError(
                        f"{error}; the receipt '{receipt.status.value}' could not be recorded",
                        type=LEDGER_UNAVAILABLE,
                    ) from error
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return


async def preflight(ledger: Ledger, touch: Touch) -> Receipt | None:
    """Ask for the last time whether a touch may be handed over, right before the provider is called.

    In this order: the suppression store, the kill switches, until when its ruling holds, whether another
    policy set came into force since, and whether the place that it took in all limits is still its own. All
    but the first leave it `undelivered`: it is ruled on again, under what counts then.

    Returns:
        None if it may; else the receipt that says why not.

    Raises:
        LedgerError: The ledger did not answer: then nothing may be handed over.
    """
    against = obstacle(touch, await ledger.preflight(touch), datetime.now(UTC))
    if against is None:
        return None
    bound_log(touch).info("channel.not_cleared", status=against.status.value)
    return receipt_for(touch, against.status, against.why)


def receipt_for(
    touch: Touch, status: ReceiptStatus, detail: str | None = None, *, provider_ref: str | None = None
) -> Receipt:
    """Make a receipt with the present moment.

    Args:
        touch: The touch it is for.
        status: What became of it.
        detail: A sentence for a person; may quote the provider and is cleaned and cut to length.
        provider_ref: The provider's own name for the touch.
    """
    return Receipt(
        touch_id=touch.touch_id,
        status=status,
        at=datetime.now(UTC),
        provider_ref=provider_ref,
        detail=None if detail is None else clean(detail),
    )


def clean(text: str, *, limit: int = _MAX_DETAIL) -> str:
    """Make foreign text safe to keep: one line, no control characters or broken Unicode, bounded."""
    whole = text.encode(errors="replace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in whole).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def without_addresses(text: str) -> str:
    """Take e-mail addresses out of what a provider said: receipts are kept, and hold no personal data."""
    return _ADDRESS.sub("(address)", text)


def bound_log(touch: Touch) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that names the touch and nobody."""
    log: structlog.typing.FilteringBoundLogger = _log.bind(
        account_id=touch.account_id,
        proposal_id=touch.proposal_id,
        touch_id=touch.touch_id,
        channel=touch.channel,
    )
    return log


@asynccontextmanager
async def heartbeats() -> AsyncIterator[Pulse]:
    """Heartbeat in the background: without it neither a lost worker nor a cancellation is noticed soon."""
    timeout = activity.info().heartbeat_timeout
    # Zero is how an activity without such a time-out says so.
    allowed = timeout.total_seconds() if timeout else None
    interval = _BEAT_SECONDS if allowed is None else min(_BEAT_SECONDS, allowed / 3)
    pulse = Pulse(allowed)

    async def beat() -> None:
        while True:
            pulse.beat()
            await asyncio.sleep(interval)

    task = asyncio.create_task(beat())
    try:
        yield pulse
    finally:
        task.cancel()
