"""What `tutti up` shows: the start-up list and the addresses."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tutti.local import ChildState, LocalStack, StackEvent

_SHOWN = {
    ChildState.READY: ("green", "ready"),
    ChildState.DIED: ("bold red", "died"),
    ChildState.RESTARTING: ("yellow", "starts again"),
    ChildState.GIVEN_UP: ("bold red", "given up"),
    ChildState.STOPPED: ("dim", "stopped"),
    ChildState.KILLED: ("red", "killed"),
}


class StartList:
    """Prints a line for everything worth knowing that happens to a process of the stack."""

    def __init__(self, console: Console) -> None:
        """Take the console to print to."""
        self._console = console

    def on_event(self, event: StackEvent) -> None:
        """Print an event, if people want to know of it."""
        if event.state not in _SHOWN:
            return
        style, word = _SHOWN[event.state]
        line = Text.assemble(
            (f"  {event.seconds:5.1f} s  ", "dim"),
            (f"{word:<13}", style),
            event.title,
            (f"  {event.detail}" if event.detail else "", "dim"),
        )
        self._console.print(line)


def show_addresses(console: Console, stack: LocalStack) -> None:
    """Print where everything is, and how to stop."""
    addresses = stack.addresses
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("Temporal UI", addresses.ui)
    table.add_row("Temporal", addresses.temporal)
    table.add_row("gateway", addresses.gateway)
    table.add_row("mail sink", f"{addresses.mail}, messages in {stack.paths.mail}")
    table.add_row("webhook sink", f"{addresses.webhook}, calls in {stack.paths.webhooks}")
    table.add_row("data", str(stack.paths.home))
    console.print()
    console.print(table)
    if stack.ports.temporal != type(stack.ports)().temporal:
        console.print(f"\nOther terminals: export TEMPORAL_ADDRESS={addresses.temporal}", highlight=False)
    console.print("\nReady. Ctrl-C stops everything; started again it carries on where it was.")
