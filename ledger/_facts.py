"""From facts to rows: what each kind of fact says to which table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any, Final

from domain import (
    AccountFact,
    AnswerFact,
    Approval,
    ApprovalFact,
    ApprovalStatus,
    ApprovalStepFact,
    ContactFact,
    DecisionFact,
    HoldFact,
    LedgerFact,
    OutcomeFact,
    PastTouchFact,
    PlayFact,
    ProposalFact,
    RecallFact,
    RefusalFact,
    SettlementFact,
    SignalFact,
    SuppressionFact,
    TouchFact,
    TouchStatus,
    WindowFact,
)
from ledger import _tables as t

GOVERNED: Final = "tutti"
"""The source of the touches that we made ourselves; their ids hold a slash, which no reported one may."""

Values = dict[str, Any]
Rows = Iterator[tuple[type[t.Row], Values]]


@singledispatch
def rows_of(fact: LedgerFact, account_id: str) -> Rows:
    """Yield the rows that a fact of an account consists of, each with its table."""
    raise NotImplementedError(f"no table for a {type(fact).__name__} of {account_id}")


def _common(fact: LedgerFact, account_id: str) -> Values:
    return {"account_id": account_id, "seq": fact.seq, "at": fact.at, "body": fact}


@rows_of.register
def _account(fact: AccountFact, account_id: str) -> Rows:
    profile = fact.account
    yield t.AccountRow, _common(fact, account_id) | {"name": profile.name, "tier": profile.tier.value}


@rows_of.register
def _contact(fact: ContactFact, account_id: str) -> Rows:
    contact = fact.contact
    yield (
        t.ContactRow,
        _common(fact, account_id) | {"contact_id": contact.contact_id, "person_key": contact.person_key},
    )


@rows_of.register
def _signal(fact: SignalFact, account_id: str) -> Rows:
    signal = fact.signal
    yield (
        t.SignalRow,
        _common(fact, account_id)
        | {
            "source": signal.source,
            "signal_id": signal.signal_id,
            "at": signal.observed_at,
            "kind": signal.kind.value,
            "contact_id": signal.contact_id,
        },
    )


@rows_of.register
def _past_touch(fact: PastTouchFact, account_id: str) -> Rows:
    past = fact.past_touch
    yield (
        t.TouchRow,
        _common(fact, account_id)
        | {
            "source": past.source,
            "touch_id": past.touch_id,
            "at": past.at,
            "governed": False,
            "status": TouchStatus.HANDED_OVER.value,
            "channel": past.channel,
            "action": past.action,
            "contact_id": past.contact_id,
            "proposal_id": None,
            "actor": None,
            "cost": 0.0,
        },
    )


@rows_of.register
def _proposal(fact: ProposalFact, account_id: str) -> Rows:
    yield (
        t.ProposalRow,
        _common(fact, account_id)
        | {
            "proposal_id": fact.proposal.proposal_id,
            "status": fact.status.value,
            "reason": fact.reason.value if fact.reason else None,
            "actor": fact.proposal.actor,
            "channel": fact.proposal.channel,
        },
    )


@rows_of.register
def _decision(fact: DecisionFact, account_id: str) -> Rows:
    decision = fact.decision
    yield (
        t.DecisionRow,
        _common(fact, account_id)
        | {
            "decision_id": decision.decision_id,
            "at": decision.decided_at,
            "proposal_id": decision.proposal_id,
            "verdict": decision.verdict.value,
            "reason": decision.reason.value,
            "policy_digest": decision.policy_digest,
        },
    )
    for position, hit in enumerate(decision.hits):
        yield (
            t.RuleHitRow,
            {
                "account_id": account_id,
                "decision_id": decision.decision_id,
                "position": position,
                "seq": fact.seq,
                "at": decision.decided_at,
                "rule_id": hit.rule_id,
                "family": hit.family,
                "effect": hit.effect.value,
                "reason": hit.reason.value,
                "policy_digest": decision.policy_digest,
            },
        )


@rows_of.register
def _approval(fact: ApprovalFact, account_id: str) -> Rows:
    approval = fact.approval
    yield (
        t.ApprovalRow,
        _common(fact, account_id)
        | {
            "approval_id": approval.approval_id,
            "proposal_id": approval.proposal_id,
            "kind": approval.kind.value,
            "status": approval.status.value,
            "route_group": approval.route.group,
            "rule_id": approval.rule_id,
            "action": approval.action,
            "actor": approval.actor,
            "risk": approval.route.risk.value,
            "requested_at": approval.requested_at,
            # Asked before there were due dates: an answer was expected while it was taken.
            "due_at": approval.route.due_at or approval.route.expires_at,
            "expires_at": approval.route.expires_at,
        },
    )
    for login, barred in concerned(approval):
        yield (
            t.ApprovalPersonRow,
            {
                "login": login,
                "account_id": account_id,
                "approval_id": approval.approval_id,
                "seq": fact.seq,
                "barred": barred,
            },
        )


def concerned(approval: Approval) -> Iterator[tuple[str, bool]]:
    """Yield the login of everybody whom an open question concerns, and whether they may not answer it.

    Those who may not are told of, too: somebody may stand in for a colleague who was asked, and be barred.
    """
    if approval.status is not ApprovalStatus.PENDING:
        return
    barred = dict.fromkeys((*approval.route.excluded, *approval.approvers))
    yield from ((login, True) for login in barred)
    yield from ((login, False) for login in approval.addressed if login not in barred)


@rows_of.register
def _approval_step(fact: ApprovalStepFact, account_id: str) -> Rows:
    step = fact.step
    yield (
        t.ApprovalStepRow,
        _common(fact, account_id)
        | {
            "approval_id": step.approval_id,
            "kind": step.kind.value,
            "actor": step.actor,
            "via": step.via.value,
        },
    )


@rows_of.register
def _window(fact: WindowFact, account_id: str) -> Rows:
    grant = fact.grant
    yield (
        t.WindowGrantRow,
        {
            "grant_id": grant.grant_id,
            "account_id": account_id,
            "segment": grant.segment,
            "actor": grant.actor,
            "action": grant.action,
            "channel": grant.channel,
            "template": grant.template,
            "version": grant.version,
            "at_most": grant.at_most,
            "starts_at": grant.starts_at,
            "ends_at": grant.ends_at,
            "revoked_by": grant.revoked_by,
            "revoked_at": grant.revoked_at,
            "body": grant,
        },
    )


@rows_of.register
def _answer(fact: AnswerFact, account_id: str) -> Rows:
    yield (
        t.ApprovalAnswerRow,
        _common(fact, account_id)
        | {
            "answer_id": fact.answer.answer_id,
            "approval_id": fact.answer.approval_id,
            "approver": fact.answer.approver,
            "accepted": fact.result.accepted,
        },
    )


@rows_of.register
def _touch(fact: TouchFact, account_id: str) -> Rows:
    touch = fact.touch
    yield (
        t.TouchRow,
        _common(fact, account_id)
        | {
            "source": GOVERNED,
            "touch_id": touch.touch_id,
            "governed": True,
            "status": fact.status.value,
            "channel": touch.channel,
            "action": touch.action,
            "contact_id": touch.recipient.contact_id if touch.recipient else None,
            "proposal_id": touch.proposal_id,
            "actor": touch.actor,
            "cost": touch.cost,
        },
    )


@rows_of.register
def _outcome(fact: OutcomeFact, account_id: str) -> Rows:
    outcome = fact.outcome
    yield (
        t.OutcomeRow,
        _common(fact, account_id)
        | {
            "source": outcome.source,
            "outcome_id": outcome.outcome_id,
            "at": outcome.at,
            "touch_id": outcome.touch_id,
            "kind": outcome.kind.value,
            "contact_id": outcome.contact_id,
        },
    )


@rows_of.register
def _play(fact: PlayFact, account_id: str) -> Rows:
    run = fact.run
    yield (
        t.PlayRunRow,
        _common(fact, account_id)
        | {
            "run_id": run.run_id,
            "play_id": run.play_id,
            "version": run.version,
            "status": run.status.value,
        },
    )


@rows_of.register
def _settlement(fact: SettlementFact, account_id: str) -> Rows:
    yield (
        t.SettlementRow,
        _common(fact, account_id)
        | {
            "touch_id": fact.touch_id,
            "settlement": fact.settlement.value,
            "settled_by": fact.settled_by,
        },
    )


@rows_of.register
def _recall(fact: RecallFact, account_id: str) -> Rows:
    recalled = fact.recalled
    yield (
        t.RecallRow,
        _common(fact, account_id) | {"touch_id": recalled.touch_id, "status": recalled.status.value},
    )


@rows_of.register
def _hold(fact: HoldFact, account_id: str) -> Rows:
    yield (
        t.HoldRow,
        _common(fact, account_id)
        | {"hold_id": fact.hold.hold_id, "ended_by": fact.ended_by, "expires_at": fact.hold.expires_at},
    )


@rows_of.register
def _refusal(fact: RefusalFact, account_id: str) -> Rows:
    yield t.RefusalRow, _common(fact, account_id) | {"what": fact.what}


@rows_of.register
def _suppression(fact: SuppressionFact, account_id: str) -> Rows:
    yield (
        t.SuppressionRow,
        {
            "person_key": fact.person_key,
            "at": fact.at,
            "account_id": account_id,
            "contact_id": fact.contact_id,
            "source": fact.source,
        },
    )
