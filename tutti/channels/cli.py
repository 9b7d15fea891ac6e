"""The commands below `tutti channel`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tutti.terminal import FAILED, complain, fail, out

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
