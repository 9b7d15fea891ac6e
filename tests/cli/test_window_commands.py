"""`tutti approval windows` and `revoke`: what is approved in advance, and how that ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest_asyncio
from typer.testing import CliRunner

from ledger import Ledger
from tests.ledger import facts as f
from tutti.cli import app


@pytest_asyncio.fixture(loop_scope="session")
async def home(tmp_path: Path) -> Path:
    """A folder with a ledger in which something is approved in advance, and something was."""
    ledger = await Ledger.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    try:
        await ledger.migrate()
        now = datetime.now(UTC)
        over, stands = f.window_fact(1, 1), f.window_fact(2, 2)
        lasting = stands.grant.model_copy(update={"starts_at": now, "ends_at": now + timedelta(days=7)})
        await ledger.record(f.batch(over, stands.model_copy(update={"grant": lasting})))
    finally:
        await ledger.close()
    return tmp_path


def said(home: Path, *arguments: str, code: int = 0) -> str:
    environment = {"TUTTI_HOME": str(home), "TUTTI_LEDGER_URL": None, "TUTTI_LOGIN": "bob", "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["approval", *arguments], env=environment)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_what_is_approved_in_advance_is_listed_and_taken_back(home: Path) -> None:
    listed = said(home, "windows")
    assert "northwind/a2 intro: intro over email by sdr-agent, for accounts in mid-market" in listed
    assert "of 50 used, until" in listed
    assert "approved by ada" in listed
    assert "northwind/a1" not in listed
    assert "northwind/a1" in said(home, "windows", "--all")

    assert "ok northwind/a2 is taken back by bob at" in said(home, "revoke", "northwind/a2")

    assert said(home, "windows") == "nothing is approved in advance"
    again = json.loads(said(home, "windows", "--all", "--json"))
    assert [grant["revoked_by"] for grant in again if grant["grant_id"] == "northwind/a2"] == ["bob"]
    assert "there is no window approval 'x/1'" in said(home, "revoke", "x/1", code=1)
