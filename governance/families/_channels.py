"""channels.yaml: the ways to touch somebody."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from domain import (
    HAND_OVER_ATTEMPTS,
    LONGEST_FLIGHT,
    Delivery,
    Handover,
    Identifier,
    Medium,
    ReasonCode,
    Reversibility,
    ShortText,
    Verdict,
)
from governance._builder import Builder
from governance._case import Case, Channel, Origin
from governance._fields import Duration, NotEmpty, PolicyModel
from governance.content import PLACEHOLDER, Part


class Need(StrEnum):
    """What a channel must know of the person."""

    EMAIL = "email"
    PHONE = "phone"
    NOTHING = "nothing"


class ContentNeeds(PolicyModel):
    """What the content of a play must have to go over the channel."""

    parts: tuple[Part, ...] = ()
    """Parts it must have: subject, text, html or fields."""
    placeholders: tuple[Identifier, ...] = ()
    """What its html, if it has one, must leave to the channel, such as unsubscribe_url."""


class ChannelEntry(PolicyModel):
    """One channel."""

    name: Identifier
    medium: Medium
    """What it is to the law and to the person: consent and quiet hours go by it."""
    reversibility: Reversibility
    """Whether its touches can be taken back."""
    task_queue: ShortText = Field(min_length=1)
    delivery: Delivery
    schedule_to_start: Duration
    start_to_close: Duration
    heartbeat: Duration
    retry_after: Duration
    needs: Need
    content: ContentNeeds = ContentNeeds()
    """What contents of plays must have for it."""
    recall: bool = False
    """Whether its worker can take a touch back."""
    per_second: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    """How many touches it takes per second, over all its workers. Left out: any number."""


class ChannelsFile(PolicyModel):
    """The file as people write it."""

    channels: Annotated[tuple[ChannelEntry, ...], NotEmpty]


def build_channels(file: ChannelsFile, builder: Builder) -> dict[str, Channel]:
    """Check the file and tell the other families which channels exist."""
    builder.roll.channels = frozenset(entry.name for entry in file.channels)
    channels: dict[str, Channel] = {}
    for index, entry in enumerate(file.channels):
        loc = ("channels", index, "name")
        if entry.name in channels:
            builder.reject(loc, f"the channel {entry.name!r} is listed twice", code="duplicate-id")
        place = builder.document.place(loc)
        origin = Origin(
            f"channels.{entry.name}",
            builder.family,
            f"What the channel {entry.name} needs to know of the person.",
            place.file,
            place.line,
        )
        handover = Handover(
            task_queue=entry.task_queue,
            delivery=entry.delivery,
            schedule_to_start_seconds=entry.schedule_to_start.total_seconds(),
            start_to_close_seconds=entry.start_to_close.total_seconds(),
            heartbeat_seconds=entry.heartbeat.total_seconds(),
            retry_after_seconds=entry.retry_after.total_seconds(),
            recalls=entry.recall,
        )
        builder.all_known(
            ("channels", index, "content", "placeholders"),
            entry.content.placeholders,
            {PLACEHOLDER},
            "placeholder",
        )
        if entry.heartbeat > entry.start_to_close:
            builder.reject(
                ("channels", index, "heartbeat"),
                "an attempt is over before its worker would count as lost; it must not be longer than "
                "start_to_close",
            )
        if handover.longest > LONGEST_FLIGHT:
            builder.reject(
                ("channels", index, "start_to_close"),
                "a touch could be on its way for longer than a day: schedule_to_start and "
                f"{HAND_OVER_ATTEMPTS} times start_to_close must stay well below",
            )
        channels[entry.name] = Channel(
            name=entry.name,
            medium=entry.medium,
            reversibility=entry.reversibility,
            needs_email=entry.needs is Need.EMAIL,
            needs_phone=entry.needs is Need.PHONE,
            handover=handover,
            origin=origin,
            content_parts=tuple(part.value for part in entry.content.parts),
            placeholders=entry.content.placeholders,
            per_second=entry.per_second,
        )
    return channels


def apply_channel(case: Case) -> None:
    """Deny what the channel cannot reach."""
    channel, contact = case.channel, case.contact
    if channel.needs_email and (contact is None or contact.email is None):
        _deny(case, "e-mail address")
    if channel.needs_phone and (contact is None or contact.phone is None):
        _deny(case, "telephone number")


def _deny(case: Case, missing: str) -> None:
    channel = case.channel
    message = (
        f"The contact {case.contact.contact_id} has no {missing}, and {channel.name} needs one."
        if case.contact
        else f"The channel {channel.name} addresses a person, and the proposal names none."
    )
    case.hits.append(channel.origin.hit(Verdict.DENY, ReasonCode.UNREACHABLE_CONTACT, message=message))
