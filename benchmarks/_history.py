"""Counting an account's history events, over all runs of its workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from workflows import PROJECT, workflow_id

_PARTS = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "workflow task",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: "update",
    EventType.EVENT_TYPE_TIMER_STARTED: "timer",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "change of search attributes",
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: "failed workflow task",
}


class Chain:
    """All events of one account so far, and what they were for."""

    def __init__(self, runs: list[list[HistoryEvent]]) -> None:
        """Take the events of each run, in order."""
        self.runs = len(runs)
        self.events = [event for run in runs for event in run]

    def since(self, earlier: int) -> list[HistoryEvent]:
        """Return what came after so many events."""
        return self.events[earlier:]


async def history_of(client: Client, account_id: str) -> Chain:
    """Fetch the whole history, following every continue-as-new from the first run."""
    name = workflow_id(account_id)
    description = await client.get_workflow_handle(name).describe()
    first = description.raw_description.workflow_execution_info.first_run_id or description.run_id
    runs: list[list[HistoryEvent]] = []
    run_id: str | None = first
    while run_id:
        history = await client.get_workflow_handle(name, run_id=run_id).fetch_history()
        runs.append(list(history.events))
        run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return Chain(runs)


def flush_events(events: Iterable[HistoryEvent]) -> int:
    """Count the events that exist only because facts were sent to the ledger.

    These are the three of each activity, and the workflow task that took in its result, unless a message
    had asked for that task already.
    """
    scheduled: set[int] = set()
    total, woke = 0, False
    task = {EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED}
    for event in events:
        kind = event.event_type
        if kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            attributes = event.activity_task_scheduled_event_attributes
            if attributes.activity_type.name == PROJECT:
                scheduled.add(event.event_id)
                total += 1
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            total += event.activity_task_started_event_attributes.scheduled_event_id in scheduled
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            if event.activity_task_completed_event_attributes.scheduled_event_id in scheduled:
                total += 1
                woke = True
                continue
        elif kind == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED and woke:
            total += 3
        elif kind in task and woke:
            continue
        woke = False
    return total


def parts(events: Iterable[HistoryEvent]) -> str:
    """Say what the events were for: workflow tasks, activities, timers, updates and the rest."""
    events = list(events)
    counted = Counter(event.event_type for event in events)
    named = ((counted[kind], words) for kind, words in _PARTS.items())
    activities = Counter(
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    )
    shown = [f"{number} x {words}" for number, words in named if number]
    return ", ".join([*shown, *(f"{number} x {name}" for name, number in activities.items())])
