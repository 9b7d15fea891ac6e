"""Rivals: the open proposals of an account, in what order they count, and which stand back for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from domain import (
    Proposal,
    ProposalStatus,
    RulingRequest,
    Scheduled,
    Score,
    TouchRecord,
    TouchStatus,
    Verdict,
)
from governance._case import Case
from governance._hearing import IN_FLIGHT_PAUSE, Hearing, World
from governance.families._conflicts import Conflict

_UNSAID = datetime(1990, 1, 1, tzinfo=UTC)
"""Arrival of proposals that were scheduled before anybody wrote it down."""


class Place(NamedTuple):
    """Where a proposal stands among others: the smallest goes first."""

    worse: float
    """The score with its sign turned."""
    received_at: datetime
    proposal_id: str


@dataclass(slots=True, eq=False)
class Contestant:
    """A proposal that is judged now and may still go out.

    Attributes:
        hearing: What the rules have said so far.
        case: What is known of it.
        score: Its score.
        free: Whether nothing speaks against it but, perhaps, other proposals.
    """

    hearing: Hearing
    case: Case
    score: Score
    free: bool

    @property
    def proposal(self) -> Proposal:
        """What is proposed."""
        return self.hearing.candidate.proposal

    @property
    def intent(self) -> str | None:
        """What it is after."""
        return self.case.intent

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(-self.score.total, self.hearing.candidate.received_at, self.proposal.proposal_id)

    @property
    def alive(self) -> bool:
        """Whether it may still go out, now or later."""
        return self.hearing.effect.rank <= Verdict.REQUIRE_APPROVAL.rank

    def settled_at(self, now: datetime) -> datetime:
        """Return when it goes out, or until when a person must have answered."""
        if self.hearing.effect is Verdict.REQUIRE_APPROVAL and self.hearing.route is not None:
            return self.hearing.route.expires_at
        return self.hearing.until or now

    def touch(self, request: RulingRequest) -> TouchRecord | None:
        """Return the touch it will become; None while a person must decide."""
        if self.hearing.effect is Verdict.REQUIRE_APPROVAL:
            return None
        number = self.hearing.candidate.rulings + 1
        return _touch(self.proposal, self.intent, self.settled_at(request.now), request, number)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that is not judged now, because it waits for its time or for a person.

    Attributes:
        proposal: What is scheduled.
        intent: What it is after.
    """

    proposal: Scheduled
    intent: str | None

    @property
    def place(self) -> Place:
        """Where it stands, by the score of its last decision."""
        return Place(-self.proposal.score, self.proposal.received_at or _UNSAID, self.proposal.proposal_id)

    def settled_at(self, now: datetime) -> datetime:
        """Return when it is ruled again, or until when a person must have answered."""
        # Whatever is due already is ruled right after this ruling.
        return max(self.proposal.due_at or self.proposal.answer_by or now, now + IN_FLIGHT_PAUSE)

    def touch(self, request: RulingRequest) -> TouchRecord | None:
        """Return the touch it will become; None while a person must decide."""
        if self.proposal.status is not ProposalStatus.DEFERRED:
            return None
        return _touch(self.proposal, self.intent, self.settled_at(request.now), request, 1)


Rival = Contestant | Waiting


class StandsBack(NamedTuple):
    """A proposal stands back for another under a rule."""

    rule: Conflict
    rival: Rival
    effect: Verdict


def _touch(
    proposal: Proposal | Scheduled, intent: str | None, at: datetime, request: RulingRequest, number: int
) -> TouchRecord:
    return TouchRecord(
        touch_id=f"{request.account_id}/{proposal.proposal_id}/{number}",
        channel=proposal.channel,
        action=proposal.action,
        actor=proposal.actor,
        contact_id=proposal.contact_id,
        proposal_id=proposal.proposal_id,
        at=at,
        status=TouchStatus.HANDED_OVER,
        intent=intent,
    )


def contestants(hearings: Sequence[Hearing]) -> list[Contestant]:
    """Return the proposals that may still go out, the best first.

    Nobody knows when one goes that a kill switch covers, so it keeps nobody waiting.
    """
    found = [
        Contestant(hearing, hearing.case, hearing.score, hearing.effect is Verdict.ALLOW)
        for hearing in hearings
        if hearing.case is not None and hearing.score is not None and not hearing.stopped
    ]
    return sorted((each for each in found if each.alive), key=lambda each: each.place)


def waiting(world: World) -> tuple[Waiting, ...]:
    """Return the proposals that wait while others are judged and that no stop covers, the best first."""
    found = (
        Waiting(each, world.intent_of(each.action, each.intent))
        for each in world.request.scheduled
        if not world.stops_for(each)
    )
    return tuple(sorted(found, key=lambda each: each.place))


def in_turn(ranked: Sequence[Contestant]) -> list[Contestant]:
    """Return contestants in the order in which they are looked at, for those later stand back for earlier.

    That is the order of their places, but a proposal whose intent a rule keeps comes before those that
    have to make room for it. Rules that go round in a circle are refused when the set is loaded.
    """
    if not any(rule.keeps is not None for each in ranked for rule in each.hearing.conflicts):
        return list(ranked)
    left, turn = list(ranked), []
    while left:
        following = next((each for each in left if not any(_kept(other, each) for other in left)), left[0])
        left.remove(following)
        turn.append(following)
    return turn


def _kept(one: Contestant, other: Contestant) -> bool:
    return any(
        rule.keeps == one.intent and rule.between(other.intent, one.intent)
        for rule in other.hearing.conflicts
        if not rule.origin.log_only
    )


def stands_back(
    one: Contestant, earlier: Sequence[Contestant], scheduled: Sequence[Waiting]
) -> Iterator[StandsBack]:
    """Yield every rule in force by which a contestant stands back, with the best rival it stands back for.

    Args:
        one: The contestant.
        earlier: Contestants that stay, and that it meets in any case.
        scheduled: Proposals that wait; only those count that go before it.
    """
    for rule in one.hearing.conflicts:
        if rule.keeps == one.intent or rule.origin.log_only:
            continue
        met: list[Rival] = [each for each in earlier if rule.between(one.intent, each.intent)]
        met += [
            each
            for each in scheduled
            if rule.between(one.intent, each.intent) and _goes_before(each, one, rule)
        ]
        before = [each for each in met if _goes_before(each, one, rule)]
        if before:
            yield StandsBack(rule, min(before, key=lambda each: each.place), rule.effect)
        elif met:
            # The better one has lost its turn to a third that lost its own: it waits, and is not dropped.
            yield StandsBack(rule, min(met, key=lambda each: each.place), Verdict.DEFER)


def would_stand_back(one: Contestant, others: Sequence[Rival]) -> Iterator[StandsBack]:
    """Yield every rule that is only tried out by which a contestant would stand back."""
    for rule in one.hearing.conflicts:
        if rule.keeps == one.intent or not rule.origin.log_only:
            continue
        before = [
            each for each in others if rule.between(one.intent, each.intent) and _goes_before(each, one, rule)
        ]
        if before:
            yield StandsBack(rule, min(before, key=lambda each: each.place), rule.effect)


def _goes_before(rival: Rival, one: Contestant, rule: Conflict) -> bool:
    return rule.keeps == rival.intent or rival.place < one.place
