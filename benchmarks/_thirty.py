# ruff: noqa: PLR2004 -- rules are full of numbers
"""Thirty rules in three languages: as conditions of Tutti, as Cedar policies, and as plain Python.

A rule that matches forbids the proposal. Cedar has no fractions, so amounts are whole numbers everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain import ActorKind, Consent, Role, Stage, Tier

# Only the conditions are compared, so these measurements look behind the door of governance.
from governance._facts import (
    AccountFacts,
    ActorFacts,
    AssessmentFacts,
    ContactFacts,
    DaysSince,
    ProposalFacts,
)

_PRIOR = ("DE", "AT", "CH", "ES", "IT", "CA")
_EUROPE = ("DE", "AT", "FR", "NL", "IT", "ES", "PL", "SE")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules see of one proposal."""

    account: AccountFacts
    contact: ContactFacts | None
    proposal: ProposalFacts
    actor: ActorFacts
    assessment: AssessmentFacts | None
    days_since: DaysSince


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in the two policy languages; its number is its place in the list."""

    tutti: str
    cedar: str


def _listed(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def rules(more: int = 0) -> list[Rule]:
    """Return the thirty rules, and further ones like them.

    Args:
        more: How many times those with a number are added, with numbers so large that they never match.
    """
    found = [*_of_law(), *_of_numbers(0), _OF_EXECUTIVES]
    for times in range(1, more + 1):
        found += _of_numbers(times * 1_000_000)
    return found


_OF_EXECUTIVES = Rule(
    'actor.kind == ActorKind.AI_AGENT && proposal.action == "send_executive_email"',
    'principal.kind == "ai_agent" && context.proposal.action == "send_executive_email"',
)


def _of_law() -> list[Rule]:
    return [
        Rule("contact != null && contact.opted_out", "context has contact && context.contact.opted_out"),
        Rule(
            "contact != null && contact.consent == Consent.WITHDRAWN",
            'context has contact && context.contact.consent == "withdrawn"',
        ),
        Rule(
            'proposal.channel == "email" && contact != null && contact.country == null'
            " && contact.consent != Consent.GRANTED",
            'context.proposal.channel == "email" && context has contact && !(context.contact has country)'
            ' && context.contact.consent != "granted"',
        ),
        Rule(
            f'proposal.channel == "email" && contact != null && contact.country in {_listed(_PRIOR)}'
            " && contact.consent != Consent.GRANTED",
            'context.proposal.channel == "email" && context has contact && context.contact has country'
            f" && {_listed(_PRIOR)}.contains(context.contact.country)"
            ' && context.contact.consent != "granted"',
        ),
        Rule(
            "account.worst_open_case != null && account.worst_open_case <= 1 && contact != null",
            "resource has worst_open_case && resource.worst_open_case <= 1 && context has contact",
        ),
        Rule(
            "days_since.deal_lost != null && days_since.deal_lost < 90.0 && actor.kind != ActorKind.PERSON",
            'resource has deal_lost && resource.deal_lost < 90 && principal.kind != "person"',
        ),
    ]


def _of_numbers(more: int) -> list[Rule]:
    rules = []
    for country, value in zip(_EUROPE, range(20_000 + more, 100_000 + more, 10_000), strict=True):
        rules.append(
            Rule(
                f'contact != null && contact.country == "{country}" && proposal.value > {value}.0',
                "context has contact && context.contact has country"
                f' && context.contact.country == "{country}" && context.proposal.value > {value}',
            )
        )
    for role, value in zip(Role, range(50_000 + more, 110_000 + more, 10_000), strict=True):
        rules.append(
            Rule(
                f"contact != null && contact.role == Role.{role.name} && proposal.cost > {value}.0",
                f'context has contact && context.contact.role == "{role.value}"'
                f" && context.proposal.cost > {value}",
            )
        )
    for stage, systems in zip(Stage, range(9 + more, 3 + more, -1), strict=True):
        rules.append(
            Rule(
                f"assessment != null && assessment.stage == Stage.{stage.name}"
                f" && assessment.systems > {systems}",
                f'resource has stage && resource.stage == "{stage.value}" && resource.systems > {systems}',
            )
        )
    for tier, value in zip(Tier, range(90_000 + more, more, -30_000), strict=True):
        rules.append(
            Rule(
                f"account.tier == Tier.{tier.name} && proposal.value >= {value}.0",
                f'resource.tier == "{tier.value}" && context.proposal.value >= {value}',
            )
        )
    return rules


def by_hand(case: Situation) -> tuple[int, ...]:
    """Judge a case as somebody would who writes Python instead of policies."""
    account, contact, proposal = case.account, case.contact, case.proposal
    actor, assessment, lost = case.actor, case.assessment, case.days_since.deal_lost
    known = contact is not None
    country = contact.country if contact is not None else None
    role = contact.role if contact is not None else None
    granted = contact is not None and contact.consent is Consent.GRANTED
    stage = assessment.stage if assessment is not None else None
    systems = assessment.systems if assessment is not None else 0
    value, cost, tier = proposal.value, proposal.cost, account.tier
    mail = proposal.channel == "email"
    matched = (
        contact is not None and contact.opted_out,
        contact is not None and contact.consent is Consent.WITHDRAWN,
        mail and known and country is None and not granted,
        mail and known and country in _PRIOR and not granted,
        account.worst_open_case is not None and account.worst_open_case <= 1 and known,
        lost is not None and lost < 90.0 and actor.kind is not ActorKind.PERSON,
        country == "DE" and value > 20_000.0,
        country == "AT" and value > 30_000.0,
        country == "FR" and value > 40_000.0,
        country == "NL" and value > 50_000.0,
        country == "IT" and value > 60_000.0,
        country == "ES" and value > 70_000.0,
        country == "PL" and value > 80_000.0,
        country == "SE" and value > 90_000.0,
        role is Role.DECISION_MAKER and cost > 50_000.0,
        role is Role.CHAMPION and cost > 60_000.0,
        role is Role.INFLUENCER and cost > 70_000.0,
        role is Role.PRACTITIONER and cost > 80_000.0,
        role is Role.EXECUTIVE_SPONSOR and cost > 90_000.0,
        role is Role.UNKNOWN and cost > 100_000.0,
        stage is Stage.TARGET and systems > 9,
        stage is Stage.AWARE and systems > 8,
        stage is Stage.ENGAGED and systems > 7,
        stage is Stage.EVALUATING and systems > 6,
        stage is Stage.CLOSING and systems > 5,
        stage is Stage.CUSTOMER and systems > 4,
        tier is Tier.ONE and value >= 90_000.0,
        tier is Tier.TWO and value >= 60_000.0,
        tier is Tier.THREE and value >= 30_000.0,
        actor.kind is ActorKind.AI_AGENT and proposal.action == "send_executive_email",
    )
    return tuple(number for number, match in enumerate(matched) if match)
