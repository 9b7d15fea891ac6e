"""Channel workers that die: a touch of an at-most-once channel reaches its provider once, or is in doubt."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain import ProposalStatus, Signal, SignalKind, Touch, TouchStatus
from tests.channels.support import Relay
from tests.workflows.cast import scenario, set_up, wanted
from tests.workflows.stage import FAST, ROOT, Stage, soon, staged, until

EDITS: Mapping[str, list[tuple[str, str]]] = FAST | {
    "channels.yaml": [
        ("heartbeat: 10s", "heartbeat: 1s"),
        ("schedule_to_start: 10s", "schedule_to_start: 3s"),
        ("retry_after: 5s", "retry_after: 1s"),
    ]
}


def environment(stage: Stage, folder: Path) -> dict[str, str]:
    """What a channel worker process needs to know, and nothing of this process's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "TUTTI_E", "TUTTI_W"))}
    return kept | {
        "TEMPORAL_ADDRESS": stage.client.service_client.config.target_host,
        "TUTTI_HOME": str(folder),
        "TUTTI_POLICIES": str(folder / "policies"),
        "TUTTI_LEDGER_URL": f"sqlite+aiosqlite:///{stage.database}",
        "TUTTI_SIGNING_KEY": "k" * 32,
        "TUTTI_PUBLIC_URL": "https://tutti.example.com",
        "TUTTI_EMAIL_HOST": "127.0.0.1",
        "TUTTI_EMAIL_PORT": str(stage.relay.port),
        "TUTTI_EMAIL_SENDER": "Sales <sales@example.com>",
        "TUTTI_EMAIL_STARTTLS": "off",
    }


@asynccontextmanager
async def email_worker(stage: Stage, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real e-mail worker process; ready when this yields, gone when it ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker",
        "email",
        cwd=ROOT,
        env=environment(stage, folder),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert b'"ready"' in line
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_killed_between_claim_and_confirm_it_is_in_doubt_and_never_sent_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given the provider has the message and the worker is killed before it hears so, then the next worker
    sends nothing, and a person is asked."""
    relay = Relay(hang_after_data=True)
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=(), relay=relay) as stage:
        await set_up(stage)
        async with email_worker(stage, tmp_path) as first:
            asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
            await asyncio.wait_for(relay.reached_data.wait(), 20)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        relay.hang_after_data = False
        relay.go_on.set()
        async with email_worker(stage, tmp_path):
            status = await stage.status_when(lambda s: bool(s.in_doubt), "the doubt")
        (view,) = await asking
        assert view.settled
        assert len(relay.envelopes) == 1, "exactly one hand-over"
        (doubt,) = status.in_doubt
        assert doubt.touch.touch_id == f"{stage.account_id}/sdr-1/1"
        assert "not sent again" in doubt.detail
        assert [touch.status for touch in status.touches] == [TouchStatus.UNKNOWN]
        assert status.proposals[0].status is ProposalStatus.IN_DOUBT
        metadata = await stage.handle.query("__temporal_workflow_metadata")
        assert "In doubt: a person must settle" in metadata.current_details


async def test_killed_with_no_successor_it_is_in_doubt_all_the_same(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Nobody is left to ask on the channel's queue: the claim itself tells."""
    relay = Relay(hang_after_data=True)
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=(), relay=relay) as stage:
        await set_up(stage)
        async with email_worker(stage, tmp_path) as first:
            asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
            await asyncio.wait_for(relay.reached_data.wait(), 20)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        status = await stage.status_when(lambda s: bool(s.in_doubt), "the doubt")
        await asking
        assert [touch.status for touch in status.touches] == [TouchStatus.UNKNOWN]
        assert len(relay.envelopes) == 1


async def test_a_channel_without_worker_is_down_and_its_touch_waits(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Nothing was handed over, and that is known: the touch is released, ruled again, and sent once later."""
    async with staged(temporal.client, tmp_path, edits=EDITS, channels=()) as stage:
        await set_up(stage)
        asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
        status = await stage.status_when(
            lambda s: any(t.status is TouchStatus.RELEASED for t in s.touches), "the channel to count as down"
        )
        await asking
        assert not status.in_doubt
        async with email_worker(stage, tmp_path):
            await until(lambda: _arrived(stage), "the e-mail")
            await stage.status_when(
                lambda s: any(t.status is TouchStatus.HANDED_OVER for t in s.touches), "the receipt"
            )
        assert len(stage.relay.envelopes) == 1


async def test_an_opt_out_reaches_a_touch_that_waits_for_its_channel(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Given a touch in the queue of a channel that is away, when the person objects, then the objection is in
    the shared store at once and the touch never goes out."""
    patient = FAST | {"channels.yaml": [("schedule_to_start: 10s", "schedule_to_start: 30s")]}
    async with staged(temporal.client, tmp_path, edits=patient, channels=()) as stage:
        await set_up(stage)
        asking = asyncio.create_task(stage.propose(wanted("sdr-1")))
        await stage.status_when(
            lambda s: any(t.status is TouchStatus.IN_FLIGHT for t in s.touches), "the touch in the queue"
        )
        stop = Signal(
            signal_id="o1", source="crm", kind=SignalKind.OPT_OUT, observed_at=soon(), contact_id="amira"
        )
        await stage.accounts.observe(stage.account_id, [stop])
        await until(lambda: _blocked(stage), "the objection in the shared store")
        status = await stage.status_when(lambda s: s.proposals[0].status.final, "the end of the touch")
        await asking
        assert status.proposals[0].status is ProposalStatus.SUPPRESSED
        async with email_worker(stage, tmp_path):
            assert not stage.relay.envelopes
        assert not stage.relay.envelopes


async def test_an_answer_that_is_no_receipt_is_a_doubt_and_no_disaster(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Other teams write channels: whatever one of them answers, the account lives on."""

    @activity.defn(name="hand_over")
    async def foreign(touch: Touch) -> dict[str, str]:
        return {"touch_id": touch.touch_id, "status": "sent"}

    async with staged(temporal.client, tmp_path, edits=EDITS, channels=()) as stage:
        await set_up(stage)
        queue = stage.policies.channels["email"].handover.task_queue
        async with Worker(stage.client, task_queue=queue, activities=[foreign]):
            await stage.propose(wanted("sdr-1"))
            status = await stage.status_when(lambda s: bool(s.in_doubt), "the doubt")
        assert "no receipt" in status.in_doubt[0].detail


async def _blocked(stage: Stage) -> bool | None:
    amira = next(c for c in scenario().contacts if c.contact_id == "amira")
    return bool(await stage.ledger.suppressed([str(amira.person_key)])) or None


async def _arrived(stage: Stage) -> bool | None:
    return bool(stage.relay.envelopes) or None
