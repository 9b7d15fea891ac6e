"""Proposals: taking them in, asking governance, and applying what it ruled."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import _asking as asking
from domain import _exceptions as exceptions
from domain import _touching as touching
from domain._base import one_line
from domain._dropping import drop
from domain._messages import (
    Consult,
    PolicyPublished,
    ProposalWithdrawn,
    Proposed,
    Ruled,
    Seeded,
    StopsChanged,
)
from domain._observing import merge_reading
from domain._proposal import Decision, Proposal
from domain._records import DecisionFact
from domain._ruling import Candidate, RulingRequest, Scheduled
from domain._state import (
    CONSULT_LIMIT,
    OPEN_BYTES,
    OPEN_LIMIT,
    PROPOSAL_LIFE,
    RULING_AGE,
    AccountState,
    Consultation,
    OpenProposal,
)
from domain._turn import Turn
from domain._vocabulary import ProposalStatus, ReasonCode, Verdict

SEEDS_LIMIT = 5
"""Planted tests open at a time: they take places of real proposals."""
SHORTEST_DEFERRAL = timedelta(seconds=1)
"""A deferral always moves forward, whatever governance answered."""
_WAITING = frozenset({ProposalStatus.DEFERRED, ProposalStatus.PENDING_APPROVAL})


def propose(turn: Turn, event: Proposed) -> None:
    """Take in somebody's proposal; a repeated one changes nothing."""
    if event.proposal.play is not None:
        turn.refuse("proposal", f"{event.proposal.proposal_id}: only the account itself carries out plays")
        return
    open_proposal(turn, event.proposal)


def seed(turn: Turn, event: Seeded) -> None:
    """Take in a bad proposal that tests the approvers: it is judged alone, and never goes out."""
    if event.proposal.play is not None:
        turn.refuse("seed", f"{event.proposal.proposal_id}: only the account itself carries out plays")
        return
    open_proposal(turn, event.proposal.model_copy(update={"reading": None}), seeded_by=event.seeded_by)


def withdrawal_refusal(state: AccountState, event: ProposalWithdrawn) -> str | None:
    """Say why somebody cannot take a proposal back; None if they can."""
    item = state.open.get(event.proposal_id)
    if item is None:
        return f"proposal {event.proposal_id} is not open on this account"
    approval = state.approvals.get(item.approval_id or "")
    theirs = {item.proposal.actor, item.seeded_by}
    if approval is not None:
        theirs |= set(approval.route.excluded) - set(item.edited_by) - set(item.proposal.edited_by)
    if event.withdrawn_by not in theirs:
        return f"{event.withdrawn_by} did not propose {event.proposal_id}, and owns no agent that did"
    return None


def withdraw(turn: Turn, event: ProposalWithdrawn) -> None:
    """Let whoever proposed something take it back, wherever it is on its way."""
    refusal = withdrawal_refusal(turn.state, event)
    if refusal is not None:
        turn.refuse("withdrawal", refusal)
        return
    item = turn.state.open[event.proposal_id]
    message = one_line(f"taken back by {event.withdrawn_by}: {event.reason}")
    drop(turn, item, ReasonCode.WITHDRAWN, message)


def open_proposal(turn: Turn, proposal: Proposal, *, seeded_by: str | None = None) -> None:
    """Open a proposal and, if none is open, a decision window; a repeated proposal changes nothing."""
    digest = proposal.digest(turn.state.account_id)
    known = known_digest(turn.state, proposal.proposal_id)
    if known is not None:
        if known != digest:
            turn.refuse("proposal", conflict_message(proposal.proposal_id))
        return
    said = sum(len(item.proposal.model_dump_json().encode()) for item in turn.state.open.values())
    if len(turn.state.open) >= OPEN_LIMIT or said > OPEN_BYTES:
        turn.refuse("proposal", f"{proposal.proposal_id}: too many proposals are open on this account")
        return
    planted = sum(item.seeded_by is not None for item in turn.state.open.values())
    if seeded_by is not None and planted >= SEEDS_LIMIT:
        turn.refuse("seed", f"{proposal.proposal_id}: at most {SEEDS_LIMIT} planted tests are open at a time")
        return
    latest = turn.now + PROPOSAL_LIFE
    item = OpenProposal(
        proposal=proposal,
        digest=digest,
        received_at=turn.now,
        expires_at=min(proposal.expires_at or latest, latest),
        seeded_by=seeded_by,
    )
    turn.put(item)
    turn.tell(item, ProposalStatus.IN_WINDOW)
    turn.note(f"{proposal.actor} proposes {proposal.action} over {proposal.channel}")
    merge_reading(turn, proposal.reading)
    if turn.state.window_ends_at is None:
        turn.state.window_ends_at = turn.now + timedelta(seconds=turn.state.window_seconds)


def known_digest(state: AccountState, proposal_id: str) -> str | None:
    """Return the digest under which a proposal id is already known."""
    item = state.open.get(proposal_id)
    return (item.first_digest or item.digest) if item else state.ended.get(proposal_id)


def conflict_message(proposal_id: str) -> str:
    """Say why a proposal id cannot be used again."""
    return f"proposal id {proposal_id} was already used for another action; choose a new id"


def consult_when_due(turn: Turn) -> None:
    """Ask governance about everything that is due, all in one consultation."""
    state = turn.state
    if state.consulting is not None:
        return
    window_over = state.window_ends_at is not None and state.window_ends_at <= turn.now
    due = sorted(
        (item.received_at, proposal_id)
        for proposal_id, item in state.open.items()
        if (item.status is ProposalStatus.IN_WINDOW and window_over)
        or (item.status is ProposalStatus.DEFERRED and (item.due_at or turn.now) <= turn.now)
    )
    everything, due = due, _apart(state, due)
    if window_over:
        # Those beyond the limit keep the window over, and are judged as soon as this ruling is back.
        left = len(due) > CONSULT_LIMIT or len(due) < len(everything)
        state.window_ends_at = turn.now if left else None
    if not due and not state.asks:
        return
    ids = tuple(proposal_id for _, proposal_id in due[:CONSULT_LIMIT])
    state.consulting = Consultation(
        revision=state.revision, proposal_ids=ids, asks=tuple(state.asks), requested_at=turn.now
    )
    turn.effects.append(Consult(request=_ruling_request(turn, ids)))


def _apart(state: AccountState, due: list[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """Return what is judged together: a planted test is judged alone, and displaces nothing."""
    real = [each for each in due if state.open[each[1]].seeded_by is None]
    return real or due[:1]


def _ruling_request(turn: Turn, proposal_ids: tuple[str, ...]) -> RulingRequest:
    state = turn.state
    addressed = {state.open[proposal_id].proposal.contact_id for proposal_id in proposal_ids}
    return RulingRequest(
        account_id=state.account_id,
        account=state.account,
        contacts={key: contact for key, contact in state.contacts.items() if key in addressed},
        readings=tuple(state.readings[system] for system in sorted(state.readings)),
        holds=tuple(state.holds.values()),
        touches=state.judged_touches(),
        candidates=tuple(
            Candidate(
                proposal=item.proposal,
                received_at=item.received_at,
                expires_at=item.expires_at,
                rulings=item.rulings,
                deferrals=item.deferrals,
                approved_by=item.approved_by,
                approvers=item.approvers,
                agreements=item.agreements,
                glass_broken_by=item.glass_broken_by,
            )
            for item in (state.open[proposal_id] for proposal_id in proposal_ids)
        ),
        scheduled=_scheduled(state, frozenset(proposal_ids)),
        circumstances=state.circumstances,
        asks=tuple(state.asks.values()),
        settled=state.settled,
        ambiguity=state.approvals.get(state.reading_question.approval_id) if state.reading_question else None,
        seq=state.seq,
        revision=state.revision,
        now=turn.now,
    )


def _scheduled(state: AccountState, judged: frozenset[str]) -> tuple[Scheduled, ...]:
    return tuple(
        Scheduled(
            proposal_id=proposal_id,
            actor=item.proposal.actor,
            action=item.proposal.action,
            channel=item.proposal.channel,
            contact_id=item.proposal.contact_id,
            intent=item.proposal.intent,
            value=item.proposal.value,
            status=item.status,
            due_at=item.due_at if item.status is ProposalStatus.DEFERRED else None,
            answer_by=_answer_by(state, item),
            received_at=item.received_at,
            score=item.decision.score.total,
        )
        for proposal_id, item in sorted(state.open.items())
        if proposal_id not in judged
        and item.seeded_by is None
        and item.status in _WAITING
        and item.decision is not None
        and item.decision.score is not None
    )


def _answer_by(state: AccountState, item: OpenProposal) -> datetime | None:
    if item.status is not ProposalStatus.PENDING_APPROVAL:
        return None
    approval = state.approvals.get(item.approval_id or "")
    return approval.route.expires_at if approval is not None else None


def take_up(turn: Turn, event: PolicyPublished | StopsChanged) -> None:
    """Judge again what waited for other rules than now count."""
    match event:
        case PolicyPublished():
            _take_up_policies(turn, event.digest)
        case StopsChanged():
            _take_up_stops(turn, event.stop_id)


def _take_up_policies(turn: Turn, digest: str) -> None:
    """Let the set in force judge again what an earlier one made wait."""
    if digest == turn.state.policy_digest:
        return
    turn.world_changed()
    turn.note(f"Policy set {digest[:12]} was published")
    for item in tuple(turn.state.open.values()):
        if item.status is ProposalStatus.DEFERRED:
            turn.put(item.model_copy(update={"due_at": turn.now}))


def _take_up_stops(turn: Turn, stop_id: str) -> None:
    """Have what waited because of a kill switch judged again, now that one was lifted."""
    waited = [
        item
        for item in turn.state.open.values()
        if item.status is ProposalStatus.DEFERRED
        and item.decision is not None
        and any(hit.reason is ReasonCode.STOPPED for hit in item.decision.hits)
    ]
    if not waited and turn.state.consulting is None:
        return
    # A ruling that is on its way may have been made while the stop stood.
    turn.world_changed()
    for item in waited:
        turn.put(item.model_copy(update={"due_at": turn.now}))
    if waited:
        turn.note(f"Stop {stop_id} was lifted")


def apply_ruling(turn: Turn, event: Ruled) -> None:
    """Apply a ruling, unless the account's world has changed since it was asked for."""
    state, ruling = turn.state, event.ruling
    consultation = state.consulting
    if consultation is None or ruling.revision != consultation.revision:
        return
    state.consulting = None
    state.policy_digest = ruling.policy_digest
    state.window_seconds = ruling.decision_window_seconds
    if ruling.assessment is not None:
        state.assessment = ruling.assessment
    if consultation.revision != state.revision or turn.now - consultation.requested_at > RULING_AGE:
        reopen(turn, consultation)
        return
    exceptions.apply_routes(turn, event, consultation.asks)
    ruled: set[str] = set()
    for decision in ruling.decisions:
        item = state.open.get(decision.proposal_id)
        if item is None or decision.proposal_id not in consultation.proposal_ids:
            continue
        ruled.add(decision.proposal_id)
        _apply_decision(turn, item, decision)
    for proposal_id in consultation.proposal_ids:
        item = state.open.get(proposal_id)
        if item is not None and proposal_id not in ruled:
            turn.close(
                item,
                ProposalStatus.DENIED,
                ReasonCode.EVALUATION_ERROR,
                "governance gave no decision; denied",
            )


def reopen(turn: Turn, consultation: Consultation) -> None:
    """Make the proposals of a consultation due again at once."""
    turn.state.consulting = None
    statuses = {
        item.status
        for proposal_id in consultation.proposal_ids
        if (item := turn.state.open.get(proposal_id)) is not None
    }
    if ProposalStatus.IN_WINDOW in statuses:
        turn.state.window_ends_at = turn.now


def _apply_decision(turn: Turn, item: OpenProposal, decision: Decision) -> None:
    deferred = decision.verdict is Verdict.DEFER
    item = item.model_copy(
        update={
            "decision": decision,
            "rulings": item.rulings + 1,
            "deferrals": item.deferrals + int(deferred),
        }
    )
    turn.put(item)
    turn.record(DecisionFact(seq=turn.next_seq(), at=turn.now, decision=decision))
    if decision.starved and item.starved_at is None:
        item = item.model_copy(update={"starved_at": turn.now})
        turn.put(item)
        turn.note(f"{item.proposal.actor}: {item.proposal.action} starves, deferred {item.deferrals} times")
    message = _message(decision)
    match decision.verdict:
        case Verdict.ALLOW if item.seeded_by is not None:
            message = f"planted by {item.seeded_by} to test the approvers; no policy asked them about it"
            turn.close(item, ProposalStatus.SUPPRESSED, ReasonCode.SEEDED, message)
        case Verdict.ALLOW:
            touching.hand_over(turn, item, decision)
        case Verdict.DEFER:
            if decision.until is None:
                turn.close(
                    item,
                    ProposalStatus.DENIED,
                    ReasonCode.EVALUATION_ERROR,
                    "deferred without a moment; denied",
                )
                return
            # Kept to the moment: proposals that wait for the same thing come due, and are judged, together.
            late = decision.until <= turn.now
            due_at = turn.now + SHORTEST_DEFERRAL if late else decision.until
            turn.put(item.model_copy(update={"status": ProposalStatus.DEFERRED, "due_at": due_at}))
            turn.tell(item, ProposalStatus.DEFERRED, decision.reason, message)
            turn.note(
                f"{item.proposal.actor}: {item.proposal.action} deferred to "
                f"{due_at:%Y-%m-%d %H:%M:%S}Z ({decision.reason.value})"
            )
        case Verdict.REQUIRE_APPROVAL:
            asking.request(turn, item, decision)
        case Verdict.SUPPRESS:
            turn.close(item, ProposalStatus.SUPPRESSED, decision.reason, message)
        case Verdict.DENY:
            turn.close(item, ProposalStatus.DENIED, decision.reason, message)


def _message(decision: Decision) -> str:
    return next(
        (hit.message for hit in decision.hits if hit.reason is decision.reason),
        decision.reason.value,
    )
