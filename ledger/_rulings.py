"""Rulings: entered in one transaction with the places they take, and read again for replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import delete, func, or_, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from domain import (
    Contact,
    Content,
    Decision,
    DecisionFact,
    Frozen,
    LedgerFact,
    Moment,
    Proposal,
    ProposalFact,
    ProposalStatus,
    ReasonCode,
    Ruling,
    RulingRequest,
    TouchFact,
    Verdict,
)
from ledger import _windows
from ledger._engine import POSTGRES, upsert
from ledger._facts import GOVERNED
from ledger._room import Viewpoint, room
from ledger._tables import (
    DecisionRow,
    ProposalRow,
    ReservationRow,
    RuleHitRow,
    RulingRow,
    TouchRow,
    table_of,
)

_RESERVATIONS = table_of(ReservationRow)
_RULINGS = table_of(RulingRow)
_ROOM_LOCK = 7_846_238_907  # any number, as long as every version of this code asks for the same
WITHHELD: Final = "withheld"


class RulingKey(NamedTuple):
    """What a recorded ruling is known by, and its place in their order."""

    at: datetime
    account_id: str
    revision: int


class RuledProposal(Frozen):
    """What a ruling said about one proposal."""

    proposal_id: str
    decision_id: str
    verdict: Verdict
    reason: ReasonCode
    rule_id: str | None
    """The rule of the first hit, which is the one that decided; None without any hit."""


class RecordedRuling(Frozen):
    """A ruling as it was asked for and answered.

    The request is the one that governance judged, with the suppressions and the standing of that moment. What
    no rule reads is withheld: contents of proposals, names of persons, of their addresses all but the
    domain, and what was written about readings, holds and stops.
    """

    account_id: str
    at: Moment
    revision: int
    seq: int
    policy_digest: str
    request: RulingRequest
    outcomes: tuple[RuledProposal, ...]

    @property
    def key(self) -> RulingKey:
        """Where it stands in the order: the next page begins behind the last one's key."""
        return RulingKey(self.at, self.account_id, self.revision)


class RuleCount(Frozen):
    """How often a rule has fired."""

    fired: int
    last_at: Moment


class HitCounts(Frozen):
    """How often rules have fired, over all decisions the ledger knows."""

    decisions: int
    rules: dict[str, RuleCount]
    """By rule id; a rule that never fired is not in it."""


class RecordedHit(Frozen):
    """A decision in which a rule had its say."""

    account_id: str
    decision: Decision


_OUTCOMES: Final = TypeAdapter(tuple[RuledProposal, ...])


async def enter(connection: AsyncConnection, request: RulingRequest, ruling: Ruling) -> bool:
    """Enter a ruling inside a write transaction; see `Ledger.enter_ruling`."""
    allowed = next((each for each in ruling.decisions if each.verdict is Verdict.ALLOW), None)
    judged = tuple(sorted(candidate.proposal.proposal_id for candidate in request.candidates))
    if allowed is not None and (allowed.draws or allowed.window is not None):
        if connection.dialect.name == POSTGRES:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ROOM_LOCK})
        draws = [(allowed.proposal_id, draw) for draw in allowed.draws]
        moments = await room(connection, draws, Viewpoint(request.account_id, judged, request.now))
        if any(moment > request.now for moment in moments.values()):
            return False
        if allowed.window is not None and not await _windows.has_room(connection, request, allowed.window):
            return False
    await _give_back(connection, request, judged)
    await _windows.give_back(connection, request, judged)
    if allowed is not None and not await _overtaken(connection, request, allowed.proposal_id):
        await _windows.take_place(connection, request, allowed)
        reserve = upsert(_RESERVATIONS, connection.dialect.name)
        await connection.execute(reserve, [_reservation(request, allowed)])
    write = upsert(_RULINGS, connection.dialect.name, _the_last)
    await connection.execute(write, [_row(request, ruling)])
    return True


async def _give_back(connection: AsyncConnection, request: RulingRequest, judged: tuple[str, ...]) -> None:
    """Give back what earlier requests had reserved for the candidates.

    An attempt that everybody has given up may still get here, long after the account went on: what a later
    request reserved, or another attempt at this one, stays. The facts to come settle it.
    """
    table = _RESERVATIONS.c
    asked = (table.after_seq, table.at)
    await connection.execute(
        delete(_RESERVATIONS).where(
            table.account_id == request.account_id,
            table.proposal_id.in_(judged),
            tuple_(*asked) < tuple_(request.seq, request.now, types=[column.type for column in asked]),
        )
    )


async def _overtaken(connection: AsyncConnection, request: RulingRequest, proposal_id: str) -> bool:
    """Tell whether the ledger knows already what became of a proposal after the request.

    Then nothing is to be reserved any more: the facts that would give the place back have come.
    """
    moved_on = select(col(ProposalRow.seq)).where(
        col(ProposalRow.account_id) == request.account_id,
        col(ProposalRow.proposal_id) == proposal_id,
        col(ProposalRow.seq) > request.seq,
        col(ProposalRow.status) != ProposalStatus.IN_FLIGHT.value,
    )
    touched = select(col(TouchRow.seq)).where(
        col(TouchRow.account_id) == request.account_id,
        col(TouchRow.source) == GOVERNED,
        col(TouchRow.proposal_id) == proposal_id,
        col(TouchRow.seq) > request.seq,
    )
    return bool(await connection.scalar(select(or_(moved_on.exists(), touched.exists()))))


def _the_last(new: Any, stored: Any) -> Any:  # noqa: ANN401, ARG001 - columns of either dialect
    # An attempt that is made again rules again, perhaps under another set: what it says last is what counts.
    return true()


def _reservation(request: RulingRequest, allowed: Decision) -> dict[str, Any]:
    candidates = (candidate.proposal for candidate in request.candidates)
    proposal = next(each for each in candidates if each.proposal_id == allowed.proposal_id)
    return {
        "account_id": request.account_id,
        "proposal_id": proposal.proposal_id,
        "after_seq": request.seq,
        "at": request.now,
        "channel": proposal.channel,
        "actor": proposal.actor,
        "action": proposal.action,
        "cost": proposal.cost,
    }


def _row(request: RulingRequest, ruling: Ruling) -> dict[str, Any]:
    outcomes = tuple(
        RuledProposal(
            proposal_id=decision.proposal_id,
            decision_id=decision.decision_id,
            verdict=decision.verdict,
            reason=decision.reason,
            rule_id=decision.hits[0].rule_id if decision.hits else None,
        )
        for decision in ruling.decisions
    )
    return {
        "account_id": request.account_id,
        "at": request.now,
        "revision": request.revision,
        "seq": request.seq,
        "policy_digest": ruling.policy_digest,
        "request": _without_content(request, ruling),
        "outcomes": _OUTCOMES.dump_python(outcomes, mode="json"),
    }


def _without_content(request: RulingRequest, ruling: Ruling) -> RulingRequest:
    """Withhold what no rule reads; whether there is an address, and at which company, is what rules read.

    Whether a content was that of its template can be found out no more, so what was found out is kept.
    """
    templates = {decision.proposal_id: decision.template for decision in ruling.decisions}
    candidates = tuple(
        candidate.model_copy(
            update={
                "proposal": _wordless(candidate.proposal),
                "made_from": templates.get(candidate.proposal.proposal_id),
            }
        )
        for candidate in request.candidates
    )
    return request.model_copy(
        update={
            "candidates": candidates,
            "contacts": {contact_id: _nameless(contact) for contact_id, contact in request.contacts.items()},
            "readings": tuple(reading.model_copy(update={"note": None}) for reading in request.readings),
            "holds": tuple(hold.model_copy(update={"reason": WITHHELD}) for hold in request.holds),
            "stops": tuple(stop.model_copy(update={"reason": WITHHELD}) for stop in request.stops),
        }
    )


def _wordless(proposal: Proposal) -> Proposal:
    # How the actor read the account is among the readings.
    return proposal.model_copy(update={"content": Content(), "reading": None})


def _nameless(contact: Contact) -> Contact:
    return contact.model_copy(
        update={
            "name": contact.contact_id,
            "email": f"{WITHHELD}@{contact.email.rpartition('@')[2]}" if contact.email is not None else None,
            "phone": WITHHELD if contact.phone is not None else None,
        }
    )


async def settle_reservations(
    connection: AsyncConnection, account_id: str, facts: Sequence[LedgerFact]
) -> None:
    """Give back inside a write transaction the places of proposals whose further course has become known.

    A touch then counts by itself, and a proposal that came to something else takes no place. Facts from
    before a reservation, as in a rebuild or a repeated batch, say nothing of it.
    """
    latest: dict[str, int] = {}
    for proposal_id, seq in _settled(facts):
        latest[proposal_id] = max(seq, latest.get(proposal_id, seq))
    for proposal_id, seq in sorted(latest.items()):
        await connection.execute(
            delete(_RESERVATIONS).where(
                _RESERVATIONS.c.account_id == account_id,
                _RESERVATIONS.c.proposal_id == proposal_id,
                _RESERVATIONS.c.after_seq < seq,
            )
        )


def _settled(facts: Sequence[LedgerFact]) -> Iterator[tuple[str, int]]:
    for fact in facts:
        if isinstance(fact, TouchFact):
            yield fact.touch.proposal_id, fact.seq
        elif isinstance(fact, ProposalFact) and fact.status is not ProposalStatus.IN_FLIGHT:
            yield fact.proposal.proposal_id, fact.seq


async def rulings(
    connection: AsyncConnection, since: datetime | None, after: RulingKey | None, limit: int
) -> list[RecordedRuling]:
    """See `Ledger.rulings`."""
    order = (_RULINGS.c.at, _RULINGS.c.account_id, _RULINGS.c.revision)
    wanted = select(_RULINGS).order_by(*order).limit(limit)
    if since is not None:
        wanted = wanted.where(_RULINGS.c.at >= since)
    if after is not None:
        wanted = wanted.where(tuple_(*order) > tuple_(*after, types=[column.type for column in order]))
    found = await connection.execute(wanted)
    return [
        RecordedRuling(
            account_id=row.account_id,
            at=row.at,
            revision=row.revision,
            seq=row.seq,
            policy_digest=row.policy_digest,
            request=RulingRequest.model_validate_json(row.request),
            outcomes=_OUTCOMES.validate_json(row.outcomes),
        )
        for row in found
    ]


async def hit_counts(connection: AsyncConnection) -> HitCounts:
    """See `Ledger.rule_hit_counts`."""
    rule_id, last_at = col(RuleHitRow.rule_id), func.max(col(RuleHitRow.at))
    fired = func.count(col(RuleHitRow.decision_id))
    found = await connection.execute(select(rule_id, fired, last_at).group_by(rule_id).order_by(rule_id))
    decisions = await connection.scalar(select(func.count()).select_from(table_of(DecisionRow)))
    return HitCounts(
        decisions=decisions or 0,
        rules={row[0]: RuleCount(fired=row[1], last_at=row[2]) for row in found},
    )


async def recent_hits(connection: AsyncConnection, rule_id: str, limit: int) -> list[RecordedHit]:
    """See `Ledger.recent_hits`."""
    found = await connection.execute(
        select(col(RuleHitRow.account_id), col(DecisionRow.body))
        .join(
            DecisionRow,
            (col(DecisionRow.account_id) == col(RuleHitRow.account_id))
            & (col(DecisionRow.decision_id) == col(RuleHitRow.decision_id)),
        )
        .where(col(RuleHitRow.rule_id) == rule_id)
        .order_by(col(RuleHitRow.at).desc(), col(RuleHitRow.account_id), col(RuleHitRow.decision_id))
        .limit(limit)
    )
    # A rule that spoke twice in one decision is one hit for the reader.
    once = dict.fromkeys((row[0], row[1]) for row in found)
    return [
        RecordedHit(account_id=account_id, decision=DecisionFact.model_validate_json(body).decision)
        for account_id, body in once
    ]
