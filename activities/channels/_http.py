"""What channels over HTTP share: bounded requests, and what an answer means for a touch.

| answer | meaning |
|---|---|
| 2xx | accepted |
| 408, 425, 429, 5xx | not now: tried again soon, or after the moment that `Retry-After` names |
| 401 | the provider does not know us, which is not the touch's fault: undelivered |
| anything else | refused for good |

A 5xx may come after the provider has taken the touch. It is sent again all the same: the provider knows it by
its id and takes it once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

import httpx2 as httpx
import structlog
from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_core import from_json
from temporalio.exceptions import ApplicationError

from activities.channels._contract import bound_log, clean, receipt_for, without_addresses
from activities.channels._settings import ChannelSettings
from domain import ChannelFault, Frozen, Recall, Recalled, RecallStatus, Receipt, ReceiptStatus, Touch

SHORT_WAIT = timedelta(seconds=10)
"""Up to here a retry of the same attempt waits; beyond, the touch goes back to its account, which may have
something better to do meanwhile than to wait with its only touch in flight."""

_LONGEST_RETRY_AFTER = timedelta(hours=1)
_SECONDS_DIGITS = 9
_TRY_LATER = frozenset({408, 425, 429})
_TAKEN_BY_NOBODY = _TRY_LATER | {503}
_UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_KEPT_BYTES = 400
_NOTHING_THERE = frozenset({404, 409, 410, 412})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LONGEST_ANSWER = 4 * 1024 * 1024

_log = structlog.get_logger("tutti.channels")


@dataclass(frozen=True)
class Answer:
    """What a provider answered."""

    status: int
    retry_after: timedelta | None
    body: bytes
    """As much of it as was asked for; of a refusal the beginning."""

    @property
    def success(self) -> bool:
        """Whether the provider did what it was asked."""
        return httpx.codes.is_success(self.status)

    @property
    def words(self) -> str:
        """Status and beginning of the body, safe to keep."""
        said = self.body[:_KEPT_BYTES].decode(errors="replace")
        return clean(f"HTTP {self.status} {without_addresses(said)}")

    def field(self, name: str) -> str | None:
        """Read a text or a number from the body's JSON object; None if there is none."""
        try:
            found: Any = from_json(self.body)  # bounded in depth
        except ValueError:
            return None
        value = found.get(name) if isinstance(found, dict) else None
        return clean(str(value), limit=200) if isinstance(value, str | int) and value != "" else None


class Door:
    """The way to one provider over HTTP: one request at a time, bounded in time, never redirected.

    Args:
        name: What the provider is called in front of people, such as `the CRM`.
        timeout_seconds: How long a request may take as a whole.
    """

    def __init__(self, name: str, *, timeout_seconds: float) -> None:
        self.name = name
        self._patience = timeout_seconds
        # Reading the certificate store takes a while, so it is done once and not for every touch.
        self._tls = ssl.create_default_context()

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], body: str | None = None, read: int = 0
    ) -> Answer:
        """Make one request.

        Args:
            method: The HTTP method.
            url: The full address.
            headers: What to send besides the usual.
            body: What to send.
            read: How many bytes of a success are read; of a refusal the beginning always is.

        Raises:
            ApplicationError: Retryable; there was no answer in time.
        """
        try:
            # The client's own time-out starts again with every byte; the outer one bounds the whole.
            async with (
                asyncio.timeout(self._patience),
                httpx.AsyncClient(verify=self._tls, timeout=self._patience, follow_redirects=False) as client,
                client.stream(method, url, content=body, headers=dict(headers)) as answer,
            ):
                limit = read if answer.is_success else _KEPT_BYTES
                kept = bytearray()
                if limit:
                    async for chunk in answer.aiter_bytes():
                        kept += chunk
                        if len(kept) >= limit:
                            break
                delay = delay_of(answer.headers.get("retry-after"), datetime.now(UTC))
                return Answer(answer.status_code, delay, bytes(kept[:limit]))
        except (httpx.RequestError, TimeoutError, OSError) as error:
            kind = type(error).__name__
            _log.warning("channel.no_answer", provider=self.name, error=kind)
            # Without a connection nothing can have arrived; after that it may have, answer or no answer.
            fault = ChannelFault.RETRYABLE if isinstance(error, _UNCONNECTED) else ChannelFault.IN_DOUBT
            raise ApplicationError(
                f"no answer from {self.name} ({kind}); the request is made again", type=fault.value
            ) from error

    def not_before(self, answer: Answer) -> datetime | None:
        """Tell a provider that cannot now from one that will not.

        Returns:
            The moment from which the provider takes requests again, if that is more than `SHORT_WAIT` away;
            None if the answer is final.

        Raises:
            ApplicationError: Retryable; the request is worth repeating soon, after the delay that it carries.
        """
        if answer.status not in _TRY_LATER and not httpx.codes.is_server_error(answer.status):
            return None
        delay = answer.retry_after
        if delay is not None and delay > SHORT_WAIT:
            return datetime.now(UTC) + delay
        # A server that failed may have failed after it had taken the request.
        failed = answer.status not in _TAKEN_BY_NOBODY
        fault = ChannelFault.IN_DOUBT if failed else ChannelFault.RETRYABLE
        raise ApplicationError(
            f"{self.name} answered HTTP {answer.status}; the request is made again",
            type=fault.value,
            next_retry_delay=delay,
        )

    def receipt(self, answer: Answer, touch: Touch, *, address: str, provider_ref: str) -> Receipt:
        """Say what an answer means for a touch.

        Args:
            answer: What the provider answered.
            touch: What was handed over.
            address: The setting that holds the provider's address, for who has to correct it.
            provider_ref: The provider's name for the touch, if it took it.

        Raises:
            ApplicationError: Retryable; the provider cannot take the touch now.
        """
        log = bound_log(touch)
        if answer.success:
            log.info("channel.accepted", status=answer.status)
            return receipt_for(
                touch, ReceiptStatus.ACCEPTED, f"HTTP {answer.status}", provider_ref=provider_ref
            )
        if (moment := self.not_before(answer)) is not None:
            log.warning("channel.rate_limited", status=answer.status, until=moment.isoformat())
            late = receipt_for(
                touch, ReceiptStatus.UNDELIVERED, f"{self.name} takes nothing now: {answer.words}"
            )
            return late.model_copy(update={"retry_at": moment})
        log.info("channel.refused", status=answer.status)
        if httpx.codes.is_redirect(answer.status):
            detail = f"HTTP {answer.status}: redirects are not followed; set {address} to the final address."
        else:
            detail = f"{self.name} refused: {answer.words}"
        return receipt_for(touch, ReceiptStatus.REJECTED, detail[0].upper() + detail[1:])


class VendorSettings(ChannelSettings):
    """What every channel in front of a vendor's HTTP interface needs to know."""

    base_url: Annotated[
        HttpUrl, Field(description="the vendor's address, such as https://crm.example.com/api")
    ]
    token: Annotated[SecretStr, Field(min_length=1, description="the bearer token that the vendor gave us")]
    timeout_seconds: Annotated[
        float, Field(gt=0.0, le=600.0, description="seconds to wait for the vendor's answer, up to 600")
    ] = 20.0

    @field_validator("base_url")
    @classmethod
    def _not_in_the_clear(cls, value: HttpUrl) -> HttpUrl:
        if value.scheme != "https" and value.host not in _LOOPBACK:
            raise ValueError("it must begin with https://, because the token would travel in the clear")
        return value

    @classmethod
    def variable(cls, name: str) -> str:
        """Return the environment variable of a setting."""
        return f"{cls.model_config.get('env_prefix', '')}{name}".upper()


class Vendor:
    """A vendor with a bearer token, behind one base address.

    Args:
        name: What it is called in front of people, such as `the CRM`.
        settings: Where it is, and the token.
    """

    def __init__(self, name: str, settings: VendorSettings) -> None:
        self.name = name
        self._settings = settings
        self._base = str(settings.base_url).rstrip("/")
        self._door = Door(name, timeout_seconds=settings.timeout_seconds)

    async def ask(
        self, method: str, path: str, body: Frozen | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Make one request with the token.

        Args:
            method: The HTTP method.
            path: What follows the base address, encoded.
            body: Sent as JSON.
            headers: What to send besides.

        Raises:
            ApplicationError: Retryable; there was no answer in time.
        """
        sent = {"authorization": f"Bearer {self._settings.token.get_secret_value()}", **(headers or {})}
        if body is not None:
            sent["content-type"] = "application/json"
        content = None if body is None else body.model_dump_json()
        return await self._door.ask(
            method, self._base + path, headers=sent, body=content, read=_LONGEST_ANSWER
        )

    def receipt(self, answer: Answer, touch: Touch, *, provider_ref: str) -> Receipt:
        """Say what an answer means for a touch.

        Raises:
            ApplicationError: Retryable; the vendor cannot take the touch now.
        """
        if answer.status == HTTPStatus.UNAUTHORIZED:
            bound_log(touch).error("channel.unauthorized")
            return receipt_for(touch, ReceiptStatus.UNDELIVERED, self._stranger())
        return self._door.receipt(
            answer, touch, address=self._settings.variable("base_url"), provider_ref=provider_ref
        )

    def recalled(self, answer: Answer, recall: Recall) -> Recalled:
        """Say what an answer means for a touch that is taken back.

        Raises:
            ApplicationError: Retryable; the vendor cannot do it now.
        """
        if answer.success:
            return recalled_for(recall, RecallStatus.RECALLED, f"HTTP {answer.status}")
        if answer.status in _NOTHING_THERE:
            return recalled_for(
                recall, RecallStatus.GONE, f"There is nothing to take back any more: {answer.words}"
            )
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return recalled_for(recall, RecallStatus.FAILED, self._stranger())
        if (moment := self._door.not_before(answer)) is not None:
            detail = f"{self.name} takes nothing before {moment:%Y-%m-%d %H:%M:%S} UTC."
            return recalled_for(recall, RecallStatus.FAILED, detail[0].upper() + detail[1:])
        detail = f"{self.name} refused: {answer.words}"
        return recalled_for(recall, RecallStatus.IMPOSSIBLE, detail[0].upper() + detail[1:])

    def _stranger(self) -> str:
        return f"HTTP 401: {self.name} does not know us; look at {self._settings.variable('token')}."


def recalled_for(recall: Recall, status: RecallStatus, detail: str) -> Recalled:
    """Make the answer to a recall with the present moment; the detail is cleaned and cut to length."""
    return Recalled(touch_id=recall.touch_id, status=status, at=datetime.now(UTC), detail=clean(detail))


def segment(text: str) -> str:
    """Encode a text as one segment of a path; also fit for a header."""
    return quote(text, safe="")


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
        # A provider may write more digits than Python turns into a number.
        wait = _LONGEST_RETRY_AFTER if len(text) > _SECONDS_DIGITS else timedelta(seconds=int(text))
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(wait, _LONGEST_RETRY_AFTER) if wait > timedelta(0) else None
