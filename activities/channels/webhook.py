"""The webhook channel: a signed HTTP request, at least once.

The receiver knows a touch by its `webhook-id`, which is the touch id, and treats a second request with
the same id as done. So a request that may have arrived is simply made again, and no claim is needed.

The request is a POST with a JSON body (`WebhookPayload`) and the headers of Standard Webhooks:
`webhook-id`, `webhook-timestamp` and `webhook-signature`.
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, HttpUrl, SecretStr
from pydantic_settings import SettingsConfigDict
from standardwebhooks import Webhook
from temporalio import activity

from activities.channels._contract import ChannelActivities, ChannelEnvironment, receipt_for
from activities.channels._http import Door
from activities.channels._idempotent import Line, hand_over_again
from activities.channels._settings import ChannelSettings
from domain import Frozen, Moment, Receipt, ReceiptStatus, Touch

_MIN_SECRET_BYTES = 24  # Standard Webhooks asks for 24 to 64 random bytes


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        raw = binascii.a2b_base64(text.removeprefix("whsec_") + "==", strict_mode=False)
    except binascii.Error:
        raw = b""
    if not text.startswith("whsec_") or len(raw) < _MIN_SECRET_BYTES:
        raise ValueError("write it as whsec_ and the base64 form of at least 24 random bytes")
    return value


class WebhookSettings(ChannelSettings):
    """Settings of the webhook channel, read from `TUTTI_WEBHOOK_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_WEBHOOK_")

    url: Annotated[
        HttpUrl, Field(description="the receiver's address, such as https://crm.example.com/touches")
    ]
    secret: Annotated[
        SecretStr,
        AfterValidator(_secret),
        Field(description="the signing secret shared with the receiver, whsec_..."),
    ]
    timeout_seconds: Annotated[
        float, Field(gt=0.0, le=600.0, description="seconds to wait for the receiver's answer, up to 600")
    ] = 20.0


class WebhookPayload(Frozen):
    """Body of the request that a receiver gets."""

    type: Literal["touch.handed_over"] = "touch.handed_over"
    timestamp: Moment
    """When the account handed the touch over: the same in every repetition of the request."""
    data: Touch


class WebhookChannel:
    """Posts touches to one receiver.

    Args:
        settings: The receiver and the shared secret.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = str(settings.url)
        self._webhook = Webhook(settings.secret.get_secret_value())
        self._door = Door("the webhook receiver", timeout_seconds=settings.timeout_seconds)

    async def hand_over(self, touch: Touch, line: Line) -> Receipt:
        """Post one touch.

        Args:
            touch: What the receiver shall do.
            line: Crossed right before the request.

        Returns:
            The receipt; a refusal for good is a receipt too.

        Raises:
            ApplicationError: Retryable; ledger or receiver cannot answer now. Carries the receiver's
                `Retry-After` as the delay of the next attempt.
        """
        if not (touch.touch_id.isascii() and touch.touch_id.isprintable()) or " " in touch.touch_id:
            return receipt_for(
                touch, ReceiptStatus.REJECTED, "Not sent: the touch id does not fit into an HTTP header."
            )
        payload = WebhookPayload(timestamp=activity.info().scheduled_time, data=touch)
        body = payload.model_dump_json()
        if (held := await line.cross()) is not None:
            return held
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": touch.touch_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(touch.touch_id, now, body),
        }
        answer = await self._door.ask("POST", self._url, headers=headers, body=body)
        return self._door.receipt(answer, touch, address="TUTTI_WEBHOOK_URL", provider_ref=touch.touch_id)


def build(environment: ChannelEnvironment, settings: WebhookSettings) -> ChannelActivities:
    """Build the channel's activities.

    Args:
        environment: Ledger and unsubscribe links; a webhook carries no link.
        settings: The receiver and the shared secret.

    Returns:
        The activity `hand_over`; whether a receiver can undo what it did is its own affair.
    """
    channel = WebhookChannel(settings)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await hand_over_again(environment.ledger, touch, channel.hand_over)

    return ChannelActivities(hand_over)
