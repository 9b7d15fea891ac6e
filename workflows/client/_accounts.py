"""The client's side of the account workflow: the one door through which everything comes in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client, RPCError, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig

from domain import (
    AccountStatus,
    Hold,
    Observation,
    Outcome,
    PlayCancelled,
    PlayMigrated,
    PlayResumed,
    Proposal,
    ProposalView,
    RecallAsked,
    TouchSettled,
)
from workflows import _contract as contract
from workflows._plugin import tutti_plugin
from workflows.account import AccountWorkflow, HoldRelease, PlayStart
from workflows.client._announcing import Announcements
from workflows.client._approvals import ApprovalCalls
from workflows.client._calls import PATIENCE, insisting, unavailable
from workflows.client._errors import EngineUnavailableError

OPERATOR_NOTES = """One target account, and the only place that decides about touching it.

- **Current details** say where it stands, what happens next and what waits for an answer.
- **Queries**: `status`, `timeline`, `why` for every rule that fired, `exception` with the id of an approval.
- **Updates** `place_hold` and `release_hold` freeze and free it.
- `start_play`, `cancel_play` and `resume_play` steer plays.
- `settle_touch` ends a doubt, `recall_touch` takes a touch back, `withdraw_proposal` a proposal.

**To answer a question from here**

Look at it with the query `exception`, which shows its digest. Then send the update `answer_approval`:

```json
{"answer_id": "ANY-NEW-ID",
 "approval_id": "APPROVAL", "digest": "DIGEST",
 "answer": "approve", "approver": "YOUR.LOGIN"}
```

- Whatever is no `approve` says why as well: `"code": "wrong_time", "comment": "..."`.
- Repeat it with the same `answer_id` until there is a result.
- While no worker runs, send it as the signal `answer_approval_signal`: it waits for one.
- `claim_approval` takes `{"approval_id": "APPROVAL", "claimed_by": "YOUR.LOGIN"}`.
- `release_approval` takes the same with `released_by`.
"""
"""What an operator reads beside the account in the Temporal UI."""

DEFAULT_ADDRESS = "127.0.0.1:7233"


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


class AccountClient(Announcements, ApprovalCalls):
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
        super().__init__(client, task_queue)
        self._window_seconds = decision_window.total_seconds() if decision_window is not None else None
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
            raise unavailable(error) from error

    async def report_outcome(self, account_id: str, outcome: Outcome) -> None:
        """Report what came back after a touch of a known account. Durable when it returns."""
        await self._signal(account_id, contract.REPORT_OUTCOME, outcome)

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

        return await insisting(account_id, ask, patience)

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
        await self._signal(account_id, contract.MIGRATE_PLAY, migration)

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

    async def status(self, account_id: str) -> AccountStatus:
        """Return the account as a whole."""
        return await self._query(account_id, contract.STATUS, AccountStatus)

    async def why(self, account_id: str, proposal_id: str | None = None) -> list[ProposalView]:
        """Return proposals with every rule that fired."""
        return await self._query(account_id, contract.WHY, list[ProposalView], proposal_id)

    async def timeline(self, account_id: str) -> list[str]:
        """Return the account's recent story."""
        return await self._query(account_id, contract.TIMELINE, list[str])

    def _start_of(self, account_id: str) -> contract.AccountInput:
        return contract.AccountInput(
            account_id=account_id,
            window_seconds=self._window_seconds,
            continue_after_events=self._continue_after,
            shell=contract.SHELL,
        )
