"""Whether an answer can count at all, whoever gives it, and the sentence that says why not."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from domain._approval import Approval, ApprovalAnswer
from domain._asking import already, held, holder
from domain._auditing import is_audited
from domain._base import in_words
from domain._exception_words import Answer, ApprovalStatus, ExceptionKind

FITTING: Final = {
    ExceptionKind.ACTION: frozenset(
        {Answer.APPROVE, Answer.REJECT, Answer.MODIFY, Answer.SEND_BACK, Answer.BREAK_GLASS}
    ),
    ExceptionKind.AMBIGUITY: frozenset({Answer.SETTLE}),
    ExceptionKind.IN_DOUBT: frozenset({Answer.SETTLE}),
    ExceptionKind.CONFLICT: frozenset({Answer.APPROVE, Answer.REJECT}),
    ExceptionKind.REVIEW: frozenset({Answer.APPROVE, Answer.REJECT}),
}
"""What may be said to which kind of exception."""


def refusal_of(approval: Approval | None, given: ApprovalAnswer, now: datetime) -> str | None:
    """Say why an answer cannot count, whoever gives it; None if nothing speaks against it."""
    if approval is None:
        return f"there is no approval {given.approval_id} on this account"
    if approval.status is not ApprovalStatus.PENDING:
        return already(approval)
    if approval.route.expires_at <= now:
        return f"expired at {approval.route.expires_at:%Y-%m-%d %H:%M:%S}Z"
    if given.digest != approval.digest:
        return "the answer is for another version of the action; open the approval again"
    return _refusal_of_person(approval, given, now) or _refusal_of_form(approval, given)


def _refusal_of_person(approval: Approval, given: ApprovalAnswer, now: datetime) -> str | None:
    person, route = given.approver, approval.route
    if person in route.excluded:
        part = "proposed it, owns the agent that did, or wrote it"
        return f"{person} has a part in this ({part}); somebody else must answer"
    if given.answer in {Answer.APPROVE, Answer.BREAK_GLASS} and person in approval.approvers:
        return f"{person} has approved already, {approval.progress}; somebody else must be the next"
    held_by = holder(approval, now)
    if held_by is not None and held_by != person and given.answer is not Answer.BREAK_GLASS:
        return held(approval)
    return None


def _refusal_of_form(approval: Approval, given: ApprovalAnswer) -> str | None:
    kind, said = approval.kind, given.answer
    if said not in FITTING[kind]:
        fitting = in_words(sorted(each.value for each in FITTING[kind]))
        return f"{said.value} is no answer to an exception of kind {kind.value}; say {fitting}"
    if said is not Answer.APPROVE and not (given.comment or "").strip():
        what = {Answer.REJECT: "rejection"}.get(said, f"{said.value} answer").replace("_", " ")
        return f"a {what} needs a comment that says why"
    if said is not Answer.APPROVE and given.code is None and is_audited(approval):
        return f"a {said.value} answer needs a code that says why, such as wrong_time"
    if said is Answer.MODIFY and given.changes is None:
        return "modify needs changes: what is to be different"
    if said is Answer.SETTLE and kind is ExceptionKind.AMBIGUITY and given.stage is None:
        return "say which stage the account is in"
    if said is Answer.SETTLE and kind is ExceptionKind.IN_DOUBT and given.settlement is None:
        return "say what became of the touch: handed_over or not_handed_over"
    return _refusal_of_window(approval, given)


def _refusal_of_window(approval: Approval, given: ApprovalAnswer) -> str | None:
    window, route = given.window, approval.route
    if window is None:
        return None
    if given.answer is not Answer.APPROVE or approval.kind is not ExceptionKind.ACTION:
        return "only an approval of an action can approve the same in advance"
    if route.quorum > 1:
        return "where several must agree, nothing can be approved in advance"
    if route.window_days is None or route.window_touches is None:
        return f"{route.route_id or 'this route'} lets nothing be approved in advance"
    if window.segment is not None and window.segment not in route.window_segments:
        known = in_words(route.window_segments) or "none"
        return f"there is no segment {window.segment!r} in approvals.yaml; there is {known}"
    if approval.template is None:
        return "it is made from no template, so nobody can tell what would be the same"
    if window.days > route.window_days or window.at_most > route.window_touches:
        return (
            f"at most {route.window_touches} touches in {route.window_days} days can be approved in advance"
        )
    return None
