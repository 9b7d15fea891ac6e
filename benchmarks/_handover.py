"""Touches per second through one channel worker, against an activity that does nothing."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.worker import Worker

from benchmarks._driver import HandOverAll
from benchmarks._figures import Figure
from benchmarks._stage import Stage, staged
from domain import FactBatch, Receipt, ReceiptStatus, Recipient, Touch, TouchFact, TouchStatus

NAME = "handover"
QUEUE = "bench-bare-channel"
DRIVER = "bench-driver"
TOUCHES = 200
"""Touches a round, all scheduled at once by one workflow, so that the worker is what limits."""
ROUNDS = 7
WARM_UP = 1


@activity.defn(name="hand_over")
async def bare(touch: Touch) -> Receipt:
    """Accept a touch, and do nothing else."""
    return Receipt(touch_id=touch.touch_id, status=ReceiptStatus.ACCEPTED, at=datetime.now(UTC))


async def measure() -> list[Figure]:
    """Let the e-mail channel and the bare activity take the same touches by turns."""
    async with (
        staged() as stage,
        Worker(stage.client, task_queue=QUEUE, activities=[bare]),
        Worker(stage.client, task_queue=DRIVER, workflows=[HandOverAll]),
    ):
        email = stage.policies.channels["email"].handover.task_queue
        pairs: list[tuple[float, float]] = []
        for number in range(WARM_UP + ROUNDS):
            touches = [_touch(stage, f"{number}-{each}") for each in range(TOUCHES)]
            await _introduce(stage, touches)
            order = (email, QUEUE) if number % 2 == 0 else (QUEUE, email)
            rates = {queue: await _round(stage, queue, number, touches) for queue in order}
            pairs.append((rates[email], rates[QUEUE]))
    measured = pairs[WARM_UP:]
    ratios = [ours / theirs for ours, theirs in measured]
    load = f"{TOUCHES} touches at once, {ROUNDS} rounds by turns, one worker process for everything"
    return [
        Figure(
            benchmark=NAME,
            what="touches per second through the e-mail channel, against a bare activity",
            value=statistics.median(ratios),
            unit="x",
            note=f"median of {', '.join(f'{ratio:.2f}' for ratio in ratios)}; {load}",
        ),
        Figure(
            benchmark=NAME,
            what="touches per second, e-mail channel",
            value=statistics.median(ours for ours, _ in measured),
            note="claim, last look, SMTP to the mail sink, receipt in the ledger, for each touch",
        ),
        Figure(
            benchmark=NAME,
            what="touches per second, bare activity",
            value=statistics.median(theirs for _, theirs in measured),
        ),
    ]


async def _round(stage: Stage, queue: str, number: int, touches: list[Touch]) -> float:
    began = time.perf_counter()
    accepted: Any = await stage.client.execute_workflow(
        HandOverAll.run, args=[queue, touches], id=f"hand-over-{queue}-{number}", task_queue=DRIVER
    )
    if accepted != len(touches):
        raise RuntimeError(f"{accepted} of {len(touches)} touches were accepted by {queue}")
    return len(touches) / (time.perf_counter() - began)


def _touch(stage: Stage, name: str) -> Touch:
    return Touch(
        touch_id=f"bench/{name}/1",
        account_id="bench",
        account_name="Bench",
        proposal_id=name,
        decision_id=f"{name}:1",
        actor="sdr-agent",
        channel="email",
        action="send_email",
        recipient=Recipient(contact_id="sam", name="Sam Doe", email="sam@bench.example.com"),
        subject="A thought",
        text="Hello Sam, may we talk?",
        digest="0" * 64,
        policy_digest=stage.policies.digest,
    )


async def _introduce(stage: Stage, touches: list[Touch]) -> None:
    """Tell the ledger that the touches are on their way: without a place in the limits none may go."""
    now = datetime.now(UTC)
    facts = tuple(
        TouchFact(seq=number + 1, at=now, touch=touch, status=TouchStatus.IN_FLIGHT)
        for number, touch in enumerate(touches)
    )
    await stage.ledger.record(FactBatch(account_id="bench", facts=facts))
