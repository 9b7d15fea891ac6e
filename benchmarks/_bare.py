"""The yardstick: the least an entity workflow can do with a signal, on the same engine and sandbox."""

from __future__ import annotations

from typing import Any

from temporalio import workflow


@workflow.defn(name="BareEntity")
class BareEntity:
    """Appends its signals to a list, and continues as new as often as an account does."""

    @workflow.init
    def __init__(self, taken: int, continue_after_events: int) -> None:
        self._taken = taken
        self._continue_after = continue_after_events
        self._signals: list[Any] = []

    @workflow.run
    async def run(self, _taken: int, _continue_after_events: int) -> None:
        """Wait until the history is long enough to continue as new."""
        await workflow.wait_condition(
            lambda: workflow.info().get_current_history_length() >= self._continue_after
        )
        workflow.continue_as_new(args=[self._taken + len(self._signals), self._continue_after])

    @workflow.signal
    def observe(self, items: list[Any]) -> None:
        """Take in a batch."""
        self._signals.extend(items)

    @workflow.query
    def taken(self) -> int:
        """Return how many signals came so far."""
        return self._taken + len(self._signals)
