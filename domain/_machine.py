"""How an account behaves: `(state, events, now) -> state, effects`, and nothing else.

The workflow and the simulator are two shells around this one function. It reads no clock, draws no
random number and raises for nothing that a message may contain.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from domain import _answering as answering
from domain import _asking as asking
from domain import _exceptions as exceptions
from domain import _noticing as noticing
from domain import _observing as observing
from domain import _planning as planning
from domain import _proposing as proposing
from domain import _recalling as recalling
from domain import _running as running
from domain import _settling as settling
from domain import _touching as touching
from domain._account import Hold
from domain._messages import (
    Answered,
    ApprovalClaimed,
    ApprovalReleased,
    ApprovalViewed,
    Block,
    Delivered,
    Effect,
    Event,
    HandOver,
    HoldPlaced,
    HoldReleased,
    Noticed,
    Observed,
    OutcomeReported,
    Planned,
    PlayAsked,
    PlayCancelled,
    PlayMigrated,
    PlayResumed,
    PolicyPublished,
    Project,
    Projected,
    ProposalWithdrawn,
    Proposed,
    RecallAsked,
    RecallReturned,
    Refused,
    Ruled,
    Seeded,
    StopsChanged,
    TouchSettled,
    Vetted,
)
from domain._records import FactBatch, HoldFact, LedgerFact, SuppressionFact
from domain._state import (
    EARLY_PATIENCE,
    FLUSH_AFTER,
    FLUSH_BATCH,
    FLUSH_BYTES,
    FLUSH_COUNT,
    HOLD_LIMIT,
    AccountState,
)
from domain._turn import Turn
from domain._vocabulary import ProposalStatus, ReasonCode


class Step(NamedTuple):
    """What one turn led to."""

    state: AccountState
    effects: tuple[Effect, ...]


def advance(state: AccountState, events: Iterable[Event], now: datetime) -> Step:
    """Apply events in order, then everything that is due at `now`.

    Args:
        state: The account before; it is not changed.
        events: What happened since the last turn, in order; may be empty when only time has passed.
        now: The moment of the turn, aware UTC, never before the previous turn's.

    Returns:
        The account after, and what the shell must carry out.
    """
    # A ruling judged the world before these messages: it comes after them, and is stale if they matter.
    ordered = sorted(events, key=lambda event: isinstance(event, (Ruled, Planned)))
    try:
        return _advance(state, ordered, now)
    except Exception:  # noqa: BLE001 - one message must never stop an account for ever
        return _advance(state, [_harmless(state, event, now) for event in ordered], now)


def _advance(state: AccountState, events: Iterable[Event], now: datetime) -> Step:
    turn = Turn(state.fork(), now)
    for event in events:
        _apply(turn, event)
    return _settle(turn)


def _harmless(state: AccountState, event: Event, now: datetime) -> Event:
    """Return the event, or a refusal in its place if the account cannot take it."""
    try:
        _advance(state, [event], now)
    except Exception as error:  # noqa: BLE001 - see `advance`
        return Refused(what=type(event).__name__, why=f"it cannot be processed ({type(error).__name__})")
    return event


def resume(state: AccountState, now: datetime) -> Step:
    """Take up a carried state in a new run: ask again for whatever was on its way.

    Consultations and ledger writes are safe to repeat; objections go ahead of everything, as they did.
    A touch in flight is handed over again under the same touch id, which its channel answers from its claim.
    """
    turn = Turn(state.fork(), now)
    turn.state.projecting = 0
    objections = tuple(fact for fact in turn.state.outbox if isinstance(fact, SuppressionFact))
    if objections:
        batch = FactBatch(account_id=state.account_id, facts=objections[:FLUSH_BATCH])
        turn.effects.append(Block(batch=batch))
    if turn.state.consulting is not None:
        proposing.reopen(turn, turn.state.consulting)
    if turn.state.planning is not None:
        planning.ask_again(turn, turn.state.planning)
    recalling.resume(turn)
    answering.resume(turn)
    noticing.resume(turn)
    if turn.state.active is not None:
        turn.effects.append(HandOver(touch=turn.state.active.touch, handover=turn.state.active.handover))
        if turn.state.holds or turn.state.open[turn.state.active.touch.proposal_id].exit_reason is not None:
            turn.revoke()  # what asked the channel to stop must not be forgotten with the run that heard it
    return _settle(turn)


class Due(NamedTuple):
    """Something that time alone will bring about."""

    at: datetime
    what: str
    """One short phrase for an operator, without personal data."""


def next_due(state: AccountState) -> Due | None:
    """Return what happens next if no message comes; None if nothing is due."""
    dues = [
        Due(hold.expires_at, f"hold {hold.hold_id} ends") for hold in state.holds.values() if hold.expires_at
    ]
    dues += [Due(e.since + EARLY_PATIENCE, "give up an early outcome") for e in state.early.values()]
    dues += [Due(*due) for due in (*asking.dues(state), *noticing.dues(state), *exceptions.dues(state))]
    for item in state.open.values():
        if item.status is ProposalStatus.IN_FLIGHT:
            continue
        proposal_id = item.proposal.proposal_id
        dues.append(Due(item.expires_at, f"proposal {proposal_id} expires"))
        if item.status is ProposalStatus.DEFERRED and item.due_at and state.consulting is None:
            dues.append(Due(item.due_at, f"rule on {proposal_id} again"))
    if state.window_ends_at is not None and state.consulting is None:
        dues.append(Due(state.window_ends_at, "decision window ends"))
    if (plan := planning.next_plan_at(state)) is not None:
        dues.append(Due(plan[0], f"next move of play {plan[1]}"))
    dues += [Due(run.ends_by, f"play {run.run_id} ends at the latest") for run in state.runs.values()]
    dues += [
        Due(waiting.due_at, f"take {touch_id} back")
        for touch_id, waiting in state.recalling.items()
        if waiting.due_at is not None
    ]
    if state.outbox and not state.projecting:
        dues.append(Due(state.outbox[0].at + FLUSH_AFTER, "send facts to the ledger"))
    return min(dues, default=None)


def _apply(turn: Turn, event: Event) -> None:
    match event:
        case Observed() | OutcomeReported():
            _hear(turn, event)
        case Proposed():
            proposing.propose(turn, event)
        case Ruled():
            proposing.apply_ruling(turn, event)
            won = turn.state.active
            if won is not None and won.started_at == turn.now:
                running.stand_back(turn, turn.state.open[won.touch.proposal_id].proposal)
        case Delivered() | TouchSettled() | RecallAsked() | RecallReturned():
            _apply_to_touches(turn, event)
        case (
            Answered()
            | Vetted()
            | ApprovalClaimed()
            | ApprovalReleased()
            | ApprovalViewed()
            | Noticed()
            | ProposalWithdrawn()
            | Seeded()
        ):
            _apply_to_exceptions(turn, event)
        case HoldPlaced():
            _place_hold(turn, event.hold)
        case HoldReleased():
            _release_hold(turn, event.hold_id, event.released_by)
        case Projected():
            del turn.state.outbox[: event.count]
            turn.state.projecting = 0
        case PolicyPublished() | StopsChanged():
            proposing.take_up(turn, event)
        case Refused():
            turn.refuse(event.what, event.why)
        case _:
            _apply_to_plays(turn, event)


def _hear(turn: Turn, event: Observed | OutcomeReported) -> None:
    before = turn.state.seq
    match event:
        case Observed():
            observing.observe(turn, event)
        case OutcomeReported():
            observing.report_outcome(turn, event)
    if turn.state.seq != before:
        running.review(turn)


def _apply_to_touches(turn: Turn, event: Delivered | TouchSettled | RecallAsked | RecallReturned) -> None:
    match event:
        case Delivered():
            touching.deliver(turn, event)
            running.take_back_late(turn, event.receipt.touch_id)
            observing.learn_from_receipt(turn, event.receipt)
        case TouchSettled():
            settling.settle_touch(turn, event)
        case RecallAsked():
            recalling.ask(turn, event)
        case RecallReturned():
            recalling.returned(turn, event)


def _apply_to_exceptions(
    turn: Turn,
    event: Answered
    | Vetted
    | ApprovalClaimed
    | ApprovalReleased
    | ApprovalViewed
    | Noticed
    | ProposalWithdrawn
    | Seeded,
) -> None:
    match event:
        case Answered():
            answering.answer(turn, event)
        case Vetted():
            answering.vetted(turn, event)
        case ApprovalClaimed():
            asking.claim(turn, event)
        case ApprovalReleased():
            asking.release(turn, event)
        case ApprovalViewed():
            asking.view(turn, event)
        case Noticed():
            noticing.noticed(turn, event)
        case ProposalWithdrawn():
            proposing.withdraw(turn, event)
        case Seeded():
            proposing.seed(turn, event)


def _apply_to_plays(
    turn: Turn, event: PlayAsked | Planned | PlayCancelled | PlayResumed | PlayMigrated
) -> None:
    match event:
        case PlayAsked():
            running.ask(turn, event.ask)
        case Planned():
            planning.apply_plan(turn, event)
        case PlayCancelled():
            running.cancel(turn, event)
        case PlayResumed():
            running.resume(turn, event)
        case PlayMigrated():
            running.migrate(turn, event)


def _settle(turn: Turn) -> Step:
    for hold in tuple(turn.state.holds.values()):
        if hold.expires_at is not None and hold.expires_at <= turn.now:
            _end_hold(turn, hold, "expired")
    for ended in asking.expire(turn):
        exceptions.after_expiry(turn, ended)
    asking.escalate_and_remind(turn)
    for item in tuple(turn.state.open.values()):
        if item.expires_at <= turn.now and item.status is not ProposalStatus.IN_FLIGHT:
            asking.withdraw(turn, item, "the proposal expired")
            turn.close(item, ProposalStatus.SUPPRESSED, ReasonCode.EXPIRED, _expiry_message(item.decision))
    observing.place_early_outcomes(turn)
    touching.forget_old(turn)
    running.settle(turn)
    planning.plan_when_due(turn)
    recalling.try_again_when_due(turn)
    exceptions.raise_what_is_new(turn)
    noticing.try_again_when_due(turn)
    proposing.consult_when_due(turn)
    _flush_when_due(turn)
    return Step(turn.state, tuple(turn.effects))


def _expiry_message(decision: object) -> str:
    return "it expired before it could be sent" if decision else "it expired before it was ruled on"


def _place_hold(turn: Turn, hold: Hold) -> None:
    if hold.hold_id in turn.state.holds:
        return
    if hold.expires_at is not None and hold.expires_at <= turn.now:
        turn.refuse("hold", f"{hold.hold_id} expired at {hold.expires_at.isoformat()}")
        return
    if len(turn.state.holds) >= HOLD_LIMIT:
        turn.refuse("hold", f"{hold.hold_id}: at most {HOLD_LIMIT} holds stand at a time")
        return
    turn.state.holds[hold.hold_id] = hold
    turn.revoke()
    turn.record(HoldFact(seq=turn.next_seq(), at=turn.now, hold=hold))
    turn.world_changed()
    turn.note(f"{hold.placed_by} placed a hold: {hold.reason}")


def _release_hold(turn: Turn, hold_id: str, released_by: str) -> None:
    hold = turn.state.holds.get(hold_id)
    if hold is None:
        turn.refuse("hold release", f"no hold {hold_id} stands on this account")
        return
    _end_hold(turn, hold, released_by)


def _end_hold(turn: Turn, hold: Hold, ended_by: str) -> None:
    del turn.state.holds[hold.hold_id]
    turn.record(HoldFact(seq=turn.next_seq(), at=turn.now, hold=hold, ended_by=ended_by))
    turn.world_changed()
    turn.note(f"Hold {hold.hold_id} ended ({ended_by})")
    for item in tuple(turn.state.open.values()):
        held = item.decision is not None and any(
            hit.reason is ReasonCode.ACCOUNT_HOLD for hit in item.decision.hits
        )
        if item.status is ProposalStatus.DEFERRED and held:
            turn.put(item.model_copy(update={"due_at": turn.now}))


def _batch(outbox: list[LedgerFact]) -> tuple[LedgerFact, ...]:
    size, count = 0, 0
    for fact in outbox[:FLUSH_BATCH]:
        # Without its link, which histories from before there were links do not have.
        size += len(fact.model_dump_json(exclude={"link"}).encode())
        if count and size > FLUSH_BYTES:
            break
        count += 1
    return tuple(outbox[:count])


def _flush_when_due(turn: Turn) -> None:
    state = turn.state
    if state.projecting or not state.outbox:
        return
    oldest_waited: timedelta = turn.now - state.outbox[0].at
    # While a touch is in flight its receipt is awaited, so that decision and receipt travel together.
    urgent = state.urgent_facts and state.active is None and state.consulting is None
    if urgent or len(state.outbox) >= FLUSH_COUNT or oldest_waited >= FLUSH_AFTER:
        facts = _batch(state.outbox)
        state.projecting = len(facts)
        turn.effects.append(Project(batch=FactBatch(account_id=state.account_id, facts=facts)))
