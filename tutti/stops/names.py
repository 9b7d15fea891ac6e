"""Whether anything is known under the name that somebody has stopped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from domain import Stop, StopScope
from governance import PolicyError, PolicySet, compile_policy_set
from ledger import Ledger

ACCOUNTS_COMPARED = 10_000
"""Accounts among which a similar name is looked for."""


async def unknown_name(ledger: Ledger, stop: Stop) -> str | None:
    """Return a warning if nothing of the stop's name is known; None if something is, or nobody can tell.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    if stop.name is None:
        return None
    if stop.scope is StopScope.ACCOUNT:
        if await ledger.account_exists(stop.name):
            return None
        accounts = await ledger.accounts(limit=ACCOUNTS_COMPARED)
        return _warning(stop, {StopScope.ACCOUNT: frozenset(each.account_id for each in accounts)})
    policies = await _in_force(ledger)
    if policies is None:
        return None
    known = _names(policies)
    return None if stop.name in known[stop.scope] else _warning(stop, known)


def _warning(stop: Stop, known: Mapping[StopScope, frozenset[str]]) -> str:
    where = "the ledger knows" if stop.scope is StopScope.ACCOUNT else "the policy set in force knows"
    warning = f"{where} no {stop.scope.value} {stop.name!r}; the stop stands all the same"
    elsewhere = next((scope for scope, names in known.items() if stop.name in names), None)
    if elsewhere is not None:
        command = f"tutti stop {elsewhere.value} {stop.name}"
        return f"{warning}. There is one {elsewhere.value} of that name: `{command}`"
    close = difflib.get_close_matches(stop.name or "", sorted(known[stop.scope]), n=1)
    return f"{warning}. Did you mean {close[0]!r}?" if close else warning


async def _in_force(ledger: Ledger) -> PolicySet | None:
    release = await ledger.release_in_force()
    files = await ledger.policy_set(release.digest) if release is not None else None
    if files is None:
        return None
    try:
        return compile_policy_set(files)
    except PolicyError:
        return None


def _names(policies: PolicySet) -> dict[StopScope, frozenset[str]]:
    granted = (action for grant in policies.authority for action in grant.actions or ())
    return {
        StopScope.AGENT: frozenset(policies.people.actors),
        StopScope.CHANNEL: frozenset(policies.channels),
        StopScope.ACTION: frozenset(
            (*granted, *policies.arbitration.intents, *policies.frequency.operational)
        ),
    }
