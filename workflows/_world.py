"""Effects: what the account wants done becomes activities, and their answers become events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as EngineTimeoutError

with workflow.unsafe.imports_passed_through():
    from domain import (
        HAND_OVER_ATTEMPTS,
        AccountState,
        Block,
        ChannelFault,
        Consult,
        Delivered,
        Delivery,
        Effect,
        Event,
        HandOver,
        MakePlan,
        Moment,
        Noticed,
        NoticeReport,
        Notify,
        Plan,
        Planned,
        Project,
        Projected,
        Recalled,
        RecallReturned,
        RecallStatus,
        Receipt,
        ReceiptStatus,
        Revoke,
        Ruled,
        Ruling,
        TakeBack,
        Vet,
        Vetted,
        Vetting,
    )
    from workflows import _contract as contract

GOVERN_TIMEOUT = timedelta(seconds=30)
PROJECT_TIMEOUT = timedelta(seconds=60)
RECALL_TIMEOUT = timedelta(minutes=1)
RECALL_WAITS = timedelta(minutes=10)
"""How long a recall waits for a worker of its channel before the account tries again later."""
PATIENT = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))
"""Governance and the ledger may be away for long: wait for them, lose nothing."""
NOTIFY_TIMEOUT = timedelta(seconds=30)
NOTICE_WAITS = timedelta(minutes=2)
"""How long one attempt at a notice takes at the most; the account tries again later, and loses nothing."""
NOTICE_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=2), maximum_interval=timedelta(seconds=30), maximum_attempts=4
)
CHANNEL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=HAND_OVER_ATTEMPTS,
    # Teams mark these errors as not retryable themselves; one that forgets shall not knock five times.
    non_retryable_error_types=[ChannelFault.PERMANENT.value, ChannelFault.RATE_LIMITED.value],
)
_NOTHING_HANDED_OVER = frozenset({ChannelFault.RETRYABLE.value, "LedgerUnavailable"})
_MOMENT: TypeAdapter[Moment] = TypeAdapter(Moment)


class World:
    """Carries out effects for one account, whose present `state` it may read; answers go to `answer`."""

    def __init__(self, state: Callable[[], AccountState], answer: Callable[[Event], None]) -> None:
        self._state = state
        self._answer = answer
        self._flight: workflow.ActivityHandle[Any] | None = None

    async def perform(self, effect: Effect) -> None:
        """Carry out one effect, to its end."""
        match effect:
            case Consult():
                await self._consult(effect)
            case MakePlan():
                await self._make_plan(effect)
            case HandOver():
                await self._hand_over(effect)
            case TakeBack():
                await self._take_back(effect)
            case Vet():
                await self._vet(effect)
            case Notify():
                await self._notify(effect)
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
                policy_digest=self._state().policy_digest or "none",
                assessment=None,
                decisions=(),
                decision_window_seconds=self._state().window_seconds,
            )
        self._answer(Ruled(ruling=ruling))

    async def _make_plan(self, effect: MakePlan) -> None:
        run, asks = effect.request.run, effect.request.asks
        wanted = ", ".join(ask.play_id for ask in asks)
        about = f"next move of play {run.run_id}" if run is not None else f"may {wanted} enter?"
        plan: Plan = await workflow.execute_activity(
            contract.PLAN,
            effect.request,
            result_type=Plan,
            start_to_close_timeout=GOVERN_TIMEOUT,
            retry_policy=PATIENT,
            summary=about[:200],
        )
        self._answer(Planned(plan=plan))

    async def _vet(self, effect: Vet) -> None:
        request = effect.request
        try:
            vetting = await workflow.execute_activity(
                contract.VET,
                request,
                result_type=Vetting,
                start_to_close_timeout=GOVERN_TIMEOUT,
                retry_policy=PATIENT,
                summary=f"may this person answer {request.approval.approval_id}?"[:200],
            )
        except ActivityError as error:
            # Only a governance that can never answer ends here: nobody answers by an error.
            workflow.logger.error("vetting failed for good: %s", error.cause)
            vetting = Vetting(
                approval_id=request.approval.approval_id,
                answer_id=request.answer.answer_id,
                refusal="nobody could find out whether you may answer this; ask those who were asked by name",
            )
        self._answer(Vetted(vetting=vetting))

    async def _notify(self, effect: Notify) -> None:
        notice = effect.notice
        try:
            report = await workflow.execute_activity(
                contract.NOTIFY,
                notice,
                result_type=NoticeReport,
                start_to_close_timeout=NOTIFY_TIMEOUT,
                schedule_to_close_timeout=NOTICE_WAITS,
                retry_policy=NOTICE_RETRIES,
                summary=f"notify {len(notice.to)} of {notice.card.approval.approval_id}: "
                f"{notice.occasion.value}"[:200],
            )
        except Exception as error:  # noqa: BLE001 - no failing notice may hold up an account: it is tried again
            cause = error.cause if isinstance(error, ActivityError) else error
            report = NoticeReport(
                notice_id=notice.notice_id,
                # The text of the error may name an address.
                failed=(f"nobody was reached: {type(cause).__name__}",),
                try_again=True,
            )
        if report.notice_id != notice.notice_id:
            report = report.model_copy(update={"notice_id": notice.notice_id})
        self._answer(Noticed(report=report))

    async def _project(self, effect: Project) -> None:
        count = len(effect.batch.facts)
        await workflow.execute_activity(
            contract.PROJECT,
            effect.batch,
            start_to_close_timeout=PROJECT_TIMEOUT,
            retry_policy=PATIENT,
            summary=f"tell the ledger {count} fact{'s' if count != 1 else ''}",
        )
        self._answer(Projected(count=count))

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
            priority=Priority(priority_key=handover.priority),
        )
        try:
            answer: object = await self._flight
        except ActivityError as error:
            receipt = await self._after_failure(effect, error)
        else:
            receipt = _receipt_from(effect, answer)
        self._flight = None
        self._answer(Delivered(receipt=receipt))

    async def _after_failure(self, effect: HandOver, error: ActivityError) -> Receipt:
        """Find out what became of a touch whose channel gave no receipt."""
        touch, meant = effect.touch, _receipt_of_fault(effect, error)
        if meant is not None and meant.status is ReceiptStatus.UNKNOWN:
            return meant
        if effect.handover.delivery is Delivery.IDEMPOTENT:
            return meant or Receipt(
                touch_id=touch.touch_id,
                status=ReceiptStatus.UNDELIVERED if _reached_nobody(error) else ReceiptStatus.UNKNOWN,
                at=workflow.now(),
                detail=str(error.cause or error)[:900],
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
        # The error is the last attempt's; one before it may have been lost behind the line.
        return meant if meant is not None and resolved.status is ReceiptStatus.UNDELIVERED else resolved

    async def _take_back(self, effect: TakeBack) -> None:
        recall = effect.recall
        try:
            answer: object = await workflow.execute_activity(
                contract.RECALL,
                recall,
                task_queue=effect.task_queue,
                schedule_to_start_timeout=RECALL_WAITS,
                start_to_close_timeout=RECALL_TIMEOUT,
                retry_policy=CHANNEL_RETRIES,
                summary=f"take back {recall.action} over {recall.channel}",
            )
            recalled = Recalled.model_validate(answer)
        except Exception as error:  # noqa: BLE001 - whatever a channel answers, the account tries again later
            why = error.cause if isinstance(error, ActivityError) else type(error).__name__
            recalled = Recalled(
                touch_id=recall.touch_id,
                status=RecallStatus.FAILED,
                at=workflow.now(),
                detail=str(why)[:900],
            )
        if recalled.touch_id != recall.touch_id:
            recalled = recalled.model_copy(
                update={"touch_id": recall.touch_id, "status": RecallStatus.FAILED}
            )
        self._answer(RecallReturned(recalled=recalled))


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
    return Receipt(touch_id=touch_id, status=ReceiptStatus.UNKNOWN, at=workflow.now(), detail=why)


def _reached_nobody(error: ActivityError) -> bool:
    """Tell whether a failure says for certain that the provider has got nothing.

    No worker took the touch, or the channel says itself that nothing was handed over. After any other failure
    an idempotent provider may have it: the touch goes again under the same id.
    """
    cause = error.cause
    if isinstance(cause, EngineTimeoutError):
        return cause.type is TimeoutType.SCHEDULE_TO_START
    return isinstance(cause, ApplicationError) and cause.type in _NOTHING_HANDED_OVER


def _receipt_of_fault(effect: HandOver, error: ActivityError) -> Receipt | None:
    """Return the receipt that a channel meant by raising one of the errors of the contract.

    None for every other failure, and for `Retryable`, which only ends here after the last attempt.
    """
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return None
    status = {
        ChannelFault.PERMANENT.value: ReceiptStatus.REJECTED,
        ChannelFault.RATE_LIMITED.value: ReceiptStatus.UNDELIVERED,
        ChannelFault.IN_DOUBT.value: ReceiptStatus.UNKNOWN,
    }.get(cause.type or "")
    if status is None:
        return None
    retry_at = None
    if status is ReceiptStatus.UNDELIVERED and cause.details:
        try:
            retry_at = _MOMENT.validate_python(cause.details[0])
        except Exception:  # noqa: BLE001 - a moment that nobody can read leaves the policy's own pause
            retry_at = None
    return Receipt(
        touch_id=effect.touch.touch_id,
        status=status,
        at=workflow.now(),
        detail=(cause.message or status.value)[:900],
        retry_at=retry_at,
    )
