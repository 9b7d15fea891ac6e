"""Signals absorbed per second by two hundred accounts, beside a bare workflow that only appends them."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker

from benchmarks._bare import BareEntity
from benchmarks._cast import profile, signals
from benchmarks._figures import Figure, at_least, at_most
from benchmarks._stage import MeasurementError, Stage, staged
from domain import Observation, Signal
from workflows import CONTINUE_AFTER_EVENTS

NAME = "throughput"
ACCOUNTS = 200
ROUNDS = 9
"""Short rounds by turns: what else the machine does then hits both sides alike."""
WARM_UP = 1
"""Rounds that do not count."""
BURSTS = 1
"""Bursts of each account in a round."""
BURST_SIZE = 10
AT_ONCE = 20
"""Accounts that get their bursts at the same time."""
FLUSH_COUNT = 50
"""An account sends its facts to the ledger once it has so many."""
QUEUE = "bare"


class Failures(logging.Handler):
    """Counts workflow tasks that failed, as the worker logs them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reasons: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason of a failure."""
        if record.getMessage().startswith("Failed handling activation"):
            self.reasons.append(str(record.exc_info[1]) if record.exc_info else record.getMessage())


@contextmanager
def failed_tasks() -> Iterator[Failures]:
    """Count the workflow tasks that fail in this process."""
    failures = Failures()
    log = logging.getLogger("temporalio.worker")
    log.addHandler(failures)
    try:
        yield failures
    finally:
        log.removeHandler(failures)


class Round(NamedTuple):
    """One side's part of a round."""

    per_second: float
    cpu_ms: float
    """Processor time of client and worker together, for each signal."""


class Side(ABC):
    """Two hundred workflows that are told signals."""

    @abstractmethod
    async def tell(self, account: int, items: list[Observation]) -> None:
        """Send one message, starting the workflow if need be."""

    @abstractmethod
    async def drain(self, account: int) -> None:
        """Return when everything sent before has been taken in: a query is answered after it."""

    @abstractmethod
    async def taken(self, account: int) -> int:
        """Return how many signals have been taken in."""


class Accounts(Side):
    """The product."""

    def __init__(self, stage: Stage) -> None:
        """Take the stage with the running workers."""
        self._accounts = stage.accounts

    async def tell(self, account: int, items: list[Observation]) -> None:
        """Send observations through the client's door."""
        await self._accounts.observe(_id(account), items)

    async def drain(self, account: int) -> None:
        """Ask for the timeline, the smallest of the queries."""
        await self._accounts.timeline(_id(account))

    async def taken(self, account: int) -> int:
        """Return the account's own count."""
        return (await self._accounts.status(_id(account))).signals_absorbed


class Bare(Side):
    """The yardstick, called the way the client calls accounts."""

    def __init__(self, client: Client) -> None:
        """Take the same client."""
        self._client = client

    async def tell(self, account: int, items: list[Observation]) -> None:
        """Signal with start."""
        await self._client.start_workflow(
            BareEntity.run,
            args=[0, CONTINUE_AFTER_EVENTS],
            id=f"bare/{_id(account)}",
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="observe",
            start_signal_args=[items],
            static_summary=f"Bare {_id(account)}",
        )

    async def drain(self, account: int) -> None:
        """Ask for the count."""
        await self.taken(account)

    async def taken(self, account: int) -> int:
        """Return the number of items less the profile, which is no signal."""
        handle: WorkflowHandle[Any, Any] = self._client.get_workflow_handle(f"bare/{_id(account)}")
        return int(await handle.query("taken", result_type=int)) - len(profile(_id(account)))


async def measure() -> list[Figure]:
    """Let both sides take the same signals by turns, and compare."""
    with failed_tasks() as failures:
        async with (
            staged() as stage,
            Worker(stage.client, task_queue=QUEUE, workflows=[BareEntity], max_cached_workflows=1_000),
        ):
            pairs = await _compare(stage)
    return _figures(pairs[WARM_UP:], failures.reasons)


async def _compare(stage: Stage) -> list[tuple[Round, Round]]:
    """Give both sides the same rounds; return what each round measured, ours first."""
    product, bare = Accounts(stage), Bare(stage.client)
    for side in (product, bare):
        await _prepare(stage, side)
    pairs: list[tuple[Round, Round]] = []
    for number in range(WARM_UP + ROUNDS):
        # Who begins alternates, so that a slow drift of the machine favours nobody.
        order: list[Side] = [product, bare] if number % 2 == 0 else [bare, product]
        done = {side: await _round(stage, side, number) for side in order}
        pairs.append((done[product], done[bare]))
    for side in (product, bare):
        await _check(side)
    return pairs


def _figures(pairs: list[tuple[Round, Round]], failures: list[str]) -> list[Figure]:
    ratios = [ours.per_second / theirs.per_second for ours, theirs in pairs]
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    load = f"{ACCOUNTS} workflows, a burst of {BURST_SIZE} each and round, {ROUNDS} rounds by turns"
    return [
        Figure(
            benchmark=NAME,
            what="signals absorbed, accounts against bare workflows",
            value=statistics.median(ratios),
            unit="x",
            target=at_least(0.7),
            note=f"median of {', '.join(f'{ratio:.2f}' for ratio in ratios)}; {load}",
        ),
        _rate("signals absorbed per second, accounts", ours),
        _rate("signals absorbed per second, bare workflows", theirs),
        Figure(
            benchmark=NAME,
            what="processor time per signal, accounts less bare",
            value=statistics.median(a.cpu_ms - b.cpu_ms for a, b in pairs),
            unit="ms",
            note=f"{statistics.median(a.cpu_ms for a in ours):.2f} against "
            f"{statistics.median(b.cpu_ms for b in theirs):.2f} ms, client and worker together",
        ),
        Figure(
            benchmark=NAME,
            what="workflow tasks that failed meanwhile",
            value=len(failures),
            target=at_most(0),
            note="; ".join(sorted(set(failures))) or "a failed one is tried again, nothing is lost",
        ),
    ]


def _rate(what: str, rounds: list[Round]) -> Figure:
    rates = [each.per_second for each in rounds]
    return Figure(
        benchmark=NAME,
        what=what,
        value=statistics.median(rates),
        unit="/s",
        note=f"median of {ROUNDS} rounds, {min(rates):.0f} to {max(rates):.0f}",
    )


async def _prepare(stage: Stage, side: Side) -> None:
    """Start all workflows, each a little further on its way to a ledger flush than the one before."""

    async def start(account: int) -> None:
        await side.tell(account, list(profile(_id(account))))
        if lead := account % FLUSH_COUNT:
            await side.tell(account, [*signals(stage.policies, f"{_id(account)}-lead", lead)])
        await side.drain(account)

    await _for_all(start)


async def _round(stage: Stage, side: Side, number: int) -> Round:
    messages = {
        account: [
            signals(stage.policies, f"{_id(account)}-{number}-{burst}", BURST_SIZE) for burst in range(BURSTS)
        ]
        for account in range(ACCOUNTS)
    }

    async def burst(account: int) -> None:
        for items in messages[account]:
            await asyncio.gather(*(_tell(side, account, item) for item in items))
        await side.drain(account)

    began, cpu = time.perf_counter(), time.process_time()
    await _for_all(burst)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    count = ACCOUNTS * BURSTS * BURST_SIZE
    return Round(per_second=count / seconds, cpu_ms=cpu_seconds * 1_000 / count)


async def _tell(side: Side, account: int, signal: Signal) -> None:
    await side.tell(account, [signal])


async def _check(side: Side) -> None:
    """Make sure that nothing was lost.

    Raises:
        MeasurementError: a workflow took in another number of signals than it was sent.
    """

    async def compare(account: int) -> None:
        sent = account % FLUSH_COUNT + (WARM_UP + ROUNDS) * BURSTS * BURST_SIZE
        if (taken := await side.taken(account)) != sent:
            msg = f"{type(side).__name__} {_id(account)} took in {taken} of {sent} signals"
            raise MeasurementError(msg)

    await _for_all(compare)


async def _for_all(work: Callable[[int], Awaitable[None]]) -> None:
    """Work through all accounts, so many at a time."""
    waiting = iter(range(ACCOUNTS))

    async def worker() -> None:
        for account in waiting:
            await work(account)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


def _id(account: int) -> str:
    return f"account-{account:03}"
