import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine

from ledger import Ledger, LedgerError, LedgerFault
from ledger._schema import REVISIONS
from ledger._tables import METADATA
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON


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
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "ledger" / "migrations"))
    script = ScriptDirectory.from_config(config)

    assert tuple(revision.revision for revision in script.walk_revisions())[::-1] == REVISIONS


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
