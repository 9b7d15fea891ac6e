"""Window approvals: what has been approved in advance, and taking that back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from domain import WindowGrant
from ledger import Ledger
from tutti.approvals.wording import when
from tutti.render import clock, counted, entries, plain, words
from tutti.settings import Settings
from tutti.terminal import CommandError

SHOWN = 200


async def show_windows(console: Console, settings: Settings, *, every: bool, as_json: bool) -> None:
    """Print the window approvals that stand, or all there were, the latest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    now = datetime.now(UTC)
    ledger = await Ledger.open(settings.ledger)
    try:
        found = await ledger.windows(at=None if every else now, limit=SHOWN)
    finally:
        await ledger.close()
    if as_json:
        console.print_json(json.dumps([grant.model_dump(mode="json") for grant in found]))
        return
    if not found:
        console.print("nothing was ever approved in advance" if every else "nothing is approved in advance")
        return
    table = entries()
    for grant in found:
        stands = grant.stands(now)
        table.add_row(Text(grant.grant_id, "bold" if stands else "dim", overflow="fold"), _told(grant, now))
    console.print(table, highlight=False)


async def revoke(console: Console, settings: Settings, grant_id: str, *, login: str) -> None:
    """Take a window approval back; what waits is ruled without it from now on.

    Raises:
        CommandError: there never was one with this id.
        LedgerError: the ledger cannot be written.
    """
    ledger = await Ledger.open(settings.ledger)
    try:
        grant = await ledger.revoke_window(grant_id, by=login, at=datetime.now(UTC))
    finally:
        await ledger.close()
    if grant is None:
        raise CommandError(f"there is no window approval {grant_id!r}; see `tutti approval windows`")
    by = f"by {plain(grant.revoked_by or '')} at {clock(grant.revoked_at)}"
    console.print(
        Text.assemble(
            ("ok ", "bold green"),
            f"{grant_id} is taken back {by}, after {counted(grant.used, 'touch', 'touches')}",
        ),
        highlight=False,
    )


def _told(grant: WindowGrant, now: datetime) -> Text:
    where = f"accounts in {grant.segment}" if grant.segment else f"account {grant.account_id}"
    text = Text(
        f"{grant.template}: {words(grant.action)} over {grant.channel} by {grant.actor}, for {where}\n"
        f"{grant.used:,} of {grant.at_most:,} used, until {when(grant.ends_at, now)}, "
        f"approved by {plain(', '.join(grant.given_by))}"
    )
    if grant.revoked_at is not None:
        text.append(f"\ntaken back by {plain(grant.revoked_by or '')} at {clock(grant.revoked_at)}", "yellow")
    return text
