"""The ledger as the other rooms see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain import Account, Decision, FactBatch, PastTouchFact, ProposalFact, Receipt, TouchFact
from ledger import _claims, _reading, _schema, _writing
from ledger._claims import Claim, OpenClaim
from ledger._engine import Place, open_reader, open_writer, place_of
from ledger._errors import told_as_ledger_error


class Ledger:
    """One database, shared by the tasks of a process and with other processes.

    Make one with `open` and end it with `close`, on the same event loop. Every method raises `LedgerError`,
    and nothing else, when the database cannot do what is asked. What a method wrote is on disk when
    it returns.
    """

    def __init__(self, place: Place, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Prepare the use of a database; nothing is connected and no schema is made yet.

        Args:
            url: `sqlite+aiosqlite:////absolute/path/ledger.db` (`?timeout=SECONDS` sets how long to wait for
                a lock, 10 by default), or `postgresql+asyncpg://user:password@host/database`.

        Raises:
            LedgerError: `bad_url`.
        """
        place = place_of(url)
        writer = open_writer(place)
        return cls(place, open_reader(place) if place.path else writer, writer)

    async def migrate(self) -> str:
        """Bring the tables to the version of this code, making the SQLite file if there is none.

        Safe when several processes do it at once: one works, the others wait.

        Returns:
            The revision, such as `0001`.

        Raises:
            LedgerError: `newer`, if the tables were made by a later version of this code.
        """
        return await _schema.migrate(self._place)

    async def check(self) -> None:
        """Make sure that the database answers and its tables are those of this code.

        Raises:
            LedgerError: `unreachable`, `not_migrated`, `newer`, or what else is wrong.
        """
        async with self._reading("open the ledger") as connection:
            await _schema.check(connection, self._place)

    async def close(self) -> None:
        """Close all connections; closing twice does no harm."""
        await self._reader.dispose()
        await self._writer.dispose()

    async def record(self, batch: FactBatch) -> int:
        """Write the facts of one account in one transaction.

        Of two facts about one thing the one with the later `seq` stays, whatever order they come in, so a
        batch may be written again at any time.

        Returns:
            How many facts changed the ledger; the rest were known, or older than what it holds.
        """
        async with self._writing("record facts") as connection:
            return await _writing.record(connection, batch)

    async def suppress(
        self, person_key: str, *, account_id: str, contact_id: str, source: str, at: datetime
    ) -> None:
        """Block a person on every account and channel; an objection stays with its earliest provenance.

        Args:
            person_key: `domain.person_key` of the address.
            account_id: Where the objection was heard.
            contact_id: The person's id there.
            source: What heard it.
            at: When, with time zone.
        """
        row = {
            "person_key": person_key,
            "at": at,
            "account_id": account_id,
            "contact_id": contact_id,
            "source": source,
        }
        async with self._writing("store an opt-out") as connection:
            await _writing.suppress(connection, [row])

    async def suppressed(self, person_keys: Collection[str]) -> frozenset[str]:
        """Return those of the keys whose persons are blocked."""
        async with self._reading("read the suppressions") as connection:
            return await _reading.suppressed(connection, person_keys)

    async def claim(self, touch_id: str, *, channel: str, at: datetime) -> Claim:
        """Ask for the right to hand a touch to its provider.

        Exactly one caller ever gets `new`, over all processes and for all time. The claim is on disk before
        this returns; a caller that dies afterwards leaves it open.

        Args:
            touch_id: The touch.
            channel: Through which it would go.
            at: Now, with time zone.
        """
        async with self._writing("claim a touch") as connection:
            return await _claims.claim(connection, touch_id, channel, at)

    async def settle(self, receipt: Receipt) -> None:
        """Store what the channel said on the touch's claim.

        The first receipt stays, with one exception: `unknown` gives way to `accepted` or `rejected`. A
        receipt without a claim is kept too, and a later claim of that touch finds it.
        """
        async with self._writing("settle a claim") as connection:
            await _claims.settle(connection, receipt)

    async def open_claims(self) -> list[OpenClaim]:
        """Return the claims without receipt, oldest first: under way, or left behind by a crash."""
        async with self._reading("read the claims") as connection:
            return await _claims.open_claims(connection)

    async def record_policy_set(self, digest: str, *, files: Mapping[str, str], at: datetime) -> None:
        """Keep the files of a policy set (path to text), so that old decisions can be explained.

        A digest that is known already changes nothing.
        """
        async with self._writing("record a policy set") as connection:
            await _writing.record_policy_set(connection, digest, files, at)

    async def policy_set(self, digest: str) -> dict[str, str] | None:
        """Return the files of a policy set (path to text), None if it was never recorded."""
        async with self._reading("read a policy set") as connection:
            return await _reading.policy_set(connection, digest)

    async def account_exists(self, account_id: str) -> bool:
        """Tell whether a profile of the account has arrived."""
        async with self._reading("look up an account") as connection:
            return await _reading.account_exists(connection, account_id)

    async def accounts(self, *, after: str = "", limit: int = 100) -> list[Account]:
        """Return the profiles of accounts in order of id.

        Args:
            after: Start behind this id: the last one of the page before.
            limit: How many at most.
        """
        async with self._reading("list the accounts") as connection:
            return await _reading.accounts(connection, after, limit)

    async def decisions(
        self, account_id: str, proposal_id: str | None = None, *, limit: int = 100
    ) -> list[Decision]:
        """Return the decisions of an account, or on one of its proposals, latest first."""
        async with self._reading("read the decisions") as connection:
            return await _reading.decisions(connection, account_id, proposal_id, limit)

    async def proposals(self, account_id: str, *, limit: int = 100) -> list[ProposalFact]:
        """Return where the proposals of an account stand, the one that moved last first."""
        async with self._reading("read the proposals") as connection:
            return await _reading.proposals(connection, account_id, limit)

    async def touches(self, account_id: str, *, limit: int = 100) -> list[TouchFact | PastTouchFact]:
        """Return the touches of an account, ours and those of other tools, the latest moment first."""
        async with self._reading("read the touches") as connection:
            return await _reading.touches(connection, account_id, limit)

    async def signals_known(
        self, account_id: str, signals: Collection[tuple[str, str]]
    ) -> frozenset[tuple[str, str]]:
        """Return those of the signals, each given as (source, signal id), that the ledger has already."""
        async with self._reading("look up signals") as connection:
            return await _reading.signals_known(connection, account_id, signals)

    async def counts(self) -> dict[str, int]:
        """Return the number of rows in each table."""
        async with self._reading("count the rows") as connection:
            return await _reading.counts(connection)

    async def erase_projection(self) -> None:
        """Empty all tables that a rebuild fills again: not suppressions, claims and policy sets."""
        async with self._writing("erase the projection") as connection:
            await _writing.erase_projection(connection)

    @asynccontextmanager
    async def _reading(self, doing: str) -> AsyncIterator[AsyncConnection]:
        with told_as_ledger_error(doing, self._place.label):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self, doing: str) -> AsyncIterator[AsyncConnection]:
        with told_as_ledger_error(doing, self._place.label):
            async with self._writer.begin() as connection:
                yield connection
