"""Runs a stack in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from tutti.local._stack import LocalStack


async def serve(stack: LocalStack, *, on_ready: Callable[[LocalStack], None] | None = None) -> None:
    """Run a stack until Ctrl-C, SIGTERM or SIGHUP, then stop it in order; a second signal hurries.

    Args:
        stack: A stack that was not started yet.
        on_ready: Called once everything is ready.

    Raises:
        StackError: It could not start, or could not go on.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            stack.hurry()
        asked.set()

    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in handled:
        loop.add_signal_handler(number, on_signal)
    try:
        life = asyncio.create_task(_live(stack, on_ready))
        stop_asked = asyncio.create_task(asked.wait())
        await asyncio.wait({life, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        stop_asked.cancel()
        life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            pass
        finally:
            await stack.stop()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _live(stack: LocalStack, on_ready: Callable[[LocalStack], None] | None) -> None:
    await stack.start()
    if on_ready is not None:
        on_ready(stack)
    await stack.wait()
