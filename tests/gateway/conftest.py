"""The gateway's tests work on the same kind of ledger as the channels'."""

from tests.channels.conftest import database, empty_ledger, ledger

__all__ = ["database", "empty_ledger", "ledger"]
