"""What the planner sees of one account, and what conditions of plays may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from domain import (
    Account,
    Contact,
    OutcomeKind,
    PlanRequest,
    PlayRun,
    ProposalStatus,
    SignalKind,
    TouchRecord,
    TouchStatus,
)
from governance._facts import account_facts, assessment_facts, contact_facts, days_since
from governance.cel._conditions import Bound, EvaluationError
from governance.families._interpretation import reconcile
from governance.plays._facts import PLAYS, RunFacts

if TYPE_CHECKING:
    from governance._policy_set import PolicySet
    from governance.cel._conditions import Condition
    from governance.plays._play import Way

_DAY_SECONDS = 86_400.0
WENT_OUT = frozenset({ProposalStatus.SENT, ProposalStatus.IN_DOUBT})
"""Ends of a touch after which the play goes on: the person may have seen it."""
_NO_REACTION = frozenset({OutcomeKind.OPEN, OutcomeKind.NO_RESPONSE})


class UnreadableError(Exception):
    """A condition of a play gives no answer."""


@dataclass(frozen=True, slots=True)
class World:
    """One account at one moment.

    Attributes:
        policies: The set in force.
        request: What is known.
        account: The company.
    """

    policies: PolicySet
    request: PlanRequest
    account: Account

    @property
    def now(self) -> datetime:
        """The moment."""
        return self.request.now

    def touches_of(self, run: PlayRun) -> list[TouchRecord]:
        """Return the touches that a run has made, oldest first."""
        return [
            touch
            for touch in self.request.touches
            if touch.play is not None
            and touch.play.run_id == run.run_id
            and touch.status is not TouchStatus.RELEASED
        ]

    def addressed(self, run: PlayRun) -> list[str]:
        """Return the people whom a run has addressed, the latest last; somebody can be in it twice."""
        told = [(touch.at, touch.contact_id) for touch in self.touches_of(run)]
        told += [(step.at, step.contact_id) for step in run.steps if step.status in WENT_OUT]
        return [contact for _, contact in sorted(told, key=lambda each: each[0]) if contact is not None]

    def last_addressed(self, run: PlayRun) -> Contact | None:
        """Return the person whom a run has addressed last, as far as they are still known."""
        known = self.request.contacts
        return next((known[name] for name in reversed(self.addressed(run)) if name in known), None)

    def holds(self, when: Condition, run: PlayRun | None) -> bool:
        """Tell whether a condition holds.

        Raises:
            UnreadableError: It gives no answer.
        """
        try:
            return when.holds(self._bound(run))
        except EvaluationError as error:
            raise UnreadableError(str(error)) from error

    def _bound(self, run: PlayRun | None) -> Bound:
        request = self.request
        contact = self.last_addressed(run) if run is not None else None
        assessment = reconcile(self.policies.interpretation, request.readings, request.now, request.settled)
        return PLAYS.bind(
            {
                "account": account_facts(self.account, request.circumstances),
                "contact": contact_facts(contact, self.account) if contact is not None else None,
                "assessment": assessment_facts(assessment),
                "days_since": days_since(request.circumstances, request.now),
                "now": request.now,
                "run": self._run_facts(run) if run is not None else None,
            }
        )

    def _run_facts(self, run: PlayRun) -> RunFacts:
        done = {touch.play.step for touch in self.touches_of(run) if touch.play is not None}
        done |= {step.step for step in run.steps if step.status in WENT_OUT}
        return RunFacts(
            days=(self.now - run.started_at).total_seconds() / _DAY_SECONDS,
            moves=run.moves,
            touches=len(self.touches_of(run)),
            done=tuple(sorted(done)),
        )

    def came_back(self, way: Way, run: PlayRun) -> bool:
        """Tell whether one of the outcomes of a way came back on the latest touch of its step."""
        touches = [
            touch for touch in self.touches_of(run) if touch.play is not None and touch.play.step == way.of
        ]
        if not touches:
            return False
        outcomes = touches[-1].outcomes.keys()
        silent = OutcomeKind.NO_RESPONSE in way.outcomes and outcomes <= _NO_REACTION
        return silent or any(kind in outcomes for kind in way.outcomes if kind is not OutcomeKind.NO_RESPONSE)

    def woken(self, signals: tuple[SignalKind, ...], run: PlayRun) -> bool:
        """Tell whether a signal has come since the last touch, or after the step was entered without one."""
        touches = self.touches_of(run)
        latest = self.request.circumstances.latest
        seen = [latest[kind] for kind in signals if kind in latest]
        if touches:
            return any(moment >= touches[-1].at for moment in seen)
        # The signal that started the play can be as old as its first step.
        return any(moment > run.entered_at for moment in seen)
