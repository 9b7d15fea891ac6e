"""The price of judging the past again: recorded rulings of a real ledger under a draft set."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console

from activities.policies import publish_first
from benchmarks._figures import Figure, at_most
from benchmarks._rulebook import request
from benchmarks._stage import POLICIES, MeasurementError
from governance import PolicySet, compile_policy_set, load_policy_set, rule
from ledger import Ledger
from tutti.policies.replaying import replay
from tutti.settings import Settings

NAME = "replay"
DECISIONS = 10_000


async def measure() -> list[Figure]:
    """Record rulings in a ledger, and judge them again under a draft that turns a lever round."""
    policies = load_policy_set(POLICIES)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(ledger_url=f"sqlite+aiosqlite:///{Path(folder) / 'ledger.db'}")
        rulings, recording = await _record(settings, policies)
        began = time.perf_counter()
        compared = await replay(Console(quiet=True), settings, _draft(policies), None)
        took = time.perf_counter() - began
    if compared.decisions < DECISIONS or not compared.changed:
        raise MeasurementError("the replay judged less than was recorded, or found no difference")
    return [
        Figure(
            benchmark=NAME,
            what=f"replay of {compared.decisions:,} recorded decisions",
            value=took,
            unit="s",
            note=f"{rulings:,} rulings from SQLite, {compared.changed:,} come out otherwise under the draft",
            target=at_most(30.0),
        ),
        Figure(
            benchmark=NAME,
            what="entering a ruling in the ledger",
            value=1_000 * recording / rulings,
            unit="ms",
            note="one transaction: places counted again and reserved, the request kept; SQLite, on disk",
        ),
    ]


def _draft(policies: PolicySet) -> PolicySet:
    text = policies.files["arbitration.yaml"]
    draft = text.replace("percent: 55", "percent: -55")
    if draft == text:
        raise MeasurementError("policies/arbitration.yaml has no lever of 55 per cent to turn round")
    return compile_policy_set({**policies.files, "arbitration.yaml": draft}, "draft")


async def _record(settings: Settings, policies: PolicySet) -> tuple[int, float]:
    asked = request(policies)
    rulings = -(-DECISIONS // len(asked.candidates))
    spent = 0.0
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.migrate()
        await publish_first(ledger, policies)
        for number in range(rulings):
            one = asked.model_copy(update={"account_id": f"account-{number}"})
            ruling = rule(policies, one)
            began = time.perf_counter()
            # Each account by itself: what the ones before have reserved leaves room in the shipped caps.
            if not await ledger.enter_ruling(one, ruling):
                raise MeasurementError("the shipped caps have no room for the rulings of this measurement")
            spent += time.perf_counter() - began
    finally:
        await ledger.close()
    return rulings, spent
