"""Which policy set is in force: the ledger says it, and a bad one stops nobody."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from activities import PolicyKeeper, keep_policies, publish_first
from activities.policies import NoPolicySetError
from governance import PolicyError, PolicySet, compile_policy_set, load_policy_set
from ledger import Ledger, Release, ReleaseKind

SHIPPED = Path(__file__).resolve().parents[2] / "policies"


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def shipped() -> PolicySet:
    return load_policy_set(SHIPPED)


@pytest.fixture(scope="module")
def other(shipped: PolicySet) -> PolicySet:
    return compile_policy_set({**shipped.files, "timing.yaml": shipped.files["timing.yaml"] + "# another\n"})


async def publish(ledger: Ledger, files: dict[str, str], digest: str) -> Release:
    standing = await ledger.release_in_force()
    return await ledger.publish(
        files,
        digest,
        author="dana",
        reason="test",
        at=datetime(2026, 3, 2, tzinfo=UTC),
        kind=ReleaseKind.PUBLISH,
        expected=standing.number if standing else None,
    )


def a_folder(tmp_path: Path, policies: PolicySet) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    for name, text in policies.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


async def test_what_is_published_counts_from_the_next_question_on(
    ledger: Ledger, shipped: PolicySet, other: PolicySet
) -> None:
    await publish_first(ledger, shipped)
    keeper = PolicyKeeper(ledger, shipped)
    assert await keeper.in_force() is shipped

    await publish(ledger, dict(other.files), other.digest)

    assert (await keeper.in_force()).digest == other.digest
    await publish(ledger, dict(shipped.files), shipped.digest)
    assert await keeper.in_force() is shipped, "going back compiles nothing"


async def test_many_who_ask_at_once_wait_for_one_compilation(
    ledger: Ledger, shipped: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_first(ledger, shipped)
    keeper = PolicyKeeper(ledger)
    compiled: list[str] = []

    def counting(files: dict[str, str]) -> PolicySet:
        compiled.append("once")
        return compile_policy_set(files)

    monkeypatch.setattr("activities.policies.compile_policy_set", counting)
    found = await asyncio.gather(*(keeper.in_force() for _ in range(20)))

    assert {id(each) for each in found} == {id(found[0])}
    assert compiled == ["once"]


async def test_a_release_that_cannot_be_used_leaves_the_last_good_one_in_force(
    ledger: Ledger, shipped: PolicySet, other: PolicySet
) -> None:
    await publish_first(ledger, shipped)
    keeper = PolicyKeeper(ledger)
    await keeper.in_force()
    await publish(ledger, {"timing.yaml": "from a later version"}, "b" * 64)

    with capture_logs() as logs:
        found = [(await keeper.in_force()).digest for _ in range(3)]

    assert found == [shipped.digest] * 3
    (entry,) = logs
    assert (entry["log_level"], entry["release"], entry["author"]) == ("error", 2, "dana")
    assert "people.yaml: error: the file is missing" in entry["why"]
    await publish(ledger, dict(other.files), other.digest)
    assert (await keeper.in_force()).digest == other.digest, "the next good one counts again"


async def test_a_process_that_starts_under_an_unusable_release_takes_the_last_usable_one(
    ledger: Ledger, shipped: PolicySet
) -> None:
    await publish_first(ledger, shipped)
    await publish(ledger, {}, "b" * 64)

    assert (await PolicyKeeper(ledger).in_force()).digest == shipped.digest


async def test_files_that_are_not_those_of_the_digest_are_not_used(
    ledger: Ledger, shipped: PolicySet, other: PolicySet
) -> None:
    """Somebody changed the ledger's copy by hand: decisions would carry a digest that does not fit."""
    await publish_first(ledger, shipped)
    await publish(ledger, dict(other.files), "c" * 64)

    with capture_logs() as logs:
        found = await PolicyKeeper(ledger).in_force()

    assert found.digest == shipped.digest
    assert f"those of {other.digest[:12]}" in logs[0]["why"]


async def test_without_any_usable_release_there_is_no_ruling(ledger: Ledger) -> None:
    keeper = PolicyKeeper(ledger)
    with pytest.raises(NoPolicySetError, match="no policy set is in force; start a worker"):
        await keeper.in_force()

    await publish(ledger, {}, "b" * 64)

    with pytest.raises(NoPolicySetError, match=r"release 1 \(bbbbbbbbbbbb\) cannot be used"):
        await keeper.in_force()


async def test_the_first_start_puts_the_folder_in_force(
    ledger: Ledger, tmp_path: Path, shipped: PolicySet
) -> None:
    folder = a_folder(tmp_path, shipped)

    keepers = await asyncio.gather(*(keep_policies(ledger, folder) for _ in range(3)))

    (release,) = await ledger.releases()
    assert (release.number, release.kind, release.author, release.reason) == (
        1,
        ReleaseKind.FIRST,
        "worker",
        "first start",
    )
    for keeper in keepers:
        assert (await keeper.in_force()).digest == shipped.digest


async def test_later_starts_keep_to_the_release_and_mention_a_folder_that_differs(
    ledger: Ledger, tmp_path: Path, shipped: PolicySet, other: PolicySet
) -> None:
    await publish_first(ledger, shipped)

    with capture_logs() as logs:
        keeper = await keep_policies(ledger, a_folder(tmp_path, other))

    assert (await keeper.in_force()).digest == shipped.digest
    assert len(await ledger.releases()) == 1
    (entry,) = logs
    assert (entry["own"], entry["digest"]) == (other.digest[:12], shipped.digest[:12])


async def test_a_broken_folder_stops_the_first_start_and_no_later_one(
    ledger: Ledger, tmp_path: Path, shipped: PolicySet
) -> None:
    folder = a_folder(tmp_path, shipped)
    (folder / "timing.yaml").unlink()
    with pytest.raises(PolicyError, match=r"timing\.yaml: error: the file is missing"):
        await keep_policies(ledger, folder)
    assert await ledger.releases() == []

    await publish_first(ledger, shipped)
    shutil.rmtree(folder)
    with capture_logs() as logs:
        keeper = await keep_policies(ledger, folder)

    assert (await keeper.in_force()).digest == shipped.digest
    assert [entry["log_level"] for entry in logs] == ["warning"]
