"""The governance activity: one ruling for everything that is due on one account."""

from __future__ import annotations

from temporalio import activity

from domain import Ruling, RulingRequest
from governance import PolicySet, rule
from ledger import Ledger


class Governing:
    """Rules on proposals under one policy set, with the shared suppression store at hand."""

    def __init__(self, policies: PolicySet, ledger: Ledger) -> None:
        """Take the policy set in force and the open ledger."""
        self._policies = policies
        self._ledger = ledger

    @activity.defn(name="govern")
    async def govern(self, request: RulingRequest) -> Ruling:
        """Return the ruling on a request.

        Raises:
            LedgerError: the suppression store cannot be read; the engine tries again, and until then
                nothing is allowed.
        """
        blocked = await self._suppressed(request)
        return rule(self._policies, request.model_copy(update={"suppressed": blocked}))

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
