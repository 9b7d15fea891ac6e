"""One call to one account: how often it is tried, and what is told when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    RPCError,
    RPCTimeoutOrCancelledError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCStatusCode

from domain import ProposalView
from workflows import _contract as contract
from workflows.client._errors import AccountError, EngineUnavailableError, UnknownAccountError

_Result = TypeVar("_Result", bound=BaseModel | list[ProposalView] | list[str])

_T = TypeVar("_T")

_FAILURES = (
    WorkflowUpdateFailedError,
    RPCTimeoutOrCancelledError,
    WorkflowQueryFailedError,
    RPCError,
)

PASSING = frozenset(
    {RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED, RPCStatusCode.RESOURCE_EXHAUSTED}
)
"""What a run says that is busy, or has just failed a task because messages came in as it continued as new."""

_FINAL = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
    }
)
"""What asking again changes nothing about; everything else may mean that the message has arrived."""

RETRY_SECONDS = 0.1

PATIENCE = timedelta(seconds=60)
"""How long a caller waits for a ruling or an answer's result before it is told to ask again."""

ATTEMPT = timedelta(seconds=5)
"""How long one attempt of an insistent call waits for the engine: a lost server is back under the same id."""


class Calls:
    """Calls account workflows."""

    def __init__(self, client: Client, task_queue: str) -> None:
        """Take a connected client, and the task queue by which accounts are listed."""
        self._client = client
        self._task_queue = task_queue

    def _handle(self, account_id: str) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(contract.workflow_id(account_id))

    async def _signal(self, account_id: str, name: str, argument: BaseModel) -> None:
        """Send a signal: durable when it returns."""
        try:
            await self._handle(account_id).signal(name, argument)
        except RPCError as error:
            raise explained(account_id, error) from error

    async def _update(
        self, account_id: str, name: str, argument: BaseModel, update_id: str, result: type[_Result]
    ) -> _Result:
        """Send an update, and repeat it only if it has not arrived for certain."""

        async def ask() -> _Result:
            answer: _Result = await self._handle(account_id).execute_update(
                name, argument, id=update_id, result_type=result, rpc_timeout=PATIENCE
            )
            return answer

        return await insisting(account_id, ask, PATIENCE)

    async def _insist(  # noqa: PLR0913 - an update, and how long to insist on it
        self,
        account_id: str,
        name: str,
        argument: BaseModel,
        update_id: str,
        result: type[_Result],
        *,
        patience: timedelta = PATIENCE,
    ) -> _Result:
        """Send an update under one id until its outcome is known, whatever happens to server and workers.

        The engine knows an update by its id within a run and the account across runs, so it counts once.

        Raises:
            EngineUnavailableError: its outcome is not known within `patience`.
        """
        attempt = min(ATTEMPT, patience)

        async def ask() -> _Result:
            answer: _Result = await self._handle(account_id).execute_update(
                name, argument, id=update_id, result_type=result, rpc_timeout=attempt
            )
            return answer

        return await insisting(account_id, ask, patience, _may_have_arrived)

    async def _query(
        self, account_id: str, name: str, result: type[_Result], argument: str | None = None
    ) -> _Result:
        arguments = [] if argument is None else [argument]

        async def ask() -> _Result:
            answer: _Result = await self._handle(account_id).query(
                name, args=arguments, result_type=result, rpc_timeout=PATIENCE
            )
            return answer

        return await insisting(account_id, ask, PATIENCE)

    async def _listed(self, query: str) -> list[str]:
        prefix = contract.workflow_id("")
        try:
            return [found.id.removeprefix(prefix) async for found in self._client.list_workflows(query)]
        except RPCError as error:
            raise unavailable(error) from error


def _has_not_arrived(error: BaseException) -> bool:
    return isinstance(error, RPCError) and error.status in PASSING


def _may_have_arrived(error: BaseException) -> bool:
    """Tell whether an update must be sent again because its outcome is not known."""
    if isinstance(error, WorkflowUpdateFailedError):
        cause = error.cause
        return isinstance(cause, ApplicationError) and cause.type == contract.UNRESOLVED
    if isinstance(error, RPCError):
        return error.status not in _FINAL
    return isinstance(error, RPCTimeoutOrCancelledError)


async def insisting(
    account_id: str,
    ask: Callable[[], Awaitable[_T]],
    patience: timedelta,
    again: Callable[[BaseException], bool] = _has_not_arrived,
) -> _T:
    """Repeat a call that met a busy run, or one on its way to the next; the same ids make that safe.

    Args:
        account_id: For the texts of errors.
        ask: Makes the call once.
        patience: How long it is repeated.
        again: Tells of a failure whether the call is repeated.

    Raises:
        AccountError: the account refused it, or the engine cannot be reached.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.total_seconds()
    while True:
        try:
            return await ask()
        except _FAILURES as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The client library tells of a cancelled caller as of a time-out.
                raise asyncio.CancelledError from error
            if not again(error):
                raise explained(account_id, error) from error
            if loop.time() > deadline:
                raise _given_up(account_id, error) from error
        await asyncio.sleep(RETRY_SECONDS)


def _given_up(account_id: str, error: BaseException) -> AccountError:
    if isinstance(error, WorkflowUpdateFailedError):
        return EngineUnavailableError("not confirmed yet; repeat it with the same id")
    return explained(account_id, error)


def unavailable(error: BaseException) -> EngineUnavailableError:
    """Return the error that says that nobody knows whether a message has arrived."""
    return EngineUnavailableError(f"the engine did not answer ({error}); try again with the same ids")


def explained(account_id: str, error: BaseException) -> AccountError:
    """Return what a failed call means to the person who made it."""
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return UnknownAccountError(account_id)
    if isinstance(error, (WorkflowUpdateRPCTimeoutOrCancelledError, RPCTimeoutOrCancelledError)):
        return unavailable(error)
    if isinstance(error, WorkflowUpdateFailedError) and isinstance(error.cause, ApplicationError):
        return AccountError(error.cause.message)
    if isinstance(error, WorkflowQueryFailedError):
        return AccountError(str(error))
    return unavailable(error)
