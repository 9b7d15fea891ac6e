import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path

import aiosmtplib
import httpx2 as httpx
import pytest
import structlog
from pydantic import HttpUrl, SecretStr
from standardwebhooks import Webhook

from activities.channels import ChannelEnvironment, WebhookSettings, webhook
from domain import ReceiptStatus
from ledger import Ledger
from tests.channels.support import LINKS, a_touch, email_activity, perform
from tests.notices.support import a_notice, chat_to, mail_to, notifying, tell
from tutti.local.sinks import SinkError, SinkPorts, SinkSettings, main, run_sinks

SECRET = "whsec_" + "A" * 32


def settings(folder: Path, **changes: object) -> SinkSettings:
    return SinkSettings(
        mail_port=0,
        mail_dir=folder / "mail",
        webhook_port=0,
        webhook_log=folder / "webhooks.jsonl",
        webhook_secret=SecretStr(SECRET),
    ).model_copy(update=changes)


@asynccontextmanager
async def sinks(settings: SinkSettings) -> AsyncIterator[SinkPorts]:
    stop, ports = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_sinks(settings, stop, started=ports.set_result))
    try:
        await asyncio.wait({running, ports}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield ports.result()
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 10)


async def post(port: int, webhook_id: str, changed: dict[str, str] | None = None) -> httpx.Response:
    now, body = datetime.now(UTC), '{"a":1}'
    signed = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(webhook_id, now, body),
    } | (changed or {})
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"http://127.0.0.1:{port}/", content=body, headers=signed)


def kept(settings: SinkSettings) -> list[dict[str, object]]:
    return [json.loads(line) for line in settings.webhook_log.read_text("utf-8").splitlines()]


async def test_what_both_channels_send_can_be_read_afterwards(tmp_path: Path, ledger: Ledger) -> None:
    where = settings(tmp_path)

    async with sinks(where) as ports:
        mailed = await perform(email_activity(ledger, ports.mail), a_touch())
        posted = await perform(
            webhook.build(
                ChannelEnvironment(ledger=ledger, unsubscribe=LINKS),
                WebhookSettings(url=HttpUrl(f"http://127.0.0.1:{ports.webhook}/x"), secret=SecretStr(SECRET)),
            ).hand_over,
            a_touch(touch_id="northwind/p-2/1"),
        )

    assert mailed.status is posted.status is ReceiptStatus.ACCEPTED
    (file,) = where.mail_dir.iterdir()
    assert file.suffix == ".eml"
    assert file.name in (mailed.detail or "")
    message = BytesParser(policy=policy.default).parsebytes(file.read_bytes())
    assert message["Message-ID"] == mailed.provider_ref
    (line,) = kept(where)
    assert line["id"] == "northwind/p-2/1"
    assert line["payload"]["data"]["subject"] == "A question"  # type: ignore[index]


async def test_a_webhook_is_taken_once_also_after_a_restart_and_a_torn_line(tmp_path: Path) -> None:
    where = settings(tmp_path)

    async with sinks(where) as ports:
        answers = await asyncio.gather(*(post(ports.webhook, "one") for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
    with where.webhook_log.open("ab") as file:
        file.write(b'{"id":"torn')
    async with sinks(where) as ports:
        assert (await post(ports.webhook, "one")).json() == {"status": "known"}
        assert (await post(ports.webhook, "torn")).json() == {"status": "kept"}

    assert [line["id"] for line in kept(where)] == ["one", "torn"]


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "garbage"},
        {"webhook-signature": "v1,not base64!"},
        {"webhook-timestamp": "1"},
        {"webhook-id": "another"},
    ],
)
async def test_a_webhook_with_a_wrong_signature_is_not_kept(tmp_path: Path, headers: dict[str, str]) -> None:
    where = settings(tmp_path)

    async with sinks(where) as ports:
        answer = await post(ports.webhook, "one", headers)

    assert answer.status_code == 401
    assert kept(where) == []


async def test_a_body_that_is_no_text_is_refused_and_the_sink_goes_on(tmp_path: Path) -> None:
    async with sinks(settings(tmp_path)) as ports:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"http://127.0.0.1:{ports.webhook}/",
                content=b"\xff\xfe",
                headers={"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,x"},
            )
        assert answer.status_code == 401
        assert (await post(ports.webhook, "one")).status_code == 200


async def test_a_mail_that_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    where = settings(tmp_path)

    async with sinks(where) as ports:
        where.mail_dir.rmdir()
        with pytest.raises(aiosmtplib.SMTPDataError) as caught:
            await aiosmtplib.send(
                b"Subject: x\r\n\r\nx",
                sender="a@example.com",
                recipients=["b@example.com"],
                hostname="127.0.0.1",
                port=ports.mail,
                local_hostname="test",
            )

    assert caught.value.code == 452


async def test_stopping_does_not_wait_for_a_client_that_stays(tmp_path: Path) -> None:
    async with sinks(settings(tmp_path)) as ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports.mail)
        assert (await reader.readline()).startswith(b"220 ")

    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    async with sinks(settings(tmp_path)) as ports:
        with pytest.raises(SinkError, match=rf"mail on 127.0.0.1:{ports.mail}: .*--mail-port"):
            await run_sinks(settings(tmp_path, mail_port=ports.mail), asyncio.Event())
        with pytest.raises(SinkError, match=rf"webhooks on 127.0.0.1:{ports.webhook}: .*--webhook-port"):
            await run_sinks(settings(tmp_path, webhook_port=ports.webhook), asyncio.Event())


async def test_a_path_that_cannot_be_used_is_named_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SinkError, match=r"cannot make the folder .*file/mail: .*--mail-dir"):
        await run_sinks(settings(tmp_path, mail_dir=tmp_path / "file" / "mail"), asyncio.Event())
    with pytest.raises(SinkError, match=r"cannot use .*: .*--webhook-log"):
        await run_sinks(settings(tmp_path, webhook_log=tmp_path), asyncio.Event())


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    """The program decides where its log goes; in a test that must not outlive it."""
    yield
    structlog.reset_defaults()


def arguments(folder: Path) -> list[str]:
    return [
        "--mail-port=0",
        f"--mail-dir={folder / 'mail'}",
        "--webhook-port=0",
        f"--webhook-log={folder / 'webhooks.jsonl'}",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_says_when_it_is_ready_and_ends_in_order(tmp_path: Path, number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tutti.local.sinks",
        *arguments(tmp_path),
        env=os.environ | {"TUTTI_WEBHOOK_SECRET": SECRET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        assert ready["ready"] == "sinks"
        assert (await post(ready["webhook_port"], "one")).status_code == 200
        process.send_signal(number)
        out, err = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0
    assert (out, err) == (b"", b"")


@pytest.mark.usefixtures("_logging_restored")
def test_a_missing_or_wrong_secret_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TUTTI_WEBHOOK_SECRET", raising=False)
    assert main(arguments(tmp_path)) == 1
    monkeypatch.setenv("TUTTI_WEBHOOK_SECRET", "whsec_!")
    assert main(arguments(tmp_path)) == 1

    missing, wrong = capsys.readouterr().err.splitlines()
    assert missing.startswith("sinks: TUTTI_WEBHOOK_SECRET is not set")
    assert wrong.startswith("sinks: TUTTI_WEBHOOK_SECRET must be")


@pytest.mark.usefixtures("_logging_restored")
def test_a_port_that_is_none_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUTTI_WEBHOOK_SECRET", SECRET)

    assert main([*arguments(tmp_path), "--mail-port=99999"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sinks: --mail-port:")


# -- what our own people are told ---------------------------------------------------------------------------


async def test_notices_are_kept_apart_from_what_goes_to_contacts(tmp_path: Path, ledger: Ledger) -> None:
    where = settings(tmp_path, chat_log=tmp_path / "chat.jsonl")

    async with sinks(where) as ports:
        await perform(email_activity(ledger, ports.mail), a_touch())
        report = await tell(
            notifying(
                ledger,
                mail=mail_to(ports.mail),
                chat=chat_to(f"http://127.0.0.1:{ports.webhook}/chat"),
            ),
            a_notice(),
        )

    assert report.delivered == ("dana.reyes by mail", "chat")
    assert len(list(where.mail_dir.glob("*.eml"))) == 1
    (notice,) = (where.mail_dir / "notices").iterdir()
    message = BytesParser(policy=policy.default).parsebytes(notice.read_bytes())
    assert message["To"] == "dana.reyes@example.com"
    (line,) = [json.loads(each) for each in (tmp_path / "chat.jsonl").read_text("utf-8").splitlines()]
    assert line["payload"]["text"].startswith("Approval needed")
    assert kept(where) == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ('{"text": "hello"}', 200, "ok"),
        ('{"blocks": []}', 400, "no_text"),
        ('{"text": ""}', 400, "no_text"),
        ("hello", 400, "invalid_payload"),
        ("[1]", 400, "invalid_payload"),
        ("x" * 100_000, 413, "msg_too_long"),
    ],
)
async def test_the_chat_answers_as_slack_does(tmp_path: Path, body: str, status: int, says: str) -> None:
    chat_log = tmp_path / "chat.jsonl"
    async with (
        sinks(settings(tmp_path, chat_log=chat_log)) as ports,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        answer = await client.post(f"http://127.0.0.1:{ports.webhook}/chat/legal", content=body)

    assert (answer.status_code, answer.text) == (status, says)
    assert len(chat_log.read_text("utf-8").splitlines()) == (1 if status == 200 else 0)


async def test_a_chat_log_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot use .*: .*--chat-log"):
        async with sinks(settings(tmp_path, chat_log=tmp_path)):
            pass
