"""Policy sets about people and routes alone: the shipped set with other groups, leave and routes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import (
    Agreement,
    Answer,
    Approval,
    ApprovalAnswer,
    ApprovalRoute,
    Candidate,
    Decision,
    Delegation,
    ExceptionKind,
    Proposal,
    ReasonCode,
    VetRequest,
    Vetting,
)
from governance import PolicySet, compile_policy_set, vet
from tests.governance.worlds import NOW, candidate, email, only, policies, request

HOUR = timedelta(hours=1)
PERSONS = ("ada", "ben", "cleo", "dan", "eve", "finn")
LARGE = 300_000.0
"""A value about which a person decides."""
OFFICE = {"from": "09:00", "until": "17:00", "time_zone": "Europe/Berlin", "holidays": "DE"}


def people(
    groups: Mapping[str, Any],
    *,
    leave: Sequence[Mapping[str, Any]] = (),
    actors: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return a people.yaml: the shipped actors and PERSONS, with these groups.

    Args:
        groups: The members of each, or all that is written of it.
        leave: Who is away.
        actors: Further actors.
    """
    listed = [{"id": actor.actor_id, "kind": actor.kind.value, "owner": actor.owner} for actor in _shipped()]
    listed += [{"id": login, "kind": "person"} for login in PERSONS]
    known = {actor["id"] for actor in actors}
    listed = [each for each in listed if each["id"] not in known] + [dict(each) for each in actors]
    named = [
        {"name": name, **(given if isinstance(given, Mapping) else {"members": list(given)})}
        for name, given in groups.items()
    ]
    return json.dumps({"actors": listed, "groups": named, "leave": list(leave)}, indent=1)


def never_ambiguous() -> str:
    """Return the shipped interpretation.yaml without the section that asks a person, and so needs a route."""
    text = policies().files["interpretation.yaml"]
    return text[: text.index("ambiguity:")]


def _shipped() -> list[Any]:
    return list(policies().people.actors.values())


def asking(
    groups: Mapping[str, Any],
    route: Mapping[str, Any],
    *,
    leave: Sequence[Mapping[str, Any]] = (),
    actors: Sequence[Mapping[str, Any]] = (),
    exceptions: Mapping[str, Any] | None = None,
) -> PolicySet:
    """Return a policy set in which large values are put to one route."""
    given = {"id": "the-route", "answer_within": "8h", "on_expiry": "suppress", **route}
    rule = {"id": "large", "when": "proposal.value >= 250000.0", "message": "So much needs a person."}
    file = {"require": [rule], "routes": [], "default_route": given, "exceptions": dict(exceptions or {})}
    files = {
        **policies().files,
        "interpretation.yaml": never_ambiguous(),
        "people.yaml": people(groups, leave=leave, actors=actors),
        "approvals.yaml": json.dumps(file, indent=1),
    }
    return compile_policy_set(files)


def large(**changes: object) -> Proposal:
    """A proposal of a person about which a person must decide; nothing else speaks against it."""
    return email(**{"value": LARGE, "actor": "lena.fischer", **changes})


def asked(policy_set: PolicySet, given: Proposal | Candidate | None = None, **world: object) -> Decision:
    """Return what becomes of a large proposal."""
    return only(policy_set, large() if given is None else given, **world)


def route_of(
    policy_set: PolicySet, given: Proposal | Candidate | None = None, **world: object
) -> ApprovalRoute:
    """Return whom a large proposal is put to."""
    decision = asked(policy_set, given, **world)
    assert decision.route is not None, [hit.message for hit in decision.hits]
    return decision.route


def agreed(*agreements: Agreement | str, proposal: Proposal | None = None, **changes: object) -> Candidate:
    """A large proposal that persons have agreed to."""
    said = tuple(yes(each) if isinstance(each, str) else each for each in agreements)
    return candidate(
        proposal or large(), approvers=tuple(each.approver for each in said), agreements=said, **changes
    )


def yes(login: str, at: datetime = NOW, answers_for: str | None = None) -> Agreement:
    return Agreement(approver=login, at=at, answers_for=answers_for)


def delegation(
    principal: str,
    delegate: str,
    *,
    starts_at: datetime = NOW - HOUR,
    ends_at: datetime = NOW + 24 * HOUR,
    **changes: object,
) -> Delegation:
    given: dict[str, object] = {
        "delegation_id": f"{principal}-{delegate}",
        "principal": principal,
        "delegate": delegate,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "made_by": principal,
        "made_at": starts_at,
    }
    return Delegation.model_validate({**given, **changes})


def vetted(
    policy_set: PolicySet,
    login: str,
    route: ApprovalRoute,
    *delegations: Delegation,
    answer: Answer = Answer.APPROVE,
    kind: ExceptionKind = ExceptionKind.ACTION,
    actor: str = "lena.fischer",
    level: int = 0,
    now: datetime = NOW,
) -> Vetting:
    """Return whether somebody may answer a question that was put to a route."""
    approval = Approval(
        approval_id="a",
        kind=kind,
        proposal_id="sdr-1",
        digest="d",
        reason=ReasonCode.APPROVAL_NEEDED,
        message="So much needs a person.",
        actor=actor,
        route=route,
        requested_at=NOW,
        level=level,
    )
    said = ApprovalAnswer(answer_id="1", approval_id="a", answer=answer, approver=login, digest="d")
    asked_now = VetRequest(account_id="northwind", approval=approval, answer=said, now=now)
    return vet(policy_set, asked_now, delegations)


def berlin(text: str) -> datetime:
    """A moment on the clock in Berlin in winter."""
    return datetime.fromisoformat(f"{text}:00+01:00").astimezone(UTC)


__all__ = [
    "HOUR",
    "LARGE",
    "NOW",
    "OFFICE",
    "PERSONS",
    "agreed",
    "asked",
    "asking",
    "berlin",
    "delegation",
    "large",
    "never_ambiguous",
    "people",
    "request",
    "route_of",
    "vetted",
    "yes",
]
