"""The same rules before three judges: the conditions of Tutti, Cedar, and a Python function.

They must agree on every case, and on which rules matched, or nothing is measured.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cedarpy

from benchmarks._stage import MeasurementError
from benchmarks._thirty import Rule, Situation, by_hand, rules
from domain import ActorKind, Consent, Medium, Reversibility, Role, Stage, SubscriberKind, Tier
from governance._facts import (
    RULES,
    AccountFacts,
    ActorFacts,
    AssessmentFacts,
    ContactFacts,
    DaysSince,
    ProposalFacts,
)
from governance.cel._conditions import Recall

ACCOUNTS = 8
PROPOSALS = 5
ROUNDS = 40
MORE = 12
"""So many times the rules with numbers are added, to see what one more rule costs."""

_NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
_COUNTRIES = ("DE", "AT", "FR", "NL", "IT", "ES", "PL", "SE", "US", None)

Accounts = Sequence[Sequence[Situation]]
Engine = Callable[[], list[tuple[int, ...]]]
"""Judges all cases; returns for each the numbers of the rules that matched, in order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the judges cost.

    Attributes:
        rules: How many rules were compared first.
        more: How many were added then.
        cases: How many proposals were judged.
        matches: How often one of the rules matched.
        first: CPU time of one of the first rules for one proposal in microseconds, by engine.
        added: CPU time of one rule more for one proposal in microseconds, by engine.
    """

    rules: int
    more: int
    cases: int
    matches: int
    first: Mapping[str, float]
    added: Mapping[str, float]


def compare() -> Comparison:
    """Let all engines judge the same cases by turns; medians of the rounds.

    Raises:
        MeasurementError: They disagree.
    """
    accounts = [_account(random.Random(number), number) for number in range(ACCOUNTS)]
    few, many = rules(), rules(MORE)
    first: dict[str, Engine] = {
        "tutti": _tutti(accounts, few),
        "cedar": _cedar(accounts, few),
        "cedar from text": _cedar(accounts, few, parsed=False),
        "python": lambda: [by_hand(each) for account in accounts for each in account],
    }
    added: dict[str, Engine] = {"tutti": _tutti(accounts, many), "cedar": _cedar(accounts, many)}
    expected = first["python"]()
    for name, engine in (*first.items(), *added.items()):
        _agree(name, engine(), expected)
    once, twice = _seconds(first), _seconds(added)
    cases, more = len(expected), len(many) - len(few)
    return Comparison(
        rules=len(few),
        more=more,
        cases=cases,
        matches=sum(map(len, expected)),
        first={name: spent / len(few) / cases * 1e6 for name, spent in once.items()},
        added={name: (spent - once[name]) / more / cases * 1e6 for name, spent in twice.items()},
    )


def _agree(name: str, found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    for case, (matched, wanted) in enumerate(zip(found, expected, strict=True)):
        if matched != wanted:
            raise MeasurementError(f"{name}: rules {matched} match case {case}, and {wanted} by hand")


def _seconds(engines: Mapping[str, Engine]) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            began = time.process_time()
            engine()
            spent[name].append(time.process_time() - began)
    return {name: statistics.median(times) for name, times in spent.items()}


def _tutti(accounts: Accounts, wanted: Sequence[Rule]) -> Engine:
    conditions = [RULES.compile(rule.tutti) for rule in wanted]

    def judge() -> list[tuple[int, ...]]:
        answers = []
        for account in accounts:
            recall = Recall()
            for case in account:
                bound = RULES.bind(
                    {
                        "account": case.account,
                        "contact": case.contact,
                        "proposal": case.proposal,
                        "actor": case.actor,
                        "assessment": case.assessment,
                        "days_since": case.days_since,
                        "now": _NOW,
                    },
                    recall,
                )
                answers.append(tuple(number for number, each in enumerate(conditions) if each.holds(bound)))
        return answers

    return judge


def _cedar(accounts: Accounts, wanted: Sequence[Rule], *, parsed: bool = True) -> Engine:
    """Give Cedar its best way: policies, entities and contexts made before, one batch for each account."""
    text = "permit(principal, action, resource);\n" + "\n".join(
        f'@id("{number}") forbid(principal, action, resource) when {{ {rule.cedar} }};'
        for number, rule in enumerate(wanted)
    )
    entities = json.dumps(
        [_resource(number, account[0]) for number, account in enumerate(accounts)]
        + [_entity("Actor", kind.value, {"kind": kind.value}) for kind in ActorKind]
    )
    batches = [[_request(number, case) for case in account] for number, account in enumerate(accounts)]
    policies = cedarpy.PolicySet.from_str(text) if parsed else text
    known = cedarpy.Entities.from_json_str(entities) if parsed else entities

    def judge() -> list[tuple[int, ...]]:
        answers = []
        for batch in batches:
            for result in cedarpy.is_authorized_batch(batch, policies, known):
                matched = result.diagnostics.id_annotations_by_reason.values()
                answers.append(tuple(sorted(map(int, matched))))
                if result.diagnostics.errors or result.allowed is bool(matched):
                    raise MeasurementError(f"Cedar: {result.decision}, {result.diagnostics.errors}")
        return answers

    return judge


def _entity(kind: str, name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": []}


def _resource(number: int, case: Situation) -> dict[str, Any]:
    known = {
        "tier": case.account.tier.value,
        "worst_open_case": case.account.worst_open_case,
        "deal_lost": int(case.days_since.deal_lost) if case.days_since.deal_lost is not None else None,
        "stage": case.assessment.stage.value if case.assessment is not None else None,
        "systems": case.assessment.systems if case.assessment is not None else None,
    }
    return _entity("Account", str(number), {key: value for key, value in known.items() if value is not None})


def _request(number: int, case: Situation) -> dict[str, Any]:
    proposal = case.proposal
    context: dict[str, Any] = {
        "proposal": {
            "action": proposal.action,
            "channel": proposal.channel,
            "value": int(proposal.value),
            "cost": int(proposal.cost),
        }
    }
    if case.contact is not None:
        context["contact"] = {
            key: value
            for key in ("opted_out", "consent", "country", "role")
            if (value := getattr(case.contact, key)) is not None
        }
    return {
        "principal": {"type": "Actor", "id": case.actor.kind.value},
        "action": {"type": "Action", "id": "touch"},
        "resource": {"type": "Account", "id": str(number)},
        "context": json.dumps(context),
    }


def _account(chance: random.Random, number: int) -> list[Situation]:
    country = chance.choice(_COUNTRIES)
    account = AccountFacts(
        id=f"account-{number}",
        name=f"Account {number}",
        domain=None,
        country=country,
        tier=chance.choice(list(Tier)),
        owner=None,
        open_cases=1,
        worst_open_case=chance.choice((None, 1, 2)),
    )
    assessment = AssessmentFacts(
        stage=chance.choice(list(Stage)), urgency=0.5, confidence=0.5, disagreement=0.1, systems=number + 2
    )
    past = DaysSince(deal_lost=chance.choice((None, 30.0, 200.0)))
    seen = assessment if number % 4 else None
    return [_case(chance, account, seen, past, place) for place in range(PROPOSALS)]


def _case(
    chance: random.Random,
    account: AccountFacts,
    assessment: AssessmentFacts | None,
    past: DaysSince,
    place: int,
) -> Situation:
    contact = ContactFacts(
        id=f"contact-{place}",
        role=chance.choice(list(Role)),
        title=None,
        country=account.country,
        consent=chance.choice(list(Consent)),
        consent_basis=None,
        subscriber=SubscriberKind.CORPORATE,
        opted_out=chance.randrange(10) == 0,
        has_email=True,
        has_phone=False,
    )
    proposal = ProposalFacts(
        id=f"proposal-{place}",
        action=chance.choice(("send_email", "send_executive_email")),
        channel=chance.choice(("email", "webhook")),
        value=float(chance.randrange(0, 120_000)),
        propensity=0.3,
        confidence=0.8,
        cost=float(chance.randrange(0, 120_000)),
        reach=1,
        evidence=(),
        intent=None,
        operational=False,
        medium=Medium.EMAIL,
        reversibility=Reversibility.NONE,
    )
    actor = ActorFacts(id="somebody", kind=chance.choice(list(ActorKind)), owner=None)
    return Situation(account, contact if place else None, proposal, actor, assessment, past)
