"""`tutti why` and `tutti status`: what an account decided and where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from domain import AccountStatus, ProposalView, Stop, where_it_is
from ledger import Ledger
from tutti.render import (
    STATUS_STYLE,
    VERDICT_STYLE,
    clock,
    counted,
    decided,
    entries,
    explained,
    plain,
    words,
)
from tutti.settings import Settings
from tutti.stops.showing import stops_of
from workflows import AccountClient, AccountError, connect


class NothingKnownError(AccountError):
    """Neither the account nor the ledger knows what was asked for."""


async def explain(console: Console, settings: Settings, account_id: str, proposal_id: str | None) -> None:
    """Print every rule that fired, from the account itself or, for what it no longer holds, the ledger.

    Raises:
        AccountError: neither knows the account or the proposal.
        LedgerError: the ledger cannot be read.
    """
    views, trouble = await _ask_account(account_id, proposal_id)
    for view in views:
        console.print(explained(view), highlight=False)
        console.print()
    if views:
        return
    if await _explain_from_ledger(console, settings, account_id, proposal_id, trouble):
        return
    if trouble is not None:
        raise trouble
    if proposal_id is None:
        console.print(f"nobody has proposed anything for account {account_id!r} yet", markup=False)
        return
    msg = f"neither account {account_id!r} nor the ledger knows proposal {proposal_id!r}"
    raise NothingKnownError(msg)


async def show_status(console: Console, settings: Settings, account_id: str, *, as_json: bool) -> None:
    """Print where an account stands.

    Raises:
        AccountError: there is no such account, or the engine does not answer.
    """
    accounts = AccountClient(await connect())
    status = await accounts.status(account_id)
    stops = await stops_of(settings, status)
    if as_json:
        told = None if stops is None else [stop.model_dump(mode="json") for stop in stops]
        console.print_json(json.dumps(status.model_dump(mode="json") | {"stops": told}))
        return
    story = await accounts.timeline(account_id)
    console.print(_summary(status, stops))
    if status.proposals:
        console.print(_proposals(status))
    if story:
        console.print(_story(story))


async def _ask_account(
    account_id: str, proposal_id: str | None
) -> tuple[list[ProposalView], AccountError | None]:
    try:
        accounts = AccountClient(await connect())
        return await accounts.why(account_id, proposal_id), None
    except AccountError as error:
        return [], error


async def _explain_from_ledger(
    console: Console,
    settings: Settings,
    account_id: str,
    proposal_id: str | None,
    trouble: AccountError | None,
) -> bool:
    if not (settings.home / "ledger.db").exists() and not settings.ledger_url:
        return False
    ledger = await Ledger.open(settings.ledger)
    try:
        decisions = await ledger.decisions(account_id, proposal_id)
    finally:
        await ledger.close()
    if decisions:
        why = str(trouble) if trouble is not None else "the account itself no longer holds it"
        console.print(Text(f"from the ledger: {plain(why)}\n", style="dim"))
    for decision in decisions:
        console.print(
            Text.assemble(
                (decision.proposal_id, "bold"),
                "  ",
                (words(decision.verdict.value), VERDICT_STYLE[decision.verdict]),
                f" ({decision.reason.value})",
            )
        )
        console.print(Padding(decided(decision), (0, 0, 1, 2)), highlight=False)
    return bool(decisions)


class _Line(NamedTuple):
    """One line of a summary."""

    what: str
    text: str
    style: str = "dim"


def _summary(status: AccountStatus, stops: tuple[Stop, ...] | None) -> RenderableType:
    name = status.account.name if status.account else "no profile yet"
    table = entries()
    for line in (*_known(status), *_held_up(status, stops), *_going_on(status)):
        table.add_row(Text(line.what, style=line.style), Text(plain(line.text)))
    return Group(Text.assemble((status.account_id, "bold"), f"  {plain(name)}"), Padding(table, (0, 0, 0, 2)))


def _known(status: AccountStatus) -> Iterator[_Line]:
    if status.assessment is not None:
        assessment = status.assessment
        yield _Line(
            "stage",
            f"{assessment.stage.value}, urgency {assessment.urgency:.2f}, "
            f"disagreement {assessment.disagreement:.2f} among {counted(assessment.systems, 'system')}",
        )
    yield _Line(
        "known",
        f"{counted(status.contacts, 'contact')}, {counted(status.signals_absorbed, 'signal')}, "
        f"{counted(len(status.touches), 'touch', 'touches')}",
    )
    if status.refusals:
        yield _Line("refused", counted(status.refusals, "message"), "yellow")
    if status.unsent_facts:
        yield _Line("on its way", f"{counted(status.unsent_facts, 'fact')} to the ledger")


def _held_up(status: AccountStatus, stops: tuple[Stop, ...] | None) -> Iterator[_Line]:
    for line in _stopped(stops):
        yield _Line("stopped", line, "bold red")
    for hold in status.holds:
        until = f" until {clock(hold.expires_at)}" if hold.expires_at else ""
        yield _Line("on hold", f"by {hold.placed_by}{until}: {hold.reason}", "bold yellow")
    for approval in status.approvals:
        yield _Line(
            "asks",
            f"{approval.route.group} until {clock(approval.route.expires_at)} ({approval.approval_id}): "
            f"{approval.message}" + (f" ({approval.progress})" if approval.route.quorum > 1 else ""),
            "bold magenta",
        )
    for item in status.in_doubt:
        yield _Line("in doubt", f"{item.touch.touch_id}: {item.detail}", "bold red")


def _going_on(status: AccountStatus) -> Iterator[_Line]:
    for run in status.plays:
        yield _Line("play", f"{run.run_id}: {where_it_is(run)}", "bold green")
    for view in status.proposals:
        if view.starved and view.received_at is not None:
            times = f"deferred {view.deferrals} times since {clock(view.received_at)}"
            yield _Line("starving", f"{view.proposal.proposal_id}: {times}", "bold yellow")
    if status.next_touch_at:
        yield _Line("next", f"ruling at {clock(status.next_touch_at)}")


def _stopped(stops: tuple[Stop, ...] | None) -> list[str]:
    if stops is None:
        return ["nobody can tell: the ledger does not answer, and until it does nothing is handed over"]
    return [f"{stop.subject} by {stop.placed_by}: {stop.reason} ({stop.stop_id})" for stop in stops]


def _proposals(status: AccountStatus) -> RenderableType:
    table = entries()
    for view in status.proposals:
        proposal = view.proposal
        whom = f" to {proposal.contact_id}" if proposal.contact_id else ""
        lines: list[RenderableType] = [
            Text(f"{proposal.actor}: {proposal.action} over {proposal.channel}{whom}")
        ]
        if view.message:
            lines.append(Text(plain(view.message)))
        again = f"  again at {clock(view.due_at)}" if view.due_at else ""
        lines.append(
            Text(
                f"{view.reason.value if view.reason else 'not ruled on yet'}{again}  {proposal.proposal_id}",
                "dim",
            )
        )
        table.add_row(Text(words(view.status.value), style=STATUS_STYLE[view.status]), Group(*lines))
    return Group(Text("\nProposals", style="bold"), Padding(table, (0, 0, 0, 2)))


def _story(timeline: list[str]) -> RenderableType:
    table = entries()
    for line in timeline:
        moment, _, text = line.partition("Z ")
        table.add_row(Text(f"{moment}Z", style="dim"), Text(plain(text)))
    return Group(Text("\nWhat happened", style="bold"), Padding(table, (0, 0, 0, 2)))
