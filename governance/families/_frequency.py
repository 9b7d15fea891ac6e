"""frequency.yaml: how often a person, an account, a channel or everybody together may be touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from domain import Identifier, Proposal, ReasonCode, TouchRecord
from governance._builder import Builder, Loc
from governance._case import Case, Origin
from governance._fields import ConditionText, NotEmpty, PolicyModel, RuleEntry, Sentence, Window
from governance._limits import Limit, once, room_at, touches_of, waiting
from governance._shared import SharedLimit
from governance.cel._conditions import Condition


class Scope(StrEnum):
    """What is counted together."""

    CONTACT = "contact"
    ACCOUNT = "account"
    CHANNEL = "channel"
    TENANT = "tenant"


class Counted(StrEnum):
    """What a cap counts."""

    TOUCHES = "touches"
    NEW_CONTACTS = "new_contacts"


class Operational(StrEnum):
    """How a limit treats service messages."""

    EXEMPT = "exempt"
    COUNTED = "counted"
    CAPPED = "capped"


def _at_least_one(value: int) -> int:
    if value == 0:
        raise ValueError(
            "a cap of zero would stop everything without saying so; whoever must not be touched belongs into "
            "suppression.yaml, with a reason and an owner"
        )
    if value < 0:
        raise ValueError("must be at least 1")
    return value


class CapEntry(RuleEntry):
    """One cap."""

    per: Scope
    counts: Counted = Counted.TOUCHES
    limit: Annotated[
        int, AfterValidator(_at_least_one), Field(le=1_000_000, json_schema_extra={"minimum": 1})
    ]
    window: Window
    channels: Annotated[tuple[Identifier, ...], NotEmpty] | None = None
    operational: Operational = Operational.EXEMPT
    when: ConditionText | None = None
    message: Sentence


class FrequencyFile(PolicyModel):
    """The file as people write it."""

    caps: tuple[CapEntry, ...]
    operational: tuple[Identifier, ...] = ()
    """Actions that are service messages and no outreach."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """What service messages are spared.

    Attributes:
        spared: Actions that are never held back.
        uncounted: Actions whose touches take no place.
    """

    spared: frozenset[str]
    uncounted: frozenset[str]

    @classmethod
    def of(cls, way: Operational, actions: frozenset[str]) -> Exemption:
        """Return what a limit spares the listed actions."""
        nothing: frozenset[str] = frozenset()
        return cls(
            nothing if way is Operational.CAPPED else actions,
            actions if way is Operational.EXEMPT else nothing,
        )


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` touches of a person or an account within any `window`."""

    origin: Origin
    per_contact: bool
    limit: int
    window: timedelta
    channels: frozenset[str] | None
    when: Condition | None
    exemption: Exemption

    def counts(self, touch: TouchRecord, contact_id: str | None) -> bool:
        """Tell whether a touch takes a place under this cap."""
        return (
            (not self.per_contact or touch.contact_id == contact_id)
            and (self.channels is None or touch.channel in self.channels)
            and touch.action not in self.exemption.uncounted
        )

    def concerns(self, proposal: Proposal) -> bool:
        """Tell whether a proposal can be held back, whatever the condition says."""
        return (
            (not self.per_contact or proposal.contact_id is not None)
            and (self.channels is None or proposal.channel in self.channels)
            and proposal.action not in self.exemption.spared
        )

    def wait(self, case: Case, touches: Sequence[TouchRecord]) -> Limit | None:
        """Return the limit if the cap is full."""
        contact_id = case.candidate.proposal.contact_id if self.per_contact else None
        moment = once(
            touches, (self.origin.rule_id, contact_id), lambda: self._room_at(touches, contact_id, case.now)
        )
        return waiting(self.origin, ReasonCode.FREQUENCY_CAP, moment, case.now)

    def _room_at(
        self, touches: Sequence[TouchRecord], contact_id: str | None, now: datetime
    ) -> datetime | None:
        theirs, since = touches_of(touches, contact_id) if self.per_contact else touches, now - self.window
        counted = [touch for touch in theirs if touch.at > since and self.counts(touch, contact_id)]
        return room_at(counted, self.limit, self.window)


@dataclass(frozen=True, slots=True)
class NewContactCap:
    """At most `limit` people of an account are touched for the first time within any `window`.

    The first time is the earliest touch the account remembers (95 days back); with `channels`, the earliest
    one over these channels.
    """

    origin: Origin
    limit: int
    window: timedelta
    channels: frozenset[str] | None
    when: Condition | None
    exemption: Exemption

    def concerns(self, proposal: Proposal) -> bool:
        """Tell whether a proposal can be held back, whatever the condition and the past say."""
        return (
            proposal.contact_id is not None
            and (self.channels is None or proposal.channel in self.channels)
            and proposal.action not in self.exemption.spared
        )

    def wait(self, case: Case, touches: Sequence[TouchRecord]) -> Limit | None:
        """Return the limit if the person would be new and the cap is full."""
        first = once(touches, self.origin.rule_id, lambda: self._first(touches))
        if case.candidate.proposal.contact_id in first:
            return None
        moment = room_at(first.values(), self.limit, self.window)
        return waiting(self.origin, ReasonCode.FREQUENCY_CAP, moment, case.now)

    def _first(self, touches: Sequence[TouchRecord]) -> dict[str, TouchRecord]:
        """Return the earliest touch that counts of each person."""
        first: dict[str, TouchRecord] = {}
        for touch in touches:
            if (
                touch.contact_id is not None
                and (self.channels is None or touch.channel in self.channels)
                and touch.action not in self.exemption.uncounted
                and (touch.contact_id not in first or touch.at < first[touch.contact_id].at)
            ):
                first[touch.contact_id] = touch
        return first


@dataclass(frozen=True, slots=True)
class SharedCap:
    """At most so many touches over a channel, or in all, within any window and over all accounts."""

    origin: Origin
    limit: SharedLimit
    when: Condition | None
    exemption: Exemption

    def concerns(self, proposal: Proposal) -> bool:
        """Tell whether a proposal can be held back, whatever the condition says."""
        channels = self.limit.channels
        return (
            channels is None or proposal.channel in channels
        ) and proposal.action not in self.exemption.spared

    def wait(self, case: Case, touches: Sequence[TouchRecord]) -> Limit | None:  # noqa: ARG002 - the ledger counts
        """Return the limit if the ledger has named a moment; the touches of one account say nothing."""
        moment = self.limit.room_at(case)
        return waiting(self.origin, ReasonCode.FREQUENCY_CAP, moment, case.now)


AnyCap = Cap | NewContactCap | SharedCap


@dataclass(frozen=True, slots=True)
class Frequency:
    """The compiled file.

    Attributes:
        caps: Caps on touches of a person or an account.
        new_contacts: Caps on people of an account who hear from us for the first time.
        shared: Caps that all accounts share.
        operational: Actions that are service messages.
    """

    caps: tuple[Cap, ...]
    new_contacts: tuple[NewContactCap, ...]
    shared: tuple[SharedCap, ...]
    operational: frozenset[str]


def build_frequency(file: FrequencyFile, builder: Builder) -> Frequency:
    """Compile the caps."""
    builder.all_known(("operational",), file.operational, None, "action")
    operational = frozenset(file.operational)
    built = [_build(("caps", index), entry, operational, builder) for index, entry in enumerate(file.caps)]
    return Frequency(
        tuple(cap for cap in built if isinstance(cap, Cap)),
        tuple(cap for cap in built if isinstance(cap, NewContactCap)),
        tuple(cap for cap in built if isinstance(cap, SharedCap)),
        operational,
    )


def _build(loc: Loc, entry: CapEntry, operational: frozenset[str], builder: Builder) -> AnyCap:
    builder.all_known((*loc, "channels"), entry.channels or (), builder.roll.channels, "channel")
    origin = builder.origin(loc, entry.id, entry.message, entry.mode)
    channels = frozenset(entry.channels) if entry.channels is not None else None
    when = builder.condition((*loc, "when"), entry.when)
    exemption = Exemption.of(entry.operational, operational)
    if entry.counts is Counted.NEW_CONTACTS:
        if entry.per is not Scope.ACCOUNT:
            builder.reject((*loc, "per"), "new contacts are counted per account only; write per: account")
        return NewContactCap(origin, entry.limit, entry.window, channels, when, exemption)
    if entry.per in (Scope.CONTACT, Scope.ACCOUNT):
        per_contact = entry.per is Scope.CONTACT
        return Cap(origin, per_contact, entry.limit, entry.window, channels, when, exemption)
    if entry.per is Scope.CHANNEL and channels is None:
        builder.reject(
            (*loc, "per"), "a cap per channel needs `channels`; each of them is counted on its own"
        )
    limit = SharedLimit(
        origin,
        entry.id,
        entry.window,
        touches=entry.limit,
        channels=channels,
        each_channel=entry.per is Scope.CHANNEL,
        uncounted=exemption.uncounted,
    )
    return SharedCap(origin, limit, when, exemption)


def applicable_caps(frequency: Frequency, case: Case) -> tuple[AnyCap, ...]:
    """Return the caps that can hold the proposal back, after denying it where one cannot be applied."""
    proposal = case.candidate.proposal
    caps: Iterable[AnyCap] = (*frequency.caps, *frequency.new_contacts, *frequency.shared)
    found = tuple(cap for cap in caps if cap.concerns(proposal) and case.holds(cap.when, cap.origin))
    case.hits.extend(
        cap.limit.unknown() for cap in found if isinstance(cap, SharedCap) and cap.limit.room_at(case) is None
    )
    return found


def cap_limits(caps: Sequence[AnyCap], case: Case, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    """Yield a limit for each cap that is full."""
    for cap in caps:
        limit = cap.wait(case, touches)
        if limit is not None:
            yield limit


def shared_limits(caps: Sequence[AnyCap]) -> tuple[SharedLimit, ...]:
    """Return those of the caps that bind and that all accounts share."""
    return tuple(cap.limit for cap in caps if isinstance(cap, SharedCap) and not cap.origin.log_only)
