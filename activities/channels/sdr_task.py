"""The task channel: a task for one of our people in the CRM, at least once; can be taken back.

The task's external id is the touch id: `PUT {base}/v1/tasks/{external_id}` makes it or finds it made.
`DELETE` on the same address cancels it, unless somebody has done it already.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydantic_settings import SettingsConfigDict
from temporalio import activity

from activities.channels._contract import ChannelActivities, ChannelEnvironment, heartbeats, receipt_for
from activities.channels._http import Vendor, VendorSettings, segment
from activities.channels._idempotent import Line, hand_over_again
from activities.channels._numbers import whole_number
from domain import Frozen, Identifier, LongText, Recall, Recalled, Receipt, ReceiptStatus, ShortText, Touch

_LONGEST_DUE_DAYS = 365


class SdrTaskSettings(VendorSettings):
    """Settings of the task channel, read from `TUTTI_SDR_TASK_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_SDR_TASK_")


class SdrTask(Frozen):
    """Body of the request that makes a task."""

    subject: ShortText
    notes: LongText
    due_date: date | None
    """By when it is to be done, in the assignee's own calendar."""
    assignee: ShortText | None
    """Login in the CRM; None leaves it to the CRM's own routing."""
    account_id: Identifier
    account_name: ShortText
    contact_id: Identifier | None
    contact_name: ShortText | None
    action: Identifier


class _IncompleteError(Exception):
    """The touch lacks something that a task needs; the message is a sentence for a person."""


class SdrTaskChannel:
    """Makes and cancels tasks in a CRM.

    Args:
        settings: Where the CRM is, and the token.
    """

    def __init__(self, settings: SdrTaskSettings) -> None:
        self._crm = Vendor("the CRM", settings)

    async def hand_over(self, touch: Touch, line: Line) -> Receipt:
        """Make one task.

        Args:
            touch: Its subject becomes the task's and its text the notes. `fields` may hold `assignee`, and
                `due_date` (ISO 8601) or `due_in_days` from the hand-over.
            line: Crossed right before the request.

        Raises:
            ApplicationError: Retryable; ledger or CRM cannot answer now.
        """
        try:
            task = _task(touch, activity.info().scheduled_time)
        except _IncompleteError as error:
            return receipt_for(touch, ReceiptStatus.REJECTED, f"Not sent: {error}.")
        if (held := await line.cross()) is not None:
            return held
        answer = await self._crm.ask("PUT", _path(touch.touch_id), task, headers=_key(touch.touch_id))
        return self._crm.receipt(answer, touch, provider_ref=answer.field("id") or touch.touch_id)

    async def recall(self, recall: Recall) -> Recalled:
        """Cancel a task that nobody has done yet.

        Raises:
            ApplicationError: Retryable; the CRM cannot answer now.
        """
        answer = await self._crm.ask("DELETE", _path(recall.touch_id))
        return self._crm.recalled(answer, recall)


def build(environment: ChannelEnvironment, settings: SdrTaskSettings) -> ChannelActivities:
    """Build the channel's activities.

    Args:
        environment: Ledger and unsubscribe links; a task carries no link.
        settings: Where the CRM is, and the token.
    """
    channel = SdrTaskChannel(settings)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await hand_over_again(environment.ledger, touch, channel.hand_over)

    @activity.defn(name="recall")
    async def recall(recall: Recall) -> Recalled:
        async with heartbeats():
            return await channel.recall(recall)

    return ChannelActivities(hand_over, recall)


def _path(touch_id: str) -> str:
    return f"/v1/tasks/{segment(touch_id)}"


def _key(touch_id: str) -> dict[str, str]:
    return {"idempotency-key": segment(touch_id)}


def _task(touch: Touch, handed_over_at: datetime) -> SdrTask:
    if not touch.subject:
        raise _IncompleteError("the task has no subject")
    person = touch.recipient
    return SdrTask(
        subject=touch.subject,
        notes=touch.text,
        due_date=_due_date(touch, handed_over_at),
        assignee=touch.fields.get("assignee") or None,
        account_id=touch.account_id,
        account_name=touch.account_name,
        contact_id=person.contact_id if person else None,
        contact_name=person.name if person else None,
        action=touch.action,
    )


def _due_date(touch: Touch, handed_over_at: datetime) -> date | None:
    written, days = touch.fields.get("due_date"), touch.fields.get("due_in_days")
    if written:
        try:
            return date.fromisoformat(written)
        except ValueError:
            raise _IncompleteError("the field due_date is no date like 2026-11-30") from None
    if not days:
        return None
    count = whole_number(days, least=0, most=_LONGEST_DUE_DAYS)
    if count is None:
        raise _IncompleteError(f"the field due_in_days is no number of days from 0 to {_LONGEST_DUE_DAYS}")
    return handed_over_at.date() + timedelta(days=count)
