"""Sending an export to the account workflows: in order, in small messages, several accounts at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from domain import Observation, Signal
from gateway.imports._hubspot import AccountHistory, HubSpotExport, read_hubspot
from gateway.imports._report import AccountFailure, ImportReport
from workflows import EngineUnavailableError

MOST_ITEMS = 100
"""Observations in one message."""
MOST_BYTES = 192 * 1024
"""Bytes of observations in one message: leaves room for envelope and encryption below 256 KiB."""


class AccountDoor(Protocol):
    """The way to the account workflows."""

    async def observe(self, account_id: str, observations: Sequence[Observation]) -> None:
        """Hand observations to an account; the same ones again change nothing.

        Raises:
            EngineUnavailableError: The engine cannot be reached; the import stops.
            Exception: Anything else concerns this account only; the import goes on with the others.
        """


async def import_hubspot(
    directory: Path,
    *,
    accounts: AccountDoor,
    interpret: Callable[[Signal], Signal],
    progress: Callable[[str, int, int], None],
    concurrency: int = 16,
) -> ImportReport:
    """Import a HubSpot export: read it, interpret its signals, hand everything to the accounts.

    The same export again sends the same ids, so an import that was interrupted is simply repeated.

    Args:
        directory: Folder with one CSV file per table.
        accounts: The way to the account workflows.
        interpret: Returns a signal with the reading it supports.
        progress: Called after each account with `accounts`, how many are done, and how many there are.
        concurrency: Accounts in work at the same time, at least 1.

    Returns:
        What was read, used, skipped, malformed and sent; `exit_code` is 0 or 1.

    Raises:
        UnusableExportError: The folder as a whole cannot be read; nothing was sent.
        EngineUnavailableError: The engine cannot be reached; repeat the import when it can.
    """
    started = time.monotonic()
    export = await asyncio.to_thread(read_hubspot, directory)
    read_seconds = time.monotonic() - started
    sender = _Sender(export, accounts, interpret, progress)
    await sender.run(max(1, concurrency))
    return ImportReport(
        tables=export.tables,
        unknown_files=export.unknown_files,
        accounts=sender.accounts,
        contacts=sender.contacts,
        signals=sender.signals,
        past_touches=sender.past_touches,
        failures=tuple(sorted(sender.failures, key=lambda failure: failure.account_id)),
        read_seconds=read_seconds,
        seconds=time.monotonic() - started,
    )


class _Sender:
    """Works through the accounts of an export and counts what arrived."""

    def __init__(
        self,
        export: HubSpotExport,
        door: AccountDoor,
        interpret: Callable[[Signal], Signal],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._waiting = iter(export.histories)
        self._total = len(export.histories)
        self._done = 0
        self._door = door
        self._interpret = interpret
        self._progress = progress
        self._unreachable: EngineUnavailableError | None = None
        self.accounts = 0
        self.contacts = 0
        self.signals = 0
        self.past_touches = 0
        self.failures: list[AccountFailure] = []

    async def run(self, concurrency: int) -> None:
        """Send all accounts, so many at a time.

        Raises:
            EngineUnavailableError: The engine cannot be reached.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, self._total)):
                group.create_task(self._work())
        if self._unreachable is not None:
            raise self._unreachable

    async def _work(self) -> None:
        # The workers share one iterator, so each account is taken by exactly one of them.
        for history in self._waiting:
            if self._unreachable is not None:
                return
            try:
                await self._send(history)
            except EngineUnavailableError as error:
                self._unreachable = error
                return
            except Exception as error:  # noqa: BLE001 - whatever ails one account, the others go on
                message = " ".join(str(error).split()) or type(error).__name__
                self.failures.append(
                    AccountFailure(account_id=history.account.account_id, message=message[:300])
                )
            else:
                self.accounts += 1
                self.contacts += len(history.contacts)
                signals = sum(isinstance(event, Signal) for event in history.events)
                self.signals += signals
                self.past_touches += len(history.events) - signals
            self._done += 1
            self._progress("accounts", self._done, self._total)

    async def _send(self, history: AccountHistory) -> None:
        for message in batches(self._interpreted(history)):
            await self._door.observe(history.account.account_id, message)

    def _interpreted(self, history: AccountHistory) -> Iterator[Observation]:
        yield history.account
        yield from history.contacts
        for event in history.events:
            yield self._interpret(event) if isinstance(event, Signal) else event


def batches(observations: Iterator[Observation]) -> Iterator[list[Observation]]:
    """Cut observations into messages of at most `MOST_ITEMS` and `MOST_BYTES`, in the same order."""
    batch: list[Observation] = []
    size = 0
    for observation in observations:
        length = len(observation.model_dump_json().encode())
        if batch and (len(batch) == MOST_ITEMS or size + length > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(observation)
        size += length
    if batch:
        yield batch
