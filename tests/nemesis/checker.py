"""Reads one run against the promises: what the provider wrote down decides, whatever we believe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from domain import ProposalStatus, ReceiptStatus, Settlement, TouchStatus
from tests.nemesis.evidence import Found, Scene
from tests.nemesis.life import Mark
from tests.nemesis.oracle import Entry, Event
from tests.nemesis.plan import CHANNEL_EMAIL, CHANNEL_WEBHOOK, EMAILS_PER_MINUTE, Act, Gap
from workflows import HAND_OVER

CERTAIN = {ReceiptStatus.ACCEPTED.value, ReceiptStatus.REJECTED.value}
_LEAVES_CLAIM_OPEN = {
    Gap.CLAIMED,
    Gap.CHECKED,
    Gap.LINE,
    Gap.RECEIPT,
}
_ENDED = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
)


def broken_promises(found: Found) -> list[str]:
    """Return a line for everything that a run broke; empty if it kept all promises."""
    lines = list(found.troubles)
    lines += _one_in_flight(found)
    lines += _at_most_once(found.entries)
    lines += _one_id(found.entries)
    if not found.troubles and len(found.at_rest) != len(found.plan.accounts):
        lines.append("the run came to no rest")
    for scene in found.at_rest:
        accepted = _accepted(found.entries, scene.account_id)
        lines += _known(scene, accepted)
        lines += _surfaced(found, scene)
        lines += _within_cap(accepted)
        lines += _one_verdict(found, scene)
        lines += _allowed(scene, accepted)
    for scene in found.settled:
        lines += _agree(found, scene)
    return lines


def duplicates(entries: Iterable[Entry]) -> list[str]:
    """Return the touch ids that the at-most-once provider accepted more than once."""
    counted = Counter(e.touch_id for e in entries if e.event is Event.ACCEPTED and e.channel == CHANNEL_EMAIL)
    return [str(touch_id) for touch_id, count in counted.items() if count > 1]


def lost(found: Found) -> list[str]:
    """Return the touches that the provider has and we do not know of, and those that we think it has."""
    missing = []
    for scene in found.at_rest:
        accepted = {e.touch_id for e in _accepted(found.entries, scene.account_id)}
        held = {TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN}
        missing += [str(t) for t in accepted if scene.touches.get(str(t)) not in held]
        missing += [
            t
            for t, status in scene.touches.items()
            if status is TouchStatus.HANDED_OVER and t not in accepted
        ]
    return missing


def _accepted(entries: Iterable[Entry], account_id: str) -> list[Entry]:
    return [e for e in entries if e.event is Event.ACCEPTED and e.account_id == account_id]


def _one_in_flight(found: Found) -> Iterator[str]:
    """Promise 1, from the history: the next hand-over is scheduled after the one before has ended."""
    for account_id, events in found.histories.items():
        flying: set[int] = set()
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                flying.clear()  # event ids begin anew in every run, and none ends with a touch in flight
            elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                if event.activity_task_scheduled_event_attributes.activity_type.name != HAND_OVER:
                    continue
                if flying:
                    yield f"promise 1: two touches in flight on {account_id} at event {event.event_id}"
                flying.add(event.event_id)
            elif event.event_type in _ENDED:
                flying.discard(_scheduled_by(event))


def _scheduled_by(event: HistoryEvent) -> int:
    return (
        event.activity_task_completed_event_attributes.scheduled_event_id
        or event.activity_task_failed_event_attributes.scheduled_event_id
        or event.activity_task_timed_out_event_attributes.scheduled_event_id
        or event.activity_task_canceled_event_attributes.scheduled_event_id
    )


def _at_most_once(entries: list[Entry]) -> Iterator[str]:
    """Promise 4, and more: not even under another touch id is a person written to twice."""
    yield from (f"promise 4: the provider accepted {touch_id} twice" for touch_id in duplicates(entries))
    accepted = [e for e in entries if e.event is Event.ACCEPTED and e.channel == CHANNEL_EMAIL]
    proposals = Counter((e.account_id, e.proposal_id) for e in accepted)
    for (account_id, proposal_id), count in proposals.items():
        if count > 1:
            ids = sorted({str(e.touch_id) for e in accepted if e.proposal_id == proposal_id})
            yield f"promise 4: {account_id}/{proposal_id} was accepted {count} times, as {', '.join(ids)}"


def _one_id(entries: list[Entry]) -> Iterator[str]:
    """An idempotent provider recognizes every request for one proposal by one id."""
    ids: dict[tuple[str, str], set[str | None]] = {}
    for entry in entries:
        if entry.channel == CHANNEL_WEBHOOK:
            ids.setdefault((entry.account_id, entry.proposal_id), set()).add(entry.touch_id)
    for (account_id, proposal_id), names in ids.items():
        if len(names) > 1:
            yield f"the idempotent provider knows {account_id}/{proposal_id} by {len(names)} ids: {names}"


def _known(scene: Scene, accepted: list[Entry]) -> Iterator[str]:
    """Promise 11: provider and ledger join without orphans, and nothing went out without a claim."""
    names = {entry.touch_id for entry in accepted}
    held = {TouchStatus.HANDED_OVER, TouchStatus.UNKNOWN}
    own = {touch.touch_id: touch.status for touch in scene.status.touches}
    for entry in accepted:
        touch_id = str(entry.touch_id)
        if scene.touches.get(touch_id) not in held:
            told = scene.touches.get(touch_id)
            yield f"promise 11: accepted by the provider, {told} in the ledger: {touch_id}"
        if entry.channel != CHANNEL_EMAIL:
            continue
        claimed = scene.claimed_at.get(touch_id)
        if claimed is None or claimed > entry.at:
            yield f"promise 4: accepted without a claim before it: {touch_id}"
    for touch_id, status in scene.touches.items():
        if status is TouchStatus.HANDED_OVER and touch_id not in names:
            yield f"promise 11: handed over in the ledger, unknown to the provider: {touch_id}"
        if status is TouchStatus.IN_FLIGHT:
            yield f"promise 5: still in flight in the ledger: {touch_id}"
        if own.get(touch_id) is not status:
            yield f"promise 11: {touch_id} is {status} in the ledger and {own.get(touch_id)} on the account"
    yield from (f"promise 11: the ledger does not know {t}" for t in own if t not in scene.touches)


def _surfaced(found: Found, scene: Scene) -> Iterator[str]:
    """Whatever nobody can be sure of is put before a person, and nothing else is."""
    doubts = {doubt.touch.touch_id for doubt in scene.status.in_doubt}
    for touch_id, claim in scene.claims.items():
        if claim in {None, ReceiptStatus.UNKNOWN.value} and touch_id not in doubts:
            yield f"in doubt and not before a person: {touch_id}, its claim says {claim}"
    for mark in found.marks:
        killed = mark.act is Act.KILL and mark.gap in _LEAVES_CLAIM_OPEN
        if not killed or mark.touch_id is None or mark.touch_id not in scene.claims:
            continue
        if mark.role == CHANNEL_EMAIL and mark.touch_id not in doubts:
            yield f"a worker was killed {mark.gap.value}, and no person is asked: {mark.touch_id}"
    unknown = {t for t, status in scene.touches.items() if status is TouchStatus.UNKNOWN}
    yield from (f"unknown in the ledger, not in doubt on the account: {t}" for t in unknown - doubts)
    yield from (f"in doubt on the account, not unknown in the ledger: {t}" for t in doubts - unknown)


def _within_cap(accepted: list[Entry]) -> Iterator[str]:
    """Promise 3: doubts take their places in the cap like everything that was sent."""
    mails = sum(entry.channel == CHANNEL_EMAIL for entry in accepted)
    if mails > EMAILS_PER_MINUTE:
        yield f"promise 3: {mails} e-mails within a minute, where the cap says {EMAILS_PER_MINUTE}"


def _one_verdict(found: Found, scene: Scene) -> Iterator[str]:
    """Promise 5: every proposal has its end, the same in the ledger as on the account."""
    account = scene.account_id.rpartition("-")[2]
    for wish in found.plan.wishes:
        if wish.account != account:
            continue
        views = [v for v in scene.status.proposals if v.proposal.proposal_id == wish.proposal_id]
        told = scene.proposals.get(wish.proposal_id)
        if len(views) != 1 or not views[0].status.final:
            yield f"promise 5: {wish.proposal_id} has no end on {scene.account_id}"
        elif told != views[0].status.value:
            own = views[0].status.value
            yield f"promise 11: {wish.proposal_id} is {told} in the ledger and {own} on the account"


def _allowed(scene: Scene, accepted: list[Entry]) -> Iterator[str]:
    """Promise 8: nothing went out without a decision that allowed it, and the ledger has that decision."""
    for entry in accepted:
        if scene.decisions.get(str(entry.touch_id)) not in scene.allowed:
            yield f"promise 8: no decision of the ledger allowed {entry.touch_id}"


def _agree(found: Found, scene: Scene) -> Iterator[str]:
    """After a person settled everything, provider, claim, ledger and account say the same."""
    yield from (f"still in doubt after it was settled: {d.touch.touch_id}" for d in scene.status.in_doubt)
    accepted = {entry.touch_id for entry in _accepted(found.entries, scene.account_id)}
    own = {touch.touch_id: touch.status for touch in scene.status.touches}
    for touch_id, settlement in found.settlements.items():
        if touch_id not in own:
            continue
        handed_over = settlement is Settlement.HANDED_OVER
        if handed_over != (touch_id in accepted):
            yield f"the provider changed its mind about {touch_id} after a person had asked"
        wanted = TouchStatus.HANDED_OVER if handed_over else TouchStatus.RELEASED
        told, claim = scene.touches.get(touch_id), scene.claims.get(touch_id)
        so = f"settled as {settlement.value}: {touch_id}"
        if own[touch_id] is not wanted or told is not wanted:
            yield f"{so} is {own[touch_id]} on the account and {told} in the ledger"
        if (claim == ReceiptStatus.ACCEPTED.value) != handed_over:
            yield f"{so}, its claim says {claim}"
        end = scene.proposals.get(touch_id.split("/")[1])
        if end != (ProposalStatus.SENT if handed_over else ProposalStatus.FAILED).value:
            yield f"{so}, its proposal is {end} in the ledger"


def story(found: Found) -> str:
    """Tell a run line by line, from everybody's notes."""
    moments = [(mark.at, _mark_words(mark)) for mark in found.marks]
    moments += [
        (e.at, f"provider   {e.event.value} {e.touch_id or e.proposal_id} of {e.account_id} ({e.mood.value})")
        for e in found.entries
    ]
    moments += [(at, f"run        {text}") for at, text in found.notes]
    moments.sort(key=lambda moment: moment[0])
    start = moments[0][0] if moments else None
    lines = [f"{(at - start).total_seconds():7.3f}  {text}" for at, text in moments if start is not None]
    for account_id, timeline in found.timelines.items():
        lines += ["", account_id, *(f"  {line}" for line in timeline)]
    for scene in found.at_rest:
        lines += ["", f"{scene.account_id} at rest"]
        lines += [f"  claim {t}: {status}" for t, status in scene.claims.items()]
        lines += [f"  ledger {t}: {status.value}" for t, status in scene.touches.items()]
    return "\n".join(lines)


def _mark_words(mark: Mark) -> str:
    happened = "wakes up" if mark.thawed else f"is {mark.act.value}"
    about = f", {mark.touch_id}" if mark.touch_id else ""
    return f"{mark.role.value:<10} {mark.pid} {happened} {mark.gap.value}{about}"
