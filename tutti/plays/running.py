"""Runs of plays on one account: shown, started, ended, taken up again."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from domain import AccountStatus, PlayRun, PlayStatus, where_it_is
from tutti.render import STATUS_STYLE, clock, entries, plain, words
from workflows import AccountClient, connect

STYLE = {
    PlayStatus.ACTIVE: "bold green",
    PlayStatus.SUSPENDED: "yellow",
    PlayStatus.COMPLETED: "green",
    PlayStatus.EXITED: "cyan",
    PlayStatus.CANCELLED: "dim",
}


async def show_runs(console: Console, account_id: str) -> None:
    """Print the runs of plays on an account, the active one first.

    Raises:
        AccountError: there is no such account, or the engine does not answer.
    """
    status = await AccountClient(await connect()).status(account_id)
    found = (*status.plays, *reversed(status.ended_plays))
    if not found:
        console.print("no play has run on this account")
        return
    for each in found:
        console.print(told_run(each), highlight=False)


async def start_play(console: Console, account_id: str, play_id: str, *, by: str) -> None:
    """Start a play and tell where it stands.

    Raises:
        AccountError: it did not enter, and why; or the engine does not answer.
    """
    status = await AccountClient(await connect()).start_play(account_id, play_id, started_by=by)
    _tell(console, status, play_id)


async def cancel_play(console: Console, account_id: str, run_id: str, *, by: str, reason: str) -> None:
    """End a run.

    Raises:
        AccountError: no such run is running, or the engine does not answer.
    """
    accounts = AccountClient(await connect())
    status = await accounts.cancel_play(account_id, run_id, cancelled_by=by, reason=reason)
    _tell(console, status, run_id)


async def resume_play(console: Console, account_id: str, run_id: str, *, by: str) -> None:
    """Let a suspended run go on.

    Raises:
        AccountError: no such run is suspended, or the engine does not answer.
    """
    status = await AccountClient(await connect()).resume_play(account_id, run_id, resumed_by=by)
    _tell(console, status, run_id)


def told_run(run: PlayRun) -> RenderableType:
    """Return one run: where it stands, since when, and what became of its touches."""
    lines = entries()

    def say(what: str, text: str) -> None:
        lines.add_row(Text(what, style="dim"), Text(plain(text)))

    say("where", where_it_is(run))
    ended = f", ended {clock(run.ended_at)}" if run.ended_at else f", ends {clock(run.ends_by)} at the latest"
    say("since", f"{clock(run.started_at)} by {run.started_by}{ended}")
    say("version", f"{run.version[:12]} of policy set {run.policy_digest[:12]}")
    for step in run.steps:
        whom = f" to {step.contact_id}" if step.contact_id else ""
        lines.add_row(
            Text(words(step.status.value), style=STATUS_STYLE[step.status]),
            Text(f"{step.step} over {step.channel}{whom} at {clock(step.at)} ({step.reason.value})"),
        )
    head = Text.assemble(
        (run.run_id, "bold"), f"  {plain(run.name)}  ", (run.status.value, STYLE[run.status])
    )
    return Group(head, Padding(lines, (0, 0, 1, 2)))


def _tell(console: Console, status: AccountStatus, named: str) -> None:
    found = [
        run for run in (*status.plays, *reversed(status.ended_plays)) if named in {run.run_id, run.play_id}
    ]
    for run in found[:1]:
        console.print(told_run(run), highlight=False)
