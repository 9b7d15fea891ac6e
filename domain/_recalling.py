"""Taking touches back: a task nobody has done yet, a place in an audience, a segment on the site."""

from __future__ import annotations

from datetime import timedelta

from domain._base import one_line
from domain._messages import RecallAsked, RecallReturned, TakeBack
from domain._records import RecallFact
from domain._state import RECALL_LIMIT, Recalling
from domain._touch import Recall, TouchRecord
from domain._turn import Turn
from domain._vocabulary import RecallStatus, TouchStatus

RETRY_AFTER = timedelta(minutes=15)
"""When a recall is tried again that its channel could not do."""
ATTEMPTS = 20
"""How often: about five hours, by when a person should have seen why."""


def ask(turn: Turn, event: RecallAsked) -> None:
    """Take a touch back because a person wants it."""
    touch = turn.state.touches.get(event.touch_id)
    if touch is None:
        turn.refuse("recall", f"touch {event.touch_id} is not known on this account")
    elif touch.recall_queue is None or touch.status is TouchStatus.RELEASED:
        turn.refuse("recall", f"{event.touch_id} cannot be taken back: {touch.channel} has no way to do it")
    elif touch.recalled_at is None:
        begin(turn, touch, f"{event.asked_by}: {event.reason}")


def begin(turn: Turn, touch: TouchRecord, reason: str) -> None:
    """Have a touch taken back, unless its channel cannot or has done so."""
    recalling = turn.state.recalling
    if touch.recall_queue is None or touch.recalled_at is not None or touch.touch_id in recalling:
        return
    if len(recalling) >= RECALL_LIMIT:
        turn.refuse("recall", f"{touch.touch_id}: at most {RECALL_LIMIT} recalls run at a time")
        return
    recall = Recall(
        touch_id=touch.touch_id,
        account_id=turn.state.account_id,
        channel=touch.channel,
        action=touch.action,
        contact_id=touch.contact_id,
        provider_ref=touch.provider_ref,
        reason=one_line(reason),
    )
    recalling[touch.touch_id] = Recalling(recall=recall, task_queue=touch.recall_queue)
    turn.effects.append(TakeBack(recall=recall, task_queue=touch.recall_queue))


def returned(turn: Turn, event: RecallReturned) -> None:
    """Take what the channel says about a recall."""
    told = event.recalled
    waiting = turn.state.recalling.get(told.touch_id)
    if waiting is None:
        turn.refuse("recall", f"touch {told.touch_id} is not being taken back on this account")
        return
    attempts = waiting.attempts + 1
    if told.status is RecallStatus.FAILED and attempts < ATTEMPTS:
        again = {"attempts": attempts, "due_at": turn.now + RETRY_AFTER}
        turn.state.recalling[told.touch_id] = waiting.model_copy(update=again)
        return
    del turn.state.recalling[told.touch_id]
    reason = waiting.recall.reason
    turn.record(RecallFact(seq=turn.next_seq(), at=turn.now, recalled=told, reason=reason))
    turn.note(f"{waiting.recall.action} over {waiting.recall.channel} {_IN_WORDS[told.status]} ({reason})")
    touch = turn.state.touches.get(told.touch_id)
    if touch is not None and told.status is RecallStatus.RECALLED:
        turn.state.touches[told.touch_id] = touch.model_copy(update={"recalled_at": turn.now})


def try_again_when_due(turn: Turn) -> None:
    """Repeat recalls that their channels could not do."""
    for touch_id, waiting in tuple(turn.state.recalling.items()):
        if waiting.due_at is not None and waiting.due_at <= turn.now:
            turn.state.recalling[touch_id] = waiting.model_copy(update={"due_at": None})
            turn.effects.append(TakeBack(recall=waiting.recall, task_queue=waiting.task_queue))


def resume(turn: Turn) -> None:
    """Ask again for the recalls that were under way when a run of the workflow ended."""
    for waiting in turn.state.recalling.values():
        if waiting.due_at is None:
            turn.effects.append(TakeBack(recall=waiting.recall, task_queue=waiting.task_queue))


_IN_WORDS = {
    RecallStatus.RECALLED: "was taken back",
    RecallStatus.GONE: "needs no taking back: it is gone",
    RecallStatus.IMPOSSIBLE: "cannot be taken back",
    RecallStatus.FAILED: "could not be taken back; look at the channel",
}
