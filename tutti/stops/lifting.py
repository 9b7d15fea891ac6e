"""`tutti stop lift`: end a kill switch, and let what waited because of it go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from ledger import Ledger, StopEntry
from tutti.render import clock, counted, plain
from tutti.settings import Settings
from tutti.terminal import CommandError
from workflows import AccountClient, AccountError, connect


async def lift_stop(  # noqa: PLR0913 - the record of who did what and why
    console: Console, settings: Settings, stop_id: str, *, by: str, reason: str, as_json: bool
) -> None:
    """Lift a stop and tell the accounts that wait; one that was lifted before is only told again.

    Raises:
        CommandError: there is no such stop.
        LedgerError: the ledger cannot be written; the stop stands.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        now = datetime.now(UTC)
        entry = await ledger.lift_stop(stop_id, by=by, reason=reason, at=now)
        standing = await ledger.stops()
    finally:
        await ledger.close()
    if entry is None:
        ids = ", ".join(each.stop_id for each in standing)
        raise CommandError(
            f"there is no stop {stop_id!r}; "
            + (f"these stand: {ids}" if ids else "none stands")
            + " (`tutti stop list`)"
        )
    if not as_json:
        console.print(_lifted(entry, now), highlight=False, soft_wrap=True)
    try:
        told: int | None = await AccountClient(await connect()).announce_stops(entry.stop)
    except AccountError:
        told = None
    if as_json:
        console.print_json(json.dumps(entry.model_dump(mode="json") | {"accounts_told": told}))
    elif told is None:
        console.print(
            "the engine does not answer: what waits goes on within six hours, or when this is run again",
            soft_wrap=True,
        )
    else:
        console.print(f"{counted(told, 'waiting account')} told; what it held back is ruled on again")
    for each in standing:
        if not as_json:
            console.print(
                Text(f"still stopped: {plain(each.subject)} ({each.stop_id})", style="yellow"), soft_wrap=True
            )


def _lifted(entry: StopEntry, now: datetime) -> Text:
    if entry.lifted_at != now:
        by = plain(entry.lifted_by or "")
        return Text(f"{entry.stop.stop_id} was lifted before, at {clock(entry.lifted_at)} by {by}")
    return Text.assemble(("ok ", "green"), f"lifted {entry.stop.stop_id}: {plain(entry.stop.subject)}")
