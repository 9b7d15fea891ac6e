"""Many seeds at once: the runs, their sum, and what is told about them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from domain import Settlement
from tests.nemesis.arena import Lane, opened
from tests.nemesis.checker import broken_promises, duplicates, lost, story
from tests.nemesis.evidence import Found
from tests.nemesis.oracle import Event
from tests.nemesis.plan import Act, Memory, Plan
from tests.nemesis.storm import Run

LANES = 10
"""Runs at once: most of a run is waiting for a time-out, so two cores carry many."""


@dataclass
class Sum:
    """What many runs came to."""

    runs: int = 0
    proposals: int = 0
    touches: int = 0
    """Hand-overs that accounts began."""
    requests: int = 0
    """What reached the provider, accepted or not."""
    accepted: int = 0
    duplicates: int = 0
    lost: int = 0
    in_doubt: int = 0
    settled_as_sent: int = 0
    settled_as_not_sent: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Proposals by how they ended, before anything was settled."""
    gaps: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Lost workers by act, role and gap."""
    broken: dict[int, list[str]] = field(default_factory=dict)
    """Broken promises by seed."""
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many workers were killed at a gap."""
        return sum(count for (act, _, _), count in self.gaps.items() if act == Act.KILL.value)

    @property
    def freezes(self) -> int:
        """How many were frozen at a gap and went on later."""
        return sum(count for (act, _, _), count in self.gaps.items() if act == Act.FREEZE.value)

    def add(self, found: Found) -> None:
        """Count a run."""
        self.runs += 1
        self.seconds += found.seconds
        self.proposals += len(found.plan.wishes)
        self.requests += sum(e.event is Event.REQUEST for e in found.entries)
        accepted = {(e.channel, e.touch_id) for e in found.entries if e.event is Event.ACCEPTED}
        self.accepted += len(accepted)
        self.duplicates += len(duplicates(found.entries))
        self.lost += len(lost(found))
        for scene in found.at_rest:
            self.touches += len(scene.touches)
            self.in_doubt += len(scene.status.in_doubt)
            self.ended.update(view.status.value for view in scene.status.proposals)
        for settlement in found.settlements.values():
            if settlement is Settlement.HANDED_OVER:
                self.settled_as_sent += 1
            else:
                self.settled_as_not_sent += 1
        self.gaps.update((m.act.value, m.role.value, m.gap.value) for m in found.marks if not m.thawed)
        if broken := broken_promises(found):
            self.broken[found.plan.seed] = broken


async def campaign(
    plans: Iterable[Plan], *, lanes: int = LANES, memory: Memory = Memory.KEEPS
) -> AsyncIterator[Found]:
    """Play plans of different seeds, several at once, and yield each run as it ends."""
    waiting = list(plans)
    async with opened(min(lanes, len(waiting)), memory) as arena:
        ended: asyncio.Queue[Found] = asyncio.Queue()
        count = len(waiting)

        async def work(lane: Lane) -> None:
            while waiting:
                await ended.put(await Run(arena, lane, waiting.pop(0)).play())

        working = [asyncio.create_task(work(lane)) for lane in arena.lanes]
        try:
            for _ in range(count):
                yield await _next(ended, working)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)


async def _next(ended: asyncio.Queue[Found], working: list[asyncio.Task[None]]) -> Found:
    """Return the next run that ends; a lane that fails is no run, and ends the campaign."""
    following = asyncio.create_task(ended.get())
    try:
        while True:
            await asyncio.wait(
                {following, *(t for t in working if not t.done())}, return_when="FIRST_COMPLETED"
            )
            for task in working:
                if task.done():
                    task.result()
            if following.done():
                return following.result()
    finally:
        following.cancel()


def failure(found: Found, broken: Sequence[str]) -> str:
    """Tell what a run broke, how it went, and how to play it again."""
    seed = found.plan.seed
    lines = [f"seed {seed} broke its promises:", *(f"  {line}" for line in broken), "", story(found), ""]
    return "\n".join([*lines, f"again: python -m tests.nemesis --seed {seed}"])


def lines_of(total: Sum) -> list[tuple[str, str]]:
    """Return the figures of a campaign as pairs of what and how many."""
    ended = ", ".join(f"{count} {status}" for status, count in sorted(total.ended.items()))
    return [
        ("runs", str(total.runs)),
        ("workers killed at a gap", str(total.kills)),
        ("workers frozen and woken", str(total.freezes)),
        ("proposals", f"{total.proposals} ({ended})"),
        ("touches", str(total.touches)),
        ("requests at the provider", str(total.requests)),
        ("touches accepted by the provider", str(total.accepted)),
        ("duplicates", str(total.duplicates)),
        ("lost", str(total.lost)),
        ("in doubt, all before a person", str(total.in_doubt)),
        ("settled as handed over", str(total.settled_as_sent)),
        ("settled as not handed over", str(total.settled_as_not_sent)),
        ("seeds that broke a promise", ", ".join(map(str, total.broken)) or "none"),
    ]
