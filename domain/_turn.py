"""One turn of the state machine: the working copy, the clock, and the few things every part does."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from domain._base import one_line
from domain._chain import LOGGED, ChainHead, next_link
from domain._messages import Block, Effect, Revoke
from domain._proposal import Content, Decision
from domain._records import (
    FactBatch,
    LedgerFact,
    ProposalFact,
    RefusalFact,
    SuppressionFact,
    TouchFact,
)
from domain._state import (
    CLOSED_LIMIT,
    ENDED_IDS_LIMIT,
    OUTBOX_LIMIT,
    SEEN_LIMIT,
    TIMELINE_LIMIT,
    AccountState,
    ClosedProposal,
    InDoubt,
    Moved,
    OpenProposal,
)
from domain._touch import Receipt
from domain._vocabulary import ProposalStatus, ReasonCode, ReceiptStatus, TouchStatus

_DISPENSABLE = ("signal", "refusal", "past_touch")
"""What a full outbox gives up, in this order; never an objection, a decision, an answer or a touch."""

_T = TypeVar("_T")


def trim(items: dict[str, _T], limit: int) -> None:
    """Forget the oldest entries beyond the limit."""
    while len(items) > limit:
        del items[next(iter(items))]


class Turn:
    """A forked state, the moment, and the effects collected so far."""

    def __init__(self, state: AccountState, now: datetime) -> None:
        self.state = state
        self.now = now
        self.effects: list[Effect] = []

    def next_seq(self) -> int:
        """Number the next ledger fact."""
        self.state.seq += 1
        return self.state.seq

    def record(self, fact: LedgerFact) -> None:
        """Queue a fact for the ledger; a full outbox gives up its oldest signals first."""
        outbox = self.state.outbox
        outbox.append(self._linked(fact))
        if len(outbox) > OUTBOX_LIMIT:
            start = self.state.projecting
            for dispensable in _DISPENSABLE:
                found = next((i for i in range(start, len(outbox)) if outbox[i].type == dispensable), None)
                if found is not None:
                    del outbox[found]
                    self.state.unprojected += 1
                    break

    def _linked(self, fact: LedgerFact) -> LedgerFact:
        """Return the fact as the next link of the decision log, if it belongs there."""
        if fact.type not in LOGGED:
            return fact
        link = next_link(self.state.account_id, self.state.chain, fact)
        self.state.chain = ChainHead(number=link.number, digest=link.digest)
        return fact.model_copy(update={"link": link})

    def note(self, text: str) -> None:
        """Add a line to the account's recent story."""
        line = Moved(at=self.now, text=one_line(text))
        self.state.timeline = (*self.state.timeline, line)[-TIMELINE_LIMIT:]

    def refuse(self, what: str, why: str) -> None:
        """Record that a message was not accepted, and why."""
        self.state.refusals += 1
        self.record(RefusalFact(seq=self.next_seq(), at=self.now, what=what, why=why[:2_000]))
        self.note(f"Refused {what}: {why}")

    def first_time(self, key: str) -> bool:
        """Remember an id; False if it was seen before."""
        if key in self.state.seen:
            return False
        self.state.seen[key] = None
        trim(self.state.seen, SEEN_LIMIT)
        return True

    def world_changed(self) -> None:
        """Make every ruling that is still on its way stale: what it judged has changed."""
        self.state.revision += 1

    def suppress(self, *facts: SuppressionFact) -> None:
        """Record objections, and have them stored ahead of everything else that waits for the ledger."""
        for fact in facts:
            self.record(fact)
        self.effects.append(Block(batch=FactBatch(account_id=self.state.account_id, facts=facts)))

    def revoke(self) -> None:
        """Ask the channel to stop the touch in flight, if there is one."""
        if self.state.active is not None:
            self.effects.append(Revoke(touch_id=self.state.active.touch.touch_id))

    def put(self, item: OpenProposal) -> None:
        """Store an open proposal under its id."""
        self.state.open[item.proposal.proposal_id] = item

    def tell(
        self,
        item: OpenProposal,
        status: ProposalStatus,
        reason: ReasonCode | None = None,
        message: str | None = None,
    ) -> None:
        """Tell the ledger where a proposal stands."""
        self.record(
            ProposalFact(
                seq=self.next_seq(),
                at=self.now,
                proposal=item.proposal,
                status=status,
                reason=reason,
                message=one_line(message) if message is not None else None,
            )
        )

    def _raise_doubt(self, doubt: InDoubt) -> None:
        """Put a touch before a person; until it is settled it counts against every cap."""
        touch = doubt.touch
        self.state.in_doubt[touch.touch_id] = doubt
        record = self.state.touches.get(touch.touch_id)
        if record is not None:
            unknown = record.model_copy(update={"status": TouchStatus.UNKNOWN})
            self.state.touches[touch.touch_id] = unknown
        receipt = Receipt(
            touch_id=touch.touch_id, status=ReceiptStatus.UNKNOWN, at=self.now, detail=doubt.detail[:1_000]
        )
        self.record(
            TouchFact(
                seq=self.next_seq(), at=self.now, touch=touch, status=TouchStatus.UNKNOWN, receipt=receipt
            )
        )
        self.world_changed()

    def close(
        self,
        item: OpenProposal,
        status: ProposalStatus,
        reason: ReasonCode,
        message: str,
        decision: Decision | None = None,
    ) -> None:
        """End a proposal: it reaches exactly one final status and leaves the open ones.

        One that ends unsent although an earlier attempt may have reached its provider ends in doubt.
        """
        if item.doubt is not None and status is not ProposalStatus.SENT:
            self._raise_doubt(item.doubt)
            message = f"{message}; an earlier attempt may have reached {item.proposal.channel}"
            status, reason = ProposalStatus.IN_DOUBT, ReasonCode.IN_DOUBT
        proposal_id = item.proposal.proposal_id
        del self.state.open[proposal_id]
        self.state.closed[proposal_id] = ClosedProposal(
            # What it said is in the ledger; the account needs its identity and its reasons.
            proposal=item.proposal.model_copy(
                update={"content": Content(subject=item.proposal.content.subject)}
            ),
            status=status,
            reason=reason,
            message=one_line(message),
            closed_at=self.now,
            decision=decision or item.decision,
        )
        trim(self.state.closed, CLOSED_LIMIT)
        self.state.ended[proposal_id] = item.first_digest or item.digest
        trim(self.state.ended, ENDED_IDS_LIMIT)
        self.tell(item, status, reason, message)
        self.note(f"{item.proposal.actor}: {item.proposal.action} {status.value} ({reason.value})")
