"""`tutti stop`: what people type in a hurry, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytest_asyncio

from activities import publish_first
from governance import load_policy_set
from ledger import Ledger
from tests.channels.support import a_touch, allow
from tests.cli.program import DEMO_POLICIES, Finished, refused, tutti


@pytest_asyncio.fixture(loop_scope="session")
async def home(tmp_path: Path) -> Path:
    """A folder with a ledger in which the demo's policies are in force."""
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    try:
        await ledger.migrate()
        await publish_first(ledger, load_policy_set(DEMO_POLICIES))
        # Ruled on and never told more of: under way, for all the ledger knows.
        await allow(ledger, a_touch(action="send_email"))
    finally:
        await ledger.close()
    return tmp_path


async def stop(home: Path, *arguments: str, **settings: str) -> Finished:
    return await tutti(
        "stop", *arguments, cwd=home, TUTTI_HOME=str(home), TUTTI_USER="dana.reyes", **settings
    )


def said(finished: Finished) -> str:
    assert finished.code == 0, finished
    return " ".join(finished.out.split())


async def test_a_stop_is_thrown_listed_and_lifted(home: Path) -> None:
    thrown = said(await stop(home, "channel", "webhook", "--reason", "wrong\nprices [bold]", "--id", "s-1"))
    assert thrown.startswith("stopped the channel webhook (s-1) since ")
    assert "nothing was under way there" in thrown
    assert "warning" not in thrown

    listed = said(await stop(home, "list"))
    assert "s-1 the channel webhook, since" in listed
    assert "by dana.reyes: wrong prices [bold]" in listed

    # Nobody answers as the engine: the stop is lifted all the same.
    lifted = said(await stop(home, "lift", "s-1", "--reason", "mended", TEMPORAL_ADDRESS="127.0.0.1:1"))
    assert "lifted s-1: the channel webhook" in lifted
    assert "the engine does not answer" in lifted
    assert said(await stop(home, "list")) == "nothing is stopped"
    assert "lifted at" in said(await stop(home, "list", "--all"))


async def test_what_is_still_under_way_is_shown(home: Path) -> None:
    thrown = said(await stop(home, "action", "send_email", "--reason", "why"))

    assert "1 touch under way when it was thrown: 1 still under way" in thrown
    assert "northwind/p-1 send_email over email by sdr is still under way" in thrown
    assert "right before its provider is called" in thrown


async def test_json_says_the_same(home: Path) -> None:
    finished = await stop(home, "agent", "sdr-agnt", "--reason", "why", "--json")

    told = json.loads(finished.out)
    assert told["stop"]["name"] == "sdr-agnt"
    assert told["stop"]["placed_by"] == "dana.reyes"
    assert "Did you mean 'sdr-agent'?" in told["warning"]
    assert told["under_way"] == []
    (entry,) = json.loads((await stop(home, "list", "--json")).out)
    assert entry["stop"] == told["stop"]
    assert entry["lifted_at"] is None


@pytest.mark.parametrize(
    ("typed", "warning"),
    [
        (
            ("channel", "emial"),
            "no channel 'emial'; the stop stands all the same. Did you mean 'email'?",
        ),
        (("channel", "sdr-agent"), "There is one agent of that name: `tutti stop agent sdr-agent`"),
        (("account", "northwnd"), "the ledger knows no account 'northwnd'; the stop stands all the same"),
    ],
)
async def test_a_name_that_nothing_has_is_stopped_with_a_warning(
    home: Path, typed: tuple[str, str], warning: str
) -> None:
    assert warning in said(await stop(home, *typed, "--reason", "why"))
    assert typed[1] in said(await stop(home, "list"))


async def test_the_same_stop_may_be_thrown_twice_and_an_id_means_one_stop(home: Path) -> None:
    for _ in range(2):
        assert "stopped everything (s-1)" in said(
            await stop(home, "tenant", "--reason", "why", "--id", "s-1")
        )

    reused = await stop(home, "channel", "email", "--reason", "why", "--id", "s-1")

    assert refused(reused) == "Nothing was stopped: s-1 is the id of another stop; choose a new one"
    assert "everything" in said(await stop(home, "list"))


async def test_what_cannot_be_done_is_one_clear_line(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "--reason is empty" in refused(await stop(home, "tenant", "--reason", "\n "), 2)
    assert "'foo bar' cannot be a name" in refused(await stop(home, "agent", "foo bar", "--reason", "x"), 2)
    assert refused(await stop(home, "lift", "s-9", "--reason", "x")) == (
        "there is no stop 's-9'; none stands (`tutti stop list`)"
    )
    nowhere = tmp_path_factory.mktemp("empty")
    assert refused(await stop(nowhere, "tenant", "--reason", "x")).startswith("Cannot ")
