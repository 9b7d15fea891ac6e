"""The engine's side of the check: calls to a running worker, and who polls its queue."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, RPCError
from temporalio.worker import Worker

from domain import Handover
from tutti.terminal import CommandError
from workflows import ChannelCall, ChannelCallWorkflow, ChannelReply

LONGEST_WAIT_FOR_A_WORKER: Final = 30.0
"""Seconds a call waits in the queue at most: it is known that somebody polls."""
FRESH: Final = timedelta(seconds=90)
"""A worker polls at least once a minute; the server remembers pollers for five."""


class QueueState(NamedTuple):
    """Who works on a queue of activities, and what waits there."""

    pollers: tuple[str, ...]
    """Identities of the workers that polled lately."""
    backlog: int
    """About how many calls wait."""
    oldest_seconds: float
    """About how long the first of them has waited."""


async def look_at_queue(client: Client, task_queue: str) -> QueueState:
    """Ask the engine who polls a queue.

    Raises:
        CommandError: The engine does not answer.
    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError as error:
        raise CommandError(f"the engine cannot describe the queue {task_queue}: {error.message}") from None
    oldest = datetime.now(UTC) - FRESH
    return QueueState(
        pollers=tuple(
            sorted(
                poller.identity
                for poller in answer.pollers
                if poller.last_access_time.ToDatetime(tzinfo=UTC) >= oldest
            )
        ),
        backlog=answer.stats.approximate_backlog_count,
        oldest_seconds=answer.stats.approximate_backlog_age.ToTimedelta().total_seconds(),
    )


class Caller:
    """Calls the activities of a channel's worker through a workflow, as an account does."""

    def __init__(self, client: Client, handover: Handover, run: str) -> None:
        self._client = client
        self._handover = handover
        self._run = run
        self._numbers = itertools.count(1)

    @property
    def queue(self) -> str:
        """Queue of the check's own workflows."""
        return f"conformance-{self._run}"

    async def call(
        self,
        activity: str,
        argument: Any,  # noqa: ANN401 - the check also sends what no channel should take
        *,
        attempts: int = 1,
        cancel_after: timedelta | None = None,
        within: timedelta | None = None,
    ) -> ChannelReply:
        """Call an activity.

        Args:
            activity: `hand_over` or `recall`.
            argument: Its argument, as JSON.
            attempts: How often an error is tried again, all in all.
            cancel_after: When to cancel it.
            within: How long it may take, if not as long as the policy set says.

        Returns:
            How it ended.
        """
        handover = self._handover
        longest = within.total_seconds() if within is not None else handover.start_to_close_seconds
        call = ChannelCall(
            activity=activity,
            task_queue=handover.task_queue,
            argument=argument,
            schedule_to_start_seconds=min(handover.schedule_to_start_seconds, LONGEST_WAIT_FOR_A_WORKER),
            start_to_close_seconds=longest,
            heartbeat_seconds=min(handover.heartbeat_seconds, longest),
            attempts=attempts,
            cancel_after_seconds=None if cancel_after is None else cancel_after.total_seconds(),
        )
        return await self._client.execute_workflow(
            ChannelCallWorkflow.run,
            call,
            id=f"conformance/{self._run}/{next(self._numbers)}",
            task_queue=self.queue,
            static_summary=f"{activity} on {handover.task_queue}",
        )


@asynccontextmanager
async def calling(client: Client, handover: Handover, run: str) -> AsyncIterator[Caller]:
    """Run the workflows of the check in this process for as long as the block lasts."""
    caller = Caller(client, handover, run)
    async with Worker(client, task_queue=caller.queue, workflows=[ChannelCallWorkflow]):
        yield caller
