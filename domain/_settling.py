"""Touches in doubt: a person found out what became of one."""

from __future__ import annotations

from domain._base import one_line
from domain._messages import TouchSettled
from domain._records import ProposalFact, SettlementFact, TouchFact
from domain._touch import Receipt
from domain._turn import Turn
from domain._vocabulary import (
    ProposalStatus,
    ReasonCode,
    ReceiptStatus,
    Settlement,
    TouchStatus,
)

_ENDS = {
    Settlement.HANDED_OVER: (
        TouchStatus.HANDED_OVER,
        ReceiptStatus.ACCEPTED,
        ProposalStatus.SENT,
        ReasonCode.ALLOWED,
    ),
    Settlement.NOT_HANDED_OVER: (
        TouchStatus.RELEASED,
        ReceiptStatus.UNDELIVERED,
        ProposalStatus.FAILED,
        ReasonCode.CHANNEL_DOWN,
    ),
}


def settle_touch(turn: Turn, event: TouchSettled) -> None:
    """End the doubt about a touch; it is never sent again by itself, whatever the person found."""
    doubt = turn.state.in_doubt.get(event.touch_id)
    if doubt is None:
        turn.refuse("settlement", f"touch {event.touch_id} is not in doubt on this account")
        return
    touch = doubt.touch
    touch_status, receipt_status, proposal_status, reason = _ENDS[event.settlement]
    found = event.settlement.value.replace("_", " ")
    message = one_line(f"{event.settled_by} found that it was {found}: {event.comment}")
    del turn.state.in_doubt[event.touch_id]
    record = turn.state.touches.get(event.touch_id)
    if record is not None:
        turn.state.touches[event.touch_id] = record.model_copy(update={"status": touch_status})
    turn.world_changed()
    turn.record(
        SettlementFact(
            seq=turn.next_seq(),
            at=turn.now,
            touch_id=event.touch_id,
            settlement=event.settlement,
            settled_by=event.settled_by,
            comment=event.comment,
        )
    )
    receipt = Receipt(touch_id=event.touch_id, status=receipt_status, at=turn.now, detail=message)
    turn.record(
        TouchFact(seq=turn.next_seq(), at=turn.now, touch=touch, status=touch_status, receipt=receipt)
    )
    closed = turn.state.closed.get(touch.proposal_id)
    if closed is not None:
        ended = {"status": proposal_status, "reason": reason, "message": message}
        turn.state.closed[touch.proposal_id] = closed.model_copy(update=ended)
        turn.record(
            ProposalFact(
                seq=turn.next_seq(),
                at=turn.now,
                proposal=closed.proposal,
                status=proposal_status,
                reason=reason,
                message=message,
            )
        )
    turn.note(f"{touch.action} over {touch.channel}: {message}")
