"""What each kind of fact in the decision log says, for people: who, by which door, and what."""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

from domain import (
    Answer,
    AnswerFact,
    ApprovalFact,
    ApprovalStatus,
    ApprovalStepFact,
    DecisionFact,
    HoldFact,
    LedgerFact,
    OutcomeFact,
    PlayFact,
    ProposalFact,
    RecallFact,
    SettlementFact,
    SuppressionFact,
    TouchFact,
    WindowFact,
)
from tutti.render import clock, words


class Told(NamedTuple):
    """One fact as a line."""

    who: str
    door: str
    text: str


_SYSTEM = "tutti"


@singledispatch
def told(fact: LedgerFact) -> Told:
    """Return a fact of the decision log as a line."""
    return Told("", "", fact.type)


@told.register
def _proposal(fact: ProposalFact) -> Told:
    proposal = fact.proposal
    whom = f" to {proposal.contact_id}" if proposal.contact_id else ""
    reason = f" ({fact.reason.value})" if fact.reason else ""
    text = (
        f"{proposal.proposal_id}: {words(proposal.action)} over {proposal.channel}{whom} is "
        f"{words(fact.status.value)}{reason}"
    )
    return Told(proposal.actor, "", text + (f": {fact.message}" if fact.message else ""))


@told.register
def _decision(fact: DecisionFact) -> Told:
    decision = fact.decision
    rules = ", ".join(dict.fromkeys(hit.rule_id for hit in decision.hits if not hit.log_only))
    text = (
        f"{decision.proposal_id}: {words(decision.verdict.value)} ({decision.reason.value}) under policy "
        f"{decision.policy_digest[:12]}"
    )
    return Told("policies", "", text + (f", by {rules}" if rules else ""))


@told.register
def _approval(fact: ApprovalFact) -> Told:
    approval = fact.approval
    about = f" about {approval.proposal_id}" if approval.proposal_id else ""
    text = f"{approval.approval_id}{about} is {words(approval.status.value)}"
    if approval.status is ApprovalStatus.PENDING:
        text += f": {approval.route.group} is asked until {clock(approval.route.expires_at)}"
        text += f", {approval.progress}" if approval.route.quorum > 1 else ""
    return Told(approval.answered_by or _SYSTEM, "", text)


@told.register
def _step(fact: ApprovalStepFact) -> Told:
    step = fact.step
    text = f"{step.approval_id}: {words(step.kind.value)}"
    return Told(step.actor, step.via.value, text + (f", {step.detail}" if step.detail else ""))


@told.register
def _answer(fact: AnswerFact) -> Told:
    answer, result = fact.answer, fact.result
    outcome = "taken" if result.accepted else "refused"
    code = f" ({words(answer.code.value)})" if answer.code else ""
    said = f": “{answer.comment}”" if answer.comment else ""
    verb = "break the glass" if answer.answer is Answer.BREAK_GLASS else words(answer.answer.value)
    text = f"{answer.approval_id}: says {verb}{code}{said}, which was {outcome}: {result.message}"
    return Told(answer.approver, answer.via.value, text)


@told.register
def _window(fact: WindowFact) -> Told:
    grant = fact.grant
    where = f"accounts of {grant.segment}" if grant.segment else "this account"
    text = (
        f"{grant.grant_id}: {grant.template} {grant.version} over {grant.channel} may go to {where} until "
        f"{clock(grant.ends_at)}, {grant.at_most} times at most"
    )
    if grant.revoked_by:
        return Told(grant.revoked_by, "", f"{text}; taken back")
    return Told(" and ".join(grant.given_by), "", text)


@told.register
def _touch(fact: TouchFact) -> Told:
    touch = fact.touch
    detail = f": {fact.receipt.detail}" if fact.receipt and fact.receipt.detail else ""
    text = (
        f"{touch.touch_id}: {words(touch.action)} over {touch.channel} is {words(fact.status.value)}{detail}"
    )
    return Told(touch.channel, "", text)


@told.register
def _outcome(fact: OutcomeFact) -> Told:
    return Told(
        fact.outcome.source, "", f"{fact.outcome.touch_id}: {words(fact.outcome.kind.value)} came back"
    )


@told.register
def _play(fact: PlayFact) -> Told:
    run = fact.run
    return Told(run.started_by, "", f"{run.run_id}: the play {run.name} is {words(run.status.value)}")


@told.register
def _settlement(fact: SettlementFact) -> Told:
    return Told(fact.settled_by, "", f"{fact.touch_id}: {words(fact.settlement.value)}: “{fact.comment}”")


@told.register
def _recall(fact: RecallFact) -> Told:
    return Told(_SYSTEM, "", f"{fact.recalled.touch_id}: {words(fact.recalled.status.value)}: {fact.reason}")


@told.register
def _hold(fact: HoldFact) -> Told:
    if fact.ended_by is not None:
        return Told(fact.ended_by, "", f"{fact.hold.hold_id}: the hold ended")
    return Told(fact.hold.placed_by, "", f"{fact.hold.hold_id}: a hold: {fact.hold.reason}")


@told.register
def _suppression(fact: SuppressionFact) -> Told:
    return Told(fact.source, "", f"{fact.contact_id} objected, and is not contacted again")
