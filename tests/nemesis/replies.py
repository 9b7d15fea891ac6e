"""Answers of people while the server or the worker is killed around the acknowledgement: none may get lost.

A seed decides who is killed and when: while the answer is on its way, or the moment it was acknowledged. Each
run asks one question; two persons give opposite answers at once, and insist until each has a result. Then the
same answers are given again. In the end a touch has gone out for each yes that won, and for nothing else.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from activities import publish_first
from activities.channels import ChannelEnvironment
from activities.channels import email as email_channel
from domain import Answer, AnswerResult, ApprovalAnswer, Frozen, ProposalStatus
from governance import PolicySet, load_policy_set
from ledger import Ledger
from tests.channels.support import Relay, mail_server
from tests.mortal import MortalServer
from tests.nemesis.arena import fork_server
from tests.workflows.approving import PATIENT, THREE, says
from tests.workflows.cast import profile, wanted
from tests.workflows.stage import DEMO_POLICIES, LINKS, edited_policies, email_settings
from tutti.local._link import KeeperLink, Running
from workflows import AccountClient, EngineUnavailableError, tutti_plugin

LANES = 6
"""Runs at once, each with a server and a worker of its own: most of a run is waiting for a time-out."""
PATIENCE_SECONDS = 180.0
"""How long a person insists, and a released touch may take: a lost activity is missed after a minute."""
EDITS: dict[str, list[tuple[str, str]]] = THREE | {
    "approvals.yaml": [(PATIENT, "    answer_within: 1h")],
    "timing.yaml": [("decision_window: 2s", "decision_window: 0.2s")],
}


class Victim(StrEnum):
    """Who is killed."""

    SERVER = "server"
    WORKER = "worker"


class Moment(StrEnum):
    """When it is killed."""

    ON_THE_WAY = "on the way"
    ACKNOWLEDGED = "acknowledged"


class ReplyPlan(Frozen):
    """What a seed decides."""

    seed: int
    victim: Victim
    moment: Moment
    delay: float
    """Seconds from the first answer to the kill, if it is on its way."""
    first: Answer
    """What the first of the two says; the other says the opposite."""
    stagger: float
    """Seconds by which the other is later."""


def reply_plan_of(seed: int) -> ReplyPlan:
    """Return the plan of a seed."""
    chance = random.Random(f"replies {seed}")
    return ReplyPlan(
        seed=seed,
        victim=Victim.SERVER if seed % 2 else Victim.WORKER,
        moment=Moment.ACKNOWLEDGED if seed % 4 < 2 else Moment.ON_THE_WAY,
        delay=chance.uniform(0.0, 0.08),
        first=chance.choice((Answer.APPROVE, Answer.REJECT)),
        stagger=chance.choice((0.0, 0.0, 0.01, 0.05)),
    )


@dataclass
class Heard:
    """What came of one run."""

    plan: ReplyPlan
    replies: int = 0
    before: int = 0
    """Replies that were acknowledged before the kill."""
    lost: list[str] = field(default_factory=list)
    """Replies that were acknowledged and are not there any more, or never got a result."""
    broken: list[str] = field(default_factory=list)
    """Anything else that a promise says."""
    seconds: float = 0.0


class House:
    """One lane: a server, a worker process and a ledger; the e-mail channel lives in this process."""

    def __init__(self, folder: Path, keeper: KeeperLink, server: MortalServer, client: Client) -> None:
        self._folder, self._keeper, self._server = folder, keeper, server
        self._worker: Running | None = None
        self.accounts = AccountClient(client, decision_window=timedelta(seconds=0.2))
        self.yes: dict[str, bool] = {}
        """By account: whether a yes has won."""

    async def man(self) -> None:
        """Start the worker, for the first time or again."""
        self._worker = self._keeper.start(
            "orchestrator",
            module="worker",
            arguments=["orchestrator"],
            environment={k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "TUTTI_"))}
            | {
                "TEMPORAL_ADDRESS": self._server.address,
                "TUTTI_HOME": str(self._folder),
                "TUTTI_POLICIES": str(self._folder / "policies"),
                "TUTTI_LEDGER_URL": ledger_url(self._folder),
            },
            log=self._folder / "orchestrator.log",
        )
        await asyncio.wait_for(self._worker.said_ready.wait(), 60)

    async def kill(self, victim: Victim) -> None:
        """Kill the server or the worker, and bring it back."""
        match victim:
            case Victim.SERVER:
                await self._server.kill()
                await self._server.start()
            case Victim.WORKER:
                await self.dismiss()
                await self.man()

    async def dismiss(self) -> None:
        """Kill the worker."""
        if self._worker is not None:
            self._keeper.signal(self._worker, signal.SIGKILL)
            await self._worker.ended()

    async def play(self, plan: ReplyPlan) -> Heard:
        """Ask, answer twice, kill, and see what is left."""
        began = time.monotonic()
        heard, account_id = Heard(plan), f"reply-{plan.seed}"
        answers = await self._asked(account_id, plan)
        calls = [
            asyncio.create_task(self._insist(account_id, answer, plan.stagger * number))
            for number, answer in enumerate(answers)
        ]
        if plan.moment is Moment.ACKNOWLEDGED:
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(plan.delay)
        heard.before = sum(call.done() for call in calls)
        await self.kill(plan.victim)
        results = await asyncio.gather(*calls)
        heard.replies = len(results)
        await self._compare(heard, account_id, answers, results)
        heard.seconds = time.monotonic() - began
        return heard

    async def _asked(self, account_id: str, plan: ReplyPlan) -> list[ApprovalAnswer]:
        known = profile(account_id)
        mail = {"email": f"helen@{account_id}.example.com"}
        people = [item.model_copy(update=mail) if item.type == "contact" else item for item in known]
        await self.accounts.observe(account_id, people)
        await self.accounts.propose(account_id, wanted("exec-1", expires_at=None))
        (approval,) = (await self.accounts.status(account_id)).approvals
        opposite = Answer.REJECT if plan.first is Answer.APPROVE else Answer.APPROVE
        return [says(approval, plan.first), says(approval, opposite, approver="mara.lindqvist")]

    async def _insist(self, account_id: str, answer: ApprovalAnswer, later: float) -> AnswerResult | None:
        """Do what a person's client does: repeat the same answer until it has a result."""
        await asyncio.sleep(later)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                return await self.accounts.answer(account_id, answer)
            except EngineUnavailableError:
                continue
        return None

    async def _compare(
        self,
        heard: Heard,
        account_id: str,
        answers: list[ApprovalAnswer],
        results: list[AnswerResult | None],
    ) -> None:
        for answer, result in zip(answers, results, strict=True):
            again = await self._insist(account_id, answer, 0.0)
            if result is None or again != result:
                heard.lost.append(f"{answer.approver} was told {result}, and later {again}")
        accepted = [a for a, r in zip(answers, results, strict=True) if r is not None and r.accepted]
        if len(accepted) != 1:
            heard.broken.append(f"promise 7: {len(accepted)} of two opposite answers were accepted")
        self.yes[account_id] = any(answer.answer is Answer.APPROVE for answer in accepted)

    async def touches(self, relay: Relay) -> list[str]:
        """Wait until every question has led where it should; return what has not."""
        wrong = []
        for account_id, yes in self.yes.items():
            meant = ProposalStatus.SENT if yes else ProposalStatus.DENIED
            found = await self._standing_at_last(account_id, meant)
            mails = sum(f"helen@{account_id}.example.com" in each.rcpt_tos for each in relay.envelopes)
            if found is not meant or mails != int(yes):
                wrong.append(f"{account_id}: {found.value} with {mails} mails, meant was {meant.value}")
        return wrong

    async def _standing_at_last(self, account_id: str, meant: ProposalStatus) -> ProposalStatus:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            (view,) = (await self.accounts.status(account_id)).proposals
            if view.status is meant or time.monotonic() > deadline:
                return view.status
            await asyncio.sleep(0.2)


def ledger_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'ledger.db'}?timeout=5"


async def _prepare(folder: Path) -> PolicySet:
    """Make the policy set and the empty ledger that every lane begins with a copy of."""
    policies = load_policy_set(edited_policies(folder, "replies", EDITS, DEMO_POLICIES))
    ledger = await Ledger.open(ledger_url(folder))
    await ledger.migrate()
    await publish_first(ledger, policies)
    await ledger.close()
    return policies


@asynccontextmanager
async def _housed(
    folder: Path, keeper: KeeperLink, policies: PolicySet, relay: Relay
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        ledger = await Ledger.open(ledger_url(folder))
        stack.push_async_callback(ledger.close)
        server = MortalServer(folder)
        stack.push_async_callback(server.kill)
        await server.start()
        client = await Client.connect(server.address, plugins=[tutti_plugin()])
        await stack.enter_async_context(_mailing(client, ledger, policies, relay))
        house = House(folder, keeper, server, client)
        stack.push_async_callback(house.dismiss)
        await house.man()
        yield house


def _mailing(client: Client, ledger: Ledger, policies: PolicySet, relay: Relay) -> Worker:
    environment = ChannelEnvironment(ledger=ledger, unsubscribe=LINKS)
    built = email_channel.build(environment, email_settings(relay.port))
    return Worker(client, task_queue=policies.channels["email"].handover.task_queue, activities=list(built))


@dataclass
class Replies:
    """What many runs came to."""

    runs: int = 0
    replies: int = 0
    before: int = 0
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Runs by victim and moment."""
    lost: dict[int, list[str]] = field(default_factory=dict)
    """Lost replies by seed."""
    broken: list[str] = field(default_factory=list)
    released: int = 0
    """Touches that went out for a yes, each once."""

    def add(self, heard: Heard) -> None:
        """Count a run."""
        self.runs += 1
        self.replies += heard.replies
        self.before += heard.before
        self.kills[heard.plan.victim.value, heard.plan.moment.value] += 1
        if heard.lost:
            self.lost[heard.plan.seed] = heard.lost
        self.broken += [f"seed {heard.plan.seed}: {line}" for line in heard.broken]


async def replies(seeds: Iterable[int], *, lanes: int = LANES) -> Replies:
    """Play seeds, several at once, and return what came of them."""
    waiting, total = [reply_plan_of(seed) for seed in seeds], Replies()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tutti-replies-")))
        policies = await _prepare(folder / "first")
        relay = await stack.enter_async_context(mail_server())
        keeper = await fork_server(stack, folder)

        async def work(number: int) -> None:
            home = folder / f"lane-{number}"
            shutil.copytree(folder / "first", home)
            async with _housed(home, keeper, policies, relay) as house:
                while waiting:
                    total.add(await house.play(waiting.pop(0)))
                total.broken += await house.touches(relay)
                total.released += sum(house.yes.values())

        async with asyncio.TaskGroup() as group:
            for number in range(min(lanes, len(waiting))):
                group.create_task(work(number))
    return total
