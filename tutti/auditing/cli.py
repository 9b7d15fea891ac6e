"""The commands below `tutti audit-log`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutti.terminal import err, load_settings, out, run_on_ledger

audit_app = typer.Typer(
    help="Prove that nobody changed what was decided, and read it as a story.", no_args_is_help=True
)


@audit_app.command("anchor")
def anchor(
    target: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; it must not be there yet. Default: standard output."),
    ] = None,
) -> None:
    """Write down where every account's decision log ends, signed, to be kept outside.

    Keep the file where whoever can change the ledger cannot: another mailbox, a bucket that forgets nothing.
    Signed with TUTTI_SIGNING_KEY.
    """
    from tutti.auditing.anchors import anchor as write_anchor

    run_on_ledger(write_anchor(out, err, load_settings(), target))


@audit_app.command("verify")
def verify(
    anchors: Annotated[
        list[Path] | None,
        typer.Option("--anchors", help="An anchor file; give the option once for each.", metavar="FILE"),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="One account only. Default: all.", metavar="ID")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON lines.")] = False,
) -> None:
    """Compute every link of the decision log again, and tell what was changed, removed, moved or added.

    Also compares the tables and the claims with the log. Ends with code 1 if anything is wrong.
    """
    from tutti.auditing.verifying import verify as verify_log

    code = run_on_ledger(verify_log(out, err, load_settings(), anchors or [], account, as_json=as_json))
    raise typer.Exit(code)


@audit_app.command("show")
def show(
    account: Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")],
    approval: Annotated[
        str | None, typer.Option("--approval", help="What concerns one approval only.", metavar="ID")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the log as JSON lines.")] = False,
) -> None:
    """Tell what was decided about an account, in order: who, when, by which door."""
    from tutti.auditing.showing import show_log

    run_on_ledger(show_log(out, load_settings(), account, approval, as_json=as_json))
