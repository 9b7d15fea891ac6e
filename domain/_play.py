"""Plays: what an account remembers of a sequence that runs over days, and how it asks what comes next.

What a play says (its steps, waits, branches and conditions) is a policy. The account keeps where a run stands
and asks the planner, which reads the pinned version of the play, for the next move. What must act at once,
whatever the planner does, is copied into the run: exits on signals, and who may displace it.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from domain._account import Account, Circumstances, Contact, Reading
from domain._base import Frozen, Identifier, Moment, ShortText
from domain._proposal import Proposal
from domain._ruling import SettledStage
from domain._touch import TouchRecord
from domain._vocabulary import Displacement, PlayStatus, ProposalStatus, ReasonCode, SignalKind

STEPS_REMEMBERED: Final = 40
"""Ended touch steps that a run remembers, the latest."""
MOVES_LIMIT: Final = 200
"""Steps a run may enter in all: a play that goes round and round ends here, whatever it says."""

Version = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 over a play and the contents it uses."""


class PlayExit(Frozen):
    """An exit criterion that signals meet: acts at once, in the middle of any wait."""

    exit_id: Identifier
    on: tuple[SignalKind, ...]
    message: ShortText
    goal: bool = False
    """Whether the play has reached what it was for."""
    audience_only: bool = False
    """Whether it counts only from a person whom this run has addressed."""


class PlayPreemption(Frozen):
    """Who may displace a run: a proposal that wins the arbitration, or another play that enters."""

    rule_id: Identifier
    intents: tuple[Identifier, ...] = ()
    actions: tuple[Identifier, ...] = ()
    """With the actions that arbitration.yaml knows to have one of the intents."""
    actors: tuple[Identifier, ...] = ()
    plays: tuple[Identifier, ...] = ()
    then: Displacement
    resume_after_seconds: Annotated[float, Field(ge=0.0)] | None = None
    """With `suspend`: how long after the other has ended the run goes on; None: when a person says so."""
    message: ShortText


class PlayStep(Frozen):
    """What became of one touch of a run."""

    step: Identifier
    proposal_id: Identifier
    channel: Identifier
    contact_id: Identifier | None
    status: ProposalStatus
    reason: ReasonCode
    at: Moment


class PlayRun(Frozen):
    """One run of a play on one account."""

    run_id: Identifier
    """`<play>.<number>`, unique on the account."""
    play_id: Identifier
    name: ShortText
    version: Version
    policy_digest: ShortText
    """The policy set that this version of the play is read from."""
    status: PlayStatus
    started_at: Moment
    started_by: ShortText
    """`<source> <signal id>`, or the login of the person who started it."""
    ends_by: Moment
    """It ends then at the latest."""
    step: Identifier | None = None
    """Where it is."""
    entered_at: Moment
    """When it came there."""
    moves: Annotated[int, Field(ge=0)] = 0
    """Steps entered so far."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Proposals made so far; part of their ids."""
    pending: tuple[Identifier, ...] = ()
    """Its proposals that have not reached their end."""
    due_at: Moment | None = None
    """When the planner is asked next, whatever happens; None while it waits for its proposals alone."""
    wakes_on: tuple[SignalKind, ...] = ()
    """Signals upon which the planner is asked at once."""
    reviews: bool = False
    """Whether it has exit conditions, looked at whenever a report changes the account's world."""
    exits: tuple[PlayExit, ...] = ()
    preemptions: tuple[PlayPreemption, ...] = ()
    recalls: tuple[Identifier, ...] = ()
    """Steps whose touches are taken back when the run ends before its goal and its last step."""
    steps: Annotated[tuple[PlayStep, ...], Field(max_length=STEPS_REMEMBERED)] = ()
    suspended_by: Identifier | None = None
    """The proposal or the run that displaced it, or the login of a person."""
    suspended_at: Moment | None = None
    resume_after_seconds: float | None = None
    resume_at: Moment | None = None
    """When a suspended run goes on; None while that depends on what displaced it, or on a person."""
    ended_at: Moment | None = None
    end_id: Identifier | None = None
    """The exit criterion that ended it; or goal, end, too_long, stop, cancelled, displaced or broken."""
    end_message: ShortText | None = None

    def step_of(self, proposal_id: str) -> str:
        """Return the step that a proposal of this run is for: ids are `<run>.<step>.<attempt>`."""
        return proposal_id.removeprefix(f"{self.run_id}.").rpartition(".")[0]


class PlayPast(Frozen):
    """What re-entry rules ask about earlier runs of a play."""

    play_id: Identifier
    runs: Annotated[int, Field(ge=1)]
    last_started_at: Moment
    last_ended_at: Moment | None = None
    """None while the latest is running."""


class PlayAsk(Frozen):
    """A play that wants to enter."""

    play_id: Identifier
    asked_by: ShortText
    """`<source> <signal id>`, or a login."""
    asked_at: Moment
    by_person: bool = False
    """A person may start a play whose entry condition does not hold; re-entry rules count all the same."""


class PlayMove(Frozen):
    """Another version that a run shall go on with."""

    policy_digest: ShortText
    steps: Annotated[dict[Identifier, Identifier], Field(max_length=100)] = {}
    """Old step to new step, where they are called differently."""

    def renamed(self, touch: TouchRecord, run_id: str) -> TouchRecord:
        """Return a touch; one that the run has made bears the name that its step has now."""
        ref = touch.play
        if ref is None or ref.run_id != run_id or ref.step not in self.steps:
            return touch
        return touch.model_copy(update={"play": ref.model_copy(update={"step": self.steps[ref.step]})})


class PlanRequest(Frozen):
    """Everything the planner needs to say what a play does next on one account, as plain facts."""

    account_id: Identifier
    account: Account | None
    contacts: dict[str, Contact]
    """People with a role in the buying group and people the run has addressed, at most 200."""
    readings: tuple[Reading, ...]
    touches: tuple[TouchRecord, ...]
    """Touches that count, oldest first."""
    circumstances: Circumstances = Circumstances()
    settled: SettledStage | None = None
    """What a person said the account's stage is, if somebody has."""
    run: PlayRun | None = None
    """The run that shall make its next move: active, or suspended and to be taken up again."""
    move_to: PlayMove | None = None
    """With `run`: it shall go on with another version first."""
    asks: tuple[PlayAsk, ...] = ()
    """Plays that want to enter, in the order in which they asked; with `run`, some may displace it."""
    past: tuple[PlayPast, ...] = ()
    next_number: Annotated[int, Field(ge=1)] = 1
    """Number of the next run on this account."""
    revision: int
    now: Moment


class PlayRefusal(Frozen):
    """A play that did not enter, or a run that did not move to another version, and why."""

    play_id: Identifier
    message: ShortText


class Plan(Frozen):
    """The planner's answer.

    `run` is the request's run after its move: further on, waiting, or ended. `entered` is a new run that has
    made its first move; if the request's run was active, the answer says what became of that in `run`.
    """

    revision: int
    policy_digest: ShortText
    """The policy set in force."""
    run: PlayRun | None = None
    entered: PlayRun | None = None
    proposals: Annotated[tuple[Proposal, ...], Field(max_length=50)] = ()
    """What the run that is active now proposes; each names its step in `play`."""
    refused: tuple[PlayRefusal, ...] = ()
