"""What goes wrong before anything runs: one clear line each, no trace, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import DEMO_POLICIES, HUBSPOT, folder_is_untouched, refused, tutti
from tutti.local import Ports


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody answers, and nobody will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def broken_policies(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(DEMO_POLICIES, folder)
    file = folder / "consent.yaml"
    file.write_text(file.read_text().replace("contact.opted_out\n", "contact.opted_aut\n"))
    return folder


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


async def test_every_command_that_needs_a_server_says_so_when_there_is_none(
    tmp_path: Path, nobody: str
) -> None:
    commands = (
        ("why", "northwind"),
        ("status", "northwind"),
        ("import", "hubspot", HUBSPOT, "--policies", DEMO_POLICIES),
        ("ledger", "rebuild"),
        ("outcome", "report", "northwind", "northwind/p1/1", "reply"),
    )

    ended = await asyncio.gather(
        *(tutti(*command, cwd=tmp_path, TEMPORAL_ADDRESS=nobody) for command in commands)
    )

    for finished in ended:
        assert refused(finished) == (
            f"no Temporal server answers at {nobody}; start one with `tutti up`, or set TEMPORAL_ADDRESS"
        )
    assert folder_is_untouched(tmp_path)


async def test_a_wrong_temporal_setting_is_named(tmp_path: Path) -> None:
    line = refused(await tutti("status", "northwind", cwd=tmp_path, TEMPORAL_PROFILE="nowhere"))

    assert line == "the TEMPORAL_* settings do not work: Profile 'nowhere' not found"


async def test_a_missing_export_is_named_without_asking_the_engine(tmp_path: Path, nobody: str) -> None:
    finished = await tutti(
        "import", "hubspot", "no[/]where", "--policies", DEMO_POLICIES, cwd=tmp_path, TEMPORAL_ADDRESS=nobody
    )

    assert refused(finished, 2) == "no[/]where: no such folder; name the folder with the exported CSV files"


async def test_a_good_policy_set_is_named_by_its_digest(tmp_path: Path) -> None:
    checked = await tutti("policy", "check", DEMO_POLICIES, cwd=tmp_path)

    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith(f"ok {DEMO_POLICIES}: 14 files, policy set ")


async def test_broken_policies_are_shown_with_file_line_and_caret(
    tmp_path: Path, broken_policies: Path
) -> None:
    line = line_of(broken_policies / "consent.yaml", "opted_aut")

    checked = await tutti("policy", "check", broken_policies, cwd=tmp_path)

    assert (checked.code, checked.out) == (1, "")
    assert checked.said[0].startswith(f"consent.yaml:{line}:")
    assert "opted_aut" in checked.said[0]
    source, caret = checked.said[1:3]
    assert caret.index("^") == source.index("opted_aut")
    assert checked.said[-1] == "The policy set has 1 mistake; nothing of it is in force."


async def test_up_tells_a_policy_mistake_before_anything_starts(
    tmp_path: Path, broken_policies: Path
) -> None:
    home = tmp_path / "home"
    up, demanded = await asyncio.gather(
        tutti("up", "--free-ports", "--home", home, "--policies", broken_policies, cwd=tmp_path),
        tutti("policy", "check", broken_policies, cwd=tmp_path),
    )

    assert (up.code, up.out) == (1, "")
    assert up.err == demanded.err, "the same words as from `tutti policy check`"
    assert not home.exists()


async def test_up_without_policies_says_how_to_name_some(tmp_path: Path) -> None:
    unset, wrong, empty = await asyncio.gather(
        tutti("up", "--free-ports", cwd=tmp_path),
        tutti("up", "--free-ports", "--policies", "nowhere", cwd=tmp_path),
        tutti("up", "--free-ports", cwd=tmp_path, TUTTI_POLICIES=""),
    )

    hint = "no such folder of policies; name one with --policies or TUTTI_POLICIES"
    assert refused(unset) == f"{tmp_path / 'policies'}: {hint}"
    assert refused(wrong) == f"nowhere: {hint}"
    assert refused(empty) == "TUTTI_POLICIES: is empty; give the path of a folder, or unset it"
    assert folder_is_untouched(tmp_path)


async def test_up_names_every_port_that_is_taken(tmp_path: Path) -> None:
    ports = Ports.free().model_dump()
    with socket.create_server(("127.0.0.1", ports["mail"])), socket.create_server(("127.0.0.1", ports["ui"])):
        given = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
        finished = await tutti("up", *given, "--policies", DEMO_POLICIES, cwd=tmp_path)

    line = refused(finished)
    assert f"port {ports['ui']} for the Temporal UI is in use (--ui-port)" in line
    assert f"port {ports['mail']} for the mail sink is in use (--mail-port)" in line
    assert "--free-ports picks free ones" in line
    assert "--gateway-port" not in line


async def test_up_refuses_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    # /proc takes no new folders from anyone, the superuser included.
    finished = await tutti(
        "up", "--free-ports", "--home", "/proc/tutti", "--policies", DEMO_POLICIES, cwd=tmp_path
    )

    assert refused(finished).startswith("cannot write in /proc/tutti: ")
    assert "choose another folder with --home" in finished.err


async def test_up_refuses_a_port_that_is_none(tmp_path: Path) -> None:
    finished = await tutti("up", "--mail-port", "70000", "--policies", DEMO_POLICIES, cwd=tmp_path)

    assert finished.code == 2
    assert "--mail-port" in finished.err
    assert "65535" in finished.err


async def test_the_demo_refuses_a_folder_that_cannot_be_written() -> None:
    finished = await tutti("demo", "--no-keep", cwd=Path(os.sep, "proc"))

    line = refused(finished)
    assert line.startswith("cannot write in /proc/.tutti: ")
    assert line.endswith("; start the demo in a folder of your own")
