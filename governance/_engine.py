"""Ruling: one decision for every candidate of an account, and at most one of them `allow`.

Every candidate is heard alone first: all rules that match are collected, and the most restrictive effect
wins. Those that nothing speaks against compete; one wins, and the others learn when their turn may come.
What is decided depends on the request and the policy set alone, and not on the order of candidates or rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from domain import (
    Candidate,
    Contact,
    Decision,
    ReasonCode,
    RuleHit,
    Ruling,
    RulingRequest,
    Score,
    TouchRecord,
    TouchStatus,
    Verdict,
)
from governance._case import FAMILIES, FAR, Case, Origin, evaluation_error
from governance._facts import (
    LOSERS,
    RULES,
    AccountFacts,
    AssessmentFacts,
    account_facts,
    assessment_facts,
    contact_facts,
    proposal_facts,
    winner_facts,
)
from governance._limits import Limit, NotBefore, settle
from governance._policy_set import PolicySet
from governance.cel._conditions import EvaluationError
from governance.families._approvals import apply_requirements, find_route, settle_approval
from governance.families._arbitration import judge_loser, score, slot_limits
from governance.families._authority import apply_authority
from governance.families._channels import apply_channel
from governance.families._consent import apply_consent
from governance.families._frequency import Cap, applicable_caps, cap_limits
from governance.families._interpretation import reconcile
from governance.families._timing import gap_limits, quiet_limits

IN_FLIGHT_PAUSE = timedelta(seconds=30)
"""How long a proposal waits for the touch in flight, unless that ends earlier."""

_UNKNOWN_ACCOUNT = Origin("engine.unknown_account", "engine", "Nothing is known about this account yet.")
_UNKNOWN_ACTOR = Origin("engine.unknown_actor", "engine", "This actor is not listed in people.yaml.")
_UNKNOWN_CHANNEL = Origin("engine.unknown_channel", "engine", "This channel is not listed in channels.yaml.")
_UNKNOWN_CONTACT = Origin("engine.unknown_contact", "engine", "The account has no such contact.")
_SUPPRESSED = Origin("engine.suppressed", "engine", "The person is on the shared suppression list.")
_OPTED_OUT = Origin("engine.opted_out", "engine", "The person has objected to being contacted.")
_EXPIRED = Origin("engine.expired", "engine", "The proposal has expired.")
_NOT_YET = Origin("engine.not_yet", "engine", "The proposal asks not to go out earlier.")
_HOLD = Origin("engine.hold", "engine", "The account is on hold.")
_IN_FLIGHT = Origin("engine.touch_in_flight", "engine", "Another touch on this account is on its way.")
_FACTS = Origin("engine.facts", "engine", "What is known cannot be read by the rules.")
_WINNER = Origin("engine.winner", "arbitration", "This proposal goes first.")

_LIFTING_RULES = frozenset({_HOLD.rule_id, _IN_FLIGHT.rule_id})
_RANKS = {verdict: verdict.rank for verdict in Verdict}
_FAMILY_ORDER = {family: place for place, family in enumerate(FAMILIES)}

RIVALS_NAMED = 20
"""Rivals a decision names; all of them in all decisions would grow with the square of their number."""


class _Victory(NamedTuple):
    """The winner, its score, and the touches once it has been handed over."""

    candidate: Candidate
    score: float
    touches: tuple[TouchRecord, ...]


class _Clocks(NamedTuple):
    """The limits of one proposal."""

    firm: tuple[Limit, ...]
    lifting: tuple[Limit, ...]


@dataclass(slots=True)
class _World:
    """What all candidates of a request share."""

    policies: PolicySet
    request: RulingRequest
    touches: tuple[TouchRecord, ...]
    account: AccountFacts | None
    assessment: AssessmentFacts | None
    suppressed: frozenset[str]


@dataclass(slots=True)
class _Hearing:
    """One candidate on its way to a decision."""

    candidate: Candidate
    case: Case | None = None
    caps: tuple[Cap, ...] = ()
    score: Score | None = None
    rank: int | None = None
    until: datetime | None = None
    hits: list[RuleHit] = field(default_factory=list)

    @property
    def effect(self) -> Verdict:
        """The most restrictive effect so far."""
        return max((hit.effect for hit in self.hits), key=_RANKS.__getitem__, default=Verdict.ALLOW)


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
    assessment = reconcile(policies.interpretation, request.readings, request.now)
    world = _World(
        policies=policies,
        request=request,
        touches=tuple(touch for touch in request.touches if touch.status is not TouchStatus.RELEASED),
        account=account_facts(request.account) if request.account is not None else None,
        assessment=assessment_facts(assessment),
        suppressed=frozenset(request.suppressed),
    )
    candidates = sorted(request.candidates, key=lambda each: (each.received_at, each.proposal.proposal_id))
    hearings = [_hear(world, candidate) for candidate in candidates]
    _arbitrate(world, hearings)
    ids = sorted(candidate.proposal.proposal_id for candidate in candidates)
    return Ruling(
        revision=request.revision,
        policy_digest=policies.digest,
        assessment=assessment,
        decisions=tuple(_decide(world, hearing, ids) for hearing in hearings),
        decision_window_seconds=policies.decision_window.total_seconds(),
    )


def _hear(world: _World, candidate: Candidate) -> _Hearing:
    """Put one candidate before all rules that concern it alone."""
    hearing = _Hearing(candidate)
    case = _open_case(world, hearing)
    if case is None:
        return hearing
    hearing.case, policies = case, world.policies
    case.hits = hearing.hits
    _apply_engine(world, case)
    apply_channel(case)
    apply_consent(policies.consent, case)
    apply_authority(policies.authority, case)
    apply_requirements(policies.approvals, case)
    settle_approval(policies.approvals, policies.people, case)
    hearing.caps = applicable_caps(policies.frequency, case)
    hearing.score = score(policies.arbitration, case)
    _apply_clocks(hearing, _clocks(world, case, hearing.caps, world.touches))
    return hearing


def _open_case(world: _World, hearing: _Hearing) -> Case | None:
    """Return the case, or None after noting everything that is not known about the candidate."""
    request, policies = world.request, world.policies
    candidate, proposal = hearing.candidate, hearing.candidate.proposal
    actor = policies.people.actors.get(proposal.actor)
    channel = policies.channels.get(proposal.channel)
    contact = request.contacts.get(proposal.contact_id) if proposal.contact_id is not None else None
    missing = (
        (request.account is None, _UNKNOWN_ACCOUNT, ReasonCode.UNKNOWN_ACCOUNT),
        (actor is None, _UNKNOWN_ACTOR, ReasonCode.UNKNOWN_ACTOR),
        (channel is None, _UNKNOWN_CHANNEL, ReasonCode.UNKNOWN_CHANNEL),
        (proposal.contact_id is not None and contact is None, _UNKNOWN_CONTACT, ReasonCode.UNKNOWN_CONTACT),
    )
    hearing.hits.extend(origin.hit(Verdict.DENY, reason) for absent, origin, reason in missing if absent)
    account = request.account
    if hearing.hits or account is None or actor is None or channel is None:
        return None
    try:
        bound = RULES.bind(
            {
                "account": world.account,
                "contact": contact_facts(contact, account) if contact is not None else None,
                "proposal": proposal_facts(proposal),
                "actor": actor.facts,
                "assessment": world.assessment,
                "now": request.now,
            }
        )
    except EvaluationError as error:
        hearing.hits.append(evaluation_error(_FACTS, error))
        return None
    return Case(candidate, account, contact, actor, channel, bound, world.touches, request.now)


def _apply_engine(world: _World, case: Case) -> None:
    """Collect what no policy can switch off, apart from limits in time."""
    contact: Contact | None = case.contact
    if contact is not None and case.candidate.proposal.contact_id in world.suppressed:
        case.hits.append(_SUPPRESSED.hit(Verdict.DENY, ReasonCode.SUPPRESSED))
    if contact is not None and contact.opted_out_at is not None:
        case.hits.append(_OPTED_OUT.hit(Verdict.DENY, ReasonCode.SUPPRESSED))
    if case.now >= case.candidate.expires_at:
        case.hits.append(_EXPIRED.hit(Verdict.SUPPRESS, ReasonCode.EXPIRED))


def _clocks(world: _World, case: Case, caps: Sequence[Cap], touches: Sequence[TouchRecord]) -> _Clocks:
    policies, candidate = world.policies, case.candidate
    firm: list[Limit] = []
    if candidate.proposal.earliest is not None:
        firm.append(NotBefore(_NOT_YET, ReasonCode.NOT_YET, candidate.proposal.earliest))
    firm.extend(cap_limits(caps, candidate.proposal.contact_id, touches))
    firm.extend(gap_limits(policies.timing, touches))
    firm.extend(slot_limits(policies.arbitration, touches))
    firm.extend(quiet_limits(policies.timing, case))
    return _Clocks(tuple(firm), tuple(_lifting_limits(world, case, touches)))


def _lifting_limits(world: _World, case: Case, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    for hold in world.request.holds:
        origin = Origin(_HOLD.rule_id, _HOLD.family, f"{hold.placed_by} has put the account on hold.")
        ends = hold.expires_at or case.candidate.expires_at
        yield NotBefore(origin, ReasonCode.ACCOUNT_HOLD, ends, lifts=True)
    if any(touch.status is TouchStatus.IN_FLIGHT for touch in touches):
        yield NotBefore(_IN_FLIGHT, ReasonCode.TOUCH_IN_FLIGHT, case.now + IN_FLIGHT_PAUSE, lifts=True)


def _apply_clocks(hearing: _Hearing, clocks: _Clocks) -> None:
    """Collect every limit that holds now, and find the moment at which none does."""
    case = hearing.case
    if case is None or case.now >= hearing.candidate.expires_at:
        return
    waiting = [
        limit.hit(until)
        for limit in (*clocks.firm, *clocks.lifting)
        if (until := limit.earliest(case.now)) > case.now
    ]
    if not waiting:
        return
    hearing.hits.extend(waiting)
    expires_at = hearing.candidate.expires_at
    firm = settle(clocks.firm, case.now, expires_at)
    if firm >= expires_at:
        _too_late(hearing)
        return
    # Holds and touches in flight may end early, so they alone never drop a proposal.
    hearing.until = settle((*clocks.firm, *clocks.lifting), case.now, expires_at)


def _too_late(hearing: _Hearing) -> None:
    """Turn the deferral that lasts longest into a suppression, because the proposal expires first."""
    deferrals = [
        hit for hit in hearing.hits if hit.effect is Verdict.DEFER and hit.rule_id not in _LIFTING_RULES
    ]
    deciding = min(deferrals, key=_telling_order)
    hearing.hits[:] = [
        hit.model_copy(update={"effect": Verdict.SUPPRESS}) if hit is deciding else hit
        for hit in hearing.hits
    ]
    message = (
        f"It would have to wait beyond {hearing.candidate.expires_at:%Y-%m-%d %H:%M:%S}Z, when it expires."
    )
    hearing.hits.append(_EXPIRED.hit(Verdict.SUPPRESS, ReasonCode.EXPIRED, message=message))
    hearing.until = None


def _arbitrate(world: _World, hearings: Sequence[_Hearing]) -> None:
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


def _lose(world: _World, loser: _Hearing, case: Case, victory: _Victory) -> None:
    """Apply the rules for losers; a deferral lasts until slots, gap and caps have room after the winner."""
    proposal = loser.candidate.proposal
    try:
        bound = LOSERS.bind(
            {
                "account": world.account,
                "contact": contact_facts(case.contact, case.account) if case.contact is not None else None,
                "proposal": proposal_facts(proposal),
                "actor": case.actor.facts,
                "assessment": world.assessment,
                "now": case.now,
                "winner": winner_facts(victory.candidate.proposal, proposal),
            }
        )
    except EvaluationError as error:
        loser.hits.append(evaluation_error(_FACTS, error))
        return
    origin, effect = judge_loser(world.policies.arbitration, case, bound)
    own = loser.score.total if loser.score is not None else 0.0
    message = f"{origin.message.removesuffix('.')} ({victory.score:,.2f} against {own:,.2f})."
    if effect is not Verdict.DEFER:
        loser.hits.append(origin.hit(effect, ReasonCode.LOWER_PRIORITY, message=message))
        return
    clocks = _clocks(world, case, loser.caps, victory.touches)
    until = settle(clocks.firm, case.now, loser.candidate.expires_at)
    if until <= case.now:
        # Nothing makes it wait but the winner itself, which is on its way first.
        until = min(case.now + IN_FLIGHT_PAUSE, loser.candidate.expires_at)
    loser.hits.append(origin.hit(Verdict.DEFER, ReasonCode.LOWER_PRIORITY, message=message, until=until))
    if until >= loser.candidate.expires_at:
        _too_late(loser)
    else:
        loser.until = until


def _telling_order(hit: RuleHit) -> tuple[int, bool, float, int, str, str]:
    """Sort key: what decides comes first, then what is more restrictive or lasts longer."""
    lasts = (FAR - hit.until).total_seconds() if hit.until is not None else 0.0
    return (
        -_RANKS[hit.effect],
        # Running out of time is never the cause, only what a cause leads to.
        hit.rule_id == _EXPIRED.rule_id,
        lasts,
        _FAMILY_ORDER[hit.family],
        hit.rule_id,
        hit.message,
    )


def _decide(world: _World, hearing: _Hearing, ids: Sequence[str]) -> Decision:
    candidate, case, policies = hearing.candidate, hearing.case, world.policies
    route = None
    if hearing.effect is Verdict.REQUIRE_APPROVAL and case is not None:
        found = find_route(policies.approvals, policies.people, case)
        if isinstance(found, RuleHit):
            hearing.hits.append(found)
        else:
            route = found
    hits = tuple(sorted(hearing.hits, key=_telling_order))
    verdict = hits[0].effect if hits else Verdict.ALLOW
    proposal_id = candidate.proposal.proposal_id
    return Decision(
        decision_id=f"{proposal_id}:{candidate.rulings + 1}",
        proposal_id=proposal_id,
        verdict=verdict,
        reason=ReasonCode.ALLOWED if verdict is Verdict.ALLOW or not hits else hits[0].reason,
        until=hearing.until if verdict is Verdict.DEFER else None,
        hits=hits,
        score=hearing.score,
        rank=hearing.rank,
        rivals=tuple(each for each in ids if each != proposal_id)[:RIVALS_NAMED],
        policy_digest=policies.digest,
        decided_at=world.request.now,
        route=route,
        handover=case.channel.handover if verdict is Verdict.ALLOW and case is not None else None,
    )
