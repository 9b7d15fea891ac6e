"""Taking in what sources report: profiles, signals, past touches, outcomes."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import _exceptions as exceptions
from domain import _running as running
from domain._account import Account, Contact, PastTouch, Reading, Signal
from domain._asking import withdraw
from domain._auditing import is_audited
from domain._base import one_line
from domain._canonical import contact_key, short_key
from domain._circumstances import count_reaction, record_outcome, take_note
from domain._dropping import drop
from domain._messages import Observed, OutcomeReported
from domain._records import (
    AccountFact,
    ContactFact,
    OutcomeFact,
    PastTouchFact,
    SignalFact,
    SuppressionFact,
)
from domain._state import (
    CONTACT_LIMIT,
    EARLY_LIMIT,
    EARLY_PATIENCE,
    EXIT_REACH,
    OBJECTOR_LIMIT,
    READING_LIMIT,
    TOUCH_LIMIT,
    TOUCH_MEMORY,
    EarlyOutcome,
)
from domain._touch import Outcome, Receipt, TouchRecord, is_past_touch_id, misdirected, touch_owner
from domain._touching import forget_beyond
from domain._turn import Turn, trim
from domain._vocabulary import (
    OutcomeKind,
    ProposalStatus,
    ReasonCode,
    SignalKind,
    TouchStatus,
)

CLOCK_SKEW = timedelta(days=1)
"""How far in the future a source's clock may be before its message is refused."""

_ACCOUNT_EXITS = {
    SignalKind.REPLY: "the account replied",
    SignalKind.MEETING_BOOKED: "a meeting was booked",
}
_DEAL_ENDS = {
    SignalKind.DEAL_WON: "the deal was won",
    SignalKind.DEAL_LOST: "the deal was lost",
}
_OBJECTIONS = frozenset({SignalKind.OPT_OUT, SignalKind.COMPLAINT})
"""What always takes effect: a wrong clock or a forgotten touch is no reason to contact somebody."""
_OUTCOME_SIGNALS = {
    OutcomeKind.REPLY: SignalKind.REPLY,
    OutcomeKind.MEETING: SignalKind.MEETING_BOOKED,
    OutcomeKind.OPT_OUT: SignalKind.OPT_OUT,
    OutcomeKind.COMPLAINT: SignalKind.COMPLAINT,
    OutcomeKind.BOUNCE: SignalKind.BOUNCE,
    OutcomeKind.OPEN: SignalKind.EMAIL_OPEN,
    OutcomeKind.CLICK: SignalKind.EMAIL_CLICK,
}


def observe(turn: Turn, event: Observed) -> None:
    """Absorb one observation; a repeated one changes nothing."""
    match event.observation:
        case Signal() as signal:
            _observe_signal(turn, signal)
        case Account() as account:
            _observe_account(turn, account)
        case Contact() as contact:
            _observe_contact(turn, contact)
        case PastTouch() as past_touch:
            _observe_past_touch(turn, past_touch)


def report_outcome(turn: Turn, event: OutcomeReported) -> None:
    """Let an outcome act like the signal it is, and count it for its touch.

    It acts when it arrives, however late or early that is. What may wait is its place: a touch that another
    tool made may become known after what came back from it.
    """
    outcome = event.outcome
    why_not = _refusal_of(turn, outcome)
    if why_not is not None:
        turn.refuse("outcome", why_not)
        return
    if not turn.first_time(short_key("outcome", outcome.source, outcome.outcome_id)):
        return
    touch = turn.state.touches.get(outcome.touch_id)
    turn.record(OutcomeFact(seq=turn.next_seq(), at=turn.now, outcome=outcome))
    turn.note(f"Outcome of {touch.action if touch else outcome.touch_id}: {outcome.kind.value}")
    turn.world_changed()
    if touch is not None:
        record_outcome(turn, touch, outcome.kind, outcome.at)
    elif _is_early(turn, outcome):
        _keep_for_later(turn, outcome)
    _take_effect(turn, outcome, touch)


def learn_from_receipt(turn: Turn, receipt: Receipt) -> None:
    """Take what a channel learnt about the person at hand-over as an outcome of that touch, exactly once."""
    touch = turn.state.touches.get(receipt.touch_id)
    if receipt.outcome is None or touch is None:
        return
    outcome = Outcome(
        # Made from the touch: a receipt that comes again says nothing new.
        outcome_id=f"{short_key(receipt.touch_id)}-{receipt.outcome.value}",
        source=touch.channel,
        touch_id=touch.touch_id,
        kind=receipt.outcome,
        at=min(receipt.at, turn.now),
        contact_id=touch.contact_id,
        detail=one_line(receipt.detail) if receipt.detail else None,
    )
    report_outcome(turn, OutcomeReported(outcome=outcome))
    running.review(turn)


def place_early_outcomes(turn: Turn) -> None:
    """Count outcomes for touches that have become known, and give up what has waited too long."""
    for key, early in tuple(turn.state.early.items()):
        outcome = early.outcome
        touch = turn.state.touches.get(outcome.touch_id)
        if touch is not None:
            del turn.state.early[key]
            record_outcome(turn, touch, outcome.kind, min(outcome.at, early.since))
            turn.world_changed()
            running.review(turn)
            if _kind_of(outcome) is not None and outcome.contact_id is None:
                _act_on(turn, _signal_of(outcome, touch))  # only now it is known whose it is
        elif _is_forgotten(turn, outcome.touch_id):
            del turn.state.early[key]
            if (why_not := _refusal_of(turn, outcome)) is not None:
                turn.refuse("outcome", why_not)
        elif early.since + EARLY_PATIENCE <= turn.now:
            _give_up(turn, key, f"did not become known within {EARLY_PATIENCE.days} days")


def merge_reading(turn: Turn, reading: Reading | None) -> None:
    """Keep the newest reading of each system."""
    if reading is None or reading.observed_at > turn.now + CLOCK_SKEW:
        return
    known = turn.state.readings.get(reading.system)
    if known is None or known.observed_at <= reading.observed_at:
        turn.state.readings[reading.system] = reading
        trim(turn.state.readings, READING_LIMIT)
        if known is None or known.stage is not reading.stage:
            exceptions.readings_changed(turn)


def _refusal_of(turn: Turn, outcome: Outcome) -> str | None:
    """Say why an outcome cannot count on this account; None if it can."""
    touch_id = outcome.touch_id
    known = touch_id in turn.state.touches
    wrong = None if known else misdirected(turn.state.account_id, touch_id)
    objection = _kind_of(outcome) in _OBJECTIONS
    if objection and outcome.contact_id and touch_owner(touch_id) in {None, turn.state.account_id}:
        return None
    if wrong is not None:
        return wrong
    if objection and not known and not _is_early(turn, outcome):
        return f"{outcome.outcome_id}: touch {touch_id} is forgotten, so it must name its contact_id"
    if outcome.at > turn.now + CLOCK_SKEW:
        return f"{outcome.outcome_id}: its time {outcome.at.isoformat()} lies in the future"
    return None


def _take_effect(turn: Turn, outcome: Outcome, touch: TouchRecord | None) -> None:
    if _kind_of(outcome) is None:
        return  # a touch without reaction is an outcome, but no signal of anything
    signal = _signal_of(outcome, touch)
    take_note(turn, signal)
    if signal.kind not in _OBJECTIONS or signal.contact_id is not None or touch is not None:
        _act_on(turn, signal)


def _is_early(turn: Turn, outcome: Outcome) -> bool:
    """Whether the touch may still become known: only touches of other tools can be reported late.

    The account's own touches are known before their channel is, so an unknown one of those is forgotten.
    """
    touch_id = outcome.touch_id
    return (
        touch_id not in turn.state.touches
        and is_past_touch_id(touch_id)
        and not _is_forgotten(turn, touch_id)
    )


def _is_forgotten(turn: Turn, touch_id: str) -> bool:
    """Whether a touch of another tool was reported before, and is remembered no more."""
    if touch_id in turn.state.touches:
        return False
    cuts = (place for place, letter in enumerate(touch_id) if letter == ":")
    return any(_past_touch_key(touch_id[:cut], touch_id[cut + 1 :]) in turn.state.seen for cut in cuts)


def _keep_for_later(turn: Turn, outcome: Outcome) -> None:
    early = turn.state.early
    key = short_key("outcome", outcome.source, outcome.outcome_id)
    early[key] = EarlyOutcome(outcome=outcome, since=turn.now)
    if len(early) > EARLY_LIMIT:
        _give_up(turn, next(iter(early)), f"is unknown, as with over {EARLY_LIMIT} other outcomes")


def _give_up(turn: Turn, key: str, why: str) -> None:
    outcome = turn.state.early.pop(key).outcome
    turn.refuse("outcome", f"{outcome.outcome_id}: touch {outcome.touch_id} {why}; it counts for no touch")


def _kind_of(outcome: Outcome) -> SignalKind | None:
    return _OUTCOME_SIGNALS.get(outcome.kind)


def _signal_of(outcome: Outcome, touch: TouchRecord | None) -> Signal:
    return Signal(
        signal_id=outcome.outcome_id,
        source=outcome.source,
        kind=_kind_of(outcome) or SignalKind.NOTE,
        observed_at=outcome.at,
        contact_id=outcome.contact_id or (touch.contact_id if touch else None),
    )


def _past_touch_key(source: str, touch_id: str) -> str:
    return short_key("past_touch", source, touch_id)


def _observe_signal(turn: Turn, signal: Signal) -> None:
    objection = signal.kind in _OBJECTIONS
    if signal.observed_at > turn.now + CLOCK_SKEW and not objection:
        turn.refuse(
            "signal", f"{signal.signal_id}: observed_at {signal.observed_at.isoformat()} lies in the future"
        )
        return
    if not turn.first_time(short_key("signal", signal.source, signal.signal_id)):
        return
    turn.state.signals_absorbed += 1
    turn.record(SignalFact(seq=turn.next_seq(), at=turn.now, signal=signal))
    merge_reading(turn, signal.reading)
    take_note(turn, signal)
    count_reaction(turn, signal)
    _act_on(turn, signal)


def _act_on(turn: Turn, signal: Signal) -> None:
    """Let an exit signal take effect at once, whatever the account is waiting for."""
    running.hear(turn, signal)
    if signal.kind in _OBJECTIONS:
        _opt_out(turn, signal)
    elif signal.kind is SignalKind.LEFT_COMPANY:
        _leave(turn, signal)
    elif signal.kind in _ACCOUNT_EXITS:
        what = _ACCOUNT_EXITS[signal.kind]
        turn.world_changed()
        turn.note(f"{signal.source}: {what}")
        for item in tuple(turn.state.open.values()):
            if item.received_at <= signal.observed_at + EXIT_REACH:
                drop(turn, item, ReasonCode.EXIT_SIGNAL, f"{what} ({signal.source} {signal.signal_id})")
    elif signal.kind in _DEAL_ENDS:
        _spare_the_approvers(turn, signal, _DEAL_ENDS[signal.kind])


def _spare_the_approvers(turn: Turn, signal: Signal, what: str) -> None:
    """Drop what people are being asked about: the deal that they would have weighed is over."""
    for item in tuple(turn.state.open.values()):
        approval = turn.state.approvals.get(item.approval_id or "")
        if item.status is not ProposalStatus.PENDING_APPROVAL or approval is None:
            continue
        if is_audited(approval) and item.received_at <= signal.observed_at + EXIT_REACH:
            drop(turn, item, ReasonCode.EXIT_SIGNAL, f"{what} ({signal.source} {signal.signal_id})")


def _opt_out(turn: Turn, signal: Signal) -> None:
    if signal.contact_id is None:
        turn.refuse("signal", f"{signal.signal_id}: an {signal.kind.value} must name its contact_id")
        return
    contact = turn.state.contacts.get(signal.contact_id) or Contact(
        contact_id=signal.contact_id, name=signal.contact_id
    )
    since = min(signal.observed_at, turn.now)
    if contact.opted_out_at is None or since < contact.opted_out_at:
        contact = contact.model_copy(update={"opted_out_at": since})
        contacts = turn.state.contacts
        if contact.contact_id in contacts or len(contacts) < OBJECTOR_LIMIT:
            contacts[contact.contact_id] = contact
        turn.record(ContactFact(seq=turn.next_seq(), at=turn.now, contact=contact))
    turn.suppress(*_suppressions(turn, contact, signal.source))
    turn.world_changed()
    turn.note(f"{contact.contact_id} opted out ({signal.source})")
    for item in tuple(turn.state.open.values()):
        if item.proposal.contact_id == contact.contact_id:
            drop(turn, item, ReasonCode.SUPPRESSED, f"{contact.contact_id} opted out")


def _leave(turn: Turn, signal: Signal) -> None:
    """Keep in mind that a person has left; unlike an objection that is about this company alone."""
    if signal.contact_id is None:
        turn.refuse("signal", f"{signal.signal_id}: {signal.kind.value} must name its contact_id")
        return
    contacts = turn.state.contacts
    known = contacts.get(signal.contact_id)
    if known is None and len(contacts) >= CONTACT_LIMIT:
        turn.refuse("signal", f"{signal.signal_id}: an account holds at most {CONTACT_LIMIT} contacts")
        return
    contact = known or Contact(contact_id=signal.contact_id, name=signal.contact_id)
    since = min(signal.observed_at, turn.now)
    if contact.left_at is not None and contact.left_at <= since:
        return
    contacts[contact.contact_id] = contact.model_copy(update={"left_at": since})
    turn.record(ContactFact(seq=turn.next_seq(), at=turn.now, contact=contacts[contact.contact_id]))
    turn.world_changed()
    _drop_what_is_for(turn, contact.contact_id, ReasonCode.CONTACT_LEFT, "left the company")


def _drop_what_is_for(turn: Turn, contact_id: str, reason: ReasonCode, what: str) -> None:
    turn.note(f"{contact_id} {what}")
    for item in tuple(turn.state.open.values()):
        if item.proposal.contact_id == contact_id:
            drop(turn, item, reason, f"{contact_id} {what}")


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _observe_account(turn: Turn, account: Account) -> None:
    if account.account_id != turn.state.account_id:
        turn.refuse("account", f"profile of {account.account_id} was sent to {turn.state.account_id}")
        return
    if account != turn.state.account:
        turn.state.account = account
        turn.record(AccountFact(seq=turn.next_seq(), at=turn.now, account=account))
        turn.world_changed()


def _observe_contact(turn: Turn, contact: Contact) -> None:
    known = turn.state.contacts.get(contact.contact_id)
    # No later profile takes back that somebody objected, or has left.
    opted_out_at = _earliest(contact.opted_out_at, known.opted_out_at if known else None)
    left_at = _earliest(contact.left_at, known.left_at if known else None)
    merged = contact.model_copy(update={"opted_out_at": opted_out_at, "left_at": left_at})
    if merged == known:
        return
    if known is None and len(turn.state.contacts) >= CONTACT_LIMIT:
        turn.refuse("contact", f"{contact.contact_id}: an account holds at most {CONTACT_LIMIT} contacts")
        return
    turn.state.contacts[contact.contact_id] = merged
    turn.record(ContactFact(seq=turn.next_seq(), at=turn.now, contact=merged))
    turn.world_changed()
    if opted_out_at is not None and (known is None or known.person_key != merged.person_key):
        # An objection that came before the address was known blocks the address now.
        turn.suppress(*_suppressions(turn, merged, "profile"))
    if opted_out_at is not None and (known is None or known.opted_out_at is None):
        _hear_from_profile(turn, merged, SignalKind.OPT_OUT, opted_out_at)
    if left_at is not None and (known is None or known.left_at is None):
        _hear_from_profile(turn, merged, SignalKind.LEFT_COMPANY, left_at)
        _drop_what_is_for(turn, merged.contact_id, ReasonCode.CONTACT_LEFT, "left the company")
    if known is not None and known.email != merged.email:
        _ask_again(turn, merged)


def _hear_from_profile(turn: Turn, contact: Contact, kind: SignalKind, since: datetime) -> None:
    """Let plays act on what only a profile tells, as on the signal that did not come."""
    told = Signal(
        signal_id=contact.contact_id,
        source="profile",
        kind=kind,
        observed_at=since,
        contact_id=contact.contact_id,
    )
    running.hear(turn, told)


def _ask_again(turn: Turn, contact: Contact) -> None:
    """An approval was for the person at the address that the approver saw: rule again, and ask again.

    What is with its channel goes to the old address, or comes back and is ruled again without the approval.
    """
    for item in tuple(turn.state.open.values()):
        if item.proposal.contact_id != contact.contact_id:
            continue
        if item.status is ProposalStatus.IN_FLIGHT:
            turn.put(item.unapproved())
        elif item.status is ProposalStatus.PENDING_APPROVAL or item.approved_by is not None:
            withdraw(turn, item, "the address of the person changed")
            turn.put(item.unapproved(status=ProposalStatus.DEFERRED, due_at=turn.now))


def _suppressions(turn: Turn, contact: Contact, source: str) -> tuple[SuppressionFact, ...]:
    keys = (contact.person_key, contact_key(turn.state.account_id, contact.contact_id))
    return tuple(
        SuppressionFact(
            seq=turn.next_seq(),
            at=turn.now,
            person_key=key,
            contact_id=contact.contact_id,
            source=source,
        )
        for key in keys
        if key is not None
    )


def _observe_past_touch(turn: Turn, past_touch: PastTouch) -> None:
    if past_touch.at > turn.now + CLOCK_SKEW:
        turn.refuse(
            "past_touch", f"{past_touch.touch_id}: its time {past_touch.at.isoformat()} lies in the future"
        )
        return
    if not turn.first_time(_past_touch_key(past_touch.source, past_touch.touch_id)):
        return
    turn.record(PastTouchFact(seq=turn.next_seq(), at=turn.now, past_touch=past_touch))
    if past_touch.at < turn.now - TOUCH_MEMORY:
        return
    # Other tools number their touches themselves: the source belongs to the identity.
    touch_id = f"{past_touch.source}:{past_touch.touch_id}"
    turn.state.touches[touch_id] = TouchRecord(
        touch_id=touch_id,
        channel=past_touch.channel,
        action=past_touch.action,
        actor=past_touch.source,
        contact_id=past_touch.contact_id,
        proposal_id=None,
        at=past_touch.at,
        status=TouchStatus.HANDED_OVER,
        governed=False,
    )
    forget_beyond(turn, TOUCH_LIMIT)
    turn.world_changed()
