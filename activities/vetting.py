"""The activity that says whether somebody may answer who was not asked by name."""

from __future__ import annotations

from temporalio import activity

from activities.policies import PolicyKeeper
from domain import VetRequest, Vetting
from governance import vet
from ledger import Ledger


class Deputies:
    """Knows who may answer in whose place, under the policy set in force."""

    def __init__(self, keeper: PolicyKeeper, ledger: Ledger) -> None:
        """Take the keeper of the policy set in force and the open ledger."""
        self._keeper = keeper
        self._ledger = ledger

    @activity.defn(name="vet")
    async def vet(self, request: VetRequest) -> Vetting:
        """Return whether the answer may be taken, and for whom it is given.

        Raises:
            LedgerError: the ledger cannot be read; the engine tries again, and until then nothing is taken.
            NoPolicySetError: there is nothing to judge by; the engine tries again.
        """
        policies = await self._keeper.in_force()
        return vet(policies, request, await self._ledger.delegations(request.now))
