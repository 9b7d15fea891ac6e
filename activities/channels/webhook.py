"""The webhook channel: a signed HTTP request, at least once.

The receiver knows a touch by its `webhook-id`, which is the touch id, and treats a second request with
the same id as done. So a request that may have arrived is simply made again, and no claim is needed.

The request is a POST with a JSON body (`WebhookPayload`) and the headers of Standard Webhooks:
`webhook-id`, `webhook-timestamp` and `webhook-signature`.
"""

from __future__ import annotations

import asyncio
import binascii
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

import httpx2 as httpx
from pydantic import AfterValidator, Field, HttpUrl, SecretStr
from pydantic_settings import SettingsConfigDict
from standardwebhooks import Webhook
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels._contract import (
    LEDGER_UNAVAILABLE,
    ChannelEnvironment,
    HandOver,
    bound_log,
    clean,
    heartbeats,
    preflight,
    receipt_for,
)
from activities.channels._settings import ChannelSettings
from domain import Frozen, Moment, Receipt, ReceiptStatus, Touch
from ledger import Ledger, LedgerError

RECEIVER_UNAVAILABLE = "ReceiverUnavailable"
"""Type of the retryable error that says: the receiver could not take the touch now."""

_MIN_SECRET_BYTES = 24  # Standard Webhooks asks for 24 to 64 random bytes
_KEPT_BYTES = 400
_LONGEST_RETRY_AFTER = timedelta(hours=1)
_TRY_LATER = frozenset({408, 425, 429})


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
        ledger: Asked for the last time before every request.
    """

    def __init__(self, settings: WebhookSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._webhook = Webhook(settings.secret.get_secret_value())
        # Reading the certificate store takes a while, so it is done once and not for every touch.
        self._tls = ssl.create_default_context()

    async def hand_over(self, touch: Touch, *, handed_over_at: datetime) -> Receipt:
        """Post one touch.

        Args:
            touch: What the receiver shall do.
            handed_over_at: When the account handed the touch over, aware.

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
        payload = WebhookPayload(timestamp=handed_over_at, data=touch)
        body = payload.model_dump_json()
        refusal = await self._last_check(touch)
        if refusal is not None:
            return refusal
        status, retry_after, text = await self._post(touch, body)
        return self._receipt(touch, status, retry_after, text)

    async def _last_check(self, touch: Touch) -> Receipt | None:
        try:
            return await preflight(self._ledger, touch)
        except LedgerError as error:
            raise ApplicationError(
                f"{error}; nothing was handed over, the check is made again", type=LEDGER_UNAVAILABLE
            ) from error

    async def _post(self, touch: Touch, body: str) -> tuple[int, str | None, str]:
        """Make the request; return status, `Retry-After` and the beginning of the answer."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": touch.touch_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(touch.touch_id, now, body),
        }
        patience = self._settings.timeout_seconds
        try:
            # The client's own time-out starts again with every byte; the outer one bounds the whole.
            async with (
                asyncio.timeout(patience),
                httpx.AsyncClient(verify=self._tls, timeout=patience, follow_redirects=False) as client,
                client.stream("POST", str(self._settings.url), content=body, headers=headers) as answer,
            ):
                kept = b""
                if not answer.is_success:
                    async for chunk in answer.aiter_bytes(_KEPT_BYTES):
                        kept = chunk[:_KEPT_BYTES]
                        break
                return answer.status_code, answer.headers.get("retry-after"), kept.decode(errors="replace")
        except (httpx.TransportError, TimeoutError, OSError) as error:
            bound_log(touch).warning("webhook.no_answer", error=type(error).__name__)
            raise ApplicationError(
                f"no answer from the webhook receiver ({type(error).__name__}); the request is made again",
                type=RECEIVER_UNAVAILABLE,
            ) from error

    def _receipt(self, touch: Touch, status: int, retry_after: str | None, text: str) -> Receipt:
        log = bound_log(touch)
        if httpx.codes.is_success(status):
            log.info("webhook.accepted", status=status)
            return receipt_for(touch, ReceiptStatus.ACCEPTED, f"HTTP {status}", provider_ref=touch.touch_id)
        if httpx.codes.is_server_error(status) or status in _TRY_LATER:
            delay = delay_of(retry_after, datetime.now(UTC))
            log.warning("webhook.try_later", status=status, delay=delay and delay.total_seconds())
            raise ApplicationError(
                f"the webhook receiver answered HTTP {status}; the request is made again",
                type=RECEIVER_UNAVAILABLE,
                next_retry_delay=delay,
            )
        log.info("webhook.refused", status=status)
        if httpx.codes.is_redirect(status):
            detail = f"HTTP {status}: redirects are not followed; set TUTTI_WEBHOOK_URL to the final address."
        else:
            detail = f"The webhook receiver refused: HTTP {status} {text}"
        return receipt_for(touch, ReceiptStatus.REJECTED, clean(detail))


def build(environment: ChannelEnvironment, settings: WebhookSettings) -> HandOver:
    """Build the channel's activity.

    Args:
        environment: Ledger and unsubscribe links; a webhook carries no link.
        settings: The receiver and the shared secret.

    Returns:
        The activity `hand_over`.
    """
    channel = WebhookChannel(settings, environment.ledger)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        async with heartbeats():
            return await channel.hand_over(touch, handed_over_at=activity.info().scheduled_time)

    return hand_over


def delay_of(retry_after: str | None, now: datetime) -> timedelta | None:
    """Read a `Retry-After` header.

    Args:
        retry_after: Seconds or an HTTP date; anything else counts as absent.
        now: The present moment, aware.

    Returns:
        How long to wait, at most an hour; None to leave it to the retry policy.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text), int(_LONGEST_RETRY_AFTER.total_seconds())))
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(wait, _LONGEST_RETRY_AFTER) if wait > timedelta(0) else None
