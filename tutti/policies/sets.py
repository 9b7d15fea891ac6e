"""Naming policy sets: a folder, the number of a release, or the beginning of a digest the ledger knows."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from governance import PolicyError, PolicySet, compile_policy_set, load_policy_set
from tutti.terminal import CommandError

if TYPE_CHECKING:
    from ledger import Ledger, Release
    from tutti.settings import Settings

MANY: Final = 100_000
"""More releases than anybody will make; the ledger wants a limit."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_DIGEST: Final = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A policy set and what to call it before the person who asked for it.

    Attributes:
        label: Such as `release 3` or a folder.
        policies: The set.
    """

    label: str
    policies: PolicySet


def has_ledger(settings: Settings) -> bool:
    """Tell whether there is a ledger to ask: a database that is set, or the local stack's file."""
    return bool(settings.ledger_url) or (settings.home / "ledger.db").exists()


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """Open the ledger for reading and close it in the end.

    Raises:
        CommandError: There is none.
        LedgerError: It cannot be read.
    """
    from ledger import Ledger

    if not has_ledger(settings):
        raise CommandError(
            f"there is no ledger at {settings.home / 'ledger.db'}; start the stack with `tutti up`, or say "
            "where it is with TUTTI_HOME or TUTTI_LEDGER_URL"
        )
    ledger = await Ledger.open(settings.ledger)
    try:
        await ledger.check()
        yield ledger
    finally:
        await ledger.close()


def is_folder(name: str) -> bool:
    """Tell whether a name means a folder; a number means a release, even beside a folder of that name."""
    # Unlike Path.is_dir it takes any name, such as one too long for a file.
    return os.path.isdir(name) and not _NUMBER.fullmatch(name)  # noqa: PTH112


def load_folder(name: str | Path) -> NamedSet:
    """Read the set of a folder.

    Raises:
        PolicyError: It has mistakes.
    """
    return NamedSet(str(name), load_policy_set(Path(name)))


async def load_named(name: str, settings: Settings) -> NamedSet:
    """Return the set that somebody has named.

    Args:
        name: A folder, the number of a release such as `3`, or at least six characters of a digest.
        settings: Where the ledger is; it is only asked for what is no folder.

    Raises:
        CommandError: There is no such set.
        LedgerError: The ledger cannot be read.
        PolicyError: The set has mistakes.
    """
    if is_folder(name):
        return load_folder(name)
    if not _NUMBER.fullmatch(name) and not _DIGEST.fullmatch(name):
        raise CommandError(
            f"{name}: neither a folder, nor the number of a release, nor the beginning of a digest; "
            "`tutti policy releases` lists the releases"
        )
    async with open_ledger(settings) as ledger:
        return await stored(ledger, await _digest_of(ledger, name))


async def in_force(settings: Settings) -> NamedSet:
    """Return the set in force.

    Raises:
        CommandError: Nothing has been published yet.
    """
    async with open_ledger(settings) as ledger:
        release = await ledger.release_in_force()
        if release is None:
            raise CommandError(
                "no policy set has been published yet, so none is in force; name one to compare with"
            )
        return await stored(ledger, (f"release {release.number}", release.digest))


async def stored(ledger: Ledger, found: tuple[str, str]) -> NamedSet:
    """Compile a set that the ledger keeps.

    Args:
        ledger: The open ledger.
        found: What to call the set, and its digest.

    Raises:
        CommandError: The ledger has no files of it, or this version of Tutti cannot read them.
    """
    label, digest = found
    files = await ledger.policy_set(digest)
    if files is None:
        raise CommandError(f"the ledger does not have the files of {label} ({digest[:12]})")
    try:
        return NamedSet(label, compile_policy_set(files, label.replace(" ", "-")))
    except PolicyError as error:
        raise CommandError(f"this version of Tutti cannot read {label} ({digest[:12]}):\n{error}") from None


async def _digest_of(ledger: Ledger, name: str) -> tuple[str, str]:
    releases = await ledger.releases(limit=MANY)
    if _NUMBER.fullmatch(name):
        found = next((release for release in releases if release.number == int(name)), None)
        if found is not None:
            return f"release {found.number}", found.digest
    known = _with_digest(releases, name)
    if len(known) == 1:
        return known[0][:12], known[0]
    if known:
        raise CommandError(f"several policy sets begin with {name}: {', '.join(each[:16] for each in known)}")
    if await ledger.policy_set(name) is not None:
        return name[:12], name
    latest = f"the latest is {releases[0].number}" if releases else "nothing has been published yet"
    raise CommandError(f"the ledger knows no release or policy set {name}; {latest}")


def _with_digest(releases: Sequence[Release], prefix: str) -> list[str]:
    if not _DIGEST.fullmatch(prefix):
        return []
    return sorted({release.digest for release in releases if release.digest.startswith(prefix)})
