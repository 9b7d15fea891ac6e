"""The account `northwind` and the policy sets, for tests of rulings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from domain import (
    Account,
    Candidate,
    Consent,
    Contact,
    Decision,
    Proposal,
    Role,
    Ruling,
    RulingRequest,
    Tier,
    TouchRecord,
    TouchStatus,
)
from governance import PolicySet, draws, load_policy_set
from governance import rule as rule_as_told

ROOT = Path(__file__).parent.parent.parent
DEFAULT, DEMO = ROOT / "policies", ROOT / "examples" / "demo" / "policies"

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
"""A Tuesday, 11 o'clock in Berlin."""

NORTHWIND = Account(
    account_id="northwind",
    name="Northwind",
    domain="northwind.example",
    country="DE",
    time_zone="Europe/Berlin",
    tier=Tier.TWO,
)


@cache
def policies(directory: Path = DEFAULT) -> PolicySet:
    return load_policy_set(directory)


def edited(folder: Path, name: str, *changes: tuple[str, str], base: Path = DEFAULT) -> Path:
    """Copy a policy set and replace text in one of its files; each text must occur."""
    target = folder / "policies"
    if not target.exists():
        shutil.copytree(base, target)
    text = (target / name).read_text()
    for old, new in changes:
        assert old in text, f"{name} does not contain {old!r}"
        text = text.replace(old, new)
    (target / name).write_text(text)
    return target


def person(contact_id: str, **changes: object) -> Contact:
    given: dict[str, object] = {
        "contact_id": contact_id,
        "name": contact_id.title(),
        "email": f"{contact_id}@northwind.example",
        "role": Role(contact_id) if contact_id in set(Role) else Role.UNKNOWN,
        "consent": Consent.GRANTED,
    }
    return Contact.model_validate({**given, **changes})


CONTACTS = {
    role.value: person(role.value)
    for role in (
        Role.CHAMPION,
        Role.DECISION_MAKER,
        Role.PRACTITIONER,
        Role.INFLUENCER,
        Role.EXECUTIVE_SPONSOR,
    )
}


def email(**changes: object) -> Proposal:
    """What the SDR agent proposes."""
    given: dict[str, object] = {
        "proposal_id": "sdr-1",
        "actor": "sdr-agent",
        "action": "send_email",
        "channel": "email",
        "contact_id": "champion",
        "value": 40_000.0,
        "propensity": 0.30,
        "confidence": 0.86,
    }
    return Proposal.model_validate({**given, **changes})


def nurture(**changes: object) -> Proposal:
    given: dict[str, object] = {
        "proposal_id": "nurture-1",
        "actor": "nurture",
        "action": "send_nurture_email",
        "value": 8_000.0,
        "propensity": 0.18,
    }
    return email(**{**given, **changes})


def personalization(**changes: object) -> Proposal:
    given: dict[str, object] = {
        "proposal_id": "web-1",
        "actor": "personalization",
        "action": "personalize_site",
        "channel": "webhook",
        "contact_id": None,
        "value": 12_000.0,
        "propensity": 0.35,
    }
    return email(**{**given, **changes})


def executive(**changes: object) -> Proposal:
    given: dict[str, object] = {
        "proposal_id": "exec-1",
        "actor": "executive-office",
        "action": "send_executive_email",
        "contact_id": "executive_sponsor",
        "value": 90_000.0,
        "propensity": 0.20,
        "confidence": 0.8,
    }
    return email(**{**given, **changes})


def candidate(proposal: Proposal, **changes: object) -> Candidate:
    given: dict[str, object] = {
        "proposal": proposal,
        "received_at": NOW - timedelta(seconds=2),
        "expires_at": NOW + timedelta(days=30),
    }
    return Candidate.model_validate({**given, **changes})


def touch(at: datetime, **changes: object) -> TouchRecord:
    given: dict[str, object] = {
        "touch_id": f"t-{at.timestamp()}",
        "channel": "webhook",
        "action": "personalize_site",
        "actor": "personalization",
        "contact_id": None,
        "proposal_id": None,
        "at": at,
        "status": TouchStatus.HANDED_OVER,
    }
    return TouchRecord.model_validate({**given, **changes})


def request(*candidates: Candidate | Proposal, **changes: object) -> RulingRequest:
    given: dict[str, object] = {
        "account_id": "northwind",
        "account": NORTHWIND,
        "contacts": CONTACTS,
        "readings": (),
        "holds": (),
        "touches": (),
        "candidates": tuple(candidate(each) if isinstance(each, Proposal) else each for each in candidates),
        "revision": 1,
        "now": NOW,
    }
    return RulingRequest.model_validate({**given, **changes})


def with_room(policy_set: PolicySet, asked: RulingRequest) -> RulingRequest:
    """Fill in that there is room in every limit that all accounts share, unless the test says otherwise."""
    room = {f"{draw.rule_id}/{proposal_id}": asked.now for proposal_id, draw in draws(policy_set, asked)}
    standing = asked.standing.model_copy(update={"room_at": {**room, **asked.standing.room_at}})
    return asked.model_copy(update={"standing": standing})


def rule(policy_set: PolicySet, asked: RulingRequest) -> Ruling:
    """Rule as in production, where the ledger has been asked before."""
    return rule_as_told(policy_set, with_room(policy_set, asked))


def decisions(policy_set: PolicySet, asked: RulingRequest) -> dict[str, Decision]:
    return {decision.proposal_id: decision for decision in rule(policy_set, asked).decisions}


def only(policy_set: PolicySet, proposal: Candidate | Proposal, **changes: object) -> Decision:
    """Rule on one proposal alone."""
    (decision,) = rule(policy_set, request(proposal, **changes)).decisions
    return decision


def rule_ids(decision: Decision) -> set[str]:
    return {hit.rule_id for hit in decision.hits}


def landed(touches: Iterable[TouchRecord]) -> tuple[TouchRecord, ...]:
    """The same touches when the one in flight has ended."""
    return tuple(
        each.model_copy(update={"status": TouchStatus.HANDED_OVER})
        if each.status is TouchStatus.IN_FLIGHT
        else each
        for each in touches
    )


def printed_elsewhere(script: str, *seeds: str) -> set[str]:
    """What a script prints in processes of their own, one for each hash seed."""
    return {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in seeds
    }
