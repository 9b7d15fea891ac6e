"""Grants of authority: what the matching ones say about a proposal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from domain import ActorKind, Autonomy, Proposal, ReasonCode, Reversibility, Verdict
from governance._case import Actor, Case, Origin, one_line, told_apart
from governance._shared import SharedLimit, written
from governance.cel._conditions import Condition

WITHHOLDING = frozenset({Autonomy.OFF, Autonomy.DRAFT_ONLY})
"""Levels at which nothing goes out, whoever approves it."""
_NO_GRANT = Origin("engine.no_grant", "authority", "Nobody has granted this actor such an action.")


class Irreversible(StrEnum):
    """What holds for touches that cannot be taken back."""

    ACT = "act"
    ASK = "ask"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody has granted to an actor or a kind of actors.

    Attributes:
        origin: Where it stands.
        actor: Whom it is for; None if it is for a kind.
        actor_kind: Which kind it is for; None if it is for one actor.
        actions: What it covers; None: every action.
        channels: Over which channels; None: all.
        when: Under which condition; None: always.
        level: What the actor may do alone.
        act_at: From this confidence on it acts alone.
        ask_at: From this confidence on a person is asked; below it the proposal is dropped.
        max_value: Largest expected value it decides on alone, in the tenant's currency.
        max_reach: How many people one touch may reach at most.
        irreversible: What holds for touches that cannot be taken back.
        novelty: How many touches it makes with an action before it is trusted with it; 0: none.
        budgets: What it may use up, over all accounts.
        granted_by: Login of the person who answers for the grant.
        valid_until: Last day on which it holds, in UTC.
        ends: The end of that day.
    """

    origin: Origin
    actor: str | None
    actor_kind: ActorKind | None
    actions: frozenset[str] | None
    channels: frozenset[str] | None
    when: Condition | None
    level: Autonomy
    act_at: float
    ask_at: float
    max_value: float
    max_reach: int
    irreversible: Irreversible
    novelty: int
    budgets: tuple[SharedLimit, ...]
    granted_by: str
    valid_until: date
    ends: datetime

    @property
    def subject(self) -> str:
        """Whom it is for."""
        return self.actor or f"every {self.actor_kind}"

    def concerns(self, actor: Actor, proposal: Proposal) -> bool:
        """Tell whether the grant is about such a proposal, whatever its condition says."""
        return (
            (self.actor == actor.actor_id if self.actor is not None else self.actor_kind is actor.kind)
            and (self.actions is None or proposal.action in self.actions)
            and (self.channels is None or proposal.channel in self.channels)
        )

    def covers(self, case: Case) -> bool:
        """Tell whether the grant speaks about the proposal."""
        return self.concerns(case.actor, case.candidate.proposal) and case.holds(self.when, self.origin)

    def over(self, now: datetime) -> bool:
        """Tell whether the grant has ended."""
        return now >= self.ends


def apply_authority(grants: tuple[Grant, ...], case: Case) -> tuple[SharedLimit, ...]:
    """Collect what every matching grant says; the most restrictive one will count.

    Returns:
        The budgets of the grants that bind.
    """
    matching = [grant for grant in grants if grant.covers(case)]
    live = [grant for grant in matching if not grant.over(case.now)]
    for grant in live:
        _apply(grant, case)
    binding = [grant for grant in live if not grant.origin.log_only]
    ended = [grant for grant in matching if grant.over(case.now) and not grant.origin.log_only]
    if binding:
        for grant in ended:
            _withhold(grant, case)
    elif ended:
        for grant in ended:
            case.hits.append(
                grant.origin.hit(Verdict.DENY, ReasonCode.AUTHORITY_EXPIRED, message=_expired(grant, case))
            )
    else:
        proposal = case.candidate.proposal
        message = f"Nobody has granted {proposal.actor} the action {proposal.action} over {proposal.channel}."
        case.hits.append(_NO_GRANT.hit(Verdict.DENY, ReasonCode.NO_AUTHORITY, message=message))
    return tuple(budget for grant in binding for budget in grant.budgets)


def _expired(grant: Grant, case: Case) -> str:
    return (
        f"The grant {grant.origin.rule_id}, which {grant.granted_by} has given {case.actor.actor_id}, "
        f"ended with {grant.valid_until.isoformat()} (UTC)."
    )


def _withhold(grant: Grant, case: Case) -> None:
    """Let what an ended grant withheld stay withheld: the mere passing of time allows nothing.

    What it counted is counted no more: novelty and budgets end with it.
    """
    before = len(case.hits)
    _apply_level(grant, case)
    for check in () if grant.level in WITHHOLDING else _LASTING_CHECKS:
        check(grant, case)
    ended = f"(It ended with {grant.valid_until.isoformat()}; a limit lasts until somebody takes it out.)"
    case.hits[before:] = [
        hit.model_copy(update={"message": one_line(f"{hit.message} {ended}")}) for hit in case.hits[before:]
    ]


def _apply(grant: Grant, case: Case) -> None:
    before = len(case.hits)
    _apply_level(grant, case)
    if grant.level in WITHHOLDING:
        return
    for check in _CHECKS:
        check(grant, case)
    if len(case.hits) == before:
        message = f"{case.actor.actor_id} may do this alone; granted by {grant.granted_by}."
        case.hits.append(grant.origin.hit(Verdict.ALLOW, ReasonCode.ALLOWED, message=message))


def _apply_level(grant: Grant, case: Case) -> None:
    origin, actor = grant.origin, case.actor.actor_id
    match grant.level:
        case Autonomy.OFF:
            message = f"{grant.granted_by} has switched this off for {actor}."
            case.hits.append(origin.hit(Verdict.DENY, ReasonCode.NO_AUTHORITY, message=message))
        case Autonomy.DRAFT_ONLY:
            message = f"{actor} may prepare this, but nothing goes out."
            case.hits.append(origin.hit(Verdict.SUPPRESS, ReasonCode.AUTHORITY_EXCEEDED, message=message))
        case Autonomy.APPROVAL_REQUIRED | Autonomy.VETO_WINDOW:
            _ask(grant, case, f"{actor} may do this only after a person has approved it.")
        case Autonomy.ACT_AND_REPORT:
            pass


def _ask(grant: Grant, case: Case, message: str, reason: ReasonCode = ReasonCode.AUTHORITY_EXCEEDED) -> None:
    case.hits.append(grant.origin.hit(Verdict.REQUIRE_APPROVAL, reason, message=message))


def _check_novelty(grant: Grant, case: Case) -> None:
    if not grant.novelty or grant.level is not Autonomy.ACT_AND_REPORT:
        return
    actor, action = case.actor.actor_id, case.candidate.proposal.action
    done = case.standing.done.get(f"{actor}/{action}", 0)
    if done < grant.novelty:
        times = "1 time" if done == 1 else f"{done} times"
        message = f"{actor} is new to {action}: it has done it {times}, and is asked until {grant.novelty}."
        _ask(grant, case, message, ReasonCode.NOVELTY)


def _check_reversibility(grant: Grant, case: Case) -> None:
    if case.channel.reversibility is not Reversibility.NONE or grant.irreversible is Irreversible.ACT:
        return
    actor, channel = case.actor.actor_id, case.channel.name
    if grant.irreversible is Irreversible.NEVER:
        message = f"{actor} may never do what cannot be taken back, and {channel} cannot."
        case.hits.append(grant.origin.hit(Verdict.DENY, ReasonCode.AUTHORITY_EXCEEDED, message=message))
    elif grant.level is Autonomy.ACT_AND_REPORT:
        _ask(grant, case, f"What goes out over {channel} cannot be taken back, so {actor} has to ask.")


def _check_value(grant: Grant, case: Case) -> None:
    value = case.candidate.proposal.value
    if value > grant.max_value:
        most, this = told_apart(grant.max_value, value, 0)
        message = f"{case.actor.actor_id} may act alone up to a value of {most}; this is {this}."
        _ask(grant, case, message)


def _check_reach(grant: Grant, case: Case) -> None:
    reach = case.candidate.proposal.reach
    if reach > grant.max_reach:
        actor, most = case.actor.actor_id, grant.max_reach
        whom = "1 person" if most == 1 else f"{most:,} people"
        _ask(grant, case, f"{actor} may reach {whom} at a time; this reaches up to {reach:,}.")


def _check_confidence(grant: Grant, case: Case) -> None:
    confidence, actor = case.candidate.proposal.confidence, case.actor.actor_id
    if confidence < grant.ask_at:
        sure, needed = told_apart(confidence, grant.ask_at, 2)
        message = f"{actor} is too unsure of this: {sure} is below {needed}."
        case.hits.append(grant.origin.hit(Verdict.SUPPRESS, ReasonCode.LOW_CONFIDENCE, message=message))
    elif confidence < grant.act_at:
        sure, needed = told_apart(confidence, grant.act_at, 2)
        message = f"{actor} is not sure enough to act alone: {sure} is below {needed}."
        _ask(grant, case, message, ReasonCode.LOW_CONFIDENCE)


def _check_budgets(grant: Grant, case: Case) -> None:
    for budget in grant.budgets:
        room = budget.room_at(case)
        if room is None:
            case.hits.append(budget.unknown())
        elif room > case.now:
            _ask(grant, case, _used_up(grant, budget, case, room), ReasonCode.BUDGET_EXCEEDED)


def _used_up(grant: Grant, budget: SharedLimit, case: Case, room: datetime) -> str:
    per = f"per {written(budget.window)}"
    cost = case.candidate.proposal.cost
    if budget.amount is None:
        touches = "1 touch" if budget.touches == 1 else f"{budget.touches:,} touches"
        what = f"the {touches} {per} that {grant.granted_by} has granted"
    elif cost > budget.amount:
        this, whole = told_apart(cost, budget.amount, 2)
        return f"This costs {this}, more than the whole budget of {whole} {per}."
    else:
        left = f"all but less than {cost:,.2f} of " if cost > 0 else ""
        what = f"{left}the {budget.amount:,.2f} {per} that {grant.granted_by} has granted"
    return f"{grant.subject} has used up {what}; there is room again at {room:%Y-%m-%d %H:%M:%S}Z."


_LASTING_CHECKS: tuple[Callable[[Grant, Case], None], ...] = (
    _check_reversibility,
    _check_value,
    _check_reach,
    _check_confidence,
)
_CHECKS = (_check_novelty, *_LASTING_CHECKS, _check_budgets)
