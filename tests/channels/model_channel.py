"""A channel that keeps the contract, and can be told to break it in one way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.channels import preflight, receipt_for
from domain import ChannelFault, Recall, RecallStatus, ReceiptStatus, Touch
from ledger import ClaimState, Ledger


class Defect(StrEnum):
    """One way to break the contract."""

    NONE = "none"
    RAISES = "raises"
    SILENT = "silent"
    NO_RECEIPT = "no_receipt"
    UNKNOWN_WORD = "unknown_word"
    OTHER_TOUCH = "other_touch"
    WRONG_CLOCK = "wrong_clock"
    FORGETFUL = "forgetful"
    UNCLAIMED = "unclaimed"
    UNSETTLED = "unsettled"
    SENDS_AGAIN = "sends_again"
    STRICT = "strict"
    NEEDS_SOMEBODY = "needs_somebody"
    SENDS_TO_NOBODY = "sends_to_nobody"
    TAKES_ANYTHING = "takes_anything"
    HANGS_ON_MALFORMED = "hangs_on_malformed"
    CHOKES_ON_NUL = "chokes_on_nul"
    CHOKES_ON_LENGTH = "chokes_on_length"
    NO_PREFLIGHT = "no_preflight"
    DEAF = "deaf"
    MIXES_UP = "mixes_up"
    KEEPS = "keeps"
    RECALLS_ONCE = "recalls_once"
    RECALLS_ANYTHING = "recalls_anything"


class ModelChannel:
    """Hands over to nobody but remembers it; the provider's reference is the touch id."""

    def __init__(self, ledger: Ledger, defect: Defect, *, at_most_once: bool) -> None:
        self._ledger = ledger
        self._defect = defect
        self._at_most_once = at_most_once
        self._latest = ""
        self._count = 0
        self._there: dict[str, bool] = {}
        self.over = asyncio.Event()

    async def hand_over(self, raw: Any) -> Any:  # noqa: ANN401 - what travels
        if self._defect is Defect.TAKES_ANYTHING:
            return {"touch_id": "any", "status": "accepted", "at": datetime.now(UTC).isoformat()}
        touch = await self._read(raw)
        await self._stumble(touch)
        if touch.recipient is None and self._defect is not Defect.SENDS_TO_NOBODY:
            assert self._defect is not Defect.NEEDS_SOMEBODY
            return self._written(touch, ReceiptStatus.REJECTED)
        if self._defect is not Defect.NO_PREFLIGHT:
            refusal = await preflight(self._ledger, touch)
            if refusal is not None:
                return refusal.model_dump(mode="json")
        if self._at_most_once and self._defect is not Defect.UNCLAIMED:
            claim = await self._ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
            if claim.receipt is not None and self._defect is not Defect.FORGETFUL:
                return claim.receipt.model_dump(mode="json")
            if claim.state is ClaimState.OPEN and self._defect is not Defect.SENDS_AGAIN:
                return self._written(touch, ReceiptStatus.UNKNOWN)
        return await self._send(touch)

    async def recall(self, recall: Recall) -> dict[str, Any]:
        known = self._there.get(recall.touch_id)
        status = {None: RecallStatus.GONE, False: RecallStatus.GONE, True: RecallStatus.RECALLED}[known]
        if self._defect is Defect.KEEPS or (self._defect is Defect.RECALLS_ONCE and known is False):
            status = RecallStatus.FAILED
        elif self._defect is Defect.RECALLS_ANYTHING:
            status = RecallStatus.RECALLED
        if known:
            self._there[recall.touch_id] = False
        return {"touch_id": recall.touch_id, "status": status.value, "at": datetime.now(UTC).isoformat()}

    async def _read(self, raw: Any) -> Touch:  # noqa: ANN401 - what travels
        try:
            touch = Touch.model_validate(raw)
        except ValidationError as error:
            if self._defect is Defect.HANGS_ON_MALFORMED:
                await self.over.wait()
            raise ApplicationError(
                f"no touch: {error.error_count()} fields",
                type=ChannelFault.PERMANENT.value,
                non_retryable=True,
            ) from error
        if self._defect is Defect.STRICT and set(raw) - set(Touch.model_fields):
            raise ApplicationError("unknown field", non_retryable=True)
        return touch

    async def _stumble(self, touch: Touch) -> None:
        match self._defect:
            case Defect.RAISES:
                raise RuntimeError("out of order")
            case Defect.SILENT:
                await self.over.wait()
            case Defect.CHOKES_ON_NUL:
                assert "\x00" not in touch.text
            case Defect.CHOKES_ON_LENGTH:
                assert len(touch.text) < 10_000
            case Defect.DEAF:
                await self._ignore_cancellation()
            case _:
                pass

    async def _ignore_cancellation(self) -> None:
        while not self.over.is_set():
            activity.heartbeat()
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(self.over.wait(), 0.05)

    async def _send(self, touch: Touch) -> Any:  # noqa: ANN401 - what travels
        self._there[touch.touch_id] = True
        self._latest = touch.touch_id
        self._count += 1
        await asyncio.sleep(0.02)  # lets others in between, as a provider's answer would
        written = self._written(touch, ReceiptStatus.ACCEPTED)
        match self._defect:
            case Defect.NO_RECEIPT:
                return "ok"
            case Defect.UNKNOWN_WORD:
                return written | {"status": "sent"}
            case Defect.OTHER_TOUCH:
                return written | {"touch_id": "another"}
            case Defect.WRONG_CLOCK:
                return written | {"at": (datetime.now(UTC) - timedelta(hours=2)).isoformat()}
            case Defect.MIXES_UP:
                return written | {"provider_ref": self._latest}
            case Defect.FORGETFUL:
                return written | {"provider_ref": f"send-{self._count}"}
        if self._at_most_once and self._defect not in {Defect.UNCLAIMED, Defect.UNSETTLED}:
            await self._ledger.settle(receipt_for(touch, ReceiptStatus.ACCEPTED, provider_ref=touch.touch_id))
        return written

    @staticmethod
    def _written(touch: Touch, status: ReceiptStatus) -> dict[str, Any]:
        return receipt_for(touch, status, provider_ref=touch.touch_id).model_dump(mode="json")


@asynccontextmanager
async def model_worker(
    client: Client, queue: str, ledger: Ledger, defect: Defect = Defect.NONE, *, at_most_once: bool
) -> AsyncIterator[ModelChannel]:
    """Run a worker of the channel on a queue."""
    channel = ModelChannel(ledger, defect, at_most_once=at_most_once)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Any) -> Any:  # noqa: ANN401 - what travels
        return await channel.hand_over(touch)

    @activity.defn(name="recall")
    async def recall(request: Recall) -> Any:  # noqa: ANN401 - what travels
        return await channel.recall(request)

    async with Worker(client, task_queue=queue, activities=[hand_over, recall]):
        try:
            yield channel
        finally:
            channel.over.set()
