"""`tutti demo`: the first thing a new user types, in an empty folder."""

from __future__ import annotations

from pathlib import Path

from tests.cli.program import TUTTI, tutti

CHAPTERS = (
    "An intent surge at Northwind Robotics",
    "Four systems see it, and each reads it differently",
    "Within a second each proposes its own next best action",
    "With Tutti: one decision window, judged together under one set of policies",
    "One exception waits for a person",
    "Amira Haddad replies: “Thursday works, please send an invitation”",
    "A play runs for weeks, in seconds: a registration at Fabrikam Logistics",
    "The same for a whole CRM: import a HubSpot export",
    "Every decision is on record, and the record shows if anybody changes it",
    "See for yourself",
)


async def test_the_demo_tells_its_story_with_one_real_e_mail(tmp_path: Path) -> None:
    told = await tutti("demo", "--no-keep", cwd=tmp_path, COLUMNS="80")

    assert told.code == 0, told
    assert told.err == ""
    places = [told.out.index(f" {number}  {title}\n") for number, title in enumerate(CHAPTERS, 1)]
    assert places == sorted(places)
    assert len(list((tmp_path / ".tutti" / "demo" / "mail").glob("*.eml"))) == 2
    assert (tmp_path / ".tutti" / "demo" / "webhooks.jsonl").read_text() == ""
    assert "4 touches in 0.8 s" in told.out
    assert "1 touch, a reply, and 3 decisions explained" in told.out
    assert "A meeting is booked: completed, what was scheduled is dropped" in told.out
    assert "6 accounts, 14 contacts, 42 signals and 17 past touches" in told.out

    # The links are whole lines to copy, and the commands work from this folder, with nothing activated.
    links = told.out[places[-1] :]
    assert "/namespaces/default/workflows/account%2Fnorthwind\n" in links
    assert f"{TUTTI} why northwind\n" in links
    assert f"{TUTTI} up --home .tutti/demo --policies " in links
    prose = [line for line in told.out[: places[-1]].splitlines() if "http" not in line]
    assert max(len(line) for line in prose) <= 80
