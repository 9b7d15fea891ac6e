"""History events per absorbed signal: what every signal costs the engine, for good."""

from __future__ import annotations

import asyncio
import statistics

from benchmarks._cast import profile, signals
from benchmarks._figures import Figure, at_most
from benchmarks._history import flush_events, history_of
from benchmarks._stage import Stage, staged
from domain import Signal

NAME = "signals"
SPACED_SIGNALS = 100
BURSTS = 10
BURST_SIZE = 10
BURST_ACCOUNTS = 9
FLUSH_COUNT = 50
"""An account sends its quiet facts to the ledger once it has so many."""


async def measure() -> list[Figure]:
    """Count events over a hundred signals: one by one, and in ten bursts of ten."""
    async with staged() as stage:
        spaced = await _account(stage, "spaced", SPACED_SIGNALS, 1)
        burst = [
            await _account(stage, f"burst-{number}", BURSTS, BURST_SIZE) for number in range(BURST_ACCOUNTS)
        ]
    with_flush = [total for total, _, _ in burst]
    without = [bare for _, bare, _ in burst]
    spread = f"median of {BURST_ACCOUNTS} accounts, {min(with_flush):.2f} to {max(with_flush):.2f}"
    return [
        Figure(
            benchmark=NAME,
            what="history events per signal, spaced",
            value=spaced[0],
            target=at_most(4.5),
            note=f"{SPACED_SIGNALS} signals; ledger flush and {spaced[2] - 1} continue-as-new included",
        ),
        Figure(
            benchmark=NAME, what="… without the ledger flush", value=spaced[1], note="4 is the engine's least"
        ),
        Figure(
            benchmark=NAME,
            what="history events per signal, bursts of ten",
            value=statistics.median(with_flush),
            target=at_most(1.6),
            note=f"{BURSTS} bursts; {spread}; ledger flush included",
        ),
        Figure(
            benchmark=NAME,
            what="… without the ledger flush",
            value=statistics.median(without),
            note="1.3 is the least if the engine takes a burst in one workflow task",
        ),
    ]


async def _account(stage: Stage, account_id: str, bursts: int, size: int) -> tuple[float, float, int]:
    """Return events per signal with and without the ledger flush, and the number of runs."""
    people = list(profile(account_id))
    await stage.accounts.observe(account_id, people)
    await stage.status_when(account_id, lambda s: s.contacts == len(people) - 1, "the profile")
    before = len((await history_of(stage.client, account_id)).events)
    told = 0
    for number in range(bursts):
        burst = signals(stage.policies, f"{account_id}-{number}", size)
        await asyncio.gather(*(_tell(stage, account_id, signal) for signal in burst))
        told += size
        await _absorbed(stage, account_id, told)
    await stage.status_when(account_id, lambda s: s.unsent_facts < FLUSH_COUNT, "the ledger flush")
    chain = await history_of(stage.client, account_id)
    events = chain.since(before)
    return len(events) / told, (len(events) - flush_events(events)) / told, chain.runs


async def _tell(stage: Stage, account_id: str, signal: Signal) -> None:
    await stage.accounts.observe(account_id, [signal])


async def _absorbed(stage: Stage, account_id: str, told: int) -> None:
    await stage.status_when(account_id, lambda s: s.signals_absorbed == told, f"signal {told}")
