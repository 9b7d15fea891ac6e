"""What conditions can read: the account's world, flattened and with friendly names."""

from __future__ import annotations

from datetime import datetime

from domain import (
    Account,
    ActorKind,
    Assessment,
    Consent,
    Contact,
    Frozen,
    Proposal,
    Role,
    Stage,
    Tier,
)
from governance.cel._conditions import Vocabulary


class AccountFacts(Frozen):
    """`account`: the company."""

    id: str
    name: str
    domain: str | None
    country: str | None
    tier: Tier
    owner: str | None


class ContactFacts(Frozen):
    """`contact`: the person a proposal addresses; null if it addresses the account as a whole."""

    id: str
    role: Role
    title: str | None
    country: str | None
    """Where the person is; the account's country if theirs is not known."""
    consent: Consent
    opted_out: bool
    has_email: bool


class ProposalFacts(Frozen):
    """`proposal`: the action that is asked for."""

    id: str
    action: str
    channel: str
    value: float
    propensity: float
    confidence: float
    evidence: tuple[str, ...]


class ActorFacts(Frozen):
    """`actor`: who proposes, as people.yaml knows them."""

    id: str
    kind: ActorKind
    owner: str | None


class AssessmentFacts(Frozen):
    """`assessment`: the reconciled reading of the account; null while there is none."""

    stage: Stage
    urgency: float
    confidence: float
    disagreement: float
    systems: int


class WinnerFacts(Frozen):
    """`winner`: in rules for losers only, the proposal that goes first."""

    actor: str
    action: str
    channel: str
    value: float
    same_contact: bool
    """Whether it addresses the same person; false if either addresses the account as a whole."""


_COMMON = {
    "account": AccountFacts,
    "contact": ContactFacts | None,
    "proposal": ProposalFacts,
    "actor": ActorFacts,
    "assessment": AssessmentFacts | None,
    "now": datetime,
}
RULES = Vocabulary(_COMMON)
"""The names every condition may use."""
LOSERS = Vocabulary({**_COMMON, "winner": WinnerFacts})
"""The names conditions on losers may use."""


def account_facts(account: Account) -> AccountFacts:
    """Return what conditions see of an account."""
    return AccountFacts(
        id=account.account_id,
        name=account.name,
        domain=account.domain,
        country=account.country,
        tier=account.tier,
        owner=account.owner,
    )


def contact_facts(contact: Contact, account: Account) -> ContactFacts:
    """Return what conditions see of a contact."""
    return ContactFacts(
        id=contact.contact_id,
        role=contact.role,
        title=contact.title,
        country=contact.country or account.country,
        consent=contact.consent,
        opted_out=contact.opted_out_at is not None,
        has_email=contact.email is not None,
    )


def proposal_facts(proposal: Proposal) -> ProposalFacts:
    """Return what conditions see of a proposal."""
    return ProposalFacts(
        id=proposal.proposal_id,
        action=proposal.action,
        channel=proposal.channel,
        value=proposal.value,
        propensity=proposal.propensity,
        confidence=proposal.confidence,
        evidence=proposal.evidence,
    )


def assessment_facts(assessment: Assessment | None) -> AssessmentFacts | None:
    """Return what conditions see of an assessment."""
    if assessment is None:
        return None
    return AssessmentFacts(
        stage=assessment.stage,
        urgency=assessment.urgency,
        confidence=assessment.confidence,
        disagreement=assessment.disagreement,
        systems=assessment.systems,
    )


def winner_facts(winner: Proposal, loser: Proposal) -> WinnerFacts:
    """Return what conditions on a loser see of the winner."""
    return WinnerFacts(
        actor=winner.actor,
        action=winner.action,
        channel=winner.channel,
        value=winner.value,
        same_contact=loser.contact_id is not None and winner.contact_id == loser.contact_id,
    )
