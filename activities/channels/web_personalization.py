"""The site channel: sets the segment that our own pages show an account, and clears it again.

`PUT {base}/v1/segments/{account_id}` sets it, with `?contact_id=` for one person of the account; the site
reads it from the same address. The last hand-over wins, whichever request arrives last. The stored segment
carries the touch that set it as its `ETag`, so that taking a touch back cannot clear what another one set.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic_settings import SettingsConfigDict
from temporalio import activity

from activities.channels._contract import ChannelActivities, ChannelEnvironment, heartbeats, receipt_for
from activities.channels._http import Vendor, VendorSettings, segment
from activities.channels._idempotent import Line, hand_over_again
from activities.channels._numbers import whole_number
from domain import Frozen, Moment, Recall, Recalled, Receipt, ReceiptStatus, ShortText, Touch

_USUAL_DAYS = 30
_MOST_DAYS = 365


class WebPersonalizationSettings(VendorSettings):
    """Settings of the site channel, read from `TUTTI_WEB_PERSONALIZATION_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_WEB_PERSONALIZATION_")


class SegmentUpdate(Frozen):
    """Body of the request that sets a segment."""

    segment: ShortText
    until: Moment
    """When the site stops showing it."""
    touch_id: ShortText
    handed_over_at: Moment
    """When the account handed the touch over; an update with an earlier moment than the stored one loses."""


class WebPersonalizationChannel:
    """Sets and clears segments in the store that a site reads.

    Args:
        settings: Where the store is, and the token.
    """

    def __init__(self, settings: WebPersonalizationSettings) -> None:
        self._store = Vendor("the segment store", settings)

    async def hand_over(self, touch: Touch, line: Line) -> Receipt:
        """Set the segment of an account or of one of its people.

        Args:
            touch: `fields` holds `segment`, and may hold `for_days`, from 1 to 365; 30 if left out.
            line: Crossed right before the request.

        Raises:
            ApplicationError: Retryable; ledger or store cannot answer now.
        """
        wanted = touch.fields.get("segment")
        if not wanted:
            return receipt_for(touch, ReceiptStatus.REJECTED, "Not sent: the field segment is missing.")
        days = whole_number(touch.fields.get("for_days") or str(_USUAL_DAYS), least=1, most=_MOST_DAYS)
        if days is None:
            return receipt_for(
                touch,
                ReceiptStatus.REJECTED,
                f"Not sent: the field for_days is no number of days from 1 to {_MOST_DAYS}.",
            )
        try:
            update = _update(touch, wanted, days, activity.info().scheduled_time)
        except ValueError:
            return receipt_for(
                touch,
                ReceiptStatus.REJECTED,
                "Not sent: the field segment is no line of at most 300 characters.",
            )
        if (held := await line.cross()) is not None:
            return held
        person = touch.recipient.contact_id if touch.recipient else None
        answer = await self._store.ask(
            "PUT",
            _path(touch.account_id, person),
            update,
            headers={"idempotency-key": segment(touch.touch_id)},
        )
        return self._store.receipt(answer, touch, provider_ref=answer.field("id") or touch.touch_id)

    async def recall(self, recall: Recall) -> Recalled:
        """Clear the segment, if it is still the one that this touch set.

        Raises:
            ApplicationError: Retryable; the store cannot answer now.
        """
        answer = await self._store.ask(
            "DELETE",
            _path(recall.account_id, recall.contact_id),
            headers={"if-match": f'"{segment(recall.touch_id)}"'},
        )
        return self._store.recalled(answer, recall)


def build(environment: ChannelEnvironment, settings: WebPersonalizationSettings) -> ChannelActivities:
    """Build the channel's activities.

    Args:
        environment: Ledger and unsubscribe links; a page carries no link.
        settings: Where the store is, and the token.
    """
    channel = WebPersonalizationChannel(settings)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await hand_over_again(environment.ledger, touch, channel.hand_over)

    @activity.defn(name="recall")
    async def recall(recall: Recall) -> Recalled:
        async with heartbeats():
            return await channel.recall(recall)

    return ChannelActivities(hand_over, recall)


def _path(account_id: str, contact_id: str | None) -> str:
    whose = f"?contact_id={segment(contact_id)}" if contact_id else ""
    return f"/v1/segments/{segment(account_id)}{whose}"


def _update(touch: Touch, wanted: str, days: int, handed_over_at: datetime) -> SegmentUpdate:
    return SegmentUpdate(
        segment=wanted,
        until=handed_over_at + timedelta(days=days),
        touch_id=touch.touch_id,
        handed_over_at=handed_over_at,
    )
