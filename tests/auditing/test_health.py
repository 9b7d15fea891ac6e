"""How well people answer: every share with its count, and what is planted counts apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from rich.console import Console
from typer.testing import CliRunner, Result

from domain import Answer, Proposed, Seeded
from ledger import Ledger
from tests.auditing import accounts as a
from tests.builders import proposal
from tutti.approvals.figures import Health, Ratio, health_of
from tutti.approvals.health import show_health
from tutti.cli import app
from tutti.settings import Settings

DANA = "dana.reyes"


@pytest_asyncio.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'health.db'}")
    await ledger.migrate()
    yield ledger
    await ledger.close()


async def asked(  # noqa: PLR0917 - one account's story
    ledger: Ledger,
    account_id: str,
    said: Answer | None,
    after: timedelta = timedelta(minutes=10),
    look: timedelta | None = None,
    planted_by: str | None = None,
) -> None:
    """Play an account on which one question is asked, and answered after a time; None: it expires."""
    made = a.begun(account_id)
    wish = proposal("p1", contact_id="erik", value=5_000.0)
    made.send(
        [Proposed(proposal=wish) if planted_by is None else Seeded(proposal=wish, seeded_by=planted_by)]
    )
    made.run_to(made.now + timedelta(seconds=30))
    (approval,) = made.state.approvals.values()
    if said is None:
        made.run_to(made.now + timedelta(days=5))
    else:
        if look is not None:
            made.run_to(approval.requested_at + after - look)
            a.viewed(made, approval.approval_id)
        made.run_to(approval.requested_at + after)
        a.answer(made, approval.approval_id, said, DANA)
    await a.tell(ledger, account_id, made.result().facts)


async def health(ledger: Ledger) -> Health:
    return health_of(await ledger.questions(a.MONDAY))


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (45, 90, 0.3988, 0.6012)],
)
def test_a_share_has_the_interval_of_wilson(count: int, of: int, low: float, high: float) -> None:
    interval = Ratio(count=count, of=of).interval

    assert interval == pytest.approx((low, high), abs=1e-4)


def test_a_share_of_few_says_so_and_one_of_nothing_is_none() -> None:
    assert Ratio(count=3, of=29).few
    assert not Ratio(count=3, of=30).few
    assert Ratio(count=0, of=0).share is None
    assert Ratio(count=0, of=0).interval is None


async def test_each_person_has_their_shares_and_times(empty: Ledger) -> None:
    await asked(empty, "a1", Answer.APPROVE, timedelta(minutes=10), look=timedelta(seconds=4))
    await asked(empty, "a2", Answer.APPROVE, timedelta(minutes=20), look=timedelta(minutes=2))
    await asked(empty, "a3", Answer.REJECT, timedelta(minutes=60), look=timedelta(seconds=3))
    await asked(empty, "a4", Answer.APPROVE, timedelta(minutes=30))

    result = await health(empty)

    (dana,) = result.approvers
    assert (dana.login, dana.answered) == (DANA, 4)
    assert dana.approved == Ratio(count=3, of=4)
    assert dana.to_answer is not None
    assert (dana.to_answer.median, dana.to_answer.p90) == (timedelta(minutes=25), timedelta(minutes=60))
    assert dana.to_decide is not None
    assert (dana.to_decide.count, dana.to_decide.median) == (3, timedelta(seconds=4))
    assert dana.unseen == 1
    assert dana.quick == Ratio(count=1, of=2)
    # Who also says no is no rubber stamp, however quick
    assert dana.rubber_stamp == Ratio(count=0, of=2)


async def test_who_says_yes_to_everything_at_once_is_a_rubber_stamp(empty: Ledger) -> None:
    await asked(empty, "a1", Answer.APPROVE, look=timedelta(seconds=2))
    await asked(empty, "a2", Answer.APPROVE, look=timedelta(seconds=9))
    await asked(empty, "a3", Answer.APPROVE, look=timedelta(seconds=10))

    (dana,) = (await health(empty)).approvers

    assert dana.rubber_stamp == Ratio(count=2, of=3)


async def test_rules_have_their_expiries_and_planted_questions_count_apart(empty: Ledger) -> None:
    await asked(empty, "a1", Answer.APPROVE)
    await asked(empty, "a2", None)
    await asked(empty, "a3", Answer.REJECT, planted_by="mara")
    await asked(empty, "a4", Answer.APPROVE, planted_by="mara")
    await asked(empty, "a5", None, planted_by="mara")

    result = await health(empty)

    assert (result.questions, result.planted, result.caught) == (2, 3, Ratio(count=1, of=2))
    (rule,) = result.rules
    assert (rule.rule_id, rule.asked, rule.open) == ("executive-sponsors", 2, 0)
    assert rule.expired == rule.escalated == Ratio(count=1, of=2)
    assert rule.approved == Ratio(count=1, of=1)
    (dana,) = result.approvers
    assert (dana.answered, dana.caught) == (1, Ratio(count=1, of=2))


async def test_what_is_older_does_not_count(empty: Ledger) -> None:
    await asked(empty, "a1", Answer.APPROVE)

    assert await empty.questions(a.MONDAY + timedelta(days=1)) == []


async def test_the_terminal_shows_counts_intervals_and_that_they_are_few(
    empty: Ledger, tmp_path: Path
) -> None:
    await asked(empty, "a1", Answer.APPROVE, look=timedelta(seconds=4))
    await asked(empty, "a2", None)
    settings = Settings(ledger_url=f"sqlite+aiosqlite:///{tmp_path / 'health.db'}")
    since_monday = (datetime.now(UTC) - a.MONDAY).days + 1
    console = Console(width=80, record=True)

    await show_health(console, settings, since_monday, as_json=False)

    shown = console.export_text()
    assert f"2 questions of the last {since_monday:,} days" in shown
    assert "██████████ approved 1 of 1 = 100% (21% to 100%) few" in shown
    assert "█████░░░░░ expired 1 of 2 = 50% (9% to 91%) few" in shown
    assert "answers after 10m (median), nine of ten within 10m" in shown
    assert "yes within 10 s of looking 1 of 1" in shown
    assert "a rubber stamp?" in shown
    assert max(map(len, shown.splitlines())) <= 80


async def test_programs_read_the_same_figures_as_json(empty: Ledger, tmp_path: Path) -> None:
    await asked(empty, "a1", Answer.APPROVE)
    settings = Settings(ledger_url=f"sqlite+aiosqlite:///{tmp_path / 'health.db'}")
    console = Console(record=True)

    await show_health(console, settings, 3_650, as_json=True)

    read = json.loads(console.export_text())
    assert read["approvers"][0]["approved"] == {"count": 1, "of": 1}


async def test_the_command_takes_days_and_json(empty: Ledger, tmp_path: Path) -> None:
    await asked(empty, "a1", Answer.APPROVE)
    environment = {"TUTTI_LEDGER_URL": f"sqlite+aiosqlite:///{tmp_path / 'health.db'}"}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["approval", "health", *arguments], env=environment)

    # Commands have an event loop of their own, as in a terminal
    all_of_it = await asyncio.to_thread(run, "--days", "3650", "--json")
    of_late = await asyncio.to_thread(run)

    assert json.loads(all_of_it.stdout)["questions"] == 1
    assert of_late.stdout.strip() == "0 questions of the last 30 days"


async def test_nothing_asked_is_told_as_such(empty: Ledger, tmp_path: Path) -> None:
    console = Console(record=True)
    settings = Settings(ledger_url=f"sqlite+aiosqlite:///{tmp_path / 'health.db'}")

    await show_health(console, settings, 30, as_json=False)

    assert console.export_text().strip() == "0 questions of the last 30 days"
    assert await empty.questions(a.MONDAY) == []
