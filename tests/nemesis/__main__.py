"""`python -m tests.nemesis`: play seeds, print what came of them; exit 1 if a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from tests.nemesis.campaign import LANES, Sum, campaign, failure, lines_of
from tests.nemesis.checker import story
from tests.nemesis.plan import plan_of

RUNS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the seeds that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description="Kill workers at every gap.")
    parser.add_argument("--seed", type=int, action="append", help="play this seed and tell its story")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many seeds to play ({RUNS})")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"how many at once ({LANES})")
    options = parser.parse_args(arguments)
    told = options.seed is not None
    seeds = options.seed if told else range(options.first, options.first + options.runs)
    total = Sum()
    try:
        asyncio.run(_play(total, seeds, options.lanes, told=told))
    except KeyboardInterrupt:
        _tell("interrupted; so far:")
    width = max(len(what) for what, _ in lines_of(total))
    for what, value in lines_of(total):
        _tell(f"{what:<{width}}  {value}")
    _tell("")
    for (act, role, gap), count in sorted(total.gaps.items(), key=lambda item: item[0]):
        _tell(f"{count:5}  {role:<12} {act:<7} {gap}")
    return 1 if total.broken else 0


async def _play(total: Sum, seeds: Sequence[int], lanes: int, *, told: bool) -> None:
    began = time.monotonic()
    async for found in campaign(map(plan_of, seeds), lanes=lanes):
        total.add(found)
        broken = total.broken.get(found.plan.seed, [])
        if broken:
            _tell(failure(found, broken))
        elif told:
            _tell(story(found))
        word = f"{len(broken)} broken" if broken else "kept"
        passed = time.monotonic() - began
        sys.stderr.write(f"seed {found.plan.seed}: {word}, {found.seconds:.1f} s ({passed:.0f} s)\n")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
