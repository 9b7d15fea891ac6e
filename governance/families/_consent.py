"""consent.yaml: whom we may not contact, and which law asks for permission first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from domain import Consent, ConsentBasis, Contact, Medium, ReasonCode, ShortText, SubscriberKind, Verdict
from governance._builder import Builder, Loc
from governance._case import Case, Origin
from governance._fields import ConditionText, Duration, NotEmpty, PolicyModel, RuleEntry, Sentence
from governance._zones import zones_of
from governance.cel._conditions import Condition

ANYWHERE = "any"
_CLASSES = (SubscriberKind.CORPORATE, SubscriberKind.INDIVIDUAL)
_OFTEN_MEANT = {"UK": "GB", "EL": "GR"}
"""Codes that are no countries of ISO 3166-1, and what their writers mean."""
_WITHDRAWN = Origin("engine.consent_withdrawn", "consent", "The person withdrew their consent.")
_NO_RULE = Origin(
    "engine.no_permission_rule", "consent", "No rule says that people may be addressed this way."
)


def _country_or_any(value: str) -> str:
    if value != ANYWHERE and not (len(value) == 2 and value.isascii() and value.isupper()):  # noqa: PLR2004
        raise ValueError(f"{value!r} is no country code; write two capital letters such as DE, or {ANYWHERE}")
    return value


Country = Annotated[str, AfterValidator(_country_or_any)]
"""ISO 3166-1 alpha-2 in capital letters, or `any` for every country."""

Source = Annotated[ShortText, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
"""Where a rule comes from, so that somebody can look it up: a paragraph, a contract, a person."""

Regime = Literal["opt_in", "opt_out"]
"""`opt_in`: only with one of the accepted permissions. `opt_out`: until the person objects."""


class AcceptanceEntry(PolicyModel):
    """One permission that is enough."""

    consent: Literal["granted", "implied"]
    basis: ConsentBasis | None = None
    """What it must rest on; anything if left out."""
    not_older_than: Duration | None = None
    """How long it lasts from the day it was given, bought or asked; for ever if left out."""


class JurisdictionEntry(RuleEntry):
    """What one law asks for."""

    countries: Annotated[tuple[Country, ...], NotEmpty]
    media: Annotated[tuple[Medium, ...], NotEmpty]
    subscribers: Annotated[tuple[Literal["corporate", "individual"], ...], NotEmpty] | None = None
    """Whom the law sees behind the address; both if left out."""
    regime: Regime
    accepts: tuple[AcceptanceEntry, ...] = ()
    """For `opt_in`: any of these is enough."""
    source: Source
    message: Sentence


class ConsentEntry(RuleEntry):
    """One rule of our own."""

    when: ConditionText
    then: Literal["deny", "suppress"]
    reason: Literal["CONSENT_MISSING", "SUPPRESSED"]
    message: Sentence


class ConsentFile(PolicyModel):
    """The file as people write it."""

    jurisdictions: tuple[JurisdictionEntry, ...]
    no_permission_needed: tuple[Medium, ...] = ()
    """Media over which people may be addressed unasked, until they object."""
    rules: tuple[ConsentEntry, ...]


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """A rule of our own that ends a proposal."""

    origin: Origin
    when: Condition | None
    effect: Verdict
    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """What one law asks for.

    Attributes:
        origin: Where it stands.
        countries: Where it holds; None for everywhere.
        subscribers: For whom it holds.
        accepts: The permissions of which one must be on record; None where an objection is awaited.
        source: The law.
    """

    origin: Origin
    countries: frozenset[str] | None
    subscribers: frozenset[SubscriberKind]
    accepts: tuple[AcceptanceEntry, ...] | None
    source: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """The compiled file.

    Attributes:
        by_medium: The jurisdictions of each medium, in the order of the file.
        free: Media for which no permission is needed.
        rules: Rules of our own.
    """

    by_medium: Mapping[Medium, tuple[Jurisdiction, ...]]
    free: frozenset[Medium]
    rules: tuple[ConsentRule, ...]


def build_consent(file: ConsentFile, builder: Builder) -> Permissions:
    """Compile the file."""
    free = [medium.value for medium in file.no_permission_needed]
    builder.all_known(("no_permission_needed",), free, free, "medium")
    by_medium: dict[Medium, list[Jurisdiction]] = {}
    for index, entry in enumerate(file.jurisdictions):
        jurisdiction = _jurisdiction(("jurisdictions", index), entry, free, builder)
        for medium in dict.fromkeys(entry.media):
            by_medium.setdefault(medium, []).append(jurisdiction)
    rules = tuple(
        ConsentRule(
            builder.origin(("rules", index), entry.id, entry.message, entry.mode),
            builder.condition(("rules", index, "when"), entry.when),
            Verdict(entry.then),
            ReasonCode(entry.reason),
        )
        for index, entry in enumerate(file.rules)
    )
    return Permissions(
        MappingProxyType({medium: tuple(entries) for medium, entries in by_medium.items()}),
        frozenset(file.no_permission_needed),
        rules,
    )


def _jurisdiction(loc: Loc, entry: JurisdictionEntry, free: Sequence[str], builder: Builder) -> Jurisdiction:
    for index, country in enumerate(entry.countries):
        _check_country((*loc, "countries", index), country, builder)
    media = [medium.value for medium in entry.media]
    for name, values in (
        ("countries", entry.countries),
        ("media", media),
        ("subscribers", entry.subscribers),
    ):
        builder.all_known((*loc, name), values or (), values, name)
    for index, medium in enumerate(media):
        if medium in free:
            message = (
                f"{medium!r} is listed under no_permission_needed as well; take it out of one of the two"
            )
            builder.reject((*loc, "media", index), message, code="contradiction")
    if entry.regime == "opt_in" and not entry.accepts:
        builder.reject(
            (*loc, "regime"), "opt_in needs `accepts`: which consent is enough", code="missing-key"
        )
    if entry.regime == "opt_out" and entry.accepts:
        builder.reject(
            (*loc, "accepts"),
            "opt_out asks for no permission; leave `accepts` out, or write regime: opt_in",
            code="contradiction",
        )
    return Jurisdiction(
        builder.origin(loc, entry.id, entry.message, entry.mode),
        None if ANYWHERE in entry.countries else frozenset(entry.countries),
        frozenset(SubscriberKind(each) for each in entry.subscribers or _CLASSES),
        entry.accepts if entry.regime == "opt_in" else None,
        entry.source,
    )


def _check_country(loc: Loc, country: str, builder: Builder) -> None:
    if country == ANYWHERE or zones_of(country):
        return
    message = f"there is no country {country!r}; the codes are those of ISO 3166-1, such as DE, GB, US"
    builder.reject(loc, message, code="unknown-name", suggestion=_OFTEN_MEANT.get(country))


def apply_consent(permissions: Permissions, case: Case) -> None:
    """Collect every rule and every law that ends the proposal.

    A proposal without a contact addresses nobody, so that no law speaks about it.
    """
    case.hits.extend(
        rule.origin.hit(rule.effect, rule.reason)
        for rule in permissions.rules
        if case.holds(rule.when, rule.origin)
    )
    contact, medium = case.contact, case.channel.medium
    if contact is None:
        return
    if contact.consent is Consent.WITHDRAWN:
        case.hits.append(_WITHDRAWN.hit(Verdict.DENY, ReasonCode.CONSENT_MISSING))
    if medium in permissions.free:
        return
    entries = permissions.by_medium.get(medium, ())
    binding = tuple(entry for entry in entries if not entry.origin.log_only)
    if not binding:
        message = f"No rule of consent.yaml says that people may be addressed over {medium.value}."
        case.hits.append(_NO_RULE.hit(Verdict.DENY, ReasonCode.CONSENT_MISSING, message=message))
    _judge(binding, case, contact)
    if len(binding) < len(entries):
        # What is only tried out is judged as if it held, and loosens nothing for those that do.
        _judge(entries, case, contact, log_only=True)


def _judge(entries: Sequence[Jurisdiction], case: Case, contact: Contact, *, log_only: bool = False) -> None:
    said = contact.country or case.account.country
    # A code that is no country, such as UK, says as little as none.
    country = said if said is not None and zones_of(said) else None
    matching = _matching(entries, country, contact.subscriber)
    scope = ""
    if matching is None:
        scope = (
            f"No rule is written for {said}, so the strictest one counts."
            if said is not None
            else "The country is unknown, so the strictest rule counts."
        )
    for entry in entries if matching is None else matching:
        if entry.origin.log_only is log_only and (why := _lacking(entry, contact, case.now)) is not None:
            parts = (entry.origin.message, why, scope, f"({entry.source})")
            case.hits.append(
                entry.origin.hit(
                    Verdict.DENY, ReasonCode.CONSENT_MISSING, message=" ".join(part for part in parts if part)
                )
            )


def _matching(
    entries: Sequence[Jurisdiction], country: str | None, subscriber: SubscriberKind
) -> list[Jurisdiction] | None:
    """Return the entries written for a person, or None if for one class that they may be in there is none."""
    classes = _CLASSES if subscriber is SubscriberKind.UNKNOWN else (subscriber,)
    # Nothing is written for an unknown country, not even what holds everywhere.
    there = (
        []
        if country is None
        else [each for each in entries if each.countries is None or country in each.countries]
    )
    if not all(any(each in entry.subscribers for entry in there) for each in classes):
        return None
    return [entry for entry in there if not entry.subscribers.isdisjoint(classes)]


def _lacking(entry: Jurisdiction, contact: Contact, now: datetime) -> str | None:
    """Return what is missing for a law; None if it is satisfied."""
    if contact.consent is Consent.WITHDRAWN:
        return "The person withdrew their consent."
    if entry.accepts is None:
        return None
    shortfalls = [_shortfall(acceptance, contact, now) for acceptance in entry.accepts]
    if any(shortfall is None for shortfall in shortfalls):
        return None
    # A permission that once was enough tells more than one that never was, and the last to end most of all.
    return max((each for each in shortfalls if each is not None), default=(0, ""))[1]


def _shortfall(acceptance: AcceptanceEntry, contact: Contact, now: datetime) -> tuple[int, str] | None:
    """Return what a permission lacks, with how close it comes; None if it is good."""
    held = f"{contact.consent.value.capitalize()} consent"
    if contact.consent_basis is not None:
        held += f" ({contact.consent_basis.value})"
    given = contact.consent_at
    match = contact.consent == acceptance.consent
    if contact.consent is Consent.UNKNOWN:
        return 0, "No consent is on record."
    if not match or acceptance.basis not in {None, contact.consent_basis}:
        return 0, f"{held} is on record, and that is not enough."
    if given is not None and given > now:
        return 1, f"{held} is dated {given:%Y-%m-%d}, which has not come yet."
    if acceptance.not_older_than is None:
        return None
    if given is None:
        return 1, f"{held} is on record without a date, so nobody can tell whether it still holds."
    # Not `given + length`: a very long one would leave the calendar.
    if now - given < acceptance.not_older_than:
        return None
    return 2, f"{held} ran out on {given + acceptance.not_older_than:%Y-%m-%d}."
