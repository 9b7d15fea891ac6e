"""What can happen to an account (events) and what the account wants done (effects)."""

from __future__ import annotations

from domain._account import Hold, Observation
from domain._approval import ApprovalAnswer
from domain._base import Frozen, Identifier, LongText, ShortText
from domain._proposal import Proposal, Ruling, RulingRequest
from domain._records import FactBatch
from domain._touch import Handover, Outcome, Receipt, Touch


class Observed(Frozen):
    """A source reported something."""

    observation: Observation


class Proposed(Frozen):
    """An actor proposes a touch."""

    proposal: Proposal


class Answered(Frozen):
    """A person answered an approval."""

    answer: ApprovalAnswer


class OutcomeReported(Frozen):
    """A channel or tool reported what came back after a touch."""

    outcome: Outcome


class HoldPlaced(Frozen):
    """A person froze the account."""

    hold: Hold


class HoldReleased(Frozen):
    """A person ended a freeze."""

    hold_id: Identifier
    released_by: ShortText


class Ruled(Frozen):
    """Governance answered a consultation."""

    ruling: Ruling


class Delivered(Frozen):
    """A channel answered a hand-over."""

    receipt: Receipt


class Projected(Frozen):
    """The ledger has the facts that were on their way."""

    count: int


class PolicyPublished(Frozen):
    """Another policy set is in force."""

    digest: ShortText


class Refused(Frozen):
    """A message could not be read."""

    what: ShortText
    why: LongText


Event = (
    Observed
    | Proposed
    | Answered
    | OutcomeReported
    | HoldPlaced
    | HoldReleased
    | Ruled
    | Delivered
    | Projected
    | PolicyPublished
    | Refused
)
"""Anything that can happen to an account; the passing of time is the `now` of `advance`."""


class Consult(Frozen):
    """Ask governance for a ruling; answered by `Ruled`."""

    request: RulingRequest


class HandOver(Frozen):
    """Give a touch to its channel; answered by `Delivered`."""

    touch: Touch
    handover: Handover


class Project(Frozen):
    """Write facts to the ledger; answered by `Projected`."""

    batch: FactBatch


class Block(Frozen):
    """Put objections into the shared suppression store now; safe to repeat, answered by nothing."""

    batch: FactBatch


class Revoke(Frozen):
    """Stop the touch in flight if its channel has not handed it over; its receipt still comes."""

    touch_id: ShortText


Effect = Consult | HandOver | Project | Block | Revoke
"""What a shell must carry out."""
