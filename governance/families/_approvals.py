"""approvals.yaml: when a person must decide, who that is, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from domain import ApprovalRoute, Identifier, ReasonCode, RuleHit, Verdict
from governance._builder import Builder, Loc
from governance._case import Case, Origin
from governance._fields import ConditionText, Duration, PolicyModel, RuleId, Sentence
from governance.cel._conditions import Condition
from governance.families._people import People

_NOBODY = Origin("engine.no_approver", "approvals", "A person must approve this, and nobody is left who may.")


class RequireEntry(PolicyModel):
    """One rule that asks for a person."""

    id: RuleId
    when: ConditionText
    message: Sentence


class DefaultRouteEntry(PolicyModel):
    """Whom to ask if no other route matches."""

    id: RuleId
    group: Identifier
    answer_within: Duration
    on_expiry: Literal["suppress", "deny"]


class RouteEntry(DefaultRouteEntry):
    """Whom to ask about some proposals."""

    when: ConditionText


class ApprovalsFile(PolicyModel):
    """The file as people write it."""

    require: tuple[RequireEntry, ...]
    routes: tuple[RouteEntry, ...]
    default_route: DefaultRouteEntry


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask, how long to wait, and what silence means."""

    origin: Origin
    when: Condition | None
    group: str
    answer_within: timedelta
    on_expiry: Verdict


@dataclass(frozen=True, slots=True)
class Approvals:
    """The compiled file; the last route matches always."""

    require: tuple[tuple[Origin, Condition | None], ...]
    routes: tuple[Route, ...]


def build_approvals(file: ApprovalsFile, builder: Builder) -> Approvals:
    """Compile the file."""
    require = tuple(
        (
            builder.origin(("require", index), entry.id, entry.message),
            builder.condition(("require", index, "when"), entry.when),
        )
        for index, entry in enumerate(file.require)
    )
    routes = [
        _route(("routes", index), entry, builder, builder.condition(("routes", index, "when"), entry.when))
        for index, entry in enumerate(file.routes)
    ]
    return Approvals(require, (*routes, _route(("default_route",), file.default_route, builder, None)))


def _route(loc: Loc, entry: DefaultRouteEntry, builder: Builder, when: Condition | None) -> Route:
    builder.known((*loc, "group"), entry.group, builder.roll.groups, "group")
    origin = builder.origin(loc, entry.id, f"Ask {entry.group}.")
    return Route(origin, when, entry.group, entry.answer_within, Verdict(entry.on_expiry))


def apply_requirements(approvals: Approvals, case: Case) -> None:
    """Collect every rule that asks for a person."""
    case.hits.extend(
        origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.APPROVAL_NEEDED)
        for origin, when in approvals.require
        if case.holds(when, origin)
    )


def settle_approval(approvals: Approvals, people: People, case: Case) -> None:
    """Mark what a person has already approved; whether it was this very action is the account's care.

    The approval counts only while its giver is one of those who would be asked now: in the group of the
    route that matches today, and neither the proposer nor the owner of the agent that proposed.
    """
    approver = case.candidate.approved_by
    if approver is None or all(
        hit.log_only or hit.effect is not Verdict.REQUIRE_APPROVAL for hit in case.hits
    ):
        return
    route = find_route(approvals, people, case)
    if isinstance(route, RuleHit) or approver not in route.approvers:
        return
    case.hits[:] = [
        hit.model_copy(
            update={"effect": Verdict.ALLOW, "message": f"Approved by {approver}: {hit.message}"[:300]}
        )
        if hit.effect is Verdict.REQUIRE_APPROVAL and not hit.log_only
        else hit
        for hit in case.hits
    ]


def find_route(approvals: Approvals, people: People, case: Case) -> ApprovalRoute | RuleHit:
    """Return whom to ask, or the denial if nobody may answer."""
    for route in approvals.routes:
        before = len(case.hits)
        if not case.holds(route.when, route.origin):
            if len(case.hits) > before:
                return case.hits.pop()
            continue
        members = people.groups[route.group]
        barred = case.actor.barred
        eligible = tuple(login for login in members if login not in barred)
        if not eligible:
            message = f"A person in {route.group} must approve this, and nobody there is left who may."
            return _NOBODY.hit(Verdict.DENY, ReasonCode.APPROVAL_NEEDED, message=message)
        return ApprovalRoute(
            group=route.group,
            approvers=eligible,
            excluded=tuple(sorted(barred)),
            expires_at=min(case.now + route.answer_within, case.candidate.expires_at),
            on_expiry=route.on_expiry,
        )
    return _NOBODY.hit(Verdict.DENY, ReasonCode.APPROVAL_NEEDED)
