"""Gathers what comes within a short time into one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass
class _Batch(Generic[ItemT, ResultT]):
    items: list[tuple[ItemT, asyncio.Future[ResultT]]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Batches(Generic[ItemT, ResultT]):
    """Batches by key: the first item opens one, time or size closes it, one call sends it.

    Args:
        send: Takes the key and the items whose callers still wait; returns one result or one error for each,
            in their order. An error that it raises is everybody's.
        window: How long the first item of a batch waits for others.
        limit: How many items one batch takes.
    """

    def __init__(
        self,
        send: Callable[[str, Sequence[ItemT]], Awaitable[Sequence[ResultT | Exception]]],
        *,
        window: timedelta,
        limit: int,
    ) -> None:
        self._send = send
        self._window = window.total_seconds()
        self._limit = limit
        self._open: dict[str, _Batch[ItemT, ResultT]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def put(self, key: str, item: ItemT) -> ResultT:
        """Add an item and wait for its own result; a caller that is cancelled before the send is left out."""
        loop = asyncio.get_running_loop()
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch()
            batch.timer = loop.call_later(self._window, self._close, key)
        result: asyncio.Future[ResultT] = loop.create_future()
        batch.items.append((item, result))
        if len(batch.items) >= self._limit:
            self._close(key)
        return await result

    def _close(self, key: str) -> None:
        batch = self._open.pop(key)
        if batch.timer is not None:
            batch.timer.cancel()
        task = asyncio.create_task(self._deliver(key, batch))
        self._sending.add(task)  # else nothing would hold it while it runs
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, key: str, batch: _Batch[ItemT, ResultT]) -> None:
        waiting = [(item, result) for item, result in batch.items if not result.done()]
        if not waiting:
            return
        results: Sequence[ResultT | Exception]
        try:
            results = await self._send(key, [item for item, _ in waiting])
        except Exception as error:  # noqa: BLE001 - each caller raises it in its own activity
            results = [error] * len(waiting)
        except asyncio.CancelledError:  # the event loop is closing
            for _, result in waiting:
                result.cancel()
            raise
        for (_, result), found in zip(waiting, results, strict=True):
            if result.done():
                continue
            if isinstance(found, Exception):
                result.set_exception(found)
            else:
                result.set_result(found)
