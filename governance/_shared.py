"""Limits that all accounts share: what a touch takes from them, and whether there is room.

The counters are kept in the ledger. The engine stays pure: it says which places a touch would take
(`Draw`), and is told with the request from when each of them is free (`Standing.room_at`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import Draw, Proposal, ReasonCode, RuleHit, Verdict
from governance._case import Case, Origin

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """At most so many touches, or so much money, within any window and over all accounts.

    Attributes:
        origin: The rule that sets it.
        draw_id: Its name in the ledger's answer, unique over a policy set.
        window: Length of the rolling window.
        touches: How many touches fit in; None if money is counted.
        amount: How much they may cost together, in the tenant's currency; None if touches are counted.
        channels: Channels whose touches count; None: all.
        each_channel: Whether every channel is counted on its own.
        actors: Actors whose touches count; None: all.
        actions: Actions that count; None: all.
        uncounted: Actions that do not count.
    """

    origin: Origin
    draw_id: str
    window: timedelta
    touches: int | None = None
    amount: float | None = None
    channels: frozenset[str] | None = None
    each_channel: bool = False
    actors: tuple[str, ...] | None = None
    actions: frozenset[str] | None = None
    uncounted: frozenset[str] = frozenset()

    def draw(self, proposal: Proposal) -> Draw:
        """Return what a touch would take; the same whatever the order in which the files list things."""
        channels = frozenset({proposal.channel}) if self.each_channel else self.channels
        return Draw(
            rule_id=self.draw_id,
            window_seconds=self.window.total_seconds(),
            touches=self.touches,
            amount=self.amount,
            channels=None if channels is None else tuple(sorted(channels)),
            actors=self.actors,
            actions=None if self.actions is None else tuple(sorted(self.actions)),
            exempt_actions=tuple(sorted(self.uncounted)),
            cost=proposal.cost,
        )

    def room_at(self, case: Case) -> datetime | None:
        """Return from when there is room for the proposal; None if nobody has said."""
        return case.standing.room_at.get(f"{self.draw_id}/{case.candidate.proposal.proposal_id}")

    def unknown(self) -> RuleHit:
        """Return the denial of a proposal for which nobody has said whether there is room."""
        return self.origin.hit(
            Verdict.DENY,
            ReasonCode.EVALUATION_ERROR,
            message=(
                f"Rule {self.origin.rule_id} could not be applied: what all accounts together have used is "
                "not known."
            ),
        )


def written(span: timedelta) -> str:
    """Return a length of time as policy files write it, such as `7d`."""
    seconds = span.total_seconds()
    for length, unit in _UNITS:
        if seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"
