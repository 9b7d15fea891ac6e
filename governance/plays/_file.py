"""A play: a sequence of touches, waits and branches on one account, one file each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from domain import (
    Amount,
    Displacement,
    Identifier,
    OutcomeKind,
    Role,
    Share,
    SignalKind,
)
from governance._fields import ConditionText, Duration, NotEmpty, PolicyModel, Sentence, TimeOfDay, Window
from governance.content._file import Name

END = "end"
"""What `go` and `then` name to end the play."""
MOST_TOUCHES_AT_ONCE = 5
MOST_CHANNELS = 3
"""Next channels of a touch: with those at once, what a run remembers of a step must cover all of them."""
MOST_STEPS = 60
MOST_BUSINESS_DAYS = 60


def _sort(value: object) -> str:
    """Tell what was written, so that a mistake in it is told in the words of that sort alone."""
    if isinstance(value, (dict, BaseModel)):
        return "group"
    return "list" if isinstance(value, (list, tuple)) else "word"


def _sort_of_audience(value: object) -> str:
    return "group" if _sort(value) == "group" else "list"


def _sort_of_reentry(value: object) -> str:
    return "group" if _sort(value) == "group" else "word"


def _sort_of_outcome(value: object) -> str:
    return "list" if _sort(value) == "list" else "word"


Signals = Annotated[tuple[SignalKind, ...], NotEmpty]
Outcomes = Annotated[tuple[OutcomeKind, ...], NotEmpty]
Names = Annotated[tuple[Identifier, ...], NotEmpty]


class Who(StrEnum):
    """From whom a signal counts."""

    ANYONE = "anyone"
    AUDIENCE = "audience"


class Since(StrEnum):
    """From which moment of the last run on the rest is counted."""

    START = "start"
    END = "end"


class Path(StrEnum):
    """What a touch that does not happen leads to."""

    SKIP = "skip"
    STOP = "stop"
    NEXT_CHANNEL = "next_channel"


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


class GoalEntry(PolicyModel):
    """What the play is for: it is over as soon as one of these signals arrives."""

    on: Signals
    """Kinds of signals, any of which reaches the goal."""
    message: Sentence


class StartEntry(PolicyModel):
    """What starts the play."""

    on: Signals
    """Kinds of signals that may start it. A person may start it at any time."""
    when: ConditionText | None = None


class ReentryEntry(PolicyModel):
    """When the play may run again on the same account."""

    after: Duration
    """How long to rest between two runs."""
    since: Since = Field(default=Since.END, alias="from")
    """Whether that is counted from the start or from the end of the last run."""
    at_most: int | None = Field(default=None, ge=1, le=1_000)
    """How many runs there may be in all. Left out: any number."""


class ExitEntry(PolicyModel):
    """A reason to end the play at once, whatever it is waiting for."""

    id: Name
    on: Signals | None = None
    """Kinds of signals that end it; instead of `when`."""
    who: Who = Who.ANYONE
    """With `on`: anyone, or only people whom this run has addressed."""
    when: ConditionText | None = None
    message: Sentence


class DisplacedEntry(PolicyModel):
    """Before whom the play stands back."""

    id: Name
    intents: Names | None = None
    """Proposals with one of these intents, once they win."""
    actions: Names | None = None
    """Proposals with one of these actions, once they win."""
    actors: Names | None = None
    """Proposals of one of these actors, once they win."""
    plays: Names | None = None
    """Plays that may enter while this one runs."""
    then: Displacement
    """suspend (it goes on later) or cancel (it is over)."""
    resume_after: Duration | None = None
    """With suspend: it goes on that long after the other has ended. Left out: when a person says so."""
    message: Sentence


class SameAs(PolicyModel):
    """The person whom an earlier step has addressed."""

    same_as: Name
    """Id of that step."""


Audience = Annotated[
    Annotated[Annotated[tuple[Role, ...], NotEmpty], Tag("list")] | Annotated[SameAs, Tag("group")],
    Discriminator(_sort_of_audience),
]
"""Roles, or the person of another step."""


class TouchEntry(PolicyModel):
    """A touch that the play proposes; the policies of that moment rule on it like on any other."""

    channel: Identifier
    action: Identifier
    """What is done, by the name that grants and rules know."""
    to: Audience | None = None
    """Roles in the buying group, the first that somebody has; or the person of an earlier step, as in
    {same_as: first-mail}. Left out: the account as a whole."""
    content: Name | None = None
    """What it says: the name of a file in content/."""
    value: Amount
    """Expected value if it works, in the tenant's currency."""
    propensity: Share
    """Probability that it works, from 0 to 1."""
    confidence: Share = 0.0
    intent: Identifier | None = None
    """What it is after. Left out: what arbitration.yaml says of the action."""
    cost: Amount = 0.0
    """What it costs, in the tenant's currency."""
    reach: int = Field(default=1, ge=1, le=1_000_000_000)
    """How many people it reaches at most."""
    expires_in: Window | None = None
    """How long it may wait for its turn. Left out: 14d."""


class NextEntry(PolicyModel):
    """Another channel for a touch that did not happen; what is left out is as in the touch."""

    channel: Identifier
    action: Identifier | None = None
    """What is done there."""
    to: Audience | None = None
    """Roles, or the person of an earlier step."""
    content: Name | None = None
    """What it says: the name of a file in content/."""
    value: Amount | None = None
    """Expected value if it works."""
    propensity: Share | None = None
    """Probability that it works."""
    confidence: Share | None = None
    intent: Identifier | None = None
    """What it is after."""
    cost: Amount | None = None
    """What it costs, in the tenant's currency."""
    reach: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """How many people it reaches at most."""
    expires_in: Window | None = None
    """How long it may wait for its turn."""


class UntilEntry(PolicyModel):
    """A weekday and an hour, in the time zone of the person last addressed."""

    weekday: Weekday
    at: TimeOfDay
    """A local time of day."""


class WaitEntry(PolicyModel):
    """A wait: for a length of time, some business days, until an hour of the week, or for a signal."""

    length: Duration | None = Field(default=None, alias="for")
    """A length of time."""
    business_days: int | None = Field(default=None, ge=1, le=MOST_BUSINESS_DAYS)
    """Days on which the person's country works; it ends at the same local time."""
    until: UntilEntry | None = None
    """The next such moment where the person is."""
    signal: Signals | None = None
    """Kinds of signals, any of which ends the wait; one since the last touch of this run counts as well."""
    at_most: Duration | None = None
    """With `signal`: how long to wait for it."""


class CaseEntry(PolicyModel):
    """One way out of a branch; the first that holds is taken, and the last has no condition."""

    outcome: (
        Annotated[
            Annotated[Outcomes, Tag("list")] | Annotated[OutcomeKind, Tag("word")],
            Discriminator(_sort_of_outcome),
        ]
        | None
    ) = None
    """What came back on a touch; no_response: nothing but that it was opened."""
    of: Name | None = None
    """With `outcome`: the step whose touch is meant."""
    when: ConditionText | None = None
    go: Name
    """Id of the step that comes next, or `end`."""


class InnerStepEntry(PolicyModel):
    """One of several touches at the same time."""

    id: Name
    touch: TouchEntry
    if_suppressed: Path = Path.SKIP
    """What a touch leads to that does not happen: skip, stop or next_channel."""
    next_channels: Annotated[tuple[NextEntry, ...], Field(max_length=MOST_CHANNELS)] = ()
    """With next_channel: what is tried instead, in this order."""


class StepEntry(PolicyModel):
    """One step; exactly one of touch, wait, branch and parallel."""

    id: Name
    touch: TouchEntry | None = None
    """A touch that is proposed; the step is over when that has gone out or cannot."""
    if_suppressed: Path = Path.SKIP
    """What a touch leads to that does not happen (suppressed, denied, failed, nobody there, content that
    cannot be filled in): skip, stop or next_channel."""
    next_channels: Annotated[tuple[NextEntry, ...], Field(max_length=MOST_CHANNELS)] = ()
    """With next_channel: what is tried instead, in this order."""
    wait: WaitEntry | None = None
    """Nothing happens for a while."""
    branch: Annotated[tuple[CaseEntry, ...], NotEmpty] | None = None
    """Where to go on."""
    parallel: Annotated[tuple[InnerStepEntry, ...], Field(max_length=MOST_TOUCHES_AT_ONCE)] | None = None
    """Touches at the same time, each to another person."""
    then: Name | None = None
    """Id of the step that comes next, or `end`. Left out: the one below, and after the last one the end."""


class PlayFile(PolicyModel):
    """The file as people write it."""

    id: Name
    """Name of the play, the same as the file's."""
    name: Sentence
    """What people call it."""
    actor: Identifier
    """Who proposes its touches, as in people.yaml; needs grants in authority.yaml."""
    priority: int = Field(ge=0, le=100)
    """Of plays that would enter at the same moment the highest goes first."""
    lasts_at_most: Window
    """It ends then at the latest, whatever it is waiting for."""
    goal: GoalEntry | None = None
    """What the play is for. Left out: it runs to its end."""
    entry: StartEntry
    reentry: Annotated[
        Annotated[Literal["never"], Tag("word")] | Annotated[ReentryEntry, Tag("group")],
        Discriminator(_sort_of_reentry),
    ]
    """Whether and when it may run again on the same account."""
    exit: tuple[ExitEntry, ...] = ()
    displaced_by: tuple[DisplacedEntry, ...] = ()
    recall: tuple[Name, ...] = ()
    """Steps whose touches are taken back when the run ends before its goal and its last step."""
    steps: Annotated[tuple[StepEntry, ...], NotEmpty, Field(max_length=MOST_STEPS)]
