"""The contest: who goes first among those that nothing speaks against, and when the others come back.

Three things keep a proposal from going first: a conflict with another, a better one that is scheduled
soon, and a better one that goes now. All three are told. Who has to make room never depends on the order
in which proposals are given, but on scores, then on arrival, then on ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from domain import ProposalStatus, ReasonCode, RuleHit, Verdict
from governance._case import Origin, evaluation_error, told_apart
from governance._facts import LOSERS, winner_facts
from governance._hearing import IN_FLIGHT_PAUSE, UNREADABLE_FACTS, Hearing, World, clocks_of, too_late
from governance._limits import NotBefore, Timeline, settle
from governance._rivals import (
    Contestant,
    Rival,
    StandsBack,
    Waiting,
    contestants,
    in_turn,
    stands_back,
    waiting,
    would_stand_back,
)
from governance.cel._conditions import Bound, EvaluationError
from governance.families._arbitration import LookAhead, judge_loser

_WINNER = Origin("engine.winner", "arbitration", "This proposal goes first.")


_Moments = tuple[tuple[str, datetime], ...]
"""Ids of proposals, and when they go out."""


class _Ahead(NamedTuple):
    """Better proposals that are scheduled soon; they bind unless the rule is only tried out."""

    better: tuple[Waiting, ...]
    binding: bool


@dataclass(slots=True)
class _Contest:
    """What the proposals of one ruling share while they compete.

    Attributes:
        world: What all candidates share.
        scheduled: Proposals that wait while these are judged.
        ahead: By proposal id, what look-ahead has found.
        winner: Who goes first, as soon as that is known.
        staying: Those that may still go out, now or later, as far as they have been looked at.
        standing_back: Ids of those that a conflict keeps from competing.
        timelines: Touches as they will be, by who will have gone out and when.
        earliest: What `_earliest` has found, by everything it depends on.
    """

    world: World
    scheduled: tuple[Waiting, ...]
    ahead: dict[str, _Ahead] = field(default_factory=dict)
    winner: Contestant | None = None
    staying: list[Contestant] = field(default_factory=list)
    standing_back: set[str] = field(default_factory=set)
    timelines: dict[_Moments, Timeline] = field(default_factory=dict)
    earliest: dict[tuple[str, str | None, _Moments, bool, datetime | None], datetime] = field(
        default_factory=dict
    )

    @property
    def now(self) -> datetime:
        return self.world.request.now

    def moments(self, rivals: Iterable[Rival]) -> _Moments:
        """Return when each of some rivals goes out."""
        return tuple((each.proposal.proposal_id, each.settled_at(self.now)) for each in rivals)

    def after(self, going: Sequence[Rival]) -> Timeline:
        """Return the account's touches once some rivals have gone out; the same for all who wait."""
        key, request = self.moments(going), self.world.request
        if key not in self.timelines:
            made = [touch for each in going if (touch := each.touch(request)) is not None]
            self.timelines[key] = Timeline((*self.world.touches, *made))
        return self.timelines[key]


def arbitrate(world: World, hearings: Sequence[Hearing]) -> None:
    """Let those that nothing speaks against compete, and tell the others when they may come back."""
    ranked = contestants(hearings)
    rule = world.policies.arbitration.look_ahead
    meets = rule is not None or any(one.hearing.conflicts for one in ranked)
    contest = _Contest(world, waiting(world) if meets else ())
    if rule is not None:
        for one in ranked:
            _look_ahead(contest, one, rule)
        ranked = [one for one in ranked if one.alive]
    turn = in_turn(ranked)
    contest.winner = _first(contest, turn)
    if contest.winner is not None:
        # It goes out in any case, so the others meet it first.
        contest.staying.append(contest.winner)
        _meet(contest, turn)
    for one in turn:
        _tell_trials(contest, one)
    _rank(contest, ranked)


def _first(contest: _Contest, turn: Sequence[Contestant]) -> Contestant | None:
    """Return the best contestant that neither a conflict nor a better one ahead keeps from going now.

    Whether one that stands in the way of others stays at all is known only once it has met all before it:
    so all meet as if nobody went first. If one does, everything that was said is taken back; else it stands.
    """
    before = [(one.hearing, list(one.hearing.hits), one.hearing.until) for one in turn]
    _meet(contest, turn)
    able = [one for one in turn if one.hearing.effect is Verdict.ALLOW]
    if able:
        for hearing, hits, until in before:
            hearing.hits[:], hearing.until = hits, until
        contest.staying.clear()
        contest.standing_back.clear()
    return min(able, key=lambda one: one.place, default=None)


def _meet(contest: _Contest, turn: Iterable[Contestant]) -> None:
    """Let all but the winner make room for those that stay."""
    for one in turn:
        if one is not contest.winner:
            _make_room(contest, one)
            if one.alive:
                contest.staying.append(one)


def _held(contest: _Contest, one: Contestant) -> bool:
    found = contest.ahead.get(one.proposal.proposal_id)
    return found is not None and found.binding


def _look_ahead(contest: _Contest, one: Contestant, rule: LookAhead) -> None:
    """Find the better proposals that are scheduled so soon that this one waits for them."""
    if not one.free:
        return
    until, before = contest.now + rule.within, len(one.hearing.hits)
    better = []
    for each in contest.scheduled:
        due = each.proposal.due_at
        if each.proposal.status is not ProposalStatus.DEFERRED or due is None or due > until:
            continue
        if each.proposal.score <= one.score.total:
            continue
        bound = _bound(contest.world, one, each) if rule.when is not None else one.case.bound
        if bound is not None and one.case.holds_for(rule.when, rule.origin, bound):
            better.append(each)
        if len(one.hearing.hits) > before:
            return  # The condition gave no answer; once is enough to say so.
    if better:
        contest.ahead[one.proposal.proposal_id] = _Ahead(tuple(better), not rule.origin.log_only)


def _make_room(contest: _Contest, one: Contestant) -> None:
    """Tell a contestant that does not go first what keeps it back, and until when."""
    back = tuple(stands_back(one, contest.staying, contest.scheduled))
    ahead = contest.ahead[one.proposal.proposal_id] if _held(contest, one) else None
    hits = [*_conflict_hits(contest, one, back), *_ahead_hits(contest, one, ahead)]
    if one.free and contest.winner is not None:
        hits += _loser_hits(contest, one, contest.winner, meets=bool(back))
    if back:
        contest.standing_back.add(one.proposal.proposal_id)
    one.hearing.hits.extend(hits)
    if not one.alive or not any(hit.effect is Verdict.DEFER and not hit.log_only for hit in hits):
        return
    rivals = (*(each.rival for each in back), *(ahead.better if ahead is not None else ()))
    until = _earliest(contest, one, rivals)
    if until >= one.hearing.candidate.expires_at:
        too_late(one.hearing)
    else:
        one.hearing.until = until


def _tell_trials(contest: _Contest, one: Contestant) -> None:
    """Record what rules that are only tried out would have said, once it is known who stays."""
    others: list[Rival] = [*(each for each in contest.staying if each is not one), *contest.scheduled]
    back = would_stand_back(one, others)
    ahead = contest.ahead.get(one.proposal.proposal_id)
    one.hearing.hits += _conflict_hits(contest, one, back)
    if ahead is not None and not ahead.binding:
        one.hearing.hits += _ahead_hits(contest, one, ahead)


def _earliest(contest: _Contest, one: Contestant, rivals: Sequence[Rival], *, apart: bool = True) -> datetime:
    """Return the first moment at which no limit holds once the winner and some rivals have gone out.

    Args:
        contest: Names the winner.
        one: Who waits.
        rivals: For whom it waits, besides the winner.
        apart: Whether conflicts hold it back after their touches.
    """
    first = contest.winner.proposal.proposal_id if contest.winner is not None else None
    known = (one.proposal.proposal_id, first, contest.moments(rivals), apart, one.hearing.until)
    if known not in contest.earliest:
        contest.earliest[known] = _settled(contest, one, rivals, apart=apart)
    return contest.earliest[known]


def _settled(contest: _Contest, one: Contestant, rivals: Sequence[Rival], *, apart: bool) -> datetime:
    hearing = one.hearing
    going: list[Rival] = list(rivals)
    winner = contest.winner
    if one.free and winner is not None and winner is not one and winner not in rivals:
        going.append(winner)
    asked = hearing if apart else replace(hearing, conflicts=())
    clocks = clocks_of(contest.world, asked, one.case, contest.after(going))
    limits = [limit for limit in clocks.firm if not limit.log_only]
    limits += [NotBefore(_WINNER, ReasonCode.LOWER_PRIORITY, each.settled_at(contest.now)) for each in rivals]
    expires_at = hearing.candidate.expires_at
    until = settle(limits, max(hearing.until or contest.now, contest.now), expires_at)
    if until <= contest.now:
        # Nothing makes it wait but the winner itself, which is on its way first.
        until = min(contest.now + IN_FLIGHT_PAUSE, expires_at)
    return until


def _conflict_hits(contest: _Contest, one: Contestant, back: Iterable[StandsBack]) -> list[RuleHit]:
    hits = []
    for rule, rival, effect in back:
        until = _earliest(contest, one, (rival,)) if effect is Verdict.DEFER else None
        message = (
            f"{rule.origin.message.removesuffix('.')} ({rival.proposal.proposal_id} stays: {rival.intent})."
        )
        hits.append(rule.origin.hit(effect, ReasonCode.CONFLICTING_INTENT, message=message, until=until))
    return hits


def _ahead_hits(contest: _Contest, one: Contestant, ahead: _Ahead | None) -> list[RuleHit]:
    rule = contest.world.policies.arbitration.look_ahead
    if rule is None or ahead is None:
        return []
    best = ahead.better[0].proposal
    due = f"{best.due_at:%Y-%m-%d %H:%M:%S}Z"
    theirs, own = told_apart(best.score, one.score.total, 2)
    message = (
        f"{rule.origin.message.removesuffix('.')} ({best.proposal_id} is due {due}; {theirs} against {own})."
    )
    until = _earliest(contest, one, ahead.better)
    return [rule.origin.hit(Verdict.DEFER, ReasonCode.LOWER_PRIORITY, message=message, until=until)]


def _loser_hits(contest: _Contest, one: Contestant, winner: Contestant, *, meets: bool) -> list[RuleHit]:
    """Apply the rules for losers; a deferral lasts until slots, gap and caps have room after the winner."""
    bound = _bound(contest.world, one, winner)
    if bound is None:
        return []
    hits = []
    compared = _compared(one, winner)
    for origin, effect in judge_loser(contest.world.policies.arbitration, one.case, bound):
        # What a conflict adds to the wait is told by the conflict.
        until = _earliest(contest, one, (), apart=not meets) if effect is Verdict.DEFER else None
        message = f"{origin.message.removesuffix('.')} ({compared})."
        hits.append(origin.hit(effect, ReasonCode.LOWER_PRIORITY, message=message, until=until))
    return hits


def _bound(world: World, loser: Contestant, winner: Rival) -> Bound | None:
    """Return what conditions on losers see; None after noting that it cannot be read."""
    facts = winner_facts(winner.proposal, loser.proposal, intent=winner.intent)
    try:
        return LOSERS.bind({**loser.case.bound.values, "winner": facts}, world.recall)
    except EvaluationError as error:
        loser.hearing.hits.append(evaluation_error(UNREADABLE_FACTS, error))
        return None


def _rank(contest: _Contest, ranked: Sequence[Contestant]) -> None:
    """Number those that competed, and tell the winner what it has won against."""
    winner = contest.winner
    if winner is None:
        return
    others = [
        one
        for one in ranked
        if one.free
        and one is not winner
        and one.proposal.proposal_id not in contest.standing_back
        and not _held(contest, one)
    ]
    for rank, one in enumerate((winner, *others), start=1):
        one.hearing.rank = rank
    if others:
        message = f"Goes first with a score of {_next(winner, others[0])}."
        winner.hearing.hits.append(_WINNER.hit(Verdict.ALLOW, ReasonCode.ALLOWED, message=message))


def _next(winner: Contestant, second: Contestant) -> str:
    best, next_best = told_apart(winner.score.total, second.score.total, 2)
    if winner.score.total != second.score.total:
        return f"{best}; the next has {next_best}"
    return f"{best}; the next has the same, {_tie(winner, second)} decides"


def _compared(one: Contestant, winner: Contestant) -> str:
    scores = " against ".join(told_apart(winner.score.total, one.score.total, 2))
    if one.score.total == winner.score.total:
        return f"{scores}, {_tie(one, winner)} decides"
    if one.score.total > winner.score.total:
        return f"{scores}, but it stood back for another that does not go either"
    return scores


def _tie(one: Contestant, other: Contestant) -> str:
    same = one.hearing.candidate.received_at == other.hearing.candidate.received_at
    return "both came at once and the smaller id" if same else "the earlier arrival"
