"""`tutti play migrate`: running runs go on with the version in force, on purpose and visibly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.console import Console
from rich.progress import track
from rich.text import Text

from activities import keep_policies
from domain import AccountStatus, PlayMigrated, PlayMove, PlayRun
from ledger import Ledger
from tutti.render import counted, plain
from tutti.settings import Settings
from tutti.terminal import CommandError
from workflows import AccountClient, AccountError, connect

AT_ONCE = 50
"""Accounts that are told, and asked, at the same time."""
SETTLES_WITHIN = timedelta(seconds=10)
POLL_SECONDS = 0.25
REFUSALS_SHOWN = 20


async def migrate_play(  # noqa: PLR0913 - one parameter an option
    console: Console,
    settings: Settings,
    play_id: str,
    *,
    accounts: Sequence[str] | None,
    steps: Mapping[str, str],
    by: str,
    dry_run: bool,
) -> None:
    """Move running runs of a play to the version in force, and tell which moved and which could not.

    Raises:
        AccountError: the engine does not answer.
        CommandError: the set in force has no such play, or a step in `steps` is not in it.
        LedgerError: the ledger cannot be read.
    """
    move, version = await _target(settings, play_id, steps)
    client = AccountClient(await connect())
    found = list(accounts) if accounts else await client.running_play(play_id)
    standing = await _runs(client, found, play_id)
    behind = {account: run for account, run in standing.items() if run.version != version}
    old = Counter(run.version[:12] for run in behind.values())
    console.print(
        f"{counted(len(standing), 'account')} with a run of {play_id}; version in force {version[:12]}",
        highlight=False,
    )
    for each, count in sorted(old.items()):
        console.print(f"  {counted(count, 'run')} of version {each}", highlight=False)
    if dry_run or not behind:
        console.print("nothing to move" if not behind else "nothing was moved: this was a dry run")
        return
    migration = PlayMigrated(play_id=play_id, move=move, moved_by=by)
    ids = sorted(behind)
    for start in track(range(0, len(ids), AT_ONCE), "telling accounts", console=console, transient=True):
        await asyncio.gather(*(client.migrate_play(each, migration) for each in ids[start : start + AT_ONCE]))
    await _report(console, client, play_id, ids, version)


async def _target(settings: Settings, play_id: str, steps: Mapping[str, str]) -> tuple[PlayMove, str]:
    ledger = await Ledger.open(settings.ledger)
    try:
        policies = await (await keep_policies(ledger, settings.policies)).in_force()
    finally:
        await ledger.close()
    play = policies.plays.get(play_id)
    if play is None:
        known = ", ".join(sorted(policies.plays)) or "none"
        raise CommandError(f"the policy set in force has no play {play_id!r}; it has {known}")
    names = list(dict.fromkeys((*play.steps, *(touch.step for touch in play.touches()))))
    for new in steps.values():
        if new not in names:
            raise CommandError(f"{play_id} has no step {new!r}; it has {', '.join(names)}")
    return PlayMove(policy_digest=policies.digest, steps=dict(steps)), play.version


async def _runs(client: AccountClient, accounts: Sequence[str], play_id: str) -> dict[str, PlayRun]:
    """Return the running run of the play on each account that has one."""
    found: dict[str, PlayRun] = {}
    for start in range(0, len(accounts), AT_ONCE):
        batch = accounts[start : start + AT_ONCE]
        statuses = await asyncio.gather(*(client.status(each) for each in batch))
        found |= {
            status.account_id: run for status in statuses if (run := _run_of(status, play_id)) is not None
        }
    return found


def _run_of(status: AccountStatus, play_id: str) -> PlayRun | None:
    return next((run for run in status.plays if run.play_id == play_id), None)


async def _report(
    console: Console, client: AccountClient, play_id: str, accounts: Sequence[str], version: str
) -> None:
    """Wait until every run has moved or said why not, at most a little while."""
    deadline = asyncio.get_running_loop().time() + SETTLES_WITHIN.total_seconds()
    left, moved = list(accounts), 0
    while left:
        standing = await _runs(client, left, play_id)
        moved += sum(1 for each in left if each in standing and standing[each].version == version)
        left = [each for each in left if each in standing and standing[each].version != version]
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    console.print(Text.assemble(("ok ", "green"), f"{counted(moved, 'run')} moved"), highlight=False)
    for each in left[:REFUSALS_SHOWN]:
        console.print(f"  {each} stays where it is: {await _why(client, each, play_id)}", highlight=False)
    if len(left) > REFUSALS_SHOWN:
        console.print(f"  and {len(left) - REFUSALS_SHOWN:,} more")


async def _why(client: AccountClient, account_id: str, play_id: str) -> str:
    try:
        story = await client.timeline(account_id)
    except AccountError as error:
        return str(error)
    said = next((line for line in reversed(story) if f"Refused play: {play_id}" in line), None)
    return plain(said.partition(f"{play_id}: ")[2]) if said else "it has not said yet"
