"""`tutti play migrate` before anything moves: what may be mapped."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ledger import Ledger
from tests.plays.walking import ROOT
from tutti.plays.migrating import migrate_play
from tutti.settings import Settings
from tutti.terminal import CommandError


async def test_touches_made_at_the_same_time_may_be_called_otherwise_as_well(tmp_path: Path) -> None:
    settings = Settings(
        policies=ROOT / "policies", ledger_url=f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    )
    ledger = await Ledger.open(settings.ledger)
    await ledger.migrate()
    await ledger.close()
    with pytest.raises(CommandError, match=r"no step .nothing.; it has .*, brief-to-who-decides"):
        await migrate_play(
            Console(file=io.StringIO()),
            settings,
            "event-follow-up",
            accounts=["northwind"],
            steps={"brief": "nothing"},
            by="dana.reyes",
            dry_run=True,
        )
