"""Policy sets of any size, and the account that is ruled on under them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks._cast import RIVALS, account, contacts, proposal, signals
from domain import Candidate, OutcomeKind, RulingRequest, Standing, TouchRecord, TouchStatus
from governance import PolicySet, draws, outline

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
"""A working day in London, where everybody is."""
TOUCHES = 20
READINGS = 4

_COUNTRIES = ("DE", "FR", "GB", "US", "AT", "NL", "SE", "PL")
_ROLES = ("CHAMPION", "DECISION_MAKER", "INFLUENCER", "PRACTITIONER", "EXECUTIVE_SPONSOR")
_STAGES = ("TARGET", "AWARE", "ENGAGED", "EVALUATING", "CLOSING")
_SECTIONS = (
    ("eligibility.yaml", "suitability"),
    ("arbitration.yaml", "context"),
    ("eligibility.yaml", "applicability"),
    ("frequency.yaml", "caps"),
    ("approvals.yaml", "require"),
)
"""Where generated rules go, in turn."""


def request(policies: PolicySet) -> RulingRequest:
    """Return five proposals for an account with a history, everything known that a ruling wants to know."""
    wanted = [proposal(name, evidence_at=NOON) for name in RIVALS]
    wanted.append(proposal("sdr-1", proposal_id="sdr-2", contact_id="jonas", evidence_at=NOON))
    people = contacts()
    read = [signal.reading for signal in signals(policies, "seen", READINGS)]
    asked = RulingRequest(
        account_id="northwind",
        account=account("northwind"),
        contacts={person.contact_id: person for person in people},
        readings=tuple(
            reading.model_copy(update={"system": f"system-{number}", "observed_at": NOON})
            for number, reading in enumerate(read)
            if reading is not None
        ),
        holds=(),
        touches=tuple(
            TouchRecord(
                touch_id=f"t-{number}",
                channel="email",
                action="send_email",
                actor="sdr-agent",
                contact_id=people[number % len(people)].contact_id,
                proposal_id=None,
                at=(at := NOON - timedelta(days=40 + number)),
                status=TouchStatus.HANDED_OVER,
                outcomes={OutcomeKind.REPLY: at + timedelta(days=1)},
            )
            for number in reversed(range(TOUCHES))
        ),
        candidates=tuple(
            Candidate(proposal=each, received_at=NOON, expires_at=NOON + timedelta(days=30))
            for each in wanted
        ),
        revision=1,
        now=NOON,
    )
    room = {f"{draw.rule_id}/{name}": NOON for name, draw in draws(policies, asked)}
    return asked.model_copy(update={"standing": Standing(room_at=room)})


def grown(directory: Path, rules: int) -> dict[str, str]:
    """Return the files of a policy set with rules of the same kinds added until it has so many."""
    files = {file.name: file.read_text("utf-8") for file in sorted(directory.glob("*.yaml"))}
    yaml = YAML(typ="safe", pure=True)
    contents = {name: yaml.load(text) for name, text in files.items()}
    for number in range(rules - count_rules(files)):
        file, section = _SECTIONS[number % len(_SECTIONS)]
        contents[file][section].append(_rule(section, number))
    # JSON is YAML, and a date is written as its text.
    return {name: json.dumps(content, default=str) for name, content in contents.items()}


def count_rules(files: Mapping[str, str]) -> int:
    """Return how many rules policy files have."""
    return sum(entry.is_rule for sheet in outline(files).values() for entry in sheet.entries)


def _rule(section: str, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": f"generated-{number}", "when": _condition(number)}
    match section:
        case "context":
            return rule | {"weight": 1.0 + number % 7 / 10}
        case "caps":
            scope = {"per": "contact", "limit": 40, "window": f"{1 + number % 90}d"}
            return rule | scope | {"message": "So much is enough."}
        case "require":
            return rule | {"message": "A person decides."}
    return rule | {"then": "suppress", "message": "This does not suit the account now."}


def _condition(number: int) -> str:
    """Return one of five kinds of conditions; each number has its own, and few of them match."""
    country, role, stage = (words[number % len(words)] for words in (_COUNTRIES, _ROLES, _STAGES))
    value = 200_000.0 + number
    return (
        f'contact != null && contact.country in ["{country}", "CH"] && proposal.value > {value}',
        f"contact != null && contact.role == Role.{role} && proposal.cost > {value}",
        f"assessment != null && assessment.stage == Stage.{stage} && proposal.value > {value}",
        f'proposal.channel == "email" && account.country == "{country}" && proposal.value > {value}',
        f"days_since.deal_lost != null && days_since.deal_lost < {30 + number}.0 && contact != null",
    )[number % 5]
