"""The engine room of an account: its inbox, its turns, its timer, and the way into the next run.

Messages become events, time becomes a turn, effects become activities. Message handlers never fail
and never await anything that can take long; one loop does all the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import (
        AccountState,
        Event,
        Proposal,
        ProposalView,
        Refused,
        Revoke,
        Step,
        advance,
        card,
        conflict_message,
        known_digest,
        next_due,
        resume,
        view_proposal,
    )
    from workflows import _contract as contract
    from workflows._decoding import UnreadableMessageError, read_model
    from workflows._world import World

_Model = TypeVar("_Model", bound=BaseModel)


def _new_account(start: contract.AccountInput) -> AccountState:
    state = AccountState(account_id=start.account_id)
    if start.window_seconds is not None:
        state.window_seconds = start.window_seconds
    return state


class Shell:
    """Everything about an account's run that is no message: what the message handlers are built on."""

    def __init__(self, start: contract.AccountInput) -> None:
        """Take up the state that the run before carried over, or begin with an account that knows nothing."""
        self._continue_after = start.continue_after_events
        self._state = start.state or _new_account(start)
        self._inbox: list[Event] = []
        self._world = World(lambda: self._state, self._inbox_put)
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._armed_for: datetime | None = None
        self._rang = False
        self._marks_quiet_tasks = start.shell >= contract.SHELL
        self._quiet = False
        self._draining = False
        self._published: contract.SearchAttributes | None = None

    async def _live(self) -> None:
        """Live: turn after turn, until the history is long enough to continue as new."""
        self._carry_out(resume(self._state, workflow.now()))
        while True:
            if not self._inbox:
                self._publish()
            await workflow.wait_condition(self._has_work)
            self._turn()
            if self._should_continue():
                await self._hand_on()

    def _has_work(self) -> bool:
        return bool(self._inbox) or self._rang or self._quiet or self._should_continue()

    def _turn(self) -> None:
        events, self._inbox = self._inbox, []
        self._rang = False
        self._carry_out(advance(self._state, events, workflow.now()))

    def _carry_out(self, step: Step) -> None:
        self._state = step.state
        for effect in step.effects:
            task = asyncio.create_task(self._world.perform(effect))
            self._running.add(task)
            if isinstance(effect, Revoke):
                task.add_done_callback(self._running.discard)
                continue  # it asks for nothing that comes back
            task.add_done_callback(self._came_back)
            self._quiet = False
        self._arm()

    def _came_back(self, task: asyncio.Task[None]) -> None:
        """Note that the engine has brought a result: the task in which it did must command something."""
        self._running.discard(task)
        self._quiet = self._marks_quiet_tasks

    def _inbox_put(self, event: Event) -> None:
        self._inbox.append(event)

    def _publish(self) -> None:
        workflow.set_current_details(card(self._state))
        current = contract.SearchAttributes.of(self._state)
        if current != self._published:
            workflow.upsert_search_attributes(current.changes_from(self._published))
            self._published = current
        elif self._quiet:
            mark = contract.PENDING_APPROVALS_KEY.value_set(current.pending_approvals)
            workflow.upsert_search_attributes([mark])
        self._quiet = False

    def _arm(self) -> None:
        """Keep one timer, and move it only forward in time: a later need is found when it rings."""
        due = next_due(self._state)
        if due is None or (self._armed_for is not None and self._armed_for <= due.at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = due.at
        self._quiet = False
        self._alarm = asyncio.create_task(self._ring_at(due.at, due.what))

    async def _ring_at(self, moment: datetime, what: str) -> None:
        await workflow.sleep(max(moment - workflow.now(), timedelta(milliseconds=1)), summary=what)
        self._alarm = None
        self._armed_for = None
        self._rang = True
        self._quiet = self._marks_quiet_tasks

    def _should_continue(self) -> bool:
        if self._state.active is not None:
            # A touch in flight is reported to this run; its result does not survive a new one.
            return False
        info = workflow.info()
        return (
            info.get_current_history_length() >= self._continue_after or info.is_continue_as_new_suggested()
        )

    async def _hand_on(self) -> None:
        """Continue as new, with every message that has arrived already part of the state.

        Effects of these last turns are not started here: `resume` asks for them again in the new run.
        """
        self._draining = True
        while self._inbox or not workflow.all_handlers_finished():
            events, self._inbox = self._inbox, []
            self._state = advance(self._state, events, workflow.now()).state
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())
        workflow.continue_as_new(
            contract.AccountInput(
                account_id=self._state.account_id,
                state=self._state,
                continue_after_events=self._continue_after,
                shell=contract.SHELL,
            )
        )

    # Helpers of the handlers ---------------------------------------------------------------------------

    def _receive(self, what: str, read: Callable[[], Event]) -> None:
        try:
            self._inbox.append(read())
        except UnreadableMessageError as error:
            self._inbox.append(Refused(what=what, why=str(error)))

    def _read(self, what: str, model: type[_Model], arguments: tuple[object, ...]) -> _Model:
        try:
            return read_model(model, arguments)
        except UnreadableMessageError as error:
            self._inbox.append(Refused(what=what, why=str(error)))
            message = f"malformed {what}: {error}"
            raise ApplicationError(message, type="MalformedMessage", non_retryable=True) from None

    def _demand(self, kind: str, condition: bool, otherwise: str) -> None:  # noqa: FBT001 - it is what is demanded
        """Refuse an update whose subject is not there; the refusal is recorded."""
        if not condition:
            self._inbox.append(Refused(what="update", why=otherwise))
            raise ApplicationError(otherwise, type=kind, non_retryable=True)

    async def _first_ruling(self, proposal: Proposal) -> ProposalView:
        """Wait until governance has ruled on a proposal that the account has just taken in.

        Returns unsettled when the run is about to continue as new: ask again, the proposal is known.
        """
        known = known_digest(self._state, proposal.proposal_id)
        if known is None:
            message = f"proposal {proposal.proposal_id} was refused: too many are open on this account"
            raise ApplicationError(message, type="ProposalRefused", non_retryable=True)
        if known != proposal.digest(self._state.account_id):
            raise ApplicationError(
                conflict_message(proposal.proposal_id), type="ProposalConflict", non_retryable=True
            )
        await workflow.wait_condition(lambda: self._draining or self._ruled_on(proposal.proposal_id))
        view = view_proposal(self._state, proposal.proposal_id)
        if view is None:
            raise ApplicationError(
                f"proposal {proposal.proposal_id} ended so long ago that only the ledger knows it",
                type="ProposalForgotten",
                non_retryable=True,
            )
        return view

    def _ruled_on(self, proposal_id: str) -> bool:
        view = view_proposal(self._state, proposal_id)
        return view is None or view.settled

    async def _processed(self, event: Event) -> None:
        """Put an event into the inbox and wait for its turn, whatever the account makes of it."""
        self._inbox.append(event)
        await workflow.wait_condition(lambda: all(waiting is not event for waiting in self._inbox))
