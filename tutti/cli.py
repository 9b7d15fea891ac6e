"""The `tutti` command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.models import OptionInfo

from tutti.approvals import cli as approvals
from tutti.auditing.cli import audit_app
from tutti.channels.cli import channel_app
from tutti.plays.cli import play_app
from tutti.policies.cli import policy_app
from tutti.stops.cli import stop_app
from tutti.terminal import (
    FAILED,
    UNUSABLE,
    CommandError,
    PoliciesOption,
    complain,
    err,
    fail,
    load_policies,
    load_settings,
    out,
    policies_folder,
    run,
)
from tutti.touches.cli import touch_app

if TYPE_CHECKING:
    from tutti.scenario import Scenario

STARTED = time.monotonic() - time.process_time()
"""About when this process began: until here it has done nothing but compute."""

# Commands import what they need when they run: the engine's client alone takes most of a second to load.

app = typer.Typer(
    help="The coordination layer under autonomous marketing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
import_app = typer.Typer(help="Bring in what other tools know.", no_args_is_help=True)
ledger_app = typer.Typer(help="Look after the long-term record.", no_args_is_help=True)
outcome_app = typer.Typer(help="Tell what came back after a touch.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(play_app, name="play")
app.add_typer(touch_app, name="touch")
app.add_typer(stop_app, name="stop")
app.add_typer(channel_app, name="channel")
app.add_typer(import_app, name="import")
app.add_typer(ledger_app, name="ledger")
app.add_typer(audit_app, name="audit-log")
app.add_typer(outcome_app, name="outcome")


def _port(what: str, default: int) -> OptionInfo:
    option: OptionInfo = typer.Option(help=f"{what}. Default: {default}.", min=1, max=65535, metavar="PORT")
    return option


@app.command()
def up(  # noqa: PLR0913, PLR0917 - one parameter an option
    home: Annotated[
        Path | None, typer.Option(help="Folder for all data. Default: TUTTI_HOME, or ./.tutti.")
    ] = None,
    policies: PoliciesOption = None,
    temporal_port: Annotated[int | None, _port("Port of the Temporal server", 7233)] = None,
    ui_port: Annotated[int | None, _port("Port of the Temporal UI", 8233)] = None,
    gateway_port: Annotated[int | None, _port("Port of the gateway", 8321)] = None,
    mail_port: Annotated[int | None, _port("Port of the mail sink", 2525)] = None,
    webhook_port: Annotated[int | None, _port("Port of the webhook sink", 8322)] = None,
    vendors_port: Annotated[int | None, _port("Port of the local vendors", 8323)] = None,
    *,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports instead of the default ones.")
    ] = False,
) -> None:
    """Start everything on this machine: engine, ledger, workers, gateway, mail sink.

    Runs in this terminal until Ctrl-C, and carries on where it was when started again.
    """
    from functools import partial

    from tutti.local import LocalStack, Ports, StackError, serve, standard_children
    from tutti.up import StartList, show_addresses

    settings = load_settings()
    # Before anything starts: a mistake in the policies is told in their words, not in a worker's log.
    policy_set = load_policies(policies)
    wanted = {
        "temporal": temporal_port,
        "ui": ui_port,
        "gateway": gateway_port,
        "mail": mail_port,
        "webhook": webhook_port,
        "vendors": vendors_port,
    }
    chosen = {name: port for name, port in wanted.items() if port is not None}
    progress = StartList(out)
    try:
        base = Ports.free() if free_ports else Ports()
        stack = LocalStack(
            home or settings.home,
            ports=Ports.model_validate(base.model_dump() | chosen),
            policies=policies_folder(policies),
            children=partial(standard_children, channels=tuple(sorted(policy_set.channels))),
            on_event=progress.on_event,
        )
        asyncio.run(serve(stack, on_ready=lambda ready: show_addresses(out, ready)))
    except StackError as error:
        fail("\n  ".join((str(error), *error.log_tail)))


@app.command()
def demo(
    *,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep", help="Stay up afterwards to look around. Default: stay if on a terminal."
        ),
    ] = None,
) -> None:
    """See it work: one account, four systems, one governed touch, on the real engine.

    Takes about 15 seconds. Everything stays on this machine, in ./.tutti/demo.
    """
    from tutti.demo import DemoError, run_demo

    stay = out.is_terminal if keep is None else keep
    try:
        code = asyncio.run(run_demo(out, stay=stay, began=STARTED))
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
    """Play a scenario under a policy set, in virtual time: no engine, no waiting, nothing is sent."""
    from tutti.simulator import ScenarioError
    from tutti.simulator import simulate as play
    from tutti.story import simulated

    script = _load_scenario(scenario)
    policy_set = load_policies(policies)
    try:
        result = play(script, policy_set)
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
    proposal: Annotated[str | None, typer.Argument(help="The proposal's id. Default: all of them.")] = None,
) -> None:
    """Explain an account's decisions: every rule that fired, with file and line."""
    from tutti.explaining import explain

    run(explain(out, load_settings(), account, proposal))


@app.command()
def status(
    account: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show an account: stage, what is scheduled, who is asked, what went out."""
    from tutti.explaining import show_status

    run(show_status(out, load_settings(), account, as_json=as_json))


approvals.add_to(app)


@import_app.command("hubspot")
def import_hubspot(
    directory: Annotated[Path, typer.Argument(help="Folder with the export's CSV tables.")],
    policies: PoliciesOption = None,
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="List every table and every malformed row.")
    ] = False,
) -> None:
    """Import a HubSpot export: companies, contacts, their history, and what was sent to them."""
    if not directory.is_dir():
        # Before the engine is asked: the commonest mistake needs no server to be seen.
        fail(f"{directory}: no such folder; name the folder with the exported CSV files", UNUSABLE)
    from tutti.importing import run_import

    policy_set = load_policies(policies)
    code = run(run_import(out, err, directory, policy_set, verbose=verbose))
    raise typer.Exit(code)


@outcome_app.command("report")
def outcome_report(  # noqa: PLR0913, PLR0917 - one parameter an argument or option
    account: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    touch: Annotated[str, typer.Argument(help="The touch's id, e.g. northwind/sdr-1/1.")],
    kind: Annotated[
        str, typer.Argument(help="reply, meeting, click, open, bounce, opt_out, complaint or no_response.")
    ],
    contact: Annotated[
        str | None, typer.Option(help="Whose it is, if not the person the touch was for.", metavar="ID")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When, e.g. 2026-03-02T09:30:00+01:00. Default: now.", metavar="TIME")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Login of whoever heard it. Default: yours.", metavar="LOGIN")
    ] = None,
) -> None:
    """Report what came back, such as a reply by telephone, and see what the account makes of it.

    The same report counts once, however often it is given.
    """
    from tutti.reporting import read_report, report

    try:
        outcome = read_report(account, touch, kind, contact=contact, at=at, source=source)
    except CommandError as error:
        fail(error)
    run(report(out, account, outcome))


@ledger_app.command("rebuild")
def ledger_rebuild() -> None:
    """Write the ledger again from the engine's histories, as far back as the engine keeps them.

    Run it after the ledger was lost or restored from an older backup. Rows that are there stay.
    """
    from tutti.rebuilding import rebuild

    run(rebuild(out, load_settings()))


def main() -> NoReturn:
    """Run the command and end the process.

    The engine's client has threads that Python does not know of. One that lets go of an object while the
    interpreter is being taken down crashes the process when its work is done (seen as
    SIGSEGV on a busy machine). So the interpreter is not taken down: the process just ends.
    """
    code = FAILED
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # who read the other end of a pipe has gone
            stream.flush()
    os._exit(code)


def _load_scenario(path: Path) -> Scenario:
    from governance import PolicyFileError
    from tutti.scenario import load_scenario

    try:
        return load_scenario(path)
    except PolicyFileError as error:
        text = path.read_text(encoding="utf-8", errors="replace")
        complain("\n".join(problem.render(text) for problem in error.problems))
    except OSError as error:
        fail(f"{path}: {error.strerror or error}; name a scenario file", UNUSABLE)
