"""The folder of one local stack: its files, its secrets, and the lock that keeps a second stack out."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError

from domain import Frozen
from tutti.local._errors import StackCode, StackError

_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_POLL_SECONDS = 0.05
PREDECESSOR_SECONDS = 6.0
"""How long to wait for the processes of a stack that was killed: they end within about 2 seconds."""


class Paths(Frozen):
    """Where things are in the folder of a stack; all absolute."""

    home: Path

    @property
    def temporal_database(self) -> Path:
        """SQLite file of the Temporal server: every workflow and its history."""
        return self.home / "temporal.db"

    @property
    def ledger_database(self) -> Path:
        """SQLite file of the ledger."""
        return self.home / "ledger.db"

    @property
    def mail(self) -> Path:
        """Folder in which the mail sink puts one `.eml` file for each message."""
        return self.home / "mail"

    @property
    def webhooks(self) -> Path:
        """JSON lines file to which the webhook sink appends."""
        return self.home / "webhooks.jsonl"

    @property
    def notices(self) -> Path:
        """Folder in which the mail sink puts the messages to approvers."""
        return self.mail / "notices"

    @property
    def chat(self) -> Path:
        """JSON lines file to which the webhook sink appends messages to the chat."""
        return self.home / "chat.jsonl"

    @property
    def vendors(self) -> Path:
        """JSON lines file in which the local vendors keep tasks, segments and audience members."""
        return self.home / "vendors.jsonl"

    @property
    def logs(self) -> Path:
        """Folder with one log file for each process."""
        return self.home / "logs"

    def log(self, process: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{process}.log"


class Secrets(Frozen):
    """Made on the first start, kept in the folder, handed to children by environment."""

    signing_key: SecretStr = Field(min_length=32)
    webhook_secret: SecretStr = Field(min_length=32)
    vendors_token: SecretStr = Field(
        min_length=32, default_factory=lambda: SecretStr(secrets.token_urlsafe(32))
    )
    """The bearer token of the local vendors; folders of earlier versions have none yet."""
    channel_token: SecretStr = Field(min_length=32, default_factory=lambda: SecretStr(secrets.token_hex(32)))
    """What channel workers show at the hand-over API; folders of earlier versions have none yet."""

    @classmethod
    def fresh(cls) -> Self:
        """Make new random secrets of 256 bits each."""
        webhook = base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(
            signing_key=SecretStr(secrets.token_hex(32)),
            webhook_secret=SecretStr(f"whsec_{webhook}"),  # the form Standard Webhooks prescribes
            vendors_token=SecretStr(secrets.token_urlsafe(32)),
        )

    @property
    def complete(self) -> bool:
        """Whether none of them had to be made just now."""
        return self.model_fields_set == set(type(self).model_fields)


class StackFolder:
    """Exclusive hold on a stack's folder. Blocking; call it from a thread.

    The lock is inherited by the keeper process. If this process is killed, the folder therefore stays locked
    until the last child has ended, and a successor cannot start beside the remains.
    """

    def __init__(self, home: Path) -> None:
        self.paths = Paths(home=home.expanduser().absolute())
        self._lock: int | None = None

    @property
    def lock_descriptor(self) -> int:
        """File descriptor that holds the lock."""
        if self._lock is None:
            raise RuntimeError("the folder is not locked")
        return self._lock

    def take(self) -> None:
        """Create what is missing, lock the folder and begin new logs.

        Raises:
            StackError: The folder cannot be written, or another stack uses it.
        """
        try:
            self._create()
            self._take_lock()
            self._begin_logs()
        except OSError as error:
            self.release()
            raise StackError(
                StackCode.FOLDER,
                f"cannot write in {error.filename or self.paths.home}: {error.strerror}; "
                "free it up or choose another folder with --home",
            ) from None
        except StackError:
            self.release()
            raise

    def release(self) -> None:
        """Unlock the folder. Safe to call twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secrets(self) -> Secrets:
        """Read the secrets, or make them on the first start.

        Raises:
            StackError: The file is damaged or cannot be read or written.
        """
        file = self.paths.home / "secrets.json"
        try:
            if not file.exists():
                return _store(Secrets.fresh(), file)
            file.chmod(_PRIVATE_FILE)  # a copy or a restored backup may have opened it to others
            known = Secrets.model_validate_json(file.read_bytes())
            return known if known.complete else _store(known, file)
        except ValidationError:
            raise StackError(
                StackCode.FOLDER,
                f"{file} is damaged; restore it, or delete it to get new secrets (unsubscribe links sent so "
                "far then stop working)",
            ) from None
        except OSError as error:
            raise StackError(StackCode.FOLDER, f"cannot use {file}: {error.strerror}") from None

    def _create(self) -> None:
        home = self.paths.home
        if not home.parent.is_dir():
            raise StackError(
                StackCode.FOLDER,
                f"{home.parent} is no folder, so {home.name} cannot be made in it; create it or choose "
                "another with --home",
            )
        if home.exists() and not home.is_dir():
            raise StackError(
                StackCode.FOLDER, f"{home} is a file, not a folder; choose another folder with --home"
            )
        home.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        for folder in (self.paths.mail, self.paths.logs):
            folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        # The folder holds secrets and mail: whatever repository it lands in must not take it up.
        (home / ".gitignore").write_text("*\n", encoding="utf-8")

    def _take_lock(self) -> None:
        file = self.paths.home / "lock"
        self._lock = os.open(file, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while not _locked(self._lock):
            owner = _owner(file)
            if owner is not None and _alive(owner):
                raise StackError(
                    StackCode.IN_USE,
                    f"a stack is already running on {self.paths.home} (process {owner}); stop it first or "
                    "choose another folder with --home",
                )
            if time.monotonic() > deadline:
                raise StackError(
                    StackCode.IN_USE,
                    f"processes of an earlier stack (process {owner or 'unknown'}, now gone) still hold "
                    f"{self.paths.home}; end them or choose another folder with --home",
                )
            time.sleep(_POLL_SECONDS)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _begin_logs(self) -> None:
        """Set the logs of the last run aside, so that they stay readable and do not grow for ever."""
        for log in self.paths.logs.glob("*.log"):
            log.replace(log.with_suffix(".log.1"))


def tail(file: Path, *, lines: int = 8) -> tuple[str, ...]:
    """Return the last lines of a log, each at most 300 characters; none if there is no log."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - 16_384))
            text = log.read().decode(errors="replace")
    except OSError:
        return ()
    return tuple(line[:300] for line in text.splitlines() if line.strip())[-lines:]


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text(encoding="utf-8"))
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed process whose parent does not collect it still has an entry; it holds nothing any more.
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True


def _store(fresh: Secrets, file: Path) -> Secrets:
    """Write the secrets readable by the owner only, all or nothing."""
    values = {name: getattr(fresh, name).get_secret_value() for name in Secrets.model_fields}
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(values, out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    return fresh
