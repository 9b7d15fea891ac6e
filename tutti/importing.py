"""`tutti import`: progress on the terminal, the report at the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from gateway.imports import ImportReport, UnusableExportError, import_hubspot, render_report
from governance import PolicySet, interpret
from workflows import AccountClient, connect

UNUSABLE = 2


async def run_import(  # noqa: PLR0913 - two consoles, a source, a target, and how
    console: Console,
    errors: Console,
    directory: Path,
    policies: PolicySet,
    *,
    verbose: bool = False,
    accounts: AccountClient | None = None,
) -> int:
    """Import a HubSpot export with a progress bar.

    Returns:
        0 when every row was used or skipped for a reason, 1 when rows were malformed or an account
        failed, 2 when the folder cannot be used.

    Raises:
        EngineUnavailableError: Temporal does not answer; what was sent before stays, so import again.
    """
    accounts = accounts or AccountClient(await connect(), decision_window=policies.decision_window)
    try:
        report = await _with_progress(console, directory, policies, accounts)
    except UnusableExportError as error:
        return _unusable(errors, str(error))
    console.print(render_report(report, verbose=verbose))
    return report.exit_code


def _unusable(errors: Console, why: str) -> int:
    errors.print(Text.assemble(("error: ", "bold red"), why), highlight=False, soft_wrap=True)
    return UNUSABLE


async def _with_progress(
    console: Console, directory: Path, policies: PolicySet, accounts: AccountClient
) -> ImportReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        return await import_hubspot(
            directory, accounts=accounts, interpret=partial(interpret, policies), progress=on_progress
        )
