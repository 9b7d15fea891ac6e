"""What is known about an account: profile, buying group, signals, readings and the one assessment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import EmailStr, Field, StringConstraints

from domain._base import (
    CountryCode,
    Frozen,
    Identifier,
    LongText,
    Moment,
    Share,
    ShortText,
    ZoneName,
)
from domain._canonical import person_key
from domain._vocabulary import Consent, ConsentBasis, Role, SignalKind, Stage, SubscriberKind, Tier

FactName = Annotated[str, StringConstraints(max_length=64)]
FactText = Annotated[str, StringConstraints(max_length=1_000)]


class Account(Frozen):
    """The profile of one company."""

    type: Literal["account"] = "account"
    account_id: Identifier
    name: ShortText
    domain: ShortText | None = None
    country: CountryCode | None = None
    time_zone: ZoneName | None = None
    tier: Tier = Tier.THREE
    owner: ShortText | None = None
    """Login of the person who owns the account on our side."""
    sensitive: bool = False
    """Whether somebody has marked it as one to be careful with; approvals.yaml says what follows."""


class Contact(Frozen):
    """A person in the buying group of an account."""

    type: Literal["contact"] = "contact"
    contact_id: Identifier
    name: ShortText
    email: EmailStr | None = None
    role: Role = Role.UNKNOWN
    title: ShortText | None = None
    country: CountryCode | None = None
    time_zone: ZoneName | None = None
    consent: Consent = Consent.UNKNOWN
    consent_basis: ConsentBasis | None = None
    """What the permission rests on; None if nobody wrote it down."""
    consent_at: Moment | None = None
    """When the permission was given, or the purchase or inquiry it follows from was made."""
    subscriber: SubscriberKind = SubscriberKind.UNKNOWN
    phone: ShortText | None = None
    """In E.164 form, such as +4930123456."""
    opted_out_at: Moment | None = None
    """When the person objected; once set, no later profile clears it."""
    left_at: Moment | None = None
    """When the person left the company: nothing is addressed to them here any more. Once set, no later
    profile clears it; somebody who comes back is another contact."""

    @property
    def person_key(self) -> str | None:
        """Key of the person across accounts; None while no address is known."""
        return person_key(self.email) if self.email else None


class Reading(Frozen):
    """What one system concludes about the account."""

    system: Identifier
    stage: Stage
    urgency: Share
    """0 no hurry, 1 today."""
    confidence: Share
    observed_at: Moment
    note: ShortText | None = None


class Assessment(Frozen):
    """The one reconciled view of the account, with the dissent attached."""

    stage: Stage
    urgency: Share
    confidence: Share
    disagreement: Share
    """0: all readings agree on the stage; 1: they could not differ more."""
    dissent: tuple[Reading, ...] = ()
    """Readings whose stage is not the assessed one, in order of system name."""
    systems: int = 0
    """How many readings were weighed."""
    as_of: Moment


class Signal(Frozen):
    """A fact that a source system observed on the account."""

    type: Literal["signal"] = "signal"
    signal_id: Identifier
    """Unique within its source; a second signal with the same source and id changes nothing."""
    source: Identifier
    kind: SignalKind
    observed_at: Moment
    contact_id: Identifier | None = None
    reading: Reading | None = None
    """What the signal means, worked out at the door."""
    enters: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    """Plays that this kind of signal may start, worked out at the door; whether one does is decided later."""
    facts: Annotated[dict[FactName, FactText], Field(max_length=32)] = {}
    summary: ShortText | None = None


class PastTouch(Frozen):
    """A touch that a tool made outside Tutti; counted by caps, never executed."""

    type: Literal["past_touch"] = "past_touch"
    touch_id: Identifier
    source: Identifier
    channel: Identifier
    action: Identifier
    at: Moment
    contact_id: Identifier | None = None


Observation = Annotated[Signal | Account | Contact | PastTouch, Field(discriminator="type")]
"""One item of an `observe` batch."""


class SupportCase(Frozen):
    """A support case that is open."""

    case_id: Identifier
    severity: Annotated[int, Field(ge=1, le=4)]
    """1 is the most severe; a severity that nobody can read counts as 1."""
    opened_at: Moment
    reported_at: Moment
    """When its state was observed; an older report changes nothing any more."""


class Circumstances(Frozen):
    """What the account is going through, as far as rules may ask for it."""

    open_cases: tuple[SupportCase, ...] = ()
    """In order of case id."""
    closed_cases: dict[Identifier, Moment] = {}
    """Cases closed lately and when, so that an older report does not open them again."""
    latest: dict[SignalKind, Moment] = {}
    """When each kind of signal was last observed."""


class Hold(Frozen):
    """A person's freeze on the account: nothing is handed over while it stands."""

    hold_id: Identifier
    placed_by: ShortText
    reason: Annotated[LongText, StringConstraints(min_length=1, max_length=1_000)]
    placed_at: Moment
    expires_at: Moment | None = None
    """None: it stands until somebody releases it."""
