"""approvals.yaml: when a person must decide, who that is, how many of them, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import Field

from domain import ApprovalRoute, Identifier, ReasonCode, RuleHit, Verdict
from governance._builder import Builder, Loc
from governance._case import Case, Origin, one_line
from governance._fields import ConditionText, Duration, PolicyModel, RuleEntry, RuleId, Sentence
from governance.cel._conditions import Condition
from governance.families._people import People

_NOBODY = Origin("engine.no_approver", "approvals", "A person must approve this, and nobody is left who may.")


class RequireEntry(RuleEntry):
    """One rule that asks for a person."""

    when: ConditionText
    message: Sentence


class DefaultRouteEntry(PolicyModel):
    """Whom to ask if no other route matches."""

    id: RuleId
    group: Identifier
    quorum: int = Field(default=1, ge=1)
    """How many different persons of the group must approve; one rejection is enough to end it."""
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
    """Whom to ask, how many of them, how long to wait, and what silence means."""

    origin: Origin
    when: Condition | None
    group: str
    quorum: int
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
            builder.origin(("require", index), entry.id, entry.message, entry.mode),
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
    groups = builder.roll.groups
    builder.known((*loc, "group"), entry.group, groups, "group")
    members = groups.get(entry.group) if groups is not None else None
    if members is not None and entry.quorum > len(members):
        builder.reject(
            (*loc, "quorum"),
            f"{entry.quorum} must approve, but the group {entry.group!r} has {_persons(len(members))}; "
            "lower the quorum or add members in people.yaml",
            code="quorum",
        )
    wanted = "" if entry.quorum == 1 else f"{entry.quorum} of "
    origin = builder.origin(loc, entry.id, f"Ask {wanted}{entry.group}.")
    return Route(origin, when, entry.group, entry.quorum, entry.answer_within, Verdict(entry.on_expiry))


def _persons(count: int) -> str:
    return "only 1 member" if count == 1 else f"only {count} members"


def apply_requirements(approvals: Approvals, case: Case) -> None:
    """Collect every rule that asks for a person."""
    case.hits.extend(
        origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.APPROVAL_NEEDED)
        for origin, when in approvals.require
        if case.holds(when, origin)
    )


def settle_approval(approvals: Approvals, people: People, case: Case) -> None:
    """Mark what persons have already approved; whether it was this very action is the account's care.

    An approval counts only while its giver is one of those who would be asked now: in the group of the
    route that matches today, and neither the proposer nor the owner of the agent that proposed. As many
    of them as that route asks for today must have approved.
    """
    agreed = case.candidate.agreed
    if not agreed or all(hit.log_only or hit.effect is not Verdict.REQUIRE_APPROVAL for hit in case.hits):
        return
    route = find_route(approvals, people, case)
    if isinstance(route, RuleHit):
        return
    counted = tuple(dict.fromkeys(login for login in agreed if login in route.approvers))
    if len(counted) < route.quorum:
        return
    names = " and ".join(counted)
    case.hits[:] = [
        hit.model_copy(
            update={"effect": Verdict.ALLOW, "message": one_line(f"Approved by {names}: {hit.message}")}
        )
        if hit.effect is Verdict.REQUIRE_APPROVAL and not hit.log_only
        else hit
        for hit in case.hits
    ]


def find_route(approvals: Approvals, people: People, case: Case) -> ApprovalRoute | RuleHit:
    """Return whom to ask, or the denial if fewer are left than must approve."""
    for route in approvals.routes:
        before = len(case.hits)
        if not case.holds(route.when, route.origin):
            if len(case.hits) > before:
                return case.hits.pop()
            continue
        members = people.groups[route.group]
        barred = case.actor.barred
        eligible = tuple(login for login in members if login not in barred)
        if len(eligible) < route.quorum:
            return _NOBODY.hit(
                Verdict.DENY, ReasonCode.APPROVAL_NEEDED, message=_too_few(route, len(eligible))
            )
        return ApprovalRoute(
            group=route.group,
            approvers=eligible,
            excluded=tuple(sorted(barred)),
            quorum=route.quorum,
            expires_at=min(case.now + route.answer_within, case.candidate.expires_at),
            on_expiry=route.on_expiry,
        )
    return _NOBODY.hit(Verdict.DENY, ReasonCode.APPROVAL_NEEDED)


def _too_few(route: Route, left: int) -> str:
    if route.quorum == 1:
        return f"A person in {route.group} must approve this, and nobody there is left who may."
    few = {0: "nobody there is left who may", 1: "only 1 is left there who may"}
    rest = few.get(left, f"only {left} are left there who may")
    return f"{route.quorum} persons in {route.group} must approve this, and {rest}."
