"""Anchors: the heads of all decision logs at one moment, signed, to be kept out of reach of the ledger.

An anchor file is JSON lines: one for each head, and a last one that counts and signs them. With it, whoever
keeps it can tell later whether a log was cut off or written anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.progress import Progress

from domain import Frozen, Moment
from ledger import Ledger, LogHead
from tutti.render import counted
from tutti.settings import PREFIX, Settings
from tutti.terminal import CommandError

_PURPOSE: Final = b"tutti audit-log anchor v1\n"
"""Keeps a signature made here from being one of anything else under the same key."""
_FORMAT: Final = 1
_AT_ONCE: Final = 500


class Seal(Frozen):
    """The last line of an anchor file: what makes it one piece."""

    format: int
    anchored_at: Moment
    accounts: int
    heads: int
    digest: str
    """SHA-256 over all lines before this one."""
    signature: str
    """HMAC-SHA256 over the fields above."""


class Anchor(Frozen):
    """An anchor file that is whole."""

    name: str
    anchored_at: datetime
    heads: tuple[LogHead, ...]


class AnchorError(Exception):
    """An anchor file cannot be trusted; the text says why."""


def signing_key(settings: Settings) -> SecretStr:
    """Return the key that anchors are signed with.

    Raises:
        CommandError: there is none.
    """
    if settings.signing_key is None:
        raise CommandError(
            f"{PREFIX}SIGNING_KEY is not set, and anchors are signed with it; take that of your workers, or "
            "make one with `openssl rand -hex 32`"
        )
    return settings.signing_key


async def anchor(out: Console, err: Console, settings: Settings, target: Path | None) -> None:
    """Write the heads of all decision logs, to a file or to standard output.

    Args:
        out: Where the lines go without a file.
        err: Where progress and result are told.
        settings: Where the ledger is, and the key.
        target: The file; None: standard output.

    Raises:
        CommandError: there is no key, the file is there already, or it cannot be written.
        LedgerError: the ledger cannot be read.
    """
    key = signing_key(settings)
    _refuse_overwriting(target)
    now = datetime.now(UTC)
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        heads = [head async for head in _all_heads(ledger, err)]
    finally:
        await ledger.close()
    text = sealed(heads, now, key)
    if target is None:
        out.file.write(text)
        out.file.flush()
    else:
        _write(target, text)
    accounts = len({head.account_id for head in heads})
    told = f"anchored {counted(len(heads), 'head')} of {counted(accounts, 'account')}"
    err.print(
        told if target is None else f"{told} in {target}", highlight=False, markup=False, soft_wrap=True
    )


async def _all_heads(ledger: Ledger, err: Console) -> AsyncIterator[LogHead]:
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("reading the heads", total=None)
        after = ""
        while accounts := await ledger.logged_accounts(after=after, limit=_AT_ONCE):
            for head in await ledger.log_heads(accounts):
                yield head
            after = accounts[-1]
            progress.advance(task, len(accounts))


def sealed(heads: Iterable[LogHead], now: datetime, key: SecretStr) -> str:
    """Return the text of an anchor file."""
    lines = [_line(head.model_dump(mode="json")) for head in heads]
    accounts = len({head.account_id for head in heads})
    body = "".join(lines)
    seal = Seal(
        format=_FORMAT,
        anchored_at=now,
        accounts=accounts,
        heads=len(lines),
        digest=hashlib.sha256(body.encode()).hexdigest(),
        signature="",
    )
    return body + _line(_signed(seal, key).model_dump(mode="json"))


def read_anchor(path: Path, key: SecretStr) -> Anchor:
    """Read an anchor file and check that it is whole and ours.

    Raises:
        AnchorError: it is not; the text says why.
        CommandError: there is no such file, or it cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}; name an anchor file") from None
    except UnicodeDecodeError:
        raise AnchorError("it is no text: it was changed, or is no anchor file") from None
    *lines, last = text.splitlines(keepends=True) or [""]
    try:
        seal = Seal.model_validate_json(last)
    except ValidationError:
        raise AnchorError("its last line is no seal: it was cut off, or is no anchor file") from None
    if seal.format != _FORMAT:
        raise AnchorError(f"it has format {seal.format}, and this program reads format {_FORMAT}")
    if not hmac.compare_digest(seal.signature, _signed(seal, key).signature):
        raise AnchorError(
            f"its signature is not that of {PREFIX}SIGNING_KEY: it was changed, or signed with another key"
        )
    if hashlib.sha256("".join(lines).encode()).hexdigest() != seal.digest or len(lines) != seal.heads:
        raise AnchorError("its lines are not those that were signed: they were changed")
    return Anchor(name=str(path), anchored_at=seal.anchored_at, heads=tuple(_heads(lines)))


def _refuse_overwriting(target: Path | None) -> None:
    if target is not None and target.exists():
        raise CommandError(
            f"{target} is there already, and an anchor is never overwritten; choose another name"
        )


def _heads(lines: Iterable[str]) -> Iterator[LogHead]:
    for line in lines:
        yield LogHead.model_validate_json(line)


def _signed(seal: Seal, key: SecretStr) -> Seal:
    said = _line(seal.model_dump(mode="json", exclude={"signature"})).encode()
    signature = hmac.new(key.get_secret_value().encode(), _PURPOSE + said, hashlib.sha256).hexdigest()
    return seal.model_copy(update={"signature": signature})


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")) + "\n"


def _write(target: Path, text: str) -> None:
    """Write a file that is there whole or not at all, also after a power cut, and replaces no other."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, target)  # unlike a rename, it refuses to replace what came into being meanwhile
        finally:
            Path(name).unlink()
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CommandError(
            f"{target}: {error.strerror or error}; choose a file you can write with --out"
        ) from None
