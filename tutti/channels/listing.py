"""`tutti channel list`: the channels of the policy set in force, and whether anybody works on them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tutti.channels.calling import QueueState, look_at_queue
from tutti.channels.verifying import ledger_of, policies_of
from tutti.render import counted, entries, words
from workflows import connect

if TYPE_CHECKING:
    from tutti.settings import Settings


@dataclass(frozen=True, slots=True)
class Listed:
    """One channel.

    Attributes:
        channel: Its name.
        medium: What it is to the law and to the person.
        delivery: How often it may hand the same touch over.
        recalls: Whether it can take a touch back.
        task_queue: Where its worker listens.
        workers: Identities of the workers that polled lately.
        backlog: About how many touches wait for one.
        waits_seconds: About how long the first of them has waited.
    """

    channel: str
    medium: str
    delivery: str
    recalls: bool
    task_queue: str
    workers: tuple[str, ...]
    backlog: int
    waits_seconds: float


async def list_channels(out: Console, settings: Settings, policies: Path | None, *, as_json: bool) -> None:
    """Show the channels.

    Args:
        out: Where to print.
        settings: Where ledger and policies are.
        policies: Folder of the policy set; None: the set in force, or the folder of the settings.
        as_json: Whether to print JSON and nothing else.

    Raises:
        CommandError: There is no policy set.
        EngineUnavailableError: The engine does not answer.
    """
    async with ledger_of(settings) as ledger:
        policy_set, source = await policies_of(ledger, settings, policies)
    client = await connect()
    channels = sorted(policy_set.channels.values(), key=lambda channel: channel.name)
    states = await asyncio.gather(
        *(look_at_queue(client, channel.handover.task_queue) for channel in channels)
    )
    listed = [
        Listed(
            channel=channel.name,
            medium=channel.medium.value,
            delivery=channel.handover.delivery.value,
            recalls=channel.handover.recalls,
            task_queue=channel.handover.task_queue,
            workers=state.pollers,
            backlog=state.backlog,
            waits_seconds=round(state.oldest_seconds, 1),
        )
        for channel, state in zip(channels, states, strict=True)
    ]
    if as_json:
        rows = json.dumps([asdict(each) for each in listed], indent=2)
        out.print(rows, highlight=False, markup=False, soft_wrap=True)
        return
    out.print(Text(f"channels of {source}", style="dim"))
    out.print(_table(listed, states))
    idle = [each.channel for each in listed if not each.workers]
    if idle:
        out.print(
            Text(
                f"nobody works on {', '.join(idle)}: touches wait there until schedule_to_start and are "
                f"ruled on again; start a worker with `python -m worker {idle[0]}`",
                style="yellow",
            ),
            soft_wrap=True,
        )


def _table(listed: list[Listed], states: list[QueueState]) -> Table:
    table = entries()
    for each, state in zip(listed, states, strict=True):
        count = len(each.workers)
        workers = Text(counted(count, "worker"), "green") if count else Text("no worker", "bold red")
        waiting = f", {counted(state.backlog, 'touch waits', 'touches wait')}" if state.backlog else ""
        waiting += f" for {state.oldest_seconds:.0f} s" if state.backlog else ""
        recalls = ", can be taken back" if each.recalls else ""
        about = f"{each.medium} on {each.task_queue}, {words(each.delivery)}{recalls}"
        table.add_row(
            Text(each.channel, "bold"), Group(Text.assemble(workers, waiting), Text(about, style="dim"))
        )
    return table
