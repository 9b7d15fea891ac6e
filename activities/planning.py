"""The planning activity: what a play does next on one account, by the version it is pinned to."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog
from temporalio import activity

from activities.policies import PolicyKeeper
from domain import Plan, PlanRequest
from governance import Play, PolicyFileError, PolicySet, load_play, plan
from ledger import Ledger

_log = structlog.get_logger("tutti.plays")
_VERSIONS_KEPT = 200
"""Compiled versions at hand; runs of some months, over all plays, use fewer."""

_Key = tuple[str, str]


class Planning:
    """Says what plays do next.

    A run goes by the version it started with: it is read from the files of its policy set, which the ledger
    keeps, so that neither an edit nor another process changes what is running.
    """

    def __init__(self, keeper: PolicyKeeper, ledger: Ledger) -> None:
        """Take the keeper of the policy set in force and the open ledger."""
        self._keeper = keeper
        self._ledger = ledger
        self._versions: OrderedDict[_Key, Play | None] = OrderedDict()

    @activity.defn(name="plan")
    async def plan(self, request: PlanRequest) -> Plan:
        """Return the next move of a run, and which of the plays that ask may enter.

        A version that this code cannot read any more ends its run as broken, and nothing is sent.

        Raises:
            LedgerError: the ledger cannot be read; the engine tries again, and until then nothing moves.
            NoPolicySetError: no policy set can be used now; the engine tries again.
        """
        policies = await self._keeper.in_force()
        pinned: dict[_Key, Play] = {}
        for key in _versions_of(request):
            found = await self._version(policies, key)
            if found is not None:
                pinned[key] = found
        return plan(policies, request, pinned)

    async def _version(self, policies: PolicySet, key: _Key) -> Play | None:
        digest, play_id = key
        if digest == policies.digest:
            return policies.plays.get(play_id)
        if key not in self._versions:
            # A set that the ledger does not have may still come, from a backup: that is not remembered.
            files = await self._ledger.policy_set(digest)
            if files is None:
                _log.error("a pinned policy set is not in the ledger", digest=digest[:12], play=play_id)
                return None
            self._versions[key] = await asyncio.to_thread(_compiled, files, key)
            while len(self._versions) > _VERSIONS_KEPT:
                self._versions.popitem(last=False)
        else:
            self._versions.move_to_end(key)
        return self._versions.get(key)


def _versions_of(request: PlanRequest) -> list[_Key]:
    run, move = request.run, request.move_to
    if run is None:
        return []
    keys = [(run.policy_digest, run.play_id)]
    if move is not None:
        keys.append((move.policy_digest, run.play_id))
    return keys


def _compiled(files: dict[str, str], key: _Key) -> Play | None:
    digest, play_id = key
    try:
        return load_play(files, play_id)
    except PolicyFileError as error:
        _log.error("a pinned play cannot be read", digest=digest[:12], play=play_id, why=str(error))
        return None
