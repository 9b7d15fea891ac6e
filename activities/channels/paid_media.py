"""The audience channel: adds people and companies to an advertising platform's audience, many in one request.

Touches that come within a short time become one `POST {base}/v1/audiences/{audience}/members:batch`, with one
result for each. The platform knows an operation by its touch, so one that may have arrived is sent again. A
person goes as the hash of the address, a company by its domain; no address leaves this process in the clear.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import unquote

from pydantic import ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from pydantic_settings import SettingsConfigDict
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.channels._batching import Batches
from activities.channels._contract import (
    ChannelActivities,
    ChannelEnvironment,
    clean,
    heartbeats,
    receipt_for,
    without_addresses,
)
from activities.channels._http import Answer, Vendor, VendorSettings, recalled_for, segment
from activities.channels._idempotent import Line, hand_over_again
from domain import (
    ChannelFault,
    Frozen,
    Identifier,
    Recall,
    Recalled,
    RecallStatus,
    Receipt,
    ReceiptStatus,
    ShortText,
    Touch,
)

FRESH_SECONDS = 1.0
"""How old the first answer about a batch may become while the others are asked about: a kill switch counts
within five seconds."""

_ASKED_AT_ONCE = 50
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_AUDIENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,79}")
_WHOLE_BATCH = frozenset({400, 413, 422})
"""Refusals that one bad member may have brought upon all."""


class Matching(StrEnum):
    """How a platform wants an address written before it is hashed."""

    GOOGLE = "google"
    """Lower case, no spaces around, no dots before `@gmail.com` and `@googlemail.com` (Customer Match)."""
    META = "meta"
    """Lower case, no spaces around (custom audiences); LinkedIn and X ask for the same."""


class PaidMediaSettings(VendorSettings):
    """Settings of the audience channel, read from `TUTTI_PAID_MEDIA_*`."""

    model_config = SettingsConfigDict(env_prefix="TUTTI_PAID_MEDIA_")

    matching: Annotated[
        Matching, Field(description="how addresses are written before they are hashed, google or meta")
    ] = Matching.GOOGLE
    batch_seconds: Annotated[
        float, Field(ge=0.0, le=60.0, description="seconds that a batch waits for more members, up to 60")
    ] = 0.5
    batch_members: Annotated[
        int, Field(ge=1, le=10_000, description="how many members one request takes, up to 10000")
    ] = 1_000


class Operation(StrEnum):
    """What is done with a member."""

    ADD = "add"
    REMOVE = "remove"


class MemberType(StrEnum):
    """What a member is known by."""

    EMAIL_SHA256 = "email_sha256"
    DOMAIN = "domain"


class Member(Frozen):
    """A person or a company, as a platform matches it."""

    type: MemberType
    value: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """64 hexadecimal digits, or a domain in lower case."""


class MemberOperation(Frozen):
    """One line of a batch."""

    op: Operation
    id: ShortText
    """The touch. A member stays in the audience while any touch that added it has not been removed."""
    account_id: Identifier
    member: Member | None = None
    """Who is added."""
    member_id: ShortText | None = None
    """Who is removed, in the platform's own words, if it said."""


class MembersBatch(Frozen):
    """Body of the request."""

    operations: tuple[MemberOperation, ...]


class MemberStatus(StrEnum):
    """What the platform says about one operation."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """For good: nobody matches, or the member may not be targeted."""
    FAILED = "failed"
    """Not this time."""
    GONE = "gone"
    """There is nothing to remove."""


class MemberResult(Frozen):
    """What the platform says about one operation; fields that we do not know are ignored."""

    model_config = ConfigDict(extra="ignore")

    id: ShortText
    status: MemberStatus
    member_id: Annotated[ShortText, StringConstraints(max_length=50)] | None = None
    detail: str | None = None


class BatchResults(Frozen):
    """Body of the platform's answer: one result for each operation, in any order."""

    model_config = ConfigDict(extra="ignore")

    results: tuple[MemberResult, ...]


@dataclass(frozen=True)
class _Entry:
    """One operation that waits for its batch."""

    operation: MemberOperation
    line: Line | None = None
    """Crossed before the request; None for what is taken back, which nothing stops."""


_Said = MemberResult | Answer | Receipt
"""About one operation: its own result, the refusal of the whole request, or what kept it back."""


class PaidMediaChannel:
    """Adds members to audiences and removes them, in batches.

    Args:
        settings: Where the platform is, the token, and how large batches are.
    """

    def __init__(self, settings: PaidMediaSettings) -> None:
        self._settings = settings
        self._platform = Vendor("the advertising platform", settings)
        self._batches: Batches[_Entry, _Said] = Batches(
            self._send,
            window=timedelta(seconds=settings.batch_seconds),
            limit=settings.batch_members,
        )

    async def hand_over(self, touch: Touch, line: Line) -> Receipt:
        """Add the touch's person, or its account, to an audience.

        Args:
            touch: `fields` holds `audience`. The recipient's address says who is added; without a recipient
                the company's domain in the field `domain` does.
            line: Crossed right before the request of the batch.

        Raises:
            ApplicationError: Retryable; ledger or platform cannot answer now.
        """
        audience = touch.fields.get("audience")
        if not audience:
            return receipt_for(touch, ReceiptStatus.REJECTED, "Not sent: the field audience is missing.")
        if not _AUDIENCE.fullmatch(audience):
            return receipt_for(
                touch,
                ReceiptStatus.REJECTED,
                "Not sent: the field audience is no id of at most 80 letters, digits and . _ : / + -.",
            )
        member = self._member(touch)
        if isinstance(member, str):
            return receipt_for(touch, ReceiptStatus.REJECTED, f"Not sent: {member}.")
        operation = MemberOperation(
            op=Operation.ADD, id=touch.touch_id, account_id=touch.account_id, member=member
        )
        said = await self._batches.put(audience, _Entry(operation, line))
        match said:
            case Receipt():
                return said
            case Answer():
                return self._platform.receipt(said, touch, provider_ref=touch.touch_id)
            case MemberResult(status=MemberStatus.ACCEPTED):
                return receipt_for(
                    touch,
                    ReceiptStatus.ACCEPTED,
                    "added to the audience",
                    provider_ref=f"{segment(audience)}/{said.member_id or ''}",
                )
            case MemberResult():
                self._raise_if_later(said)
                return receipt_for(
                    touch,
                    ReceiptStatus.REJECTED,
                    f"The advertising platform refused the member: {_words_of(said)}",
                )

    async def recall(self, recall: Recall) -> Recalled:
        """Remove what the touch added; the member stays if another touch added it, too.

        Raises:
            ApplicationError: Retryable; the platform cannot answer now.
        """
        audience, found, member_id = (recall.provider_ref or "").partition("/")
        if not found:
            return recalled_for(
                recall,
                RecallStatus.IMPOSSIBLE,
                "The receipt of the touch does not say which audience it was.",
            )
        operation = MemberOperation(
            op=Operation.REMOVE,
            id=recall.touch_id,
            account_id=recall.account_id,
            member_id=member_id or None,
        )
        said = await self._batches.put(unquote(audience), _Entry(operation))
        match said:
            case Answer():
                return self._platform.recalled(said, recall)
            case MemberResult(status=MemberStatus.ACCEPTED):
                return recalled_for(recall, RecallStatus.RECALLED, "removed from the audience")
            case MemberResult(status=MemberStatus.GONE):
                return recalled_for(recall, RecallStatus.GONE, "The audience has no such member any more.")
            case MemberResult():
                self._raise_if_later(said)
                return recalled_for(
                    recall,
                    RecallStatus.IMPOSSIBLE,
                    f"The advertising platform refused: {_words_of(said)}",
                )
            case Receipt():  # only what is handed over can be kept back
                raise TypeError("a recall cannot be kept back")

    def _member(self, touch: Touch) -> Member | str:
        """Return who is to be added, or the reason why nobody can be."""
        if touch.recipient is not None:
            if not touch.recipient.email:
                return "the contact has no e-mail address"
            digest = address_hash(touch.recipient.email, self._settings.matching)
            return Member(type=MemberType.EMAIL_SHA256, value=digest)
        domain = touch.fields.get("domain", "").strip().lower().rstrip(".")
        if not domain:
            return "there is no contact, and the field domain is missing"
        if not _DOMAIN.fullmatch(domain):
            return "the field domain is no domain like example.com"
        return Member(type=MemberType.DOMAIN, value=domain)

    @staticmethod
    def _raise_if_later(result: MemberResult) -> None:
        if result.status is MemberStatus.FAILED:
            raise ApplicationError(
                clean(
                    f"the advertising platform failed for this member ({_words_of(result)}); it is sent again"
                ),
                type=ChannelFault.RETRYABLE.value,
            )

    async def _send(self, audience: str, entries: Sequence[_Entry]) -> list[_Said | Exception]:
        """Ask for the last time about each touch, then make a request for those that may go.

        It is one request, unless the ledger is so slow that the first answers would be old by then.
        """
        said: list[_Said | Exception] = []
        while len(said) < len(entries):
            held = await _cross(entries[len(said) :])
            asked = entries[len(said) : len(said) + len(held)]
            going = [entry for entry, kept in zip(asked, held, strict=True) if kept is None]
            answers = iter(await self._post(audience, going) if going else ())
            said += [next(answers) if kept is None else kept for kept in held]
        return said

    async def _post(self, audience: str, entries: Sequence[_Entry]) -> list[_Said | Exception]:
        """Make the request; one that is refused as a whole is halved until the culprit stands alone.

        Each half is asked about again: requests take their time, and a kill switch counts meanwhile.
        """
        batch = MembersBatch(operations=tuple(entry.operation for entry in entries))
        try:
            answer = await self._platform.ask(
                "POST", f"/v1/audiences/{segment(audience)}/members:batch", batch
            )
        except ApplicationError as error:
            return [error] * len(entries)
        if answer.success:
            return _results(answer, entries)
        if answer.status in _WHOLE_BATCH and len(entries) > 1:
            middle = len(entries) // 2
            first = await self._send(audience, entries[:middle])
            return first + await self._send(audience, entries[middle:])
        return [answer] * len(entries)


def build(environment: ChannelEnvironment, settings: PaidMediaSettings) -> ChannelActivities:
    """Build the channel's activities.

    Args:
        environment: Ledger and unsubscribe links; an audience carries no link.
        settings: Where the platform is, the token, and how large batches are.
    """
    channel = PaidMediaChannel(settings)

    @activity.defn(name="hand_over")
    async def hand_over(touch: Touch) -> Receipt:
        return await hand_over_again(environment.ledger, touch, channel.hand_over)

    @activity.defn(name="recall")
    async def recall(recall: Recall) -> Recalled:
        async with heartbeats():
            return await channel.recall(recall)

    # A worker that carried out fewer at once could never fill a batch.
    return ChannelActivities(hand_over, recall, at_once=settings.batch_members)


def address_hash(email: str, matching: Matching) -> str:
    """Return the SHA-256 of an address in the form that a platform matches, as 64 hexadecimal digits."""
    local, _, domain = email.strip().lower().rpartition("@")
    if matching is Matching.GOOGLE and domain in _GMAIL:
        local = local.replace(".", "")
    return hashlib.sha256(f"{local}@{domain}".encode()).hexdigest()


async def _cross(entries: Sequence[_Entry]) -> list[Receipt | ApplicationError | None]:
    """Ask about entries, in order, for as long as the first answer is fresh."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + FRESH_SECONDS
    held: list[Receipt | ApplicationError | None] = []
    while len(held) < len(entries) and (not held or clock.time() < deadline):
        group = entries[len(held) : len(held) + _ASKED_AT_ONCE]
        held += await asyncio.gather(*(_cross_one(entry) for entry in group))
    return held


async def _cross_one(entry: _Entry) -> Receipt | ApplicationError | None:
    if entry.line is None:
        return None
    try:
        return await entry.line.cross()
    except ApplicationError as error:
        return error


def _results(answer: Answer, entries: Sequence[_Entry]) -> list[_Said | Exception]:
    """Find each operation's result; one without a result that can be read counts as not done."""
    found: dict[str, MemberResult] = {}
    for given in _listed(answer.body):
        with suppress(ValidationError):
            result = MemberResult.model_validate(given)
            found[result.id] = result
    missing = ApplicationError(
        "the advertising platform did not say what became of this member; it is sent again",
        type=ChannelFault.IN_DOUBT.value,
    )
    return [found.get(entry.operation.id, missing) for entry in entries]


def _words_of(result: MemberResult) -> str:
    return without_addresses(result.detail or result.status.value)


def _listed(body: bytes) -> list[object]:
    """Return what stands under `results`, whatever that is."""
    try:
        said = from_json(body)
    except ValueError:
        return []
    results = said.get("results") if isinstance(said, dict) else None
    return results if isinstance(results, list) else []
