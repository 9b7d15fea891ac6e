"""What conditions can read: the account's world, flattened and with friendly names."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from domain import (
    Account,
    ActorKind,
    Assessment,
    Circumstances,
    Consent,
    ConsentBasis,
    Contact,
    Medium,
    Proposal,
    Reversibility,
    Role,
    Scheduled,
    Stage,
    SubscriberKind,
    Tier,
)
from governance.cel._conditions import Vocabulary

if TYPE_CHECKING:
    from governance._case import Channel

_DAY_SECONDS = 86_400.0

# Facts are made and read very often, and named tuples are several times faster at both than models. Nothing
# validates them here: whoever binds them tests every value against its annotation.


class AccountFacts(NamedTuple):
    """`account`: the company."""

    id: str
    name: str
    domain: str | None
    country: str | None
    tier: Tier
    owner: str | None
    open_cases: int
    """Open support cases."""
    worst_open_case: int | None
    """The most severe of them, 1 to 4; null if none is open."""
    sensitive: bool = False
    """Whether somebody has marked it as one to be careful with."""


class ContactFacts(NamedTuple):
    """`contact`: the person a proposal addresses; null if it addresses the account as a whole."""

    id: str
    role: Role
    title: str | None
    country: str | None
    """Where the person is; the account's country if theirs is not known."""
    consent: Consent
    consent_basis: ConsentBasis | None
    subscriber: SubscriberKind
    opted_out: bool
    has_email: bool
    has_phone: bool


class ProposalFacts(NamedTuple):
    """`proposal`: the action that is asked for."""

    id: str
    action: str
    channel: str
    value: float
    propensity: float
    confidence: float
    cost: float
    reach: int
    evidence: tuple[str, ...]
    intent: str | None
    """What it is after; null if neither the proposal nor arbitration.yaml says."""
    operational: bool
    """Whether frequency.yaml lists its action as a service message."""
    medium: Medium
    reversibility: Reversibility


class ActorFacts(NamedTuple):
    """`actor`: who proposes, as people.yaml knows them."""

    id: str
    kind: ActorKind
    owner: str | None


class AssessmentFacts(NamedTuple):
    """`assessment`: the reconciled reading of the account; null while there is none."""

    stage: Stage
    urgency: float
    confidence: float
    disagreement: float
    systems: int


class DaysSince(NamedTuple):
    """`days_since`: how many days ago each kind of signal was last observed; null if never."""

    intent_surge: float | None = None
    web_visit: float | None = None
    email_open: float | None = None
    email_click: float | None = None
    form_submission: float | None = None
    reply: float | None = None
    meeting_booked: float | None = None
    meeting_held: float | None = None
    stage_change: float | None = None
    property_change: float | None = None
    support_case: float | None = None
    deal_won: float | None = None
    deal_lost: float | None = None
    opt_out: float | None = None
    bounce: float | None = None
    complaint: float | None = None
    left_company: float | None = None
    note: float | None = None


class WinnerFacts(NamedTuple):
    """`winner`: in rules for losers only, the proposal that goes first."""

    actor: str
    action: str
    channel: str
    value: float
    intent: str | None
    same_contact: bool
    """Whether it addresses the same person; false if either addresses the account as a whole."""


_COMMON = {
    "account": AccountFacts,
    "contact": ContactFacts | None,
    "proposal": ProposalFacts,
    "actor": ActorFacts,
    "assessment": AssessmentFacts | None,
    "days_since": DaysSince,
    "now": datetime,
}
RULES = Vocabulary(_COMMON)
"""The names every condition may use."""
LOSERS = Vocabulary({**_COMMON, "winner": WinnerFacts})
"""The names conditions on losers may use."""


def account_facts(account: Account, circumstances: Circumstances) -> AccountFacts:
    """Return what conditions see of an account."""
    return AccountFacts(
        id=account.account_id,
        name=account.name,
        domain=account.domain,
        country=account.country,
        tier=account.tier,
        owner=account.owner,
        open_cases=len(circumstances.open_cases),
        worst_open_case=min((case.severity for case in circumstances.open_cases), default=None),
        sensitive=account.sensitive,
    )


def days_since(circumstances: Circumstances, now: datetime) -> DaysSince:
    """Return what conditions see of the account's past."""
    return DaysSince(
        **{
            kind.value: max((now - latest).total_seconds(), 0.0) / _DAY_SECONDS
            for kind, latest in circumstances.latest.items()
        }
    )


def contact_facts(contact: Contact, account: Account) -> ContactFacts:
    """Return what conditions see of a contact."""
    return ContactFacts(
        id=contact.contact_id,
        role=contact.role,
        title=contact.title,
        country=contact.country or account.country,
        consent=contact.consent,
        consent_basis=contact.consent_basis,
        subscriber=contact.subscriber,
        opted_out=contact.opted_out_at is not None,
        has_email=contact.email is not None,
        has_phone=contact.phone is not None,
    )


def proposal_facts(
    proposal: Proposal, channel: Channel, *, intent: str | None, operational: bool
) -> ProposalFacts:
    """Return what conditions see of a proposal."""
    return ProposalFacts(
        id=proposal.proposal_id,
        action=proposal.action,
        channel=proposal.channel,
        value=proposal.value,
        propensity=proposal.propensity,
        confidence=proposal.confidence,
        cost=proposal.cost,
        reach=proposal.reach,
        evidence=proposal.evidence,
        intent=intent,
        operational=operational,
        medium=channel.medium,
        reversibility=channel.reversibility,
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


def winner_facts(winner: Proposal | Scheduled, loser: Proposal, *, intent: str | None) -> WinnerFacts:
    """Return what conditions on a loser see of the winner."""
    return WinnerFacts(
        actor=winner.actor,
        action=winner.action,
        channel=winner.channel,
        value=winner.value,
        intent=intent,
        same_contact=loser.contact_id is not None and winner.contact_id == loser.contact_id,
    )
