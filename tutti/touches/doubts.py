"""Touches in doubt: shown with everything a person needs to find out, and settled."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from domain import InDoubt, ReceiptStatus, Settlement, TouchSettled
from ledger import Ledger, OpenClaim
from tutti.render import clock, counted, entries, plain, since, words
from tutti.settings import Settings
from tutti.terminal import CommandError, err
from workflows import AccountClient, AccountError, EngineUnavailableError, connect

LEFT_BEHIND = timedelta(minutes=15)
"""From this age on an open claim is shown: a hand-over that takes longer has lost its worker."""
SHOWN_CHARACTERS = 400
_KNOWN: Final = {
    ReceiptStatus.ACCEPTED: Settlement.HANDED_OVER,
    ReceiptStatus.REJECTED: Settlement.NOT_HANDED_OVER,
}
"""What a channel's own word amounts to."""


async def show_doubts(console: Console, settings: Settings, account_id: str | None, *, as_json: bool) -> None:
    """Print the touches that may or may not have reached their provider.

    Raises:
        AccountError: the engine does not answer, or there is no such account.
        LedgerError: the ledger cannot be read.
    """
    accounts = AccountClient(await connect())
    if account_id is not None:
        found, silent = list((await accounts.status(account_id)).in_doubt), list[str]()
    else:
        found, silent = await _all_doubts(accounts)
    for line in silent:
        err.print(Text(f"an account with touches in doubt does not answer: {line}", style="yellow"))
    found.sort(key=lambda item: item.raised_at)
    claims = [] if account_id is not None else await _left_behind(settings, found)
    if as_json:
        lines = [item.model_dump_json() for item in found]
        lines += [json.dumps({"open_claim": claim.model_dump(mode="json")}) for claim in claims]
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return
    if not found and not claims:
        console.print("no touch is in doubt")
        return
    now = datetime.now(UTC)
    for item in found:
        console.print(_card(item, now), highlight=False)
        console.print()
    for claim in claims:
        console.print(
            Text.assemble(
                (claim.touch_id, "bold"),
                f"  claimed by a worker of {claim.channel} at {clock(claim.at)}, and no account ",
                "tells of it: its worker may still be at it, or the account is gone",
            ),
            highlight=False,
        )
    console.print(f"{counted(len(found) + len(claims), 'touch', 'touches')} in doubt", style="bold")


async def _all_doubts(accounts: AccountClient) -> tuple[list[InDoubt], list[str]]:
    """Return the touches in doubt of all accounts, and what those say that cannot tell theirs."""
    found: list[InDoubt] = []
    silent: list[str] = []
    for each in await accounts.in_doubt():
        try:
            found.extend((await accounts.status(each)).in_doubt)
        except EngineUnavailableError:
            raise
        except AccountError as error:  # one that is broken must not hide the others
            silent.append(plain(f"{each}: {error}"))
    return found, silent


async def settle_touch(  # noqa: PLR0913 - the record of who found what, and how
    console: Console, settings: Settings, touch_id: str, found: Settlement, *, by: str, comment: str
) -> None:
    """Settle a touch in doubt, and say what became of it.

    Raises:
        AccountError: it is not in doubt, or the engine does not answer.
        CommandError: this is no touch id, or its channel has meanwhile said the opposite.
        LedgerError: the ledger cannot be read.
    """
    account_id = account_of(touch_id)
    accounts = AccountClient(await connect())
    await _refuse_what_the_channel_knows_better(settings, touch_id, found)
    settled = TouchSettled(touch_id=touch_id, settlement=found, settled_by=by, comment=comment)
    await accounts.settle_touch(account_id, settled)
    console.print(
        Text.assemble(("ok ", "green"), f"{touch_id} counts as {words(found.value)}; it is not sent again"),
        highlight=False,
    )


async def _refuse_what_the_channel_knows_better(settings: Settings, touch_id: str, found: Settlement) -> None:
    """Compare a finding with the receipt: a worker that was taken for lost may have reported since."""
    ledger = await Ledger.open(settings.ledger)
    try:
        receipt = await ledger.receipt(touch_id)
    finally:
        await ledger.close()
    known = None if receipt is None else _KNOWN.get(receipt.status)
    if receipt is not None and known is not None and known is not found:
        raise CommandError(
            f"its channel has reported meanwhile, at {clock(receipt.at)}: {receipt.status.value} "
            f"({plain(receipt.detail or 'no detail')}); look again, and settle it as {known.value}"
        )


def account_of(touch_id: str) -> str:
    """Return the account that a touch belongs to: its id begins with it.

    Raises:
        CommandError: this is no touch id.
    """
    account_id, separator, _ = touch_id.partition("/")
    if not account_id or not separator:
        raise CommandError(
            f"{touch_id!r} is no touch id; write <account>/<proposal>/<attempt>, as `tutti touch doubts` "
            "shows it"
        )
    return account_id


async def _left_behind(settings: Settings, known: list[InDoubt]) -> list[OpenClaim]:
    """Return claims without a receipt that are too old to be under way and that no account told of."""
    told = {item.touch.touch_id for item in known}
    ledger = await Ledger.open(settings.ledger)
    try:
        claims = await ledger.open_claims()
    finally:
        await ledger.close()
    latest = datetime.now(UTC) - LEFT_BEHIND
    return [claim for claim in claims if claim.at < latest and claim.touch_id not in told]


def _card(item: InDoubt, now: datetime) -> RenderableType:
    touch, lines = item.touch, entries()

    def say(what: str, text: str) -> None:
        lines.add_row(Text(what, style="dim"), Text(plain(text)))

    whom = touch.recipient
    say("what", f"{words(touch.action)} over {touch.channel} for {touch.account_name} ({touch.account_id})")
    if whom is not None:
        say("to", f"{whom.name} <{whom.email or 'no address'}> ({whom.contact_id})")
    if touch.subject:
        say("subject", touch.subject)
    if touch.text:
        more = "…" if len(touch.text) > SHOWN_CHARACTERS else ""
        say("says", touch.text[:SHOWN_CHARACTERS] + more)
    for name, value in touch.fields.items():
        say(name, value)
    say("proposed by", f"{touch.actor} ({touch.proposal_id}), ruled on in {touch.decision_id}")
    if touch.play is not None:
        say("play", f"{touch.play.run_id}, step {touch.play.step}")
    say("in doubt since", f"{clock(item.raised_at)} ({since(now, item.raised_at)})")
    say("what happened", item.detail)
    say("until settled", "it counts against every cap, and is not sent again")
    say("settle", f"tutti touch settle {touch.touch_id} handed_over|not_handed_over --comment '...'")
    return Group(Text(touch.touch_id, style="bold red"), Padding(lines, (0, 0, 0, 2)))
