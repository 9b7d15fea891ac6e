"""Plays on the real engine: touches over two channels with waits between them, and whatever ends them."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import (
    AccountStatus,
    PlayMigrated,
    PlayMove,
    PlayRun,
    PlayStatus,
    ProposalStatus,
    ReasonCode,
    SignalKind,
)
from governance import PolicySet, compile_policy_set, interpret
from ledger import ReleaseKind
from tests.builders import account, contact, signal
from tests.workflows.stage import FAST, Stage, soon, staged
from workflows import AccountError

PLAY = """\
id: surge
name: Surge response
actor: sdr-agent
priority: 50
lasts_at_most: 30d
goal: {on: [meeting_booked], message: A meeting is booked.}
entry: {on: [intent_surge]}
reentry: {after: 1d, from: end}
exit:
  - {id: replied, on: [reply], message: Somebody answered.}
steps:
  - id: first-mail
    touch: {channel: email, action: send_email, to: [champion], content: first, value: 20000, propensity: 0.3,
            confidence: 0.9, expires_in: 1d}
  - id: breathe
    wait: {for: 2s}
  - id: second-mail
    touch: {channel: email, action: send_email, to: [decision_maker], content: first, value: 20000,
            propensity: 0.3, confidence: 0.9, expires_in: 1d}
  - id: rest
    wait: {for: 20d}
"""
CONTENT = """\
id: first
subject: A thought for {{ account.name }}
text: |
  Hello {{ contact.first_name }}, may we talk?
"""
FILES = {"plays/surge.yaml": PLAY, "content/first.yaml": CONTENT}
BRISK = {
    **FAST,
    "timing.yaml": [*FAST["timing.yaml"], ("at_least: 12s", "at_least: 0.5s")],
}


async def introduced(stage: Stage) -> None:
    people = (
        contact("amira", role="champion", name="Amira Khan", consent="granted"),
        contact("bela", role="decision_maker", name="Bela Novak", consent="granted"),
    )
    await stage.introduce(*people, account=account(stage.account_id))


async def seen(stage: Stage, kind: SignalKind, signal_id: str = "s1") -> None:
    found = interpret(stage.policies, signal(signal_id, kind=kind, observed_at=soon()))
    await stage.accounts.observe(stage.account_id, [found])


def the_run(status: AccountStatus) -> PlayRun | None:
    return next(iter(status.plays), None)


async def test_a_signal_starts_a_play_whose_touches_go_out_with_a_wait_between_them(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        await seen(stage, SignalKind.INTENT_SURGE)
        status = await stage.status_when(
            lambda s: (r := the_run(s)) is not None and r.step == "rest", "the end"
        )
        run = the_run(status)
        assert run is not None
        assert [(step.step, step.status, step.contact_id) for step in run.steps] == [
            ("first-mail", ProposalStatus.SENT, "amira"),
            ("second-mail", ProposalStatus.SENT, "bela"),
        ]
        first, second = stage.relay.envelopes
        assert first.rcpt_tos == ["amira@northwind.example.com"]
        assert second.rcpt_tos == ["bela@northwind.example.com"]
        assert isinstance(first.content, bytes)
        assert b"Hello Amira, may we talk?" in first.content
        plays = await stage.client.get_workflow_handle(f"account/{stage.account_id}").describe()
        active = next(p.value for p in plays.typed_search_attributes if p.key.name == "ActivePlay")
        assert active == f"surge@{run.version[:12]}"


async def test_a_reply_ends_it_at_once_in_the_middle_of_a_wait(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        await seen(stage, SignalKind.INTENT_SURGE)
        await stage.status_when(lambda s: (r := the_run(s)) is not None and r.step == "breathe", "the wait")
        await seen(stage, SignalKind.REPLY, "s2")
        status = await stage.accounts.status(stage.account_id)
        assert status.plays == ()
        (run,) = status.ended_plays
        assert (run.status, run.end_id) == (PlayStatus.EXITED, "replied")
        assert len(stage.relay.envelopes) == 1


@pytest.mark.parametrize("cached", [0, 1_000])
async def test_a_play_goes_on_over_many_runs_of_the_workflow(
    temporal: WorkflowEnvironment, tmp_path: Path, cached: int
) -> None:
    async with staged(
        temporal.client,
        tmp_path,
        edits=BRISK,
        files=FILES,
        continue_after_events=20,
        max_cached_workflows=cached,
    ) as stage:
        await introduced(stage)
        await seen(stage, SignalKind.INTENT_SURGE)
        status = await stage.status_when(
            lambda s: (r := the_run(s)) is not None and r.step == "rest", "the end"
        )
        run = the_run(status)
        assert run is not None
        assert [step.step for step in run.steps] == ["first-mail", "second-mail"]
        assert len(stage.relay.envelopes) == 2
        description = await stage.handle.describe()
        assert description.run_id != description.raw_description.workflow_execution_info.first_run_id


async def test_a_person_starts_and_ends_a_play_and_is_told_why_not(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        status = await stage.accounts.start_play(stage.account_id, "surge", started_by="dana.reyes")
        run = the_run(status)
        assert run is not None
        assert run.started_by == "dana.reyes"
        with pytest.raises(AccountError, match="running"):
            await stage.accounts.start_play(stage.account_id, "surge", started_by="dana.reyes")
        with pytest.raises(AccountError, match="no such play"):
            await stage.accounts.start_play(stage.account_id, "nothing", started_by="dana.reyes")
        status = await stage.accounts.cancel_play(
            stage.account_id, run.run_id, cancelled_by="dana.reyes", reason="wrong account"
        )
        assert status.plays == ()
        with pytest.raises(AccountError, match="no run"):
            await stage.accounts.cancel_play(
                stage.account_id, run.run_id, cancelled_by="dana.reyes", reason="again"
            )
        with pytest.raises(AccountError, match="surge"):
            await stage.accounts.start_play(stage.account_id, "surge", started_by="dana.reyes")


def edited(stage: Stage, text: str) -> PolicySet:
    files = dict(stage.policies.files) | {"plays/surge.yaml": text}
    return compile_policy_set(files)


async def publish(stage: Stage, policies: PolicySet) -> None:
    standing = await stage.ledger.release_in_force()
    assert standing is not None
    await stage.ledger.publish(
        policies.files,
        policies.digest,
        author="dana.reyes",
        reason="edit",
        at=soon(),
        kind=ReleaseKind.PUBLISH,
        expected=standing.number,
    )
    await stage.accounts.announce_policies(policies.digest)


async def test_an_edit_leaves_running_plays_alone_until_somebody_moves_them(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        await seen(stage, SignalKind.INTENT_SURGE)
        status = await stage.status_when(
            lambda s: (r := the_run(s)) is not None and r.step == "rest", "the rest"
        )
        before = the_run(status)
        assert before is not None
        newer = edited(
            stage, PLAY.replace("id: rest\n    wait: {for: 20d}", "id: pause\n    wait: {for: 1s}")
        )
        await publish(stage, newer)
        status = await stage.accounts.status(stage.account_id)
        assert the_run(status) == before
        move = PlayMove(policy_digest=newer.digest, steps={"rest": "pause"})
        await stage.accounts.migrate_play(
            stage.account_id, PlayMigrated(play_id="surge", move=move, moved_by="dana.reyes")
        )
        status = await stage.status_when(lambda s: bool(s.ended_plays), "the end of the shorter version")
        (run,) = status.ended_plays
        assert (run.status, run.policy_digest) == (PlayStatus.COMPLETED, newer.digest)


async def test_a_channel_that_nobody_runs_keeps_the_touch_waiting_visibly_until_it_expires(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    edits = {
        **BRISK,
        "channels.yaml": [
            ("schedule_to_start: 10s", "schedule_to_start: 1s"),
            ("retry_after: 5s", "retry_after: 1s"),
        ],
    }
    impatient = PLAY.replace("expires_in: 1d", "expires_in: 6s")
    files = {**FILES, "plays/surge.yaml": impatient}
    async with staged(temporal.client, tmp_path, edits=edits, files=files, channels=()) as stage:
        await introduced(stage)
        await seen(stage, SignalKind.INTENT_SURGE)
        status = await stage.status_when(
            lambda s: any(v.status is ProposalStatus.DEFERRED for v in s.proposals), "the touch to wait"
        )
        assert any("no worker" in line for line in await stage.accounts.timeline(stage.account_id))
        status = await stage.status_when(
            lambda s: (r := the_run(s)) is not None and bool(r.steps), "the touch to expire"
        )
        run = the_run(status)
        assert run is not None
        assert run.steps[0].status is ProposalStatus.SUPPRESSED
        assert run.steps[0].reason is ReasonCode.EXPIRED


async def test_a_run_that_is_not_suspended_is_not_said_to_go_on(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        status = await stage.accounts.start_play(stage.account_id, "surge", started_by="dana.reyes")
        run = the_run(status)
        assert run is not None
        with pytest.raises(AccountError, match=r"no run surge\.1 is suspended here"):
            await stage.accounts.resume_play(stage.account_id, run.run_id, resumed_by="dana.reyes")
