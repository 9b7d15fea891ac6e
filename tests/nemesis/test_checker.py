"""The checker notices what it is there for: one run that kept every promise, falsified in one place each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes, HistoryEvent

from domain import ProposalStatus, TouchStatus
from tests.nemesis.campaign import campaign
from tests.nemesis.checker import broken_promises, duplicates, lost, story
from tests.nemesis.evidence import Found
from tests.nemesis.oracle import Entry, Event
from tests.nemesis.plan import CHANNEL_EMAIL, CHANNEL_WEBHOOK, lost_answer
from workflows import HAND_OVER

pytestmark = pytest.mark.timeout(240)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run() -> Found:
    """A run that kept every promise."""
    (found,) = [found async for found in campaign([lost_answer()])]
    return found


def accepted(run: Found, channel: str = CHANNEL_EMAIL) -> Entry:
    return next(e for e in run.entries if e.event is Event.ACCEPTED and e.channel == channel)


def same_again(run: Found) -> None:
    run.entries.append(accepted(run))


def under_another_id(run: Found) -> None:
    entry = accepted(run)
    run.entries.append(entry.model_copy(update={"touch_id": f"{entry.touch_id}0"}))


def not_accepted(run: Found) -> None:
    scene = run.at_rest[0]
    touch_id = next(t for t, status in scene.touches.items() if status is TouchStatus.HANDED_OVER)
    run.entries = [e for e in run.entries if e.touch_id != touch_id]


def released(run: Found) -> None:
    run.at_rest[0].touches[str(accepted(run).touch_id)] = TouchStatus.RELEASED


def in_flight_for_ever(run: Found) -> None:
    run.at_rest[0].touches[str(accepted(run).touch_id)] = TouchStatus.IN_FLIGHT


def never_claimed(run: Found) -> None:
    del run.at_rest[0].claimed_at[str(accepted(run).touch_id)]


def claimed_too_late(run: Found) -> None:
    entry = accepted(run)
    run.at_rest[0].claimed_at[str(entry.touch_id)] = entry.at + timedelta(seconds=1)


def nobody_asked(run: Found) -> None:
    for scene in run.at_rest:
        scene.status = scene.status.model_copy(update={"in_doubt": ()})


def still_open(run: Found) -> None:
    for scene in run.settled:
        scene.status = run.at_rest[0].status


def more_than_the_cap(run: Found) -> None:
    run.entries += [
        accepted(run).model_copy(update={"touch_id": f"t{n}", "proposal_id": f"p{n}"}) for n in range(4)
    ]


def another_idempotency_key(run: Found) -> None:
    run.entries.append(accepted(run, CHANNEL_WEBHOOK).model_copy(update={"touch_id": "another"}))


def no_verdict(run: Found) -> None:
    view, *others = run.at_rest[0].status.proposals
    waiting = view.model_copy(update={"status": ProposalStatus.DEFERRED})
    run.at_rest[0].status = run.at_rest[0].status.model_copy(update={"proposals": (waiting, *others)})


def another_verdict_in_the_ledger(run: Found) -> None:
    run.at_rest[0].proposals["mail-1"] = ProposalStatus.DENIED.value


def not_allowed(run: Found) -> None:
    run.at_rest[0].allowed = frozenset()


def two_in_flight(run: Found) -> None:
    scheduled = ActivityTaskScheduledEventAttributes()
    scheduled.activity_type.name = HAND_OVER
    run.histories["a"] = [
        HistoryEvent(
            event_id=number,
            event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
            activity_task_scheduled_event_attributes=scheduled,
        )
        for number in (5, 6)
    ]


def settled_and_forgotten(run: Found) -> None:
    for scene in run.settled:
        for touch_id in run.settlements:
            scene.claims[touch_id] = "unknown"
            scene.touches[touch_id] = TouchStatus.UNKNOWN


FALSIFICATIONS: list[tuple[Callable[[Found], None], str]] = [
    (same_again, "promise 4: the provider accepted"),
    (under_another_id, "was accepted 2 times, as"),
    (not_accepted, "unknown to the provider"),
    (released, "promise 11: accepted by the provider, released"),
    (in_flight_for_ever, "promise 5: still in flight"),
    (never_claimed, "promise 4: accepted without a claim"),
    (claimed_too_late, "promise 4: accepted without a claim"),
    (nobody_asked, "in doubt and not before a person"),
    (still_open, "still in doubt after it was settled"),
    (more_than_the_cap, "promise 3"),
    (another_idempotency_key, "by 2 ids"),
    (no_verdict, "promise 5: mail-1 has no end"),
    (another_verdict_in_the_ledger, "promise 11: mail-1 is denied in the ledger"),
    (not_allowed, "promise 8"),
    (two_in_flight, "promise 1"),
    (settled_and_forgotten, "settled as handed_over"),
]


def test_the_run_itself_kept_every_promise(run: Found) -> None:
    assert broken_promises(run) == []
    assert duplicates(run.entries) == lost(run) == []
    assert run.settlements
    assert "is killed" in story(run)


@pytest.mark.parametrize(
    ("falsify", "expected"), FALSIFICATIONS, ids=[falsify.__name__ for falsify, _ in FALSIFICATIONS]
)
def test_it_notices(run: Found, falsify: Callable[[Found], None], expected: str) -> None:
    false = copy.deepcopy(run)
    falsify(false)
    assert any(expected in line for line in broken_promises(false)), broken_promises(false)
