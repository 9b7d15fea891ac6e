"""The simulator: the account's state machine and governance under a virtual clock, with no engine.

It is the second shell around the same core. Governance, the ledger and notices answer at once, channels after
a moment; the suppression store is a set, and limits that all accounts share count the simulation's own
touches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from domain import (
    AccountState,
    Answered,
    Approval,
    ApprovalAnswer,
    Block,
    Consult,
    Decision,
    DecisionFact,
    Delivered,
    Effect,
    Event,
    HandOver,
    HoldPlaced,
    HoldReleased,
    LedgerFact,
    MakePlan,
    Noticed,
    NoticeReport,
    Notify,
    Observed,
    Outcome,
    OutcomeReported,
    Plan,
    Planned,
    PlanRequest,
    PlayAsk,
    PlayAsked,
    PolicyPublished,
    Project,
    Projected,
    Proposed,
    Recalled,
    RecallReturned,
    RecallStatus,
    Receipt,
    ReceiptStatus,
    Revoke,
    Ruled,
    Ruling,
    RulingRequest,
    Signal,
    Step,
    SuppressionFact,
    TakeBack,
    Touch,
    TouchFact,
    TouchRecord,
    TouchStatus,
    Vet,
    Vetted,
    advance,
    next_due,
    resume,
)
from governance import PolicySet, draws, interpret, plan, rule, tracked, uses, vet, windowed
from tutti.scenario import CameBack, GivenAnswer, Scenario, ScenarioStep
from tutti.standing import TouchBook

_NOT_ASKED = "{} answers about {}, but nobody was asked"
_NO_TOUCH = "an outcome of {} cannot come back: it led to no touch"
CHANNEL_TAKES = timedelta(milliseconds=250)
"""How long a channel works on a touch: as in reality, a touch is made a little after it was allowed."""
STUCK = 10_000
"""Turns without time passing: more than any scenario needs, so something runs in a circle."""


class ScenarioError(Exception):
    """A step that makes no sense at its time; the text says which and why."""


class Note(NamedTuple):
    """Something the script expected and that did not happen under this policy set."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Simulation:
    """What a scenario led to."""

    state: AccountState
    facts: tuple[LedgerFact, ...]
    """Everything the ledger would have been told, in order."""
    notes: tuple[Note, ...] = ()
    """Answers that nobody was asked for, and outcomes of touches that were never made."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision, in order."""
        return tuple(fact.decision for fact in self.facts if isinstance(fact, DecisionFact))

    @property
    def touches(self) -> tuple[tuple[datetime, Touch, TouchStatus], ...]:
        """Every touch that came to its end: when, what and how."""
        return tuple(
            (fact.at, fact.touch, fact.status)
            for fact in self.facts
            if isinstance(fact, TouchFact) and fact.receipt is not None
        )


@dataclass
class Simulator:
    """Plays one account forward in virtual time."""

    policies: PolicySet
    account_id: str
    now: datetime
    receipts: dict[str, tuple[ReceiptStatus, ...]] = field(default_factory=dict)
    state: AccountState = field(init=False)
    facts: list[LedgerFact] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _expected: list[tuple[datetime, GivenAnswer]] = field(default_factory=list)
    _blocked: set[str] = field(default_factory=set)
    _book: TouchBook = field(default_factory=TouchBook)
    _sets: dict[str, PolicySet] = field(default_factory=dict)
    _receipt_at: tuple[datetime, Receipt] | None = None
    _attempts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        """Start with an account that knows nothing."""
        self._sets[self.policies.digest] = self.policies
        account = AccountState(
            account_id=self.account_id, window_seconds=self.policies.decision_window.total_seconds()
        )
        self.state = resume(account, self.now).state

    def send(self, events: Iterable[Event]) -> None:
        """Let something happen now, and carry out all that follows without time passing."""
        waiting: list[Event] = list(events)
        for _ in range(STUCK):
            step = advance(self.state, waiting, self.now)
            waiting = self._carry_out(step) or self._answers_now()
            if not waiting:
                return
        msg = f"the account did not come to rest at {self.now.isoformat()}"
        raise ScenarioError(msg)

    def play(self, step: ScenarioStep, moment: datetime) -> None:
        """Let one step of a script happen now.

        Another policy set may ask later, or not at all. So an answer waits until somebody is asked, and what
        cannot happen any more is noted.
        """
        if step.answer is not None:
            self._expected.append((moment, step.answer))
            self.send(())
        elif step.outcome is not None and _touch_of(step.outcome, tuple(self.state.touches.values())) is None:
            self.notes.append(Note(moment, _NO_TOUCH.format(step.outcome.about)))
        else:
            self.send([self.at_the_door(event_of(step, moment, self.state))])

    def at_the_door(self, event: Event) -> Event:
        """Add which plays a signal may start, as the door does that it comes in by."""
        match event:
            case Observed(observation=Signal() as signal):
                enters = interpret(self.policies, signal).enters
                return Observed(observation=signal.model_copy(update={"enters": enters}))
            case _:
                return event

    def restart(self) -> None:
        """Take the account up again from its written state, as a new run of its workflow does."""
        carried = AccountState.model_validate_json(self.state.model_dump_json())
        step = resume(carried, self.now)
        answers = self._carry_out(step)
        self.send(answers)

    def run_to(self, moment: datetime) -> None:
        """Let time pass: everything that becomes due on the way happens at its moment."""
        while (at := self._next()) is not None and at <= moment:
            self.now = max(self.now, at)
            events: list[Event] = []
            if self._receipt_at is not None and self._receipt_at[0] <= self.now:
                events.append(Delivered(receipt=self._receipt_at[1]))
                self._receipt_at = None
            self.send(events)
        self.now = max(self.now, moment)

    def result(self) -> Simulation:
        """Return what happened, including the facts that were still waiting for the ledger."""
        unasked = [
            Note(moment, _NOT_ASKED.format(given.approver, given.about)) for moment, given in self._expected
        ]
        notes = sorted((*self.notes, *unasked))
        return Simulation(self.state, (*self.facts, *self.state.outbox), tuple(notes))

    def _answers_now(self) -> list[Event]:
        """Return the answer of a person who has been asked by now, if there is one."""
        for index, (_, given) in enumerate(self._expected):
            if _approval_of(given, self.state) is not None:
                del self._expected[index]
                return [Answered(answer=answer_of(given, self.state))]
        return []

    def _next(self) -> datetime | None:
        due = next_due(self.state)
        moments = [due.at] if due is not None else []
        if self._receipt_at is not None:
            moments.append(self._receipt_at[0])
        return min(moments, default=None)

    def _carry_out(self, step: Step) -> list[Event]:
        self.state = step.state
        answers = [self._perform(effect) for effect in step.effects]
        return [event for event in answers if event is not None]

    def _perform(self, effect: Effect) -> Event | None:
        match effect:
            case Consult(request=request):
                return Ruled(ruling=self._rule(request))
            case HandOver(touch=touch):
                if self._receipt_at is not None and self._receipt_at[1].touch_id == touch.touch_id:
                    return None  # the channel knows it by its claim
                at = self.now + CHANNEL_TAKES
                self._receipt_at = (at, self._receipt(touch, at))
                return None
            case Block(batch=batch):
                self._blocked.update(f.person_key for f in batch.facts if isinstance(f, SuppressionFact))
                return None
            case TakeBack(recall=recall):
                told = Recalled(touch_id=recall.touch_id, status=RecallStatus.RECALLED, at=self.now)
                return RecallReturned(recalled=told)
            case MakePlan(request=request):
                return Planned(plan=self._plan(request))
            case Revoke():
                return None  # a channel that takes a moment is never caught before the line
            case Notify(notice=notice):
                return Noticed(report=NoticeReport(notice_id=notice.notice_id))
            case Vet(request=request):
                return Vetted(vetting=vet(self.policies, request, ()))
            case Project(batch=batch):
                self.facts.extend(batch.facts)
                self._book.take(batch.facts)
                self._blocked.update(f.person_key for f in batch.facts if isinstance(f, SuppressionFact))
                return Projected(count=len(batch.facts))

    def _rule(self, request: RulingRequest) -> Ruling:
        known = self.state.contacts.items()
        blocked = sorted(key for key, contact in known if contact.person_key in self._blocked)
        updates: dict[str, object] = {"suppressed": tuple(blocked)}
        drawn, counted = draws(self.policies, request), tracked(self.policies, request)
        said, wanted = uses(self.policies, request), windowed(request)
        if drawn or counted or said or wanted:
            self._book.take(self.state.outbox)  # the account's own, on their way to the ledger
            updates["standing"] = self._book.standing(drawn, counted, request.now, said)
            updates["windows"] = self._book.windows_for(wanted, request)
        return rule(self.policies, request.model_copy(update=updates))

    def _plan(self, request: PlanRequest) -> Plan:
        """Plan by the version that a run is pinned to: a set that was replaced meanwhile is remembered."""
        wanted = {run.policy_digest for run in (request.run,) if run is not None}
        if request.move_to is not None:
            wanted.add(request.move_to.policy_digest)
        pinned = {
            (digest, play_id): play
            for digest in wanted
            if digest in self._sets
            for play_id, play in self._sets[digest].plays.items()
        }
        return plan(self.policies, request, pinned)

    def publish(self, policies: PolicySet) -> None:
        """Put another policy set in force; runs of plays keep the version they started with."""
        self.policies = policies
        self._sets[policies.digest] = policies
        self.send([PolicyPublished(digest=policies.digest)])

    def _receipt(self, touch: Touch, at: datetime) -> Receipt:
        planned = self.receipts.get(touch.proposal_id, ())
        attempt = self._attempts[touch.proposal_id]
        self._attempts[touch.proposal_id] += 1
        status = planned[attempt] if attempt < len(planned) else ReceiptStatus.ACCEPTED
        return Receipt(touch_id=touch.touch_id, status=status, at=at, detail=f"simulated {status.value}")


def simulate(scenario: Scenario, policies: PolicySet) -> Simulation:
    """Play a scenario under a policy set.

    Raises:
        ScenarioError: the account never comes to rest.
    """
    simulator = Simulator(
        policies, scenario.account.account_id, scenario.start, receipts=dict(scenario.receipts)
    )
    simulator.send([Observed(observation=item) for item in scenario.profile])
    for moment, step in scenario.moments(scenario.start):
        simulator.run_to(moment)
        simulator.play(step, moment)
    simulator.run_to(scenario.start + scenario.length)
    return simulator.result()


def event_of(step: ScenarioStep, moment: datetime, state: AccountState) -> Event:
    """Return what a step means to the account at a moment."""
    if step.observe is not None:
        return Observed(observation=step.observe.at(moment))
    if step.propose is not None:
        return Proposed(proposal=step.propose.at(moment))
    if step.start_play is not None:
        asked = PlayAsk(
            play_id=step.start_play.play, asked_by=step.start_play.by, asked_at=moment, by_person=True
        )
        return PlayAsked(ask=asked)
    if step.answer is not None:
        return Answered(answer=answer_of(step.answer, state))
    if step.outcome is not None:
        return OutcomeReported(outcome=outcome_of(step.outcome, moment, tuple(state.touches.values())))
    if step.hold is not None:
        return HoldPlaced(hold=step.hold.at(moment))
    if step.release is not None:
        return HoldReleased(hold_id=step.release.hold_id, released_by=step.release.released_by)
    msg = f"the step at {step.at} does nothing"
    raise ScenarioError(msg)


def answer_of(given: GivenAnswer, state: AccountState) -> ApprovalAnswer:
    """Return a person's answer to the question that it is about.

    Raises:
        ScenarioError: nobody asks it now.
    """
    approval = _approval_of(given, state)
    if approval is None:
        raise ScenarioError(_NOT_ASKED.format(given.approver, given.about))
    return given.to(approval)


def outcome_of(came_back: CameBack, moment: datetime, touches: Sequence[TouchRecord]) -> Outcome:
    """Return the outcome of a touch that an account remembers.

    Raises:
        ScenarioError: it remembers none like that.
    """
    touch = _touch_of(came_back, touches)
    if touch is None:
        raise ScenarioError(_NO_TOUCH.format(came_back.about))
    return Outcome(
        outcome_id=f"{touch.proposal_id}-{came_back.kind.value}",
        source="scenario",
        touch_id=touch.touch_id,
        kind=came_back.kind,
        at=moment,
    )


def _approval_of(given: GivenAnswer, state: AccountState) -> Approval | None:
    return next((a for a in state.pending_approvals if given.meets(a)), None)


def _touch_of(came_back: CameBack, touches: Sequence[TouchRecord]) -> TouchRecord | None:
    return next((t for t in reversed(touches) if _is_meant(t, came_back)), None)


def _is_meant(touch: TouchRecord, came_back: CameBack) -> bool:
    if came_back.step is not None:
        return touch.play is not None and touch.play.step == came_back.step
    return touch.proposal_id == came_back.proposal
