"""Bad days of plays on the real engine: a provider is down for an hour, the planner gets no policy set."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from temporalio.testing import WorkflowEnvironment

from activities import PolicyKeeper
from activities.policies import NoPolicySetError
from domain import AccountStatus, PlayRun, ProposalStatus, SignalKind, TouchFact, TouchStatus
from governance import PolicySet
from tests.workflows.stage import ROOT, Stage, staged, until
from tests.workflows.test_plays import BRISK, FILES, introduced, seen
from tests.workflows.test_whole_plays import SCRIPTS, every_channel, played, simulated, started_at

SURGE: Final = SCRIPTS[1]
HOUR: Final = timedelta(hours=1)
SITE: Final = "greet-on-the-site"


def the_run(status: AccountStatus) -> PlayRun:
    (run,) = status.plays
    return run


async def test_a_provider_that_is_down_for_an_hour_gets_the_touch_once_afterwards_and_the_play_goes_on(
    time_skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with (
        staged(
            time_skipping.client,
            tmp_path,
            edits={},
            original=ROOT / "policies",
            channels=("email",),
            continue_after_events=10_000,
        ) as stage,
        every_channel(stage, tmp_path) as world,
    ):
        _, sent = simulated(SURGE, stage.policies, stage.account_id)
        await world.behave("down", "/v1/segments", times=100_000)
        await played(time_skipping, stage, sent, started_at(SURGE) + HOUR)
        status = await stage.accounts.status(stage.account_id)
        assert the_run(status).step == SITE, "the step keeps its place"
        waiting = next(view for view in status.proposals if view.proposal.play is not None)
        assert waiting.status is ProposalStatus.DEFERRED

        await world.behave_well()
        assert (await world.get(f"/v1/segments/{stage.account_id}")).status_code == 404
        await played(time_skipping, stage, [], started_at(SURGE) + 2 * HOUR)
        status = await stage.accounts.status(stage.account_id)
        run = the_run(status)
        assert [(step.step, step.status) for step in run.steps] == [(SITE, ProposalStatus.SENT)]
        assert run.step == "first-mail"
        assert (await world.get(f"/v1/segments/{stage.account_id}")).status_code == 200
        await stage.status_when(lambda s: s.unsent_facts == 0, "an empty outbox")
        out = await handed_over(stage)
        assert len(out) == 1
        assert out[0].at >= started_at(SURGE) + HOUR
        await stage.handle.terminate()


async def handed_over(stage: Stage) -> list[TouchFact]:
    return [
        fact
        for fact in await stage.ledger.touches(stage.account_id, limit=1_000)
        if isinstance(fact, TouchFact) and fact.status is TouchStatus.HANDED_OVER
    ]


async def test_while_the_planner_fails_nothing_moves_and_afterwards_the_play_enters_once(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(temporal.client, tmp_path, edits=BRISK, files=FILES) as stage:
        await introduced(stage)
        with monkeypatch.context() as broken:
            broken.setattr(PolicyKeeper, "in_force", nothing_in_force)
            await seen(stage, SignalKind.INTENT_SURGE)
            await until(lambda: tried_twice(stage), "the planner to be asked again")
            status = await stage.accounts.status(stage.account_id)
            assert not status.plays
            assert not status.proposals
            assert not stage.relay.envelopes
        status = await stage.status_when(
            lambda s: any(run.step == "rest" for run in s.plays), "the play to go on"
        )
        run = the_run(status)
        assert [step.step for step in run.steps] == ["first-mail", "second-mail"]
        assert len(stage.relay.envelopes) == 2
        assert run.run_id == "surge.1"


async def nothing_in_force(_keeper: PolicyKeeper) -> PolicySet:
    message = "no policy set is in force"
    raise NoPolicySetError(message)


async def tried_twice(stage: Stage) -> bool | None:
    told = await stage.handle.describe()
    attempts = [
        activity.attempt
        for activity in told.raw_description.pending_activities
        if activity.activity_type.name == "plan"
    ]
    return True if any(attempt > 2 for attempt in attempts) else None
