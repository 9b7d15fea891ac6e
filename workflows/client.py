"""The client's side of the account workflow: the one door through which everything comes in."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    RPCError,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCStatusCode

from domain import (
    AccountStatus,
    AnswerResult,
    ApprovalAnswer,
    Hold,
    Observation,
    Outcome,
    PlayCancelled,
    PlayMigrated,
    PlayResumed,
    PolicyPublished,
    Proposal,
    ProposalView,
    RecallAsked,
    Stop,
    StopsChanged,
    StopScope,
    TouchSettled,
)
from workflows import _contract as contract
from workflows._plugin import tutti_plugin
from workflows.account import AccountWorkflow, HoldRelease, PlayStart

_Result = TypeVar("_Result", bound=BaseModel | list[ProposalView] | list[str])

_News = PolicyPublished | StopsChanged
"""What many accounts are told at once."""

_FAILURES = (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowQueryFailedError,
    RPCError,
)

_PASSING = {RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED, RPCStatusCode.RESOURCE_EXHAUSTED}
"""What a run says that is busy, or has just failed a task because messages came in as it continued as new."""

OPERATOR_NOTES = """One target account, and the only place that decides about touching it.

- **Current details** say where it stands and what happens next.
- **Queries**: `status`, `timeline`, and `why` for every rule that fired.
- **Updates**: `place_hold` and `release_hold` freeze and free it; `answer_approval` answers a question;
  `start_play`, `cancel_play` and `resume_play` steer plays; `settle_touch` ends a doubt, `recall_touch` takes
  a touch back.
"""
"""What an operator reads beside the account in the Temporal UI."""

RETRY_SECONDS = 0.1
DEFAULT_ADDRESS = "127.0.0.1:7233"

ANNOUNCED_AT_ONCE = 50
"""Accounts told of a publication at the same time."""
ANNOUNCE_AGAIN = timedelta(seconds=3)
"""When accounts are looked for once more: some were being ruled on under the old set when it was replaced.

A ruling is back within this time as a rule, and visibility knows of it."""

PATIENCE = timedelta(seconds=60)
"""How long a caller waits for a ruling before it is told to ask again."""


class AccountError(Exception):
    """A request that an account did not accept; the text is for the person who asked."""


class UnknownAccountError(AccountError):
    """There is no workflow for this account."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"there is no account {account_id!r}; check the id, or import the account first")


class EngineUnavailableError(AccountError):
    """The engine did not answer: it is not known whether the message arrived. Repeat it with the same ids."""


async def connect() -> Client:
    """Connect to Temporal as the environment says (`TEMPORAL_ADDRESS` and its kin), the way Tutti speaks.

    Raises:
        EngineUnavailableError: nothing answers there.
    """
    config = ClientConfig.load_client_connect_config()
    address = config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(**config, plugins=[tutti_plugin()])
    except RuntimeError as error:
        msg = f"no Temporal server answers at {address}; start one with `tutti up`, or set TEMPORAL_ADDRESS"
        raise EngineUnavailableError(msg) from error


class AccountClient:
    """Talks to account workflows. Every call may be repeated with the same ids."""

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str = contract.TASK_QUEUE,
        decision_window: timedelta | None = None,
        continue_after_events: int = contract.CONTINUE_AFTER_EVENTS,
    ) -> None:
        """Take a connected client and what accounts that do not exist yet are started with.

        Args:
            client: See `connect`.
            task_queue: The orchestrator's.
            decision_window: First decision window of a new account, 3 s if left out; from then on the
                policy set in force says it.
            continue_after_events: History length at which runs continue as new.
        """
        self._client = client
        self._window_seconds = decision_window.total_seconds() if decision_window is not None else None
        self._task_queue = task_queue
        self._continue_after = continue_after_events

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        """Report what a source saw; starts the account's workflow if need be. Durable when it returns.

        Raises:
            EngineUnavailableError: the engine cannot be reached; nothing is known to be stored.
        """
        try:
            await self._client.start_workflow(
                AccountWorkflow.run,
                self._start_of(account_id),
                id=contract.workflow_id(account_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal=contract.OBSERVE,
                start_signal_args=[list(observations)],
                static_summary=f"Account {account_id}",
                static_details=OPERATOR_NOTES,
            )
        except RPCError as error:
            raise _unavailable(error) from error

    async def report_outcome(self, account_id: str, outcome: Outcome) -> None:
        """Report what came back after a touch of a known account. Durable when it returns."""
        try:
            await self._handle(account_id).signal(contract.REPORT_OUTCOME, outcome)
        except RPCError as error:
            raise _explained(account_id, error) from error

    async def propose(
        self, account_id: str, proposal: Proposal, *, patience: timedelta = PATIENCE
    ) -> ProposalView:
        """Propose a touch and wait for its ruling; starts the account's workflow if need be.

        Raises:
            AccountError: the proposal was refused, e.g. its id was used for another action.
            EngineUnavailableError: no ruling within `patience`; the proposal may still be ruled on.
        """
        attempt = 1
        while not (view := await self._propose_once(account_id, proposal, attempt, patience)).settled:
            # The run is continuing as new: the next one knows the proposal and is asked with a new id.
            attempt += 1
        return view

    async def _propose_once(
        self, account_id: str, proposal: Proposal, attempt: int, patience: timedelta
    ) -> ProposalView:
        async def ask() -> ProposalView:
            start = WithStartWorkflowOperation(
                AccountWorkflow.run,
                self._start_of(account_id),
                id=contract.workflow_id(account_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Account {account_id}",
                static_details=OPERATOR_NOTES,
            )
            view: ProposalView = await self._client.execute_update_with_start_workflow(
                contract.PROPOSE,
                proposal,
                start_workflow_operation=start,
                # The engine answers a known update id from its record: another action needs another id.
                id=f"{proposal.proposal_id}:{proposal.digest(account_id)[:12]}:{attempt}",
                result_type=ProposalView,
                rpc_timeout=patience,
            )
            return view

        return await _insisting(account_id, ask, patience)

    async def answer(self, account_id: str, answer: ApprovalAnswer) -> AnswerResult:
        """Answer an approval and learn what became of the answer.

        Raises:
            EngineUnavailableError: the result is not known; repeat with the same `answer_id`.
        """
        return await self._update(
            account_id,
            contract.ANSWER_APPROVAL,
            answer,
            f"{answer.approval_id}:{answer.answer_id}",
            AnswerResult,
        )

    async def place_hold(self, account_id: str, hold: Hold) -> AccountStatus:
        """Freeze the account: nothing is handed over while the hold stands.

        Raises:
            AccountError: the hold was refused, e.g. because its end has passed.
        """
        placed = f"{hold.placed_at:%Y%m%dT%H%M%S.%f}"
        return await self._update(
            account_id, contract.PLACE_HOLD, hold, f"hold:{hold.hold_id}:{placed}", AccountStatus
        )

    async def release_hold(self, account_id: str, hold_id: str, released_by: str) -> AccountStatus:
        """End a freeze."""
        release = HoldRelease(hold_id=hold_id, released_by=released_by)
        return await self._update(
            account_id, contract.RELEASE_HOLD, release, f"release:{hold_id}:{uuid.uuid4().hex}", AccountStatus
        )

    async def start_play(self, account_id: str, play_id: str, *, started_by: str) -> AccountStatus:
        """Have a play enter now, because a person wants it.

        Raises:
            AccountError: it did not enter; says why.
        """
        start = PlayStart(play_id=play_id, started_by=started_by)
        return await self._update(
            account_id, contract.START_PLAY, start, f"play:{uuid.uuid4().hex}", AccountStatus
        )

    async def cancel_play(
        self, account_id: str, run_id: str, *, cancelled_by: str, reason: str
    ) -> AccountStatus:
        """End a run of a play now; what it has scheduled is dropped, what can be taken back is.

        Raises:
            AccountError: no such run is running.
        """
        event = PlayCancelled(run_id=run_id, cancelled_by=cancelled_by, reason=reason)
        return await self._update(
            account_id, contract.CANCEL_PLAY, event, f"cancel:{run_id}:{uuid.uuid4().hex}", AccountStatus
        )

    async def resume_play(self, account_id: str, run_id: str, *, resumed_by: str) -> AccountStatus:
        """Let a suspended run of a play go on as soon as no other is active.

        Raises:
            AccountError: no such run is suspended.
        """
        event = PlayResumed(run_id=run_id, resumed_by=resumed_by)
        return await self._update(
            account_id, contract.RESUME_PLAY, event, f"resume:{run_id}:{uuid.uuid4().hex}", AccountStatus
        )

    async def running_play(self, play_id: str) -> list[str]:
        """Return the accounts on which a play is active, as far as visibility knows by now."""
        return await self._listed(contract.running_a_play(self._task_queue, play_id))

    async def migrate_play(self, account_id: str, migration: PlayMigrated) -> None:
        """Have an account's runs of a play go on with another version. Durable when it returns."""
        try:
            await self._handle(account_id).signal(contract.MIGRATE_PLAY, migration)
        except RPCError as error:
            raise _explained(account_id, error) from error

    async def settle_touch(self, account_id: str, settled: TouchSettled) -> AccountStatus:
        """Say what became of a touch in doubt.

        Raises:
            AccountError: the touch is not in doubt on this account.
        """
        return await self._update(
            account_id,
            contract.SETTLE_TOUCH,
            settled,
            f"settle:{settled.touch_id}:{uuid.uuid4().hex}",
            AccountStatus,
        )

    async def recall_touch(self, account_id: str, asked: RecallAsked) -> AccountStatus:
        """Have a touch taken back; whether that worked is told later, in the timeline and the ledger.

        Raises:
            AccountError: its channel cannot take it back, or nobody knows the touch.
        """
        return await self._update(
            account_id,
            contract.RECALL_TOUCH,
            asked,
            f"recall:{asked.touch_id}:{uuid.uuid4().hex}",
            AccountStatus,
        )

    async def in_doubt(self) -> list[str]:
        """Return the accounts with touches in doubt, as far as visibility knows by now."""
        return await self._listed(contract.with_doubts(self._task_queue))

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
            raise _unavailable(error) from error

    async def _announce(self, query: str, news: _News, progress: Callable[[int], None] | None) -> int:
        """Tell whoever a visibility query finds, and after `ANNOUNCE_AGAIN` whoever it finds then."""
        told: set[str] = set()
        try:
            await self._announce_once(query, news, told, progress)
            await asyncio.sleep(ANNOUNCE_AGAIN.total_seconds())
            await self._announce_once(query, news, told, progress)
        except RPCError as error:
            raise _unavailable(error) from error
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
            if error.status is not RPCStatusCode.NOT_FOUND and error.status not in _PASSING:
                raise
            return False  # it has just closed, or is too busy now: those are asked once more, and rule anew
        return True

    async def status(self, account_id: str) -> AccountStatus:
        """Return the account as a whole."""
        return await self._query(account_id, contract.STATUS, AccountStatus)

    async def why(self, account_id: str, proposal_id: str | None = None) -> list[ProposalView]:
        """Return proposals with every rule that fired."""
        return await self._query(account_id, contract.WHY, list[ProposalView], proposal_id)

    async def timeline(self, account_id: str) -> list[str]:
        """Return the account's recent story."""
        return await self._query(account_id, contract.TIMELINE, list[str])

    async def _listed(self, query: str) -> list[str]:
        prefix = contract.workflow_id("")
        try:
            return [found.id.removeprefix(prefix) async for found in self._client.list_workflows(query)]
        except RPCError as error:
            raise _unavailable(error) from error

    def _handle(self, account_id: str) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(contract.workflow_id(account_id))

    def _start_of(self, account_id: str) -> contract.AccountInput:
        return contract.AccountInput(
            account_id=account_id,
            window_seconds=self._window_seconds,
            continue_after_events=self._continue_after,
        )

    async def _update(
        self, account_id: str, name: str, argument: BaseModel, update_id: str, result: type[_Result]
    ) -> _Result:
        async def ask() -> _Result:
            answer: _Result = await self._handle(account_id).execute_update(
                name, argument, id=update_id, result_type=result, rpc_timeout=PATIENCE
            )
            return answer

        return await _insisting(account_id, ask, PATIENCE)

    async def _query(
        self, account_id: str, name: str, result: type[_Result], argument: str | None = None
    ) -> _Result:
        arguments = [] if argument is None else [argument]

        async def ask() -> _Result:
            answer: _Result = await self._handle(account_id).query(
                name, args=arguments, result_type=result, rpc_timeout=PATIENCE
            )
            return answer

        return await _insisting(account_id, ask, PATIENCE)


async def _insisting(account_id: str, ask: Callable[[], Awaitable[_Result]], patience: timedelta) -> _Result:
    """Repeat what met a busy run, or one on its way to the next; the same ids make that safe."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.total_seconds()
    while True:
        try:
            return await ask()
        except _FAILURES as error:
            passing = isinstance(error, RPCError) and error.status in _PASSING
            if not passing or loop.time() > deadline:
                raise _explained(account_id, error) from error
        await asyncio.sleep(RETRY_SECONDS)


def _unavailable(error: BaseException) -> EngineUnavailableError:
    return EngineUnavailableError(f"the engine did not answer ({error}); try again with the same ids")


def _explained(account_id: str, error: BaseException) -> AccountError:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return UnknownAccountError(account_id)
    if isinstance(error, (WorkflowUpdateRPCTimeoutOrCancelledError, RPCTimeoutOrCancelledError)):
        return _unavailable(error)
    if isinstance(error, WorkflowUpdateFailedError) and isinstance(error.cause, ApplicationError):
        return AccountError(error.cause.message)
    if isinstance(error, WorkflowQueryFailedError):
        return AccountError(str(error))
    return _unavailable(error)
