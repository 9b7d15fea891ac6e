"""`tutti audit-log verify`: every link computed again, held against anchors and against the other tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ledger import Ledger, LogEntry, LogKey, RowInLog
from tutti.auditing.agreement import (
    claims_disagreeing,
    objectors_of,
    permits_disagreeing,
    rows_disagreeing,
    rows_lost,
    touches_disagreeing,
    touches_of,
)
from tutti.auditing.anchored import LAG, Anchors
from tutti.auditing.anchors import Anchor, AnchorError, read_anchor, signing_key
from tutti.auditing.chains import Chain
from tutti.auditing.findings import Finding, What
from tutti.render import clock, counted
from tutti.settings import Settings
from tutti.terminal import FAILED, CommandError

_PAGE: Final = 5_000
_ACCOUNTS_AT_ONCE: Final = 50


@dataclass
class Audit:
    """What an audit looked at, and what it found."""

    accounts: int = 0
    links: int = 0
    erased: int = 0
    findings: list[Finding] = field(default_factory=list)
    anchored: datetime | None = None
    """Moment of the latest anchor; None without any."""

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return any(not finding.what.is_note for finding in self.findings)


async def verify(  # noqa: PLR0913 - one parameter an option
    out: Console,
    err: Console,
    settings: Settings,
    files: Sequence[Path],
    account_id: str | None,
    *,
    as_json: bool,
) -> int:
    """Verify the decision log, and print one line for each finding.

    Args:
        out: Where to print.
        err: Where to show progress.
        settings: Where the ledger is, and the key of the anchors.
        files: Anchor files.
        account_id: One account only; None: all.
        as_json: Print JSON lines and nothing else.

    Returns:
        Exit code: 1 if anything is wrong, else 0.

    Raises:
        CommandError: an anchor file cannot be read, or there is no key for it.
        LedgerError: the ledger cannot be read.
    """
    anchors, broken = _anchors(files, settings)
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
            task = progress.add_task("verifying links", total=None)
            found = await audit(
                ledger,
                Anchors(anchors),
                account_id,
                tell=lambda links: progress.update(task, completed=links),
            )
    finally:
        await ledger.close()
    found.findings[:0] = broken
    _show(out, found, as_json=as_json)
    return FAILED if found.failed else 0


def _anchors(files: Sequence[Path], settings: Settings) -> tuple[list[Anchor], list[Finding]]:
    anchors: list[Anchor] = []
    broken: list[Finding] = []
    for path in files:
        try:
            anchors.append(read_anchor(path, signing_key(settings)))
        except AnchorError as error:
            broken.append(Finding(what=What.BAD_ANCHOR, text=f"the anchor {path} is not used: {error}"))
    return anchors, broken


async def audit(
    ledger: Ledger,
    anchors: Anchors,
    account_id: str | None = None,
    *,
    tell: Callable[[int], object] = lambda _: None,
) -> Audit:
    """Verify the decision log of every account, or of one.

    Args:
        ledger: Where it is.
        anchors: What to hold it against.
        account_id: One account only; None: all.
        tell: Called with the number of links so far.

    Raises:
        CommandError: the account has no log, and nothing says that it had one.
        LedgerError: the ledger cannot be read.
    """
    found = Audit(anchored=anchors.latest)
    seen: set[str] = set()
    async for accounts in _accounts(ledger, account_id):
        await _audit_some(ledger, anchors, accounts, found)
        seen.update(accounts)
        tell(found.links)
    beside = [each for each in await ledger.accounts_beside_the_log() if account_id in {None, each}]
    gone = sorted((anchors.accounts - seen) & ({account_id} if account_id else anchors.accounts))
    for each in gone:
        found.findings += anchors.disagreeing(Chain(each, ()))
    for start in range(0, len(beside), _ACCOUNTS_AT_ONCE):
        some = [each for each in beside[start : start + _ACCOUNTS_AT_ONCE] if each not in gone]
        for each, rows in _grouped(await ledger.rows_in_log(some)).items():
            found.findings += rows_disagreeing(Chain(each, ()), rows)
    if account_id is not None and not seen and not gone and not beside:
        raise CommandError(f"account {account_id} has no decision log, and nothing says that it had one")
    claims = await ledger.claims_without_touch(datetime.now(UTC) - LAG)
    found.findings += claims_disagreeing(claims, account_id)
    return found


async def _accounts(ledger: Ledger, account_id: str | None) -> AsyncIterator[list[str]]:
    if account_id is not None:
        if await ledger.decision_log([account_id], limit=1):
            yield [account_id]
        return
    after = ""
    while accounts := await ledger.logged_accounts(after=after, limit=_ACCOUNTS_AT_ONCE):
        yield accounts
        after = accounts[-1]


async def _audit_some(ledger: Ledger, anchors: Anchors, accounts: list[str], found: Audit) -> None:
    # The ledger is written meanwhile, a row together with its link: so rows are read before links, and
    # claims, which come before what they lead to, after them.
    rows = _grouped(await ledger.rows_in_log(accounts))
    entries = await _entries(ledger, accounts)
    chains = [Chain(each, entries[each]) for each in accounts]
    grants = await ledger.grant_rows(accounts)
    blocked = await ledger.suppressed([key for chain in chains for key in objectors_of(chain)])
    claims = await ledger.claimed([touch for chain in chains for touch in touches_of(chain)])
    # What was written between the two is in the links and not in the rows, so these are read once more.
    late = [chain for chain in chains if any(rows_lost(chain, rows[chain.account_id]))]
    again = _grouped(await ledger.rows_in_log([each.account_id for each in late]) if late else [])
    lost = {chain.account_id: [*rows_lost(chain, again[chain.account_id])] for chain in late}
    for chain in chains:
        each = chain.account_id
        found.findings += chain.findings
        found.findings += anchors.disagreeing(chain)
        found.findings += rows_disagreeing(chain, rows[each])
        found.findings += lost.get(each, [])
        found.findings += touches_disagreeing(chain, claims)
        own = [grant for grant in grants if grant.account_id == each]
        found.findings += permits_disagreeing(chain, own, blocked)
        found.accounts += 1
        found.links += len(chain.entries)
        found.erased += chain.erased


async def _entries(ledger: Ledger, accounts: list[str]) -> defaultdict[str, list[LogEntry]]:
    found: defaultdict[str, list[LogEntry]] = defaultdict(list)
    after: LogKey | None = None
    while page := await ledger.decision_log(accounts, after=after, limit=_PAGE):
        for entry in page:
            found[entry.account_id].append(entry)
        after = page[-1].key
    return found


def _grouped(rows: Sequence[RowInLog]) -> defaultdict[str, list[RowInLog]]:
    found: defaultdict[str, list[RowInLog]] = defaultdict(list)
    for row in rows:
        found[row.account_id].append(row)
    return found


def _show(out: Console, found: Audit, *, as_json: bool) -> None:
    if as_json:
        lines = [finding.model_dump_json() for finding in found.findings]
        summary = {
            "accounts": found.accounts,
            "links": found.links,
            "erased": found.erased,
            "anchored_at": found.anchored.isoformat() if found.anchored else None,
            "verified": not found.failed,
        }
        for line in (*lines, json.dumps(summary)):
            out.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    for finding in found.findings:
        word = Text(f"{finding.what.value}  ", style="yellow" if finding.what.is_note else "bold red")
        out.print(Text.assemble(word, finding.line), highlight=False, soft_wrap=True)
    wrong = sum(not finding.what.is_note for finding in found.findings)
    looked_at = f"{counted(found.links, 'link')} of {counted(found.accounts, 'account')}"
    erased = f", {found.erased:,} of them without their content, which was erased" if found.erased else ""
    if wrong:
        text = Text.assemble((counted(wrong, "finding"), "bold red"), f" in {looked_at}{erased}")
    else:
        text = Text.assemble(("ok ", "green"), f"{looked_at} verified{erased}")
    out.print(text, highlight=False, soft_wrap=True)
    vouched = (
        f"anchored until {clock(found.anchored)}; nothing outside vouches for what came later"
        if found.anchored
        else "no anchor was given: a log that was cut off, or written anew from its beginning, does not show"
    )
    out.print(Text(vouched, style="dim"), highlight=False, soft_wrap=True)
