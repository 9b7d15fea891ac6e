"""`python -m benchmarks [NAME …] [--json FILE]`: measure, print a table, write the figures down."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from rich.console import Console

from benchmarks import (
    _approvals,
    _audit,
    _decisions,
    _demo,
    _governance,
    _handover,
    _imports,
    _inbox,
    _nemesis,
    _plays,
    _replay,
    _replies,
    _signals,
    _throughput,
)
from benchmarks._figures import Figure, show, write_json
from benchmarks._stage import MeasurementError
from tutti.local import StackError
from workflows import AccountError

_BENCHMARKS: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    module.NAME: module.measure
    for module in (
        _governance,
        _replay,
        _audit,
        _signals,
        _decisions,
        _plays,
        _handover,
        _approvals,
        _throughput,
        _imports,
        _inbox,
        _demo,
        _nemesis,
        _replies,
    )
}
_ON_REQUEST = frozenset({_nemesis.NAME, _replies.NAME})
"""What only runs when it is named: each takes longer than all others together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks named on the command line, or all that run unasked.

    Returns:
        The exit code: 0 when everything was measured, whether or not targets are met; 1 when a measurement
        could not be made or the file not be written, with one line on stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Tutti on this machine."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(_BENCHMARKS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - _BENCHMARKS.keys()):
        parser.error(f"there is no benchmark {unknown[0]!r}; known are {', '.join(_BENCHMARKS)}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.absolute().parent}; make it first")
    wanted = options.names or _BENCHMARKS.keys() - _ON_REQUEST
    names = [name for name in _BENCHMARKS if name in wanted]
    # The channels log every touch; here that would be noise around the figures.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.basicConfig(level=logging.WARNING)
    progress = Console(stderr=True)
    try:
        figures = asyncio.run(_measure(names, progress))
        console = Console()
        # Without a terminal there is no width to fit into.
        show(console if console.is_terminal else Console(width=180), figures)
        if options.json is not None:
            write_json(options.json, figures)
    except (MeasurementError, StackError, AccountError, OSError) as error:
        progress.print(f"benchmarks: {error}", style="bold red", highlight=False, soft_wrap=True)
        return 1
    return 0


async def _measure(names: Sequence[str], progress: Console) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        began = time.perf_counter()
        figures += await _BENCHMARKS[name]()
        progress.print(f"{name}: {time.perf_counter() - began:.0f} s", style="dim", highlight=False)
    return figures


if __name__ == "__main__":
    sys.exit(main())
