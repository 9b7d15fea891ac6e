"""What a ruling must be told about the tenant as a whole, before it can be made.

Both lists may name more than a ruling takes in the end: conditions are not asked here. What a touch really
takes stands in its decision.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain import Autonomy, Draw, Proposal, RulingRequest
from governance._policy_set import PolicySet
from governance._shared import SharedLimit


def draws(policies: PolicySet, request: RulingRequest) -> tuple[tuple[str, Draw], ...]:
    """Return the places that the candidates of a request may take in limits that all accounts share.

    The ruling wants to know of each from when there is room, as `Standing.room_at`, under
    `<draw.rule_id>/<proposal id>`. Without that it denies the proposal in the name of the rule.

    Args:
        policies: The policy set in force.
        request: The account's world and the candidates; its standing is not read.

    Returns:
        Proposal ids with what each may take, in the order of ids and rules; nothing at once if the set has
        no shared limit.
    """
    if not policies.shares:
        return ()
    found = [
        (candidate.proposal.proposal_id, limit.draw(candidate.proposal))
        for candidate in request.candidates
        for limit in _limits(policies, request, candidate.proposal)
    ]
    return tuple(sorted(found, key=lambda each: (each[0], each[1].rule_id)))


def tracked(policies: PolicySet, request: RulingRequest) -> tuple[tuple[str, str], ...]:
    """Return the pairs of actor and action whose touches novelty counts.

    The ruling wants their numbers as `Standing.done`, under `<actor>/<action>`; a missing one counts as 0.

    Returns:
        Each pair once, in the order of names; nothing if no grant asks.
    """
    asking = [
        grant
        for grant in policies.authority
        # The others never let the actor act alone, so it does not matter how new it is.
        if grant.novelty and grant.level is Autonomy.ACT_AND_REPORT and not grant.over(request.now)
    ]
    return tuple(
        sorted(
            {
                (actor.actor_id, proposal.action)
                for proposal in (candidate.proposal for candidate in request.candidates)
                if asking
                and (actor := policies.people.actors.get(proposal.actor)) is not None
                and any(grant.concerns(actor, proposal) for grant in asking)
            }
        )
    )


def _limits(policies: PolicySet, request: RulingRequest, proposal: Proposal) -> Iterator[SharedLimit]:
    actor = policies.people.actors.get(proposal.actor)
    if actor is None or proposal.channel not in policies.channels:
        return  # denied, whatever has been used up
    for cap in policies.frequency.shared:
        if cap.concerns(proposal):
            yield cap.limit
    for grant in policies.authority:
        if grant.budgets and not grant.over(request.now) and grant.concerns(actor, proposal):
            yield from grant.budgets
