"""Scenarios: a script of what happens to one account, written by people, played by any shell.

The simulator plays a scenario against a virtual clock, the demo against the running stack, and a test
plays the same one through both and demands the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from domain import (
    Account,
    Amount,
    Answer,
    AnswerCode,
    Approval,
    ApprovalAnswer,
    Changes,
    Contact,
    Content,
    Duration,
    ExceptionKind,
    Frozen,
    Hold,
    Identifier,
    LongText,
    Moment,
    Observation,
    OutcomeKind,
    Proposal,
    Reading,
    ReceiptStatus,
    Settlement,
    Share,
    ShortText,
    Signal,
    SignalKind,
    Stage,
    WindowAsk,
)
from governance import load_document


class SeenReading(Frozen):
    """A reading; it is as old as the step that carries it."""

    system: Identifier
    stage: Stage
    urgency: Share
    confidence: Share
    note: ShortText | None = None

    def at(self, moment: datetime) -> Reading:
        """Return the reading as observed at a moment."""
        return Reading(observed_at=moment, **self.model_dump())


class SeenSignal(Frozen):
    """A signal; it is as old as the step that carries it."""

    signal_id: Identifier
    source: Identifier
    kind: SignalKind
    contact_id: Identifier | None = None
    summary: ShortText | None = None
    facts: dict[str, str] = {}
    reading: SeenReading | None = None

    def at(self, moment: datetime) -> Signal:
        """Return the signal as observed at a moment."""
        return Signal(
            observed_at=moment,
            reading=self.reading.at(moment) if self.reading else None,
            **self.model_dump(exclude={"reading"}),
        )


class WantedTouch(Frozen):
    """A proposal; its times count from the step that carries it."""

    proposal_id: Identifier
    actor: Identifier
    action: Identifier
    channel: Identifier
    contact_id: Identifier | None = None
    value: Amount
    propensity: Share
    confidence: Share = 0.0
    evidence: tuple[ShortText, ...] = ()
    earliest_in: Duration | None = None
    expires_in: Duration | None = None
    content: Content = Content()
    reading: SeenReading | None = None

    def at(self, moment: datetime) -> Proposal:
        """Return the proposal as made at a moment."""
        return Proposal(
            earliest=moment + self.earliest_in if self.earliest_in else None,
            expires_at=moment + self.expires_in if self.expires_in else None,
            reading=self.reading.at(moment) if self.reading else None,
            content=self.content,
            **self.model_dump(exclude={"earliest_in", "expires_in", "reading", "content"}),
        )


class GivenAnswer(Frozen):
    """A person's answer to whatever a proposal is waiting for, or to a question about the account itself."""

    proposal: Identifier | None = None
    kind: ExceptionKind | None = None
    """What sort of question it is; of several about one proposal, or of one about none."""
    answer: Answer
    approver: ShortText
    code: AnswerCode | None = None
    comment: LongText | None = None
    changes: Changes | None = None
    """With `modify`: what is to be different."""
    stage: Stage | None = None
    """With `settle` of readings that disagree: what the account's stage is."""
    settlement: Settlement | None = None
    """With `settle` of a touch in doubt: what became of it."""
    window: WindowAsk | None = None
    """With `approve`: the same may go out again for a time."""

    @model_validator(mode="after")
    def _about_one_question(self) -> Self:
        if self.proposal is None and self.kind is None:
            msg = "an answer names a proposal, or the kind of a question about the account"
            raise ValueError(msg)
        return self

    @property
    def about(self) -> str:
        """What people call the question."""
        return self.proposal or f"the account's {self.kind}"

    def meets(self, approval: Approval) -> bool:
        """Return whether a question is the one that it answers."""
        return approval.proposal_id == self.proposal and self.kind in {None, approval.kind}

    def to(self, approval: Approval) -> ApprovalAnswer:
        """Return the answer to a question, as its approver sends it."""
        return ApprovalAnswer(
            answer_id=f"{self.proposal or self.kind}-{self.approver}",
            approval_id=approval.approval_id,
            digest=approval.digest,
            **self.model_dump(exclude={"proposal", "kind"}),
        )


class CameBack(Frozen):
    """An outcome of the touch that a proposal led to, or the latest one that a step of a play led to."""

    proposal: Identifier | None = None
    step: Identifier | None = None
    kind: OutcomeKind

    @model_validator(mode="after")
    def _about_one_touch(self) -> Self:
        if (self.proposal is None) == (self.step is None):
            msg = "an outcome names either a proposal or a step of a play"
            raise ValueError(msg)
        return self

    @property
    def about(self) -> str:
        """What people call the touch."""
        return self.proposal or f"step {self.step}"


class WantedPlay(Frozen):
    """A play that a person starts."""

    play: Identifier
    by: ShortText


class WantedHold(Frozen):
    """A freeze; its end counts from the step that carries it."""

    hold_id: Identifier
    placed_by: ShortText
    reason: ShortText
    expires_in: Duration | None = None

    def at(self, moment: datetime) -> Hold:
        """Return the hold as placed at a moment."""
        return Hold(
            hold_id=self.hold_id,
            placed_by=self.placed_by,
            reason=self.reason,
            placed_at=moment,
            expires_at=moment + self.expires_in if self.expires_in else None,
        )


class EndedHold(Frozen):
    """The end of a freeze."""

    hold_id: Identifier
    released_by: ShortText


class ScenarioStep(Frozen):
    """One thing that happens, at a time counted from the scenario's start."""

    at: Duration
    observe: SeenSignal | None = None
    propose: WantedTouch | None = None
    answer: GivenAnswer | None = None
    outcome: CameBack | None = None
    hold: WantedHold | None = None
    release: EndedHold | None = None
    start_play: WantedPlay | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        said = [name for name in type(self).model_fields if name != "at" and getattr(self, name) is not None]
        if len(said) != 1:
            msg = f"a step does exactly one thing besides `at`; found {', '.join(said) or 'nothing'}"
            raise ValueError(msg)
        return self

    @property
    def about(self) -> str | None:
        """The proposal of an earlier step that this one is about, if any."""
        later = self.answer or self.outcome
        return later.proposal if later else None


class Scenario(Frozen):
    """One account and what happens to it."""

    name: ShortText
    about: LongText = ""
    start: Moment
    """Virtual time of the first step; the live demo starts now instead."""
    account: Account
    contacts: tuple[Contact, ...] = ()
    steps: Annotated[tuple[ScenarioStep, ...], Field(min_length=1)]
    play_for: Duration
    """How long after the start the scenario is watched."""
    receipts: dict[Identifier, tuple[ReceiptStatus, ...]] = {}
    """What the channel says to each attempt of a proposal, in order; `accepted` where nothing is said."""

    @field_validator("steps")
    @classmethod
    def _tell_one_story(cls, steps: tuple[ScenarioStep, ...]) -> tuple[ScenarioStep, ...]:
        for earlier, later in pairwise(steps):
            if later.at < earlier.at:
                msg = f"steps must be in order of time: {later.at} comes after {earlier.at}"
                raise ValueError(msg)
        proposed: set[str] = set()
        for step in steps:
            if step.propose is not None:
                proposed.add(step.propose.proposal_id)
            elif (about := step.about) is not None and about not in proposed:
                msg = f"the step at {step.at} is about {about}, which no step before it proposes"
                raise ValueError(msg)
        return steps

    @property
    def profile(self) -> tuple[Observation, ...]:
        """The account and its contacts, as a source would report them."""
        return (self.account, *self.contacts)

    def moments(self, start: datetime) -> Iterator[tuple[datetime, ScenarioStep]]:
        """Yield every step with its moment, counted from `start`."""
        for step in self.steps:
            yield start + step.at, step

    @property
    def length(self) -> timedelta:
        """How long the scenario is watched, at least to its last step."""
        return max(self.play_for, self.steps[-1].at)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        PolicyFileError: the file does not fit; every problem with line and column.
        OSError: the file cannot be read.
    """
    return load_document(path.as_posix(), path.read_bytes()).validate(Scenario)
