"""approvals.yaml: when a person must decide, who that is, how many of them, and until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from domain import (
    Agreement,
    ApprovalRoute,
    ExceptionAsk,
    ExceptionKind,
    Identifier,
    ReasonCode,
    RuleHit,
    RulingRequest,
    Verdict,
)
from governance._builder import Builder
from governance._case import Case, Origin, one_line
from governance._fields import ConditionText, PolicyModel, RuleEntry, Sentence
from governance.cel._conditions import Condition
from governance.families._asking import Asked, Circle, ask
from governance.families._firsts import Firsts, FirstsPart, build_firsts
from governance.families._people import People
from governance.families._routes import (
    AskEntry,
    DefaultRouteEntry,
    Route,
    RouteEntry,
    build_route,
    spread,
)
from governance.families._windows import Windows, WindowsPart, build_windows

_NOBODY = Origin("engine.no_approver", "approvals", "A person must approve this, and nobody is left who may.")
_WORDS: Mapping[ExceptionKind, str] = {
    ExceptionKind.IN_DOUBT: "a touch in doubt",
    ExceptionKind.CONFLICT: "a conflict",
    ExceptionKind.AMBIGUITY: "readings that disagree",
    ExceptionKind.REVIEW: "broken glass",
    ExceptionKind.ACTION: "an action",
}


class RequireEntry(RuleEntry):
    """One rule that asks for a person."""

    when: ConditionText
    message: Sentence


class BreakGlassEntry(PolicyModel):
    """Who may approve without those who were asked, and who looks at it afterwards."""

    group: Identifier
    """The group whose members may; nobody does it in their place."""
    review: AskEntry
    """Whom to ask afterwards; never whoever did it."""


class ExceptionsEntry(PolicyModel):
    """Whom to ask about what is no approval of an action; what is left out is put to nobody."""

    in_doubt: AskEntry | None = None
    """Whether a touch went out of which nobody knows."""
    conflict: AskEntry | None = None
    """What goes first: proposals that starve, holds on what was approved."""
    ambiguity: AskEntry | None = None
    """What is true when systems read an account too differently; interpretation.yaml says when that is."""
    break_glass: BreakGlassEntry | None = None
    """In an emergency one person approves alone; left out, nobody can."""


class ApprovalsFile(FirstsPart, WindowsPart):
    """The file as people write it."""

    require: tuple[RequireEntry, ...]
    routes: tuple[RouteEntry, ...]
    default_route: DefaultRouteEntry
    exceptions: ExceptionsEntry = ExceptionsEntry()


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Who may approve alone, and who looks at it afterwards.

    Attributes:
        group: Whose members may.
        review: Whom to ask afterwards.
    """

    group: str
    review: Route


@dataclass(frozen=True, slots=True)
class Approvals:
    """The compiled file.

    Attributes:
        require: What needs a person.
        routes: Whom to ask about an action; the last one matches always.
        exceptions: Whom to ask about other kinds of exceptions.
        break_glass: Who may approve alone; None: nobody.
        firsts: What may be asserted, and what is asked about because it is new.
        windows: How much may be approved in advance.
    """

    require: tuple[tuple[Origin, Condition | None], ...]
    routes: tuple[Route, ...]
    exceptions: Mapping[ExceptionKind, Route]
    break_glass: BreakGlass | None
    firsts: Firsts
    windows: Windows

    def route_called(self, route_id: str | None) -> Route | None:
        """Return the route of an id, whatever it is about; None if there is none."""
        review = (self.break_glass.review,) if self.break_glass is not None else ()
        everything = (*self.routes, *self.exceptions.values(), *review)
        return next((route for route in everything if route.origin.rule_id == route_id), None)


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
        build_route(
            ("routes", index),
            entry,
            builder,
            builder.condition(("routes", index, "when"), entry.when),
            Verdict(entry.on_expiry),
        )
        for index, entry in enumerate(file.routes)
    ]
    last = file.default_route
    routes.append(build_route(("default_route",), last, builder, on_expiry=Verdict(last.on_expiry)))
    said = file.exceptions
    named = (
        (ExceptionKind.IN_DOUBT, said.in_doubt),
        (ExceptionKind.CONFLICT, said.conflict),
        (ExceptionKind.AMBIGUITY, said.ambiguity),
    )
    exceptions = {
        kind: build_route(("exceptions", kind.value), entry, builder)
        for kind, entry in named
        if entry is not None
    }
    glass = None
    if said.break_glass is not None:
        loc = ("exceptions", "break_glass")
        builder.known((*loc, "group"), said.break_glass.group, builder.roll.groups, "group")
        glass = BreakGlass(
            said.break_glass.group, build_route((*loc, "review"), said.break_glass.review, builder)
        )
    return Approvals(
        require,
        tuple(routes),
        MappingProxyType(exceptions),
        glass,
        build_firsts(file, builder),
        build_windows(file, builder),
    )


def apply_requirements(approvals: Approvals, case: Case) -> None:
    """Collect every rule that asks for a person."""
    case.hits.extend(
        origin.hit(Verdict.REQUIRE_APPROVAL, ReasonCode.APPROVAL_NEEDED)
        for origin, when in approvals.require
        if case.holds(when, origin)
    )


def circle_of(people: People, case: Case) -> Circle:
    """Return who may answer about a proposal: not its proposer, its owner, nor who wrote its content."""
    barred = case.actor.barred | frozenset(case.candidate.proposal.edited_by)
    return Circle(people, barred, case.delegations)


def settle_approval(approvals: Approvals, people: People, case: Case) -> None:
    """Mark what persons have already approved; whether it was this very action is the account's care.

    An approval counts only while its giver is one of those who may answer today: in a group of the route that
    matches today or of one of its levels, or in the place of somebody there when they said it, and neither
    the proposer, nor the owner of the agent that proposed, nor somebody who wrote the content. As many of
    them as that route asks for today must have approved, from different groups if it asks for that. Who broke
    the glass counts alone, while they are in the group that may.
    """
    candidate = case.candidate
    if not candidate.agreed and not candidate.agreements and candidate.glass_broken_by is None:
        return
    if all(hit.log_only or hit.effect is not Verdict.REQUIRE_APPROVAL for hit in case.hits):
        return
    circle = circle_of(people, case)
    glass = approvals.break_glass
    if glass is not None and candidate.glass_broken_by in circle.members((glass.group,)):
        _settle(case, f"{candidate.glass_broken_by} broke the glass", ReasonCode.GLASS_BROKEN)
        return
    route = _matching(approvals, case)
    if isinstance(route, RuleHit) or not (counted := enough_of(route, circle, agreements_of(case))):
        return
    _settle(case, f"Approved by {' and '.join(each.in_words for each in counted)}")


def _settle(case: Case, by: str, reason: ReasonCode | None = None) -> None:
    case.hits[:] = [
        hit.model_copy(
            update={
                "effect": Verdict.ALLOW,
                "message": one_line(f"{by}: {hit.message}"),
                "reason": reason or hit.reason,
            }
        )
        if hit.effect is Verdict.REQUIRE_APPROVAL and not hit.log_only
        else hit
        for hit in case.hits
    ]


def agreements_of(case: Case) -> tuple[Agreement, ...]:
    """Return who agreed, once each.

    Of one who was only named it is not known when, so they speak for themselves.
    """
    candidate = case.candidate
    found: dict[str, Agreement] = {}
    for each in candidate.agreements:
        found.setdefault(each.approver, each)
    return tuple(
        found.get(login) or Agreement(approver=login, answers_for=login, at=candidate.received_at)
        for login in dict.fromkeys((*candidate.agreed, *found))
    )


def enough_of(route: Route, circle: Circle, agreements: Sequence[Agreement]) -> tuple[Agreement, ...]:
    """Return the agreements that count today if they are as many as the route asks for; none if not.

    No two of them are for the same person.
    """
    groups = route.all_groups
    voices: dict[str, Agreement] = {}
    for agreement in agreements:
        voice = voice_of(agreement, circle, groups)
        if voice is not None:
            own = voice == agreement.approver
            voices.setdefault(voice, agreement.model_copy(update={"answers_for": None if own else voice}))
    heard = len(voices)
    if route.distinct_groups:
        heard = spread({group: voices.keys() & set(circle.members((group,))) for group in groups})
    return tuple(voices.values()) if heard >= route.quorum else ()


def voice_of(agreement: Agreement, circle: Circle, groups: Sequence[str]) -> str | None:
    """Return for whom an agreement counts today: its giver, or somebody in whose place it was given."""
    if not circle.may(agreement.approver):
        return None
    own = agreement.approver in circle.members(groups)
    principals = (name for name, _ in circle.principals(agreement.approver, groups, agreement.at))
    if agreement.answers_for in {None, agreement.approver}:
        # Of one whose moment is not known, `agreements_of` says that they speak for themselves.
        deputy = None if agreement.answers_for is not None else next(principals, None)
        return agreement.approver if own else deputy
    if agreement.answers_for in principals:
        return agreement.answers_for
    return agreement.approver if own else None


def find_route(approvals: Approvals, people: People, case: Case) -> ApprovalRoute | RuleHit:
    """Return whom to ask, or the denial if fewer are left than must approve."""
    route = _matching(approvals, case)
    if isinstance(route, RuleHit):
        return route
    found = ask(route, circle_of(people, case), case.now, case.candidate.expires_at)
    if isinstance(found, ApprovalRoute):
        return found
    return _NOBODY.hit(Verdict.DENY, ReasonCode.APPROVAL_NEEDED, message=_too_few(route, found))


def _matching(approvals: Approvals, case: Case) -> Route | RuleHit:
    """Return the first route that matches, or the denial if a condition before it gives no answer."""
    for route in approvals.routes:
        before = len(case.hits)
        if case.holds(route.when, route.origin):
            return route
        if len(case.hits) > before:
            return case.hits.pop()
    return _NOBODY.hit(Verdict.DENY, ReasonCode.APPROVAL_NEEDED)


def _too_few(route: Route, asked: Asked) -> str:
    where = " or ".join(route.all_groups)
    left = asked.distinct() if route.distinct_groups else asked.voices()
    if route.quorum == 1:
        return f"A person in {where} must approve this, and nobody there is left who may."
    few = {0: "nobody there is left who may", 1: "only 1 is left there who may"}
    rest = few.get(left, f"only {left} are left there who may")
    apart = " from different groups" if route.distinct_groups else ""
    return f"{route.quorum} persons{apart} in {where} must approve this, and {rest}."


@dataclass(frozen=True, slots=True)
class Asking:
    """What the routes of exceptions say about the asks of one request.

    Attributes:
        routes: Whom to ask, by approval id.
        unroutable: Why nobody can be asked, by approval id.
    """

    routes: dict[str, ApprovalRoute]
    unroutable: dict[str, str]


def route_asks(approvals: Approvals, people: People, request: RulingRequest) -> Asking:
    """Return whom to ask about exceptions that are no approvals of an action."""
    asking = Asking({}, {})
    for each in request.asks:
        circle = Circle(people, frozenset(_barred(people, each)), request.delegations)
        found = exception_route(approvals, each.kind, circle, request)
        if isinstance(found, ApprovalRoute):
            asking.routes[each.approval_id] = found
        else:
            asking.unroutable[each.approval_id] = found
    return asking


def exception_route(
    approvals: Approvals, kind: ExceptionKind, circle: Circle, request: RulingRequest
) -> ApprovalRoute | str:
    """Return whom to ask about an exception that is no approval of an action, or why nobody can be asked."""
    route = approvals.exceptions.get(kind)
    if kind is ExceptionKind.REVIEW and approvals.break_glass is not None:
        route = approvals.break_glass.review
    if route is None:
        return f"approvals.yaml does not say whom to ask about {_WORDS[kind]}"
    found = ask(route, circle, request.now)
    if isinstance(found, ApprovalRoute):
        return found
    return one_line(f"nobody in {' or '.join(route.all_groups)} is left who may decide about {_WORDS[kind]}")


def asks_about(approvals: Approvals) -> tuple[ExceptionKind, ...]:
    """Return the kinds of exceptions for which the file says whom to ask, in the order of the language."""
    review = {ExceptionKind.REVIEW} if approvals.break_glass is not None else set()
    return tuple(kind for kind in ExceptionKind if kind in approvals.exceptions or kind in review)


def barred_for(people: People, actor_id: str | None) -> frozenset[str]:
    """Return who may never answer about what an actor proposed; one that is no longer listed bars itself."""
    if actor_id is None:
        return frozenset()
    actor = people.actors.get(actor_id)
    return actor.barred if actor is not None else frozenset({actor_id})


def _barred(people: People, each: ExceptionAsk) -> Iterator[str]:
    """Yield who may never answer: those of the action, and those who contradict each other about it."""
    yield from barred_for(people, each.actor)
    yield from each.edited_by
    yield from each.approved_by
