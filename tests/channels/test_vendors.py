"""The local vendors: what they keep, whom they let in, what they tell, and how they start and stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2 as httpx
import pytest
import structlog
from pydantic import SecretStr
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain import Outcome, OutcomeKind, ReceiptStatus
from ledger import Ledger
from tests.channels.support import http_server
from tests.channels.vendors import PATHS, TOKEN, recall_of, touch_for, vendors
from tutti.local.vendors import VendorsError, VendorsSettings, main, run_vendors

SECRET = "whsec_" + "A" * 32


@dataclass
class Listener:
    """Somebody who wants to be told what came back."""

    calls: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 202

    async def take(self, request: Request) -> Response:
        self.calls.append((request.url.path, dict(request.headers), await request.body()))
        return Response(status_code=self.status)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, str]]:
    listener = Listener()
    app = Starlette(routes=[Route("/{path:path}", listener.take, methods=["POST"])])
    async with http_server(app) as url:
        yield listener, f"{url}/v1/outcomes/{{channel}}"


# What they keep


async def test_what_was_kept_is_known_after_a_restart_and_a_torn_line(ledger: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "vendors.jsonl"
    touches = {name: touch_for(name) for name in PATHS}
    async with vendors(ledger, log) as world:
        before = {name: await world.hand_over(name, touch) for name, touch in touches.items()}
    with log.open("ab") as file:
        file.write(b'{"vendor":"tasks","key":"torn')

    async with vendors(ledger, log) as world:
        counts = [await world.count(name, touch) for name, touch in touches.items()]
        again = await world.hand_over("sdr_task", touches["sdr_task"])
        other = await world.hand_over("sdr_task", touch_for("sdr_task", touch_id="northwind/p-1/2"))

    assert counts == [1, 1, 1]
    assert again.provider_ref == before["sdr_task"].provider_ref == "T-1"
    assert other.provider_ref == "T-2"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [line["vendor"] for line in lines] == ["tasks", "segments", "audiences", "tasks"]


async def test_a_request_without_the_token_is_turned_away_everywhere(ledger: Ledger, tmp_path: Path) -> None:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as world:
        for path in ("/v1/tasks", "/v1/tasks/t", "/v1/segments/a", "/v1/audiences/x"):
            for headers in ({}, {"authorization": "Bearer another"}, {"authorization": TOKEN}):
                assert (await world.http.get(path, headers=headers)).status_code == 401
        assert {entry["status"] for entry in await world.seen()} == {401}


async def test_a_body_that_is_none_of_the_documented_ones_is_refused_with_its_place(
    ledger: Ledger, tmp_path: Path
) -> None:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as world:
        entry = {"authorization": f"Bearer {TOKEN}"}
        task = await world.http.put("/v1/tasks/t-1", headers=entry, json={"subject": "x"})
        text = await world.http.put("/v1/tasks/t-1", headers=entry, content=b"\xff")
        blind = await world.http.delete("/v1/segments/acme", headers=entry)
        large = await world.http.put("/v1/tasks/t-1", headers=entry, content=b" " * (4 * 1024 * 1024 + 1))
        tasks = (await world.get("/v1/tasks")).json()["tasks"]

    assert (task.status_code, task.json()["detail"]) == (422, "notes: Field required")
    assert (text.status_code, blind.status_code, large.status_code) == (422, 428, 413)
    assert tasks == []


async def test_what_cannot_be_kept_is_not_acknowledged(ledger: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "folder" / "vendors.jsonl"
    log.parent.mkdir()
    async with vendors(ledger, log) as world:
        await world.hand_over("sdr_task", touch_for("sdr_task"))
        log.unlink()
        log.parent.rmdir()
        answer = await world.http.put(
            "/v1/tasks/t-2",
            headers={"authorization": f"Bearer {TOKEN}"},
            json=(await world.seen("/v1/tasks"))[0]["body"],
        )
        tasks = (await world.get("/v1/tasks")).json()["tasks"]

    assert answer.status_code == 503
    assert [task["id"] for task in tasks] == ["T-1"]


# How they behave


async def test_a_behaviour_counts_for_its_path_and_its_times_only(ledger: Ledger, tmp_path: Path) -> None:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as world:
        await world.behave("down", "/v1/tasks", times=2, retry_after=3)
        down = [await world.get("/v1/tasks") for _ in range(3)]
        other = await world.get("/v1/audiences/x")
        await world.behave("down", "/v1/tasks", times=5)
        await world.behave("down", "/v1/tasks", times=0)
        lifted = await world.get("/v1/tasks")
        await world.behave("down", times=5)
        await world.behave_well()
        forgotten = await world.get("/v1/tasks")
        wrong = await world.http.post("/_behave", json={"mode": "sulk"})

    assert [answer.status_code for answer in down] == [503, 503, 200]
    assert down[0].headers["retry-after"] == "3"
    assert (other.status_code, lifted.status_code, forgotten.status_code) == (200, 200, 200)
    assert wrong.status_code == 422


async def test_a_rate_limit_holds_for_all_and_says_when_to_come_back(ledger: Ledger, tmp_path: Path) -> None:
    async with vendors(ledger, tmp_path / "vendors.jsonl") as world:
        await world.behave("rate_limit", "/v1/tasks", per_second=0.2)
        first, second = await world.get("/v1/tasks"), await world.get("/v1/tasks")

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["retry-after"] == "5"


# What they tell


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("sdr_task", OutcomeKind.REPLY),
        ("web_personalization", OutcomeKind.OPEN),
        ("paid_media", OutcomeKind.CLICK),
    ],
)
async def test_what_came_back_is_told_signed_and_as_an_outcome(
    ledger: Ledger, tmp_path: Path, channel: str, kind: OutcomeKind
) -> None:
    async with (
        listening() as (listener, url),
        vendors(ledger, tmp_path / "v.jsonl", callback_url=url, callback_secret=SecretStr(SECRET)) as world,
    ):
        touch = touch_for(channel)
        await world.hand_over(channel, touch)
        answer = (await world.http.post(f"/_complete/{touch.touch_id}")).json()

    ((path, headers, body),) = listener.calls
    assert answer["answers"] == [202]
    assert path == f"/v1/outcomes/{channel}"
    Webhook(SECRET).verify(body, headers)
    told = json.loads(body)
    assert told["account_id"] == "northwind"
    outcome = Outcome.model_validate(told["outcome"])
    assert (outcome.source, outcome.touch_id, outcome.kind) == (channel, touch.touch_id, kind)
    assert headers["webhook-id"] == outcome.outcome_id
    assert outcome.contact_id == (None if channel == "paid_media" else "c-1")


async def test_a_callback_is_made_twice_if_told_so(ledger: Ledger, tmp_path: Path) -> None:
    async with (
        listening() as (listener, url),
        vendors(ledger, tmp_path / "v.jsonl", callback_url=url, callback_secret=SecretStr(SECRET)) as world,
    ):
        touch = touch_for("sdr_task")
        await world.hand_over("sdr_task", touch)
        await world.behave("duplicate_callbacks", "/v1/tasks")
        told = {"kind": "meeting", "detail": "Thursday"}
        first = await world.http.post(f"/_complete/{touch.touch_id}", json=told)
        second = await world.http.post(f"/_complete/{touch.touch_id}")

    assert (first.json()["answers"], second.json()["answers"]) == ([202, 202], [202])
    bodies = [body for _, _, body in listener.calls]
    assert bodies[0] == bodies[1] != bodies[2]
    assert json.loads(bodies[0])["outcome"]["kind"] == "meeting"


async def test_there_is_nothing_to_tell_about_what_never_came_or_was_cancelled(
    ledger: Ledger, tmp_path: Path
) -> None:
    async with (
        listening() as (listener, url),
        vendors(ledger, tmp_path / "v.jsonl", callback_url=url, callback_secret=SecretStr(SECRET)) as world,
    ):
        touch = touch_for("sdr_task")
        unknown = await world.http.post(f"/_complete/{touch.touch_id}")
        receipt = await world.hand_over("sdr_task", touch)
        await world.recall("sdr_task", recall_of(touch, receipt))
        cancelled = await world.http.post(f"/_complete/{touch.touch_id}")
        wrong = await world.http.post(f"/_complete/{touch.touch_id}", json={"kind": "applause"})

    assert receipt.status is ReceiptStatus.ACCEPTED
    assert (unknown.status_code, cancelled.status_code, wrong.status_code) == (404, 409, 422)
    assert listener.calls == []


async def test_nobody_to_tell_is_said_and_not_hidden(ledger: Ledger, tmp_path: Path) -> None:
    settings = {"callback_url": "http://127.0.0.1:9/", "callback_secret": SecretStr(SECRET)}
    async with vendors(ledger, tmp_path / "v.jsonl", **settings) as world:
        await world.hand_over("sdr_task", touch_for("sdr_task"))
        answer = await world.http.post("/_complete/northwind/p-1/1")

    assert answer.json()["answers"] == ["ConnectError"]


# As a program


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    """The program decides where its log goes; in a test that must not outlive it."""
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_says_when_it_is_ready_and_ends_in_order(tmp_path: Path, number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tutti.local.vendors",
        "--vendors-port=0",
        f"--vendors-log={tmp_path / 'vendors.jsonl'}",
        "--callback-url=http://127.0.0.1:9/{channel}",
        env=os.environ | {"TUTTI_VENDORS_TOKEN": TOKEN, "TUTTI_OUTCOMES_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with httpx.AsyncClient(trust_env=False) as http:
            seen = await http.get(f"http://127.0.0.1:{ready['port']}/_seen")
        process.send_signal(number)
        out, err = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (ready["ready"], seen.json()) == ("vendors", [])
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize(
    ("environment", "more", "says"),
    [
        ({}, [], "vendors: TUTTI_VENDORS_TOKEN is not set; it must hold the bearer token"),
        ({"TUTTI_VENDORS_TOKEN": "t"}, ["--callback-url=x"], "vendors: TUTTI_OUTCOMES_SECRET is not set"),
        (
            {"TUTTI_VENDORS_TOKEN": "t", "TUTTI_OUTCOMES_SECRET": "whsec_!"},
            ["--callback-url=x"],
            "vendors: TUTTI_OUTCOMES_SECRET must be whsec_ followed by base64",
        ),
        ({"TUTTI_VENDORS_TOKEN": "t"}, ["--vendors-port=99999"], "vendors: --vendors-port: Input should be"),
        ({"TUTTI_VENDORS_TOKEN": "t"}, ["--vendors-log=/proc/v"], "vendors: cannot use /proc/v: "),
    ],
)
def test_what_keeps_the_program_from_working_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    environment: dict[str, str],
    more: list[str],
    says: str,
) -> None:
    for name in ("TUTTI_VENDORS_TOKEN", "TUTTI_OUTCOMES_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert main(["--vendors-port=0", f"--vendors-log={tmp_path / 'v.jsonl'}", *more]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(says)


async def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    settings = VendorsSettings(port=0, log=tmp_path / "v.jsonl", token=SecretStr(TOKEN))
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_vendors(settings, stop, started=port.set_result))

    taken = settings.model_copy(update={"port": await port})
    with pytest.raises(VendorsError, match=rf"cannot listen on 127.0.0.1:{await port}: .*--vendors-port"):
        await run_vendors(taken, asyncio.Event())

    stop.set()
    await asyncio.wait_for(running, 10)


async def test_the_time_of_what_arrived_is_taken_down(ledger: Ledger, tmp_path: Path) -> None:
    async with vendors(ledger, tmp_path / "v.jsonl") as world:
        before = datetime.now(UTC)
        await world.hand_over("paid_media", touch_for("paid_media"))
        (entry,) = await world.seen("/v1/audiences")

    assert before <= datetime.fromisoformat(entry["at"]) <= datetime.now(UTC)
    assert (entry["method"], entry["status"]) == ("POST", 200)
