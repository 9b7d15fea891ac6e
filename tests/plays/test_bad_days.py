"""Bad days of a play: people leave, addresses bounce, contents fail, providers and versions are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from domain import (
    Account,
    Observed,
    Outcome,
    OutcomeKind,
    OutcomeReported,
    PlayFact,
    PlayStatus,
    ReasonCode,
    ReceiptStatus,
    SignalKind,
    Touch,
    TouchFact,
    TouchStatus,
)
from governance.plays._play import TouchStep
from tests.plays.walking import Recording, Stand, begun, edited, mapped, policies

PLAYS = sorted(policies().plays)
QUARTER = timedelta(days=90)
HOUR = timedelta(hours=1)


def stands(play_id: str, how: str | None = None) -> Iterator[tuple[Stand, Recording]]:
    for stand, sim in mapped(play_id).stands.items():
        if how is None or how in stand.how:
            yield stand, sim.fork()


def made(sim: Recording) -> list[tuple[datetime, Touch]]:
    """Touches that went out, and when."""
    return [
        (fact.at, fact.touch)
        for fact in (*sim.facts, *sim.state.outbox)
        if isinstance(fact, TouchFact) and fact.receipt is not None and fact.status is TouchStatus.HANDED_OVER
    ]


def to(touch: Touch) -> str | None:
    return touch.recipient.contact_id if touch.recipient is not None else None


def whom(sim: Recording) -> set[str]:
    """Everybody whom the run has addressed or wants to address now."""
    wanted = {sim.state.open[each].proposal.contact_id for each in sim.run.pending if each in sim.state.open}
    return {each for each in wanted | {to(touch) for _, touch in made(sim)} if each is not None}


@pytest.mark.parametrize("play_id", PLAYS)
def test_who_leaves_the_company_hears_nothing_more_and_the_play_goes_on_without_them(play_id: str) -> None:
    tried = 0
    for stand, sim in stands(play_id):
        for contact_id in sorted(whom(sim)):
            left = sim.fork()
            run = left.run
            flying = left.state.active.touch.touch_id if left.state.active is not None else None
            before = {touch.touch_id for _, touch in made(left)}
            left.send([Observed(observation=left.see(SignalKind.LEFT_COMPANY, contact_id=contact_id))])
            left.run_to(left.now + QUARTER)
            later = [touch for _, touch in made(left) if touch.touch_id not in {*before, flying}]
            assert contact_id not in {to(touch) for touch in later}, f"{contact_id} at {stand}"
            assert run.run_id in left.state.ended_runs, stand
            assert left.state.ended_runs[run.run_id].end_id != "broken", stand
            tried += 1
    assert tried


def bounced(sim: Recording, touch: Touch) -> OutcomeReported:
    return OutcomeReported(
        outcome=Outcome(
            outcome_id=f"bounce-{sim.state.seq}",
            source="mail",
            touch_id=touch.touch_id,
            kind=OutcomeKind.BOUNCE,
            at=sim.now,
            contact_id=to(touch),
        )
    )


@pytest.mark.parametrize("play_id", PLAYS)
def test_an_address_that_bounces_gets_no_more_mail_and_the_play_comes_to_its_end(play_id: str) -> None:
    sim = begun(policies().plays[play_id])
    run = sim.run
    lost: set[str | None] = set()
    while sim.state.runs:
        mails = [touch for _, touch in made(sim) if touch.channel == "email" and to(touch) not in lost]
        for touch in mails:
            lost.add(to(touch))
            sim.send([bounced(sim, touch)])
        assert sim.tick()
    addressed = [to(touch) for _, touch in made(sim) if touch.channel == "email"]
    assert len(addressed) == len(set(addressed)), "nobody whose address has bounced gets another mail"
    assert sim.state.ended_runs[run.run_id].end_id in {"end", "stop"}


def test_after_a_bounce_the_next_mail_goes_to_somebody_else() -> None:
    sim = begun(policies().plays["surge-response"])
    while not any(touch.channel == "email" for _, touch in made(sim)):
        sim.tick()
    first = made(sim)[-1][1]
    sim.send([bounced(sim, first)])
    sim.run_to(sim.now + QUARTER)
    mails = [to(touch) for _, touch in made(sim) if touch.channel == "email"]
    assert mails == ["amira", "bela"]


@pytest.mark.parametrize("play_id", PLAYS)
def test_a_content_that_cannot_be_filled_in_is_not_sent_with_holes_and_the_play_takes_its_path(
    play_id: str,
) -> None:
    bare = begun(policies().plays[play_id])
    known = bare.state.account
    assert known is not None
    nothing_more = {"domain": None, "owner": None, "country": None, "time_zone": None}
    bare.send([Observed(observation=Account.model_validate(known.model_dump() | nothing_more))])
    for person in tuple(bare.state.contacts.values()):
        bare.send([Observed(observation=person.model_copy(update={"title": None, "phone": None}))])
    run = bare.run
    bare.run_to(bare.now + QUARTER)
    ended = bare.state.ended_runs[run.run_id]
    assert ended.end_id in {"end", "stop"}
    for step in ended.steps:
        if step.reason is ReasonCode.CONTENT_ERROR:
            assert step.step not in {t.play.step for _, t in made(bare) if t.play is not None}
    for _, touch in made(bare):
        said = "\n".join((touch.subject or "", touch.text, touch.html or "", *touch.fields.values()))
        assert "None" not in said
        assert "{{ a" not in said
        assert "{{ c" not in said


def test_a_mail_that_needs_a_title_nobody_has_written_down_takes_the_next_channel() -> None:
    opening = policies().files["content/surge-first-mail.yaml"]
    subject = next(line for line in opening.splitlines() if line.startswith("subject:"))
    set_ = edited(
        policies(), **{"content/surge-first-mail": (subject, 'subject: "For the {{ contact.title }}"')}
    )
    sim = begun(set_.plays["surge-response"], set_)
    for person in tuple(sim.state.contacts.values()):
        sim.send([Observed(observation=person.model_copy(update={"title": None}))])
    sim.run_to(sim.now + timedelta(days=8))
    steps = [(step.step, step.channel, step.reason) for step in sim.run.steps if step.step == "first-mail"]
    assert steps == [
        ("first-mail", "email", ReasonCode.CONTENT_ERROR),
        ("first-mail", "sdr_task", ReasonCode.ALLOWED),
    ]


@pytest.mark.parametrize("play_id", PLAYS)
def test_while_a_provider_is_down_the_step_keeps_its_place_and_goes_out_once_afterwards(
    play_id: str,
) -> None:
    steps = set()
    for stand, sim in stands(play_id, "in_flight"):
        assert sim.state.active is not None
        proposal_id = sim.state.active.touch.proposal_id
        down = begun_again(sim, proposal_id)
        run, began = down.run, down.now
        back = began + HOUR
        while down.now < back:
            assert down.run.step == stand.step, "it keeps its place"
            assert not [t for _, t in made(down) if t.proposal_id == proposal_id]
            down.tick()
        down.run_to(down.now + timedelta(days=14))
        out = [(at, touch) for at, touch in made(down) if touch.proposal_id == proposal_id]
        if not out:
            # It has waited so long that it did not fit any more, and took its declared path.
            closed = down.state.closed[proposal_id]
            assert closed.reason is not ReasonCode.CHANNEL_DOWN
            continue
        assert len(out) == 1, f"{proposal_id} went out {len(out)} times"
        assert out[0][0] >= back
        steps.add(stand.step)
        assert run.run_id in {*down.state.runs, *down.state.ended_runs}
    touching = {name for name, step in policies().plays[play_id].steps.items() if isinstance(step, TouchStep)}
    assert steps == touching


def begun_again(sim: Recording, proposal_id: str) -> Recording:
    """The same account, but the provider cannot be reached, four times in a row at least."""
    down = sim.fork()
    down.receipts = {proposal_id: (ReceiptStatus.UNDELIVERED,) * 5}
    down.unanswered(proposal_id)
    return down


@pytest.mark.parametrize("play_id", PLAYS)
def test_a_version_that_cannot_be_read_any_more_ends_its_run_and_sends_nothing(play_id: str) -> None:
    ended_so = 0
    # The same plays under another digest: only the rest between touches is another one.
    other = edited(policies(), timing=("at_least: 2d", "at_least: 3d"))
    for stand, sim in stands(play_id):
        if stand.how == "pending_approval" and sim.policies.digest != policies().digest:
            continue
        run = sim.run
        sim.publish(other)
        sim.forget(run.policy_digest)
        sim.run_to(sim.now + QUARTER)
        ended = sim.state.ended_runs[run.run_id]
        assert (ended.status, ended.end_id) == (PlayStatus.EXITED, "broken"), stand
        assert f"The version {run.version[:12]} of the play {play_id} cannot be read any more." == (
            ended.end_message
        )
        assert ended.ended_at is not None
        assert not [at for at, _ in sim.handed_over(run.run_id) if at > ended.ended_at], stand
        told = [fact.run for fact in (*sim.facts, *sim.state.outbox) if isinstance(fact, PlayFact)]
        assert told[-1].end_id == "broken"
        assert any("cannot be read any more" in line.text for line in sim.state.timeline), stand
        ended_so += 1
    assert ended_so >= len(mapped(play_id).steps)
