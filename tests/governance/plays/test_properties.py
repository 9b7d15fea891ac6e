"""Whatever a play that passes the checks says, and however its touches end, it ends in time and keeps away
from people who do not want to hear from us."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from domain import (
    MOVES_LIMIT,
    STEPS_REMEMBERED,
    Contact,
    OutcomeKind,
    PlayStatus,
    ProposalStatus,
    Role,
    SignalKind,
)
from governance import PolicySet, load_document
from governance._builder import Builder, Roll
from governance.content import Content
from governance.plays import Around, PlayFile, build_play, check_names, check_ways
from tests.governance.plays.staging import SENT, Stage, compiled, mail, task, with_steps
from tests.governance.worlds import NOW, person

ROLES = [role.value for role in Role]
ENDS = [each for each in ProposalStatus if each.final]
SIGNALS = [kind.value for kind in (SignalKind.WEB_VISIT, SignalKind.EMAIL_CLICK, SignalKind.REPLY)]
OUTCOMES = [kind.value for kind in OutcomeKind]
CONDITIONS = [
    "run.moves > 5",
    "days_since.web_visit != null",
    "contact != null && contact.role == Role.CHAMPION",
    "contact.role == Role.CHAMPION",  # gives no answer before anybody was addressed
    "run.touches >= 2",
    "run.days > 10.0",
]
MAIL = {"channel": "email", "action": "send_play_email", "content": "hello"}
TASK = {"channel": "sdr_task", "action": "create_task", "content": "note"}
roles = st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True)
spans = st.sampled_from(["30s", "2h", "1d", "6d", "40d"])


def touches(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Touches of people with a role or of the person of an earlier step, and of the account as a whole."""
    audience: st.SearchStrategy[Any] = roles
    if names:
        audience |= st.sampled_from(names).map(lambda name: {"same_as": name})
    mails = st.fixed_dictionaries({"to": audience}).map(lambda to: {**to, **MAIL})
    tasks = st.fixed_dictionaries({}, optional={"to": audience}).map(lambda to: {**to, **TASK})
    return st.one_of(mails, tasks).map(lambda touch: {**touch, "value": 10, "propensity": 0.5})


@st.composite
def paths(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(["skip", "stop", "next_channel"]))
    return {"if_suppressed": path, **({"next_channels": [TASK]} if path == "next_channel" else {})}


def waits() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        spans.map(lambda span: {"for": span}),
        st.integers(1, 10).map(lambda days: {"business_days": days}),
        st.sampled_from(["monday", "sunday"]).map(lambda day: {"until": {"weekday": day, "at": "02:30"}}),
        st.sampled_from(SIGNALS).map(lambda kind: {"signal": [kind], "at_most": "3d"}),
    )


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 6))
    names = [f"s{index}" for index in range(count)]
    found = []
    touching: list[str] = []
    for index, name in enumerate(names):
        # Mostly forward, sometimes back: the checks refuse what could go round without a wait.
        ahead = st.sampled_from([*names[index + 1 :], "end"] * 3 + names)
        sort = draw(st.sampled_from(["touch", "wait", "branch", "parallel"]))
        step: dict[str, Any] = {"id": name}
        if sort == "touch":
            step |= {"touch": draw(touches(touching)), **draw(paths())}
            touching.append(name)
        elif sort == "wait":
            step["wait"] = draw(waits())
        elif sort == "parallel":
            inner = [
                {"id": f"{name}{mark}", "touch": draw(touches(touching)), **draw(paths())} for mark in "ab"
            ]
            step["parallel"] = inner
        else:
            ways = [{"when": draw(st.sampled_from(CONDITIONS)), "go": draw(ahead)}]
            if touching:
                outcome = draw(st.sampled_from(OUTCOMES))
                ways.append({"outcome": outcome, "of": draw(st.sampled_from(touching)), "go": draw(ahead)})
            step["branch"] = [*ways, {"go": names[index + 1] if index + 1 < count else "end"}]
        if sort != "branch" and draw(st.integers(0, 5)) == 0:
            step["then"] = draw(ahead)
        found.append(step)
    return found


@st.composite
def plays(draw: st.DrawFn) -> dict[str, Any]:
    play: dict[str, Any] = {
        "id": "welcome",
        "name": "Welcome",
        "actor": "plays",
        "priority": 50,
        "lasts_at_most": draw(st.sampled_from(["2d", "30d", "90d"])),
        "entry": {"on": ["form_submission"]},
        "reentry": "never",
        "steps": draw(steps()),
    }
    if draw(st.booleans()):
        play["exit"] = [{"id": "x", "when": draw(st.sampled_from(CONDITIONS)), "message": "Enough."}]
    return play


def accepted(play: dict[str, Any]) -> PolicySet | None:
    """A policy set with the play, or None if the checks refuse it."""
    base = compiled(with_steps(mail() + task()))
    found = base.plays["welcome"]
    contents: dict[str, Content | None] = {
        option.content.content_id: option.content
        for touch in found.touches()
        for option in touch.options
        if option.content is not None
    }
    document = load_document("plays/welcome.yaml", json.dumps(play).encode())
    file = document.validate(PlayFile)
    roll = Roll(actors=frozenset(base.people.actors), channels=frozenset(base.channels))
    builder = Builder("plays", document, roll)
    made = build_play(file, builder, contents)
    check_names(file, builder, Around(base.channels, contents, frozenset({"welcome"})))
    if made is not None and not roll.problems:
        check_ways(file, made, builder)
    if made is None or roll.problems:
        return None
    return replace(base, plays=MappingProxyType({"welcome": made}))


def people(choice: st.DataObject) -> dict[str, Contact]:
    names = [f"p{index}" for index in range(choice.draw(st.integers(0, 6)))]
    return {
        name: person(
            name,
            role=Role(choice.draw(st.sampled_from(ROLES))),
            email=choice.draw(st.sampled_from([None, f"{name}@northwind.example"])),
            opted_out_at=choice.draw(st.sampled_from([None, None, NOW])),
            left_at=choice.draw(st.sampled_from([None, None, NOW])),
        )
        for name in names
    }


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(plays(), st.data())
def test_a_play_ends_in_time_and_never_addresses_who_objected(
    play: dict[str, Any], choice: st.DataObject
) -> None:
    policies = accepted(play)
    assume(policies is not None)
    assert policies is not None
    stage = Stage(policies=policies, contacts=people(choice))
    stage.enter()
    if stage.run is None:
        event("refused at once")
        return
    limit = stage.run.started_at + policies.plays["welcome"].lasts_at_most

    rounds = 0
    while not stage.standing.status.final:
        rounds += 1
        assert rounds <= 3 * MOVES_LIMIT, "it goes on for ever"
        keeps_its_word(stage)
        one_thing_happens(stage, choice)

    run = stage.standing
    event(f"ended: {run.end_id}")
    assert run.ended_at is not None
    assert run.ended_at <= limit
    assert run.ends_by == limit
    assert (run.pending, run.due_at, run.wakes_on, stage.open) == ((), None, (), {})
    assert len({each.proposal_id for each in stage.made}) == len(stage.made), "every proposal has its own id"


def keeps_its_word(stage: Stage) -> None:
    run = stage.standing
    assert run.status is PlayStatus.ACTIVE
    assert run.moves <= MOVES_LIMIT
    assert len(run.steps) <= STEPS_REMEMBERED
    assert bool(run.pending) != (run.due_at is not None), "it waits for its proposals or for a moment"
    assert run.due_at is None or stage.now < run.due_at <= run.ends_by
    assert stage.latest is not None
    people = [each.contact_id for each in stage.latest.proposals if each.contact_id is not None]
    assert len(set(people)) == len(people), "never two at once to one person"
    for proposal in stage.latest.proposals:
        assert proposal.expires_at is not None
        assert stage.now < proposal.expires_at <= run.ends_by
        if proposal.contact_id is not None:
            contact = stage.contacts[proposal.contact_id]
            assert contact.opted_out_at is None
            assert contact.left_at is None
            assert proposal.channel != "email" or contact.email is not None


def one_thing_happens(stage: Stage, choice: st.DataObject) -> None:
    what = choice.draw(st.sampled_from(["end", "end", "end", "objects", "signal", "review", "suspend"]))
    # So that what was proposed before somebody objected is not looked at again.
    stage.latest = stage.latest.model_copy(update={"proposals": ()}) if stage.latest is not None else None
    if what == "objects" and stage.contacts:
        name = choice.draw(st.sampled_from(sorted(stage.contacts)))
        stage.contacts[name] = stage.contacts[name].model_copy(update={"opted_out_at": stage.now})
    elif what == "signal":
        stage.signal(SignalKind(choice.draw(st.sampled_from(SIGNALS))))
    elif what == "review":
        stage.ask()
    elif what == "suspend":
        stage.suspend().ask()
    elif stage.open:
        proposal = stage.open[min(stage.open)]
        assert proposal.play is not None
        assert proposal.expires_at is not None
        stage.now += (proposal.expires_at - stage.now) * choice.draw(st.sampled_from([0.0, 0.1, 1.0]))
        step, status = proposal.play.step, choice.draw(st.sampled_from(ENDS))
        stage.end(step, status)
        if status is SENT and choice.draw(st.booleans()):
            stage.outcome(step, OutcomeKind(choice.draw(st.sampled_from(OUTCOMES))))
    else:
        due = stage.standing.due_at
        assert due is not None
        stage.later(due - stage.now + timedelta(0))
