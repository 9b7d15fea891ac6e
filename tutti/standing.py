"""What a simulation has done so far, told to its rulings the way the ledger tells it to real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from domain import (
    LONGEST_FLIGHT,
    DecisionFact,
    Draw,
    LedgerFact,
    PastTouchFact,
    RulingRequest,
    Standing,
    TouchFact,
    TouchStatus,
    Use,
    WindowFact,
    WindowGrant,
)

NEVER: Final = datetime(2099, 12, 31, tzinfo=UTC)
"""When there is room for what costs more than the whole limit, as the ledger says it."""
_ROUNDING = 1e-6
"""What sums of many amounts may be off by; far below the smallest coin."""


@dataclass(frozen=True, slots=True)
class CountedTouch:
    """A touch as limits see it; `actor` is None for one that another tool reported."""

    seq: int
    at: datetime
    channel: str
    action: str
    actor: str | None
    cost: float
    status: TouchStatus


class Said(NamedTuple):
    """What a decision lets go out: keys of templates and claims, and the window that it takes a place in."""

    proposal_id: str
    uses: tuple[str, ...]
    window: str | None


@dataclass
class TouchBook:
    """The touches of a simulation, by id; a later fact about a touch replaces the earlier one."""

    _touches: dict[str, CountedTouch] = field(default_factory=dict)
    _behind: dict[str, str] = field(default_factory=dict)
    """By touch, the decision that let it go out."""
    _decisions: dict[str, Said] = field(default_factory=dict)
    """Those that use a template, a claim or a window approval, by id."""
    _grants: dict[str, WindowGrant] = field(default_factory=dict)

    def take(self, facts: Iterable[LedgerFact]) -> None:
        """Take in what facts say about touches; the same facts may come again."""
        for fact in facts:
            if isinstance(fact, TouchFact):
                touch = fact.touch
                known = self._touches.get(touch.touch_id)
                if known is None or known.seq < fact.seq:
                    self._touches[touch.touch_id] = CountedTouch(
                        fact.seq, fact.at, touch.channel, touch.action, touch.actor, touch.cost, fact.status
                    )
                    self._behind[touch.touch_id] = touch.decision_id
            elif isinstance(fact, PastTouchFact):
                past = fact.past_touch
                self._touches[f"{past.source} {past.touch_id}"] = CountedTouch(
                    fact.seq, past.at, past.channel, past.action, None, 0.0, TouchStatus.HANDED_OVER
                )

            elif isinstance(fact, DecisionFact) and (fact.decision.uses or fact.decision.window):
                said = fact.decision
                keys = tuple(use.key for use in said.uses)
                self._decisions[said.decision_id] = Said(said.proposal_id, keys, said.window)
            elif isinstance(fact, WindowFact):
                self._grants[fact.grant.grant_id] = fact.grant

    def windows_for(
        self, wanted: Iterable[tuple[str, str, str, str]], request: RulingRequest
    ) -> tuple[WindowGrant, ...]:
        """Answer which window approvals there are, as `Ledger.windows_for` does, for one account."""
        asked = frozenset(wanted)
        judged = {candidate.proposal.proposal_id for candidate in request.candidates}
        taken = Counter(
            decision.window
            for decision in self._let_out(lambda status: status is not TouchStatus.RELEASED)
            if decision.window is not None and decision.proposal_id not in judged
        )
        return tuple(
            grant.model_copy(update={"used": 1 + taken[grant.grant_id]})
            for grant in sorted(self._grants.values(), key=lambda each: (each.starts_at, each.grant_id))
            if (grant.actor, grant.action, grant.channel, grant.template) in asked
        )

    def _let_out(self, counts: Callable[[TouchStatus], bool]) -> Iterator[Said]:
        """Yield the decisions behind touches of some statuses, as far as they use anything."""
        for touch_id, decision_id in self._behind.items():
            if decision_id in self._decisions and counts(self._touches[touch_id].status):
                yield self._decisions[decision_id]

    def standing(
        self,
        draws: Sequence[tuple[str, Draw]],
        tracked: Iterable[tuple[str, str]],
        now: datetime,
        uses: Iterable[Use] = (),
    ) -> Standing:
        """Answer what a ruling asks at a moment, as `Ledger.standing` does for a whole tenant."""
        made = Counter(
            (touch.actor, touch.action)
            for touch in self._touches.values()
            if touch.status is TouchStatus.HANDED_OVER and touch.actor is not None
        )
        out = self._let_out(lambda status: status is TouchStatus.HANDED_OVER)
        before = {key for decision in out for key in decision.uses}
        return Standing(
            used=tuple(sorted({use.key for use in uses} & before)),
            room_at={f"{draw.rule_id}/{proposal_id}": self._room(draw, now) for proposal_id, draw in draws},
            done={f"{actor}/{action}": made[actor, action] for actor, action in tracked},
        )

    def _room(self, draw: Draw, now: datetime) -> datetime:
        window = timedelta(seconds=draw.window_seconds)
        counted = sorted(
            (
                touch if touch.at > now - window else replace(touch, at=now)
                for touch in self._touches.values()
                if touch.at > now - window - _flight(touch)
                and touch.status is not TouchStatus.RELEASED
                and _takes(draw, touch)
            ),
            key=lambda touch: touch.at,
            reverse=True,
        )
        moments = [now]
        if draw.touches is not None and len(counted) >= draw.touches:
            moments.append(counted[draw.touches - 1].at + window)
        if draw.amount is not None:
            if draw.cost > draw.amount:
                return NEVER
            spent = 0.0
            for touch in counted:
                spent += touch.cost
                if touch.cost > 0 and spent + draw.cost > draw.amount + _ROUNDING:
                    moments.append(touch.at + window)
                    break
        return min(max(moments), NEVER)


def _flight(touch: CountedTouch) -> timedelta:
    """Return for how long a touch counts beyond the window: on its way it may still be made at any moment."""
    return LONGEST_FLIGHT if touch.status is TouchStatus.IN_FLIGHT else timedelta(0)


def _takes(draw: Draw, touch: CountedTouch) -> bool:
    return (
        (draw.channels is None or touch.channel in draw.channels)
        and (draw.actors is None or touch.actor in draw.actors)
        and (draw.actions is None or touch.action in draw.actions)
        and touch.action not in draw.exempt_actions
    )
