"""A vendor channel on the real engine, under the default policies: from the proposal to the CRM and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from pydantic import HttpUrl, SecretStr
from temporalio.testing import WorkflowEnvironment

from activities.channels import ChannelActivities, ChannelEnvironment, SdrTaskSettings, sdr_task
from domain import Consent, Contact, Proposal, ProposalStatus, RecallAsked
from tests.builders import account, contact, proposal
from tests.channels.vendors import TOKEN, vendors_alone
from tests.workflows.stage import ROOT, Stage, staged, until

PATIENT = {"timing.yaml": [("decision_window: 5s", "decision_window: 0.3s")]}


@asynccontextmanager
async def crm_and_stage(
    temporal: WorkflowEnvironment, folder: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, Stage]]:
    async with vendors_alone(folder / "vendors.jsonl") as crm:

        def build(environment: ChannelEnvironment) -> ChannelActivities:
            settings = SdrTaskSettings(base_url=HttpUrl(str(crm.base_url)), token=SecretStr(TOKEN))
            return sdr_task.build(environment, settings)

        async with staged(
            temporal.client,
            folder,
            edits=PATIENT,
            channels=(),
            original=ROOT / "policies",
            more={"sdr_task": build},
        ) as stage:
            await stage.introduce(amira(), account=account(stage.account_id))
            yield crm, stage


def amira() -> Contact:
    return contact("amira", consent=Consent.GRANTED)


def call() -> Proposal:
    content = {"subject": "Call Amira", "text": "She looked at the prices.", "fields": {"due_in_days": "2"}}
    return proposal("call", action="create_task", channel="sdr_task", content=content)


async def said(stage: Stage) -> list[str]:
    return await stage.accounts.timeline(stage.account_id)


async def tasks(crm: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await crm.get("/v1/tasks", headers={"authorization": f"Bearer {TOKEN}"})
    return list(answer.json()["tasks"])


async def test_a_proposed_task_reaches_the_crm_and_can_be_taken_back(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with crm_and_stage(temporal, tmp_path) as (crm, stage):
        # Given a task that governance allows
        await stage.propose(call())
        status = await stage.status_when(
            lambda s: s.proposals[0].status is ProposalStatus.SENT, "the task to be handed over"
        )
        (task,) = await tasks(crm)
        assert (task["subject"], task["status"]) == ("Call Amira", "open")
        (touch,) = status.touches
        assert task["external_id"] == touch.touch_id
        assert touch.provider_ref == task["id"]

        # When a person takes it back
        asked = RecallAsked(touch_id=touch.touch_id, asked_by="dana.reyes", reason="they called us")
        await stage.accounts.recall_touch(stage.account_id, asked)

        # Then it is cancelled in the CRM
        async def cancelled() -> bool | None:
            return [t["status"] for t in await tasks(crm)] == ["cancelled"] or None

        await until(cancelled, "the task to be cancelled")


async def test_a_crm_that_is_down_for_an_hour_is_asked_again_when_it_said(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with crm_and_stage(temporal, tmp_path) as (crm, stage):
        await crm.post("/_behave", json={"mode": "down", "path": "/v1/tasks", "retry_after": 3600})

        await stage.propose(call())
        status = await stage.status_when(
            lambda s: s.proposals[0].status is ProposalStatus.DEFERRED, "the task to be given back"
        )

        (view,) = status.proposals
        assert view.due_at is not None
        assert abs(view.due_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
        assert any("could not deliver create_task" in line for line in await said(stage))
        assert await tasks(crm) == []


async def test_a_task_that_was_given_back_is_ruled_again_and_goes_out_once(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a CRM that wants a second, which here counts as long
    monkeypatch.setattr("activities.channels._http.SHORT_WAIT", timedelta(seconds=0.5))
    async with crm_and_stage(temporal, tmp_path) as (crm, stage):
        await crm.post("/_behave", json={"mode": "too_many", "path": "/v1/tasks", "retry_after": 1})

        await stage.propose(call())
        status = await stage.status_when(
            lambda s: s.proposals[0].status is ProposalStatus.SENT, "the second hand-over"
        )

        assert len(await tasks(crm)) == 1
        puts = [r for r in (await crm.get("/_seen")).json() if r["method"] == "PUT"]
        assert [put["status"] for put in puts] == [429, 201]
        assert len({put["path"] for put in puts}) == 1
        assert len(status.touches) == 1
