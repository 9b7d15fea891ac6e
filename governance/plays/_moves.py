"""The moves of a run: from step to step until something has to wait, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain import (
    MOVES_LIMIT,
    STEPS_REMEMBERED,
    Contact,
    PlayRef,
    PlayRun,
    PlayStatus,
    PlayStep,
    Proposal,
    ProposalStatus,
    ReasonCode,
)
from domain import Content as Filled
from governance._case import one_line
from governance.content import ContentError, Speaking
from governance.plays._audience import choose
from governance.plays._file import END
from governance.plays._play import Branch, Option, Play, Touch, TouchStep, Wait, Way
from governance.plays._waits import end_of
from governance.plays._world import WENT_OUT, UnreadableError, World

TOO_LONG: Final = "too_long"
STOP: Final = "stop"
BROKEN: Final = "broken"


@dataclass(slots=True)
class Walk:
    """A run on its way.

    Attributes:
        world: The account.
        play: The version that the run goes by.
        run: Where it stands.
        proposals: What it proposes on this way.
    """

    world: World
    play: Play
    run: PlayRun
    proposals: list[Proposal] = field(default_factory=list)

    def change(self, **changes: object) -> None:
        """Take the run a little further."""
        self.run = self.run.model_copy(update=changes)

    def end(self, status: PlayStatus, end_id: str, message: str) -> None:
        """End the run; what it was about to propose is not proposed."""
        self.run = ended(self.run, status, end_id, message, self.world.now)
        self.proposals.clear()


def ended(run: PlayRun, status: PlayStatus, end_id: str, message: str, now: datetime) -> PlayRun:
    """Return a run that is over: it waits for nothing any more."""
    return run.model_copy(
        update={
            "status": status,
            "pending": (),
            "due_at": None,
            "wakes_on": (),
            "resume_at": None,
            "ended_at": now,
            "end_id": end_id,
            "end_message": one_line(message),
        }
    )


def walk_on(walk: Walk) -> None:
    """Take a run as far as it gets: to a touch that is proposed, to a wait, or to its end."""
    try:
        while _goes_on(walk):
            following = _do(walk)
            if following is None or walk.run.status.final:
                return
            _enter(walk, following)
    except UnreadableError as error:
        walk.end(PlayStatus.EXITED, BROKEN, f"A condition gives no answer: {error}")


def _goes_on(walk: Walk) -> bool:
    """Tell whether a run has not ended: by its time, by the number of its moves, or by an exit criterion."""
    run, world = walk.run, walk.world
    if run.status.final:
        return False
    if world.now >= run.ends_by:
        walk.end(PlayStatus.EXITED, TOO_LONG, "The play has taken as long as it may.")
        return False
    for criterion in walk.play.criteria:
        if world.holds(criterion.when, run):
            walk.end(PlayStatus.EXITED, criterion.exit_id, criterion.message)
            return False
    return True


def _enter(walk: Walk, step: str) -> None:
    if step == END:
        walk.end(PlayStatus.COMPLETED, END, "The play has come to its end.")
    elif walk.run.moves >= MOVES_LIMIT:
        walk.end(PlayStatus.EXITED, TOO_LONG, f"The play has taken {MOVES_LIMIT} steps, and ends here.")
    else:
        walk.change(step=step, entered_at=walk.world.now, moves=walk.run.moves + 1, due_at=None, wakes_on=())


def _do(walk: Walk) -> str | None:
    """Do the step at which a run stands; return the next one, or None if something has to be waited for."""
    step = walk.play.steps.get(walk.run.step or "")
    match step:
        case TouchStep():
            return _touch(walk, step)
        case Wait():
            return _wait(walk, step)
        case Branch():
            return _branch(walk, step)
        case _:
            walk.end(PlayStatus.EXITED, BROKEN, f"The play has no step {walk.run.step}.")
            return None


def _branch(walk: Walk, step: Branch) -> str:
    return next((way.go for way in step.ways if _open(walk, way)), END)


def _open(walk: Walk, way: Way) -> bool:
    if way.when is not None:
        return walk.world.holds(way.when, walk.run)
    return not way.outcomes or walk.world.came_back(way, walk.run)


def _wait(walk: Walk, step: Wait) -> str | None:
    world, run = walk.world, walk.run
    due = run.due_at
    if due is None:
        contact = world.last_addressed(run)
        due = end_of(step, run.entered_at, world.policies.timing, world.account, contact)
    if world.now >= due or (step.signals and world.woken(step.signals, run)):
        return step.then
    walk.change(due_at=min(due, run.ends_by), wakes_on=step.signals)
    return None


def _touch(walk: Walk, step: TouchStep) -> str | None:
    """Propose what has not been tried yet, each touch on its own path; go on when all are through."""
    if walk.run.pending:
        return None
    taken: list[str] = []
    stopped = False
    for touch in step.touches:
        tried = _tried(walk.run, touch)
        if tried and tried[-1].contact_id is not None and tried[-1].status in WENT_OUT:
            taken.append(tried[-1].contact_id)
    for touch in step.touches:
        stopped |= not _proposed(walk, touch, taken) and touch.stops and not _out(walk.run, touch)
    if walk.proposals:
        walk.change(pending=tuple(proposal.proposal_id for proposal in walk.proposals))
        return None
    if stopped:
        walk.end(PlayStatus.EXITED, STOP, f"A touch of the step {walk.run.step} could not be made.")
    return step.then


def tried_here(run: PlayRun) -> list[PlayStep]:
    """Return what became of touches since a run came to its step; one of the step before can be among them.

    What a suspension took back was not tried.
    """
    return [
        each
        for each in run.steps
        if each.at >= run.entered_at and each.reason is not ReasonCode.PLAY_SUSPENDED
    ]


def _tried(run: PlayRun, touch: Touch) -> list[PlayStep]:
    """Return what became of a touch since the run came to its step."""
    return [each for each in tried_here(run) if each.step == touch.step]


def _out(run: PlayRun, touch: Touch) -> bool:
    tried = _tried(run, touch)
    return bool(tried) and tried[-1].status in WENT_OUT


def _proposed(walk: Walk, touch: Touch, taken: list[str]) -> bool:
    """Propose a touch over the first channel that is left and that has somebody to address."""
    while not _out(walk.run, touch):
        tried = _tried(walk.run, touch)
        if len(tried) >= len(touch.options):
            return False
        option = touch.options[len(tried)]
        walk.change(attempts=walk.run.attempts + 1)
        before = next((each.contact_id for each in reversed(tried) if each.contact_id is not None), None)
        contact = choose(option, walk.world, walk.run, taken, before) if option.personal else None
        if option.personal and contact is None:
            _note(walk, touch, option, None, ReasonCode.NO_AUDIENCE)
            continue
        try:
            content = _content(walk, option, contact)
        except ContentError:
            _note(walk, touch, option, contact, ReasonCode.CONTENT_ERROR)
            continue
        walk.proposals.append(_proposal(walk, touch, option, contact, content))
        if contact is not None:
            taken.append(contact.contact_id)
        return True
    return False


def _content(walk: Walk, option: Option, contact: Contact | None) -> Filled:
    if option.content is None:
        return Filled()
    return option.content.fill(Speaking(walk.world.account, contact, walk.play.name, walk.play.actor))


def _proposal_id(walk: Walk, touch: Touch) -> str:
    return f"{walk.run.run_id}.{touch.step}.{walk.run.attempts}"


def _proposal(walk: Walk, touch: Touch, option: Option, contact: Contact | None, content: Filled) -> Proposal:
    run, now = walk.run, walk.world.now
    return Proposal(
        proposal_id=_proposal_id(walk, touch),
        actor=walk.play.actor,
        action=option.action,
        channel=option.channel,
        contact_id=contact.contact_id if contact is not None else None,
        value=option.value,
        propensity=option.propensity,
        confidence=option.confidence,
        intent=option.intent,
        cost=option.cost,
        reach=option.reach,
        evidence=(one_line(f"play {walk.play.name}, step {touch.step}"),),
        expires_at=min(now + option.expires_in, run.ends_by),
        content=content,
        template=option.content.content_id if option.content is not None else None,
        play=PlayRef(run_id=run.run_id, play_id=run.play_id, step=touch.step),
    )


def _note(walk: Walk, touch: Touch, option: Option, contact: Contact | None, reason: ReasonCode) -> None:
    """Remember a touch that could not even be proposed."""
    step = PlayStep(
        step=touch.step,
        proposal_id=_proposal_id(walk, touch),
        channel=option.channel,
        contact_id=contact.contact_id if contact is not None else None,
        status=ProposalStatus.SUPPRESSED,
        reason=reason,
        at=walk.world.now,
    )
    walk.change(steps=remembered((*walk.run.steps, step)))


def remembered(steps: Sequence[PlayStep]) -> tuple[PlayStep, ...]:
    """Return the latest steps, as many as a run remembers."""
    return tuple(steps[-STEPS_REMEMBERED:])
