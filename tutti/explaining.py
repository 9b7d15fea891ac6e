"""`tutti why` and `tutti status`: what an account decided and where it stands."""

from __future__ import annotations

from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain import AccountStatus, ProposalView, ReasonCode
from ledger import Ledger
from tutti.render import STATUS_STYLE, clock, decided, explained
from tutti.settings import Settings
from workflows import AccountClient, AccountError, EngineUnavailableError, connect


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
    if await _explain_from_ledger(console, settings, account_id, proposal_id):
        return
    if trouble is not None:
        raise trouble
    what = f"proposal {proposal_id!r}" if proposal_id else "any proposal"
    msg = f"neither account {account_id!r} nor the ledger knows {what}"
    raise NothingKnownError(msg)


async def show_status(console: Console, account_id: str, *, as_json: bool) -> None:
    """Print where an account stands.

    Raises:
        AccountError: there is no such account, or the engine does not answer.
    """
    accounts = AccountClient(await connect())
    status = await accounts.status(account_id)
    if as_json:
        console.print_json(status.model_dump_json())
        return
    console.print(_summary(status))
    if status.proposals:
        console.print(_proposals(status))
    for line in await accounts.timeline(account_id):
        console.print(f"  {line}", style="dim", highlight=False, markup=False)


async def _ask_account(
    account_id: str, proposal_id: str | None
) -> tuple[list[ProposalView], AccountError | None]:
    try:
        accounts = AccountClient(await connect())
        return await accounts.why(account_id, proposal_id), None
    except EngineUnavailableError as error:
        return [], error
    except AccountError as error:
        return [], error


async def _explain_from_ledger(
    console: Console, settings: Settings, account_id: str, proposal_id: str | None
) -> bool:
    if not (settings.home / "ledger.db").exists() and not settings.ledger_url:
        return False
    ledger = await Ledger.open(settings.ledger)
    try:
        decisions = await ledger.decisions(account_id, proposal_id)
    finally:
        await ledger.close()
    if decisions:
        console.print("[dim]from the ledger; the account itself no longer holds it[/]\n")
    for decision in decisions:
        console.print(
            Text.assemble(
                (decision.proposal_id, "bold"), f"  {decision.verdict.value} ({decision.reason.value})"
            )
        )
        console.print(Padding(decided(decision), (0, 0, 1, 2)), highlight=False)
    return bool(decisions)


def _summary(status: AccountStatus) -> Markdown:
    name = status.account.name if status.account else "no profile yet"
    lines = [f"## {status.account_id}: {name}", ""]
    if status.assessment is not None:
        assessment = status.assessment
        lines.append(
            f"- stage **{assessment.stage.value}**, urgency {assessment.urgency:.2f}, "
            f"disagreement {assessment.disagreement:.2f} among {assessment.systems} systems"
        )
    lines.append(
        f"- {status.signals_absorbed} signals, {status.contacts} contacts, {len(status.touches)} touches, "
        f"{status.refusals} refused messages, {status.unsent_facts} facts on their way to the ledger"
    )
    lines += [f"- **on hold** by {hold.placed_by}: {hold.reason}" for hold in status.holds]
    lines += [
        f"- **asks {approval.route.group}** until {clock(approval.route.expires_at)}: {approval.message} "
        f"(`{approval.approval_id}`)"
        for approval in status.approvals
    ]
    lines += [f"- **in doubt** `{item.touch.touch_id}`: {item.detail}" for item in status.in_doubt]
    if status.next_touch_at:
        lines.append(f"- next ruling {clock(status.next_touch_at)}")
    return Markdown("\n".join(lines))


def _proposals(status: AccountStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("proposal", "who", "what", "stands", "because", "again at"):
        table.add_column(column, overflow="fold")
    for view in status.proposals:
        reason = view.reason.value if view.reason and view.reason is not ReasonCode.ALLOWED else ""
        table.add_row(
            view.proposal.proposal_id,
            view.proposal.actor,
            f"{view.proposal.action} over {view.proposal.channel}",
            Text(view.status.value, style=STATUS_STYLE[view.status]),
            reason,
            clock(view.due_at),
        )
    return table
