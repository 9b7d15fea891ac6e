"""The `tutti` command."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from governance import PolicySet
    from tutti.scenario import Scenario
    from tutti.settings import Settings

# Commands import what they need when they run: the engine's client alone takes most of a second to load.

app = typer.Typer(
    help="The coordination layer under autonomous marketing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
policy_app = typer.Typer(help="Check the policies that people own.", no_args_is_help=True)
import_app = typer.Typer(help="Bring in what other tools know.", no_args_is_help=True)
ledger_app = typer.Typer(help="Look after the long-term record.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(import_app, name="import")
app.add_typer(ledger_app, name="ledger")

out = Console()
err = Console(stderr=True)

PoliciesOption = Annotated[
    Path | None,
    typer.Option("--policies", help="Folder of the policy set. Default: TUTTI_POLICIES, or ./policies."),
]
_T = TypeVar("_T")
FAILED = 1
UNUSABLE = 2


def fail(message: object, code: int = FAILED) -> NoReturn:
    """End the command with one clear line."""
    err.print(f"[bold red]error:[/] {str(message).rstrip()}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@app.command()
def up(  # noqa: PLR0913, PLR0917 - one parameter an option
    home: Annotated[
        Path | None, typer.Option(help="Folder for all data. Default: TUTTI_HOME, or ./.tutti.")
    ] = None,
    policies: PoliciesOption = None,
    temporal_port: Annotated[int | None, typer.Option(help="Default 7233.")] = None,
    ui_port: Annotated[int | None, typer.Option(help="Default 8233.")] = None,
    gateway_port: Annotated[int | None, typer.Option(help="Default 8321.")] = None,
    mail_port: Annotated[int | None, typer.Option(help="Default 2525.")] = None,
    webhook_port: Annotated[int | None, typer.Option(help="Default 8322.")] = None,
    *,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take any free ports.")] = False,
) -> None:
    """Start everything in this terminal: engine, ledger, workers, gateway, mail sink. Ctrl-C stops it."""
    from tutti.local import LocalStack, Ports, StackError, serve
    from tutti.up import StartList, show_addresses

    settings = _settings()
    wanted = {
        "temporal": temporal_port,
        "ui": ui_port,
        "gateway": gateway_port,
        "mail": mail_port,
        "webhook": webhook_port,
    }
    chosen = {name: port for name, port in wanted.items() if port is not None}
    base = Ports.free() if free_ports else Ports()
    progress = StartList(out)
    stack = LocalStack(
        home or settings.home,
        ports=base.model_copy(update=chosen),
        policies=_policies_folder(policies),
        on_event=progress.on_event,
    )
    try:
        asyncio.run(serve(stack, on_ready=lambda ready: show_addresses(out, ready)))
    except StackError as error:
        fail(error)


@app.command()
def demo(
    *,
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Stay up afterwards to look around. Default: on a terminal."),
    ] = None,
) -> None:
    """Play the story of one account, four systems and one governed touch, on the real engine."""
    from tutti.demo import DemoError, run_demo

    stay = out.is_terminal if keep is None else keep
    try:
        code = asyncio.run(run_demo(out, stay=stay))
    except DemoError as error:
        fail(error)
    except KeyboardInterrupt:
        out.print("\n[dim]stopped[/]")
        code = 130
    raise typer.Exit(code)


@app.command()
def simulate(
    scenario: Annotated[Path, typer.Argument(help="A scenario file, e.g. examples/demo/scenario.yaml.")],
    policies: PoliciesOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print every fact as one JSON line.")] = False,
) -> None:
    """Play a scenario against a virtual clock: no engine, no waiting, nothing is sent."""
    from tutti.simulator import ScenarioError
    from tutti.simulator import simulate as run
    from tutti.story import simulated

    policy_set = _load_policies(policies)
    script = _load_scenario(scenario)
    try:
        result = run(script, policy_set)
    except ScenarioError as error:
        fail(f"{scenario}: {error}")
    if as_json:
        for fact in result.facts:
            typer.echo(fact.model_dump_json())
        return
    out.print(simulated(script, result))


@app.command()
def why(
    account: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    proposal: Annotated[str | None, typer.Argument(help="One proposal; all if left out.")] = None,
) -> None:
    """Explain decisions: every rule that fired, with file and line."""
    from tutti.explaining import explain

    _run(explain(out, _settings(), account, proposal))


@app.command()
def status(
    account: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show an account: stage, what is scheduled, who is asked, what went out."""
    from tutti.explaining import show_status

    _run(show_status(out, account, as_json=as_json))


@policy_app.command("check")
def policy_check(
    directory: Annotated[Path | None, typer.Argument(help="Folder of the policy set.")] = None,
) -> None:
    """Check a policy set: all errors at once, with file, line and caret."""
    folder = _policies_folder(directory)
    policy_set = _load_policies(folder)
    out.print(
        f"[green]ok[/] {folder}: {len(policy_set.files)} files, policy set [bold]{policy_set.digest[:12]}[/]",
        highlight=False,
    )


@import_app.command("hubspot")
def import_hubspot(
    directory: Annotated[Path, typer.Argument(help="Folder with the export's CSV tables.")],
    policies: PoliciesOption = None,
    *,
    verbose: Annotated[bool, typer.Option(help="List every table, also those without use.")] = False,
) -> None:
    """Import a HubSpot export: companies, contacts, their history, and what was sent to them."""
    from tutti.importing import run_import

    policy_set = _load_policies(policies)
    code = _run(run_import(out, err, directory, policy_set, verbose=verbose))
    raise typer.Exit(code)


@ledger_app.command("rebuild")
def ledger_rebuild() -> None:
    """Write the ledger again from the engine's histories, as far back as the engine keeps them."""
    from tutti.rebuilding import rebuild

    _run(rebuild(out, _settings()))


def main() -> None:
    """Run the command."""
    app()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    from governance import PolicyError
    from ledger import LedgerError
    from workflows import AccountError

    try:
        return asyncio.run(work)
    except (AccountError, LedgerError, PolicyError) as error:
        fail(error)


def _settings() -> Settings:
    from tutti.settings import Settings, SettingsError

    try:
        return Settings.load()
    except SettingsError as error:
        fail(error)


def _policies_folder(given: Path | None) -> Path:
    return given or _settings().policies


def _load_policies(given: Path | None) -> PolicySet:
    from governance import PolicyError, load_policy_set

    try:
        return load_policy_set(_policies_folder(given))
    except PolicyError as error:
        err.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None


def _load_scenario(path: Path) -> Scenario:
    from governance import PolicyFileError
    from tutti.scenario import load_scenario

    try:
        return load_scenario(path)
    except PolicyFileError as error:
        text = path.read_text(encoding="utf-8", errors="replace")
        for problem in error.problems:
            err.print(problem.render(text), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", UNUSABLE)
