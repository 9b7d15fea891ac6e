"""`tutti channel verify` against workers that keep the contract, and against one broken in every way."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import Delivery, Handover, person_key
from ledger import Ledger
from tests.channels.model_channel import Defect, model_worker
from tests.channels.support import POLICY
from tests.cli.program import Finished, refused, tutti
from tests.workflows.stage import Stage, staged
from tutti.channels.bench import Bench
from tutti.channels.calling import calling
from tutti.channels.probes import PROBES
from tutti.channels.subject import OBJECTOR, Subject, Touches
from tutti.channels.verifying import Finding, Result, run_probes

_BROKEN = [
    (Defect.RAISES, "takes-a-touch", "the worker raised RuntimeError: out of order"),
    (Defect.SILENT, "takes-a-touch", "went silent (heartbeat)"),
    (Defect.NO_RECEIPT, "takes-a-touch", "the answer is no receipt"),
    (Defect.UNKNOWN_WORD, "takes-a-touch", "the answer is no receipt: status"),
    (Defect.OTHER_TOUCH, "takes-a-touch", "the answer is for another"),
    (Defect.WRONG_CLOCK, "takes-a-touch", "is not now"),
    (Defect.FORGETFUL, "same-again", "the same touch_id is the same touch"),
    (Defect.UNCLAIMED, "claimed", "the ledger holds no claim"),
    (Defect.UNSETTLED, "claimed", "the ledger holds a claim without receipt"),
    (Defect.SENDS_AGAIN, "left-open", "the receipt says accepted: say unknown"),
    (Defect.STRICT, "unknown-fields", "the worker raised"),
    (Defect.NEEDS_SOMEBODY, "no-recipient", "the worker raised AssertionError"),
    (Defect.SENDS_TO_NOBODY, "no-recipient", "a touch for nobody was accepted"),
    (Defect.TAKES_ANYTHING, "malformed", "it took an empty object for a touch"),
    (Defect.HANGS_ON_MALFORMED, "malformed", "it neither refused an empty object"),
    (Defect.CHOKES_ON_NUL, "hostile-text", "the worker raised AssertionError"),
    (Defect.CHOKES_ON_LENGTH, "long-text", "the worker raised AssertionError"),
    (Defect.NO_PREFLIGHT, "suppressed", "the person objected, and the receipt says accepted"),
    (Defect.NO_PREFLIGHT, "stopped", "a kill switch stands over the account, and"),
    (Defect.NO_PREFLIGHT, "given-back", "was given back, and the receipt says accepted"),
    (Defect.NO_PREFLIGHT, "too-late", "good_until has passed, and the receipt says accepted"),
    (Defect.DEAF, "cancelled", "it neither stopped nor answered within"),
    (Defect.MIXES_UP, "at-once", "share a provider_ref"),
    (Defect.KEEPS, "recalled", "taking it back is failed"),
    (Defect.RECALLS_ONCE, "recalled-again", "the second time it says failed"),
    (Defect.RECALLS_ANYTHING, "recalled-unknown", "nobody knows that touch, and it says recalled"),
]


@asynccontextmanager
async def a_bench(
    temporal: WorkflowEnvironment, ledger: Ledger, defect: Defect = Defect.NONE, *, at_most_once: bool = True
) -> AsyncIterator[Bench]:
    run = uuid.uuid4().hex[:8]
    handover = Handover(
        task_queue=f"model-{run}",
        delivery=Delivery.AT_MOST_ONCE if at_most_once else Delivery.IDEMPOTENT,
        schedule_to_start_seconds=5,
        start_to_close_seconds=10,
        heartbeat_seconds=0.6,
        retry_after_seconds=1,
        recalls=True,
    )
    subject = Subject("model", handover, needs_person=True, source="a test")
    touches = Touches("model", run, POLICY, "conformance@example.com", "check", {})
    async with (
        model_worker(temporal.client, handover.task_queue, ledger, defect, at_most_once=at_most_once),
        calling(temporal.client, handover, run) as caller,
    ):
        yield Bench(subject, touches, caller, ledger)


async def findings(bench: Bench, *names: str) -> dict[str, Finding]:
    probes = [probe for probe in PROBES if not names or probe.name in names]
    try:
        return {each.name: each for each in await run_probes(bench, probes, lambda _: None)}
    finally:
        await bench.give_back()


@pytest.mark.parametrize("at_most_once", [True, False])
async def test_a_channel_that_keeps_the_contract_passes_every_probe(
    temporal: WorkflowEnvironment, ledger: Ledger, *, at_most_once: bool
) -> None:
    async with a_bench(temporal, ledger, at_most_once=at_most_once) as bench:
        found = await findings(bench)

    skipped = set() if at_most_once else {"claimed", "left-open"}
    assert {name for name, each in found.items() if each.result is Result.SKIPPED} == skipped
    assert [each for each in found.values() if each.result is Result.FAILED] == []


@pytest.mark.parametrize(("defect", "probe", "why"), _BROKEN)
async def test_a_broken_channel_fails_the_probe_and_is_told_why(
    temporal: WorkflowEnvironment, ledger: Ledger, defect: Defect, probe: str, why: str
) -> None:
    async with a_bench(temporal, ledger, defect) as bench:
        found = await findings(bench, probe)

    assert found[probe].result is Result.FAILED, found[probe]
    assert why in found[probe].why, found[probe].why


def test_every_probe_has_been_seen_to_fail() -> None:
    assert {probe.name for probe in PROBES} == {probe for _, probe, _ in _BROKEN}


async def test_the_check_leaves_nothing_that_counts_or_stops_anybody(
    temporal: WorkflowEnvironment, ledger: Ledger
) -> None:
    async with a_bench(temporal, ledger) as bench:
        await findings(bench, "takes-a-touch", "stopped", "claimed")
        touches = await ledger.touches(bench.touches.account_id)

    assert {fact.status.value for fact in touches if hasattr(fact, "status")} == {"released"}
    assert await ledger.stops() == ()
    assert await ledger.open_claims() == []


@pytest.mark.parametrize(
    ("defect", "probe"), [(Defect.RAISES, "left-open"), (Defect.UNSETTLED, "takes-a-touch")]
)
async def test_a_broken_channel_leaves_no_open_claim_behind_the_check(
    temporal: WorkflowEnvironment, ledger: Ledger, defect: Defect, probe: str
) -> None:
    async with a_bench(temporal, ledger, defect) as bench:
        await findings(bench, probe)

    assert await ledger.open_claims() == []


# The command ------------------------------------------------------------------------------------------------


async def command(stage: Stage, *arguments: str | Path, cwd: Path) -> Finished:
    return await tutti(
        "channel",
        *arguments,
        cwd=cwd,
        TUTTI_LEDGER_URL=f"sqlite+aiosqlite:///{stage.database}",
        TEMPORAL_ADDRESS=stage.client.service_client.config.target_host,
    )


async def test_our_own_channels_keep_the_contract(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    quick = {"channels.yaml": [("heartbeat: 10s", "heartbeat: 3s")]}
    async with staged(temporal.client, tmp_path, edits=quick) as stage:
        mail = await command(stage, "verify", "email", cwd=tmp_path)
        web = await command(stage, "verify", "webhook", "--json", cwd=tmp_path)

        assert mail.code == 0, mail.out
        assert "email keeps the contract: 15 passed, 0 failed, 3 skipped" in mail.out
        assert "Touches are really sent, to conformance@example.com" in mail.out
        assert {str(to) for envelope in stage.relay.envelopes for to in envelope.rcpt_tos} == {
            "conformance@example.com"
        }
        assert await stage.ledger.suppressed([person_key(OBJECTOR)])
        assert web.code == 0, web.out
        report = json.loads(web.out)
        assert report["passed"]
        assert {probe["name"] for probe in report["probes"]} == {probe.name for probe in PROBES}


async def test_a_queue_that_nobody_polls_is_named_and_nothing_is_sent(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, channels=("webhook",)) as stage:
        alone = await command(stage, "verify", "email", cwd=tmp_path)
        elsewhere = await command(stage, "verify", "webhook", "--task-queue", "nowhere", cwd=tmp_path)
        unknown = await command(stage, "verify", "fax", cwd=tmp_path)
        typo = await command(stage, "verify", "webhook", "--probe", "sme-again", cwd=tmp_path)

        queue = stage.policies.channels["email"].handover.task_queue
        assert f"no worker polls the task queue {queue}" in refused(alone)
        assert "no worker polls the task queue nowhere" in refused(elsewhere)
        assert "there is no channel 'fax' in channels.yaml of release 1" in refused(unknown)
        assert "there is no probe 'sme-again'" in refused(typo)
        assert stage.receiver.calls == []


async def test_the_list_shows_a_channel_whose_worker_is_not_deployed(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, channels=("webhook",)) as stage:
        shown = await command(stage, "list", cwd=tmp_path)
        listed = json.loads((await command(stage, "list", "--json", cwd=tmp_path)).out)

    assert shown.code == 0, shown.err
    assert "nobody works on email" in shown.out
    by_name = {each["channel"]: each for each in listed}
    assert by_name["email"]["workers"] == []
    assert len(by_name["webhook"]["workers"]) == 1
    assert by_name["webhook"]["delivery"] == "idempotent"
