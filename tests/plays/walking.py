"""Walks through plays in virtual time: to every place where a run can stand, whatever it takes to get there.

Nothing here knows a play by name. What a branch or an exit condition asks for is found by trying what can
happen to an account at all: signals, outcomes, readings, profiles, support cases.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Final, NamedTuple, Self

from domain import (
    Account,
    Answer,
    Answered,
    ApprovalAnswer,
    Contact,
    Effect,
    Event,
    HandOver,
    Hold,
    HoldPlaced,
    HoldReleased,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    PlayAsk,
    PlayAsked,
    PlayRun,
    PlayStatus,
    Reading,
    Revoke,
    Signal,
    SignalKind,
    Stage,
    Step,
    TakeBack,
    Tier,
    Touch,
)
from governance import Play, PolicySet, compile_policy_set, load_policy_set
from tests.builders import account, contact, signal
from tutti.simulator import Simulator
from tutti.standing import TouchBook

ROOT: Final = Path(__file__).resolve().parents[2]
MONDAY: Final = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PEOPLE: Final = {
    "amira": "champion",
    "bela": "decision_maker",
    "cleo": "executive_sponsor",
    "dora": "influencer",
    "emil": "practitioner",
}
STRANGER: Final = "zoe"
"""Somebody at the account whom no play addresses."""
_OTHERS: Final = 6
_TICKS: Final = 2_000
"""More than any run of the default plays takes."""


@cache
def policies() -> PolicySet:
    """The default policy set."""
    return load_policy_set(ROOT / "policies")


def edited(set_: PolicySet, **changes: tuple[str, str]) -> PolicySet:
    """Return a set with one text replaced in each file named."""
    files = dict(set_.files)
    for name, (old, new) in changes.items():
        path = f"{name}.yaml"
        assert old in files[path], f"{path} does not say {old!r} any more"
        files[path] = files[path].replace(old, new, 1)
    return compile_policy_set(files)


def asking(set_: PolicySet) -> PolicySet:
    """Return a set with a person to be asked about every touch of a play."""
    rule = "{id: every-play, when: actor.kind == ActorKind.SYSTEM, message: A person decides.}"
    return edited(set_, approvals=("require:\n", f"require:\n  - {rule}\n"))


@dataclass
class Recording(Simulator):
    """A simulator that remembers what the account wanted done, and can be forked."""

    wanted: list[tuple[datetime, Effect]] = field(default_factory=list)

    def fork(self) -> Self:
        """Return another account that has lived through the same."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (list, dict, set)):
                setattr(other, name, copy.copy(value))
            elif isinstance(value, TouchBook):
                setattr(other, name, copy.deepcopy(value))
        return other

    def tick(self) -> bool:
        """Let time pass to the next moment at which something happens; False if nothing ever will."""
        at = self._next()
        if at is None:
            return False
        self.run_to(at)
        return True

    def see(self, kind: SignalKind, **changes: object) -> Signal:
        """Return a signal of now that has not been seen before."""
        return signal(f"s{self.state.seq}", kind=kind, observed_at=self.now, **changes)

    def ask(self, play_id: str) -> PlayAsked:
        """Return a person's wish that a play starts now."""
        return PlayAsked(
            ask=PlayAsk(play_id=play_id, asked_by="dana.reyes", asked_at=self.now, by_person=True)
        )

    @property
    def run(self) -> PlayRun:
        """The one run that is not over."""
        (run,) = self.state.runs.values()
        return run

    def handed_over(self, run_id: str) -> list[tuple[datetime, Touch]]:
        """Return what was given to channels for a run, and when."""
        return [
            (at, effect.touch)
            for at, effect in self.wanted
            if isinstance(effect, HandOver)
            and effect.touch.play is not None
            and effect.touch.play.run_id == run_id
        ]

    def taken_back(self) -> list[str]:
        """Return the touches that channels were asked to take back."""
        return [effect.recall.touch_id for _, effect in self.wanted if isinstance(effect, TakeBack)]

    def revoked(self) -> list[str]:
        """Return the touches that channels were asked to stop."""
        return [effect.touch_id for _, effect in self.wanted if isinstance(effect, Revoke)]

    def unanswered(self, proposal_id: str) -> None:
        """Have the channel answer anew about the touch that it is working on."""
        active = self.state.active
        assert active is not None
        assert active.touch.proposal_id == proposal_id
        assert self._receipt_at is not None
        self._attempts[proposal_id] = 0
        self._receipt_at = (self._receipt_at[0], self._receipt(active.touch, self._receipt_at[0]))

    def forget(self, digest: str) -> None:
        """Lose the policy set that runs are pinned to, as if nobody could read it any more."""
        del self._sets[digest]

    def _carry_out(self, step: Step) -> list[Event]:
        active = [run for run in step.state.runs.values() if run.status is PlayStatus.ACTIVE]
        assert len(active) <= 1, "two runs are active"
        self.wanted.extend((self.now, effect) for effect in step.effects)
        return super()._carry_out(step)


def introduced(
    set_: PolicySet | None = None, *, at: datetime = MONDAY, account_id: str = "northwind", **known: object
) -> Recording:
    """An account with a buying group in which every role is taken."""
    made = Recording(set_ or policies(), account_id, at)
    where: dict[str, object] = {"time_zone": "Europe/London", "country": "GB"} | known
    made.send(
        [Observed(observation=account(account_id, tier="tier_1", domain="northwind.example.com", **where))]
    )
    for name, role in PEOPLE.items():
        made.send([Observed(observation=person(name, role=role, **where))])
    made.send([Observed(observation=person(STRANGER, role="unknown", **where))])
    return made


def person(name: str, **changes: object) -> Contact:
    """Somebody who may be addressed over every channel."""
    given = {
        "title": "Head of Operations",
        "consent": "granted",
        "consent_basis": "express",
        "phone": "+442079460000",
    }
    return contact(name, **(given | {"consent_at": MONDAY - timedelta(days=10)} | changes))


Stimulus = Callable[[Recording], list[Event]]
"""Something that may happen to an account."""


def _signal(kind: SignalKind, whom: bool) -> Stimulus:  # noqa: FBT001 - one of two ways to send each signal
    def happen(sim: Recording) -> list[Event]:
        contact_id = last_addressed(sim) if whom else None
        return [Observed(observation=sim.see(kind, contact_id=contact_id))]

    return happen


def _outcome(kind: OutcomeKind) -> Stimulus:
    def happen(sim: Recording) -> list[Event]:
        touches = [touch for touch in sim.state.touches.values() if touch.play is not None]
        return [
            OutcomeReported(
                outcome=Outcome(
                    outcome_id=f"o{sim.state.seq}-{number}",
                    source="channel",
                    touch_id=touch.touch_id,
                    kind=kind,
                    at=sim.now,
                    contact_id=touch.contact_id,
                )
            )
            for number, touch in enumerate(touches[-1:])
        ]

    return happen


def _reading(stage: Stage, urgency: float) -> Stimulus:
    def happen(sim: Recording) -> list[Event]:
        # All systems say the same, so that there is no doubt about the assessment.
        systems = sorted({*sim.state.readings, "crm"})
        return [
            Observed(
                observation=signal(
                    f"r{sim.state.seq}-{system}",
                    kind=SignalKind.NOTE,
                    observed_at=sim.now,
                    reading=Reading(
                        system=system, stage=stage, urgency=urgency, confidence=1.0, observed_at=sim.now
                    ),
                )
            )
            for system in systems
        ]

    return happen


def _profile(**changes: object) -> Stimulus:
    def happen(sim: Recording) -> list[Event]:
        known = sim.state.account
        assert known is not None
        return [Observed(observation=Account.model_validate(known.model_dump() | changes))]

    return happen


def _case(severity: int) -> Stimulus:
    def happen(sim: Recording) -> list[Event]:
        facts = {"case_id": "c1", "severity": str(severity), "status": "open"}
        return [Observed(observation=sim.see(SignalKind.SUPPORT_CASE, facts=facts))]

    return happen


STIMULI: Final[dict[str, Stimulus]] = {
    **{f"outcome {kind.value}": _outcome(kind) for kind in OutcomeKind},
    **{f"signal {kind.value}": _signal(kind, whom=False) for kind in SignalKind},
    **{f"signal {kind.value} of the person": _signal(kind, whom=True) for kind in SignalKind},
    **{
        f"reading {stage.value} {urgency}": _reading(stage, urgency)
        for stage in Stage
        for urgency in (0.1, 0.9)
    },
    **{f"tier {tier.value}": _profile(tier=tier.value) for tier in Tier},
    **{f"case of severity {severity}": _case(severity) for severity in (1, 2, 3, 4)},
}
"""What is tried to open a branch, to start a play by a signal, and to make an exit condition true."""


def last_addressed(sim: Recording) -> str | None:
    """Return whom a play has addressed last."""
    touches = [touch for touch in sim.state.touches.values() if touch.play is not None]
    return next((touch.contact_id for touch in reversed(touches) if touch.contact_id is not None), None)


class Stand(NamedTuple):
    """Where a run stands, and what its touches wait for."""

    step: str
    how: str


WAITING: Final = "waiting"
HOWS: Final = ("in_window", "deferred", "pending_approval", "in_flight")
"""What a proposal of a step may wait for: rivals, its time, a person, its channel."""


def stand_of(sim: Recording) -> Stand | None:
    """Return where the active run stands."""
    run = sim.state.active_run
    if run is None or run.step is None:
        return None
    statuses = {sim.state.open[each].status.value for each in run.pending if each in sim.state.open}
    return Stand(run.step, "+".join(sorted(statuses)) or WAITING)


def begun(play: Play, set_: PolicySet | None = None) -> Recording:
    """An account on which a person has just started a play."""
    sim = introduced(set_)
    sim.send([sim.ask(play.play_id)])
    run = sim.state.active_run
    assert run is not None, sim.state.play_refusals
    return sim


@dataclass
class Map:
    """Every place where a run of a play was seen to stand, with an account on which it does."""

    play: Play
    stands: dict[Stand, Recording] = field(default_factory=dict)
    others: defaultdict[Stand, list[Recording]] = field(default_factory=lambda: defaultdict(list))
    """Accounts that stood there as well, after other things had happened; a few."""

    @property
    def steps(self) -> set[str]:
        """The steps that were reached."""
        return {stand.step for stand in self.stands}

    def follow(self, sim: Recording) -> list[Stand]:
        """Let time pass until the run is over; return places that were not seen before."""
        new: list[Stand] = []
        for _ in range(_TICKS):
            stand = stand_of(sim)
            if stand is None:
                return new
            if stand not in self.stands:
                self.stands[stand] = sim.fork()
                new.append(stand)
            if len(self.others[stand]) < _OTHERS:
                self.others[stand].append(sim.fork())
            if not sim.tick():
                return new
        message = f"{self.play.play_id} does not come to an end"
        raise AssertionError(message)


def resting_steps(play: Play) -> set[str]:
    """Return the steps at which a run can stand: all but the branches."""
    return {name for name, step in play.steps.items() if not hasattr(step, "ways")}


@cache
def mapped(play_id: str) -> Map:
    """Walk through a play of the default set."""
    return walked(play_id, policies())


def walked(play_id: str, set_: PolicySet) -> Map:
    """Walk through a play until every step was reached, in every state of its touches."""
    play = set_.plays[play_id]
    found = Map(play)
    queue = found.follow(begun(play, set_))
    while queue and not resting_steps(play) <= found.steps:
        # Most of what decides on a branch happens while a run waits.
        queue.sort(key=lambda stand: stand.how != WAITING)
        stand = queue.pop(0)
        for happen in STIMULI.values():
            sim = found.stands[stand].fork()
            sim.send(happen(sim))
            queue.extend(found.follow(sim))
            if resting_steps(play) <= found.steps:
                break
    strict = asking(set_)
    for stand in [each for each in found.stands if each.how == "in_window"]:
        for sim in tuple(found.others[stand]):
            if all(Stand(stand.step, how) in found.stands for how in HOWS):
                break
            for change in (_held, _asked(strict), _agreed, _held_and_agreed):
                tried = sim.fork()
                change(tried)
                found.follow(tried)
    return found


def _held(sim: Recording) -> None:
    sim.send([hold(sim)])


def _held_and_agreed(sim: Recording) -> None:
    _held(sim)
    _agreed(sim)


def _asked(strict: PolicySet) -> Callable[[Recording], None]:
    def happen(sim: Recording) -> None:
        sim.publish(strict)

    return happen


def _agreed(sim: Recording) -> None:
    """Have people agree to what they are asked about, if they are."""
    sim.run_to(sim.now + timedelta(seconds=30))
    sim.send(agreement(sim))


def agreement(sim: Recording) -> list[Event]:
    """What people answer who agree to everything they are asked about."""
    return [
        Answered(
            answer=ApprovalAnswer(
                answer_id=f"a{sim.state.seq}",
                approval_id=approval.approval_id,
                answer=Answer.APPROVE,
                approver=min(set(approval.route.approvers) - set(approval.route.excluded)),
                digest=approval.digest,
                comment="Good.",
            )
        )
        for approval in sim.state.pending_approvals
    ]


def hold(sim: Recording, **length: float) -> HoldPlaced:
    """A person's freeze of the account."""
    until = sim.now + timedelta(**(length or {"days": 1}))
    return HoldPlaced(
        hold=Hold(hold_id="h1", placed_by="dana.reyes", reason="a call", placed_at=sim.now, expires_at=until)
    )


def release() -> HoldReleased:
    """The end of that freeze."""
    return HoldReleased(hold_id="h1", released_by="dana.reyes")


def ways_to(sim: Recording, holds: Callable[[Recording], bool]) -> Iterator[tuple[str, ...]]:
    """Yield what has to happen, one thing or two right after each other, so that something holds."""
    for count in (1, 2):
        for names in permutations(STIMULI, count):
            tried = sim.fork()
            for name in names:
                tried.send(STIMULI[name](tried))
            if holds(tried):
                yield names
