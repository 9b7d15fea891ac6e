"""News for many accounts at once: another policy set is in force, a kill switch was lifted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio.client import RPCError
from temporalio.service import RPCStatusCode

from domain import PolicyPublished, Stop, StopsChanged, StopScope
from workflows import _contract as contract
from workflows.client._calls import PASSING, Calls, unavailable

_News = PolicyPublished | StopsChanged
"""What many accounts are told at once."""

ANNOUNCED_AT_ONCE = 50
"""Accounts told of a publication at the same time."""
ANNOUNCE_AGAIN = timedelta(seconds=3)
"""When accounts are looked for once more: some were being ruled on under the old set when it was replaced.

A ruling is back within this time as a rule, and visibility knows of it."""


class Announcements(Calls):
    """Calls that tell every account that waits for something what has changed for it."""

    async def announce_policies(self, digest: str, progress: Callable[[int], None] | None = None) -> int:
        """Tell the accounts that wait for something that another policy set is in force.

        They have it judged again at once what an earlier set made wait; all others meet the new set at their
        next ruling anyway. Announcing again does no harm. Takes a little longer than `ANNOUNCE_AGAIN`.

        Args:
            digest: Of the policy set that was published.
            progress: Told, now and then, how many accounts know by now.

        Returns:
            How many accounts were told.

        Raises:
            EngineUnavailableError: the engine cannot be reached; some accounts may have been told.
        """
        news = PolicyPublished(digest=digest)
        return await self._announce(
            contract.waiting_under_other_policies(self._task_queue, digest), news, progress
        )

    async def announce_stops(self, stop: Stop, progress: Callable[[int], None] | None = None) -> int:
        """Tell the accounts that wait for something that a kill switch was lifted.

        They have what waited because of it judged again at once; nobody else does anything. Announcing again
        does no harm. Takes a little longer than `ANNOUNCE_AGAIN`, but for a stop of one account.

        Args:
            stop: What was lifted.
            progress: Told, now and then, how many accounts know by now.

        Returns:
            How many accounts were told.

        Raises:
            EngineUnavailableError: the engine cannot be reached; some accounts may have been told.
        """
        news = StopsChanged(stop_id=stop.stop_id)
        if stop.scope is not StopScope.ACCOUNT or stop.name is None:
            return await self._announce(contract.waiting_for_their_time(self._task_queue), news, progress)
        try:
            return int(await self._signal_if_running(contract.workflow_id(stop.name), news))
        except RPCError as error:
            raise unavailable(error) from error

    async def _announce(self, query: str, news: _News, progress: Callable[[int], None] | None) -> int:
        """Tell whoever a visibility query finds, and after `ANNOUNCE_AGAIN` whoever it finds then."""
        told: set[str] = set()
        try:
            await self._announce_once(query, news, told, progress)
            await asyncio.sleep(ANNOUNCE_AGAIN.total_seconds())
            await self._announce_once(query, news, told, progress)
        except RPCError as error:
            raise unavailable(error) from error
        return len(told)

    async def _announce_once(
        self, query: str, news: _News, told: set[str], progress: Callable[[int], None] | None
    ) -> None:
        batch: list[str] = []
        async for execution in self._client.list_workflows(query):
            if execution.id in told:
                continue
            batch.append(execution.id)
            if len(batch) == ANNOUNCED_AT_ONCE:
                await self._tell(batch, news, told, progress)
        await self._tell(batch, news, told, progress)

    async def _tell(
        self, batch: list[str], news: _News, told: set[str], progress: Callable[[int], None] | None
    ) -> None:
        arrived = await asyncio.gather(*(self._signal_if_running(each, news) for each in batch))
        told.update(each for each, there in zip(batch, arrived, strict=True) if there)
        batch.clear()
        if progress is not None:
            progress(len(told))

    async def _signal_if_running(self, workflow_id: str, news: _News) -> bool:
        name = contract.POLICY_PUBLISHED if isinstance(news, PolicyPublished) else contract.STOPS_CHANGED
        try:
            await self._client.get_workflow_handle(workflow_id).signal(name, news)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND and error.status not in PASSING:
                raise
            return False  # it has just closed, or is too busy now: those are asked once more, and rule anew
        return True
