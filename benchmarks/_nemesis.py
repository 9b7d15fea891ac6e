"""Duplicates, losses and doubts while workers are killed at every gap of the hand-over."""

from __future__ import annotations

from benchmarks._figures import Figure, at_most
from benchmarks._stage import MeasurementError
from tests.nemesis.campaign import Sum, campaign, failure
from tests.nemesis.plan import plan_of

NAME = "nemesis"
RUNS = 200


async def measure() -> list[Figure]:
    """Play two hundred seeds, and count.

    Raises:
        MeasurementError: a promise was broken; the text names the seeds and tells their stories.
    """
    total, told = Sum(), []
    async for found in campaign(map(plan_of, range(RUNS))):
        total.add(found)
        if broken := total.broken.get(found.plan.seed):
            told.append(failure(found, broken))
    if told:
        msg = "\n\n".join(told)
        raise MeasurementError(msg)
    return _figures(total)


def _figures(total: Sum) -> list[Figure]:
    ended = ", ".join(f"{count} {status}" for status, count in sorted(total.ended.items()))
    gaps = ", ".join(f"{count} {role} {gap}" for (_, role, gap), count in sorted(total.gaps.items()))
    sent, unsent = total.settled_as_sent, total.settled_as_not_sent
    return [
        Figure(
            benchmark=NAME,
            what="workers killed at a gap",
            value=total.kills,
            note=f"{total.runs} seeded runs; {total.freezes} more were frozen and woken; {gaps}",
        ),
        Figure(benchmark=NAME, what="proposals, all with an end", value=total.proposals, note=ended),
        Figure(
            benchmark=NAME,
            what="touches that accounts began to hand over",
            value=total.touches,
            note=f"{total.requests} requests reached the provider, {total.accepted} touches it accepted",
        ),
        Figure(benchmark=NAME, what="duplicates", value=total.duplicates, target=at_most(0)),
        Figure(
            benchmark=NAME,
            what="touches lost",
            value=total.lost,
            target=at_most(0),
            note="accepted and unknown to us, or handed over for us and unknown to the provider",
        ),
        Figure(
            benchmark=NAME,
            what="touches in doubt that no person was asked about",
            value=total.in_doubt - sent - unsent,
            target=at_most(0),
            note=f"of {total.in_doubt}; asked, the provider had {sent} of them and had not got {unsent}",
        ),
    ]
