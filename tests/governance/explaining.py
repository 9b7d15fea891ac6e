"""A policy set of its own, in which each kind of hit can be had alone, and the proposals that get it.

Places such as `authority.yaml:12` are lines of the files in `explained/`, so that no edit of the shipped
policies moves them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from domain import (
    Candidate,
    Consent,
    ConsentBasis,
    Decision,
    Delegation,
    Hold,
    Proposal,
    RuleHit,
    Standing,
    Stop,
    StopScope,
)
from governance import rule
from tests.governance.worlds import (
    CONTACTS,
    NOW,
    email,
    person,
    policies,
    request,
    touch,
    with_room,
)

SET = Path(__file__).parent / "explained"
DAY = timedelta(days=1)
HOLD = Hold(hold_id="h", placed_by="tom", reason="talks", placed_at=NOW, expires_at=NOW + 3 * DAY)
STOP = Stop(
    stop_id="s",
    scope=StopScope.CHANNEL,
    name="email",
    reason="wrong price list",
    placed_by="dana",
    placed_at=NOW,
)
KIM_FOR_DANA = Delegation(
    delegation_id="d",
    principal="dana",
    delegate="kim",
    starts_at=NOW - DAY,
    ends_at=NOW + DAY,
    made_by="dana",
    made_at=NOW - DAY,
)
BOUGHT: dict[str, object] = {"consent": Consent.IMPLIED, "consent_basis": ConsentBasis.PURCHASE}
NIGHT = NOW + timedelta(hours=11)
"""Ten in the evening in Berlin."""

Case = tuple[Proposal | Candidate, dict[str, Any]]
"""A proposal, and what is unusual about the world it is judged in: fields of the request, or its rivals."""

Row = tuple[Case, *tuple[str, ...]]
"""The proposal and its world, then of each hit who says what, and the sentence."""

Table = dict[str, Row]
"""Rows by what has happened."""


def ask(action: str = "mail", **changes: object) -> Proposal:
    """A proposal of the agent to the champion that nothing but its action and the changes speak against."""
    return email(**{"proposal_id": "p", "actor": "agent", "action": action, **changes})


def other(action: str = "mail", **changes: object) -> Proposal:
    """A proposal of the agent to somebody else."""
    return email(
        **{
            "proposal_id": "best",
            "actor": "agent",
            "action": action,
            "contact_id": "practitioner",
            **changes,
        }
    )


def page(action: str = "mail", **changes: object) -> Proposal:
    """A proposal that addresses the account as a whole."""
    return ask(action, channel="web", contact_id=None, **changes)


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


def decided(proposal: Proposal | Candidate, world: dict[str, Any]) -> Decision:
    """Return what becomes of the proposal `p`; with `ledger` False nobody has asked the ledger."""
    world = dict(world)
    rivals, ledger = world.pop("rivals", ()), world.pop("ledger", True)
    asked = request(proposal, *rivals, **world)
    made = rule(policies(SET), with_room(policies(SET), asked) if ledger else asked).decisions
    return next(each for each in made if each.proposal_id == "p")
