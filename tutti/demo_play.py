"""The demo's second act: a play that runs over days, which are seconds here, until a meeting ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from domain import (
    Account,
    AccountStatus,
    Consent,
    Contact,
    Outcome,
    OutcomeKind,
    PlayRun,
    ProposalStatus,
    Role,
    Signal,
    SignalKind,
)
from governance import PolicySet, interpret
from tutti import story
from tutti.plays.showing import drawn_steps
from tutti.render import entries, plain
from workflows import AccountClient

ACCOUNT = Account(account_id="fabrikam", name="Fabrikam Logistics", country="GB", time_zone="Europe/London")
PLAY = "event-follow-up"
PATIENCE_SECONDS = 30.0
PEOPLE = {
    person.contact_id: person
    for person in (
        Contact(
            contact_id="nora",
            name="Nora Lind",
            title="Head of Returns",
            role=Role.CHAMPION,
            email="nora.lind@fabrikam.example.com",
            country="GB",
            time_zone="Europe/London",
            consent=Consent.GRANTED,
        ),
        Contact(
            contact_id="omar",
            name="Omar Said",
            title="Chief Operating Officer",
            role=Role.DECISION_MAKER,
            email="omar.said@fabrikam.example.com",
            country="GB",
            time_zone="Europe/London",
            consent=Consent.GRANTED,
        ),
    )
}


class PlayNotSeenError(Exception):
    """The play did not go as it should; the text says where it broke off."""


async def tell_play(console: Console, accounts: AccountClient, policies: PolicySet, number: int) -> None:
    """Run the play on an account of its own and tell it as it happens.

    Args:
        console: Where it is told.
        accounts: The door to the accounts.
        policies: The demo's policy set.
        number: Of the chapter.

    Raises:
        AccountError: the account or the engine refused something.
        PlayNotSeenError: what was to be told did not happen.
    """
    say = console.print
    say(story.heading(number, f"A play runs for weeks, in seconds: a registration at {ACCOUNT.name}"))
    say(drawn_steps(policies.plays[PLAY]))
    say()
    await accounts.observe(ACCOUNT.account_id, [ACCOUNT, *PEOPLE.values()])
    began = time.monotonic()

    def moved(text: Text) -> None:
        line = entries()
        line.add_row(Text(f"{time.monotonic() - began:5.1f} s", style="dim"), text)
        say(Padding(line, (0, 0, 0, 2)))

    await _seen(accounts, policies, SignalKind.FORM_SUBMISSION)
    moved(Text("Nora Lind registers for the webinar; the play enters"))
    status = await _until(accounts, lambda s: _sent(s) == 1, "the first touch of the play")
    touch = next(each for each in reversed(status.touches) if each.play is not None)
    moved(Text.assemble(("thank-you", "bold"), " goes out to Nora Lind; then it waits for a click"))
    await accounts.report_outcome(
        ACCOUNT.account_id,
        Outcome(
            outcome_id="click-1",
            source="email",
            touch_id=touch.touch_id,
            kind=OutcomeKind.CLICK,
            at=datetime.now(UTC),
            contact_id=touch.contact_id,
        ),
    )
    moved(Text("Nora Lind clicks: the wait ends at once"))
    status = await _until(accounts, _is_deferred, "the next touch to be deferred")
    waits = next(v for v in status.proposals if v.status is ProposalStatus.DEFERRED)
    moved(
        Text.assemble(
            ("bring-in-the-decision-maker", "bold"),
            f" keeps its place: {plain(waits.message or '')}",
        )
    )
    before = time.monotonic()
    await _seen(accounts, policies, SignalKind.MEETING_BOOKED)
    status = await _until(accounts, lambda s: bool(s.ended_plays), "the end of the play")
    took = (time.monotonic() - before) * 1_000
    run: PlayRun = status.ended_plays[-1]
    moved(
        Text.assemble(
            (f"A meeting is booked: {run.status.value}", "bold green"),
            f", what was scheduled is dropped ({took:.0f} ms)",
        )
    )


async def _seen(accounts: AccountClient, policies: PolicySet, kind: SignalKind) -> None:
    signal = Signal(
        signal_id=f"demo-{kind.value}",
        source="crm",
        kind=kind,
        observed_at=datetime.now(UTC),
        contact_id="nora",
    )
    await accounts.observe(ACCOUNT.account_id, [interpret(policies, signal)])


def _sent(status: AccountStatus) -> int:
    return sum(view.status is ProposalStatus.SENT for view in status.proposals)


def _is_deferred(status: AccountStatus) -> bool:
    return any(view.status is ProposalStatus.DEFERRED for view in status.proposals)


async def _until(accounts: AccountClient, holds: Callable[[AccountStatus], bool], what: str) -> AccountStatus:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(status := await accounts.status(ACCOUNT.account_id)):
        if time.monotonic() > deadline:
            raise PlayNotSeenError(
                f"waited {PATIENCE_SECONDS:.0f} s for {what} in vain; see .tutti/demo/logs"
            )
        await asyncio.sleep(0.02)
    return status
