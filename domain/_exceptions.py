"""Exceptions that are about no approval of an action: doubts, contradictions, ambiguity, reviews, seeds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from domain import _asking as asking
from domain._approval import Approval, ApprovalAnswer, ExceptionAsk
from domain._canonical import digest_of, short_key
from domain._exception_words import ApprovalStatus, ExceptionKind
from domain._messages import Ruled
from domain._records import HoldFact
from domain._route import ApprovalRoute
from domain._ruling import Ambiguity, SettledStage
from domain._state import AccountState, OpenProposal, ReadingQuestion
from domain._turn import Turn
from domain._vocabulary import ProposalStatus, ReasonCode, Stage

LOOK_AGAIN_AFTER = timedelta(hours=12)
"""When somebody is looked for again who could settle a doubt: the next day most people are back."""
ASKS_LIMIT = 100
"""Exceptions besides actions that may wait for people at the same time."""


def raise_what_is_new(turn: Turn) -> None:
    """Raise what a person must look at and nobody has been asked about yet; take back what is over."""
    state = turn.state
    if not state.asks_about:
        return
    if ExceptionKind.IN_DOUBT in state.asks_about:
        for touch_id, doubt in tuple(state.in_doubt.items()):
            waits = doubt.again_at is not None and doubt.again_at > turn.now
            if doubt.asked_at is None and not waits and _has_room(state):
                state.in_doubt[touch_id] = doubt.model_copy(update={"asked_at": turn.now})
                _raise(turn, _doubt(turn, touch_id))
    if ExceptionKind.CONFLICT in state.asks_about:
        for item in tuple(state.open.values()):
            if item.status is ProposalStatus.DEFERRED and item.seeded_by is None and _has_room(state):
                _raise_conflict(turn, item)
    _take_back_what_is_over(turn)


def _has_room(state: AccountState) -> bool:
    open_ones = sum(each.kind is not ExceptionKind.ACTION for each in state.pending_approvals)
    return open_ones + len(state.asks) < ASKS_LIMIT


def _raise(turn: Turn, asked: ExceptionAsk) -> None:
    turn.state.asks[asked.approval_id] = asked


def _doubt(turn: Turn, touch_id: str) -> ExceptionAsk:
    touch = turn.state.in_doubt[touch_id].touch
    attempt = touch_id.rpartition("/")[2]
    return ExceptionAsk(
        approval_id=f"{touch.proposal_id}:d{attempt}",
        kind=ExceptionKind.IN_DOUBT,
        digest=digest_of({"touch_id": touch_id, "touch": touch.digest}),
        reason=ReasonCode.IN_DOUBT,
        message=f"{touch.action} over {touch.channel} may or may not have been handed over.",
        raised_at=turn.now,
        touch_id=touch_id,
        actor=touch.actor,
        action=touch.action,
        channel=touch.channel,
    )


def _raise_conflict(turn: Turn, item: OpenProposal) -> None:
    decision, proposal = item.decision, item.proposal
    if decision is None:
        return
    if item.starved_at is not None and "starved" not in item.asked_about:
        message = f"{proposal.action} of {proposal.actor} has been deferred {item.deferrals} times."
        _raise_about(turn, item, "starved", ReasonCode.STARVED, message, ())
        return
    stopped = any(hit.reason is ReasonCode.ACCOUNT_HOLD and not hit.log_only for hit in decision.hits)
    holds = tuple(sorted(turn.state.holds))
    if item.approvers and stopped and holds:
        key = f"hold:{short_key(*holds)}"
        if key not in item.asked_about:
            by = turn.state.holds[holds[0]].placed_by
            message = f"{item.approved_by} approved {proposal.action}, and a hold of {by} stops it."
            _raise_about(turn, item, key, ReasonCode.CONTRADICTION, message, holds)


def _raise_about(  # noqa: PLR0913, PLR0917 - an exception has that many parts
    turn: Turn, item: OpenProposal, key: str, reason: ReasonCode, message: str, holds: tuple[str, ...]
) -> None:
    item = item.model_copy(update={"asked_about": (*item.asked_about, key)})
    turn.put(item)
    proposal = item.proposal
    # Two who contradict each other are put to a third.
    placed_by = (turn.state.holds[hold].placed_by for hold in holds)
    asked = ExceptionAsk(
        approval_id=f"{proposal.proposal_id}:c{len(item.asked_about)}",
        kind=ExceptionKind.CONFLICT,
        digest=digest_of({"action": item.digest, "about": key}),
        reason=reason,
        message=message[:300],
        raised_at=turn.now,
        proposal_id=proposal.proposal_id,
        holds=holds,
        actor=proposal.actor,
        action=proposal.action,
        channel=proposal.channel,
        value=proposal.value,
        edited_by=tuple(dict.fromkeys((*proposal.edited_by, *item.edited_by))),
        approved_by=tuple(dict.fromkeys((*item.approvers, *placed_by))),
    )
    _raise(turn, asked)


def _take_back_what_is_over(turn: Turn) -> None:
    state = turn.state
    for approval in state.pending_approvals:
        over = _over(state, approval.kind, approval.proposal_id, approval.touch_id, approval.holds)
        if over is not None:
            asking.take_back(turn, approval, over)
    for approval_id, asked in tuple(state.asks.items()):
        if _over(state, asked.kind, asked.proposal_id, asked.touch_id, asked.holds) is not None:
            del state.asks[approval_id]


def _over(
    state: AccountState,
    kind: ExceptionKind,
    proposal_id: str | None,
    touch_id: str | None,
    holds: tuple[str, ...],
) -> str | None:
    """Say why an exception needs no answer any more; None if it still does."""
    if kind is ExceptionKind.IN_DOUBT:
        return None if touch_id in state.in_doubt else "the touch has been settled"
    if kind is not ExceptionKind.CONFLICT:
        return None
    item = state.open.get(proposal_id or "")
    if item is None:
        return "the proposal has ended"
    if item.status is ProposalStatus.IN_FLIGHT:
        return "it is on its way"
    if holds and not any(hold in state.holds for hold in holds):
        return "the hold has ended"
    return None


def apply_routes(turn: Turn, event: Ruled, asked_ids: tuple[str, ...]) -> None:
    """Ask those whom governance named about what was raised, and about readings that disagree."""
    ruling = event.ruling
    turn.state.asks_about = ruling.asks_about
    for approval_id in asked_ids:
        asked = turn.state.asks.pop(approval_id, None)
        if asked is None:
            continue
        route = ruling.routes.get(approval_id)
        if route is not None:
            asking.ask(turn, asked, asking.without(route, asked.approved_by))
        else:
            why = ruling.unroutable.get(approval_id, "no policy says whom to ask")
            turn.refuse("exception", f"{approval_id} ({asked.kind.value}): {why}")
            doubt = turn.state.in_doubt.get(asked.touch_id or "")
            if doubt is not None:
                later = {"asked_at": None, "again_at": turn.now + LOOK_AGAIN_AFTER}
                turn.state.in_doubt[doubt.touch.touch_id] = doubt.model_copy(update=later)
    _ask_about_readings(turn, ruling.ambiguity)


def _ask_about_readings(turn: Turn, found: Ambiguity | None) -> None:
    state = turn.state
    question = state.reading_question
    asked = state.approvals.get(question.approval_id) if question is not None else None
    if found is None:
        if asked is not None:
            asking.take_back(turn, asked, "the readings no longer disagree that much")
            if asked.status is ApprovalStatus.PENDING:
                _wake(turn, ReasonCode.AMBIGUOUS)
        return
    if asked is not None and asked.digest == found.digest and not _asked_anew(turn, asked, found):
        return  # it is open, or nobody answered in time
    if asked is not None:
        asking.take_back(turn, asked, "the readings have changed")
    raised = ExceptionAsk(
        approval_id=f"readings:{found.digest[:12]}:{state.seq}",
        kind=ExceptionKind.AMBIGUITY,
        digest=found.digest,
        reason=ReasonCode.AMBIGUOUS,
        message=found.message,
        raised_at=turn.now,
        rule_id=found.rule_id,
    )
    approval = asking.ask(turn, raised, found.route)
    state.reading_question = ReadingQuestion(
        approval_id=approval.approval_id, holds_seconds=found.holds_seconds
    )


def _asked_anew(turn: Turn, asked: Approval, found: Ambiguity) -> bool:
    """Tell whether the same readings are a new question: the last was taken back, or its end has aged.

    Silence ages like an answer: readings fade together, so that what was too different once stays so, and
    an account would be closed for ever because nobody was there in time.
    """
    if asked.status is ApprovalStatus.WITHDRAWN:
        return True
    if asked.status is ApprovalStatus.EXPIRED:
        ended_at = asked.answered_at or asked.route.expires_at
        return ended_at + timedelta(seconds=found.holds_seconds) <= turn.now
    settled = turn.state.settled
    aged = settled is None or settled.digest != asked.digest or settled.holds_until <= turn.now
    return asked.status is ApprovalStatus.SETTLED and aged


def readings_changed(turn: Turn) -> None:
    """Have what waits for an answer about readings ruled again, now that a system says something else."""
    question = turn.state.reading_question
    asked = turn.state.approvals.get(question.approval_id) if question is not None else None
    if asked is not None and asked.status is ApprovalStatus.PENDING:
        turn.world_changed()
        _wake(turn, ReasonCode.AMBIGUOUS)


def settle_reading(turn: Turn, approval: Approval, given: ApprovalAnswer, stage: Stage) -> None:
    """Let a person's word count instead of the vote, as long as the readings stay what they are."""
    state = turn.state
    question = state.reading_question
    holds = timedelta(seconds=question.holds_seconds if question is not None else 0.0)
    state.settled = SettledStage(
        stage=stage,
        settled_by=given.approver,
        settled_at=turn.now,
        holds_until=turn.now + holds,
        digest=approval.digest,
    )
    if state.assessment is not None:
        state.assessment = state.assessment.model_copy(update={"stage": stage})
    turn.world_changed()
    turn.note(f"{given.approver} settled the stage: {stage.value}")
    _wake(turn, ReasonCode.AMBIGUOUS)


def _wake(turn: Turn, reason: ReasonCode) -> None:
    for item in tuple(turn.state.open.values()):
        waits = item.decision is not None and any(hit.reason is reason for hit in item.decision.hits)
        if item.status is ProposalStatus.DEFERRED and waits:
            turn.put(item.model_copy(update={"due_at": turn.now}))


def after_expiry(turn: Turn, approval: Approval) -> None:
    """Go on when nobody answered: rule again on what waited for it, and ask again for a review."""
    if approval.kind is ExceptionKind.AMBIGUITY:
        _wake(turn, ReasonCode.AMBIGUOUS)
    if approval.kind is ExceptionKind.REVIEW and ExceptionKind.REVIEW in turn.state.asks_about:
        _review_again(turn, approval)


def _review_again(turn: Turn, approval: Approval) -> None:
    """Ask for a review that nobody has given: it is mandatory, so it ends with an answer alone."""
    first, _, times = approval.approval_id.rpartition(":r")
    asked = ExceptionAsk(
        approval_id=f"{first}:r{int(times or 1) + 1}",
        kind=ExceptionKind.REVIEW,
        digest=approval.digest,
        reason=approval.reason,
        message=approval.message,
        raised_at=turn.now,
        proposal_id=approval.proposal_id,
        actor=approval.actor,
        action=approval.action,
        channel=approval.channel,
        value=approval.value,
        # Whoever broke the glass is among them.
        approved_by=approval.route.excluded,
    )
    _raise(turn, asked)


def dues(state: AccountState) -> Iterable[tuple[datetime, str]]:
    """Yield when somebody is looked for again who could settle a doubt, with a phrase for operators.

    Only while that moment brings something about: what stays due for ever would wake the account for ever.
    """
    if ExceptionKind.IN_DOUBT not in state.asks_about or not _has_room(state):
        return
    for touch_id, doubt in state.in_doubt.items():
        if doubt.asked_at is None and doubt.again_at is not None:
            yield doubt.again_at, f"look again for somebody to settle {touch_id}"


def resolve(turn: Turn, approval: Approval, given: ApprovalAnswer) -> None:
    """Carry out what approving a conflict means: contradicting holds end; what starves goes on waiting."""
    for hold_id in approval.holds:
        hold = turn.state.holds.pop(hold_id, None)
        if hold is None:
            continue
        turn.record(HoldFact(seq=turn.next_seq(), at=turn.now, hold=hold, ended_by=given.approver))
        turn.note(f"Hold {hold_id} ended ({given.approver}, {approval.approval_id})")
    if approval.holds:
        turn.world_changed()
        _wake(turn, ReasonCode.ACCOUNT_HOLD)


def have_reviewed(turn: Turn, approval: Approval, given: ApprovalAnswer, route: ApprovalRoute) -> None:
    """Ask for a review of a broken glass."""
    asked = ExceptionAsk(
        approval_id=f"{approval.approval_id}:r",
        kind=ExceptionKind.REVIEW,
        digest=approval.digest,
        reason=ReasonCode.GLASS_BROKEN,
        message=f"{given.approver} broke the glass: was it right?"[:300],
        raised_at=turn.now,
        proposal_id=approval.proposal_id,
        actor=approval.actor,
        action=approval.action,
        channel=approval.channel,
        value=approval.value,
    )
    asking.ask(turn, asked, route)
