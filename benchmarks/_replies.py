"""Replies of people lost, while the server or the worker is killed around the acknowledgement."""

from __future__ import annotations

import time

from benchmarks._figures import Figure, at_most
from benchmarks._stage import MeasurementError
from tests.nemesis.replies import Replies, replies

NAME = "replies"
RUNS = 200


async def measure() -> list[Figure]:
    """Play two hundred seeds, and count.

    Raises:
        MeasurementError: a reply was lost, or another promise broken; names the seeds.
    """
    began = time.perf_counter()
    total = await replies(range(RUNS))
    told = [f"seed {seed}: {line}" for seed, lines in total.lost.items() for line in lines] + total.broken
    if told:
        msg = "\n".join(told)
        raise MeasurementError(msg)
    return _figures(total, time.perf_counter() - began)


def _figures(total: Replies, seconds: float) -> list[Figure]:
    kills = ", ".join(f"{count} {victim} {moment}" for (victim, moment), count in sorted(total.kills.items()))
    return [
        Figure(
            benchmark=NAME,
            what="replies lost",
            value=len(total.lost),
            target=at_most(0),
            note=f"of {total.replies}, seeds 0 to {RUNS - 1}; {seconds:.0f} s",
        ),
        Figure(
            benchmark=NAME,
            what="runs with a kill -9",
            value=total.runs,
            note=f"{kills}; {total.before} replies were acknowledged before the kill, the others after it",
        ),
        Figure(
            benchmark=NAME,
            what="touches released by a yes that won, each once",
            value=total.released,
            note="two opposite answers at once in each run: one counts, the other learns whose",
        ),
    ]
