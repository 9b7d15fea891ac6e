"""The account workflow: a thin, durable shell around the pure account state machine.

Most of its messages are here; those about what people are asked are in `_questions`, the loop that does all
the work is in `_shell`.
"""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain import (
        AccountStatus,
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
        StopsChanged,
        TouchSettled,
        timeline,
        view_proposal,
        view_status,
    )
    from workflows import _contract as contract
    from workflows._decoding import read_model, read_observations
    from workflows._questions import Questions


class PlayStart(Frozen):
    """Who starts which play."""

    play_id: Identifier
    started_by: ShortText


class HoldRelease(Frozen):
    """Who ends which hold."""

    hold_id: Identifier
    released_by: ShortText


def _number_of(run: PlayRun) -> int:
    return int(run.run_id.rpartition(".")[2])


@workflow.defn(name=contract.WORKFLOW_TYPE)
class AccountWorkflow(Questions):
    """One target account, for years: its single writer."""

    @workflow.init
    def __init__(self, start: contract.AccountInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, _start: contract.AccountInput) -> None:
        """Live: turn after turn, until the history is long enough to continue as new."""
        await self._live()

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
        return await self._first_ruling(proposal)

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

    def _runs(self, run_id: str) -> bool:
        return run_id in self._state.runs
