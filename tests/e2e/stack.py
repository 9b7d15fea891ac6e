"""A local stack as a user has it: `tutti up` in a terminal, other commands and programs beside it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

from temporalio.client import Client

from domain import Account, AccountStatus, Consent, Contact, Hold, Proposal
from tests.builders import account, contact, proposal
from tests.cli.program import DEMO_POLICIES, TUTTI, Finished, surroundings, tutti
from workflows import AccountClient, tutti_plugin

SECONDS = 30.0
_MARK = "E2E_STACK"
_ADDRESS = re.compile(
    r"^(Temporal UI|Temporal|gateway|mail sink|webhook sink) +(?:http://)?(\S+?:\d+)", re.MULTILINE
)
_T = TypeVar("_T")


def letter(proposal_id: str, **changes: object) -> Proposal:
    """A mail that a person wants to write; nobody has to be asked."""
    content = {"subject": f"About {proposal_id}", "text": "Would Thursday suit you?"}
    return proposal(proposal_id, **({"actor": "lena.fischer", "content": content} | changes))


async def until(look: Callable[[], Awaitable[_T | None]], what: str, seconds: float = SECONDS) -> _T:
    """Look again and again until something is found."""
    deadline = time.monotonic() + seconds
    while not (found := await look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        await asyncio.sleep(0.05)
    return found


class Stack:
    """One home and whatever runs on it; can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".tutti"
        self._mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.addresses: dict[str, str] = {}
        """`host:port` of each part, by the name that `tutti up` gives it."""

    # What the user does ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Type `tutti up` in an empty folder and wait for its last line."""
        self._starts += 1
        self._process = self._typed_up()

        async def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.shown
            return "\nReady. Ctrl-C stops everything" in self.shown

        await until(ready, "the stack to be ready", 60)
        self.addresses = dict(_ADDRESS.findall(self.shown))

    def _typed_up(self) -> subprocess.Popen[bytes]:
        with self._terminal.open("wb") as terminal:
            return subprocess.Popen(
                [TUTTI, "up", "--free-ports", "--policies", DEMO_POLICIES],
                cwd=self.folder,
                env=surroundings(**{_MARK: self._mark}),
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def stop(self) -> int:
        """Press Ctrl-C and return the exit code."""
        assert self._process is not None
        # The terminal sends it to every process of the foreground group.
        os.killpg(self._process.pid, signal.SIGINT)
        return await asyncio.to_thread(self._process.wait, SECONDS)

    async def kill(self) -> None:
        """End whatever is left, for the end of the tests."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, SECONDS)

    async def tutti(self, *arguments: str | Path, **settings: str) -> Finished:
        """Type another command in another terminal, in another folder."""
        known = {"TEMPORAL_ADDRESS": self.addresses["Temporal"], "TUTTI_HOME": str(self.home)}
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        return await tutti(*arguments, cwd=elsewhere, **known, **settings)

    # What can be seen -----------------------------------------------------------------------------------

    @property
    def _terminal(self) -> Path:
        return self.folder / f"terminal-{self._starts}.txt"

    @property
    def shown(self) -> str:
        """Everything `tutti up` has printed since its last start."""
        return self._terminal.read_text(encoding="utf-8")

    def processes(self) -> dict[int, str]:
        """Living processes of this stack, whoever their parent is now, with their command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def listening(self) -> list[str]:
        """Parts whose port still takes connections."""
        return [name for name, address in self.addresses.items() if _takes_connections(address)]

    def mails_to(self, address: str) -> list[EmailMessage]:
        """What the mail sink keeps for one person, oldest first."""
        mails = [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted((self.home / "mail").glob("*.eml"))
        ]
        return [mail for mail in mails if address in str(mail["To"])]

    def rows(self, table: str, columns: str = "*") -> list[tuple[object, ...]]:
        """Rows of a table of the ledger, in a stable order."""
        with sqlite3.connect(f"file:{self.home / 'ledger.db'}?mode=ro", uri=True) as connection:
            found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608 - our own names
        connection.close()
        return sorted(found, key=repr)

    def logged_besides(self, kind: str) -> list[tuple[object, ...]]:
        """Entries of the decision logs of all kinds but one."""
        found = self.rows("decision_log", "account_id, type, seq, body_digest")
        return [row for row in found if row[1] != kind]

    def tables(self) -> list[str]:
        """Names of the ledger's tables."""
        names = [str(name) for (name,) in self.rows("sqlite_master", "name") if _is_ours(str(name))]
        return [
            name for name in names if ("table",) in self.rows(f"sqlite_master WHERE name='{name}'", "type")
        ]

    # The accounts on it ---------------------------------------------------------------------------------

    async def client(self) -> Client:
        """A client that speaks as Tutti does."""
        return await Client.connect(self.addresses["Temporal"], plugins=[tutti_plugin()])

    async def accounts(self) -> AccountClient:
        """The door to the accounts."""
        return AccountClient(await self.client())

    async def introduce(self, account_id: str, *people: str) -> AccountClient:
        """Make an account with contacts whose addresses are `<id>@<account>.example.com`."""
        accounts = await self.accounts()
        profile: list[Account | Contact] = [account(account_id, time_zone="Europe/London")]
        profile += [
            contact(person, email=f"{person}@{account_id}.example.com", consent=Consent.GRANTED)
            for person in people
        ]
        await accounts.observe(account_id, profile)
        return accounts

    async def all_accounts(self) -> list[str]:
        """Ids of every account that the engine knows."""
        client = await self.client()
        running = "WorkflowType = 'AccountWorkflow' AND ExecutionStatus = 'Running'"
        return sorted([e.id.removeprefix("account/") async for e in client.list_workflows(running)])

    async def flush(self, *account_ids: str) -> list[AccountStatus]:
        """Make accounts tell the ledger everything, and return how they stand then."""
        accounts = await self.accounts()
        return await asyncio.gather(*(_flush(accounts, account_id) for account_id in account_ids))


async def _flush(accounts: AccountClient, account_id: str) -> AccountStatus:
    # A hold is told at once, since people wait for it, and all that was waiting travels with it.
    hold = Hold.model_validate(
        {
            "hold_id": f"flush-{uuid.uuid4().hex[:8]}",
            "placed_by": "dana.reyes",
            "reason": "look at the ledger",
            "placed_at": "2026-01-01T00:00:00Z",
        }
    )
    await accounts.place_hold(account_id, hold)
    await accounts.release_hold(account_id, hold.hold_id, "dana.reyes")

    async def told() -> AccountStatus | None:
        status = await accounts.status(account_id)
        return None if status.unsent_facts else status

    return await until(told, f"the ledger to know all of {account_id}")


def _takes_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def _is_ours(name: str) -> bool:
    return not name.startswith(("sqlite_", "ix_")) and name != "alembic_version"
