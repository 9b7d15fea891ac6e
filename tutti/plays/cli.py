"""The commands below `tutti play`: what is typed; what they do stands in the modules beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from tutti.terminal import (
    UNUSABLE,
    PoliciesOption,
    fail,
    load_policies,
    load_settings,
    one_reason,
    out,
    person,
    run,
)

play_app = typer.Typer(
    help="See plays, start and end them, and move what runs to a new version.", no_args_is_help=True
)

AccountArgument = Annotated[str, typer.Argument(help="The account's id, e.g. northwind.")]
PlayArgument = Annotated[str, typer.Argument(help="The play's id, e.g. surge-response.")]
RunArgument = Annotated[str, typer.Argument(help="The run's id, e.g. surge-response.3.")]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Login of the person. Default: TUTTI_USER, or your login.")
]


@play_app.command("list")
def list_plays(policies: PoliciesOption = None) -> None:
    """List the plays of a policy set: what starts them, how long they last, how many steps they have."""
    from tutti.plays.showing import told_plays

    out.print(told_plays(load_policies(policies)))


@play_app.command("show")
def show(play: PlayArgument, policies: PoliciesOption = None) -> None:
    """Draw a play: its steps, waits and branches, and what ends it."""
    from tutti.plays.showing import drawn_play

    policy_set = load_policies(policies)
    if play not in policy_set.plays:
        known = ", ".join(sorted(policy_set.plays)) or "none"
        fail(f"there is no play {play!r} in {policy_set.name}; it has {known}", UNUSABLE)
    out.print(drawn_play(policy_set.plays[play]))


@play_app.command("runs")
def runs(account: AccountArgument) -> None:
    """Show the runs of plays on an account: where they stand, and how the last ones ended."""
    from tutti.plays.running import show_runs

    run(show_runs(out, account))


@play_app.command("start")
def start(account: AccountArgument, play: PlayArgument, by: ByOption = None) -> None:
    """Start a play on an account now; its entry condition does not matter, its re-entry rule does."""
    from tutti.plays.running import start_play

    run(start_play(out, account, play, by=person(by)))


@play_app.command("cancel")
def cancel(
    account: AccountArgument,
    run_id: RunArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, in one line; it stays on record.")],
    by: ByOption = None,
) -> None:
    """End a run now: what it has scheduled is dropped, what can be taken back is."""
    from tutti.plays.running import cancel_play

    run(cancel_play(out, account, run_id, by=person(by), reason=one_reason(reason)))


@play_app.command("resume")
def resume(account: AccountArgument, run_id: RunArgument, by: ByOption = None) -> None:
    """Let a suspended run go on as soon as no other play is active on the account."""
    from tutti.plays.running import resume_play

    run(resume_play(out, account, run_id, by=person(by)))


@play_app.command("migrate")
def migrate(
    play: PlayArgument,
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            help="Only this account; may be given again. Default: all on which it is active, not suspended.",
        ),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option("--map", help="OLD=NEW: a step that is called otherwise now; may be given again."),
    ] = None,
    by: ByOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be moved.")] = False,
) -> None:
    """Move running runs of a play to the version in force; else they end on the one they began with."""
    from tutti.plays.migrating import migrate_play

    steps = dict(_pair(each) for each in renamed or [])
    run(
        migrate_play(
            out, load_settings(), play, accounts=account, steps=steps, by=person(by), dry_run=dry_run
        )
    )


def _pair(given: str) -> tuple[str, str]:
    old, separator, new = given.partition("=")
    if not separator or not old or not new:
        raise typer.BadParameter(f"{given!r} is no OLD=NEW, such as first-mail=opening")
    return old, new
