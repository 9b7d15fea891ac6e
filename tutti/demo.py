"""`tutti demo`: four uncoordinated systems, one governed touch, on the real engine."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from typing import TypeGuard, TypeVar
from urllib.parse import quote

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

import tutti
from domain import (
    AccountStatus,
    Answer,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    Contact,
    ProposalStatus,
    ProposalView,
)
from governance import PolicyError, PolicySet, load_policy_set
from tutti import story
from tutti.demo_audit import AuditNotSeenError, tell_audit
from tutti.demo_play import PlayNotSeenError, tell_play
from tutti.importing import run_import
from tutti.live import LivePlayer, Played
from tutti.local import LocalStack, Ports, StackError, StackFolder, standard_children
from tutti.render import command, counted, entries, plain, shown_path
from tutti.scenario import Scenario, load_scenario
from tutti.simulator import ScenarioError
from tutti.up import StartList
from workflows import AccountClient, AccountError, connect

ROOT = Path(tutti.__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
HOME = Path(".tutti") / "demo"
PATIENCE_SECONDS = 30.0
_LINK = re.compile(r"(/unsubscribe/\S{16})\S+")
_T = TypeVar("_T")


class DemoError(Exception):
    """The story could not be told; the text says where it broke off."""


async def run_demo(console: Console, *, stay: bool, began: float, home: Path = HOME) -> int:
    """Tell the story from a fresh start.

    Args:
        console: Where it is told.
        stay: Whether to keep the stack up afterwards, until Ctrl-C.
        began: When the command was started, on the monotonic clock.
        home: Folder of the demo's own stack; emptied first.

    Returns:
        The exit code: 0 if the story went as it should.

    Raises:
        DemoError: it did not.
    """
    try:
        policies = load_policy_set(EXAMPLES / "demo" / "policies")
        scenario = load_scenario(EXAMPLES / "demo" / "scenario.yaml")
        _start_fresh(home)
        async with _stack(console, home, policies) as stack:
            os.environ["TEMPORAL_ADDRESS"] = stack.addresses.temporal
            accounts = AccountClient(await connect(), decision_window=policies.decision_window)
            await Demo(console, stack, accounts, policies, scenario, began).tell()
            await tell_play(console, accounts, policies, 7)
            console.print(story.heading(8, "The same for a whole CRM: import a HubSpot export"))
            code = await run_import(console, console, EXAMPLES / "hubspot", policies, accounts=accounts)
            await tell_audit(console, stack.paths.ledger_database, 9)
            _show_links(console, stack, scenario, stay=stay)
            if not stay:
                console.print()
            else:
                console.print("\nThe stack stays up for you to look around. Ctrl-C ends it.")
                await _until_stopped(stack)
            return code
    except StackError as error:
        raise DemoError("\n".join((str(error), *error.log_tail))) from error
    except (PolicyError, ScenarioError, AccountError, PlayNotSeenError, AuditNotSeenError) as error:
        raise DemoError(str(error)) from error


class Demo:
    """One telling of the story."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a stage
        self,
        console: Console,
        stack: LocalStack,
        accounts: AccountClient,
        policies: PolicySet,
        scenario: Scenario,
        began: float,
    ) -> None:
        """Take the stage."""
        self._console = console
        self._stack = stack
        self._accounts = accounts
        self._policies = policies
        self._scenario = scenario
        self._began = began
        self._people: dict[str, Contact] = {person.contact_id: person for person in scenario.contacts}
        self._asked: Approval | None = None
        self._wanted = [step.propose for step in scenario.steps if step.propose is not None]
        self._when = [step.at.total_seconds() for step in scenario.steps if step.propose is not None]

    async def tell(self) -> None:
        """Play the scenario and tell it as it happens."""
        self._introduce()
        player = LivePlayer(self._accounts, self._scenario)
        await player.introduce()
        views: list[ProposalView] = []
        async for played in player.play_from(datetime.now(UTC)):
            if played.view is not None:
                views.append(played.view)
                if len(views) == len(self._wanted):
                    await self._tell_rulings(views)
            elif played.result is not None:
                await self._tell_answer(played)
            elif played.step.observe is not None and views:
                await self._tell_reply(played)

    # The chapters --------------------------------------------------------------------------------------

    def _introduce(self) -> None:
        scenario, say = self._scenario, self._console.print
        surge = next(step.observe for step in scenario.steps if step.observe is not None)
        say(story.heading(1, f"An intent surge at {scenario.account.name}"))
        say(story.aside(f"{surge.summary}. The buying group:\n"))
        say(story.buying_group(scenario))
        say(story.heading(2, "Four systems see it, and each reads it differently"))
        say(story.readings(self._wanted))
        say(story.heading(3, "Within a second each proposes its own next best action"))
        say(story.wishes(self._wanted, self._people))
        say()
        say(story.without_coordination(self._wanted, self._people, self._when))

    async def _tell_rulings(self, views: list[ProposalView]) -> None:
        say = self._console.print
        say(story.heading(4, "With Tutti: one decision window, judged together under one set of policies"))
        status = await self._until(lambda s: s.assessment is not None, "an assessment")
        if status.assessment is not None:
            say(story.reconciled(status.assessment))
        say()
        say(story.rulings(views, self._people))
        message = await self._first_message()
        after = time.monotonic() - self._began
        say()
        say(self._letter(message))
        say(story.aside(f"one real e-mail over SMTP, {after:.1f} s after the command", "green"))
        pending = next(iter(status.approvals), None)
        if pending is not None:
            say(story.heading(5, "One exception waits for a person"))
            route = pending.route
            eligible = ", ".join(login for login in route.approvers if login not in route.excluded)
            barred = ", ".join(route.excluded)
            say(story.aside(f"{route.group} is asked: {pending.message}"))
            say(story.aside(f"may answer: {eligible} (not {barred}: owns the agent that proposed it)"))
            say(story.aside(f"bound to the exact action by digest {pending.digest[:16]}…"))
            say(story.aside(f"without an answer in time: {route.on_expiry.value}, never sent"))
            if route.due_at is not None and route.levels:
                level = route.levels[0]
                later = f"at {level.at:%H:%M:%S}Z it goes to {level.group} as well"
                say(story.aside(f"due at {route.due_at:%H:%M:%S}Z; {later}"))
            self._asked = pending
            await self._tell_notice(pending)
            await self._tell_refusals(pending)

    async def _tell_notice(self, pending: Approval) -> None:
        """Show that those who may answer got a mail with a link of their own."""
        whom = next(login for login in pending.asked)
        message = await self._message(self._stack.paths.notices, lambda to: to.startswith(whom))
        has_link = any("/answer/" in str(part.get_content()) for part in message.walk() if _is_text(part))
        if not has_link:
            raise DemoError(f"the mail to {whom} has no link to answer by")
        say = self._console.print
        say(
            story.aside(f"{whom} has mail: “{plain(str(message['Subject']))}”, with a link that answers once")
        )

    async def _tell_refusals(self, pending: Approval) -> None:
        """Let those answer who may not: the owner of the agent, and the agent itself."""
        say = self._console.print
        agent = next(w.actor for w in self._wanted if w.proposal_id == pending.proposal_id)
        say()
        for who in (*(login for login in pending.route.excluded if login != agent), agent):
            result = await self._answer(pending, who)
            if result.accepted:
                raise DemoError(f"{who} was let through: {result.message}")
            say(story.aside(f"{who} says yes. Refused, and on record: {plain(result.message)}"))

    async def _answer(self, approval: Approval, who: str) -> AnswerResult:
        given = ApprovalAnswer(
            answer_id=f"demo-{who}",
            approval_id=approval.approval_id,
            answer=Answer.APPROVE,
            approver=who,
            digest=approval.digest,
        )
        return await self._accounts.answer(self._scenario.account.account_id, given)

    async def _tell_answer(self, played: Played) -> None:
        say, result, given = self._console.print, played.result, played.step.answer
        if result is None or given is None or not result.accepted:
            raise DemoError(f"the answer was not accepted: {result.message if result else 'no result'}")
        say()
        say(story.aside(f"{given.approver} answers: {given.answer.value}. “{given.comment}”", "bold"))
        if self._asked is not None:
            late = await self._answer(self._asked, given.approver)
            say(story.aside(f"the same once more, from another tab: {plain(late.message)}"))
        status = await self._until(
            lambda s: all(v.due_at is None or (v.decision and v.decision.verdict.value == "defer")
                          for v in s.proposals if v.proposal.proposal_id == given.proposal)
            and not s.approvals,
            "the ruling after the approval",
        )  # fmt: skip
        say(story.aside("An approval sends nothing by itself. The proposal is ruled again, and now:\n"))
        say(story.standings(status, self._people))

    async def _tell_reply(self, played: Played) -> None:
        say, reply = self._console.print, played.step.observe
        if reply is None:
            return
        before = time.monotonic()
        scheduled = ProposalStatus.DEFERRED
        status = await self._until(
            lambda s: not any(v.status is scheduled for v in s.proposals), "the end of what was scheduled"
        )
        took = time.monotonic() - before
        name = self._people[reply.contact_id].name if reply.contact_id else "somebody"
        say(story.heading(6, f"{name} replies: “{reply.summary}”"))
        say(story.aside(f"Everything still scheduled is dropped at once ({took * 1000:.0f} ms):\n"))
        say(story.standings(status, self._people))
        sent = sum(v.status is ProposalStatus.SENT for v in status.proposals)
        table = entries()
        table.add_row(
            Text("without coordination", style="dim"),
            Text(f"{len(self._wanted)} touches in {max(self._when):.1f} s", style="bold red"),
        )
        table.add_row(
            Text("with Tutti", style="dim"),
            Text(
                f"{counted(sent, 'touch', 'touches')}, a reply, "
                f"and {len(self._wanted) - sent} decisions explained",
                style="bold green",
            ),
        )
        say()
        say(Panel(table, border_style="green"))

    # Looking at what happened --------------------------------------------------------------------------

    async def _until(self, holds: Callable[[AccountStatus], bool], what: str) -> AccountStatus:
        async def look() -> AccountStatus | None:
            status = await self._accounts.status(self._scenario.account.account_id)
            return status if holds(status) else None

        return await _wait_for(look, what)

    async def _first_message(self) -> EmailMessage:
        return await self._message(self._stack.paths.mail, lambda _: True)

    async def _message(self, folder: Path, is_meant: Callable[[str], bool]) -> EmailMessage:
        """Return the first message in a folder of the sink whose address is the one that is meant."""

        async def look() -> EmailMessage | None:
            found = await asyncio.to_thread(_read_messages, folder)
            return next((each for each in found if is_meant(parseaddr(str(each["To"]))[1])), None)

        return await _wait_for(look, "the e-mail")

    def _letter(self, message: EmailMessage) -> Panel:
        body = message.get_body(("plain",))
        text = str(body.get_content()).strip() if body else ""
        headers = ("From", "To", "Subject", "List-Unsubscribe-Post")
        head = "\n".join(f"{name}: {message[name]}" for name in headers if message[name])
        shown = _LINK.sub(r"\1…", plain(f"{head}\n\n{text}"))
        return Panel(Text(shown), title="what arrived in the mail sink", title_align="left",
                     border_style="green", width=min(100, self._console.width))  # fmt: skip


@asynccontextmanager
async def _stack(console: Console, home: Path, policies: PolicySet) -> AsyncIterator[LocalStack]:
    ports = Ports()
    try:
        ports.check()
    except StackError:
        ports = Ports.free()
    progress = StartList(console)
    console.print("\nStarting the local stack: engine, ledger, workers, gateway, mail sink", style="bold")
    stack = LocalStack(
        home,
        ports=ports,
        policies=EXAMPLES / "demo" / "policies",
        children=partial(standard_children, channels=tuple(sorted(policies.channels))),
        on_event=progress.on_event,
    )
    async with stack:
        yield stack


async def _wait_for(look: Callable[[], Awaitable[_T | None]], what: str) -> _T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise DemoError(f"waited {PATIENCE_SECONDS:.0f} s for {what} in vain; see .tutti/demo/logs")
        await asyncio.sleep(0.02)
    return found


async def _until_stopped(stack: LocalStack) -> None:
    """Wait for Ctrl-C.

    Raises:
        StackError: the stack cannot go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    waiting = asyncio.create_task(stop.wait())
    living = asyncio.create_task(stack.wait())
    await asyncio.wait({waiting, living}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
    if living.done():
        await living
    living.cancel()


def _start_fresh(home: Path) -> None:
    """Empty the demo's folder, unless a stack runs on it.

    Raises:
        DemoError: it cannot be written here.
        StackError: a stack runs on it.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            folder = StackFolder(home)
            folder.take()
            folder.release()
            shutil.rmtree(home)
    except OSError as error:
        what = f"cannot write in {home.parent.absolute()}: {error.strerror}"
        raise DemoError(f"{what}; start the demo in a folder of your own") from error


def _show_links(console: Console, stack: LocalStack, scenario: Scenario, *, stay: bool) -> None:
    account_id = scenario.account.account_id
    ours, usual = stack.ports.model_dump(), Ports().model_dump()
    ports = "".join(f" --{name}-port {port}" for name, port in ours.items() if port != usual[name])
    again = (
        f"{command()} up --home {shown_path(stack.paths.home)} "
        f"--policies {shown_path(EXAMPLES / 'demo' / 'policies')}{ports}"
    )
    prefix = f"TEMPORAL_ADDRESS={stack.addresses.temporal} " if ours["temporal"] != usual["temporal"] else ""
    workflows = f"{stack.addresses.ui}/namespaces/default/workflows"
    account = f"{workflows}/{quote(f'account/{account_id}', safe='')}"
    links = (
        ("this account in the Temporal UI", account),
        ("all accounts", workflows),
        ("every rule that fired", f"{prefix}{command()} why {account_id}"),
        ("where the account stands", f"{prefix}{command()} status {account_id}"),
    )
    restart = ("start this stack again", again)
    console.print(story.heading(10, "See for yourself"))
    # One line each, whatever the width: these are for copying.
    for what, where in (*links, restart) if stay else (restart, *links):
        console.print(
            Text.assemble((f"  {what:<32}", "dim"), where), highlight=False, soft_wrap=True, no_wrap=True
        )


def _is_text(part: Message) -> TypeGuard[EmailMessage]:
    return part.get_content_maintype() == "text"


def _read_messages(folder: Path) -> list[EmailMessage]:
    return [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in sorted(folder.glob("*.eml"))
    ]
