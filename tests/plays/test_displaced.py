"""Plays stand back before what goes first, at every step, and go on as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import pytest

from domain import (
    ApprovalStatus,
    HandOver,
    PlayFact,
    PlayRun,
    PlayStatus,
    Proposal,
    Proposed,
    TouchFact,
    TouchStatus,
)
from governance import PolicySet, compile_policy_set
from governance.plays._play import Displacing, TouchStep
from tests.builders import proposal
from tests.plays.walking import Map, Recording, Stand, policies, walked

PLAYS = sorted(policies().plays)
SECOND = timedelta(seconds=1)
QUARTER = timedelta(days=90)
REST = timedelta(days=3)
INTERRUPTER = """\
id: interrupter
name: What cannot wait
actor: plays
priority: 90
lasts_at_most: 10d
entry: {on: [note]}
reentry: {after: 1d, from: end}
steps:
  - id: task
    touch: {channel: sdr_task, action: create_task, content: interrupter, value: 9000, propensity: 0.5,
            confidence: 0.9, expires_in: 1d}
  - id: a-while
    wait: {for: 2d}
"""


@cache
def roomy(then: str) -> PolicySet:
    """The default set with room for many touches, and plays that stand back before anything said here."""
    files = dict(policies().files)
    files["timing.yaml"] = files["timing.yaml"].replace("at_least: 2d", "at_least: 1s")
    files["arbitration.yaml"] = files["arbitration.yaml"].replace("touches: 3", "touches: 30")
    files["plays/interrupter.yaml"] = INTERRUPTER
    files["content/interrupter.yaml"] = "id: interrupter\nsubject: Now\ntext: Please look at this account.\n"
    rest = ", resume_after: 3d" if then == "suspend" else ""
    rules = (
        f"  - {{id: for-closing, intents: [closing], then: {then}{rest}, message: Closing goes first.}}\n"
        f"  - {{id: for-urgent, plays: [interrupter], then: {then}{rest}, message: It cannot wait.}}\n"
    )
    for play_id in PLAYS:
        name = f"plays/{play_id}.yaml"
        said = files[name]
        if "\ndisplaced_by:\n" not in said:
            said = said.replace("\nsteps:\n", "\ndisplaced_by:\n\nsteps:\n")
        files[name] = said.replace("\ndisplaced_by:\n", f"\ndisplaced_by:\n{rules}")
    return compile_policy_set(files)


@cache
def mapped(play_id: str, then: str) -> Map:
    return walked(play_id, roomy(then))


def stands(play_id: str, then: str) -> Iterator[tuple[Stand, Recording]]:
    for stand, sim in mapped(play_id, then).stands.items():
        yield stand, sim.fork()


def rival(sim: Recording, **changes: object) -> Proposal:
    """A person's proposal to close, on the site, where there are no quiet hours."""
    given = {"actor": "dana.reyes", "channel": "webhook", "contact_id": None, "intent": "closing"}
    worth = {"value": 200_000.0, "propensity": 1.0}
    return proposal(f"rival-{sim.state.seq}", **(given | worth | changes))


def wins(sim: Recording, wanted: Proposal) -> PlayRun | None:
    """Propose, let time pass until it is handed over, and return the run as it stood right before.

    None if the run has come to its own end by then.
    """
    sim.send([Proposed(proposal=wanted)])
    before = sim.run
    for _ in range(50):
        if any(isinstance(e, HandOver) and e.touch.proposal_id == wanted.proposal_id for _, e in sim.wanted):
            return before
        if not sim.state.runs:
            return None
        before = sim.run
        assert before.status is PlayStatus.ACTIVE, "it stands back only before what has won"
        assert sim.tick()
    message = f"{wanted.proposal_id} was never handed over: {sim.state.timeline[-1].text}"
    raise AssertionError(message)


@pytest.mark.parametrize("play_id", PLAYS)
def test_a_proposal_that_wins_displaces_the_run_wherever_it_stands_and_it_goes_on_after_a_rest(
    play_id: str,
) -> None:
    displaced = 0
    for stand, sim in stands(play_id, "suspend"):
        wanted = rival(sim)
        pending = [each.approval_id for each in sim.state.pending_approvals]
        before = wins(sim, wanted)
        if before is None:
            continue
        displaced += 1
        run = sim.run
        assert (run.status, run.suspended_by) == (PlayStatus.SUSPENDED, wanted.proposal_id), stand
        assert sim.state.open.keys() == {wanted.proposal_id}, stand
        for approval_id in pending:
            assert sim.state.approvals[approval_id].status is ApprovalStatus.WITHDRAWN, stand
        sim.tick()  # the channel answers
        assert not sim.state.open, stand
        assert sim.run.resume_at == sim.now + REST, stand
        goes_on(sim, before, stand)
    assert displaced >= len(mapped(play_id, "suspend").steps)


@pytest.mark.parametrize("play_id", PLAYS)
def test_another_play_displaces_the_run_wherever_it_stands_and_it_goes_on_after_a_rest(play_id: str) -> None:
    for stand, sim in stands(play_id, "suspend"):
        before = sim.run
        sim.send([sim.ask("interrupter")])
        active = sim.state.active_run
        assert active is not None, stand
        assert active.play_id == "interrupter", stand
        run = sim.state.runs[before.run_id]
        assert (run.status, run.suspended_by) == (PlayStatus.SUSPENDED, active.run_id), stand
        waits = {each for each, item in sim.state.open.items() if item.exit_reason is None}
        assert waits == set(active.pending), stand
        while active.run_id in sim.state.runs:
            assert sim.tick(), stand
        assert sim.run.resume_at == sim.now + REST, stand
        goes_on(sim, before, stand)


def goes_on(sim: Recording, before: PlayRun, stand: Stand) -> None:
    """Check that a suspended run rests, takes up its step again, and does nothing twice."""
    run = sim.run
    assert run.resume_at is not None
    made = len(sim.handed_over(run.run_id))
    resumes = run.resume_at
    sim.run_to(resumes - SECOND)
    assert sim.run.status is PlayStatus.SUSPENDED, stand
    assert len(sim.handed_over(run.run_id)) == made, "nothing goes out while it stands back"
    used = set(sim.state.ended)
    sim.run_to(resumes)
    again = sim.state.runs.get(run.run_id)
    if again is None:
        # What it was waiting for went out in the meantime, and was its last step.
        assert sim.state.ended_runs[run.run_id].end_id == "end", stand
        nothing_twice(sim, run.run_id, stand)
        return
    assert again.status is PlayStatus.ACTIVE, stand
    assert again.suspended_by is None, stand
    assert used.isdisjoint(again.pending), "what was dropped is proposed again under an id of its own"
    if before.pending and made == len(sim.handed_over(run.run_id)) and again.step == before.step:
        assert again.pending, stand
        assert again.attempts > before.attempts, stand
    sim.run_to(sim.now + QUARTER)
    assert not sim.state.runs, stand
    nothing_twice(sim, run.run_id, stand)


def nothing_twice(sim: Recording, run_id: str, stand: Stand) -> None:
    """Check that each touch went out at most once each time its step was entered."""
    play = sim.policies.plays[run_id.rpartition(".")[0]]
    facts = (*sim.facts, *sim.state.outbox)
    entries = {
        (fact.run.step, fact.run.entered_at)
        for fact in facts
        if isinstance(fact, PlayFact) and fact.run.run_id == run_id
    }
    entered = Counter(step for step, _ in entries)
    made = Counter(
        fact.touch.play.step
        for fact in facts
        if isinstance(fact, TouchFact)
        and fact.touch.play is not None
        and fact.touch.play.run_id == run_id
        and fact.receipt is not None
        and fact.status is TouchStatus.HANDED_OVER
    )
    for name, step in play.steps.items():
        for touch in step.touches if isinstance(step, TouchStep) else ():
            assert made[touch.step] <= entered[name], f"{touch.step} went out twice, displaced at {stand}"


@pytest.mark.parametrize("play_id", PLAYS)
@pytest.mark.parametrize("by", ["proposal", "play"])
def test_a_rule_may_say_that_it_is_over_instead(play_id: str, by: str) -> None:
    for stand, sim in stands(play_id, "cancel"):
        run = sim.run
        if by == "proposal":
            if wins(sim, rival(sim)) is None:
                continue
        else:
            sim.send([sim.ask("interrupter")])
        ended = sim.state.ended_runs[run.run_id]
        assert (ended.status, ended.end_id) == (PlayStatus.CANCELLED, "displaced"), stand
        made = len(sim.handed_over(run.run_id))
        sim.run_to(sim.now + QUARTER)
        assert len(sim.handed_over(run.run_id)) == made, stand
        assert not sim.state.runs, stand


def rules() -> list[tuple[str, str]]:
    return [
        (play_id, rule.rule_id)
        for play_id in PLAYS
        for rule in policies().plays[play_id].displaced_by
        if not rule.plays
    ]


@pytest.mark.parametrize(("play_id", "rule_id"), rules())
def test_the_default_plays_stand_back_as_their_own_rules_say(play_id: str, rule_id: str) -> None:
    (rule,) = [each for each in policies().plays[play_id].displaced_by if each.rule_id == rule_id]
    displaced = 0
    for stand, sim in default_stands(play_id):
        run = sim.run
        if wins(sim, rival(sim, **wanted_by(rule))) is None:
            continue
        displaced += 1
        if rule.then.value == "cancel":
            ended = sim.state.ended_runs[run.run_id]
            assert (ended.end_id, ended.end_message) == ("displaced", rule.message), stand
        else:
            assert sim.run.status is PlayStatus.SUSPENDED, stand
            after = rule.resume_after.total_seconds() if rule.resume_after is not None else None
            assert sim.run.resume_after_seconds == after, stand
    assert displaced >= 3


def default_stands(play_id: str) -> Iterator[tuple[Stand, Recording]]:
    for stand, sim in walked(play_id, policies()).stands.items():
        if stand.how != "pending_approval":
            yield stand, sim.fork()


def wanted_by(rule: Displacing) -> dict[str, object]:
    """A proposal to which a rule applies."""
    if rule.intents:
        return {"intent": rule.intents[0]}
    if rule.actions:
        return {"intent": None, "action": rule.actions[0]}
    return {"intent": None, "actor": rule.actors[0]}
