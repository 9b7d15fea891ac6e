"""Taking touches back, and settling those in doubt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import (
    Delivery,
    Observed,
    PlayExit,
    PlayStatus,
    ProposalStatus,
    ReasonCode,
    RecallAsked,
    Recalled,
    RecallReturned,
    RecallStatus,
    ReceiptStatus,
    Settlement,
    SignalKind,
    TakeBack,
    TouchSettled,
    TouchStatus,
    Verdict,
    resume,
)
from tests.builders import HANDOVER, Shell, play_proposal, play_run, proposal, signal

TAKES_BACK = HANDOVER.model_copy(update={"recalls": True})
LOST = PlayExit(exit_id="lost", on=(SignalKind.DEAL_LOST,), message="The deal is lost.")
WON = PlayExit(exit_id="goal", on=(SignalKind.MEETING_BOOKED,), message="A meeting.", goal=True)


def tasked(*exits: PlayExit) -> Shell:
    """An account whose run has made a touch that can be taken back."""
    run = play_run(exits=exits, recalls=("first",))
    shell = Shell(Observed(observation=signal(kind=SignalKind.INTENT_SURGE, enters=("surge",))))
    shell.plan(entered=run, proposals=(play_proposal(run),))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW}, handover=TAKES_BACK)
    shell.deliver(provider_ref="task-7")
    return shell


def seen(shell: Shell, kind: SignalKind) -> None:
    shell.send(Observed(observation=signal(kind.value, kind=kind, observed_at=shell.now)))


def answer(shell: Shell, asked: TakeBack, status: RecallStatus) -> None:
    recalled = Recalled(touch_id=asked.recall.touch_id, status=status, at=shell.now)
    shell.send(RecallReturned(recalled=recalled))


def test_a_run_that_ends_short_of_its_goal_takes_back_what_it_left_behind() -> None:
    shell = tasked(LOST)
    seen(shell, SignalKind.DEAL_LOST)
    asked = shell.recall()
    assert asked.task_queue == TAKES_BACK.task_queue
    assert asked.recall.provider_ref == "task-7"
    answer(shell, asked, RecallStatus.RECALLED)
    touch = shell.state.touches[asked.recall.touch_id]
    assert touch.recalled_at == shell.now
    assert touch.status is TouchStatus.HANDED_OVER, "it was seen, so it counts"
    assert shell.state.recalling == {}


def test_a_run_that_has_come_to_its_last_step_takes_nothing_back() -> None:
    shell = tasked(LOST)
    (run,) = shell.state.runs.values()
    over = {"status": PlayStatus.COMPLETED, "end_id": "end", "ended_at": shell.now, "pending": ()}
    shell.plan(run=run.model_copy(update=over))
    assert not shell.state.runs
    assert not [effect for effect in shell.effects if isinstance(effect, TakeBack)]


def test_a_run_that_reached_its_goal_takes_nothing_back() -> None:
    shell = tasked(WON)
    seen(shell, SignalKind.MEETING_BOOKED)
    assert not [effect for effect in shell.effects if isinstance(effect, TakeBack)]


def test_a_recall_that_fails_is_tried_again_and_survives_a_new_run_of_the_workflow() -> None:
    shell = tasked(LOST)
    seen(shell, SignalKind.DEAL_LOST)
    first = shell.recall()
    again = [effect for effect in resume(shell.state, shell.now).effects if isinstance(effect, TakeBack)]
    assert again == [first]
    answer(shell, first, RecallStatus.FAILED)
    assert not [effect for effect in shell.effects if isinstance(effect, TakeBack)]
    shell.wait(minutes=15)
    assert shell.recall() == first


def test_a_recall_is_given_up_in_the_end_and_told() -> None:
    shell = tasked(LOST)
    seen(shell, SignalKind.DEAL_LOST)
    for _ in range(20):
        answer(shell, shell.recall(), RecallStatus.FAILED)
        shell.wait(minutes=15)
    assert shell.state.recalling == {}
    assert any("could not be taken back" in line.text for line in shell.state.timeline)


def test_a_person_takes_a_touch_back_once() -> None:
    shell = tasked()
    event = RecallAsked(touch_id="northwind/surge.1.first.1/1", asked_by="dana.reyes", reason="wrong person")
    shell.send(event, event)
    assert shell.recall().recall.reason == "dana.reyes: wrong person"


def test_what_cannot_be_taken_back_is_refused() -> None:
    shell = Shell()
    shell.send(RecallAsked(touch_id="northwind/nothing/1", asked_by="dana.reyes", reason="x"))
    assert shell.state.refusals == 1
    assert shell.effects == [effect for effect in shell.effects if not isinstance(effect, TakeBack)]


def test_an_answer_to_a_recall_that_nobody_asked_for_is_refused() -> None:
    shell = tasked()
    told = Recalled(touch_id="northwind/surge.1.first.1/1", status=RecallStatus.RECALLED, at=shell.now)
    shell.send(RecallReturned(recalled=told))
    assert shell.state.refusals == 1


def doubtful() -> Shell:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNKNOWN)
    return shell


@pytest.mark.parametrize(
    ("found", "touch", "ended"),
    [
        (Settlement.HANDED_OVER, TouchStatus.HANDED_OVER, ProposalStatus.SENT),
        (Settlement.NOT_HANDED_OVER, TouchStatus.RELEASED, ProposalStatus.FAILED),
    ],
)
def test_a_person_settles_a_touch_in_doubt(
    found: Settlement, touch: TouchStatus, ended: ProposalStatus
) -> None:
    shell = doubtful()
    (touch_id,) = shell.state.in_doubt
    event = TouchSettled(touch_id=touch_id, settlement=found, settled_by="dana.reyes", comment="looked it up")
    shell.send(event)
    assert shell.state.in_doubt == {}
    assert shell.state.touches[touch_id].status is touch
    assert shell.state.closed["p1"].status is ended
    assert "settlement" in shell.project() or "settlement" in [fact.type for fact in shell.state.outbox]
    shell.send(event)
    assert shell.state.refusals == 1, "it is settled once"


def test_a_touch_that_was_not_handed_over_gives_its_place_back() -> None:
    shell = doubtful()
    (touch_id,) = shell.state.in_doubt
    assert len(shell.state.counted_touches()) == 1
    shell.send(
        TouchSettled(
            touch_id=touch_id,
            settlement=Settlement.NOT_HANDED_OVER,
            settled_by="dana.reyes",
            comment="not in the log",
        )
    )
    assert shell.state.counted_touches() == ()


@pytest.mark.parametrize(
    ("wait", "due"), [(timedelta(hours=1), timedelta(hours=1)), (timedelta(days=30), timedelta(days=1))]
)
def test_a_rate_limit_says_when_the_touch_is_ruled_on_again(wait: timedelta, due: timedelta) -> None:
    shell = Shell()
    shell.propose(proposal())
    shell.wait(seconds=3)
    shell.rule({"p1": Verdict.ALLOW})
    shell.deliver(ReceiptStatus.UNDELIVERED, retry_at=shell.now + wait)
    item = shell.state.open["p1"]
    assert item.status is ProposalStatus.DEFERRED
    assert item.due_at == shell.now + due
    assert shell.state.outbox[-1].type == "proposal" or any(
        fact.type == "proposal" and fact.reason is ReasonCode.RATE_LIMITED for fact in shell.state.outbox
    )


def test_what_a_channel_makes_although_the_run_has_ended_is_taken_back_as_well() -> None:
    run = play_run(exits=(LOST,), recalls=("first",))
    shell = Shell(Observed(observation=signal(kind=SignalKind.INTENT_SURGE, enters=("surge",))))
    shell.plan(entered=run, proposals=(play_proposal(run),))
    shell.wait(seconds=3)
    shell.rule({"surge.1.first.1": Verdict.ALLOW}, handover=TAKES_BACK)
    seen(shell, SignalKind.DEAL_LOST)
    assert not [effect for effect in shell.effects if isinstance(effect, TakeBack)]
    shell.deliver(provider_ref="task-7")
    assert shell.recall().recall.provider_ref == "task-7"


@pytest.mark.parametrize(
    ("delivery", "taken_back"), [(Delivery.IDEMPOTENT, True), (Delivery.AT_MOST_ONCE, False)]
)
def test_what_a_provider_may_have_taken_without_saying_so_is_taken_back_as_well(
    delivery: Delivery, *, taken_back: bool
) -> None:
    run = play_run(exits=(LOST,), recalls=("first",))
    shell = Shell(Observed(observation=signal(kind=SignalKind.INTENT_SURGE, enters=("surge",))))
    shell.plan(entered=run, proposals=(play_proposal(run),))
    shell.wait(seconds=3)
    handover = TAKES_BACK.model_copy(update={"delivery": delivery})
    shell.rule({"surge.1.first.1": Verdict.ALLOW}, handover=handover)
    shell.deliver(ReceiptStatus.UNDELIVERED)
    (touch,) = shell.state.touches.values()
    assert touch.status is TouchStatus.RELEASED, "it takes no place in a cap"
    seen(shell, SignalKind.DEAL_LOST)
    assert bool([effect for effect in shell.effects if isinstance(effect, TakeBack)]) is taken_back
