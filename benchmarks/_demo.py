"""From the command to the first touch: `tutti demo`, as somebody who tries it sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._figures import Figure, at_most
from benchmarks._stage import MeasurementError

NAME = "demo"
RUNS = 5
TIMEOUT_SECONDS = 120.0

_TOUCHED = re.compile(r"([\d.]+) s after the command")
_READY = re.compile(r"^\s*([\d.]+) s\s+ready\s+(.+?)\s*$")
_MARKS = {
    "imports": "Starting the local stack",
    "stack": "An intent surge at",
    "window": "With Tutti: one decision window",
    "mail": "s after the command",
}
"""The end of each part of the way, by the line that tells it."""


class Telling:
    """What one run of the demo said, and when."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.perf_counter()
        self._started_at = datetime.now(UTC)
        self.said: float | None = None
        """Seconds to the first touch as the demo itself counts them."""
        self.marks: dict[str, float] = {}
        """Seconds from the start of the process to each of the marks."""
        self.ready: dict[str, float] = {}
        """Seconds from the start of the stack to each child's readiness."""
        self.mailed: float | None = None
        """Seconds from the start of the process to the first e-mail in the mail sink."""
        self.lines: list[str] = []

    def hear(self, line: str) -> None:
        """Take in one line of output."""
        now = time.perf_counter() - self._began
        self.lines.append(line)
        for name, words in _MARKS.items():
            if words in line:
                self.marks.setdefault(name, now)
        if found := _READY.match(line):
            self.ready[found[2]] = float(found[1])
        if found := _TOUCHED.search(line):
            self.said = float(found[1])

    def look_into(self, folder: Path) -> None:
        """Take the moment of the first e-mail from the name of its file."""
        names = sorted(path.name for path in folder.rglob("mail/*.eml"))
        if names:
            at = datetime.strptime(names[0].split("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
            self.mailed = (at - self._started_at).total_seconds()

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part of the way to the first touch."""
        ends = [0.0, *(self.marks[name] for name in _MARKS)]
        return {name: ends[i + 1] - ends[i] for i, name in enumerate(_MARKS)}


async def measure() -> list[Figure]:
    """Run the demo once to warm up and a few times to measure, each from an empty folder."""
    await _run()
    tellings = [await _run() for _ in range(RUNS)]
    said = [telling.said for telling in tellings if telling.said is not None]
    mailed = [telling.mailed for telling in tellings if telling.mailed is not None]
    whole = [telling.marks["mail"] for telling in tellings]
    parts = _medians([telling.parts() for telling in tellings])
    ready = _medians([telling.ready for telling in tellings])
    children = ", ".join(
        f"{title} {at:.1f} s" for title, at in sorted(ready.items(), key=lambda item: item[1])
    )
    return [
        Figure(
            benchmark=NAME,
            what="tutti demo, command to first touch",
            value=statistics.median(said),
            unit="s",
            target=at_most(8.0),
            note=f"as it says itself, median of {RUNS}, {min(said):.1f} to {max(said):.1f}",
        ),
        Figure(
            benchmark=NAME,
            what="… seen from outside, process start to the line",
            value=statistics.median(whole),
            unit="s",
            target=at_most(8.0),
            note=f"the clock of the demo starts after its imports; {min(whole):.1f} to {max(whole):.1f}",
        ),
        _part(
            "… process start to the e-mail in the sink", statistics.median(mailed), "when it really arrived"
        ),
        _part("… of it: interpreter and imports", parts["imports"], "until it says what it starts"),
        _part("… of it: the stack", parts["stack"], f"ready after: {children}"),
        _part(
            "… of it: story and window",
            parts["window"],
            "until the rulings are told; 2.2 s of it are the script's: proposal at 0.2 s, window of 2 s",
        ),
        _part("… of it: ruling told, e-mail", parts["mail"], "SMTP, a file in the sink"),
    ]


def _part(what: str, seconds: float, note: str) -> Figure:
    return Figure(benchmark=NAME, what=what, value=seconds, unit="s", note=note)


def _medians(runs: list[dict[str, float]]) -> Mapping[str, float]:
    names = runs[0].keys()
    return {name: statistics.median(run[name] for run in runs if name in run) for name in names}


async def _run() -> Telling:
    program = Path(sys.executable).parent / "tutti"
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory(prefix="tutti-bench-demo-") as folder:
        telling = Telling()
        process = await asyncio.create_subprocess_exec(
            str(program),
            "demo",
            "--no-keep",
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await _listen(process, telling)
                code = await process.wait()
        except TimeoutError:
            code = None
        finally:
            await _end(process)
        await asyncio.to_thread(telling.look_into, Path(folder))
    missing = [name for name in _MARKS if name not in telling.marks]
    if code != 0 or missing or telling.said is None or telling.mailed is None:
        last = " / ".join(line.strip() for line in telling.lines[-5:])
        lacking = ", ".join(missing) or "nothing"
        msg = f"the demo ended with code {code}, lacking {lacking}; last lines: {last}"
        raise MeasurementError(msg)
    return telling


async def _listen(process: asyncio.subprocess.Process, telling: Telling) -> None:
    if process.stdout is None:
        raise MeasurementError("the demo's output was not captured")
    async for line in process.stdout:
        telling.hear(line.decode(errors="replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a demo that still runs; it takes its children with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
