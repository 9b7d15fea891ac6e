"""What `tutti up` shows: the start-up list and the addresses."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tutti.local import ChildState, LocalStack, Ports, StackEvent
from tutti.render import shown_path

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
    lines = [
        ("Temporal UI", addresses.ui),
        ("Temporal", addresses.temporal),
        ("gateway", addresses.gateway),
        ("mail sink", f"{addresses.mail}, messages in {shown_path(stack.paths.mail)}"),
        ("webhook sink", f"{addresses.webhook}, calls in {shown_path(stack.paths.webhooks)}"),
        ("approvers", f"mails in {shown_path(stack.paths.notices)}, chat in {shown_path(stack.paths.chat)}"),
    ]
    if "vendors" in stack.pids():
        lines.append(("vendors", f"{addresses.vendors}, records in {shown_path(stack.paths.vendors)}"))
    lines.append(("data", shown_path(stack.paths.home)))
    console.print()
    for what, where in lines:
        # One line each, whatever the width: these are for copying.
        console.print(
            Text.assemble((f"{what:<14}", "dim"), where), highlight=False, soft_wrap=True, no_wrap=True
        )
    if stack.ports.temporal != Ports().temporal:
        console.print(f"\nOther terminals: export TEMPORAL_ADDRESS={addresses.temporal}", highlight=False)
    console.print("\nReady. Ctrl-C stops everything; started again it carries on where it was.")
