"""What the ledger keeps for audits: the decision log, and what it is compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from domain import (
    ReceiptStatus,
)
from ledger import (
    _cross_check,
    _decision_log,
)
from ledger._claims import OpenClaim
from ledger._cross_check import GrantRow, RowInLog
from ledger._database import Database
from ledger._decision_log import LogEntry, LogHead, LogKey


class LogKept(Database):
    """The ledger's part about the decision log."""

    async def decision_log(
        self, accounts: Collection[str] | None = None, *, after: LogKey | None = None, limit: int = 5_000
    ) -> list[LogEntry]:
        """Return links of the decision log, those of one account together, in no order that means anything.

        Args:
            accounts: Of these accounts only; None: of all.
            after: Start behind this one: the `key` of the last entry of the page before.
            limit: How many at most.
        """
        async with self._reading("read the decision log") as connection:
            return await _decision_log.entries(connection, accounts, after, limit)

    async def logged_accounts(self, *, after: str = "", limit: int = 500) -> list[str]:
        """Return ids of accounts that have a decision log, in order, from behind the given one."""
        async with self._reading("list the decision logs") as connection:
            return await _decision_log.logged_accounts(connection, after, limit)

    async def log_heads(self, accounts: Sequence[str]) -> list[LogHead]:
        """Return the ends of the decision logs of accounts: the links that no other follows."""
        async with self._reading("read the heads of the decision logs") as connection:
            return await _decision_log.heads(connection, accounts)

    async def rows_in_log(self, accounts: Sequence[str]) -> list[RowInLog]:
        """Return all rows of some accounts that should be in their decision logs, each with what it says."""
        async with self._reading("compare the tables with the decision log") as connection:
            return await _cross_check.rows_in_log(connection, accounts)

    async def grant_rows(self, accounts: Sequence[str]) -> list[GrantRow]:
        """Return all window approvals of some accounts as rulings would read them."""
        async with self._reading("compare window approvals with the decision log") as connection:
            return await _cross_check.grant_rows(connection, accounts)

    async def accounts_beside_the_log(self) -> list[str]:
        """Return ids of accounts that have rows of the log's kinds and no decision log at all."""
        async with self._reading("compare the tables with the decision log") as connection:
            return await _cross_check.accounts_beside_the_log(connection)

    async def claims_without_touch(self, before: datetime) -> list[OpenClaim]:
        """Return claims from before a moment whose touch no account tells of, oldest first."""
        async with self._reading("compare claims with touches") as connection:
            return await _cross_check.claims_without_touch(connection, before)

    async def claimed(self, touch_ids: Sequence[str]) -> dict[str, ReceiptStatus | None]:
        """Return those of the touches that were claimed, each with what its channel said."""
        async with self._reading("read the claims") as connection:
            return await _cross_check.claimed(connection, touch_ids)
