"""`tutti touch recall`: take a touch back, and wait a little for what its channel says."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.text import Text

from domain import RecallAsked
from tutti.touches.doubts import account_of
from workflows import AccountClient, connect

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.2


async def recall_touch(console: Console, touch_id: str, *, by: str, reason: str) -> None:
    """Have a touch taken back and tell what came of it, as far as that is known soon.

    Raises:
        AccountError: its channel cannot take it back, or the engine does not answer.
        CommandError: this is no touch id.
    """
    accounts, account_id = AccountClient(await connect()), account_of(touch_id)
    await accounts.recall_touch(account_id, RecallAsked(touch_id=touch_id, asked_by=by, reason=reason))
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        status = await accounts.status(account_id)
        under_way = any(each.touch_id == touch_id for each in status.recalls)
        if not under_way or asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    touch = next((each for each in status.touches if each.touch_id == touch_id), None)
    if touch is not None and touch.recalled_at is not None:
        console.print(Text.assemble(("ok ", "green"), f"{touch_id} is taken back"), highlight=False)
    elif under_way:
        console.print(f"{touch_id} is still being taken back; its channel is tried again every 15 minutes")
    else:
        console.print(f"{touch_id} was not taken back; `tutti status {account_id}` tells why", style="yellow")
