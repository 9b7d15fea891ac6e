"""What the account is going through: open support cases, and when each kind of signal was last seen."""

from __future__ import annotations

from datetime import datetime

from domain._account import Circumstances, Signal, SupportCase
from domain._state import CASE_LIMIT
from domain._touch import TouchRecord
from domain._turn import Turn
from domain._vocabulary import OutcomeKind, SignalKind, TouchStatus

_CLOSED = frozenset({"closed", "resolved", "solved", "done"})
"""Words with which support tools say that a case is over; every other word means that it is open."""
_WORST = 1
_SEVERITIES = {"1": 1, "2": 2, "3": 3, "4": 4, "critical": 1, "urgent": 1, "high": 2, "medium": 3, "low": 4}
_REACTIONS = {
    SignalKind.REPLY: OutcomeKind.REPLY,
    SignalKind.MEETING_BOOKED: OutcomeKind.MEETING,
    SignalKind.EMAIL_CLICK: OutcomeKind.CLICK,
    SignalKind.EMAIL_OPEN: OutcomeKind.OPEN,
    SignalKind.BOUNCE: OutcomeKind.BOUNCE,
    SignalKind.COMPLAINT: OutcomeKind.COMPLAINT,
    SignalKind.OPT_OUT: OutcomeKind.OPT_OUT,
}
_RULED_ON = frozenset({SignalKind.SUPPORT_CASE, SignalKind.DEAL_WON, SignalKind.DEAL_LOST})
"""Signals that change what may be done, so that a ruling on its way must not count any more."""


def take_note(turn: Turn, signal: Signal) -> None:
    """Remember what rules may ask for: the latest of each kind, and open cases."""
    state = turn.state
    known = state.circumstances
    latest = dict(known.latest)
    seen = min(signal.observed_at, turn.now)
    latest[signal.kind] = max(seen, latest.get(signal.kind, seen))
    state.circumstances = known.model_copy(update={"latest": latest})
    if signal.kind is SignalKind.SUPPORT_CASE:
        state.circumstances = _with_case(state.circumstances, signal)
    if signal.kind in _RULED_ON:
        turn.world_changed()


def count_reaction(turn: Turn, signal: Signal) -> None:
    """Count a person's reaction that names no touch for the last one that the person got before it."""
    if signal.kind not in _REACTIONS or signal.contact_id is None:
        return
    touches = [
        touch
        for touch in turn.state.touches.values()
        if touch.contact_id == signal.contact_id
        and touch.at <= signal.observed_at
        and touch.status is not TouchStatus.RELEASED
    ]
    if touches:
        last = max(touches, key=lambda touch: (touch.at, touch.touch_id))
        record_outcome(turn, last, _REACTIONS[signal.kind], signal.observed_at)


def record_outcome(turn: Turn, touch: TouchRecord, kind: OutcomeKind, at: datetime) -> None:
    """Remember on a touch what came back; the first moment of each kind stays."""
    moment = min(at, turn.now)
    earliest = min(moment, touch.outcomes.get(kind, moment))
    outcomes = {**touch.outcomes, kind: earliest}
    turn.state.touches[touch.touch_id] = touch.model_copy(update={"outcomes": outcomes})


def _with_case(known: Circumstances, signal: Signal) -> Circumstances:
    case_id, at = (signal.facts.get("case_id") or signal.signal_id)[:200], signal.observed_at
    cases = {case.case_id: case for case in known.open_cases}
    closed = dict(known.closed_cases)
    earlier = cases.get(case_id)
    over = signal.facts.get("status", "open").strip().lower() in _CLOSED
    if (earlier is not None and earlier.reported_at > at) or closed.get(case_id, at) > at:
        return known
    if over:
        cases.pop(case_id, None)
        closed[case_id] = at
    elif case_id not in closed or closed[case_id] < at:
        closed.pop(case_id, None)
        severity = _SEVERITIES.get(signal.facts.get("severity", "").strip().lower(), _WORST)
        if earlier is not None and earlier.reported_at == at:
            severity = min(severity, earlier.severity)  # of two reports of one moment, whichever comes first
        opened_at = earlier.opened_at if earlier else at
        cases[case_id] = SupportCase(case_id=case_id, severity=severity, opened_at=opened_at, reported_at=at)
    kept = sorted(cases.values(), key=lambda case: (case.severity, case.opened_at, case.case_id))[:CASE_LIMIT]
    lately = sorted(closed.items(), key=lambda item: (item[1], item[0]))[-CASE_LIMIT:]
    return known.model_copy(
        update={
            "open_cases": tuple(sorted(kept, key=lambda case: case.case_id)),
            "closed_cases": dict(lately),
        }
    )
