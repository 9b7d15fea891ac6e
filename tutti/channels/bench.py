"""What the probes of the check work with: calls, answers that are read strictly, and the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from activities.channels import receipt_for
from domain import FactBatch, Recall, Recalled, Receipt, ReceiptStatus, Touch, TouchFact, TouchStatus
from ledger import Ledger
from tutti.channels.calling import Caller
from tutti.channels.subject import Subject, Touches, as_json
from workflows import ChannelReply, ReplyKind

HAND_OVER: Final = "hand_over"
RECALL: Final = "recall"

_LONGEST_QUOTE = 200
_Model = TypeVar("_Model", bound=BaseModel)


class BrokenError(Exception):
    """The channel does not do what is demanded; the text says what it did instead."""


class SkippedError(Exception):
    """A demand cannot be put to this channel; the text says why."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a probe needs.

    Attributes:
        subject: The channel under test.
        touches: Makes touches.
        caller: Calls the worker.
        ledger: An open ledger, the one that the worker or its gateway asks.
        made: The touches that were made so far.
    """

    subject: Subject
    touches: Touches
    caller: Caller
    ledger: Ledger
    made: list[Touch] = field(default_factory=list)

    async def allowed(self, label: str, **changes: object) -> Touch:
        """Make a touch that the last look before the hand-over lets through.

        It takes its place in all limits as one of an account does, until `give_back`.

        Args:
            label: Becomes a part of its ids.
            changes: Fields that differ.
        """
        touch = self.touches.touch(label, **changes)
        self.made.append(touch)
        await self._record(touch, TouchStatus.IN_FLIGHT)
        return touch

    async def give_back(self) -> None:
        """End the touches of this run: they count against no limit, and none of their claims stays open."""
        for touch in self.made:
            await self._record(touch, TouchStatus.RELEASED)
        made = {touch.touch_id: touch for touch in self.made}
        for claim in await self.ledger.open_claims():
            if claim.touch_id in made:
                doubt = receipt_for(made[claim.touch_id], ReceiptStatus.UNKNOWN, "left open by a check")
                await self.ledger.settle(doubt)

    async def _record(self, touch: Touch, status: TouchStatus) -> None:
        # Contents and persons stay out: limits count touches, and the check is nobody's history.
        known = touch.model_copy(update={"recipient": None, "text": "", "html": None, "fields": {}})
        seq = 2 * self.made.index(touch) + (status is TouchStatus.RELEASED)
        fact = TouchFact(seq=seq, at=datetime.now(UTC), touch=known, status=status)
        await self.ledger.record(FactBatch(account_id=touch.account_id, facts=(fact,)))

    async def hand_over(self, touch: Touch) -> Receipt:
        """Hand a touch over and demand a receipt for it.

        Raises:
            BrokenError: There was none.
        """
        return self.receipt_in(await self.caller.call(HAND_OVER, as_json(touch)), touch.touch_id)

    async def recall(self, touch: Touch, provider_ref: str | None) -> Recalled:
        """Take a touch back and demand an answer for it.

        Raises:
            BrokenError: There was none.
        """
        recall = Recall(
            touch_id=touch.touch_id,
            account_id=touch.account_id,
            channel=touch.channel,
            action=touch.action,
            contact_id=touch.recipient.contact_id if touch.recipient else None,
            provider_ref=provider_ref,
            reason="end of a conformance check",
        )
        reply = await self.caller.call(RECALL, recall.model_dump(mode="json"))
        return _read(reply, Recalled, touch.touch_id)

    @staticmethod
    def receipt_in(reply: ChannelReply, touch_id: str) -> Receipt:
        """Read a receipt as strictly as its schema.

        Raises:
            BrokenError: The call did not end with a receipt for that touch.
        """
        return _read(reply, Receipt, touch_id)

    @property
    def patience(self) -> timedelta:
        """How long a worker may take to notice that it shall stop: a heartbeat, and a moment for the way."""
        return timedelta(seconds=self.subject.handover.heartbeat_seconds + 2)


def _read(reply: ChannelReply, model: type[_Model], touch_id: str) -> _Model:
    if reply.kind is not ReplyKind.ANSWERED:
        no_answer(reply)
    try:
        answer = model.model_validate_json(json.dumps(reply.value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BrokenError(
            f"the answer is no {model.__name__.lower()}: {place}: {first['msg']}; "
            f"it said {quoted(reply.value)}"
        ) from None
    answered_for = answer.model_dump().get("touch_id")
    if answered_for != touch_id:
        raise BrokenError(f"the answer is for {quoted(answered_for)}, but the touch is {touch_id}")
    return answer


def no_answer(reply: ChannelReply) -> NoReturn:
    """Say how a call ended that should have ended with an answer.

    Raises:
        BrokenError: Always.
    """
    match reply.kind:
        case ReplyKind.NOT_TAKEN:
            what = "no worker took the call from the queue: it polls no more, or is busy all the time"
        case ReplyKind.SILENT:
            what = (
                f"the worker took the call and went silent ({reply.error_type}): it must heartbeat and answer"
            )
        case ReplyKind.UNREADABLE:
            what = f"the answer is no JSON ({reply.message}): payloads are json/plain"
        case ReplyKind.CANCELLED:
            what = "the worker says that it was cancelled, and nobody asked for that"
        case _:
            what = f"the worker raised {reply.error_type or 'an error'}: {quoted(reply.message)}"
    raise BrokenError(what)


def quoted(value: Any) -> str:  # noqa: ANN401 - whatever a worker said
    """Return what a worker said on one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
