"""One turn of the state machine: the working copy, the clock, and the few things every part does."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from domain._messages import Effect
from domain._proposal import Decision
from domain._records import (
    LedgerFact,
    ProposalFact,
    RefusalFact,
)
from domain._state import (
    CLOSED_LIMIT,
    ENDED_IDS_LIMIT,
    OUTBOX_LIMIT,
    SEEN_LIMIT,
    TIMELINE_LIMIT,
    AccountState,
    ClosedProposal,
    Moved,
    OpenProposal,
)
from domain._vocabulary import ProposalStatus, ReasonCode

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
        outbox.append(fact)
        if len(outbox) > OUTBOX_LIMIT:
            start = self.state.projecting
            waiting = range(start, len(outbox))
            del outbox[next((i for i in waiting if outbox[i].type == "signal"), start)]
            self.state.unprojected += 1

    def note(self, text: str) -> None:
        """Add a line to the account's recent story."""
        line = Moved(at=self.now, text=text[:300])
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
                message=message,
            )
        )

    def close(
        self,
        item: OpenProposal,
        status: ProposalStatus,
        reason: ReasonCode,
        message: str,
        decision: Decision | None = None,
    ) -> None:
        """End a proposal: it reaches exactly one final status and leaves the open ones."""
        proposal_id = item.proposal.proposal_id
        del self.state.open[proposal_id]
        self.state.closed[proposal_id] = ClosedProposal(
            proposal=item.proposal,
            status=status,
            reason=reason,
            message=message[:300],
            closed_at=self.now,
            decision=decision or item.decision,
        )
        trim(self.state.closed, CLOSED_LIMIT)
        self.state.ended[proposal_id] = item.digest
        trim(self.state.ended, ENDED_IDS_LIMIT)
        self.tell(item, status, reason, message[:300])
        self.note(f"{item.proposal.actor}: {item.proposal.action} {status.value} ({reason.value})")
