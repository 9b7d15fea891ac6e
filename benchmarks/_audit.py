"""The price of proof: anchoring and verifying the decision log of many accounts, and a long one of one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks._figures import Figure, at_least, at_most
from benchmarks._stage import ROOT, MeasurementError
from domain import (
    ChainHead,
    FactBatch,
    LedgerFact,
    Link,
    TouchFact,
    chained,
    digest_of,
    link_digest,
)
from governance import load_policy_set
from ledger import Ledger, LogHead
from tutti.auditing.anchored import Anchors
from tutti.auditing.anchors import Anchor
from tutti.auditing.verifying import Audit, audit
from tutti.scenario import load_scenario
from tutti.simulator import simulate

NAME = "audit"
LINKS = 10_000
"""In all accounts together, and again in the one long log."""


async def measure() -> list[Figure]:
    """Fill two ledgers with chained facts of the demo, anchor them, and verify them against the anchor."""
    told = _told()
    links = sum(fact.link is not None for fact in told)
    accounts = -(-LINKS // links)
    many = ((f"account-{number}", told) for number in range(accounts))
    with tempfile.TemporaryDirectory() as folder:
        across, writing, anchoring = await _verified(Path(folder) / "many.db", many)
        story = (_renumbered(told, life) for life in range(accounts))
        one = [("northwind", [fact for facts in story for fact in facts])]
        along, _, _ = await _verified(Path(folder) / "one.db", one)
    return [
        Figure(
            benchmark=NAME,
            what=f"verifying {across[0].links:,} links of {across[0].accounts:,} accounts",
            value=across[0].links / across[1],
            unit="links/s",
            note=f"{across[1]:.1f} s: digests, order, anchor, every row of the tables, claims; SQLite",
            target=at_least(1_000.0),
        ),
        Figure(
            benchmark=NAME,
            what=f"verifying {along[0].links:,} links of one account",
            value=along[0].links / along[1],
            unit="links/s",
            note=f"{along[1]:.1f} s: one log that is as long as all of the others together",
            target=at_least(1_000.0),
        ),
        Figure(
            benchmark=NAME,
            what=f"reading the heads of {across[0].accounts:,} accounts for an anchor",
            value=anchoring,
            unit="s",
            note=f"the ends of {across[0].links:,} links",
            target=at_most(10.0),
        ),
        Figure(
            benchmark=NAME,
            what="writing an account's facts with their links",
            value=1_000 * writing / across[0].links,
            unit="ms",
            note=f"for each link: one transaction for all {len(told)} facts of an account; SQLite, on disk",
        ),
    ]


def _told() -> list[LedgerFact]:
    scenario = load_scenario(ROOT / "examples" / "demo" / "scenario.yaml")
    return list(simulate(scenario, load_policy_set(ROOT / "examples" / "demo" / "policies")).facts)


async def _verified(
    path: Path, accounts: Iterable[tuple[str, list[LedgerFact]]]
) -> tuple[tuple[Audit, float], float, float]:
    """Return an audit with the seconds it took, and the seconds that writing and anchoring took."""
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{path}")
    try:
        await ledger.migrate()
        writing = 0.0
        for account_id, facts in accounts:
            batch = FactBatch(account_id=account_id, facts=tuple(_chained(account_id, facts)))
            began = time.perf_counter()
            await ledger.record(batch)
            writing += time.perf_counter() - began
            for fact in batch.facts:
                if isinstance(fact, TouchFact) and fact.receipt is not None:
                    await ledger.claim(fact.touch.touch_id, channel=fact.touch.channel, at=fact.at)
                    await ledger.settle(fact.receipt)
        began = time.perf_counter()
        heads: list[LogHead] = []
        while some := await ledger.logged_accounts(after=heads[-1].account_id if heads else ""):
            heads += await ledger.log_heads(some)
        anchoring = time.perf_counter() - began
        anchor = Anchor(name="anchor", anchored_at=heads[0].at, heads=tuple(heads))
        began = time.perf_counter()
        found = await audit(ledger, Anchors([anchor]))
        took = time.perf_counter() - began
    finally:
        await ledger.close()
    if found.failed or found.links < LINKS:
        wrong = found.findings[0].line if found.findings else "fewer links than were written"
        raise MeasurementError(f"the audit found fault with what nobody touched: {wrong}")
    return (found, took), writing, anchoring


def _renumbered(facts: list[LedgerFact], life: int) -> Iterator[LedgerFact]:
    """Yield facts as if they happened to the same account another time, with ids of their own."""
    last = max(fact.seq for fact in facts)
    for fact in facts:
        text = fact.model_dump_json(exclude={"link"})
        for kind in ("sdr", "nurture", "site", "exec"):
            text = text.replace(f"{kind}-1", f"{kind}-{life}x1")
        again = type(fact).model_validate_json(text)
        yield again.model_copy(update={"seq": fact.seq + life * last, "link": fact.link})


def _chained(account_id: str, facts: Iterable[LedgerFact]) -> Iterator[LedgerFact]:
    """Yield facts as another account would tell them, chained anew."""
    head = ChainHead()
    for fact in facts:
        text = fact.model_dump_json(exclude={"link"}).replace("northwind/", f"{account_id}/")
        moved = type(fact).model_validate_json(text)
        if fact.link is None:
            yield moved
            continue
        body, number = digest_of(chained(moved)), head.number + 1
        digest = link_digest(account_id, number, head.digest, body)
        yield moved.model_copy(
            update={"link": Link(number=number, previous=head.digest, body=body, digest=digest)}
        )
        head = ChainHead(number=number, digest=digest)
