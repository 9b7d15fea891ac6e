"""The account workflow: a thin, durable shell around the pure account state machine.

Messages become events, time becomes a turn, effects become activities. Message handlers never fail
and never await anything that can take long; one loop does all the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import (
        AccountState,
        AccountStatus,
        Answered,
        AnswerResult,
        ApprovalAnswer,
        Event,
        Frozen,
        Hold,
        HoldPlaced,
        HoldReleased,
        Identifier,
        Outcome,
        OutcomeReported,
        PlayAsk,
        PlayAsked,
        PlayCancelled,
        PlayMigrated,
        PlayResumed,
        PlayRun,
        PlayStatus,
        PolicyPublished,
        Proposal,
        ProposalView,
        Proposed,
        RecallAsked,
        Refused,
        ShortText,
        Step,
        StopsChanged,
        TouchSettled,
        advance,
        answer_key,
        card,
        conflict_message,
        known_digest,
        next_due,
        resume,
        timeline,
        view_proposal,
        view_status,
    )
    from workflows import _contract as contract
    from workflows._decoding import UnreadableMessageError, read_model, read_observations
    from workflows._world import World

_Model = TypeVar("_Model", bound=BaseModel)


class PlayStart(Frozen):
    """Who starts which play."""

    play_id: Identifier
    started_by: ShortText


class HoldRelease(Frozen):
    """Who ends which hold."""

    hold_id: Identifier
    released_by: ShortText


def _new_account(start: contract.AccountInput) -> AccountState:
    state = AccountState(account_id=start.account_id)
    if start.window_seconds is not None:
        state.window_seconds = start.window_seconds
    return state


def _number_of(run: PlayRun) -> int:
    return int(run.run_id.rpartition(".")[2])


@workflow.defn(name=contract.WORKFLOW_TYPE)
class AccountWorkflow:
    """One target account, for years: its single writer."""

    @workflow.init
    def __init__(self, start: contract.AccountInput) -> None:
        self._continue_after = start.continue_after_events
        self._state = start.state or _new_account(start)
        self._inbox: list[Event] = []
        self._world = World(lambda: self._state, self._inbox_put)
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._armed_for: datetime | None = None
        self._rang = False
        self._draining = False
        self._published: contract.SearchAttributes | None = None

    @workflow.run
    async def run(self, _start: contract.AccountInput) -> None:
        """Live: turn after turn, until the history is long enough to continue as new."""
        self._carry_out(resume(self._state, workflow.now()))
        while True:
            if not self._inbox:
                self._publish()
            await workflow.wait_condition(self._has_work)
            self._turn()
            if self._should_continue():
                await self._hand_on()

    # Messages ------------------------------------------------------------------------------------------

    @workflow.signal(
        name=contract.OBSERVE,
        description="What a source saw: signals, profiles, contacts, past touches; one or a list.",
    )
    def observe(self, *arguments: object) -> None:
        """Take in a batch of observations."""
        self._inbox.extend(read_observations(arguments))

    @workflow.signal(name=contract.REPORT_OUTCOME, description="What came back after a touch.")
    def report_outcome(self, *arguments: object) -> None:
        """Take in an outcome."""
        self._receive("outcome", lambda: OutcomeReported(outcome=read_model(Outcome, arguments)))

    @workflow.signal(
        name=contract.ANSWER_APPROVAL_SIGNAL,
        description="An approver's answer, when the sender cannot wait for the result.",
    )
    def answer_approval_signal(self, *arguments: object) -> None:
        """Take in an answer; its result is in the status and the ledger."""
        self._receive("approval answer", lambda: Answered(answer=read_model(ApprovalAnswer, arguments)))

    @workflow.signal(
        name=contract.POLICY_PUBLISHED,
        description="Another policy set is in force: what waits is ruled on again. Takes its digest.",
    )
    def policy_published(self, *arguments: object) -> None:
        """Have the new set judge at once what an earlier one made wait."""
        self._receive("policy publication", lambda: read_model(PolicyPublished, arguments))

    @workflow.signal(
        name=contract.STOPS_CHANGED,
        description="A kill switch was lifted: what waited for that is ruled on again. Takes its stop_id.",
    )
    def stops_changed(self, *arguments: object) -> None:
        """Have what waited because of a kill switch judged again at once."""
        self._receive("lifted stop", lambda: read_model(StopsChanged, arguments))

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, _arguments: Sequence[RawValue]) -> None:
        """Record a signal that nobody here knows, instead of losing it at the next continue-as-new."""
        self._inbox.append(Refused(what="signal", why=f"there is no signal named {name[:100]!r}"))

    @workflow.update(
        name=contract.PROPOSE,
        description="Propose a touch. Returns where it stands, as a rule after the decision window.",
    )
    async def propose(self, *arguments: object) -> ProposalView:
        """Take in a proposal and wait for its first ruling.

        Returns unsettled when the run is about to continue as new: ask again, the proposal is known.
        """
        proposal = self._read("proposal", Proposal, arguments)
        await self._processed(Proposed(proposal=proposal))
        known = known_digest(self._state, proposal.proposal_id)
        if known is None:
            message = f"proposal {proposal.proposal_id} was refused: too many are open on this account"
            raise ApplicationError(message, type="ProposalRefused", non_retryable=True)
        if known != proposal.digest(self._state.account_id):
            raise ApplicationError(
                conflict_message(proposal.proposal_id), type="ProposalConflict", non_retryable=True
            )
        await workflow.wait_condition(lambda: self._draining or self._ruled_on(proposal.proposal_id))
        view = view_proposal(self._state, proposal.proposal_id)
        if view is None:
            raise ApplicationError(
                f"proposal {proposal.proposal_id} ended so long ago that only the ledger knows it",
                type="ProposalForgotten",
                non_retryable=True,
            )
        return view

    @workflow.update(name=contract.ANSWER_APPROVAL, description="Answer an approval: approve or reject.")
    async def answer_approval(self, *arguments: object) -> AnswerResult:
        """Take in an answer and return what became of it; refusals are recorded, not raised."""
        answer = self._read("approval answer", ApprovalAnswer, arguments)
        await self._processed(Answered(answer=answer))
        result = self._state.answers.get(answer_key(answer))
        if result is None:
            message = "the answer could not be processed; it is recorded as refused"
            raise ApplicationError(message, type="AnswerRefused", non_retryable=True)
        return result

    @workflow.update(name=contract.PLACE_HOLD, description="Freeze the account.")
    async def place_hold(self, *arguments: object) -> AccountStatus:
        """Freeze the account and return its status."""
        hold = self._read("hold", Hold, arguments)
        await self._processed(HoldPlaced(hold=hold))
        if hold.hold_id not in self._state.holds:
            message = f"hold {hold.hold_id} was not placed: its end has passed, or there are too many holds"
            raise ApplicationError(message, type="HoldRefused", non_retryable=True)
        return view_status(self._state)

    @workflow.update(name=contract.RELEASE_HOLD, description="End a freeze.")
    async def release_hold(self, *arguments: object) -> AccountStatus:
        """End a freeze and return the status."""
        release = self._read("hold release", HoldRelease, arguments)
        await workflow.wait_condition(lambda: not self._inbox)
        stood = release.hold_id in self._state.holds
        await self._processed(HoldReleased(hold_id=release.hold_id, released_by=release.released_by))
        if not stood:
            message = f"no hold {release.hold_id} stands on this account"
            raise ApplicationError(message, type="HoldRefused", non_retryable=True)
        return view_status(self._state)

    @workflow.update(name=contract.START_PLAY, description="Start a play now; one play runs at a time.")
    async def start_play(self, *arguments: object) -> AccountStatus:
        """Let a play enter because a person wants it, and return the status, or say why it did not."""
        start = self._read("play start", PlayStart, arguments)
        wanted = PlayAsk(
            play_id=start.play_id, asked_by=start.started_by, asked_at=workflow.now(), by_person=True
        )
        number = self._state.run_number
        await self._processed(PlayAsked(ask=wanted))
        await workflow.wait_condition(lambda: self._draining or wanted not in self._state.play_asks)
        begun = (*self._state.runs.values(), *self._state.ended_runs.values())
        entered = any(run.play_id == start.play_id and _number_of(run) > number for run in begun)
        if not entered and wanted not in self._state.play_asks:
            why = self._state.play_refusals.get(start.play_id, "it asks to enter already")
            raise ApplicationError(f"{start.play_id}: {why}", type="PlayRefused", non_retryable=True)
        return view_status(self._state)

    @workflow.update(name=contract.CANCEL_PLAY, description="End a run of a play now.")
    async def cancel_play(self, *arguments: object) -> AccountStatus:
        """End a run, drop what it has scheduled, and return the status."""
        event = self._read("play cancellation", PlayCancelled, arguments)
        self._demand("PlayRefused", self._runs(event.run_id), f"no run {event.run_id} is running here")
        await self._processed(event)
        return view_status(self._state)

    @workflow.update(name=contract.RESUME_PLAY, description="Let a suspended run of a play go on.")
    async def resume_play(self, *arguments: object) -> AccountStatus:
        """Let a suspended run go on as soon as no other is active, and return the status."""
        event = self._read("play resumption", PlayResumed, arguments)
        run = self._state.runs.get(event.run_id)
        waits = run is not None and run.status is PlayStatus.SUSPENDED
        self._demand("PlayRefused", waits, f"no run {event.run_id} is suspended here")
        await self._processed(event)
        return view_status(self._state)

    @workflow.signal(name=contract.MIGRATE_PLAY, description="Move runs of a play to another version of it.")
    def migrate_play(self, *arguments: object) -> None:
        """Have the runs of a play go on with another version, where their place is found in it."""
        self._receive("play migration", lambda: read_model(PlayMigrated, arguments))

    @workflow.update(
        name=contract.SETTLE_TOUCH, description="Say what became of a touch in doubt: handed over or not."
    )
    async def settle_touch(self, *arguments: object) -> AccountStatus:
        """End the doubt about a touch and return the status."""
        event = self._read("settlement", TouchSettled, arguments)
        doubtful = event.touch_id in self._state.in_doubt
        self._demand("SettlementRefused", doubtful, f"touch {event.touch_id} is not in doubt on this account")
        await self._processed(event)
        return view_status(self._state)

    @workflow.update(name=contract.RECALL_TOUCH, description="Take a touch back, if its channel can.")
    async def recall_touch(self, *arguments: object) -> AccountStatus:
        """Have a touch taken back and return the status; whether it worked is in the timeline."""
        event = self._read("recall", RecallAsked, arguments)
        touch = self._state.touches.get(event.touch_id)
        possible = touch is not None and touch.recall_queue is not None
        self._demand("RecallRefused", possible, f"touch {event.touch_id} cannot be taken back")
        await self._processed(event)
        return view_status(self._state)

    @workflow.query(name=contract.STATUS, description="The account as a whole.")
    def status(self) -> AccountStatus:
        """Return the account as a whole."""
        return view_status(self._state)

    @workflow.query(name=contract.WHY, description="Every proposal, or one, with every rule that fired.")
    def why(self, proposal_id: str | None = None) -> list[ProposalView]:
        """Return proposals with their decisions; empty if the account does not remember the one asked for."""
        ids = [proposal_id] if proposal_id else [*self._state.closed, *self._state.open]
        views = (view_proposal(self._state, known) for known in ids)
        return [view for view in views if view is not None]

    @workflow.query(name=contract.TIMELINE, description="The account's recent story, a line a move.")
    def timeline(self) -> list[str]:
        """Return the recent story, oldest line first."""
        return [f"{line.at:%Y-%m-%d %H:%M:%S}Z {line.text}" for line in timeline(self._state)]

    # The loop ------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._inbox) or self._rang or self._should_continue()

    def _turn(self) -> None:
        events, self._inbox = self._inbox, []
        self._rang = False
        self._carry_out(advance(self._state, events, workflow.now()))

    def _carry_out(self, step: Step) -> None:
        self._state = step.state
        for effect in step.effects:
            task = asyncio.create_task(self._world.perform(effect))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._arm()

    def _inbox_put(self, event: Event) -> None:
        self._inbox.append(event)

    def _publish(self) -> None:
        workflow.set_current_details(card(self._state))
        current = contract.SearchAttributes.of(self._state)
        if current != self._published:
            workflow.upsert_search_attributes(current.changes_from(self._published))
            self._published = current

    def _arm(self) -> None:
        """Keep one timer, and move it only forward in time: a later need is found when it rings."""
        due = next_due(self._state)
        if due is None or (self._armed_for is not None and self._armed_for <= due.at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = due.at
        self._alarm = asyncio.create_task(self._ring_at(due.at, due.what))

    async def _ring_at(self, moment: datetime, what: str) -> None:
        await workflow.sleep(max(moment - workflow.now(), timedelta(milliseconds=1)), summary=what)
        self._alarm = None
        self._armed_for = None
        self._rang = True

    def _should_continue(self) -> bool:
        if self._state.active is not None:
            # A touch in flight is reported to this run; its result does not survive a new one.
            return False
        info = workflow.info()
        return (
            info.get_current_history_length() >= self._continue_after or info.is_continue_as_new_suggested()
        )

    async def _hand_on(self) -> None:
        """Continue as new, with every message that has arrived already part of the state.

        Effects of these last turns are not started here: `resume` asks for them again in the new run.
        """
        self._draining = True
        while self._inbox or not workflow.all_handlers_finished():
            events, self._inbox = self._inbox, []
            self._state = advance(self._state, events, workflow.now()).state
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())
        workflow.continue_as_new(
            contract.AccountInput(
                account_id=self._state.account_id,
                state=self._state,
                continue_after_events=self._continue_after,
            )
        )

    # Helpers of the handlers ---------------------------------------------------------------------------

    def _receive(self, what: str, read: Callable[[], Event]) -> None:
        try:
            self._inbox.append(read())
        except UnreadableMessageError as error:
            self._inbox.append(Refused(what=what, why=str(error)))

    def _read(self, what: str, model: type[_Model], arguments: tuple[object, ...]) -> _Model:
        try:
            return read_model(model, arguments)
        except UnreadableMessageError as error:
            self._inbox.append(Refused(what=what, why=str(error)))
            message = f"malformed {what}: {error}"
            raise ApplicationError(message, type="MalformedMessage", non_retryable=True) from None

    def _runs(self, run_id: str) -> bool:
        return run_id in self._state.runs

    def _demand(self, kind: str, condition: bool, otherwise: str) -> None:  # noqa: FBT001 - it is what is demanded
        """Refuse an update whose subject is not there; the refusal is recorded."""
        if not condition:
            self._inbox.append(Refused(what="update", why=otherwise))
            raise ApplicationError(otherwise, type=kind, non_retryable=True)

    def _ruled_on(self, proposal_id: str) -> bool:
        view = view_proposal(self._state, proposal_id)
        return view is None or view.settled

    async def _processed(self, event: Event) -> None:
        """Put an event into the inbox and wait for its turn, whatever the account makes of it."""
        self._inbox.append(event)
        await workflow.wait_condition(lambda: all(waiting is not event for waiting in self._inbox))
