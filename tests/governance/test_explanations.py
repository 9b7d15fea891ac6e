"""What people read: the exact sentence, reason and place of every kind of hit, in one table.

The rules stand in `explained/`, a policy set of its own, so that a place such as `authority.yaml:12` can be
looked up there and no edit of the shipped policies moves it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain import (
    Candidate,
    Consent,
    ConsentBasis,
    Contact,
    Decision,
    Hold,
    OutcomeKind,
    Proposal,
    ReasonCode,
    RuleHit,
    Standing,
    TouchRecord,
    TouchStatus,
)
from governance import rule as rule_as_told
from governance._case import FAMILIES
from tests.governance.rivalries import scheduled
from tests.governance.worlds import (
    CONTACTS,
    NORTHWIND,
    NOW,
    ROOT,
    candidate,
    email,
    person,
    policies,
    request,
    touch,
    with_room,
)

SET = ROOT / "tests" / "governance" / "explained"
DAY = timedelta(days=1)
NIGHT = NOW + timedelta(hours=11)
"""Ten in the evening in Berlin."""

Case = tuple[Proposal | Candidate, dict[str, Any]]
"""A proposal, and what is unusual about the world it is judged in."""


def ask(action: str = "mail", **changes: object) -> Proposal:
    """A proposal of the agent to the champion that nothing but its action and the changes speak against."""
    given: dict[str, object] = {"proposal_id": "p", "actor": "agent", "action": action}
    return email(**{**given, **changes})


def page(**changes: object) -> Proposal:
    """A proposal that addresses the account as a whole."""
    return ask(**{"channel": "web", "contact_id": None, **changes})


def to(**changes: object) -> dict[str, object]:
    """A world in which the champion is somebody else than usual."""
    return {"contacts": {**CONTACTS, "champion": person("champion", **changes)}}


def made(*days: float, **changes: object) -> dict[str, object]:
    """A world with a touch so many days ago each."""
    return {"touches": tuple(touch(NOW - n * DAY, **changes) for n in days)}


def full(limit: str, until: datetime) -> dict[str, object]:
    """A world in which a limit that all accounts share has room from then on."""
    return {"standing": Standing(room_at={f"{limit}/p": until})}


def told(hit: RuleHit) -> str:
    """Return everything that people see of a hit but its sentence."""
    place = f" {hit.file}:{hit.line}" if hit.file is not None else ""
    until = f" until {hit.until:%m-%d %H:%M:%S}" if hit.until is not None else ""
    tried = " (tried out)" if hit.log_only else ""
    return f"{hit.family} {hit.rule_id}{place}: {hit.effect.value} {hit.reason.value}{until}{tried}"


def decided(proposal: Proposal | Candidate, world: dict[str, Any], *, ledger: bool = True) -> Decision:
    asked = request(*world.get("rivals", ()), proposal, **{k: v for k, v in world.items() if k != "rivals"})
    answered = with_room(policies(SET), asked) if ledger else asked
    made = rule_as_told(policies(SET), answered).decisions
    return next(each for each in made if each.proposal_id == "p")

