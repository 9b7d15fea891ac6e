"""The conformance suite: what is demanded of a channel's worker, one probe a demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from domain import (
    HAND_OVER_ATTEMPTS,
    RecallStatus,
    Receipt,
    ReceiptStatus,
    Stop,
    StopScope,
    Touch,
    person_key,
)
from ledger import ClaimState
from tutti.channels.bench import HAND_OVER, Bench, BrokenError, SkippedError, no_answer, quoted
from tutti.channels.subject import OBJECTOR, as_json
from workflows import ChannelReply, ReplyKind

Check = Callable[[Bench], Awaitable[str]]
"""Puts one demand; returns what was seen. Raises `BrokenError` or `SkippedError`."""

_AT_ONCE: Final = 5
_SOON: Final = timedelta(milliseconds=50)
_NOT_HANDED_OVER: Final = frozenset({ReceiptStatus.BLOCKED, ReceiptStatus.UNDELIVERED})

HOSTILE_SUBJECT: Final = "Re: {{7*7}} ${x} %s <b>\u202eevil\u2028\ufeff"
HOSTILE_TEXT: Final = (
    "nul \x00, bell \x07, escape \x1b[31m\r\nBcc: everybody@example.com\r\n.\r\nQUIT\r\n"
    "<script>alert(1)</script> \"';-- {{7*7}} ${jndi:ldap://x} %n%s ../../etc/passwd\n"
    "\u202eright to left\u202c \u2028 \ufeff e\u0301 \U0001f469\u200d\U0001f680 \ufffe \U0010ffff"
)
LONG_TEXT: Final = ("A long text says the same again and again. " * 500)[:20_000]


@dataclass(frozen=True, slots=True)
class Probe:
    """One demand.

    Attributes:
        name: Its name, for `--probe` and in reports.
        demand: What is demanded, in one line.
        check: Puts it to the worker.
    """

    name: str
    demand: str
    check: Check


async def _takes_a_touch(bench: Bench) -> str:
    receipt = await bench.hand_over(await bench.allowed("takes-a-touch"))
    _accepted(receipt)
    if not abs(receipt.at - datetime.now(UTC)) < timedelta(minutes=10):
        raise BrokenError(
            f"the receipt's moment {receipt.at.isoformat()} is not now: its clock or zone is wrong"
        )
    return f"accepted, provider_ref {receipt.provider_ref}"


async def _same_again(bench: Bench) -> str:
    touch = await bench.allowed("same-again")
    first = await bench.hand_over(touch)
    second = await bench.hand_over(touch)
    if (first.status, first.provider_ref) != (second.status, second.provider_ref):
        raise BrokenError(
            f"first {first.status.value} {first.provider_ref}, then {second.status.value} "
            f"{second.provider_ref}: the same touch_id is the same touch, in every attempt and run"
        )
    return f"{second.status.value} with the same provider_ref"


async def _unknown_fields(bench: Bench) -> str:
    touch = await bench.allowed("unknown-fields")
    sent = as_json(touch) | {"from_a_later_version": {"nested": [1, None]}}
    sent["recipient"] = {**sent["recipient"], "from_a_later_version": "x"}
    receipt = bench.receipt_in(await bench.caller.call(HAND_OVER, sent), touch.touch_id)
    _accepted(receipt)
    return "accepted"


async def _nobody(bench: Bench) -> str:
    if not bench.subject.needs_person:
        raise SkippedError("the channel needs nobody: `needs: nothing` in channels.yaml")
    receipt = await bench.hand_over(await bench.allowed("nobody", recipient=None))
    if receipt.status not in {ReceiptStatus.REJECTED, ReceiptStatus.BLOCKED}:
        raise BrokenError(
            f"a touch for nobody was {receipt.status.value}; say rejected or blocked, it never becomes better"
        )
    return receipt.status.value


MALFORMED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "an empty object": {},
        "a text": "touch",
        "nothing": None,
        "fields of the wrong type": {"touch_id": 7, "account_id": [], "recipient": "x", "text": {}},
    }
)
"""What is sent that is nothing like a touch."""


async def _malformed(bench: Bench) -> str:
    whole = as_json(bench.touches.touch("malformed"))
    sent = dict(MALFORMED) | {
        "a touch without an id": {key: value for key, value in whole.items() if key != "touch_id"},
        "a recipient without an id": whole | {"recipient": {"email": bench.touches.to}},
    }
    # All at once: the engine waits a second before each further attempt.
    replies = await asyncio.gather(
        *(bench.caller.call(HAND_OVER, argument, attempts=HAND_OVER_ATTEMPTS) for argument in sent.values())
    )
    for what, reply in zip(sent, replies, strict=True):
        if reply.kind is ReplyKind.ANSWERED:
            status = reply.value.get("status") if isinstance(reply.value, dict) else reply.value
            if status not in {"rejected", "undelivered", "blocked"}:
                raise BrokenError(f"it took {what} for a touch and answered {quoted(reply.value)}")
        elif reply.kind is not ReplyKind.FAILED:
            raise BrokenError(f"it neither refused {what} nor raised an error: {_ending(reply)}")
    receipt = await bench.hand_over(await bench.allowed("after-malformed"))
    return f"refused {len(sent)} of {len(sent)}; the next touch was {receipt.status.value}"


async def _hostile_text(bench: Bench) -> str:
    touch = await bench.allowed("hostile", subject=HOSTILE_SUBJECT, text=HOSTILE_TEXT)
    return _sensible(await bench.hand_over(touch))


async def _long_text(bench: Bench) -> str:
    return _sensible(await bench.hand_over(await bench.allowed("long", text=LONG_TEXT)))


async def _suppressed(bench: Bench) -> str:
    touch = await bench.allowed(
        "suppressed", recipient={"contact_id": "objector", "name": "Objector", "email": OBJECTOR}
    )
    await bench.ledger.suppress(
        person_key(OBJECTOR),
        account_id="conformance",
        contact_id="objector",
        source="conformance",
        at=datetime.now(UTC),
    )
    receipt = await bench.hand_over(touch)
    if receipt.status is not ReceiptStatus.BLOCKED:
        raise BrokenError(
            f"the person objected, and the receipt says {receipt.status.value}; ask the gateway's hand-over "
            "API or `preflight` right before the provider is called, and return blocked"
        )
    return "blocked"


async def _stopped(bench: Bench) -> str:
    account_id = f"{bench.touches.account_id}-stopped"
    touch = await bench.allowed("stopped", account_id=account_id)
    now = datetime.now(UTC)
    stop = Stop(
        stop_id=account_id,
        scope=StopScope.ACCOUNT,
        name=account_id,
        reason="conformance check",
        placed_by="conformance",
        placed_at=now,
    )
    await bench.ledger.place_stop(stop)
    try:
        receipt = await bench.hand_over(touch)
    finally:
        await bench.ledger.lift_stop(stop.stop_id, by="conformance", reason="end of the check", at=now)
    return _held_back(receipt, "a kill switch stands over the account")


async def _given_back(bench: Bench) -> str:
    receipt = await bench.hand_over(bench.touches.touch("given-back"))
    return _held_back(receipt, "the place that the ruling took in all limits was given back")


async def _too_late(bench: Bench) -> str:
    touch = await bench.allowed("too-late", good_until=datetime.now(UTC) - timedelta(minutes=1))
    receipt = await bench.hand_over(touch)
    return _held_back(receipt, "good_until has passed")


async def _claimed(bench: Bench) -> str:
    _for_at_most_once(bench)
    touch = await bench.allowed("claimed")
    receipt = await bench.hand_over(touch)
    claim = await bench.ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
    if claim.receipt is None:
        if claim.state is ClaimState.NEW:
            await bench.ledger.settle(
                receipt
            )  # this look has claimed it; a claim must not stay open behind the check
        raise BrokenError(
            f"the ledger holds {'no claim' if claim.state is ClaimState.NEW else 'a claim without receipt'}: "
            "claim before the provider is called and settle with the receipt, or a crash sends twice"
        )
    if claim.receipt.status is not receipt.status:
        raise BrokenError(
            f"it returned {receipt.status.value} and settled with {claim.receipt.status.value}: "
            "both must agree"
        )
    return f"claimed, and settled as {claim.receipt.status.value}"


async def _left_open(bench: Bench) -> str:
    _for_at_most_once(bench)
    touch = await bench.allowed("left-open")
    await bench.ledger.claim(touch.touch_id, channel=touch.channel, at=datetime.now(UTC))
    receipt = await bench.hand_over(touch)
    if receipt.status is not ReceiptStatus.UNKNOWN:
        raise BrokenError(
            f"an earlier attempt may have sent it, and the receipt says {receipt.status.value}: say unknown, "
            "and hand nothing over"
        )
    return "unknown"


async def _cancelled(bench: Bench) -> str:
    touch = await bench.allowed("cancelled")
    reply = await bench.caller.call(
        HAND_OVER, as_json(touch), cancel_after=_SOON, within=_SOON + bench.patience
    )
    if reply.kind is ReplyKind.CANCELLED:
        return "cancelled"
    if reply.kind is ReplyKind.SILENT:
        raise BrokenError(
            f"it neither stopped nor answered within {bench.patience.total_seconds():g} s: heartbeat, and "
            "look for the cancellation"
        )
    receipt = bench.receipt_in(reply, touch.touch_id)
    return f"ended with a receipt: {receipt.status.value}"


async def _at_once(bench: Bench) -> str:
    touches = [await bench.allowed(f"at-once-{number}") for number in range(_AT_ONCE)]
    receipts = await asyncio.gather(*(bench.hand_over(touch) for touch in touches))
    for receipt in receipts:
        _accepted(receipt)
    known = [receipt.provider_ref for receipt in receipts if receipt.provider_ref is not None]
    if len(set(known)) == len(known):
        return f"{_AT_ONCE} receipts, each for its own touch"
    # A provider may know touches by what they are about, such as a member of an audience: also one by one.
    alone = [await bench.hand_over(await bench.allowed(f"alone-{number}")) for number in range(2)]
    if alone[0].provider_ref is None or alone[0].provider_ref != alone[1].provider_ref:
        raise BrokenError(f"touches that ran at once share a provider_ref: {', '.join(known)}")
    return f"{_AT_ONCE} receipts; the provider knows touches of one person by one name"


async def _recalled(bench: Bench) -> str:
    touch, receipt = await _to_take_back(bench, "recalled")
    answer = await bench.recall(touch, receipt.provider_ref)
    if answer.status is not RecallStatus.RECALLED:
        raise BrokenError(f"the touch was accepted a moment ago, and taking it back is {answer.status.value}")
    return "recalled"


async def _recalled_again(bench: Bench) -> str:
    touch, receipt = await _to_take_back(bench, "recalled-again")
    await bench.recall(touch, receipt.provider_ref)
    answer = await bench.recall(touch, receipt.provider_ref)
    if answer.status not in {RecallStatus.RECALLED, RecallStatus.GONE}:
        raise BrokenError(f"the second time it says {answer.status.value}; say recalled or gone")
    return answer.status.value


async def _recalled_unknown(bench: Bench) -> str:
    _for_recalls(bench)
    answer = await bench.recall(bench.touches.touch("never-handed-over"), None)
    if answer.status not in {RecallStatus.GONE, RecallStatus.IMPOSSIBLE}:
        raise BrokenError(
            f"nobody knows that touch, and it says {answer.status.value}; say gone or impossible"
        )
    return answer.status.value


def _for_at_most_once(bench: Bench) -> None:
    if not bench.subject.at_most_once:
        raise SkippedError("the channel is idempotent: its provider tells repetitions apart")


def _for_recalls(bench: Bench) -> None:
    if not bench.subject.handover.recalls:
        raise SkippedError("the channel takes nothing back: no `recall: true` in channels.yaml")


async def _to_take_back(bench: Bench, label: str) -> tuple[Touch, Receipt]:
    _for_recalls(bench)
    touch = await bench.allowed(label)
    receipt = await bench.hand_over(touch)
    _accepted(receipt)
    return touch, receipt


def _accepted(receipt: Receipt) -> None:
    if receipt.status is not ReceiptStatus.ACCEPTED:
        raise BrokenError(
            f"the receipt says {receipt.status.value}: {quoted(receipt.detail or '')}; if the provider wants "
            "somebody or something else, say so with --to, --action or --field"
        )


def _sensible(receipt: Receipt) -> str:
    if receipt.status not in {ReceiptStatus.ACCEPTED, ReceiptStatus.REJECTED}:
        raise BrokenError(
            f"the receipt says {receipt.status.value}: {quoted(receipt.detail or '')}; say accepted, or "
            "rejected if the provider never takes such a text"
        )
    return receipt.status.value


def _held_back(receipt: Receipt, why: str) -> str:
    if receipt.status not in _NOT_HANDED_OVER:
        raise BrokenError(
            f"{why}, and the receipt says {receipt.status.value}; ask the gateway's hand-over API or "
            "`preflight` right before the provider is called, and return the receipt it gives"
        )
    return receipt.status.value


def _ending(reply: ChannelReply) -> str:
    try:
        no_answer(reply)
    except BrokenError as error:
        return str(error)


PROBES: Final = (
    Probe(
        "takes-a-touch", "a well-formed touch is handed over, and its receipt fits the schema", _takes_a_touch
    ),
    Probe("same-again", "the same touch again is the same outcome, not a second hand-over", _same_again),
    Probe("claimed", "an at-most-once touch is claimed before it is handed over, and settled", _claimed),
    Probe("left-open", "a touch that an earlier attempt left open is unknown, not sent again", _left_open),
    Probe("unknown-fields", "fields that a later version adds are ignored", _unknown_fields),
    Probe(
        "no-recipient", "a touch for nobody is refused where somebody is needed, and nothing crashes", _nobody
    ),
    Probe(
        "malformed",
        "what is no touch is refused at once, in every attempt, and the worker goes on",
        _malformed,
    ),
    Probe("hostile-text", "control characters, markup and injections are data", _hostile_text),
    Probe("long-text", "20,000 characters are accepted or rejected, not choked on", _long_text),
    Probe("suppressed", "somebody who objected is not contacted", _suppressed),
    Probe("stopped", "a kill switch holds", _stopped),
    Probe("given-back", "a touch whose place in the limits was given back is not handed over", _given_back),
    Probe("too-late", "nothing is handed over after good_until", _too_late),
    Probe(
        "cancelled", "a cancelled hand-over ends within the heartbeat time-out, with the truth", _cancelled
    ),
    Probe("at-once", "five touches at once get five receipts, none of them mixed up", _at_once),
    Probe("recalled", "a touch is taken back", _recalled),
    Probe("recalled-again", "a touch that was taken back is recalled or gone", _recalled_again),
    Probe(
        "recalled-unknown", "a touch that nobody knows is gone, or impossible to take back", _recalled_unknown
    ),
)
"""The suite, in the order in which it runs."""
