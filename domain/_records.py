"""What the account tells the ledger: facts in order, each of them safe to write twice."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from domain._account import Account, Contact, Hold, PastTouch, Signal
from domain._approval import AnswerResult, Approval, ApprovalAnswer, ApprovalStep, WindowGrant
from domain._base import Frozen, Identifier, LongText, Moment, ShortText
from domain._chain import Link
from domain._play import PlayRun
from domain._proposal import Decision, Proposal
from domain._touch import Outcome, Recalled, Receipt, Touch
from domain._vocabulary import ProposalStatus, ReasonCode, Settlement, TouchStatus


class Fact(Frozen):
    """Base of all ledger facts.

    `seq` counts the facts of one account without gaps; of two facts about one thing the later wins,
    so that a batch can be written any number of times and in any order.
    """

    seq: int
    at: Moment
    link: Link | None = None
    """Its place in the decision log; None for facts that are not part of it."""


class AccountFact(Fact):
    """The account's profile was learnt or changed."""

    type: Literal["account"] = "account"
    account: Account


class ContactFact(Fact):
    """A contact was learnt or changed."""

    type: Literal["contact"] = "contact"
    contact: Contact


class SignalFact(Fact):
    """A signal was absorbed."""

    type: Literal["signal"] = "signal"
    signal: Signal


class PastTouchFact(Fact):
    """A touch made elsewhere was reported."""

    type: Literal["past_touch"] = "past_touch"
    past_touch: PastTouch


class ProposalFact(Fact):
    """A proposal arrived or moved on."""

    type: Literal["proposal"] = "proposal"
    proposal: Proposal
    status: ProposalStatus
    reason: ReasonCode | None = None
    message: ShortText | None = None


class DecisionFact(Fact):
    """Governance ruled on a proposal."""

    type: Literal["decision"] = "decision"
    decision: Decision


class ApprovalFact(Fact):
    """An approval was requested or came to its end."""

    type: Literal["approval"] = "approval"
    approval: Approval


class AnswerFact(Fact):
    """Somebody answered an approval, validly or not."""

    type: Literal["answer"] = "answer"
    answer: ApprovalAnswer
    result: AnswerResult


class ApprovalStepFact(Fact):
    """Something happened to a question to people; kept for the audit trail."""

    type: Literal["approval_step"] = "approval_step"
    step: ApprovalStep


class WindowFact(Fact):
    """Somebody approved the same again in advance, or a window approval was taken back."""

    type: Literal["window"] = "window"
    grant: WindowGrant


class TouchFact(Fact):
    """A touch was handed to its channel, or its channel reported."""

    type: Literal["touch"] = "touch"
    touch: Touch
    status: TouchStatus
    receipt: Receipt | None = None


class OutcomeFact(Fact):
    """Something came back after a touch."""

    type: Literal["outcome"] = "outcome"
    outcome: Outcome


class PlayFact(Fact):
    """A run of a play entered, moved on or ended."""

    type: Literal["play"] = "play"
    run: PlayRun


class SettlementFact(Fact):
    """A person settled a touch in doubt."""

    type: Literal["settlement"] = "settlement"
    touch_id: ShortText
    settlement: Settlement
    settled_by: ShortText
    comment: ShortText


class RecallFact(Fact):
    """A channel was asked to take a touch back, and answered."""

    type: Literal["recall"] = "recall"
    recalled: Recalled
    reason: ShortText


class HoldFact(Fact):
    """A hold was placed, or ended."""

    type: Literal["hold"] = "hold"
    hold: Hold
    ended_by: ShortText | None = None
    """Login of the person who released it, `expired`, or None while it stands."""


class SuppressionFact(Fact):
    """A person objected: blocks them on every account that knows the same address."""

    type: Literal["suppression"] = "suppression"
    person_key: str
    contact_id: Identifier
    source: ShortText


class RefusalFact(Fact):
    """A message was refused: malformed, duplicate with other content, or not permitted."""

    type: Literal["refusal"] = "refusal"
    what: ShortText
    """Kind of message, e.g. `signal` or `proposal`."""
    why: LongText


LedgerFact = Annotated[
    AccountFact
    | ContactFact
    | SignalFact
    | PastTouchFact
    | ProposalFact
    | DecisionFact
    | ApprovalFact
    | AnswerFact
    | ApprovalStepFact
    | WindowFact
    | TouchFact
    | OutcomeFact
    | PlayFact
    | SettlementFact
    | RecallFact
    | HoldFact
    | SuppressionFact
    | RefusalFact,
    Field(discriminator="type"),
]
"""Any ledger fact."""


class FactBatch(Frozen):
    """Facts of one account on their way to the ledger."""

    account_id: Identifier
    facts: tuple[LedgerFact, ...]
