import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from ledger import ClaimState, Ledger, LedgerError, LedgerFault
from tests.ledger.conftest import Query
from tests.ledger.facts import NOON, account_fact, batch, signal_fact


def exists(path: Path) -> bool:
    return path.exists()


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def protect(path: Path) -> None:
    path.chmod(0o444)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ledger.db", "cannot be read"),
        ("sqlite:////tmp/ledger.db", "'sqlite' is not supported"),
        ("mysql+aiomysql://localhost/tutti", "'mysql.aiomysql' is not supported"),
        ("sqlite+aiosqlite://", "names no file"),
        ("sqlite+aiosqlite:///:memory:", "names no file"),
    ],
)
async def test_an_address_that_names_no_usable_database_is_refused(url: str, why: str) -> None:
    with pytest.raises(LedgerError, match=why) as refusal:
        await Ledger.open(url)

    assert refusal.value.code is LedgerFault.BAD_URL
    assert "sqlite+aiosqlite:////absolute/path" in str(refusal.value)


async def test_a_missing_file_is_said_and_not_made(url: str, path: Path) -> None:
    ledger = await Ledger.open(url)

    with pytest.raises(LedgerError, match="no such file") as refusal:
        await ledger.check()

    assert refusal.value.code is LedgerFault.UNREACHABLE
    assert str(path) in str(refusal.value)
    assert not exists(path)
    await ledger.close()


async def test_a_file_without_tables_asks_for_the_migration(url: str, path: Path) -> None:
    write(path, "")
    ledger = await Ledger.open(url)

    for use in (ledger.check(), ledger.counts(), ledger.claim("t", channel="email", at=NOON)):
        with pytest.raises(LedgerError, match="run the migration") as refusal:
            await use
        assert refusal.value.code is LedgerFault.NOT_MIGRATED
    await ledger.close()


async def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path}/no/such/ledger.db")

    with pytest.raises(LedgerError, match="Cannot migrate the ledger: there is no such file") as refusal:
        await ledger.migrate()

    assert refusal.value.code is LedgerFault.UNREACHABLE
    await ledger.close()


async def test_a_file_that_is_no_database_is_said(url: str, path: Path) -> None:
    write(path, "Dear diary, " * 100)
    ledger = await Ledger.open(url)

    for use in (ledger.migrate(), ledger.check()):
        with pytest.raises(LedgerError, match="not a database") as refusal:
            await use
        assert refusal.value.code is LedgerFault.DAMAGED
    await ledger.close()


async def test_a_ledger_removed_under_us_never_takes_another_claim(ledger: Ledger, path: Path) -> None:
    assert (await ledger.claim("first", channel="email", at=NOON)).state is ClaimState.NEW
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()

    with pytest.raises(LedgerError, match="no such file") as refusal:
        await ledger.claim("second", channel="email", at=NOON)
    assert refusal.value.code is LedgerFault.UNREACHABLE
    with pytest.raises(LedgerError, match="no such file"):
        await ledger.counts()
    assert not exists(path)

    await ledger.migrate()
    assert (await ledger.claim("second", channel="email", at=NOON)).state is ClaimState.NEW


async def test_a_locked_ledger_is_said_and_works_again_later(ledger: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LedgerError, match="another process keeps it busy") as refusal:
            await ledger.claim("t", channel="email", at=NOON)
        assert refusal.value.code is LedgerFault.LOCKED
        assert await ledger.suppressed(["someone"]) == frozenset()  # readers go on

        other.execute("ROLLBACK")
    assert (await ledger.claim("t", channel="email", at=NOON)).state is ClaimState.NEW


async def test_a_ledger_opened_for_reading_only_refuses_to_write(ledger: Ledger, url: str) -> None:
    await ledger.record(batch(signal_fact(1)))
    reading = await Ledger.open(f"{url}&mode=ro")

    for use in (reading.claim("t", channel="email", at=NOON), reading.record(batch(signal_fact(2)))):
        with pytest.raises(LedgerError, match="writable for this user") as refusal:
            await use
        assert refusal.value.code is LedgerFault.READ_ONLY
    assert (await reading.counts())["signals"] == 1
    await reading.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="no file mode stops root")
async def test_a_write_protected_file_is_said(ledger: Ledger, url: str, path: Path) -> None:
    await ledger.close()
    protect(path)
    protected = await Ledger.open(url)

    with pytest.raises(LedgerError) as refusal:
        await protected.claim("t", channel="email", at=NOON)

    assert refusal.value.code is LedgerFault.READ_ONLY
    await protected.close()


@pytest.fixture
def no_space(ledger: Ledger) -> Iterator[None]:
    """Let every connection made from now on find its disk full, the migrated ledger being there already."""
    del ledger  # asked for only to come after it

    def bound(connection: sqlite3.Connection, _entry: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size instead

    event.listen(Pool, "connect", bound)
    yield
    event.remove(Pool, "connect", bound)


@pytest.mark.usefixtures("no_space")
async def test_a_full_disk_is_said_and_nothing_of_the_batch_stays(url: str, ledger: Ledger) -> None:
    full = await Ledger.open(url)
    huge = batch(*(signal_fact(seq, seq) for seq in range(1, 2_000)))

    with pytest.raises(LedgerError, match="free some space") as refusal:
        await full.record(huge)

    assert refusal.value.code is LedgerFault.FULL
    assert (await ledger.counts())["signals"] == 0
    await full.close()


async def test_no_server_is_said_without_the_password() -> None:
    pytest.importorskip("asyncpg")
    ledger = await Ledger.open("postgresql+asyncpg://tutti:hunter2@127.0.0.1:1/tutti")

    with pytest.raises(LedgerError) as refusal:
        await ledger.check()

    assert refusal.value.code is LedgerFault.UNREACHABLE
    assert "hunter2" not in str(refusal.value)
    await ledger.close()


async def test_tables_that_lack_a_column_ask_for_the_migration(ledger: Ledger, query: Query) -> None:
    query("ALTER TABLE accounts RENAME COLUMN tier TO grade")

    with pytest.raises(LedgerError, match="no column named tier") as refusal:
        await ledger.record(batch(account_fact(1)))

    assert refusal.value.code is LedgerFault.NOT_MIGRATED
