"""Ruling: one decision for every candidate of an account, and at most one of them `allow`.

Every candidate is heard alone first: all rules that match are collected, and the most restrictive effect
wins. Those that nothing speaks against compete; one wins, and the others learn when their turn may come.
What is decided depends on the request and the policy set alone, and not on the order of candidates or rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain import (
    Assessment,
    Decision,
    Draw,
    ExceptionKind,
    Handover,
    ReasonCode,
    Ruling,
    RulingRequest,
    TouchStatus,
    UseKind,
    Verdict,
)
from governance._contest import arbitrate
from governance._facts import account_facts, assessment_facts, days_since
from governance._hearing import Hearing, World, good_until, hear, telling_order
from governance._limits import Timeline
from governance._policy_set import PolicySet
from governance.families._ambiguity import Doubt, doubt_about
from governance.families._approvals import asks_about, exception_route, route_asks
from governance.families._arbitration import place_of, starving
from governance.families._asking import Circle
from governance.families._interpretation import holding, reconcile, said_by

RIVALS_NAMED = 20
"""Rivals a decision names; all of them in all decisions would grow with the square of their number."""


def rule(policies: PolicySet, request: RulingRequest) -> Ruling:
    """Decide on every candidate of a request.

    Pure and deterministic. Nothing in a request makes it raise: a condition that gives no answer denies
    the proposal in the name of its rule.

    Args:
        policies: The policy set in force.
        request: The account's world and the candidates, each with an id of its own.

    Returns:
        The assessment, and one decision per candidate in the order of their arrival (then of their ids).
        A decision's first hit is the one that decided.
    """
    assessment = reconcile(policies.interpretation, request.readings, request.now, request.settled)
    doubt = _doubt(policies, request, assessment)
    world = World(
        policies=policies,
        request=request,
        touches=Timeline(touch for touch in request.touches if touch.status is not TouchStatus.RELEASED),
        rejected=tuple(t for t in request.touches if t.status is TouchStatus.RELEASED and t.outcomes),
        account=account_facts(request.account, request.circumstances)
        if request.account is not None
        else None,
        assessment=assessment_facts(assessment),
        days_since=days_since(request.circumstances, request.now),
        suppressed=frozenset(request.suppressed),
        doubt=doubt,
    )
    candidates = sorted(request.candidates, key=lambda each: (each.received_at, each.proposal.proposal_id))
    hearings = [hear(world, candidate) for candidate in candidates]
    arbitrate(world, hearings)
    asking = route_asks(policies.approvals, policies.people, request)
    ids = sorted(candidate.proposal.proposal_id for candidate in candidates)
    return Ruling(
        revision=request.revision,
        policy_digest=policies.digest,
        assessment=assessment,
        decisions=tuple(_decide(world, hearing, ids) for hearing in hearings),
        decision_window_seconds=policies.decision_window.total_seconds(),
        routes=asking.routes,
        unroutable=asking.unroutable,
        ambiguity=doubt.ambiguity if doubt is not None else None,
        asks_about=asks_about(policies.approvals),
    )


def _doubt(policies: PolicySet, request: RulingRequest, assessment: Assessment | None) -> Doubt | None:
    """Return what readings lead to that disagree too much; None if they do not, or it has been settled."""
    how = policies.interpretation
    if how.ambiguity is None or assessment is None or not how.ambiguity.speaks(assessment):
        return None
    if holding(how, request.readings, request.now, request.settled) is not None:
        return None
    circle = Circle(policies.people, frozenset(), request.delegations)
    route = exception_route(policies.approvals, ExceptionKind.AMBIGUITY, circle, request)
    return doubt_about(how.ambiguity, said_by(how, request.readings), assessment, route, request)


def _decide(world: World, hearing: Hearing, ids: Sequence[str]) -> Decision:
    candidate, policies = hearing.candidate, world.policies
    verdict = hearing.effect
    starves = starving(policies.arbitration, candidate) if verdict is Verdict.DEFER else None
    if starves is not None and not hearing.stopped:
        hearing.hits.append(starves)
    hits = tuple(sorted(hearing.hits, key=telling_order))
    proposal_id = candidate.proposal.proposal_id
    return Decision(
        decision_id=f"{proposal_id}:{candidate.rulings + 1}",
        proposal_id=proposal_id,
        verdict=verdict,
        reason=ReasonCode.ALLOWED if verdict is Verdict.ALLOW else hits[0].reason,
        until=hearing.until if verdict is Verdict.DEFER else None,
        hits=hits,
        score=hearing.score,
        rank=hearing.rank,
        rivals=tuple(each for each in ids if each != proposal_id)[:RIVALS_NAMED],
        policy_digest=policies.digest,
        decided_at=world.request.now,
        route=hearing.route if verdict is Verdict.REQUIRE_APPROVAL else None,
        handover=_handover(hearing, policies) if verdict is Verdict.ALLOW else None,
        good_until=good_until(hearing) if verdict is Verdict.ALLOW else None,
        draws=_places(hearing) if verdict is Verdict.ALLOW else (),
        uses=hearing.uses,
        template_version=next((u.version for u in hearing.uses if u.kind is UseKind.TEMPLATE), None),
        window=hearing.window.grant_id if hearing.window and verdict is Verdict.ALLOW else None,
    )


def _handover(hearing: Hearing, policies: PolicySet) -> Handover | None:
    """Return how the channel is reached, with the touch's place in its queue."""
    case = hearing.case
    if case is None:
        return None
    place = place_of(policies.arbitration, case, hearing.score)
    usual = case.channel.handover
    return usual if place == usual.priority else usual.model_copy(update={"priority": place})


def _places(hearing: Hearing) -> tuple[Draw, ...]:
    """Return what the touch takes in limits that all accounts share, in the order of their names."""
    limits = sorted(hearing.shared, key=lambda limit: limit.draw_id)
    return tuple(limit.draw(hearing.candidate.proposal) for limit in limits)
