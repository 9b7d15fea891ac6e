"""`tutti stop list`, and how stops are shown."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from domain import AccountStatus, Stop
from ledger import Ledger, LedgerError, StopEntry
from tutti.render import clock, entries, plain
from tutti.settings import Settings

SHOWN = 200


async def show_stops(console: Console, settings: Settings, *, every: bool, as_json: bool) -> None:
    """Print the stops that stand, or all there were, the latest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        found = await ledger.stop_log(limit=SHOWN) if every else [_standing(s) for s in await ledger.stops()]
    finally:
        await ledger.close()
    if as_json:
        console.print_json(json.dumps([entry.model_dump(mode="json") for entry in found]))
        return
    if not found:
        console.print("no stop was ever thrown" if every else "nothing is stopped")
        return
    table = entries()
    for entry in found:
        style = "bold red" if entry.lifted_at is None else "dim"
        table.add_row(Text(entry.stop.stop_id, style=style), told(entry))
    console.print(table)


def told(entry: StopEntry) -> Text:
    """Return what a person reads of a stop."""
    stop = entry.stop
    text = Text.assemble(
        (plain(stop.subject), "bold"),
        f", since {clock(stop.placed_at)} by {plain(stop.placed_by)}: ",
        plain(stop.reason),
    )
    if entry.lifted_at is not None:
        text.append(
            f"\nlifted at {clock(entry.lifted_at)} by {plain(entry.lifted_by or '')}: "
            f"{plain(entry.lift_reason or '')}"
        )
    return text


async def stops_of(settings: Settings, status: AccountStatus) -> tuple[Stop, ...] | None:
    """Return the stops that concern an account: itself, or something open on it; None if nobody can tell."""
    ledger = await Ledger.open(settings.ledger)
    try:
        standing = await ledger.stops()
    except LedgerError:
        return None
    finally:
        await ledger.close()
    # A stop of everything, or of the account, concerns it also while nothing is open on it.
    concerned = [("", "", "")]
    concerned += [
        (view.proposal.actor, view.proposal.action, view.proposal.channel)
        for view in status.proposals
        if not view.status.final
    ]
    return tuple(
        stop
        for stop in standing
        if any(
            stop.covers(account_id=status.account_id, actor=actor, action=action, channel=channel)
            for actor, action, channel in concerned
        )
    )


def _standing(stop: Stop) -> StopEntry:
    return StopEntry(stop=stop)
