"""Answers of people: the first valid one wins, and every one is recorded with its result."""

from __future__ import annotations

from datetime import timedelta

from domain import _asking as asking
from domain import _exceptions as exceptions
from domain import _noticing as noticing
from domain._approval import (
    Agreement,
    AnswerResult,
    Approval,
    ApprovalAnswer,
    VetRequest,
    Vetting,
    WindowGrant,
)
from domain._auditing import is_audited, keep, step
from domain._base import in_words, one_line
from domain._dropping import drop
from domain._editing import edited
from domain._exception_words import (
    Answer,
    ApprovalStatus,
    ExceptionKind,
    Occasion,
    StepKind,
    UseKind,
)
from domain._messages import Answered, TouchSettled, Vet, Vetted
from domain._records import AnswerFact, WindowFact
from domain._route import seats_filled
from domain._settling import settle_touch
from domain._state import ANSWERS_LIMIT, OpenProposal
from domain._turn import Turn, trim
from domain._validity import refusal_of
from domain._vocabulary import ProposalStatus, ReasonCode

VETTING_LIMIT = 100
"""Answers that may be on their way to governance at the same time..."""
VETTING_BYTES = 200_000
"""... and how large all of them may be: an answer can hold a whole text, and travels with the account."""


def answer_key(given: ApprovalAnswer) -> str:
    """Return the key under which an answer's result is remembered: ids are unique per approval and person.

    Two persons who write their ids themselves, as in the Temporal UI, may both have chosen `1`.
    """
    return f"{given.approval_id}/{given.answer_id}/{given.approver}"


def answer(turn: Turn, event: Answered) -> None:
    """Take an answer, have it vetted, or refuse it; a repeated one changes nothing."""
    given = event.answer
    key = answer_key(given)
    if key in turn.state.answers or key in turn.state.vetting:
        return
    approval = turn.state.approvals.get(given.approval_id)
    refusal = refusal_of(approval, given, turn.now) or _refusal_of_planter(turn, approval, given)
    if approval is None or refusal is not None:
        _refuse(turn, given, approval, refusal or f"there is no approval {given.approval_id}")
    elif _was_asked(approval, given):
        _take(turn, approval, given, None)
    elif not is_audited(approval):
        _refuse(turn, given, approval, f"{given.approver} is not in {approval.route.group}")
    elif _vetted_under(turn, given.approval_id, given.answer_id) is not None:
        _refuse(
            turn, given, approval, f"somebody else's answer {given.answer_id} is being checked; use a new id"
        )
    elif len(turn.state.vetting) >= VETTING_LIMIT or _vetted_bytes(turn) > VETTING_BYTES:
        _refuse(turn, given, approval, "too many answers are being checked at this moment; answer again")
    else:
        turn.state.vetting[key] = given
        turn.effects.append(_vet(turn, approval, given))


def _vetted_bytes(turn: Turn) -> int:
    return sum(len(each.model_dump_json().encode()) for each in turn.state.vetting.values())


def vetted(turn: Turn, event: Vetted) -> None:
    """Take or refuse an answer of which governance has said whether it may be given."""
    vetting = event.vetting
    key = _vetted_under(turn, vetting.approval_id, vetting.answer_id)
    if key is None:
        return
    given = turn.state.vetting.pop(key)
    approval = turn.state.approvals.get(given.approval_id)
    refusal = vetting.refusal or refusal_of(approval, given, turn.now)
    if approval is None or refusal is not None:
        _refuse(turn, given, approval, refusal or f"there is no approval {given.approval_id}")
        return
    _take(turn, approval, given, vetting)


def _vetted_under(turn: Turn, approval_id: str, answer_id: str) -> str | None:
    """Return the key of the answer of an id that is being vetted; None if there is none."""
    about = (approval_id, answer_id)
    return next((k for k, g in turn.state.vetting.items() if (g.approval_id, g.answer_id) == about), None)


def resume(turn: Turn) -> None:
    """Ask governance again about answers that were being vetted."""
    for key, given in tuple(turn.state.vetting.items()):
        approval = turn.state.approvals.get(given.approval_id)
        if approval is not None:
            turn.effects.append(_vet(turn, approval, given))
        else:
            del turn.state.vetting[key]
            _refuse(turn, given, None, f"there is no approval {given.approval_id} on this account any more")


def _vet(turn: Turn, approval: Approval, given: ApprovalAnswer) -> Vet:
    request = VetRequest(account_id=turn.state.account_id, approval=approval, answer=given, now=turn.now)
    return Vet(request=request)


def _refusal_of_planter(turn: Turn, approval: Approval | None, given: ApprovalAnswer) -> str | None:
    """Say why whoever planted a test cannot answer it; its route does not name them, to give nothing away."""
    item = turn.state.open.get(approval.proposal_id or "") if approval is not None else None
    if item is None or item.seeded_by != given.approver:
        return None
    return f"{given.approver} planted it; somebody else must answer"


def _was_asked(approval: Approval, given: ApprovalAnswer) -> bool:
    """Tell whether an answer may be taken because its giver was asked by name.

    What is said about an action is ruled again, so that it does not matter if they would not be asked today.
    Every other answer takes effect at once: it ends holds, or says what is so.
    """
    ruled_again = approval.kind is ExceptionKind.ACTION and given.answer is not Answer.BREAK_GLASS
    return ruled_again and given.approver in approval.addressed


def _take(turn: Turn, approval: Approval, given: ApprovalAnswer, vetting: Vetting | None) -> None:
    """Let a valid answer take effect."""
    deputy_of = approval.route.delegates.get(given.approver)
    answers_for = vetting.answers_for if vetting is not None else deputy_of
    agreement = Agreement(approver=given.approver, answers_for=answers_for, at=turn.now)
    whose = answers_for or given.approver
    if given.answer is Answer.APPROVE and whose in {
        each.answers_for or each.approver for each in approval.agreements
    }:
        _refuse(turn, given, approval, f"{whose} has been answered for already; {approval.progress}")
        return
    if answers_for is not None:
        for_whom = f"answers for {answers_for}"
        step(turn, approval, StepKind.DELEGATED, by=given.approver, via=given.via, detail=for_whom)
    match given.answer:
        case Answer.REJECT:
            _reject(turn, approval, given, agreement)
        case Answer.APPROVE:
            _approve(turn, approval, given, agreement)
        case Answer.BREAK_GLASS:
            _break_glass(turn, approval, given, vetting)
        case Answer.MODIFY:
            _modify(turn, approval, given)
        case Answer.SEND_BACK:
            _send_back(turn, approval, given)
        case Answer.SETTLE:
            _settle(turn, approval, given)


def _reject(turn: Turn, approval: Approval, given: ApprovalAnswer, agreement: Agreement) -> None:
    rejected = _ended(turn, approval, given, ApprovalStatus.REJECTED)
    _accept(turn, given, rejected, f"rejected by {agreement.in_words}")
    turn.world_changed()
    turn.note(f"{given.approver} rejected {approval.approval_id}")
    item = turn.state.open.get(approval.proposal_id or "")
    if approval.kind not in {ExceptionKind.ACTION, ExceptionKind.CONFLICT} or item is None:
        return
    message = f"rejected by {agreement.in_words}"
    if item.status is ProposalStatus.IN_FLIGHT:
        drop(turn, item, ReasonCode.APPROVAL_REJECTED, message)
    else:
        # What is asked about a conflict may need an approval meanwhile, which nobody need give any more.
        asking.withdraw(turn, item, message)
        turn.close(item, ProposalStatus.DENIED, ReasonCode.APPROVAL_REJECTED, message)
    _tell_the_proposer(turn, rejected, f"{message}: {given.comment or ''}")


def _approve(turn: Turn, approval: Approval, given: ApprovalAnswer, agreement: Agreement) -> None:
    approval = approval.model_copy(
        update={
            "approvers": (*approval.approvers, given.approver),
            "agreements": (*approval.agreements, agreement),
            # The next of several may answer now.
            "claimed_by": None,
            "claimed_until": None,
        }
    )
    if not _is_complete(approval):
        _accept(turn, given, approval, f"approved by {agreement.in_words}; {approval.progress}")
        turn.note(f"{given.approver} approved {approval.approval_id}: {approval.progress}")
        item = turn.state.open.get(approval.proposal_id or "")
        if item is not None and approval.kind is ExceptionKind.ACTION:
            turn.tell(item, ProposalStatus.PENDING_APPROVAL, approval.reason, approval.progress)
        return
    approved = _ended(turn, approval, given, ApprovalStatus.APPROVED)
    everybody = in_words(tuple(each.in_words for each in approved.agreements) or approved.approvers)
    _accept(turn, given, approved, f"approved by {everybody}")
    turn.world_changed()
    turn.note(f"{given.approver} approved {approval.approval_id}")
    match approval.kind:
        case ExceptionKind.ACTION:
            _let_on(turn, approved, everybody)
            if given.window is not None:
                _grant_window(turn, approved, given)
        case ExceptionKind.CONFLICT:
            exceptions.resolve(turn, approved, given)
        case _:
            pass  # that it was right is on record


def _is_complete(approval: Approval) -> bool:
    if len(approval.approvers) < approval.route.quorum:
        return False
    if not approval.route.seats:
        return True
    levels = approval.route.levels[: approval.level]
    seats = [(seat.group, frozenset(seat.approvers)) for seat in approval.route.seats]
    seats += [(level.group, frozenset(level.approvers)) for level in levels]
    spoken_for = [
        frozenset(group for group, members in seats if (each.answers_for or each.approver) in members)
        for each in approval.agreements
    ]
    return seats_filled(spoken_for) >= approval.route.quorum


def _let_on(turn: Turn, approval: Approval, everybody: str, glass_broken_by: str | None = None) -> None:
    """Have an approved proposal ruled again: an approval never sends anything by itself."""
    item = turn.state.open[approval.proposal_id or ""]
    if item.seeded_by is not None:
        _unmask(turn, item, f"approved by {everybody}")
        return
    turn.put(
        item.model_copy(
            update={
                "status": ProposalStatus.DEFERRED,
                "due_at": turn.now,
                "approved_by": one_line(everybody),
                "approvers": approval.approvers,
                "agreements": approval.agreements,
                "glass_broken_by": glass_broken_by,
            }
        )
    )
    turn.tell(item, ProposalStatus.DEFERRED, None, f"approved by {everybody}; ruled again")


def _grant_window(turn: Turn, approval: Approval, given: ApprovalAnswer) -> None:
    item, window = turn.state.open.get(approval.proposal_id or ""), given.window
    if item is None or window is None or item.decision is None:
        return
    proposal = item.proposal
    if proposal.template is None or item.decision.template_version is None:
        return
    grant = WindowGrant(
        grant_id=f"{turn.state.account_id}/{approval.approval_id}",
        account_id=turn.state.account_id,
        segment=window.segment,
        actor=proposal.actor,
        action=proposal.action,
        channel=proposal.channel,
        template=proposal.template,
        version=item.decision.template_version,
        claims=tuple(use.key for use in item.decision.uses if use.kind is UseKind.CLAIM),
        rules=item.decision.asking_rules,
        value=proposal.value,
        cost=proposal.cost,
        reach=proposal.reach,
        at_most=window.at_most,
        starts_at=turn.now,
        ends_at=turn.now + timedelta(days=window.days),
        given_by=approval.approvers,
    )
    turn.record(WindowFact(seq=turn.next_seq(), at=turn.now, grant=grant))
    where = f"in {window.segment}" if window.segment else "on this account"
    turn.note(f"{given.approver} allowed {proposal.template} {where} {window.at_most} times")


def _break_glass(turn: Turn, approval: Approval, given: ApprovalAnswer, vetting: Vetting | None) -> None:
    if vetting is None or vetting.review is None:
        _refuse(turn, given, approval, "nobody is named who reviews it; nobody can break the glass")
        return
    agreement = Agreement(approver=given.approver, at=turn.now)
    broken = approval.model_copy(
        update={
            "approvers": (*approval.approvers, given.approver),
            "agreements": (*approval.agreements, agreement),
        }
    )
    approved = _ended(turn, broken, given, ApprovalStatus.APPROVED)
    _accept(turn, given, approved, f"approved by {given.approver}, who broke the glass; it will be reviewed")
    turn.world_changed()
    turn.note(f"{given.approver} broke the glass for {approval.approval_id}")
    exceptions.have_reviewed(turn, approved, given, vetting.review)
    _let_on(turn, approved, f"{given.approver} (broke the glass)", glass_broken_by=given.approver)
    _tell_others(turn, approved, f"{given.approver} broke the glass: {given.comment or ''}")


def _modify(turn: Turn, approval: Approval, given: ApprovalAnswer) -> None:
    item = turn.state.open[approval.proposal_id or ""]
    changed = edited(item, given, turn.state.account_id)
    if isinstance(changed, str):
        _refuse(turn, given, approval, changed)
        return
    ended = _ended(turn, approval, given, ApprovalStatus.MODIFIED)
    what = f"changed by {given.approver}; the new version is ruled again, and not theirs to approve"
    _accept(turn, given, ended, what)
    turn.world_changed()
    turn.note(f"{given.approver} changed {approval.approval_id}: {given.comment or ''}")
    if item.seeded_by is not None:
        _unmask(turn, item, f"changed by {given.approver}")
        return
    turn.put(changed.model_copy(update={"due_at": turn.now}))
    turn.tell(changed, ProposalStatus.DEFERRED, None, f"changed by {given.approver}; ruled again")
    _tell_the_proposer(turn, ended, f"{given.approver} changed it: {given.comment or ''}")


def _send_back(turn: Turn, approval: Approval, given: ApprovalAnswer) -> None:
    item = turn.state.open[approval.proposal_id or ""]
    ended = _ended(turn, approval, given, ApprovalStatus.SENT_BACK)
    _accept(turn, given, ended, f"sent back by {given.approver}")
    turn.world_changed()
    if item.seeded_by is not None:
        _unmask(turn, item, f"sent back by {given.approver}")
        return
    message = f"sent back by {given.approver}: {given.comment or ''}"
    turn.close(item, ProposalStatus.SUPPRESSED, ReasonCode.SENT_BACK, message)
    _tell_the_proposer(turn, ended, message)


def _unmask(turn: Turn, item: OpenProposal, what: str) -> None:
    message = f"planted by {item.seeded_by} to test the approvers, and {what}; never sent"
    turn.close(item, ProposalStatus.SUPPRESSED, ReasonCode.SEEDED, message)


def _settle(turn: Turn, approval: Approval, given: ApprovalAnswer) -> None:
    ended = _ended(turn, approval, given, ApprovalStatus.SETTLED)
    if approval.kind is ExceptionKind.AMBIGUITY and given.stage is not None:
        exceptions.settle_reading(turn, ended, given, given.stage)
        _accept(turn, given, ended, f"{given.approver} reads the account as {given.stage.value}")
        return
    if approval.touch_id is None or given.settlement is None:
        return
    found = given.settlement.value.replace("_", " ")
    _accept(turn, given, ended, f"{given.approver} found that it was {found}")
    settled = TouchSettled(
        touch_id=approval.touch_id,
        settlement=given.settlement,
        settled_by=given.approver,
        comment=one_line(given.comment or ""),
    )
    settle_touch(turn, settled)


def _ended(turn: Turn, approval: Approval, given: ApprovalAnswer, status: ApprovalStatus) -> Approval:
    return approval.model_copy(
        update={
            "status": status,
            "answered_by": given.approver,
            "answered_at": turn.now,
            "code": given.code,
            "comment": given.comment,
            "claimed_by": None,
            "claimed_until": None,
        }
    )


def _accept(turn: Turn, given: ApprovalAnswer, approval: Approval, what: str) -> None:
    """Keep an approval as an answer has left it, and tell the person."""
    keep(turn, approval)
    result = AnswerResult(
        answer_id=given.answer_id,
        approval_id=given.approval_id,
        accepted=True,
        status=approval.status,
        message=one_line(f"recorded: {what}"),
    )
    _remember(turn, given, result)
    step(turn, approval, StepKind.ANSWERED, by=given.approver, via=given.via, detail=what)


def _refuse(turn: Turn, given: ApprovalAnswer, approval: Approval | None, why: str) -> None:
    ended = approval is not None and approval.status is not ApprovalStatus.PENDING
    result = AnswerResult(
        answer_id=given.answer_id,
        approval_id=given.approval_id,
        accepted=False,
        status=approval.status if approval is not None else None,
        message=one_line(why),
        answered_by=approval.answered_by if approval is not None and ended else None,
        answered_at=approval.answered_at if approval is not None and ended else None,
    )
    _remember(turn, given, result)
    turn.note(f"Answer of {given.approver} refused: {result.message}")
    if approval is not None:
        step(turn, approval, StepKind.REFUSED, by=given.approver, via=given.via, detail=result.message)


def _remember(turn: Turn, given: ApprovalAnswer, result: AnswerResult) -> None:
    turn.state.answers[answer_key(given)] = result
    trim(turn.state.answers, ANSWERS_LIMIT)
    turn.record(AnswerFact(seq=turn.next_seq(), at=turn.now, answer=given, result=result))


def _tell_the_proposer(turn: Turn, approval: Approval, message: str) -> None:
    """Tell those who may not answer because it is theirs: they are the ones to do better."""
    noticing.tell(turn, approval, Occasion.ANSWERED, message, approval.route.excluded)


def _tell_others(turn: Turn, approval: Approval, message: str) -> None:
    others = (login for login in approval.asked if login != approval.answered_by)
    noticing.tell(turn, approval, Occasion.ANSWERED, message, others)
