"""What a measurement found: figures, their targets, the table and the JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.table import Table

from domain import Frozen


class Bound(StrEnum):
    """On which side of the target the good values are."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


class Target(Frozen):
    """What a figure should be."""

    bound: Bound
    value: float

    def met_by(self, measured: float) -> bool:
        """Whether a measured value is good enough."""
        return measured <= self.value if self.bound is Bound.AT_MOST else measured >= self.value

    def __str__(self) -> str:
        return f"{self.bound.value} {self.value:g}"


class Figure(Frozen):
    """One measured value."""

    benchmark: str
    what: str
    value: float
    unit: str = ""
    target: Target | None = None
    note: str = ""
    """How it came about: spread, parts, what is included."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        return None if self.target is None else self.target.met_by(self.value)


def at_most(value: float) -> Target:
    """Smaller is better."""
    return Target(bound=Bound.AT_MOST, value=value)


def at_least(value: float) -> Target:
    """Larger is better."""
    return Target(bound=Bound.AT_LEAST, value=value)


def show(console: Console, figures: Sequence[Figure]) -> None:
    """Print the figures as a table, one row each."""
    table = Table(title="Tutti, measured", title_justify="left", pad_edge=False)
    table.add_column("what", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("met?")
    table.add_column("how", style="dim", overflow="fold")
    last = None
    for figure in figures:
        if last is not None and figure.benchmark != last:
            table.add_section()
        last = figure.benchmark
        met = {None: "", True: "[green]yes[/]", False: "[bold red]no[/]"}[figure.met]
        target = str(figure.target) if figure.target else "-"
        table.add_row(figure.what, f"{_short(figure.value)} {figure.unit}".strip(), target, met, figure.note)
    console.print(table)


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """Write the figures with date and machine class.

    Raises:
        OSError: the file cannot be written.
    """
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "figures": [figure.model_dump(mode="json") | {"met": figure.met} for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _short(value: float) -> str:
    if value >= 100:  # noqa: PLR2004 - beyond that, decimals are noise
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")
