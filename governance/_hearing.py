"""Hearing: one candidate before all rules that concern it alone, and the limits in time that hold for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from domain import (
    ApprovalRoute,
    Candidate,
    Contact,
    Proposal,
    ReasonCode,
    RuleHit,
    RulingRequest,
    Scheduled,
    Score,
    Stop,
    TouchRecord,
    TouchStatus,
    Use,
    Verdict,
    WindowGrant,
)
from governance._case import FAMILIES, FAR, Case, Origin, evaluation_error
from governance._facts import (
    RULES,
    AccountFacts,
    AssessmentFacts,
    ContactFacts,
    DaysSince,
    contact_facts,
    proposal_facts,
)
from governance._limits import Limit, NotBefore, once, settle
from governance._policy_set import PolicySet
from governance._shared import SharedLimit
from governance._uses import apply_uses
from governance.cel._conditions import EvaluationError, Recall
from governance.families._ambiguity import Doubt
from governance.families._approvals import apply_requirements, find_route, settle_approval
from governance.families._arbitration import score, slot_limits
from governance.families._channels import apply_channel
from governance.families._conflicts import Conflict, apart_limits, applicable_conflicts, apply_misfits
from governance.families._consent import apply_consent
from governance.families._eligibility import apply_eligibility
from governance.families._frequency import AnyCap, applicable_caps, cap_limits, shared_limits
from governance.families._grants import apply_authority
from governance.families._suppression import apply_suppression, suppression_limits
from governance.families._timing import gap_limits, quiet_limits
from governance.families._windows import apply_windows, bounded

IN_FLIGHT_PAUSE = timedelta(seconds=30)
"""How long a proposal waits for the touch in flight, unless that ends earlier."""
STOP_PAUSE = timedelta(hours=6)
"""When a proposal that a stop covers is ruled again. The account is told when the stop is lifted; this is
for the case that the word does not reach it."""

_UNKNOWN_ACCOUNT = Origin("engine.unknown_account", "engine", "Nothing is known about this account yet.")
_UNKNOWN_ACTOR = Origin("engine.unknown_actor", "engine", "This actor is not listed in people.yaml.")
_UNKNOWN_CHANNEL = Origin("engine.unknown_channel", "engine", "This channel is not listed in channels.yaml.")
_UNKNOWN_CONTACT = Origin("engine.unknown_contact", "engine", "The account has no such contact.")
_SUPPRESSED = Origin("engine.suppressed", "engine", "The person is on the shared suppression list.")
_OPTED_OUT = Origin("engine.opted_out", "engine", "The person has objected to being contacted.")
_CONTACT_LEFT = Origin("engine.contact_left", "engine", "The person has left the company.")
_EXPIRED = Origin("engine.expired", "engine", "The proposal has expired.")
_NOT_YET = Origin("engine.not_yet", "engine", "The proposal asks not to go out earlier.")
_HOLD = Origin("engine.hold", "engine", "The account is on hold.")
_STOP = Origin("engine.stop", "engine", "A kill switch is on.")
_IN_FLIGHT = Origin("engine.touch_in_flight", "engine", "Another touch on this account is on its way.")
UNREADABLE_FACTS = Origin("engine.facts", "engine", "What is known cannot be read by the rules.")

_LIFTING_RULES = frozenset({_HOLD.rule_id, _STOP.rule_id, _IN_FLIGHT.rule_id})
_RANKS = {verdict: verdict.rank for verdict in Verdict}
_FAMILY_ORDER = {family: place for place, family in enumerate(FAMILIES)}


class Clocks(NamedTuple):
    """The limits of one proposal."""

    firm: tuple[Limit, ...]
    lifting: tuple[Limit, ...]


@dataclass(slots=True)
class World:
    """What all candidates of a request share."""

    policies: PolicySet
    request: RulingRequest
    touches: tuple[TouchRecord, ...]
    rejected: tuple[TouchRecord, ...]
    account: AccountFacts | None
    assessment: AssessmentFacts | None
    days_since: DaysSince
    suppressed: frozenset[str]
    doubt: Doubt | None = None
    recall: Recall = field(default_factory=Recall)
    people: dict[str, ContactFacts] = field(default_factory=dict)

    def facts_of(self, contact_id: str | None) -> ContactFacts | None:
        """Return what conditions see of a contact: the same facts for all candidates."""
        if contact_id is None or self.request.account is None:
            return None
        if contact_id not in self.people and contact_id in self.request.contacts:
            self.people[contact_id] = contact_facts(self.request.contacts[contact_id], self.request.account)
        return self.people.get(contact_id)

    def stops_for(self, proposal: Proposal | Scheduled) -> tuple[Stop, ...]:
        """Return the kill switches that cover a proposal, oldest first."""
        return tuple(
            stop
            for stop in self.request.stops
            if stop.covers(
                account_id=self.request.account_id,
                actor=proposal.actor,
                action=proposal.action,
                channel=proposal.channel,
            )
        )

    def intent_of(self, action: str, said: str | None) -> str | None:
        """Return what an action is after: what the proposal said, else what arbitration.yaml says."""
        return said or self.policies.arbitration.intents.get(action)


@dataclass(slots=True)
class Hearing:
    """One candidate on its way to a decision."""

    candidate: Candidate
    case: Case | None = None
    caps: tuple[AnyCap, ...] = ()
    shared: tuple[SharedLimit, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    quiet: tuple[Limit, ...] | None = None
    firm: tuple[Limit, ...] = ()
    stopped: bool = False
    uses: tuple[Use, ...] = ()
    window: WindowGrant | None = None
    route: ApprovalRoute | None = None
    score: Score | None = None
    rank: int | None = None
    until: datetime | None = None
    hits: list[RuleHit] = field(default_factory=list)

    @property
    def effect(self) -> Verdict:
        """The most restrictive effect so far of the rules that bind."""
        effect = Verdict.ALLOW
        for hit in self.hits:
            if not hit.log_only and _RANKS[hit.effect] > _RANKS[effect]:
                effect = hit.effect
        return effect


def hear(world: World, candidate: Candidate) -> Hearing:
    """Put one candidate before all rules that concern it alone."""
    hearing = Hearing(candidate)
    case = _open_case(world, hearing)
    if case is None:
        return hearing
    hearing.case, policies = case, world.policies
    case.hits = hearing.hits
    _apply_engine(world, case)
    apply_channel(case)
    apply_consent(policies.consent, case)
    apply_suppression(policies.suppression, case, policies.frequency.operational)
    apply_eligibility(policies.eligibility, case)
    budgets = apply_authority(policies.authority, case)
    apply_requirements(policies.approvals, case)
    hearing.uses = apply_uses(policies, case)
    asked = hearing.effect is Verdict.REQUIRE_APPROVAL
    settle_approval(policies.approvals, policies.people, case)
    if hearing.effect is Verdict.REQUIRE_APPROVAL:
        today = find_route(policies.approvals, policies.people, case)
        if isinstance(today, ApprovalRoute):
            hearing.window = apply_windows(
                policies.approvals.windows, case, hearing.uses, today, world.request
            )
    hearing.caps = applicable_caps(policies.frequency, case)
    # What a person has approved goes out beyond the budget of whoever proposed it.
    hearing.shared = shared_limits(hearing.caps) + (() if asked else budgets)
    apply_misfits(policies.arbitration.conflicts, case)
    hearing.conflicts = applicable_conflicts(policies.arbitration.conflicts, case)
    hearing.score = score(policies.arbitration, case)
    clocks = clocks_of(world, hearing, case, world.touches)
    hearing.firm = clocks.firm
    hearing.stopped = bool(world.stops_for(candidate.proposal))
    _apply_clocks(hearing, clocks)
    if hearing.effect is Verdict.REQUIRE_APPROVAL:
        found = find_route(policies.approvals, policies.people, case)
        if isinstance(found, RuleHit):
            hearing.hits.append(found)
        else:
            hearing.route = bounded(policies.approvals.windows, case, hearing.uses, found)
    return hearing


def _open_case(world: World, hearing: Hearing) -> Case | None:
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
    intent = world.intent_of(proposal.action, proposal.intent)
    operational = proposal.action in policies.frequency.operational
    try:
        bound = RULES.bind(
            {
                "account": world.account,
                "contact": world.facts_of(proposal.contact_id),
                "proposal": proposal_facts(proposal, channel, intent=intent, operational=operational),
                "actor": actor.facts,
                "assessment": world.assessment,
                "days_since": world.days_since,
                "now": request.now,
            },
            world.recall,
        )
    except EvaluationError as error:
        hearing.hits.append(evaluation_error(UNREADABLE_FACTS, error))
        return None
    return Case(
        candidate=candidate,
        account=account,
        contact=contact,
        actor=actor,
        channel=channel,
        bound=bound,
        intent=intent,
        operational=operational,
        circumstances=request.circumstances,
        standing=request.standing,
        touches=world.touches,
        rejected=world.rejected,
        now=request.now,
        delegations=request.delegations,
    )


def _apply_engine(world: World, case: Case) -> None:
    """Collect what no policy can switch off, apart from limits in time."""
    contact: Contact | None = case.contact
    if contact is not None and case.candidate.proposal.contact_id in world.suppressed:
        case.hits.append(_SUPPRESSED.hit(Verdict.DENY, ReasonCode.SUPPRESSED))
    if contact is not None and contact.opted_out_at is not None:
        case.hits.append(_OPTED_OUT.hit(Verdict.DENY, ReasonCode.SUPPRESSED))
    if contact is not None and contact.left_at is not None:
        case.hits.append(_CONTACT_LEFT.hit(Verdict.DENY, ReasonCode.CONTACT_LEFT))
    if case.now >= case.candidate.expires_at:
        case.hits.append(_EXPIRED.hit(Verdict.SUPPRESS, ReasonCode.EXPIRED))
    if world.doubt is not None and world.doubt.hit is not None and not case.operational:
        case.hits.append(world.doubt.hit)


def clocks_of(world: World, hearing: Hearing, case: Case, touches: Sequence[TouchRecord]) -> Clocks:
    """Return the limits in time of a proposal, with the given touches in the account's memory."""
    policies, candidate = world.policies, case.candidate
    firm: list[Limit] = []
    if candidate.proposal.earliest is not None:
        firm.append(NotBefore(_NOT_YET, ReasonCode.NOT_YET, candidate.proposal.earliest))
    firm.extend(cap_limits(hearing.caps, case, touches))
    firm.extend(gap_limits(policies.timing, case, touches))
    firm.extend(slot_limits(policies.arbitration, case, touches))
    firm.extend(apart_limits(hearing.conflicts, case.intent, touches, world.intent_of))
    if hearing.quiet is None:
        hearing.quiet = tuple(quiet_limits(policies.timing, case))
    firm.extend(hearing.quiet)
    firm.extend(suppression_limits(policies.suppression, case, touches, policies.frequency.operational))
    return Clocks(tuple(firm), tuple(_lifting_limits(world, case, touches)))


def _lifting_limits(world: World, case: Case, touches: Sequence[TouchRecord]) -> Iterator[Limit]:
    for hold in world.request.holds:
        origin = Origin(_HOLD.rule_id, _HOLD.family, f"{hold.placed_by} has put the account on hold.")
        ends = hold.expires_at or case.candidate.expires_at
        yield NotBefore(origin, ReasonCode.ACCOUNT_HOLD, ends, lifts=True)
    for stop in world.stops_for(case.candidate.proposal):
        message = f"{stop.placed_by} has stopped {stop.subject}: {stop.reason}"
        again = min(case.now + STOP_PAUSE, case.candidate.expires_at)
        yield NotBefore(Origin(_STOP.rule_id, _STOP.family, message), ReasonCode.STOPPED, again, lifts=True)
    if world.doubt is not None and world.doubt.limit is not None and not case.operational:
        yield world.doubt.limit
    if once(touches, _IN_FLIGHT.rule_id, lambda: any(t.status is TouchStatus.IN_FLIGHT for t in touches)):
        yield NotBefore(_IN_FLIGHT, ReasonCode.TOUCH_IN_FLIGHT, case.now + IN_FLIGHT_PAUSE, lifts=True)


def _apply_clocks(hearing: Hearing, clocks: Clocks) -> None:
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
    if all(hit.log_only for hit in waiting):
        return
    clocks = Clocks(*(tuple(limit for limit in kind if not limit.log_only) for kind in clocks))
    expires_at = hearing.candidate.expires_at
    firm = settle(clocks.firm, case.now, expires_at)
    if firm >= expires_at:
        too_late(hearing)
        return
    # Holds, stops and touches in flight may end early, so they alone never drop a proposal.
    hearing.until = settle((*clocks.firm, *clocks.lifting), case.now, expires_at) if clocks.lifting else firm


def good_until(hearing: Hearing) -> datetime | None:
    """Return until when an allowed proposal may be handed over: a limit in time speaks again, or it expires.

    Only limits that begin while the touch can be on its way are looked for.
    """
    case = hearing.case
    if case is None:
        return None
    expires_at = hearing.candidate.expires_at
    until = min(case.now + case.channel.handover.longest, expires_at)
    speaking = (
        begins
        for limit in hearing.firm
        if not limit.log_only and (begins := limit.begins(case.now, until)) is not None
    )
    return min(speaking, default=expires_at)


def too_late(hearing: Hearing) -> None:
    """Turn the deferral that lasts longest into a suppression, because the proposal expires first."""
    deferrals = [
        hit
        for hit in hearing.hits
        if hit.effect is Verdict.DEFER
        and not hit.log_only
        and hit.rule_id not in _LIFTING_RULES
        and hit.reason is not ReasonCode.AMBIGUOUS
    ]
    deciding = min(deferrals, key=telling_order)
    hearing.hits[:] = [
        hit.model_copy(update={"effect": Verdict.SUPPRESS}) if hit is deciding else hit
        for hit in hearing.hits
    ]
    message = (
        f"It would have to wait beyond {hearing.candidate.expires_at:%Y-%m-%d %H:%M:%S}Z, when it expires."
    )
    hearing.hits.append(_EXPIRED.hit(Verdict.SUPPRESS, ReasonCode.EXPIRED, message=message))
    hearing.until = None


def telling_order(hit: RuleHit) -> tuple[bool, int, bool, float, int, str, str]:
    """Sort key: what decides comes first, then what is more restrictive or lasts longer."""
    lasts = (FAR - hit.until).total_seconds() if hit.until is not None else 0.0
    return (
        hit.log_only,
        -_RANKS[hit.effect],
        # Running out of time is never the cause, only what a cause leads to.
        hit.rule_id == _EXPIRED.rule_id,
        lasts,
        _FAMILY_ORDER[hit.family],
        hit.rule_id,
        hit.message,
    )
