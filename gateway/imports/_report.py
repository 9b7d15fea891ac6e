"""What an import did, as data and as a table a person likes to read."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from domain import Frozen
from gateway.imports._tally import Malformed, SkipReason, TableReport

_PLACES_SHOWN = 20


class AccountFailure(Frozen):
    """An account that did not take its observations; some of them may have arrived."""

    account_id: str
    message: str


class ImportReport(Frozen):
    """What an import read, used, skipped, refused and sent."""

    tables: tuple[TableReport, ...]
    unknown_files: tuple[str, ...] = ()
    accounts: int
    """Accounts that took everything; the next three count what they took."""
    contacts: int
    signals: int
    past_touches: int
    failures: tuple[AccountFailure, ...] = ()
    read_seconds: float
    """Time to read and interpret the tables."""
    seconds: float
    """Time for everything."""

    @property
    def rows(self) -> int:
        """Rows read, malformed ones included."""
        return sum(table.rows for table in self.tables)

    @property
    def malformed(self) -> int:
        """Rows that could not be read."""
        return sum(table.malformed for table in self.tables)

    @property
    def places(self) -> tuple[Malformed, ...]:
        """The malformed rows that were kept for the report."""
        return tuple(place for table in self.tables for place in table.examples)

    @property
    def contacts_without_company(self) -> int:
        """Contacts that were left out because nothing connects them with a company."""
        return sum(table.skipped.get(SkipReason.NO_COMPANY, 0) for table in self.tables)

    @property
    def rows_per_second(self) -> float:
        """Rows read per second, sending included."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """0 if everything was read and taken, 1 if rows were malformed or an account failed."""
        return 1 if self.malformed or self.failures else 0


def render_report(report: ImportReport, *, verbose: bool = False) -> RenderableType:
    """Return the report for a terminal.

    Args:
        report: What the import did.
        verbose: Show every table and every malformed row instead of folding and shortening.

    Returns:
        A rich renderable.
    """
    parts: list[RenderableType] = [_tables(report, verbose=verbose)]
    parts += _folded(report, verbose=verbose)
    parts += _problems(report, verbose=verbose)
    parts.append(_totals(report))
    return Group(*parts)


def _tables(report: ImportReport, *, verbose: bool) -> Table:
    shown = Table(title="HubSpot import", title_justify="left", title_style="bold", pad_edge=False)
    shown.add_column("table", no_wrap=True)
    for heading in ("rows", "used", "skipped", "malformed"):
        shown.add_column(heading, justify="right")
    shown.add_column("why")
    for table in report.tables:
        if table.file is None or not (table.used or table.malformed or verbose):
            continue
        reasons = [f"{count:,} {reason}" for reason, count in _by_count(table.skipped)]
        reasons += [f"{count:,} x {remark}" for remark, count in _by_count(table.remarks)]
        shown.add_row(
            table.table,
            f"{table.rows:,}",
            f"{table.used:,}",
            f"{sum(table.skipped.values()):,}",
            f"[red]{table.malformed:,}[/]" if table.malformed else "0",
            escape("\n".join(reasons)),
        )
    return shown


def _by_count(counts: dict[SkipReason, int] | dict[str, int]) -> list[tuple[str, int]]:
    return sorted(
        ((str(name), count) for name, count in counts.items()), key=lambda pair: (-pair[1], pair[0])
    )


def _folded(report: ImportReport, *, verbose: bool) -> list[RenderableType]:
    lines: list[RenderableType] = []
    missing = [table.table for table in report.tables if table.file is None]
    folded = [
        table for table in report.tables if table.file is not None and not (table.used or table.malformed)
    ]
    if folded and not verbose:
        rows = sum(table.rows for table in folded)
        counts: dict[SkipReason, int] = {}
        for table in folded:
            for reason, count in table.skipped.items():
                counts[reason] = counts.get(reason, 0) + count
        why = "; ".join(f"{count:,} {reason}" for reason, count in _by_count(counts)) or "they are empty"
        lines.append(
            Text(
                f"Nothing used from {_counted(len(folded), 'table')} with {_counted(rows, 'row')}: {why}.",
                "dim",
            )
        )
    if missing:
        names = f": {', '.join(missing)}" if verbose else ""
        lines.append(Text(f"Not in this export: {_counted(len(missing), 'table')}{names}.", "dim"))
    if report.unknown_files:
        lines.append(Text(f"No tables of HubSpot, left alone: {', '.join(report.unknown_files)}.", "dim"))
    return lines


def _problems(report: ImportReport, *, verbose: bool) -> list[RenderableType]:
    lines: list[RenderableType] = []
    places = report.places if verbose else report.places[:_PLACES_SHOWN]
    if places:
        lines.append(
            Text(f"\n{_counted(report.malformed, 'malformed row')}, the rest was imported:", "bold red")
        )
        lines += [Text(f"  {place}") for place in places]
        if (left := report.malformed - len(places)) > 0:
            lines.append(Text(f"  and {left:,} more", "dim"))
    by_message: dict[str, list[str]] = {}
    for failure in report.failures:
        by_message.setdefault(failure.message, []).append(failure.account_id)
    if by_message:
        lines.append(
            Text(f"\n{_counted(len(report.failures), 'account')} failed; import again to repeat:", "bold red")
        )
    for message, accounts in by_message.items():
        others = f" and {len(accounts) - 3:,} more" if len(accounts) > 3 else ""  # noqa: PLR2004 - fits one line
        lines.append(Text(f"  {', '.join(accounts[:3])}{others}: {message}"))
    return lines


def _totals(report: ImportReport) -> RenderableType:
    touches = _counted(report.past_touches, "past touch", "past touches")
    line = (
        f"\n{_counted(report.accounts, 'account')}, {_counted(report.contacts, 'contact')},"
        f" {_counted(report.signals, 'signal')} and {touches} from {_counted(report.rows, 'row')}"
        f" in {report.seconds:.1f} s ({report.rows_per_second:,.0f} rows/s)."
    )
    if report.contacts_without_company:
        line += f" Left out: {_counted(report.contacts_without_company, 'contact')} without a company."
    return Text(line, "bold")


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
