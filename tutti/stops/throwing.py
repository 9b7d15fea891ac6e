"""`tutti stop tenant|agent|action|channel|account`: throw a kill switch, and see what is still under way."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from domain import Stop, StopScope
from ledger import Ledger, Underway, Whereabouts
from tutti.render import clock, counted, entries, plain
from tutti.settings import Settings
from tutti.stops.names import unknown_name

WATCHED_SECONDS: Final = 5.0
"""How long what is under way is watched: within this time a stop is in force everywhere."""
_LOOK_SECONDS: Final = 0.2
_SHOWN: Final = 20
_WORDS: Final = {
    Whereabouts.HANDED_OVER: ("got out before the stop", "red"),
    Whereabouts.NOT_HANDED_OVER: ("was stopped", "green"),
    Whereabouts.IN_DOUBT: ("is in doubt: see `tutti touch doubts`", "bold red"),
    Whereabouts.UNDER_WAY: ("is still under way", "yellow"),
}


def a_stop(scope: str, name: str | None, *, reason: str, by: str, stop_id: str | None) -> Stop:
    """Return the stop that somebody has asked for.

    Raises:
        ValidationError: the id or the name is none.
    """
    return Stop(
        stop_id=stop_id or f"stop-{uuid.uuid4().hex[:8]}",
        scope=StopScope(scope),
        name=name,
        reason=reason,
        placed_by=by,
        placed_at=datetime.now(UTC),
    )


async def throw_stop(console: Console, settings: Settings, stop: Stop, *, as_json: bool) -> None:
    """Throw a kill switch, watch what is under way where it reaches, and say what became of it.

    Raises:
        LedgerError: nothing was stopped.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        stop = await _place(ledger, stop)
        if not as_json:
            console.print(_placed(stop), highlight=False, soft_wrap=True)
        # Only now: nothing may keep a stop waiting.
        touches, found = await _watch(ledger, stop)
        warning = await unknown_name(ledger, stop)
    finally:
        await ledger.close()
    if as_json:
        console.print_json(
            json.dumps(
                {
                    "stop": stop.model_dump(mode="json"),
                    "warning": warning,
                    "under_way": [
                        touch.model_dump(mode="json") | {"whereabouts": where.value}
                        for touch, where in zip(touches, found, strict=True)
                    ],
                }
            )
        )
        return
    _tell(console, touches, found)
    if warning is not None:
        console.print(
            Text.assemble(("warning: ", "bold yellow"), plain(warning)), highlight=False, soft_wrap=True
        )
    console.print(
        Text(f"lift it with: tutti stop lift {stop.stop_id} --reason '...'", style="dim"), soft_wrap=True
    )


async def _place(ledger: Ledger, stop: Stop) -> Stop:
    """Place the stop; one that stands under the same id and says the same is left as it is."""
    standing = {each.stop_id: each for each in await ledger.stops()}.get(stop.stop_id)
    if standing is not None and standing == stop.model_copy(update={"placed_at": standing.placed_at}):
        return standing
    await ledger.place_stop(stop)
    return stop


async def _watch(ledger: Ledger, stop: Stop) -> tuple[tuple[Underway, ...], tuple[Whereabouts, ...]]:
    """Look at what is under way until each has ended or time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WATCHED_SECONDS
    touches = await ledger.underway(stop)
    while True:
        found = await ledger.whereabouts(touches)
        if Whereabouts.UNDER_WAY not in found or loop.time() >= deadline:
            return touches, found
        await asyncio.sleep(_LOOK_SECONDS)


def _placed(stop: Stop) -> Text:
    return Text.assemble(
        ("stopped ", "bold red"),
        (plain(stop.subject), "bold"),
        f" ({stop.stop_id}) since {clock(stop.placed_at)}: nothing it covers is handed over any more",
    )


def _tell(console: Console, touches: tuple[Underway, ...], found: tuple[Whereabouts, ...]) -> None:
    if not touches:
        console.print("nothing was under way there")
        return
    counts = Counter(found)
    told = ", ".join(f"{counts[where]} {_brief(where)}" for where in _WORDS if counts[where])
    number = counted(len(touches), "touch", "touches")
    console.print(f"{number} under way when it was thrown: {told}", highlight=False)
    table = entries()
    order = list(_WORDS)
    pairs = sorted(zip(touches, found, strict=True), key=lambda pair: order.index(pair[1]))
    for touch, where in pairs[:_SHOWN]:
        words, style = _WORDS[where]
        table.add_row(
            Text(f"{touch.account_id}/{touch.proposal_id}"),
            Text(f"{touch.action} over {touch.channel} by {touch.actor} {words}", style=style),
        )
    console.print(table)
    if len(pairs) > _SHOWN:
        console.print(f"and {len(pairs) - _SHOWN} more; --json lists all", style="dim")
    if counts[Whereabouts.UNDER_WAY]:
        console.print(
            "what is still under way asks once more right before its provider is called, and is stopped "
            "there; only a provider that had been called already can still say that it took it",
            soft_wrap=True,
        )


def _brief(where: Whereabouts) -> str:
    return {
        Whereabouts.HANDED_OVER: "got out before",
        Whereabouts.NOT_HANDED_OVER: "stopped",
        Whereabouts.IN_DOUBT: "in doubt",
        Whereabouts.UNDER_WAY: "still under way",
    }[where]
