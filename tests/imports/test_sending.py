"""The import hands over everything, in order and in small messages, and says what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from domain import Account, Contact, Observation, Reading, Signal, Stage
from gateway.imports import ImportReport, UnusableExportError, import_hubspot, render_report
from tests.imports.exports import EVENT_HEADER, EXAMPLE, Door, export
from workflows import EngineUnavailableError

SIZE_LIMIT = 256 * 1024


def interpret(signal: Signal) -> Signal:
    reading = Reading(
        system="hubspot", stage=Stage.AWARE, urgency=0.1, confidence=0.2, observed_at=signal.observed_at
    )
    return signal.model_copy(update={"reading": reading})


def silent(_name: str, _done: int, _total: int) -> None:
    """Show no progress."""


async def run(folder: Path, door: Door, concurrency: int = 16) -> ImportReport:
    return await import_hubspot(
        folder, accounts=door, interpret=interpret, progress=silent, concurrency=concurrency
    )


def shown(report: ImportReport, *, verbose: bool = False) -> str:
    console = Console(width=200, record=True, quiet=False, force_terminal=False, file=None)
    with console.capture() as capture:
        console.print(render_report(report, verbose=verbose))
    return capture.get()


async def test_each_account_hears_of_itself_first_then_of_its_people_then_its_history() -> None:
    door = Door()
    report = await run(EXAMPLE, door)
    assert report.exit_code == 0
    assert (report.accounts, report.contacts, report.signals, report.past_touches) == (6, 14, 42, 17)
    assert report.contacts_without_company == 1
    for account_id in {account for account, _ in door.messages}:
        kinds = [item.type for item in door.told(account_id)]
        contacts = kinds.count("contact")
        assert kinds[0] == "account"
        assert set(kinds[1 : 1 + contacts]) <= {"contact"}
        assert not {"account", "contact"} & set(kinds[1 + contacts :])
    told = [item for _, items in door.messages for item in items]
    assert all(item.reading is not None for item in told if isinstance(item, Signal))


async def test_importing_again_says_exactly_the_same() -> None:
    first, second = Door(), Door()
    await run(EXAMPLE, first)
    await run(EXAMPLE, second, concurrency=1)
    assert sorted(first.messages, key=lambda message: message[0]) == second.messages


async def test_messages_are_small_in_items_and_in_bytes(tmp_path: Path) -> None:
    rows = "".join(f"10,p{n},{'ü' * 3000},2026-01-01 10:00:{n % 60:02}\n" for n in range(450))
    folder = export(tmp_path, contact_property_history=f"contact_id,name,value,timestamp\n{rows}")
    door = Door()
    report = await run(folder, door)
    assert report.signals == 450
    assert len(door.told("hubspot-1")) == 453
    assert all(len(items) <= 100 for _, items in door.messages)
    sizes = [sum(len(item.model_dump_json().encode()) for item in items) for _, items in door.messages]
    assert max(sizes) < SIZE_LIMIT
    assert len(sizes) > 5


async def test_a_hundred_items_fill_a_message(tmp_path: Path) -> None:
    rows = "".join(f"e{n},OPEN,2026-01-01,ann@acme.example,,,\n" for n in range(247))
    door = Door()
    await run(export(tmp_path, email_event=EVENT_HEADER + rows), door)
    assert [len(items) for _, items in door.messages] == [100, 100, 50]


async def test_progress_moves_with_each_account() -> None:
    steps: list[tuple[str, int, int]] = []
    await import_hubspot(
        EXAMPLE,
        accounts=Door(),
        interpret=interpret,
        progress=lambda name, done, total: steps.append((name, done, total)),
        concurrency=3,
    )
    assert steps == [("accounts", done, 6) for done in range(1, 7)]


async def test_one_account_that_fails_does_not_stop_the_others() -> None:
    door = Door({"hubspot-103": ValueError("too many\nsignals")})
    report = await run(EXAMPLE, door)
    assert report.exit_code == 1
    assert report.accounts == 5
    assert [(failure.account_id, failure.message) for failure in report.failures] == [
        ("hubspot-103", "too many signals")
    ]
    assert "hubspot-103: too many signals" in shown(report)


async def test_an_unreachable_engine_stops_the_import_with_its_own_words() -> None:
    door = Door({"hubspot-101": EngineUnavailableError("no engine at localhost:7233; start it")})
    with pytest.raises(EngineUnavailableError, match="start it"):
        await run(EXAMPLE, door, concurrency=1)
    assert door.messages == []


async def test_no_more_accounts_are_in_work_than_allowed(tmp_path: Path) -> None:
    company = "id,property_name\n" + "".join(f"{n},C{n}\n" for n in range(1, 31))
    folder = export(tmp_path, company=company, contact="id\n")

    class Busy:
        now = 0
        most = 0

        async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
            assert account_id
            assert observations
            self.now += 1
            self.most = max(self.most, self.now)
            for _ in range(5):
                await asyncio.sleep(0)
            self.now -= 1

    busy = Busy()
    report = await import_hubspot(folder, accounts=busy, interpret=interpret, progress=silent, concurrency=4)
    assert report.accounts == 30
    assert busy.most == 4


async def test_an_unusable_folder_sends_nothing(tmp_path: Path) -> None:
    door = Door()
    with pytest.raises(UnusableExportError):
        await run(tmp_path, door)
    assert door.messages == []


async def test_malformed_rows_are_shown_with_their_places_and_the_rest_arrives(tmp_path: Path) -> None:
    rows = "".join(f"e{n},OPEN,soon,ann@acme.example,,,\n" for n in range(30))
    events = f"{EVENT_HEADER}{rows}ok,OPEN,2026-01-01,ann@acme.example,,,\n"
    door = Door()
    report = await run(export(tmp_path, email_event=events), door)
    assert report.exit_code == 1
    assert (report.malformed, report.signals) == (30, 1)
    text = shown(report)
    assert "30 malformed rows" in text
    assert "email_event.csv:2:created: 'soon' is no date and time; write it like" in text
    assert "and 10 more" in text
    assert "email_event.csv:31:created" in shown(report, verbose=True)
    told = door.told("hubspot-1")
    assert (isinstance(told[0], Account), isinstance(told[1], Contact)) == (True, True)


async def test_the_report_folds_what_was_not_used() -> None:
    report = await run(EXAMPLE, Door())
    text, long = shown(report), shown(report, verbose=True)
    assert "contact_list" not in text
    assert "Nothing used from 1 table with 2 rows: 2 no use for it in Tutti." in text
    assert "Not in this export: 33 tables." in text
    assert "contact_list" in long
    assert "engagement_task" in long
    assert "6 accounts, 14 contacts, 42 signals and 17 past touches from 136 rows" in text
    assert "1 contact without a company" in text
