"""The commands below `tutti channel`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from domain import Delivery
from tutti.terminal import FAILED, PoliciesOption, complain, fail, load_settings, out, run

channel_app = typer.Typer(
    help="Build, check and watch the channels through which touches go out.", no_args_is_help=True
)


@channel_app.command("schema")
def schema(
    directory: Annotated[
        Path, typer.Option("--out", help="Folder the schemas are written to; it is made if need be.")
    ] = Path("docs/contracts"),
    *,
    breaking: Annotated[
        bool,
        typer.Option("--break-contract", help="Write them even if workers of other teams stop working."),
    ] = False,
) -> None:
    """Write the contract of a channel as JSON Schema: what its worker reads, returns and asks.

    A change that breaks what the schemas in the folder promise is refused, sentence by sentence.
    """
    from tutti.channels.contracts import breaks_in, contract_schemas, written

    try:
        broken = [] if breaking else breaks_in(directory)
        if broken:
            complain(
                "\n".join(broken)
                + "\nnothing was written: keep the old form working, or agree with the teams that own "
                "channels and write it with --break-contract"
            )
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contract_schemas().items():
            (directory / name).write_text(written(content), "utf-8")
    except OSError as error:
        fail(f"{error.filename or directory}: {error.strerror}; choose a folder you can write to with --out")
    except ValueError as error:
        fail(f"a schema in {directory} cannot be read: {error}; restore it", FAILED)
    _say_done(f"{len(contract_schemas())} schemas in {directory}")


def _say_done(what: str) -> None:
    out.print(Text.assemble(("ok ", "green"), what), highlight=False, soft_wrap=True)


@channel_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The channel's name, such as account-room.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder for its files. Default: one of its name, here.")
    ] = None,
    delivery: Annotated[
        Delivery, typer.Option("--delivery", help="Whether its provider takes the same touch only once.")
    ] = Delivery.IDEMPOTENT,
) -> None:
    """Start a channel of your own in Python: a module that works, and its test.

    For TypeScript copy examples/channel-typescript. Nothing is overwritten.
    """
    from tutti.channels.scaffolding import scaffold
    from tutti.terminal import CommandError

    folder = into or Path(name)
    try:
        made = scaffold(name, folder, delivery)
    except CommandError as error:
        fail(error)
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}; choose a folder you can write to with --into")
    _say_done(f"{made.module} and {made.test}")
    upper = made.module.stem.upper()
    out.print(
        f"\nAdd it to channels.yaml of your policy set and publish that:\n\n{made.entry}\n"
        f"Run it in {folder} with TUTTI_{upper}_URL and TUTTI_{upper}_TOKEN set:\n\n"
        f"  TUTTI_CHANNEL_MODULE={made.module.stem} python -m worker {name}\n\n"
        f"Check it while it runs:\n\n  tutti channel verify {name}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@channel_app.command("list")
def list_(
    policies: PoliciesOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the channels: how they deliver, who works on them now, and how many touches wait.

    Without --policies the set in force counts, or the policy folder where nothing is in force.
    """
    from tutti.channels.listing import list_channels

    run(list_channels(out, load_settings(), policies, as_json=as_json))


@channel_app.command("verify")
def verify(  # noqa: PLR0913, PLR0917 - one parameter an option
    name: Annotated[str, typer.Argument(help="The channel's name in channels.yaml.")],
    policies: PoliciesOption = None,
    task_queue: Annotated[
        str | None,
        typer.Option("--task-queue", help="Where its worker listens. Default: as in channels.yaml."),
    ] = None,
    to: Annotated[
        str,
        typer.Option("--to", metavar="EMAIL", help="Whom the synthetic touches are for."),
    ] = "conformance@example.com",
    action: Annotated[
        str, typer.Option("--action", help="What kind of touch they are.")
    ] = "conformance_check",
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="A value the channel wants; may be repeated."),
    ] = None,
    probe: Annotated[
        list[str] | None, typer.Option("--probe", help="Only this probe; may be repeated.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a running channel worker, in whatever language, against the contract.

    This really sends: about twenty touches go through the channel to the person named with --to, and to
    whatever the worker is connected to. The default, conformance@example.com, is an address that reaches
    nobody. A synthetic person is suppressed in the ledger. Exit code 1 if the worker breaks the contract.
    """
    from tutti.channels.verifying import Request, verify_channel

    request = Request(
        channel=name,
        policies=policies,
        task_queue=task_queue,
        to=_address(to),
        action=action,
        fields=_fields(field or []),
        probes=tuple(probe or ()),
    )
    raise typer.Exit(run(verify_channel(out, load_settings(), request, as_json=as_json)))


def _address(given: str) -> str:
    from pydantic import EmailStr, TypeAdapter, ValidationError

    try:
        return TypeAdapter[str](EmailStr).validate_python(given)
    except ValidationError:
        raise typer.BadParameter(f"{given!r} is no e-mail address", param_hint="--to") from None


def _fields(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"write {each!r} as NAME=VALUE", param_hint="--field")
        found[name] = value
    return found
