"""Which policy set is in force: the ledger says it, and every ruling asks anew."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from governance import PolicyError, PolicySet, compile_policy_set, load_policy_set
from ledger import Ledger, LedgerError, LedgerFault, Release, ReleaseKind

_log = structlog.get_logger("tutti.policies")
_SETS_KEPT = 4
"""Compiled sets at hand: the one in force, and some to go back to without compiling again."""
_RELEASES_TRIED = 10
_WORKER: Final = "worker"
_FIRST_START: Final = "first start"


class NoPolicySetError(Exception):
    """Nothing can be ruled on, because no policy set can be used; the text says why and what to do."""


class PolicyKeeper:
    """Keeps the policy set in force at hand, compiled.

    What is in force is read from the ledger every time, so a publication counts from the next ruling on in
    every process. A set that this code cannot compile does not stop the accounts: the last good one goes on.
    """

    def __init__(self, ledger: Ledger, *compiled: PolicySet) -> None:
        """Take the open ledger, and sets that are compiled already and may turn out to be in force."""
        self._ledger = ledger
        self._sets: OrderedDict[str, PolicySet] = OrderedDict((each.digest, each) for each in compiled)
        self._unusable: set[str] = set()
        self._last_good: PolicySet | None = None
        self._compiling = asyncio.Lock()

    async def in_force(self) -> PolicySet:
        """Return the set of the latest release, or the last good one if that cannot be used.

        Raises:
            LedgerError: the ledger cannot say what is in force.
            NoPolicySetError: nothing was ever released that this code could use; later may be better.
        """
        release = await self._ledger.release_in_force()
        found = await self._compiled(release) if release is not None else None
        self._last_good = found or self._last_good or await self._earlier()
        if self._last_good is None:
            raise NoPolicySetError(_nothing_usable(release))
        return self._last_good

    async def _earlier(self) -> PolicySet | None:
        """Return the latest set that can be used, for a process that starts under one that cannot."""
        for release in await self._ledger.releases(limit=_RELEASES_TRIED):
            found = await self._compiled(release)
            if found is not None:
                return found
        return None

    async def _compiled(self, release: Release) -> PolicySet | None:
        known = self._at_hand(release.digest)
        if known is not None or release.digest in self._unusable:
            return known
        async with self._compiling:  # many rulings ask at once after a publication; one compiles
            known = self._at_hand(release.digest)
            if known is None and release.digest not in self._unusable:
                known = await self._compile(release)
        return known

    def _at_hand(self, digest: str) -> PolicySet | None:
        found = self._sets.get(digest)
        if found is not None:
            self._sets.move_to_end(digest)
        return found

    async def _compile(self, release: Release) -> PolicySet | None:
        files = await self._ledger.policy_set(release.digest)
        try:
            made = await asyncio.to_thread(compile_policy_set, files or {})
        except PolicyError as error:
            why = str(error) if files is not None else "the ledger does not have its files"
        else:
            if made.digest == release.digest:
                self._sets[made.digest] = made
                while len(self._sets) > _SETS_KEPT:
                    self._sets.popitem(last=False)
                return made
            why = f"its files in the ledger are those of {made.digest[:12]}"
        self._unusable.add(release.digest)
        _log.error(
            "a released policy set cannot be used; the last good one goes on",
            release=release.number,
            digest=release.digest[:12],
            author=release.author,
            why=why,
        )
        return None


def _nothing_usable(release: Release | None) -> str:
    if release is None:
        return "no policy set is in force; start a worker with a policy folder, or run `tutti policy publish`"
    return (
        f"release {release.number} ({release.digest[:12]}) cannot be used by this version, nor can an "
        "earlier one; publish a set that it can use"
    )


async def keep_policies(ledger: Ledger, folder: Path) -> PolicyKeeper:
    """Return the keeper for a process that starts with a folder of policy files.

    On an empty ledger the folder's set becomes release 1. Afterwards the ledger counts: a folder that differs
    from what is in force, or cannot be used, is mentioned in the log and otherwise left alone.

    Raises:
        PolicyError: nothing is in force yet, and the folder's set has mistakes.
        LedgerError: the ledger cannot be read or written.
    """
    release = await ledger.release_in_force()
    try:
        own = await asyncio.to_thread(load_policy_set, folder)
    except PolicyError as error:
        if release is None:
            raise
        _log.warning(
            "the policy folder cannot be used; the release goes on", folder=str(folder), why=str(error)
        )
        return PolicyKeeper(ledger)
    if release is None:
        release = await publish_first(ledger, own)
    if release.digest != own.digest:
        _log.warning(
            "the policy folder differs from what is in force; `tutti policy publish` puts it in force",
            folder=str(folder),
            own=own.digest[:12],
            release=release.number,
            digest=release.digest[:12],
        )
    return PolicyKeeper(ledger, own)


async def publish_first(ledger: Ledger, policies: PolicySet) -> Release:
    """Publish a set on a ledger that has no release; return what is in force, whoever put it there.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    try:
        return await ledger.publish(
            policies.files,
            policies.digest,
            author=_WORKER,
            reason=_FIRST_START,
            at=datetime.now(UTC),
            kind=ReleaseKind.FIRST,
            expected=None,
        )
    except LedgerError as error:
        if error.code is not LedgerFault.OVERTAKEN:
            raise
        release = await ledger.release_in_force()  # another process was first
        if release is None:
            raise
        return release
