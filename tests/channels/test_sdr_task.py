"""The task channel: what the CRM gets, and what happens to a task that somebody works on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import HttpUrl, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activities.channels import ChannelEnvironment, SdrTaskSettings, sdr_task
from domain import RecallStatus, ReceiptStatus
from ledger import Ledger
from tests.channels.support import LINKS, an_environment, http_server
from tests.channels.vendors import World, recall_of, touch_for, vendors

DAYS = "Not sent: the field due_in_days is no number of days from 0 to 365."
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def world(ledger: Ledger, tmp_path: Path) -> AsyncIterator[World]:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as running:
        yield running


async def test_the_crm_gets_the_task_as_documented(world: World) -> None:
    touch = touch_for(
        "sdr_task",
        subject="Call Ada about the trial",
        text="She asked for prices.\nBe brief.",
        fields={"assignee": "lena.fischer", "due_in_days": "2"},
    )

    receipt = await an_environment(scheduled=MONDAY).run(world.channel("sdr_task").hand_over, touch)

    (request,) = await world.seen("/v1/tasks")
    assert request["method"] == "PUT"
    assert request["path"] == f"/v1/tasks/{touch.touch_id}"
    assert request["idempotency_key"] == "northwind%2Fp-1%2F1"
    assert request["body"] == {
        "subject": "Call Ada about the trial",
        "notes": "She asked for prices.\nBe brief.",
        "due_date": "2026-03-04",
        "assignee": "lena.fischer",
        "account_id": "northwind",
        "account_name": "Northwind",
        "contact_id": "c-1",
        "contact_name": "Ada Lovelace",
        "action": "intro",
    }
    assert receipt.provider_ref == "T-1"


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, None),
        ({"due_in_days": "0"}, "2026-03-02"),
        ({"due_date": "2026-12-24"}, "2026-12-24"),
        ({"due_date": "2026-12-24", "due_in_days": "2"}, "2026-12-24"),
    ],
)
async def test_the_due_date_is_written_or_counted_from_the_hand_over(
    world: World, fields: dict[str, str], due: str | None
) -> None:
    activity = world.channel("sdr_task").hand_over

    await an_environment(scheduled=MONDAY).run(activity, touch_for("sdr_task", fields=fields))

    (request,) = await world.seen("/v1/tasks")
    assert request["body"]["due_date"] == due


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"subject": None}, "Not sent: the task has no subject."),
        ({"subject": ""}, "Not sent: the task has no subject."),
        ({"fields": {"due_date": "soon"}}, "Not sent: the field due_date is no date like 2026-11-30."),
        (
            {"fields": {"due_in_days": "two"}},
            DAYS,
        ),
        (
            {"fields": {"due_in_days": "٣"}},
            DAYS,
        ),
        (
            {"fields": {"due_in_days": "9" * 900}},
            DAYS,
        ),
        (
            {"fields": {"due_in_days": "0000000009999999999"}},
            DAYS,
        ),
    ],
)
async def test_a_task_that_lacks_something_is_refused_with_one_sentence(
    world: World, changes: dict[str, object], says: str
) -> None:
    receipt = await world.hand_over("sdr_task", touch_for("sdr_task", **changes))

    assert (receipt.status, receipt.detail) == (ReceiptStatus.REJECTED, says)
    assert await world.seen() == []


async def test_a_task_for_the_account_as_a_whole_names_nobody(world: World) -> None:
    receipt = await world.hand_over("sdr_task", touch_for("sdr_task", recipient=None))

    (request,) = await world.seen("/v1/tasks")
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert (request["body"]["contact_id"], request["body"]["contact_name"]) == (None, None)


async def test_a_task_that_was_done_cannot_be_taken_back(world: World) -> None:
    touch = touch_for("sdr_task")
    receipt = await world.hand_over("sdr_task", touch)
    await world.http.post(f"/_complete/{touch.touch_id}")

    recalled = await world.recall("sdr_task", recall_of(touch, receipt))

    assert recalled.status is RecallStatus.GONE
    assert "the task has been completed" in (recalled.detail or "")
    assert await world.count("sdr_task", touch) == 1


async def test_a_touch_id_of_any_form_stays_one_task(world: World) -> None:
    odd = "northwind/ü?#%2F../1"
    touch = touch_for("sdr_task", touch_id=odd)

    receipt = await world.hand_over("sdr_task", touch)
    recalled = await world.recall("sdr_task", recall_of(touch, receipt))

    (task,) = (await world.get("/v1/tasks")).json()["tasks"]
    assert receipt.status is ReceiptStatus.ACCEPTED
    assert (task["external_id"], task["status"]) == (odd, "cancelled")
    assert recalled.status is RecallStatus.RECALLED


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"id": ' + b"9" * 5_000 + b"}", b"\xff", b""])
async def test_an_answer_that_says_no_id_is_still_an_answer(ledger: Ledger, body: bytes) -> None:
    async def take(_: Request) -> Response:
        return Response(body, 201)

    app = Starlette(routes=[Route("/v1/tasks/{id:path}", take, methods=["PUT"])])
    async with http_server(app) as url:
        settings = SdrTaskSettings(base_url=HttpUrl(url), token=SecretStr("token"))
        activities = sdr_task.build(ChannelEnvironment(ledger, LINKS), settings)
        receipt = await an_environment().run(activities.hand_over, touch_for("sdr_task"))

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert receipt.provider_ref == receipt.touch_id
