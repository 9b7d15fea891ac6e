"""frequency.yaml: how often a person or an account may be touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from domain import Identifier, ReasonCode, TouchRecord
from governance._builder import Builder
from governance._case import Case, Origin
from governance._fields import ConditionText, NotEmpty, PolicyModel, RuleId, Sentence, Window
from governance._limits import Limit, NotBefore, room_at
from governance.cel._conditions import Condition


class CapEntry(PolicyModel):
    """One cap."""

    id: RuleId
    per: Literal["contact", "account"]
    limit: int = Field(ge=1, le=1_000)
    window: Window
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    when: ConditionText | None = None
    message: Sentence


class FrequencyFile(PolicyModel):
    """The file as people write it."""

    caps: tuple[CapEntry, ...]
    operational: tuple[Identifier, ...] = ()
    """Actions that are service messages and no outreach."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """The compiled file."""

    caps: tuple[Cap, ...]
    operational: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` touches within any `window`."""

    origin: Origin
    per_contact: bool
    limit: int
    window: timedelta
    channels: frozenset[str] | None
    when: Condition | None

    def counts(self, touch: TouchRecord, contact_id: str | None) -> bool:
        """Tell whether a touch takes a place under this cap."""
        return (not self.per_contact or touch.contact_id == contact_id) and (
            self.channels is None or touch.channel in self.channels
        )


def build_frequency(file: FrequencyFile, builder: Builder) -> Frequency:
    """Compile the caps."""
    caps = []
    for index, entry in enumerate(file.caps):
        loc = ("caps", index)
        builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
        caps.append(
            Cap(
                builder.origin(loc, entry.id, entry.message),
                entry.per == "contact",
                entry.limit,
                entry.window,
                frozenset(entry.channels) if entry.channels is not None else None,
                builder.condition((*loc, "when"), entry.when),
            )
        )
    return Frequency(tuple(caps), frozenset(file.operational))


def applicable_caps(caps: tuple[Cap, ...], case: Case) -> tuple[Cap, ...]:
    """Return the caps that count the proposal's own touch."""
    proposal = case.candidate.proposal
    return tuple(
        cap
        for cap in caps
        if (not cap.per_contact or proposal.contact_id is not None)
        and (cap.channels is None or proposal.channel in cap.channels)
        and case.holds(cap.when, cap.origin)
    )


def cap_limits(
    caps: Sequence[Cap], contact_id: str | None, touches: Sequence[TouchRecord]
) -> Iterator[Limit]:
    """Yield a limit for each cap that is or was full."""
    for cap in caps:
        counted = [touch for touch in touches if cap.counts(touch, contact_id)]
        moment = room_at(counted, cap.limit, cap.window)
        if moment is not None:
            yield NotBefore(cap.origin, ReasonCode.FREQUENCY_CAP, moment)
