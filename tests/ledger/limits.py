"""Requests, rulings and draws for tests of limits that all accounts share."""

from datetime import datetime, timedelta

from domain import Account, Candidate, Draw, Ruling, RulingRequest, Verdict
from tests.builders import contact, decide, proposal
from tests.ledger.facts import NOON

WEEK = timedelta(days=7)


def draw(**changes: object) -> Draw:
    """A place in a limit of one week."""
    return Draw.model_validate({"rule_id": "cap", "window_seconds": WEEK.total_seconds()} | changes)


def request_of(
    account_id: str,
    *proposal_ids: str,
    now: datetime = NOON,
    seq: int = 0,
    revision: int = 1,
    **changes: object,
) -> RulingRequest:
    """An account that asks for rulings on proposals, one if none is named."""
    return RulingRequest(
        account_id=account_id,
        account=Account(account_id=account_id, name="Northwind"),
        contacts={"amira": contact(phone="+442079460000")},
        readings=(),
        holds=(),
        touches=(),
        candidates=tuple(
            Candidate(proposal=proposal(each, **changes), received_at=now, expires_at=now + 30 * WEEK)
            for each in proposal_ids or ("p1",)
        ),
        seq=seq,
        revision=revision,
        now=now,
    )


def allowing(request: RulingRequest, *draws: Draw, which: str = "p1") -> Ruling:
    """Allow one of the proposals, which takes places; the others are deferred."""
    ruling = decide(request, dict.fromkeys(ids_of(request), Verdict.DEFER) | {which: Verdict.ALLOW})
    return ruling.model_copy(
        update={
            "decisions": tuple(
                decision.model_copy(update={"draws": draws}) if decision.proposal_id == which else decision
                for decision in ruling.decisions
            )
        }
    )


def nothing(request: RulingRequest) -> Ruling:
    """Defer everything."""
    return decide(request, dict.fromkeys(ids_of(request), Verdict.DEFER))


def ids_of(request: RulingRequest) -> list[str]:
    return [candidate.proposal.proposal_id for candidate in request.candidates]
