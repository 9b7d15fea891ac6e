"""Asking people: putting a question, reminding, escalating, taking it back, and what silence means."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from domain import _noticing as noticing
from domain._approval import Approval, ExceptionAsk
from domain._auditing import ENGINE, keep, step
from domain._base import in_words
from domain._exception_words import ApprovalStatus, ExceptionKind, Occasion, StepKind
from domain._messages import ApprovalClaimed, ApprovalReleased, ApprovalViewed
from domain._proposal import Decision
from domain._route import ApprovalRoute
from domain._state import AccountState, OpenProposal
from domain._turn import Turn
from domain._vocabulary import ProposalStatus, ReasonCode, Verdict

VIEW_AGAIN_AFTER = timedelta(minutes=1)
"""Looks of one person within this time are one look."""
VIEWERS_LIMIT = 50
"""Persons whose last look at a card is remembered."""


def request(turn: Turn, item: OpenProposal, decision: Decision) -> None:
    """Put a proposal to the people its decision names."""
    route, proposal = decision.route, item.proposal
    if route is None:
        turn.close(
            item,
            ProposalStatus.DENIED,
            ReasonCode.EVALUATION_ERROR,
            "an approval was required without saying whose; denied",
            decision,
        )
        return
    hit = next((hit for hit in decision.hits if hit.reason is decision.reason), None)
    escalated = (login for level in route.levels for login in level.approvers)
    asked = frozenset((*route.approvers, *route.delegates, *escalated))
    eligible = asked - frozenset(route.excluded) - frozenset(item.edited_by)
    approval = Approval(
        approval_id=f"{proposal.proposal_id}:a{decision.decision_id.rpartition(':')[2]}",
        proposal_id=proposal.proposal_id,
        digest=item.digest,
        reason=decision.reason,
        message=hit.message if hit is not None else decision.reason.value,
        rule_id=hit.rule_id if hit is not None else None,
        actor=proposal.actor,
        action=proposal.action,
        channel=proposal.channel,
        contact_id=proposal.contact_id,
        template=proposal.template,
        value=proposal.value,
        route=without(route, item.edited_by),
        requested_at=turn.now,
        # Somebody whose answer no longer suffices alone has still agreed to this very digest.
        approvers=tuple(login for login in item.approvers if login in eligible),
        agreements=tuple(each for each in item.agreements if each.approver in eligible),
    )
    turn.put(
        item.model_copy(
            update={
                "status": ProposalStatus.PENDING_APPROVAL,
                "approval_id": approval.approval_id,
                "due_at": None,
            }
        )
    )
    turn.tell(item, ProposalStatus.PENDING_APPROVAL, decision.reason, approval.message)
    put(turn, approval, planted_by=item.seeded_by)
    turn.note(f"Asked {route.group} about {proposal.action} of {proposal.actor}")


def without(route: ApprovalRoute, editors: tuple[str, ...]) -> ApprovalRoute:
    """Return a route on which some persons cannot answer, because they are part of what is asked."""
    if not editors:
        return route
    return route.model_copy(update={"excluded": tuple(dict.fromkeys((*route.excluded, *editors)))})


def ask(turn: Turn, asked: ExceptionAsk, route: ApprovalRoute) -> Approval:
    """Put an exception that is about no approval of an action to the people who are to answer it."""
    approval = Approval(
        approval_id=asked.approval_id,
        kind=asked.kind,
        proposal_id=asked.proposal_id,
        touch_id=asked.touch_id,
        holds=asked.holds,
        digest=asked.digest,
        reason=asked.reason,
        message=asked.message,
        rule_id=asked.rule_id,
        actor=asked.actor,
        action=asked.action,
        channel=asked.channel,
        value=asked.value,
        route=route,
        requested_at=turn.now,
    )
    put(turn, approval)
    turn.note(f"Asked {route.group} ({asked.kind.value}): {asked.message}")
    return approval


def put(turn: Turn, approval: Approval, *, planted_by: str | None = None) -> None:
    """Store a new question, and tell those who are asked."""
    keep(turn, approval)
    step(turn, approval, StepKind.REQUESTED, detail=f"asked {approval.route.group}")
    if planted_by is not None:
        step(turn, approval, StepKind.REQUESTED, by=planted_by, detail="seeded")
    noticing.tell(turn, approval, Occasion.REQUESTED, approval.message)


def withdraw(turn: Turn, item: OpenProposal, why: str) -> None:
    """Take back the pending request about a proposal, because the world changed."""
    approval = turn.state.approvals.get(item.approval_id or "")
    if approval is not None:
        take_back(turn, approval, why)


def take_back(turn: Turn, approval: Approval, why: str, *, by: str | None = None) -> None:
    """Take back a pending question, and tell those who were asked."""
    if approval.status is not ApprovalStatus.PENDING:
        return
    ended = approval.model_copy(
        update={
            "status": ApprovalStatus.WITHDRAWN,
            "answered_at": turn.now,
            "answered_by": by,
            "comment": why,
        }
    )
    keep(turn, ended)
    step(turn, ended, StepKind.WITHDRAWN, by=by or ENGINE, detail=why)
    noticing.tell(turn, ended, Occasion.WITHDRAWN, f"You need not answer any more: {why}")


def expire(turn: Turn) -> tuple[Approval, ...]:
    """End questions whose time has run out, and return them; nothing is ever allowed by a timeout."""
    expired: list[Approval] = []
    for approval in turn.state.pending_approvals:
        if approval.route.expires_at > turn.now:
            continue
        ended = approval.model_copy(update={"status": ApprovalStatus.EXPIRED, "answered_at": turn.now})
        keep(turn, ended)
        unanswered = _unanswered(approval)
        step(turn, ended, StepKind.EXPIRED, detail=f"{unanswered}; {approval.route.on_expiry.value}")
        turn.world_changed()
        item = turn.state.open.get(approval.proposal_id or "")
        ends = approval.kind in {ExceptionKind.ACTION, ExceptionKind.CONFLICT}
        if ends and item is not None and item.status is not ProposalStatus.IN_FLIGHT:
            denied = approval.route.on_expiry is Verdict.DENY
            status = ProposalStatus.DENIED if denied else ProposalStatus.SUPPRESSED
            withdraw(turn, item, unanswered)
            turn.close(item, status, ReasonCode.APPROVAL_EXPIRED, unanswered)
        elif item is None and approval.kind is not ExceptionKind.ACTION:
            turn.note(f"{approval.approval_id} ({approval.kind.value}): {unanswered}")
        noticing.tell(turn, ended, Occasion.EXPIRED, f"Nobody need answer any more: {unanswered}")
        expired.append(ended)
    return tuple(expired)


def _unanswered(approval: Approval) -> str:
    if approval.approvers:
        return f"only {approval.progress} in time"
    return f"nobody in {approval.route.group} answered in time"


def escalate_and_remind(turn: Turn) -> None:
    """Ask the next level, and remind those who are asked, where that is due."""
    for pending in turn.state.pending_approvals:
        approval, route = pending, pending.route
        while approval.level < len(route.levels) and route.levels[approval.level].at <= turn.now:
            level = route.levels[approval.level]
            # Whoever has taken it on has had their time.
            risen = {"level": approval.level + 1, "claimed_by": None, "claimed_until": None}
            approval = approval.model_copy(update=risen)
            keep(turn, approval)
            place = f"level {approval.level} of {len(route.levels)}"
            step(turn, approval, StepKind.ESCALATED, detail=f"{place}: asked {level.group} as well")
            turn.note(f"{approval.approval_id} went to {level.group} ({place})")
            noticing.tell(turn, approval, Occasion.ESCALATED, f"Nobody has answered: {approval.message}")
        missed = sum(moment <= turn.now for moment in route.reminders[approval.reminded :])
        if missed:
            escalated = approval.level > pending.level
            # After a pause of the engine one reminder is enough, and an escalation is one.
            approval = turn.state.approvals[approval.approval_id]
            approval = approval.model_copy(update={"reminded": approval.reminded + missed})
            keep(turn, approval)
            step(turn, approval, StepKind.REMINDED, detail=f"reminder {approval.reminded}")
            if not escalated:
                noticing.tell(turn, approval, Occasion.REMINDER, f"Still waits for you: {approval.message}")


def dues(state: AccountState) -> Iterable[tuple[datetime, str]]:
    """Yield what time alone will do to pending questions, with a phrase for operators."""
    for approval in state.pending_approvals:
        name, route = approval.approval_id, approval.route
        yield route.expires_at, f"approval {name} expires ({route.on_expiry.value})"
        if approval.level < len(route.levels):
            level = route.levels[approval.level]
            place = f"level {approval.level + 1} of {len(route.levels)}"
            yield level.at, f"approval {name} goes to {level.group} ({place})"
        if approval.reminded < len(route.reminders):
            place = f"{approval.reminded + 1} of {len(route.reminders)}"
            yield route.reminders[approval.reminded], f"remind {route.group} of {name} ({place})"


def holder(approval: Approval, now: datetime) -> str | None:
    """Return who has taken a question on and still holds it."""
    claimed_until = approval.claimed_until
    return approval.claimed_by if claimed_until is not None and claimed_until > now else None


def claim_refusal(
    state: AccountState, event: ApprovalClaimed | ApprovalReleased, now: datetime
) -> str | None:
    """Say why a question cannot be taken on, or given back, by somebody; None if it can."""
    approval = state.approvals.get(event.approval_id)
    if approval is None:
        return f"there is no approval {event.approval_id} on this account"
    if approval.status is not ApprovalStatus.PENDING:
        return already(approval)
    held_by = holder(approval, now)
    if isinstance(event, ApprovalReleased):
        theirs = held_by == event.released_by
        return None if theirs else f"{event.released_by} has not claimed {event.approval_id}"
    claimant = event.claimed_by
    if claimant in approval.route.excluded:
        part = "proposed it, owns the agent that did, or wrote it"
        return f"{claimant} has a part in this ({part}); somebody else must answer"
    if claimant not in approval.addressed:
        return f"{claimant} is not in {groups_asked(approval)}"
    if held_by is not None and held_by != claimant:
        return held(approval)
    return None


def claim(turn: Turn, event: ApprovalClaimed) -> None:
    """Let a person take a question on: for a time nobody else can answer it."""
    approval = turn.state.approvals.get(event.approval_id)
    refusal = claim_refusal(turn.state, event, turn.now)
    if approval is None or refusal is not None:
        _refuse(turn, approval, event, refusal or "")
        return
    until = min(turn.now + timedelta(seconds=approval.route.claim_seconds), approval.route.expires_at)
    claimed = approval.model_copy(update={"claimed_by": event.claimed_by, "claimed_until": until})
    keep(turn, claimed)
    until_when = f"until {until:%Y-%m-%d %H:%M}Z"
    step(turn, claimed, StepKind.CLAIMED, by=event.claimed_by, via=event.via, detail=until_when)


def release(turn: Turn, event: ApprovalReleased) -> None:
    """Let a person give back what they had taken on."""
    approval = turn.state.approvals.get(event.approval_id)
    refusal = claim_refusal(turn.state, event, turn.now)
    if approval is None or refusal is not None:
        _refuse(turn, approval, event, refusal or "")
        return
    released = approval.model_copy(update={"claimed_by": None, "claimed_until": None})
    keep(turn, released)
    step(turn, released, StepKind.RELEASED, by=event.released_by, via=event.via, detail="given back")


def view(turn: Turn, event: ApprovalViewed) -> None:
    """Record that a person was shown the card."""
    approval = turn.state.approvals.get(event.approval_id)
    if approval is None:
        turn.refuse("view", f"there is no approval {event.approval_id} on this account")
        return
    last = approval.views.get(event.viewed_by)
    if last is not None and turn.now - last < VIEW_AGAIN_AFTER:
        return
    views = {**approval.views, event.viewed_by: turn.now}
    while len(views) > VIEWERS_LIMIT:
        del views[next(iter(views))]
    turn.state.approvals[event.approval_id] = approval.model_copy(update={"views": views})
    # No look is older than its question, and none is to come.
    shown_at = max(approval.requested_at, min(event.shown_at, turn.now)) if event.shown_at else None
    step(
        turn,
        approval,
        StepKind.VIEWED,
        by=event.viewed_by,
        via=event.via,
        detail=approval.status.value,
        shown_at=shown_at,
    )


def _refuse(
    turn: Turn, approval: Approval | None, event: ApprovalClaimed | ApprovalReleased, why: str
) -> None:
    what, person = "release", ""
    match event:
        case ApprovalClaimed():
            what, person = "claim", event.claimed_by
        case ApprovalReleased():
            person = event.released_by
    turn.refuse(what, why)
    if approval is not None:
        step(turn, approval, StepKind.REFUSED, by=person, via=event.via, detail=f"{what}: {why}")


def already(approval: Approval) -> str:
    """Say who decided a question that is not open any more, and when."""
    together = approval.approvers if approval.status is ApprovalStatus.APPROVED else ()
    by = in_words(together) or approval.answered_by
    who = f" by {by}" if by else ""
    when = f" at {approval.answered_at:%Y-%m-%d %H:%M:%S}Z" if approval.answered_at else ""
    return f"already {approval.status.value}{who}{when}"


def held(approval: Approval) -> str:
    """Say who has taken a question on, and until when."""
    until = f" until {approval.claimed_until:%Y-%m-%d %H:%M:%S}Z" if approval.claimed_until else ""
    return f"held by {approval.claimed_by}{until}; they must answer or release it first"


def groups_asked(approval: Approval) -> str:
    """Return the groups that are asked by now, in words."""
    levels = (level.group for level in approval.route.levels[: approval.level])
    return in_words(tuple(dict.fromkeys((approval.route.group, *levels))))
