"""approvals.yaml, what goes out for the first time: claims that people own, and when somebody is asked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from domain import Identifier, LongText, ReasonCode, Use, UseKind, Verdict, digest_of
from governance._builder import Builder
from governance._case import Case, Origin
from governance._fields import PolicyModel, RuleEntry, RuleId, Sentence


class FirstOf(StrEnum):
    """What a rule on first uses is about."""

    TEMPLATES = "templates"
    CLAIMS = "claims"


class FirstUseEntry(RuleEntry):
    """Asks for a person until something has gone out once."""

    of: FirstOf
    message: Sentence


class ClaimEntry(PolicyModel):
    """Something that touches may assert about us."""

    id: RuleId
    says: LongText
    """What is asserted, in full; changed words are another claim."""
    owner: Identifier


class FirstsPart(PolicyModel):
    """The keys of approvals.yaml that are about what goes out for the first time."""

    first_use: tuple[FirstUseEntry, ...] = ()
    """Asks for a person until a template, or a claim, has gone out once."""
    claims: tuple[ClaimEntry, ...] = ()
    """What touches may assert; nothing else may be."""


_KINDS = {FirstOf.TEMPLATES: UseKind.TEMPLATE, FirstOf.CLAIMS: UseKind.CLAIM}
_UNKNOWN_CLAIM = Origin("engine.unknown_claim", "engine", "This claim is not listed in approvals.yaml.")


@dataclass(frozen=True, slots=True)
class Firsts:
    """The compiled part.

    Attributes:
        rules: What asks, each with the kind it is about.
        claims: Version of each known claim, by its id.
    """

    rules: tuple[tuple[Origin, UseKind], ...]
    claims: dict[str, str]


def build_firsts(file: FirstsPart, builder: Builder) -> Firsts:
    """Compile the part."""
    rules = tuple(
        (
            builder.origin(("first_use", index), entry.id, entry.message, entry.mode),
            _KINDS[entry.of],
        )
        for index, entry in enumerate(file.first_use)
    )
    claims: dict[str, str] = {}
    for index, entry in enumerate(file.claims):
        loc = ("claims", index)
        builder.origin(loc, entry.id, "A claim.")
        builder.known((*loc, "owner"), entry.owner, builder.roll.persons, "person")
        claims[entry.id] = digest_of({"says": " ".join(entry.says.split())})
    return Firsts(rules, claims)


def claims_of(firsts: Firsts, names: tuple[str, ...]) -> tuple[Use, ...]:
    """Return the known ones of some claims, each once, in the order of their names."""
    known = sorted({name for name in names if name in firsts.claims})
    return tuple(Use(kind=UseKind.CLAIM, name=name, version=firsts.claims[name]) for name in known)


def apply_claims(firsts: Firsts, case: Case) -> None:
    """Deny what asserts something that nobody has listed."""
    for name in sorted(set(case.candidate.proposal.claims) - firsts.claims.keys()):
        close = difflib.get_close_matches(name, sorted(firsts.claims), n=1)
        hint = f"; did it mean {close[0]!r}?" if close else ""
        message = f"It claims {name!r}, which approvals.yaml does not list{hint}"
        case.hits.append(_UNKNOWN_CLAIM.hit(Verdict.DENY, ReasonCode.UNKNOWN_CLAIM, message=message))


def apply_first_use(firsts: Firsts, case: Case, uses: tuple[Use, ...]) -> None:
    """Ask for a person about what has not gone out before, as far as anybody knows.

    A proposal that names a template and is not known to be made from it, such as one that a person has
    edited, is new whatever has gone out.
    """
    before = frozenset(case.standing.used)
    new = {kind: [use.name for use in uses if use.kind is kind and use.key not in before] for kind in UseKind}
    named = case.candidate.proposal.template
    if named is not None and all(use.kind is not UseKind.TEMPLATE for use in uses):
        new[UseKind.TEMPLATE].append(f"{named} in other words")
    for origin, kind in firsts.rules:
        if new[kind]:
            message = f"{origin.message} New: {', '.join(new[kind])}."
            hit = origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.FIRST_USE, message=message)
            case.hits.append(hit)
