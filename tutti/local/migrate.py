"""Brings the ledger's tables up to date, then ends: `python -m tutti.local.migrate`."""

from __future__ import annotations

import asyncio
import sys

from ledger import Ledger, LedgerError
from tutti.settings import Settings, SettingsError


async def migrate(url: str) -> None:
    """Bring the tables of the ledger at `url` up to date.

    Raises:
        LedgerError: It cannot be reached or was made by a newer version.
    """
    ledger = await Ledger.open(url)
    try:
        await ledger.migrate()
    finally:
        await ledger.close()


def main() -> int:
    """Migrate the ledger that the environment names.

    Returns:
        Exit code: 0, or 1 after one line on stderr.
    """
    try:
        asyncio.run(migrate(Settings.load().ledger))
    except (LedgerError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
