"""Runs the `tutti` command as a new user does: from some folder, with nothing activated and nothing set."""

from __future__ import annotations

import asyncio
import os
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TUTTI = Path(sysconfig.get_path("scripts")) / "tutti"
DEMO = ROOT / "examples" / "demo"
DEMO_POLICIES = DEMO / "policies"
SCENARIO = DEMO / "scenario.yaml"
HUBSPOT = ROOT / "examples" / "hubspot"
SECONDS = 60.0


class Finished(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """Lines of the complaint."""
        return self.err.strip().splitlines()


def surroundings(**settings: str) -> dict[str, str]:
    """An environment with no word of Tutti, Temporal or a virtual environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TUTTI_", "TEMPORAL_", "VIRTUAL_ENV", "PYTHON", "COLUMNS"))
        or name == "TUTTI_TEST_RUN"  # by which the test run finds what it left behind
    }
    return kept | {"PATH": "/usr/bin:/bin", "TEMPORAL_CONFIG_FILE": os.devnull} | settings


async def tutti(*arguments: str | Path, cwd: Path, **settings: str) -> Finished:
    """Run a command to its end.

    Args:
        arguments: What the user types behind `tutti`.
        cwd: Where it is typed.
        settings: Environment variables that the user has set.
    """
    process = await asyncio.create_subprocess_exec(
        TUTTI,
        *arguments,
        cwd=cwd,
        env=surroundings(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Finished(process.returncode or 0, out.decode(), err.decode())


def refused(finished: Finished, code: int = 1) -> str:
    """Demand one clear line and no trace; returns the line."""
    assert finished.code == code, finished
    assert len(finished.said) == 1, finished.err
    (line,) = finished.said
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def folder_is_untouched(folder: Path) -> bool:
    """Whether a command left nothing behind."""
    return not any(folder.iterdir())
