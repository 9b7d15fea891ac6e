"""One call of a channel's activity, the way an account makes it: for the check of a running worker."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field
from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOutError

with workflow.unsafe.imports_passed_through():
    from domain import HAND_OVER_ATTEMPTS, Frozen, ShortText

_PAUSE: Final = timedelta(milliseconds=100)
"""Between attempts: an account waits longer, and who runs a check does not want to."""


class ReplyKind(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    """The worker returned something."""
    UNREADABLE = "unreadable"
    """It returned something that is no JSON."""
    FAILED = "failed"
    """It raised an error, in every attempt."""
    CANCELLED = "cancelled"
    """It ended as cancelled, after it was asked to."""
    SILENT = "silent"
    """It took the call and neither answered in time nor kept its heartbeat."""
    NOT_TAKEN = "not_taken"
    """No worker took the call from the queue in time."""


class ChannelCall(Frozen):
    """What to call, with what, and how long to wait."""

    activity: ShortText
    task_queue: ShortText
    argument: Any = None
    """The only argument; anything that can be written as JSON, also what no channel should take."""
    schedule_to_start_seconds: Annotated[float, Field(gt=0.0)]
    start_to_close_seconds: Annotated[float, Field(gt=0.0)]
    heartbeat_seconds: Annotated[float, Field(gt=0.0)]
    attempts: Annotated[int, Field(ge=1, le=HAND_OVER_ATTEMPTS)] = 1
    cancel_after_seconds: Annotated[float, Field(ge=0.0)] | None = None
    """When to ask the worker to stop; None: never."""


class ChannelReply(Frozen):
    """How the call ended."""

    kind: ReplyKind
    value: Any = None
    """What was returned."""
    error_type: str | None = None
    message: str = ""
    """What the error said."""


@workflow.defn(name="ChannelConformance")
class ChannelCallWorkflow:
    """Calls a channel's activity once, and tells how that ended."""

    @workflow.run
    async def run(self, call: ChannelCall) -> ChannelReply:
        """Make the call.

        Args:
            call: What to call.

        Returns:
            How it ended; a call that fails does not fail the workflow.
        """
        running = workflow.start_activity(
            call.activity,
            call.argument,
            task_queue=call.task_queue,
            schedule_to_start_timeout=timedelta(seconds=call.schedule_to_start_seconds),
            start_to_close_timeout=timedelta(seconds=call.start_to_close_seconds),
            heartbeat_timeout=timedelta(seconds=call.heartbeat_seconds),
            retry_policy=RetryPolicy(
                initial_interval=_PAUSE, backoff_coefficient=1.0, maximum_attempts=call.attempts
            ),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        if call.cancel_after_seconds is not None:
            await workflow.sleep(call.cancel_after_seconds)
            running.cancel()
        try:
            value: object = await running
        except ActivityError as error:
            return _ending_of(error.cause)
        if isinstance(value, RawValue):
            encoding = value.payload.metadata.get("encoding", b"none").decode(errors="replace")
            return ChannelReply(kind=ReplyKind.UNREADABLE, message=f"encoding {encoding}")
        return ChannelReply(kind=ReplyKind.ANSWERED, value=value)


def _ending_of(cause: BaseException | None) -> ChannelReply:
    match cause:
        case CancelledError():
            return ChannelReply(kind=ReplyKind.CANCELLED)
        case TimedOutError(type=TimeoutType.SCHEDULE_TO_START):
            return ChannelReply(kind=ReplyKind.NOT_TAKEN)
        case TimedOutError():
            what = cause.type.name.lower() if cause.type is not None else "time-out"
            return ChannelReply(kind=ReplyKind.SILENT, error_type=what, message=str(cause))
        case ApplicationError():
            return ChannelReply(kind=ReplyKind.FAILED, error_type=cause.type, message=cause.message)
        case _:
            return ChannelReply(kind=ReplyKind.FAILED, message=str(cause))
