"""Situations as people write them in tests of policies, and the ruling requests they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from domain import (
    Account,
    Amount,
    Candidate,
    Circumstances,
    Consent,
    ConsentBasis,
    Contact,
    Content,
    CountryCode,
    Hold,
    Identifier,
    LongText,
    Moment,
    OutcomeKind,
    Proposal,
    ProposalStatus,
    Reading,
    Role,
    RulingRequest,
    Scheduled,
    Share,
    ShortText,
    Signal,
    SignalKind,
    Stage,
    Standing,
    SubscriberKind,
    SupportCase,
    Tier,
    TouchRecord,
    TouchStatus,
    Use,
    UseKind,
    ZoneName,
)
from governance._draws import draws, tracked
from governance._fields import Duration, PolicyModel, Span
from governance._uses import uses
from governance.families._interpretation import read_signal

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

USUAL_NOW: Final = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
"""When a case plays unless it says so itself: a Tuesday, 11 o'clock in Berlin, no holiday anywhere."""

_MANY: Final = 1_000_000
"""Touches an actor has behind it unless a case says so: so many that nothing is new to it."""


class GivenAccount(PolicyModel):
    """The company."""

    id: Identifier = "acme"
    name: ShortText = "Acme"
    domain: ShortText | None = None
    country: CountryCode | None = None
    time_zone: ZoneName | None = None
    tier: Tier = Tier.THREE
    owner: ShortText | None = None
    """Login of the person who owns the account on our side."""
    sensitive: bool = False
    """Whether somebody has marked it as one to be careful with."""


class GivenContact(PolicyModel):
    """A person in the buying group; what is left out is not known, but for name and e-mail address."""

    id: Identifier
    name: ShortText = "Somebody"
    email: ShortText | None = None
    """Left out: an address made from the id. `null`: none is known."""
    role: Role = Role.UNKNOWN
    title: ShortText | None = None
    country: CountryCode | None = None
    time_zone: ZoneName | None = None
    consent: Consent = Consent.UNKNOWN
    consent_basis: ConsentBasis | None = None
    """What the permission rests on."""
    consent_age: Span | None = None
    """How long ago the permission was given, or the purchase or inquiry it follows from was made."""
    subscriber: SubscriberKind = SubscriberKind.UNKNOWN
    """Whom the law sees behind the address: corporate or individual."""
    phone: ShortText | None = None
    opted_out: bool = False
    left: bool = False
    """Whether the person has left the company."""


class GivenReading(PolicyModel):
    """What one system concludes about the account."""

    system: Identifier
    stage: Stage
    urgency: Share = 0.5
    confidence: Share = 0.9
    ago: Span = timedelta()
    """How long ago it was made; left out: just now."""


class GivenSignal(PolicyModel):
    """Something a system observed; interpretation.yaml says what it means."""

    kind: SignalKind
    source: Identifier = "crm"
    """The system that observed it."""
    ago: Span = timedelta()
    """How long ago; left out: just now."""


class GivenTouch(PolicyModel):
    """A touch that was made."""

    ago: Span
    """How long ago."""
    to: Identifier | None = None
    """The contact; left out: the account as a whole."""
    channel: Identifier = "email"
    action: Identifier = "send_email"
    """What was done."""
    actor: Identifier = "sdr-agent"
    """Who made it."""
    intent: Identifier | None = None
    """What it was after, if that was said."""
    status: TouchStatus = TouchStatus.HANDED_OVER
    """in_flight, handed_over, unknown or released."""
    outcomes: dict[OutcomeKind, Span] = {}
    """What came back, and how long ago: {no_response: 3d}."""


class GivenHold(PolicyModel):
    """A person's freeze on the account."""

    by: ShortText
    """Login of the person."""
    reason: ShortText = "on hold"
    ends_in: Duration | None = None
    """Left out: it stands until somebody releases it."""


class GivenWaiting(PolicyModel):
    """Another proposal of the account that waits for its time or for a person."""

    id: Identifier
    actor: Identifier
    action: Identifier
    """What is to be done, such as send_email."""
    channel: Identifier = "email"
    to: Identifier | None = None
    """The contact; left out: the account as a whole."""
    intent: Identifier | None = None
    """What it is after, if that was said."""
    value: Amount = 10_000.0
    """Expected value if it works."""
    score: Annotated[float, Field(ge=0.0)]
    """Its score in its last decision."""
    due_in: Duration | None = None
    """When it is ruled again; left out: it waits for a person."""


class GivenProposal(PolicyModel):
    """A proposal to be ruled on."""

    id: Identifier
    actor: Identifier
    action: Identifier
    """What is to be done, such as send_email."""
    channel: Identifier = "email"
    to: Identifier | None = None
    """The contact; left out: the account as a whole."""
    value: Amount = 10_000.0
    """Expected value if it works."""
    propensity: Share = 0.3
    """Probability that it works."""
    confidence: Share = 0.9
    intent: Identifier | None = None
    """What it is after; left out: what arbitration.yaml says of the action."""
    cost: Amount = 0.0
    """What it costs."""
    reach: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    """How many people it reaches at most."""
    evidence: tuple[ShortText, ...] = ()
    """What it rests on."""
    evidence_age: Span | None = None
    """How old the newest of the evidence is; left out: as old as the proposal."""
    not_before: Duration | None = None
    """It asks to wait at least this long."""
    waited: Span = timedelta(seconds=2)
    """How long ago it arrived."""
    expires_in: Duration = timedelta(days=30)
    """How long it stays good."""
    deferrals: Annotated[int, Field(ge=0)] = 0
    """How often it has been deferred already."""
    approved_by: tuple[ShortText, ...] = ()
    """Logins of those who approved exactly this."""
    template: Identifier | None = None
    """The text under content/ that it was made from."""
    text: LongText | None = None
    """What it says. Left out: what its template gives."""
    claims: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    """What it asserts, such as soc2-certified."""
    edited_by: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    """Logins of persons who wrote or changed the content."""


class Situation(PolicyModel):
    """What is known when the proposals are ruled on."""

    now: Moment | None = None
    """When it plays, such as 2026-11-24T10:00:00Z; left out: that Tuesday."""
    account: GivenAccount = GivenAccount()
    contacts: tuple[GivenContact, ...] = ()
    readings: tuple[GivenReading, ...] = ()
    signals: tuple[GivenSignal, ...] = ()
    open_cases: tuple[Annotated[int, Field(ge=1, le=4)], ...] = ()
    """Severities of the support cases that are open; 1 is the most severe."""
    touches: tuple[GivenTouch, ...] = ()
    """Touches the account remembers."""
    holds: tuple[GivenHold, ...] = ()
    waiting: tuple[GivenWaiting, ...] = ()
    """Other proposals of the account that have had a decision and wait."""
    suppressed: tuple[Identifier, ...] = ()
    """Contacts on the shared suppression list."""
    full_for: dict[ShortText, Duration] = {}
    """Limits all accounts share that are full, by rule id, and how long; the others have room."""
    unused: tuple[Identifier, ...] = ()
    """Claims and templates that have not gone out yet; left out: all have."""
    made: dict[ShortText, Annotated[int, Field(ge=0)]] = {}
    """Touches an actor has made with an action, such as {sdr-agent/send_email: 2}; left out: very many."""


def _said(model: PolicyModel) -> dict[str, object]:
    """Return what was written, without what was left out."""
    return {name: getattr(model, name) for name in model.model_fields_set}


def situated(
    policies: PolicySet, given: Situation, own: Situation, proposals: Sequence[GivenProposal]
) -> RulingRequest:
    """Return proposals in a situation as governance gets them.

    Args:
        policies: Signals mean what its interpretation.yaml says.
        given: What several tests share.
        own: What a test says itself: it adds to the shared part, and goes first where both say something.
        proposals: What is to be ruled on.
    """
    now = own.now or given.now or USUAL_NOW
    account = given.account.model_copy(update=_said(own.account))
    known: dict[str, GivenContact] = {}
    for contact in (*given.contacts, *own.contacts):
        earlier = known.get(contact.id)
        known[contact.id] = earlier.model_copy(update=_said(contact)) if earlier else contact
    signals = [*given.signals, *own.signals]
    latest: dict[SignalKind, datetime] = {}
    for signal in signals:
        latest[signal.kind] = max(now - signal.ago, latest.get(signal.kind, now - signal.ago))
    meant = [_reading_of(policies, signal, now) for signal in signals]
    request = RulingRequest(
        account_id=account.id,
        account=Account.model_validate(_renamed(account, id="account_id")),
        contacts={name: _contact(contact, now) for name, contact in known.items()},
        readings=(
            *(_reading(each, now) for each in (*given.readings, *own.readings)),
            *(reading for reading in meant if reading is not None),
        ),
        holds=tuple(_hold(hold, n, now) for n, hold in enumerate((*given.holds, *own.holds))),
        touches=tuple(_touch(touch, n, now) for n, touch in enumerate((*given.touches, *own.touches))),
        candidates=tuple(_candidate(policies, proposal, now) for proposal in proposals),
        scheduled=tuple(_scheduled(each, now) for each in (*given.waiting, *own.waiting)),
        circumstances=Circumstances(
            open_cases=tuple(
                _open_case(n, severity, now - timedelta(days=1))
                for n, severity in enumerate((*given.open_cases, *own.open_cases))
            ),
            latest=latest,
        ),
        suppressed=tuple(sorted({*given.suppressed, *own.suppressed})),
        revision=1,
        now=now,
    )
    return request.model_copy(update={"standing": _standing(policies, given, own, request)})


def _standing(policies: PolicySet, given: Situation, own: Situation, request: RulingRequest) -> Standing:
    full_for = {**given.full_for, **own.full_for}
    made = {**given.made, **own.made}
    return Standing(
        room_at={
            f"{draw.rule_id}/{proposal_id}": request.now + _full_for(full_for, draw.rule_id)
            for proposal_id, draw in draws(policies, request)
        },
        done={
            key: made.get(key, _MANY)
            for key in (f"{actor}/{action}" for actor, action in tracked(policies, request))
        },
        used=tuple(
            use.key for use in uses(policies, request) if use.name not in {*given.unused, *own.unused}
        ),
    )


def _full_for(full_for: Mapping[str, timedelta], name: str) -> timedelta:
    """Return how long a limit is full; the budgets of a grant are named behind the grant's id."""
    return max(
        (length for rule_id, length in full_for.items() if name == rule_id or name.startswith(f"{rule_id}#")),
        default=timedelta(),
    )


def _renamed(model: PolicyModel, **names: str) -> dict[str, object]:
    return {names.get(name, name): getattr(model, name) for name in type(model).model_fields}


def _open_case(number: int, severity: int, since: datetime) -> SupportCase:
    return SupportCase(case_id=f"case-{number}", severity=severity, opened_at=since, reported_at=since)


def _contact(given: GivenContact, now: datetime) -> Contact:
    fields = _renamed(given, id="contact_id")
    age, opted_out, left = (fields.pop(name) for name in ("consent_age", "opted_out", "left"))
    if "email" not in given.model_fields_set:
        fields["email"] = f"{given.id}@example.com"
    fields["consent_at"] = now - age if isinstance(age, timedelta) else None
    fields["opted_out_at"] = now - timedelta(days=1) if opted_out else None
    fields["left_at"] = now - timedelta(days=1) if left else None
    return Contact.model_validate(fields)


def _reading(given: GivenReading, now: datetime) -> Reading:
    fields = _renamed(given)
    del fields["ago"]
    return Reading.model_validate({**fields, "observed_at": now - given.ago})


def _reading_of(policies: PolicySet, given: GivenSignal, now: datetime) -> Reading | None:
    signal = Signal(signal_id="case", source=given.source, kind=given.kind, observed_at=now - given.ago)
    return read_signal(policies.interpretation, signal).reading


def _hold(given: GivenHold, number: int, now: datetime) -> Hold:
    return Hold(
        hold_id=f"hold-{number}",
        placed_by=given.by,
        reason=given.reason,
        placed_at=now,
        expires_at=now + given.ends_in if given.ends_in is not None else None,
    )


def _touch(given: GivenTouch, number: int, now: datetime) -> TouchRecord:
    fields = _renamed(given, to="contact_id")
    del fields["ago"]
    return TouchRecord.model_validate(
        {
            **fields,
            "touch_id": f"touch-{number}",
            "proposal_id": None,
            "at": now - given.ago,
            "outcomes": {kind: now - ago for kind, ago in given.outcomes.items()},
        }
    )


def _scheduled(given: GivenWaiting, now: datetime) -> Scheduled:
    fields = _renamed(given, id="proposal_id", to="contact_id")
    due_in = fields.pop("due_in")
    waits = isinstance(due_in, timedelta)
    status = ProposalStatus.DEFERRED if waits else ProposalStatus.PENDING_APPROVAL
    due_at = now + due_in if isinstance(due_in, timedelta) else None
    return Scheduled.model_validate({**fields, "status": status, "due_at": due_at})


_CANDIDATE_FIELDS: Final = frozenset(
    {"text", "evidence_age", "not_before", "waited", "expires_in", "deferrals", "approved_by"}
)


def _candidate(policies: PolicySet, given: GivenProposal, now: datetime) -> Candidate:
    fields = _renamed(given, id="proposal_id", to="contact_id")
    proposal = {name: value for name, value in fields.items() if name not in _CANDIDATE_FIELDS}
    proposal["evidence_at"] = now - given.evidence_age if given.evidence_age is not None else None
    proposal["earliest"] = now + given.not_before if given.not_before is not None else None
    proposal["content"] = Content(text=given.text or "")
    template = policies.contents.get(given.template or "") if given.text is None else None
    return Candidate(
        proposal=Proposal.model_validate(proposal),
        made_from=Use(kind=UseKind.TEMPLATE, name=template.content_id, version=template.version)
        if template is not None
        else None,
        received_at=now - given.waited,
        expires_at=now + given.expires_in,
        rulings=given.deferrals,
        deferrals=given.deferrals,
        approvers=given.approved_by,
    )
