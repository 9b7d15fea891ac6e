"""The account workflow: a thin, durable shell around the pure account state machine.

Messages become events, time becomes a turn, effects become activities. Message handlers never fail
and never await anything that can take long; one loop does all the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import (
        HAND_OVER_ATTEMPTS,
        AccountState,
        AccountStatus,
        Answered,
        AnswerResult,
        ApprovalAnswer,
        Block,
        Consult,
        Delivered,
        Delivery,
        Effect,
        Event,
        Frozen,
        HandOver,
        Hold,
        HoldPlaced,
        HoldReleased,
        Identifier,
        Outcome,
        OutcomeReported,
        PolicyPublished,
        Project,
        Projected,
        Proposal,
        ProposalView,
        Proposed,
        Receipt,
        ReceiptStatus,
        Refused,
        Revoke,
        Ruled,
        Ruling,
        ShortText,
        Step,
        advance,
        answer_key,
        card,
        conflict_message,
        known_digest,
        next_due,
        resume,
        timeline,
        view_proposal,
        view_status,
    )
    from workflows import _contract as contract
    from workflows._decoding import UnreadableMessageError, read_model, read_observations

GOVERN_TIMEOUT = timedelta(seconds=30)
PROJECT_TIMEOUT = timedelta(seconds=60)
PATIENT = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))
"""Governance and the ledger may be away for long: wait for them, lose nothing."""
CHANNEL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=HAND_OVER_ATTEMPTS,
)


_Model = TypeVar("_Model", bound=BaseModel)


class HoldRelease(Frozen):
    """Who ends which hold."""

    hold_id: Identifier
    released_by: ShortText


def _new_account(start: contract.AccountInput) -> AccountState:
    state = AccountState(account_id=start.account_id)
    if start.window_seconds is not None:
        state.window_seconds = start.window_seconds
    return state


def _receipt_from(effect: HandOver, answer: object) -> Receipt:
    """Read a channel's answer; other teams write channels, so it may be anything."""
    touch_id = effect.touch.touch_id
    try:
        receipt = Receipt.model_validate(answer)
    except Exception:  # noqa: BLE001 - an answer that nobody can read must not fail the account's task
        why = "the channel's answer is no receipt"
    else:
        if receipt.touch_id == touch_id:
            return receipt
        why = "the channel answered for another touch"
    idempotent = effect.handover.delivery is Delivery.IDEMPOTENT
    status = ReceiptStatus.UNDELIVERED if idempotent else ReceiptStatus.UNKNOWN
    return Receipt(touch_id=touch_id, status=status, at=workflow.now(), detail=why)


@workflow.defn(name=contract.WORKFLOW_TYPE)
class AccountWorkflow:
    """One target account, for years: its single writer."""

    @workflow.init
    def __init__(self, start: contract.AccountInput) -> None:
        self._continue_after = start.continue_after_events
        self._state = start.state or _new_account(start)
        self._inbox: list[Event] = []
        self._running: set[asyncio.Task[None]] = set()
        self._flight: workflow.ActivityHandle[Any] | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._armed_for: datetime | None = None
        self._rang = False
        self._draining = False
        self._published: contract.SearchAttributes | None = None

    @workflow.run
    async def run(self, _start: contract.AccountInput) -> None:
        """Live: turn after turn, until the history is long enough to continue as new."""
        self._carry_out(resume(self._state, workflow.now()))
        while True:
            if not self._inbox:
                self._publish()
            await workflow.wait_condition(self._has_work)
            self._turn()
            if self._should_continue():
                await self._hand_on()

    # Messages ------------------------------------------------------------------------------------------

    @workflow.signal(
        name=contract.OBSERVE,
        description="What a source saw: signals, profiles, contacts, past touches; one or a list.",
    )
    def observe(self, *arguments: object) -> None:
        """Take in a batch of observations."""
        self._inbox.extend(read_observations(arguments))

    @workflow.signal(name=contract.REPORT_OUTCOME, description="What came back after a touch.")
    def report_outcome(self, *arguments: object) -> None:
        """Take in an outcome."""
        self._receive("outcome", lambda: OutcomeReported(outcome=read_model(Outcome, arguments)))

    @workflow.signal(
        name=contract.ANSWER_APPROVAL_SIGNAL,
        description="An approver's answer, when the sender cannot wait for the result.",
    )
    def answer_approval_signal(self, *arguments: object) -> None:
        """Take in an answer; its result is in the status and the ledger."""
        self._receive("approval answer", lambda: Answered(answer=read_model(ApprovalAnswer, arguments)))

    @workflow.signal(
        name=contract.POLICY_PUBLISHED,
        description="Another policy set is in force: what waits is ruled on again. Takes its digest.",
    )
    def policy_published(self, *arguments: object) -> None:
        """Have the new set judge at once what an earlier one made wait."""
        self._receive("policy publication", lambda: read_model(PolicyPublished, arguments))

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _arguments: Sequence[RawValue]) -> None:
        """Record a signal that nobody here knows, instead of losing it at the next continue-as-new."""
        self._inbox.append(Refused(what="signal", why=f"there is no signal named {name[:100]!r}"))

    @workflow.update(
        name=contract.PROPOSE,
        description="Propose a touch. Returns where it stands, as a rule after the decision window.",
    )
    async def propose(self, *arguments: object) -> ProposalView:
        """Take in a proposal and wait for its first ruling.

        Returns unsettled when the run is about to continue as new: ask again, the proposal is known.
        """
        proposal = self._read("proposal", Proposal, arguments)
        await self._processed(Proposed(proposal=proposal))
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

    @workflow.update(name=contract.ANSWER_APPROVAL, description="Answer an approval: approve or reject.")
    async def answer_approval(self, *arguments: object) -> AnswerResult:
        """Take in an answer and return what became of it; refusals are recorded, not raised."""
        answer = self._read("approval answer", ApprovalAnswer, arguments)
        await self._processed(Answered(answer=answer))
        result = self._state.answers.get(answer_key(answer))
        if result is None:
            message = "the answer could not be processed; it is recorded as refused"
            raise ApplicationError(message, type="AnswerRefused", non_retryable=True)
        return result

    @workflow.update(name=contract.PLACE_HOLD, description="Freeze the account.")
    async def place_hold(self, *arguments: object) -> AccountStatus:
        """Freeze the account and return its status."""
        hold = self._read("hold", Hold, arguments)
        await self._processed(HoldPlaced(hold=hold))
        if hold.hold_id not in self._state.holds:
            message = f"hold {hold.hold_id} was not placed: its end has passed, or there are too many holds"
            raise ApplicationError(message, type="HoldRefused", non_retryable=True)
        return view_status(self._state)

    @workflow.update(name=contract.RELEASE_HOLD, description="End a freeze.")
    async def release_hold(self, *arguments: object) -> AccountStatus:
        """End a freeze and return the status."""
        release = self._read("hold release", HoldRelease, arguments)
        await workflow.wait_condition(lambda: not self._inbox)
        stood = release.hold_id in self._state.holds
        await self._processed(HoldReleased(hold_id=release.hold_id, released_by=release.released_by))
        if not stood:
            message = f"no hold {release.hold_id} stands on this account"
            raise ApplicationError(message, type="HoldRefused", non_retryable=True)
        return view_status(self._state)

    @workflow.query(name=contract.STATUS, description="The account as a whole.")
    def status(self) -> AccountStatus:
        """Return the account as a whole."""
        return view_status(self._state)

    @workflow.query(name=contract.WHY, description="Every proposal, or one, with every rule that fired.")
    def why(self, proposal_id: str | None = None) -> list[ProposalView]:
        """Return proposals with their decisions; empty if the account does not remember the one asked for."""
        ids = [proposal_id] if proposal_id else [*self._state.closed, *self._state.open]
        views = (view_proposal(self._state, known) for known in ids)
        return [view for view in views if view is not None]

    @workflow.query(name=contract.TIMELINE, description="The account's recent story, a line a move.")
    def timeline(self) -> list[str]:
        """Return the recent story, oldest line first."""
        return [f"{line.at:%Y-%m-%d %H:%M:%S}Z {line.text}" for line in timeline(self._state)]

    # The loop ------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._inbox) or self._rang or self._should_continue()

    def _turn(self) -> None:
        events, self._inbox = self._inbox, []
        self._rang = False
        self._carry_out(advance(self._state, events, workflow.now()))

    def _carry_out(self, step: Step) -> None:
        self._state = step.state
        for effect in step.effects:
            task = asyncio.create_task(self._perform(effect))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._arm()

    def _publish(self) -> None:
        workflow.set_current_details(card(self._state))
        current = contract.SearchAttributes.of(self._state)
        if current != self._published:
            workflow.upsert_search_attributes(current.changes_from(self._published))
            self._published = current

    def _arm(self) -> None:
        """Keep one timer, and move it only forward in time: a later need is found when it rings."""
        due = next_due(self._state)
        if due is None or (self._armed_for is not None and self._armed_for <= due.at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = due.at
        self._alarm = asyncio.create_task(self._ring_at(due.at, due.what))

    async def _ring_at(self, moment: datetime, what: str) -> None:
        await workflow.sleep(max(moment - workflow.now(), timedelta(milliseconds=1)), summary=what)
        self._alarm = None
        self._armed_for = None
        self._rang = True

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
            )
        )

    # Effects -------------------------------------------------------------------------------------------

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Consult():
                await self._consult(effect)
            case HandOver():
                await self._hand_over(effect)
            case Project():
                await self._project(effect)
            case Block():
                await self._block(effect)
            case Revoke():
                if self._flight is not None:
                    self._flight.cancel()

    async def _consult(self, effect: Consult) -> None:
        count = len(effect.request.candidates)
        try:
            ruling = await workflow.execute_activity(
                contract.GOVERN,
                effect.request,
                result_type=Ruling,
                start_to_close_timeout=GOVERN_TIMEOUT,
                retry_policy=PATIENT,
                summary=f"rule on {count} proposal{'s' if count != 1 else ''}",
            )
        except ActivityError as error:
            # Only a governance that can never answer ends here: no decision means no, for every candidate.
            workflow.logger.error("governance failed for good: %s", error.cause)
            ruling = Ruling(
                revision=effect.request.revision,
                policy_digest=self._state.policy_digest or "none",
                assessment=None,
                decisions=(),
                decision_window_seconds=self._state.window_seconds,
            )
        self._inbox.append(Ruled(ruling=ruling))

    async def _project(self, effect: Project) -> None:
        count = len(effect.batch.facts)
        await workflow.execute_activity(
            contract.PROJECT,
            effect.batch,
            start_to_close_timeout=PROJECT_TIMEOUT,
            retry_policy=PATIENT,
            summary=f"tell the ledger {count} fact{'s' if count != 1 else ''}",
        )
        self._inbox.append(Projected(count=count))

    async def _block(self, effect: Block) -> None:
        """Put an objection into the shared store ahead of everything else that waits for the ledger."""
        await workflow.execute_activity(
            contract.PROJECT,
            effect.batch,
            start_to_close_timeout=PROJECT_TIMEOUT,
            retry_policy=PATIENT,
            summary="block a person everywhere",
        )

    async def _hand_over(self, effect: HandOver) -> None:
        touch, handover = effect.touch, effect.handover
        start_to_close = timedelta(seconds=handover.start_to_close_seconds)
        schedule_to_start = timedelta(seconds=handover.schedule_to_start_seconds)
        self._flight = workflow.start_activity(
            contract.HAND_OVER,
            touch,
            task_queue=handover.task_queue,
            schedule_to_start_timeout=schedule_to_start,
            start_to_close_timeout=start_to_close,
            schedule_to_close_timeout=handover.longest,
            heartbeat_timeout=timedelta(seconds=handover.heartbeat_seconds),
            retry_policy=CHANNEL_RETRIES,
            # A revoked touch still gets its receipt: the channel knows on which side of the line it was.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{touch.action} over {touch.channel}",
        )
        try:
            answer: object = await self._flight
        except ActivityError as error:
            receipt = await self._after_failure(effect, str(error.cause or error))
        else:
            receipt = _receipt_from(effect, answer)
        self._flight = None
        self._inbox.append(Delivered(receipt=receipt))

    async def _after_failure(self, effect: HandOver, why: str) -> Receipt:
        """Find out what became of a touch whose channel gave no receipt."""
        touch = effect.touch
        if effect.handover.delivery is Delivery.IDEMPOTENT:
            return Receipt(
                touch_id=touch.touch_id,
                status=ReceiptStatus.UNDELIVERED,
                at=workflow.now(),
                detail=why[:900],
            )
        # Taking the claim settles it: either nobody handed over and now nobody can, or it is in doubt.
        resolved: Receipt = await workflow.execute_activity(
            contract.RESOLVE_TOUCH,
            touch,
            result_type=Receipt,
            start_to_close_timeout=GOVERN_TIMEOUT,
            retry_policy=PATIENT,
            summary=f"find out what became of {touch.action}",
        )
        return resolved

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

    def _ruled_on(self, proposal_id: str) -> bool:
        view = view_proposal(self._state, proposal_id)
        return view is None or view.settled

    async def _processed(self, event: Event) -> None:
        """Put an event into the inbox and wait for its turn, whatever the account makes of it."""
        self._inbox.append(event)
        await workflow.wait_condition(lambda: all(waiting is not event for waiting in self._inbox))
