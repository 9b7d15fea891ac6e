"""What the local stack refuses before any process starts, each with one line."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.helpers import children
from tutti.local import LocalStack, Ports, Secrets, StackCode, StackError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def refusal(home: Path, ports: Ports | None = None) -> StackError:
    stack = LocalStack(home, ports=ports or Ports.free(), children=children(worker="steady"), preloaded=())
    with pytest.raises(StackError) as caught:
        await stack.start()
    assert stack.pids() == {}
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_port_in_use_is_named_with_its_purpose_and_its_option(tmp_path: Path, taken: int) -> None:
    error = await refusal(tmp_path, Ports.free().model_copy(update={"webhook": taken}))

    assert error.code is StackCode.PORT
    assert f"port {taken} for the webhook sink is in use (--webhook-port)" in str(error)


async def test_all_ports_in_use_are_named_at_once(tmp_path: Path, taken: int) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104 - a listener on all addresses counts too
        ports = Ports.free().model_copy(update={"temporal": taken, "ui": other.getsockname()[1]})
        error = await refusal(tmp_path, ports)

    assert "(--temporal-port)" in str(error)
    assert "(--ui-port)" in str(error)
    assert "--gateway-port" not in str(error)


async def test_one_port_for_two_uses_is_refused(tmp_path: Path) -> None:
    free = Ports.free()

    error = await refusal(tmp_path, free.model_copy(update={"mail": free.gateway}))

    assert f"port {free.gateway} is asked for twice, for the gateway and the mail sink" in str(error)


def test_free_ports_are_six_different_ones() -> None:
    assert len(set(Ports.free().model_dump().values())) == 6


async def test_a_refused_stack_leaves_its_folder_to_the_next(tmp_path: Path, taken: int) -> None:
    await refusal(tmp_path, Ports.free().model_copy(update={"ui": taken}))

    async with LocalStack(
        tmp_path, ports=Ports.free(), children=children(worker="steady"), preloaded=()
    ) as next_one:
        assert next_one.pid("worker")


async def test_a_folder_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "missing" / ".tutti")

    assert error.code is StackCode.FOLDER
    assert f"{tmp_path / 'missing'} is no folder" in str(error)
    assert "--home" in str(error)


async def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    assert f"{tmp_path / 'home'} is a file" in str(await refusal(tmp_path / "home"))


async def test_a_place_that_cannot_be_written_is_refused() -> None:
    # /proc takes no new folders from anyone, the superuser included.
    error = await refusal(Path("/proc/tutti"))

    assert error.code is StackCode.FOLDER
    assert "cannot write in /proc/tutti" in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
async def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)  # noqa: PTH101 - the method of Path counts as blocking, this does not

    assert "Permission denied" in str(await refusal(tmp_path))


async def test_a_second_stack_on_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, ports=Ports.free(), children=children(worker="steady"), preloaded=()):
        error = await refusal(tmp_path)

    assert error.code is StackCode.IN_USE
    assert f"already running on {tmp_path} (process {os.getpid()})" in str(error)


async def secrets_of(home: Path) -> Secrets:
    stack = LocalStack(home, ports=Ports.free(), children=children(worker="steady"), preloaded=())
    async with stack:
        secrets = stack.layout.secrets
        assert secrets.signing_key.get_secret_value() not in repr(stack.layout)
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    return secrets


async def test_secrets_are_private_lasting_and_different_for_each_folder(tmp_path: Path) -> None:
    one = await secrets_of(tmp_path / "one")
    os.chmod(tmp_path / "one" / "secrets.json", 0o644)  # noqa: PTH101 - as a restored copy may have it
    again = await secrets_of(tmp_path / "one")
    two = await secrets_of(tmp_path / "two")

    assert again == one
    assert two.signing_key != one.signing_key
    assert two.webhook_secret != one.webhook_secret
    assert two.vendors_token != one.vendors_token


async def test_a_folder_of_an_earlier_version_gets_what_it_lacks_and_keeps_what_it_has(
    tmp_path: Path,
) -> None:
    old = {"signing_key": "k" * 64, "webhook_secret": "whsec_" + "A" * 43 + "="}
    (tmp_path / "secrets.json").write_text(json.dumps(old))

    first = await secrets_of(tmp_path)
    again = await secrets_of(tmp_path)

    assert first.signing_key.get_secret_value() == old["signing_key"]
    assert first.webhook_secret.get_secret_value() == old["webhook_secret"]
    assert again == first


async def test_a_folder_of_an_earlier_version_gets_the_token_it_lacks_and_keeps_its_keys(
    tmp_path: Path,
) -> None:
    made = await secrets_of(tmp_path / "one")
    file = tmp_path / "one" / "secrets.json"
    file.write_text(
        json.dumps(
            {name: value for name, value in json.loads(file.read_text()).items() if "token" not in name}
        )
    )

    first, second = await secrets_of(tmp_path / "one"), await secrets_of(tmp_path / "one")

    assert first == second
    assert first.signing_key == made.signing_key
    assert first.channel_token != made.channel_token


async def test_a_damaged_file_of_secrets_is_named_and_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"signing_key": "short"}')

    error = await refusal(tmp_path)

    assert f"{file} is damaged" in str(error)
    assert "short" not in str(error)
    assert file.read_text() == '{"signing_key": "short"}'


async def test_what_the_terminal_says_about_production_does_not_reach_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "production")
    monkeypatch.setenv("TUTTI_NOTICES_PASSWORD", "real")
    monkeypatch.setenv("TUTTI_CHAT_WEBHOOK_URL", "https://chat.example.com/hooks/real")
    monkeypatch.setenv("TUTTI_EMAIL_PASSWORD", "production")
    monkeypatch.setenv("TUTTI_WEBHOOK_URL", "https://crm.example.com")
    monkeypatch.setenv("TUTTI_SDR_TASK_BASE_URL", "https://crm.example.com")
    monkeypatch.setenv("TUTTI_PAID_MEDIA_BATCH_MEMBERS", "7")
    monkeypatch.setenv("TUTTI_REPLY_TOKEN", "r" * 32)
    stack = LocalStack(tmp_path, ports=Ports.free(), children=children(worker="steady"), preloaded=())
    async with stack:
        environment = stack.layout.environment

    assert "TEMPORAL_API_KEY" not in environment
    assert "TUTTI_EMAIL_PASSWORD" not in environment
    assert environment["TUTTI_WEBHOOK_URL"] == f"http://127.0.0.1:{stack.ports.webhook}/"
    for channel in ("SDR_TASK", "WEB_PERSONALIZATION", "PAID_MEDIA"):
        assert environment[f"TUTTI_{channel}_BASE_URL"] == f"http://127.0.0.1:{stack.ports.vendors}"
        assert environment[f"TUTTI_{channel}_TOKEN"] == environment["TUTTI_VENDORS_TOKEN"]
    assert "TUTTI_PAID_MEDIA_BATCH_MEMBERS" not in environment
    assert environment["TUTTI_EMAIL_PORT"] == environment["TUTTI_NOTICES_PORT"] == str(stack.ports.mail)
    assert environment["TUTTI_CHAT_WEBHOOK_URL"] == f"http://127.0.0.1:{stack.ports.webhook}/chat"
    assert "TUTTI_NOTICES_PASSWORD" not in environment
    assert environment["TUTTI_REPLY_TOKEN"] == "r" * 32  # who may come in is the user's to say
    assert environment["TEMPORAL_ADDRESS"] == f"127.0.0.1:{stack.ports.temporal}"
