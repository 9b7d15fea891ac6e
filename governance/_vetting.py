"""Whether somebody may answer who was not asked by name: under the policies of this moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain import (
    Answer,
    Approval,
    ApprovalRoute,
    Delegation,
    ExceptionKind,
    VetRequest,
    Vetting,
)
from governance._case import one_line
from governance._policy_set import PolicySet
from governance.families._approvals import barred_for
from governance.families._asking import Circle, ask
from governance.families._people import People
from governance.families._routes import in_words


def vet(policies: PolicySet, request: VetRequest, delegations: Sequence[Delegation]) -> Vetting:
    """Say whether a person may give an answer, and for whom.

    Pure: nothing is allowed because something is missing. Being on leave is no refusal.

    Args:
        policies: The policy set in force.
        request: The question, the answer, and when it was given.
        delegations: Who answers in whose place, besides what people.yaml says.
    """
    barred = frozenset(request.approval.route.excluded) | barred_for(policies.people, request.approval.actor)
    circle = Circle(policies.people, barred, tuple(delegations))
    refusal = _barred_or_unknown(circle, request.answer.approver)
    if refusal is not None:
        return _refused(request, refusal)
    if request.answer.answer is Answer.BREAK_GLASS:
        return _break_glass(policies, circle, request)
    return _asked_today(policies, circle, request)


def delegation_problem(
    policies: PolicySet, delegation: Delegation, existing: Sequence[Delegation] = ()
) -> str | None:
    """Return why a delegation may not be entered, or could never be used; None if it may.

    Somebody who is away may be helped by a colleague, so others can enter it; nobody can take a place for
    themselves, or pass on one that they hold for somebody.

    Args:
        policies: The policy set in force.
        delegation: What somebody wants to enter.
        existing: Who stands in for whom already, now or later.
    """
    people = policies.people
    for login in (delegation.principal, delegation.delegate, delegation.made_by):
        refusal = _no_person(people, login)
        if refusal is not None:
            return refusal
    if delegation.principal == delegation.delegate:
        return f"{delegation.principal} cannot answer in their own place"
    maker = delegation.made_by
    if maker == delegation.delegate:
        return f"{maker} cannot take the place of {delegation.principal}; they or a colleague must give it"
    if any(each.delegate == maker and each.principal == delegation.principal for each in existing):
        return f"{maker} stands in for {delegation.principal} and cannot pass it on"
    if delegation.ends_at <= delegation.starts_at:
        return "it ends before it begins"
    if not any(delegation.principal in members for members in people.groups.values()):
        return f"{delegation.principal} is in no group of people.yaml, so there is nothing to delegate"
    return None


def _refused(request: VetRequest, refusal: str) -> Vetting:
    return Vetting(
        approval_id=request.approval.approval_id,
        answer_id=request.answer.answer_id,
        refusal=one_line(refusal),
    )


def _accepted(
    request: VetRequest, group: str, *, answers_for: str | None = None, review: ApprovalRoute | None = None
) -> Vetting:
    return Vetting(
        approval_id=request.approval.approval_id,
        answer_id=request.answer.answer_id,
        refusal=None,
        group=group,
        answers_for=answers_for,
        review=review,
    )


def _no_person(people: People, login: str) -> str | None:
    if login not in people.actors:
        return f"{login} is not in people.yaml; only persons who are listed there may answer"
    return None if people.is_person(login) else f"{login} is no person; agents never approve"


def _barred_or_unknown(circle: Circle, login: str) -> str | None:
    refusal = _no_person(circle.people, login)
    if refusal is None and login in circle.barred:
        return (
            f"{login} has a part in this: proposed it, owns what did, wrote its content, or said yes before; "
            "somebody else must answer"
        )
    return refusal


def _asked_today(policies: PolicySet, circle: Circle, request: VetRequest) -> Vetting:
    approval, login = request.approval, request.answer.approver
    groups = tuple(_groups_reached(policies, approval))
    for group in groups:
        if login in circle.members((group,)):
            return _accepted(request, group)
    for principal, group in circle.principals(login, groups, request.now):
        return _accepted(request, group, answers_for=principal)
    for level in approval.route.levels[approval.level :]:
        if login in level.approvers or login in circle.members((level.group,)):
            return _refused(
                request, f"{login} is asked only if nobody answers until {level.at:%Y-%m-%d %H:%M}Z"
            )
    return _refused(
        request,
        f"{login} is not in {in_words(groups) or 'any group that is asked'}, and nobody there lets them "
        "answer in their place",
    )


def _groups_reached(policies: PolicySet, approval: Approval) -> Iterator[str]:
    """Yield the groups that are asked by now: those of the route as it is today, without levels to come.

    A route that is no longer in the file asks those whom it asked by name, as far as they are still groups.
    """
    given = approval.route
    pending = {level.group for level in given.levels[approval.level :]}
    route = policies.approvals.route_called(given.route_id)
    if route is not None:
        yield from (group for group in route.all_groups if group in route.groups or group not in pending)
        return
    named = (given.group, *(seat.group for seat in given.seats), *(each.group for each in given.levels))
    yield from dict.fromkeys(name for name in named if name in policies.people.groups and name not in pending)


def _break_glass(policies: PolicySet, circle: Circle, request: VetRequest) -> Vetting:
    approval, login = request.approval, request.answer.approver
    glass = policies.approvals.break_glass
    if glass is None:
        return _refused(request, "nobody may break the glass: approvals.yaml does not say who")
    if approval.kind is not ExceptionKind.ACTION:
        return _refused(request, "only an action can be approved by breaking the glass")
    if login not in circle.members((glass.group,)):
        return _refused(request, f"{login} is not in {glass.group}, whose members alone may break the glass")
    others = Circle(circle.people, circle.barred | {login}, circle.delegations)
    review = ask(glass.review, others, request.now)
    if not isinstance(review, ApprovalRoute):
        where = " or ".join(glass.review.all_groups)
        return _refused(request, f"nobody in {where} is left who could review it afterwards")
    return _accepted(request, glass.group, review=review)
