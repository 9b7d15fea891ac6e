"""The contest: who goes first among those that nothing speaks against, and when the others come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain import (
    Candidate,
    ReasonCode,
    RulingRequest,
    TouchRecord,
    TouchStatus,
    Verdict,
)
from governance._case import Case, Origin, evaluation_error
from governance._facts import (
    LOSERS,
    contact_facts,
    proposal_facts,
    winner_facts,
)
from governance._hearing import IN_FLIGHT_PAUSE, UNREADABLE_FACTS, Hearing, World, clocks_of, too_late
from governance._limits import settle
from governance.cel._conditions import EvaluationError
from governance.families._arbitration import judge_loser

_WINNER = Origin("engine.winner", "arbitration", "This proposal goes first.")


class _Victory(NamedTuple):
    """The winner, its score, and the touches once it has been handed over."""

    candidate: Candidate
    score: float
    touches: tuple[TouchRecord, ...]


def arbitrate(world: World, hearings: Sequence[Hearing]) -> None:
    """Let those that nothing speaks against compete, and tell the others when they may come back."""
    eligible = [
        (hearing.score.total, hearing, hearing.case)
        for hearing in hearings
        if hearing.effect is Verdict.ALLOW and hearing.case is not None and hearing.score is not None
    ]
    # The hearings are in the order of arrival and ids, and sorting is stable: that breaks ties.
    eligible.sort(key=lambda each: -each[0])
    for rank, (_, hearing, _) in enumerate(eligible, start=1):
        hearing.rank = rank
    if len(eligible) <= 1:
        return
    best, winner, _ = eligible[0]
    message = f"Goes first with a score of {best:,.2f}; the next has {eligible[1][0]:,.2f}."
    winner.hits.append(_WINNER.hit(Verdict.ALLOW, ReasonCode.ALLOWED, message=message))
    touches = (*world.touches, _touch_of(winner.candidate, world.request))
    victory = _Victory(winner.candidate, best, touches)
    for _, loser, case in eligible[1:]:
        _lose(world, loser, case, victory)


def _touch_of(candidate: Candidate, request: RulingRequest) -> TouchRecord:
    """Return the touch that will exist once the winner has been handed over."""
    proposal = candidate.proposal
    return TouchRecord(
        touch_id=f"{request.account_id}/{proposal.proposal_id}/{candidate.rulings + 1}",
        channel=proposal.channel,
        action=proposal.action,
        actor=proposal.actor,
        contact_id=proposal.contact_id,
        proposal_id=proposal.proposal_id,
        at=request.now,
        status=TouchStatus.HANDED_OVER,
    )


def _lose(world: World, loser: Hearing, case: Case, victory: _Victory) -> None:
    """Apply the rules for losers; a deferral lasts until slots, gap and caps have room after the winner."""
    proposal, winner = loser.candidate.proposal, victory.candidate.proposal
    try:
        bound = LOSERS.bind(
            {
                "account": world.account,
                "contact": contact_facts(case.contact, case.account) if case.contact is not None else None,
                "proposal": proposal_facts(
                    proposal, case.channel, intent=case.intent, operational=case.operational
                ),
                "actor": case.actor.facts,
                "assessment": world.assessment,
                "days_since": world.days_since,
                "now": case.now,
                "winner": winner_facts(
                    winner, proposal, intent=world.intent_of(winner.action, winner.intent)
                ),
            }
        )
    except EvaluationError as error:
        loser.hits.append(evaluation_error(UNREADABLE_FACTS, error))
        return
    origin, effect = judge_loser(world.policies.arbitration, case, bound)
    own = loser.score.total if loser.score is not None else 0.0
    message = f"{origin.message.removesuffix('.')} ({victory.score:,.2f} against {own:,.2f})."
    if effect is not Verdict.DEFER:
        loser.hits.append(origin.hit(effect, ReasonCode.LOWER_PRIORITY, message=message))
        return
    clocks = clocks_of(world, case, loser.caps, victory.touches)
    until = settle(clocks.firm, case.now, loser.candidate.expires_at)
    if until <= case.now:
        # Nothing makes it wait but the winner itself, which is on its way first.
        until = min(case.now + IN_FLIGHT_PAUSE, loser.candidate.expires_at)
    loser.hits.append(origin.hit(Verdict.DEFER, ReasonCode.LOWER_PRIORITY, message=message, until=until))
    if until >= loser.candidate.expires_at:
        too_late(loser)
    else:
        loser.until = until
