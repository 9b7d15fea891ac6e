"""A compiled play: what the planner walks through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from domain import Displacement, OutcomeKind, PlayExit, Role, SignalKind
from governance.cel._conditions import Condition
from governance.content._templates import Content
from governance.plays._file import Since


@dataclass(frozen=True, slots=True)
class Option:
    """One way to make a touch.

    Attributes:
        channel: Over which channel.
        action: With which action.
        roles: Roles of the person, the first that somebody has; empty without one.
        same_as: The step whose person is meant; None: by role, or the account as a whole.
        content: What it says; None: nothing.
        value: Expected value.
        propensity: Probability that it works.
        confidence: How sure the play is of that.
        intent: What it is after.
        cost: What it costs.
        reach: How many people it reaches.
        expires_in: How long it may wait for its turn.
    """

    channel: str
    action: str
    roles: tuple[Role, ...]
    same_as: str | None
    content: Content | None
    value: float
    propensity: float
    confidence: float
    intent: str | None
    cost: float
    reach: int
    expires_in: timedelta

    @property
    def personal(self) -> bool:
        """Whether it addresses a person."""
        return bool(self.roles) or self.same_as is not None


@dataclass(frozen=True, slots=True)
class Touch:
    """A touch with what is tried instead.

    Attributes:
        step: Its id.
        options: Ways to make it, in order.
        stops: Whether the run ends when none of them went out.
    """

    step: str
    options: tuple[Option, ...]
    stops: bool


@dataclass(frozen=True, slots=True)
class TouchStep:
    """One touch, or several at the same time.

    Attributes:
        touches: They are made together, each to another person.
        then: The step after it.
        parallel: Whether the file says so; a step of one sort never takes the place of the other.
    """

    touches: tuple[Touch, ...]
    then: str
    parallel: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait; exactly one of the first four is given.

    Attributes:
        length: A length of time.
        business_days: Days on which the person's country works.
        weekday: Until this day of the week, Monday is 0, at the minute `minute`.
        signals: Until a signal of these kinds, but at most `at_most`.
        minute: Minutes after midnight.
        at_most: The longest that a signal is waited for.
        then: The step after it.
    """

    then: str
    length: timedelta | None = None
    business_days: int | None = None
    weekday: int | None = None
    signals: tuple[SignalKind, ...] = ()
    minute: int = 0
    at_most: timedelta = timedelta(0)

    @property
    def surely_waits(self) -> bool:
        """Whether time passes in it; a signal may be there already."""
        return not self.signals


@dataclass(frozen=True, slots=True)
class Way:
    """One way out of a branch.

    Attributes:
        go: Where it leads.
        when: Its condition, if it has one.
        outcomes: What must have come back, if anything.
        of: On the touch of which step.
    """

    go: str
    when: Condition | None = None
    outcomes: tuple[OutcomeKind, ...] = ()
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """Where to go on: the first way that holds."""

    ways: tuple[Way, ...]


Step = TouchStep | Wait | Branch


@dataclass(frozen=True, slots=True)
class Criterion:
    """An exit criterion that a condition meets."""

    exit_id: str
    when: Condition
    message: str


@dataclass(frozen=True, slots=True)
class Displacing:
    """Before whom the play stands back.

    Attributes:
        rule_id: Its id.
        intents: Intents of proposals.
        actions: Actions of proposals, without those that have one of the intents.
        actors: Actors of proposals.
        plays: Plays that may enter.
        then: What becomes of the run.
        resume_after: When it goes on; None: when a person says so.
        message: What people read.
    """

    rule_id: str
    intents: tuple[str, ...]
    actions: tuple[str, ...]
    actors: tuple[str, ...]
    plays: tuple[str, ...]
    then: Displacement
    resume_after: timedelta | None
    message: str


@dataclass(frozen=True, slots=True)
class Reentry:
    """When a play may run again.

    Attributes:
        after: The rest between two runs.
        since: From when on it is counted.
        at_most: Runs in all; None: any number.
    """

    after: timedelta
    since: Since
    at_most: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """A compiled play.

    Attributes:
        play_id: Its name.
        name: What people call it.
        version: SHA-256 over what the file and its contents say.
        actor: Who proposes.
        priority: The higher goes first.
        lasts_at_most: How long a run lasts at most.
        starts_on: Kinds of signals that may start it.
        when: What must hold then; None: nothing.
        reentry: When it may run again; None: never.
        exits: Exit criteria that signals meet, the goal among them.
        criteria: Exit criteria that conditions meet.
        displaced_by: Before whom it stands back.
        recalls: Steps whose touches are taken back when a run ends before its goal and its last step.
        first: Where it begins.
        steps: The steps by id.
    """

    play_id: str
    name: str
    version: str
    actor: str
    priority: int
    lasts_at_most: timedelta
    starts_on: frozenset[SignalKind]
    when: Condition | None
    reentry: Reentry | None
    exits: tuple[PlayExit, ...]
    criteria: tuple[Criterion, ...]
    displaced_by: tuple[Displacing, ...]
    recalls: tuple[str, ...]
    first: str
    steps: Mapping[str, Step]

    def touches(self) -> Iterator[Touch]:
        """Yield every touch, also those that are made together."""
        for step in self.steps.values():
            if isinstance(step, TouchStep):
                yield from step.touches

    def leads_to(self, step_id: str) -> tuple[str, ...]:
        """Return the steps that may come after one, `end` among them where it may be over."""
        return after(self.steps[step_id])


def after(step: Step) -> tuple[str, ...]:
    """Return the steps that a step may lead to."""
    match step:
        case Branch(ways):
            return tuple(dict.fromkeys(way.go for way in ways))
        case TouchStep() | Wait():
            return (step.then,)
