"""What can happen to an account (events) and what the account wants done (effects)."""

from __future__ import annotations

from domain._account import Hold, Observation
from domain._approval import ApprovalAnswer, ApprovalId, VetRequest, Vetting
from domain._base import Frozen, Identifier, LongText, Moment, ShortText
from domain._card import Notice, NoticeReport
from domain._exception_words import Door
from domain._play import Plan, PlanRequest, PlayAsk, PlayMove
from domain._proposal import Proposal
from domain._records import FactBatch
from domain._ruling import Ruling, RulingRequest
from domain._touch import Handover, Outcome, Recall, Recalled, Receipt, Touch
from domain._vocabulary import Settlement


class Observed(Frozen):
    """A source reported something."""

    observation: Observation


class Proposed(Frozen):
    """An actor proposes a touch."""

    proposal: Proposal


class Answered(Frozen):
    """A person answered an approval."""

    answer: ApprovalAnswer


class Vetted(Frozen):
    """Governance said whether somebody may answer who was not asked by name."""

    vetting: Vetting


class ApprovalClaimed(Frozen):
    """A person takes a question on, so that others leave it alone for a while."""

    approval_id: ApprovalId
    claimed_by: ShortText
    via: Door = Door.UPDATE


class ApprovalReleased(Frozen):
    """A person gives a question back that they had taken on."""

    approval_id: ApprovalId
    released_by: ShortText
    via: Door = Door.UPDATE


class ApprovalViewed(Frozen):
    """A person was shown the card of a question."""

    approval_id: ApprovalId
    viewed_by: ShortText
    via: Door = Door.UPDATE
    shown_at: Moment | None = None
    """When the card was put before them, if that is told later; None: now."""


class ProposalWithdrawn(Frozen):
    """Whoever proposed something takes it back."""

    proposal_id: Identifier
    withdrawn_by: ShortText
    reason: ShortText
    via: Door = Door.UPDATE


class Seeded(Frozen):
    """A bad proposal that tests the approvers: it is asked about like any other and never goes out."""

    proposal: Proposal
    seeded_by: ShortText


class Noticed(Frozen):
    """Persons were notified, or could not be."""

    report: NoticeReport


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


class StopsChanged(Frozen):
    """A kill switch was lifted: what waited because of it may go on."""

    stop_id: Identifier


class PlayAsked(Frozen):
    """A play wants to enter."""

    ask: PlayAsk


class Planned(Frozen):
    """The planner answered."""

    plan: Plan


class PlayCancelled(Frozen):
    """A person ends a run of a play."""

    run_id: Identifier
    cancelled_by: ShortText
    reason: ShortText


class PlayResumed(Frozen):
    """A person lets a suspended run go on."""

    run_id: Identifier
    resumed_by: ShortText


class PlayMigrated(Frozen):
    """A person moves running runs of a play to another version of it."""

    play_id: Identifier
    move: PlayMove
    moved_by: ShortText


class TouchSettled(Frozen):
    """A person found out what became of a touch in doubt."""

    touch_id: ShortText
    settlement: Settlement
    settled_by: ShortText
    comment: ShortText


class RecallAsked(Frozen):
    """A person wants a touch to be taken back."""

    touch_id: ShortText
    asked_by: ShortText
    reason: ShortText


class RecallReturned(Frozen):
    """A channel answered whether it took a touch back."""

    recalled: Recalled


class Refused(Frozen):
    """A message could not be read."""

    what: ShortText
    why: LongText


Event = (
    Observed
    | Proposed
    | Answered
    | Vetted
    | ApprovalClaimed
    | ApprovalReleased
    | ApprovalViewed
    | ProposalWithdrawn
    | Seeded
    | Noticed
    | OutcomeReported
    | HoldPlaced
    | HoldReleased
    | Ruled
    | Delivered
    | Projected
    | PolicyPublished
    | StopsChanged
    | PlayAsked
    | Planned
    | PlayCancelled
    | PlayResumed
    | PlayMigrated
    | TouchSettled
    | RecallAsked
    | RecallReturned
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


class MakePlan(Frozen):
    """Ask the planner what a play does next; answered by `Planned`."""

    request: PlanRequest


class TakeBack(Frozen):
    """Have a channel take a touch back; safe to repeat, answered by `RecallReturned`."""

    recall: Recall
    task_queue: ShortText


class Revoke(Frozen):
    """Stop the touch in flight if its channel has not handed it over; its receipt still comes."""

    touch_id: ShortText


class Vet(Frozen):
    """Ask governance whether somebody may answer who was not asked by name; answered by `Vetted`."""

    request: VetRequest


class Notify(Frozen):
    """Tell persons of an exception; safe to repeat, answered by `Noticed`."""

    notice: Notice


Effect = Consult | HandOver | Project | Block | Revoke | MakePlan | TakeBack | Vet | Notify
"""What a shell must carry out."""
