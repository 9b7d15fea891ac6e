"""Touches: handing over the one that was allowed, and taking the channel's receipt."""

from __future__ import annotations

from datetime import timedelta

from domain._auditing import step
from domain._exception_words import ApprovalStatus, StepKind
from domain._messages import Delivered, HandOver
from domain._proposal import Decision
from domain._records import TouchFact
from domain._state import TOUCH_LIMIT, TOUCH_MEMORY, ActiveTouch, InDoubt, OpenProposal
from domain._touch import Receipt, Recipient, Touch, TouchRecord
from domain._turn import Turn
from domain._vocabulary import (
    Delivery,
    ProposalStatus,
    ReasonCode,
    ReceiptStatus,
    TouchStatus,
)

LONGEST_PAUSE = timedelta(days=1)
"""Whatever a provider asks for: after this time a touch that it would not take is ruled again."""
BUSY_RETRY = timedelta(seconds=5)
"""When a proposal is ruled again that was allowed while another touch was still in flight."""


def hand_over(turn: Turn, item: OpenProposal, decision: Decision) -> None:
    """Reserve the touch and give it to its channel; never more than one at a time."""
    state, proposal = turn.state, item.proposal
    if item.seeded_by is not None:
        turn.close(item, ProposalStatus.SUPPRESSED, ReasonCode.SEEDED, "a planted test never goes out")
        return
    if decision.handover is None or state.account is None:
        turn.close(
            item,
            ProposalStatus.DENIED,
            ReasonCode.EVALUATION_ERROR,
            "allowed without a channel or an account profile; denied",
        )
        return
    if state.active is not None:
        turn.put(item.model_copy(update={"status": ProposalStatus.DEFERRED, "due_at": turn.now + BUSY_RETRY}))
        return
    # An idempotent receiver may have taken the attempt before: it must recognize this one.
    idempotent = decision.handover.delivery is Delivery.IDEMPOTENT
    attempt = 1 if idempotent else item.attempts + 1
    contact = state.contacts.get(proposal.contact_id) if proposal.contact_id else None
    touch = Touch(
        touch_id=f"{state.account_id}/{proposal.proposal_id}/{attempt}",
        account_id=state.account_id,
        account_name=state.account.name,
        proposal_id=proposal.proposal_id,
        decision_id=decision.decision_id,
        actor=proposal.actor,
        channel=proposal.channel,
        action=proposal.action,
        intent=proposal.intent,
        cost=proposal.cost,
        recipient=Recipient(contact_id=contact.contact_id, name=contact.name, email=contact.email)
        if contact
        else None,
        subject=proposal.content.subject,
        text=proposal.content.text,
        html=proposal.content.html,
        fields=proposal.content.fields,
        play=proposal.play,
        digest=item.digest,
        good_until=decision.good_until,
        approved_by=item.approved_by,
        policy_digest=decision.policy_digest,
    )
    state.active = ActiveTouch(touch=touch, handover=decision.handover, started_at=turn.now)
    earlier = state.touches.get(touch.touch_id)
    state.touches[touch.touch_id] = TouchRecord(
        touch_id=touch.touch_id,
        channel=touch.channel,
        action=touch.action,
        actor=touch.actor,
        contact_id=proposal.contact_id,
        proposal_id=proposal.proposal_id,
        intent=proposal.intent,
        at=turn.now,
        status=TouchStatus.IN_FLIGHT,
        play=proposal.play,
        outcomes=earlier.outcomes if earlier else {},
    )
    turn.put(
        item.model_copy(
            update={
                "status": ProposalStatus.IN_FLIGHT,
                "due_at": None,
                "attempts": item.attempts + 1,
            }
        )
    )
    turn.tell(item, ProposalStatus.IN_FLIGHT)
    approval = state.approvals.get(item.approval_id or "")
    if approval is not None and approval.status is ApprovalStatus.APPROVED:
        step(turn, approval, StepKind.CONSUMED, detail=f"released {touch.touch_id}")
    turn.record(TouchFact(seq=turn.next_seq(), at=turn.now, touch=touch, status=TouchStatus.IN_FLIGHT))
    turn.effects.append(HandOver(touch=touch, handover=decision.handover))


def deliver(turn: Turn, event: Delivered) -> None:
    """Take the receipt of the touch in flight; keep, release or doubt its place in the caps."""
    receipt, active = event.receipt, turn.state.active
    if active is None or active.touch.touch_id != receipt.touch_id:
        turn.refuse("receipt", f"touch {receipt.touch_id} is not in flight on this account")
        return
    turn.state.active = None
    turn.world_changed()
    touch = active.touch
    item = turn.state.open[touch.proposal_id]
    detail = (receipt.detail or "")[:200]
    match receipt.status:
        case ReceiptStatus.ACCEPTED:
            _settle_touch(turn, active, receipt, TouchStatus.HANDED_OVER)
            turn.close(item, ProposalStatus.SENT, ReasonCode.ALLOWED, f"handed over to {touch.channel}")
        case ReceiptStatus.UNKNOWN if active.handover.delivery is Delivery.IDEMPOTENT:
            # The same touch may go again; only if it never does, a person has to find out.
            doubt = InDoubt(
                touch=touch, detail=receipt.detail or f"{touch.channel} did not answer", raised_at=turn.now
            )
            _try_later(turn, active, receipt, item.model_copy(update={"doubt": doubt}))
        case ReceiptStatus.UNKNOWN:
            _settle_touch(turn, active, receipt, TouchStatus.UNKNOWN)
            message = f"{touch.channel} cannot say whether it was handed over; a person must settle it"
            turn.state.in_doubt[touch.touch_id] = InDoubt(
                touch=touch, detail=receipt.detail or message, raised_at=turn.now
            )
            turn.close(item, ProposalStatus.IN_DOUBT, ReasonCode.IN_DOUBT, message)
        case ReceiptStatus.REJECTED:
            _settle_touch(turn, active, receipt, TouchStatus.RELEASED)
            turn.close(
                # Whoever knows a touch by its id does not refuse what it has taken.
                item.model_copy(update={"doubt": None}),
                ProposalStatus.FAILED,
                ReasonCode.CHANNEL_REJECTED,
                f"{touch.channel} refused it: {detail}",
            )
        case ReceiptStatus.BLOCKED:
            _settle_touch(turn, active, receipt, TouchStatus.RELEASED)
            turn.close(
                item,
                ProposalStatus.SUPPRESSED,
                ReasonCode.SUPPRESSED,
                f"stopped right before {touch.channel}: {detail}",
            )
        case ReceiptStatus.UNDELIVERED:
            _try_later(turn, active, receipt, item)
    _wake_those_who_waited(turn, touch.touch_id)


def _try_later(turn: Turn, active: ActiveTouch, receipt: Receipt, item: OpenProposal) -> None:
    """Have a touch ruled on again that was not handed over, unless it has been revoked meanwhile."""
    _settle_touch(turn, active, receipt, TouchStatus.RELEASED)
    if item.exit_reason is not None:
        message = item.exit_message or "it was revoked"
        turn.close(item, ProposalStatus.SUPPRESSED, item.exit_reason, message)
        return
    limited = receipt.retry_at is not None and receipt.retry_at > turn.now
    due_at = turn.now + timedelta(seconds=active.handover.retry_after_seconds)
    if receipt.retry_at is not None and limited:
        due_at = min(receipt.retry_at, turn.now + LONGEST_PAUSE)
    turn.put(item.model_copy(update={"status": ProposalStatus.DEFERRED, "due_at": due_at}))
    reason = ReasonCode.RATE_LIMITED if limited else ReasonCode.CHANNEL_DOWN
    detail = (receipt.detail or "")[:200]
    turn.tell(item, ProposalStatus.DEFERRED, reason, detail)
    turn.note(f"{active.touch.channel} could not deliver {active.touch.action}: {detail}")


def forget_old(turn: Turn) -> None:
    """Drop touches that no rolling window can reach any more."""
    horizon = turn.now - TOUCH_MEMORY
    for touch in tuple(turn.state.touches.values()):
        if touch.at < horizon and touch.status is not TouchStatus.IN_FLIGHT:
            del turn.state.touches[touch.touch_id]
    forget_beyond(turn, TOUCH_LIMIT)


def forget_beyond(turn: Turn, limit: int) -> None:
    """Drop the oldest touches beyond a number; never the one in flight."""
    touches = turn.state.touches
    if len(touches) <= limit:
        return
    ended = [t for t in touches.values() if t.status is not TouchStatus.IN_FLIGHT]
    for touch in sorted(ended, key=lambda t: (t.at, t.touch_id))[: len(touches) - limit]:
        del touches[touch.touch_id]


def _settle_touch(turn: Turn, active: ActiveTouch, receipt: Receipt, status: TouchStatus) -> None:
    touch_id = active.touch.touch_id
    # The receipt's moment bounds the hand-over from above, so that rolling windows never come out short.
    update: dict[str, object] = {"status": status, "at": turn.now}
    # A receiver that takes a touch only once may have taken it in a request that it never answered.
    unanswered = active.handover.delivery is Delivery.IDEMPOTENT and receipt.status in {
        ReceiptStatus.UNDELIVERED,
        ReceiptStatus.BLOCKED,
    }
    if active.handover.recalls and (status is not TouchStatus.RELEASED or unanswered):
        update |= {"recall_queue": active.handover.task_queue, "provider_ref": receipt.provider_ref}
    turn.state.touches[touch_id] = turn.state.touches[touch_id].model_copy(update=update)
    turn.record(
        TouchFact(
            seq=turn.next_seq(),
            at=turn.now,
            touch=active.touch,
            status=status,
            receipt=receipt,
        )
    )


def _wake_those_who_waited(turn: Turn, touch_id: str) -> None:
    """Rule again at once on what waited for this touch; if it is released, on everything deferred."""
    record = turn.state.touches[touch_id]
    released, own = record.status is TouchStatus.RELEASED, record.proposal_id
    for item in tuple(turn.state.open.values()):
        if item.status is not ProposalStatus.DEFERRED or item.proposal.proposal_id == own:
            continue
        waited = item.decision is not None and item.decision.reason is ReasonCode.TOUCH_IN_FLIGHT
        if released or waited:
            turn.put(item.model_copy(update={"due_at": turn.now}))
