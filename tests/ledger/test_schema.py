import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine

from domain import Draw, TouchStatus
from ledger import Ledger, LedgerError, LedgerFault
from ledger._schema import REVISIONS
from ledger._tables import METADATA
from tests.ledger import facts as f
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON

MIGRATIONS = Path(__file__).parents[2] / "ledger" / "migrations"


async def test_a_new_ledger_is_migrated_and_checked(url: str, query: Query) -> None:
    ledger = await Ledger.open(url)

    assert await ledger.migrate() == REVISIONS[-1]
    await ledger.check()

    assert set((await ledger.counts()).values()) == {0}
    assert query("PRAGMA journal_mode") == [("wal",)]
    await ledger.close()


async def test_migrating_again_keeps_everything(ledger: Ledger) -> None:
    await ledger.claim("t", channel="email", at=NOON)

    assert await ledger.migrate() == REVISIONS[-1]
    assert (await ledger.counts())["claims"] == 1


async def test_the_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger, path: Path) -> None:
    await ledger.check()
    engine = create_engine(URL.create("sqlite", database=str(path)))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_code_knows_every_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)

    assert tuple(revision.revision for revision in script.walk_revisions())[::-1] == REVISIONS


def alembic(path: Path, move: Callable[[Config, str], None], revision: str) -> None:
    """Move a ledger to a revision, in a transaction of its own as the migration does."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        move(config, revision)
    engine.dispose()


async def test_a_ledger_of_the_first_release_keeps_its_touches_and_learns_who_made_them(
    url: str, path: Path, query: Query
) -> None:
    """Given touches written before there were shared limits, when migrated, then they count in them."""
    alembic(path, command.upgrade, "0001")
    ours, theirs = f.touch_fact(2, status=TouchStatus.HANDED_OVER), f.past_touch_fact(1)
    for source, fact in (("tutti", ours), ("mailer", theirs)):
        query(
            "INSERT INTO touches "
            "(account_id, at, channel, action, status, source, touch_id, seq, body, governed) VALUES "
            "('northwind', '2026-03-02 12:00:00.000000', 'email', 'intro', 'handed_over', ?, 't1', ?, ?, ?)",
            source,
            fact.seq,
            fact.model_dump_json(),
            source == "tutti",
        )
    ledger = await Ledger.open(url)

    await ledger.migrate()

    assert query("SELECT source, actor, cost FROM touches ORDER BY source") == [
        ("mailer", None, 0.0),
        ("tutti", "sdr-agent", 0.0),
    ]
    assert await ledger.touches(f.ACCOUNT) == [ours, theirs]
    limit = Draw(rule_id="cap", window_seconds=86_400, touches=1, actors=("sdr-agent",))
    found = await ledger.room([("p1", limit)], account_id="contoso", now=f.NOON)
    assert found["cap/p1"] == f.NOON + timedelta(days=1)
    await ledger.close()


async def test_the_second_revision_can_be_taken_back_and_made_again(
    ledger: Ledger, path: Path, query: Query
) -> None:
    await ledger.record(f.batch(f.touch_fact(1)))
    await ledger.claim("t", channel="email", at=NOON)

    alembic(path, command.downgrade, "0001")

    columns = {row[1] for row in query("PRAGMA table_info(touches)")}
    assert not columns & {"actor", "cost"}
    tables = {row[0] for row in query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not tables & {"policy_releases", "reservations", "rulings"}
    assert query("SELECT touch_id FROM touches") == [("northwind/p1/1",)]
    assert await ledger.migrate() == REVISIONS[-1]
    assert query("SELECT actor FROM touches") == [("sdr-agent",)]
    assert query("SELECT touch_id FROM claims") == [("t",)]


async def test_the_third_revision_can_be_taken_back_and_made_again(
    ledger: Ledger, path: Path, query: Query
) -> None:
    await ledger.place_stop(f.stop())
    await ledger.record(f.batch(f.touch_fact(1), f.play_fact(2), f.settlement_fact(3), f.recall_fact(4)))

    alembic(path, command.downgrade, "0002")

    tables = {row[0] for row in query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not tables & {"stops", "play_runs", "settlements", "recalls"}
    assert query("SELECT touch_id FROM touches") == [("northwind/p1/1",)]
    assert await ledger.migrate() == REVISIONS[-1]
    assert await ledger.stops() == ()
    await ledger.record(f.batch(f.play_fact(2)))
    assert query("SELECT run_id FROM play_runs") == [("nurture.1",)]


async def test_a_ledger_from_a_later_version_is_refused_and_left_alone(ledger: Ledger, query: Query) -> None:
    query("UPDATE alembic_version SET version_num = '9999'")

    for use in (ledger.migrate, ledger.check):
        with pytest.raises(LedgerError, match=r"revision 9999.*later version") as refusal:
            await use()
        assert refusal.value.code is LedgerFault.NEWER
    assert query("SELECT version_num FROM alembic_version") == [("9999",)]


async def test_an_interrupted_migration_leaves_nothing_behind(url: str, query: Query) -> None:
    query("CREATE TABLE touches (x)")  # the migration trips over it half-way
    ledger = await Ledger.open(url)

    with pytest.raises(LedgerError, match="touches already exists"):
        await ledger.migrate()

    assert query("SELECT name FROM sqlite_master WHERE type = 'table'") == [("touches",)]
    await ledger.close()


def test_importing_the_ledger_does_not_import_alembic_or_another_database() -> None:
    code = (
        "import sys, ledger; "
        "print(*sorted({'alembic', 'asyncpg', 'sqlalchemy.dialects.postgresql'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert found.stdout.strip() == ""
