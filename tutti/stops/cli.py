"""The commands below `tutti stop`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from tutti.terminal import UNUSABLE, fail, load_settings, one_reason, out, person, run

stop_app = typer.Typer(
    help="Kill switches: stop everything, an agent, an action, a channel or an account.",
    no_args_is_help=True,
)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in one line; it stays on record.")]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Login of the person. Default: TUTTI_USER, or your login.")
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", help="Name of the stop, so that a script may throw it twice. Default: a new one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@stop_app.command("tenant")
def tenant(
    reason: ReasonOption, by: ByOption = None, stop_id: IdOption = None, *, as_json: JsonOption = False
) -> None:
    """Stop everything: nothing is handed over on any account."""
    _throw("tenant", None, reason, by, stop_id, as_json=as_json)


@stop_app.command("agent")
def agent(
    name: Annotated[str, typer.Argument(help="Who proposes, as in people.yaml.")],
    reason: ReasonOption,
    by: ByOption = None,
    stop_id: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop whatever an agent, system or person proposes."""
    _throw("agent", name, reason, by, stop_id, as_json=as_json)


@stop_app.command("action")
def action(
    name: Annotated[str, typer.Argument(help="The action, such as send_email.")],
    reason: ReasonOption,
    by: ByOption = None,
    stop_id: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop an action, whoever proposes it."""
    _throw("action", name, reason, by, stop_id, as_json=as_json)


@stop_app.command("channel")
def channel(
    name: Annotated[str, typer.Argument(help="The channel, as in channels.yaml.")],
    reason: ReasonOption,
    by: ByOption = None,
    stop_id: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop a channel: nothing goes out through it."""
    _throw("channel", name, reason, by, stop_id, as_json=as_json)


@stop_app.command("account")
def account(
    name: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    reason: ReasonOption,
    by: ByOption = None,
    stop_id: IdOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop an account: nothing is handed over on it."""
    _throw("account", name, reason, by, stop_id, as_json=as_json)


@stop_app.command("list")
def show(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that were lifted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the stops that stand: who threw them, when and why."""
    from tutti.stops.showing import show_stops
    from tutti.terminal import run_on_ledger

    run_on_ledger(show_stops(out, load_settings(), every=every, as_json=as_json))


@stop_app.command("lift")
def lift(
    stop_id: Annotated[str, typer.Argument(metavar="STOP_ID", help="As `tutti stop list` shows it.")],
    reason: ReasonOption,
    by: ByOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Lift a stop: what waited because of it is ruled on again at once."""
    from tutti.stops.lifting import lift_stop

    said = one_reason(reason)
    run(lift_stop(out, load_settings(), stop_id, by=person(by), reason=said, as_json=as_json))


def _throw(  # noqa: PLR0913 - one parameter an option
    scope: str, name: str | None, reason: str, by: str | None, stop_id: str | None, *, as_json: bool
) -> None:
    from pydantic import ValidationError

    from tutti.stops.throwing import a_stop, throw_stop
    from tutti.terminal import run_on_ledger

    said, login = one_reason(reason), person(by)
    try:
        stop = a_stop(scope, name, reason=said, by=login, stop_id=stop_id)
    except ValidationError:
        named = " or ".join(repr(each) for each in (name, stop_id) if each is not None)
        fail(f"nothing was stopped: {named} cannot be a name; write letters, digits and . _ : + -", UNUSABLE)
    run_on_ledger(throw_stop(out, load_settings(), stop, as_json=as_json))
