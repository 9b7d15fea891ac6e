"""A play is edited while a thousand accounts run it: nothing changes for them, until somebody moves them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Final

import pytest

from domain import (
    Event,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    PlayMigrated,
    PlayMove,
    PlayRun,
    PlayStatus,
    TouchFact,
    TouchStatus,
)
from governance import PolicySet, compile_policy_set
from tests.builders import account
from tests.plays.walking import MONDAY, Recording, person, policies

ACCOUNTS: Final = 1_000
BEGIN_WITHIN: Final = timedelta(days=13, hours=2)
"""Their runs begin spread over so much time, and stand everywhere when the edit is published on a Sunday."""
PUBLISHED: Final = MONDAY + BEGIN_WITHIN
LATER: Final = timedelta(days=60)
SEED: Final = 20_260_302

PLAY: Final = """\
id: thousand
name: What a thousand accounts run
actor: plays
priority: 50
lasts_at_most: 50d
entry: {on: [intent_surge]}
reentry: never
exit:
  - {id: replied, on: [reply], message: Somebody answered.}
recall: [task]
steps:
  - id: first-mail
    touch: {channel: email, action: send_play_email, to: [champion], content: thousand, value: 9000,
            propensity: 0.5, confidence: 0.9, expires_in: 7d}
  - id: breathe
    wait: {for: 5d}
  - id: did-they-click
    branch:
      - {outcome: click, of: first-mail, go: task}
      - {go: second-mail}
  - id: second-mail
    touch: {channel: email, action: send_play_email, to: [decision_maker], content: thousand, value: 9000,
            propensity: 0.5, confidence: 0.9, expires_in: 7d}
    then: settle
  - id: settle
    wait: {business_days: 4}
    then: last-mail
  - id: task
    touch: {channel: sdr_task, action: create_task, to: [decision_maker], content: thousand, value: 9000,
            propensity: 0.5, confidence: 0.9, expires_in: 7d}
  - id: last-mail
    touch: {channel: email, action: send_play_email, to: [influencer], content: thousand, value: 9000,
            propensity: 0.5, confidence: 0.9, expires_in: 7d}
"""
CONTENT: Final = """\
id: thousand
subject: A thought for {{ account.name }}
text: "Hello {{ contact.first_name }}, may we talk? {{ unsubscribe_url }}"
"""
EDITS: Final = (
    ("first-mail", "opening"),
    ("second-mail", "follow-up"),
    ("wait: {for: 5d}", "wait: {for: 1d}"),
    ("    then: settle\n", "    then: last-mail\n"),
    ("  - id: settle\n    wait: {business_days: 4}\n    then: last-mail\n", ""),
)
RENAMED: Final = {"first-mail": "opening", "second-mail": "follow-up"}


def with_play(text: str) -> PolicySet:
    files = dict(policies().files)
    files["plays/thousand.yaml"] = text
    files["content/thousand.yaml"] = CONTENT
    return compile_policy_set(files)


@cache
def older() -> PolicySet:
    return with_play(PLAY)


@cache
def newer() -> PolicySet:
    """The play as edited: two steps renamed, a wait shortened, a step removed."""
    text = PLAY
    for old, new in EDITS:
        assert old in text
        text = text.replace(old, new)
    return with_play(text)


@dataclass
class Told:
    """What became of one run, without what a publication may change: who ruled when how often."""

    run: str
    touches: list[str]


def told(sim: Recording) -> Told:
    (run,) = (*sim.state.ended_runs.values(), *sim.state.runs.values())
    touches = [
        f"{fact.at} {fact.status} {fact.touch.model_dump_json(exclude={'policy_digest', 'decision_id'})}"
        for fact in (*sim.facts, *sim.state.outbox)
        if isinstance(fact, TouchFact)
    ]
    return Told(run.model_dump_json(), touches)


def begun(number: int, draw: random.Random) -> Recording:
    """One of the thousand, as it stands when the edit is published."""
    at = MONDAY + BEGIN_WITHIN * draw.random()
    name = f"account-{number}"
    sim = Recording(older(), name, at)
    where = {"time_zone": "Europe/London", "country": "GB"}
    people = (("amira", "champion"), ("bela", "decision_maker"), ("dora", "influencer"))
    happened: list[Event] = [Observed(observation=account(name, **where))]
    happened += [Observed(observation=person(who, role=role, **where)) for who, role in people]
    sim.send([*happened, sim.ask("thousand")])
    if draw.random() < 0.5:
        sim.run_to(min(at + timedelta(days=4), PUBLISHED))
        sim.send(clicks(sim))
    sim.run_to(PUBLISHED)
    return sim


def clicks(sim: Recording) -> list[Event]:
    return [
        OutcomeReported(
            outcome=Outcome(
                outcome_id=f"click-{number}",
                source="mail",
                touch_id=touch.touch_id,
                kind=OutcomeKind.CLICK,
                at=sim.now,
                contact_id=touch.contact_id,
            )
        )
        for number, touch in enumerate(sim.state.touches.values())
        if touch.status is TouchStatus.HANDED_OVER
    ]


@pytest.fixture(scope="module")
def thousand() -> list[Recording]:
    draw = random.Random(SEED)
    return [begun(number, draw) for number in range(ACCOUNTS)]


@pytest.fixture(scope="module")
def left_alone(thousand: list[Recording]) -> list[Told]:
    """What becomes of them if nobody publishes anything."""
    found = []
    for sim in thousand:
        alone = sim.fork()
        alone.run_to(PUBLISHED + LATER)
        found.append(told(alone))
    return found


def test_when_it_is_edited_its_runs_stand_everywhere(thousand: list[Recording]) -> None:
    standing = Counter(run.step for sim in thousand for run in sim.state.runs.values())
    steps = {name for name in older().plays["thousand"].steps if name not in {"did-they-click", "task"}}
    assert standing.keys() == steps
    assert min(standing.values()) >= 5, standing


def test_a_thousand_runs_finish_on_the_version_they_began_with_as_if_nobody_had_edited_it(
    thousand: list[Recording], left_alone: list[Told]
) -> None:
    for sim, alone in zip(thousand, left_alone, strict=True):
        published = sim.fork()
        published.publish(newer())
        published.run_to(PUBLISHED + LATER)
        assert told(published) == alone
        (run,) = published.state.ended_runs.values()
        assert run.version == older().plays["thousand"].version
        assert run.policy_digest == older().digest


def test_moved_on_purpose_they_go_on_with_the_new_version_where_their_place_is_found_in_it(
    thousand: list[Recording], left_alone: list[Told]
) -> None:
    became: Counter[str] = Counter()
    for sim, alone in zip(thousand, left_alone, strict=True):
        before = next(iter(sim.state.runs.values()), None)
        moved = sim.fork()
        moved.publish(newer())
        move = PlayMove(policy_digest=newer().digest, steps=RENAMED)
        moved.send([PlayMigrated(play_id="thousand", move=move, moved_by="dana.reyes")])
        became[checked(sim, moved, before, alone)] += 1
    assert became["moved"] >= 200, became
    assert became["stays"] >= 50, became
    assert became["was over"] >= 50, became


def checked(sim: Recording, moved: Recording, before: PlayRun | None, alone: Told) -> str:
    """Check one account after the migration, play it on to its end, and say what became of it."""
    if before is None:
        assert told(moved) == told(sim)
        return "was over"
    now = next(iter((*moved.state.runs.values(), *moved.state.ended_runs.values())))
    why = refusal_expected(before)
    if why is not None:
        assert now.version == before.version
        assert why in moved.state.play_refusals["thousand"]
        moved.run_to(PUBLISHED + LATER)
        assert told(moved) == alone, "who stays, stays in every respect"
        nobody_twice(moved)
        return "stays"
    assert now.version == newer().plays["thousand"].version
    assert "thousand" not in moved.state.play_refusals
    clicked = any(OutcomeKind.CLICK in touch.outcomes for touch in moved.state.touches.values())
    moved.run_to(PUBLISHED + LATER)
    nobody_twice(moved)
    (ended,) = moved.state.ended_runs.values()
    assert ended.status is PlayStatus.COMPLETED
    if before.step == "breathe":
        follow = "task" if clicked else "follow-up"
        assert follow in {step.step for step in ended.steps}, "the branch knows the mail by its new name"
        assert now.step != "breathe" or now.due_at == before.entered_at + timedelta(days=1)
    return "moved"


def refusal_expected(run: PlayRun) -> str | None:
    if run.step == "settle":
        return "The other version has no step settle; say which of its steps takes the place of settle."
    if run.step in RENAMED and run.pending:
        return (
            f"The run waits for a touch of {run.step}, which would be called otherwise; move it afterwards."
        )
    return None


def nobody_twice(sim: Recording) -> None:
    made = Counter(
        RENAMED.get(fact.touch.play.step, fact.touch.play.step)
        for fact in (*sim.facts, *sim.state.outbox)
        if isinstance(fact, TouchFact) and fact.receipt is not None and fact.touch.play is not None
    )
    assert set(made.values()) <= {1}, made
    whom = [fact.touch.recipient for fact in sim.facts if isinstance(fact, TouchFact) and fact.receipt]
    assert len({each.contact_id for each in whom if each}) == len(whom), "one touch a person, here"
