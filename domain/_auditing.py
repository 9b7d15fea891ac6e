"""The audit trail of questions to people: who did what, when, and by which door."""

from __future__ import annotations

from datetime import datetime

from domain._approval import Approval, ApprovalStep
from domain._base import one_line
from domain._exception_words import ApprovalStatus, Door, StepKind
from domain._records import ApprovalFact, ApprovalStepFact
from domain._state import APPROVALS_LIMIT
from domain._turn import Turn

ENGINE = "tutti"
"""Who acts when no person does."""


def is_audited(approval: Approval) -> bool:
    """Return whether it was asked under rules that know due dates.

    Approvals from before are answered as they always were: histories that hold them must replay.
    """
    return approval.route.due_at is not None


def step(  # noqa: PLR0913 - one entry has that many parts
    turn: Turn,
    approval: Approval,
    kind: StepKind,
    *,
    by: str = ENGINE,
    via: Door = Door.ENGINE,
    detail: str,
    shown_at: datetime | None = None,
) -> None:
    """Add an entry to the audit trail of an approval."""
    if is_audited(approval):
        entry = ApprovalStep(
            approval_id=approval.approval_id,
            kind=kind,
            actor=one_line(by),
            via=via,
            detail=one_line(detail),
            shown_at=shown_at,
        )
        turn.record(ApprovalStepFact(seq=turn.next_seq(), at=turn.now, step=entry))


def keep(turn: Turn, approval: Approval) -> None:
    """Keep an approval as it now is, and tell the ledger; ended ones are forgotten beyond a number."""
    approvals = turn.state.approvals
    approvals[approval.approval_id] = approval
    turn.record(ApprovalFact(seq=turn.next_seq(), at=turn.now, approval=approval))
    ended = [each for each in approvals.values() if each.status is not ApprovalStatus.PENDING]
    for old in ended[:-APPROVALS_LIMIT]:
        del approvals[old.approval_id]
        turn.state.tickets.pop(old.approval_id, None)
