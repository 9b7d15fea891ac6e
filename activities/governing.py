"""The governance activity: one ruling for everything that is due on one account."""

from __future__ import annotations

from temporalio import activity

from activities.policies import PolicyKeeper
from domain import Delegation, Ruling, RulingRequest, Standing, Stop, WindowGrant
from governance import PolicySet, draws, rule, tracked, uses, windowed
from ledger import Ledger

ATTEMPTS = 5
"""Rulings tried in one go when others take the last places at the same moment; one of them always gets it."""


class LimitsContendedError(Exception):
    """Others took the places in a shared limit each time a ruling was to be entered."""


class Governing:
    """Rules on proposals under the policy set in force, with what only the ledger knows at hand."""

    def __init__(self, keeper: PolicyKeeper, ledger: Ledger) -> None:
        """Take the keeper of the policy set in force and the open ledger."""
        self._keeper = keeper
        self._ledger = ledger

    @activity.defn(name="govern")
    async def govern(self, request: RulingRequest) -> Ruling:
        """Return the ruling on a request, once it is in the ledger with the places it takes.

        A place in a limit that all accounts share is taken in the same transaction that looks whether it is
        free: of many accounts that rule at once, as many are allowed as there is room for.

        Raises:
            LedgerError: the ledger cannot be read or written; the engine tries again, and until then nothing
                is allowed.
            LimitsContendedError, NoPolicySetError: there is no ruling now; the engine tries again.
        """
        for _ in range(ATTEMPTS):
            policies = await self._keeper.in_force()
            complete = request.model_copy(
                update={
                    "suppressed": await self._suppressed(request),
                    "standing": await self._standing(policies, request),
                    "stops": await self._stops(request),
                    "delegations": await self._delegations(request),
                    "windows": await self._windows(request),
                }
            )
            ruling = rule(policies, complete)
            if await self._ledger.enter_ruling(complete, ruling):
                return ruling
        raise LimitsContendedError("other accounts kept taking the last places in a shared limit")

    async def _stops(self, request: RulingRequest) -> tuple[Stop, ...]:
        """Return the kill switches that cover anything the request is about, oldest first."""
        judged = (each.proposal for each in request.candidates)
        concerned = {(each.actor, each.action, each.channel) for each in judged}
        concerned |= {(each.actor, each.action, each.channel) for each in request.scheduled}
        return tuple(
            stop
            for stop in await self._ledger.stops()
            if any(
                stop.covers(account_id=request.account_id, actor=actor, action=action, channel=channel)
                for actor, action, channel in concerned
            )
        )

    async def _delegations(self, request: RulingRequest) -> tuple[Delegation, ...]:
        """Return who answers, or has answered, in whose place; of candidates with approvals those of then."""
        agreed = (each.at for candidate in request.candidates for each in candidate.agreements)
        return await self._ledger.delegations(min(agreed, default=request.now))

    async def _suppressed(self, request: RulingRequest) -> tuple[str, ...]:
        wanted = {candidate.proposal.contact_id for candidate in request.candidates}
        keys = {
            contact_id: contact.person_key
            for contact_id, contact in request.contacts.items()
            if contact_id in wanted and contact.person_key is not None
        }
        if not keys:
            return ()
        blocked = await self._ledger.suppressed(frozenset(keys.values()))
        return tuple(sorted(contact_id for contact_id, key in keys.items() if key in blocked))

    async def _standing(self, policies: PolicySet, request: RulingRequest) -> Standing:
        drawn, counted = draws(policies, request), tracked(policies, request)
        standing = Standing()
        if drawn or counted:
            standing = await self._ledger.standing(
                drawn, counted, account_id=request.account_id, now=request.now, judged=_judged(request)
            )
        said = uses(policies, request)
        if not said:
            return standing
        return standing.model_copy(update={"used": await self._ledger.used(said)})

    async def _windows(self, request: RulingRequest) -> tuple[WindowGrant, ...]:
        """Return the window approvals that may cover a candidate; governance says whether they do."""
        wanted = windowed(request)
        if not wanted:
            return ()
        return await self._ledger.windows_for(
            wanted, account_id=request.account_id, now=request.now, judged=_judged(request)
        )


def _judged(request: RulingRequest) -> list[str]:
    return [candidate.proposal.proposal_id for candidate in request.candidates]
