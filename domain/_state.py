"""The state of one account: everything the account remembers, bounded, and ready to travel.

Whatever is due lives here as an absolute moment, so that a new run (or the simulator) picks up where
the last one stopped. Times, ids and facts only: nothing here refers to an engine.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from domain._account import Account, Assessment, Circumstances, Contact, Hold, Reading
from domain._approval import Agreement, AnswerResult, Approval, ApprovalAnswer, ExceptionAsk
from domain._base import Frozen, Identifier, LongText, Moment, ShortText
from domain._chain import ChainHead
from domain._exception_words import ApprovalStatus, ExceptionKind, Occasion
from domain._play import PlayAsk, PlayMove, PlayPast, PlayRun
from domain._proposal import Decision, Proposal
from domain._records import LedgerFact
from domain._ruling import SettledStage
from domain._touch import Handover, Outcome, Recall, Touch, TouchRecord
from domain._vocabulary import (
    PlayStatus,
    ProposalStatus,
    ReasonCode,
    SignalKind,
    TouchStatus,
)

SEEN_LIMIT = 2_000
"""Remembered signal and outcome ids; a duplicate older than this many ids would count again."""
CLOSED_LIMIT = 40
"""Ended proposals kept with their decision; older ones live in the ledger."""
ENDED_IDS_LIMIT = 500
"""Ended proposals kept by id and digest, so that a repeated proposal is not taken for a new one."""
ANSWERS_LIMIT = 200
"""Approval answers kept by id, so that a repeated answer gets the same result."""
APPROVALS_LIMIT = 50
"""Ended approvals kept, so that a late answer learns who decided and when."""
TOUCH_MEMORY = timedelta(days=95)
"""How long touches are remembered: the longest rolling window (90 days) and a margin."""
TOUCH_LIMIT = 1_000
EARLY_LIMIT = 200
"""Outcomes that wait for their touch to become known; beyond it the oldest is given up."""
EARLY_PATIENCE = timedelta(days=7)
"""How long one waits: tools report what they sent at least once a week."""
TIMELINE_LIMIT = 40
OUTBOX_LIMIT = 5_000
"""Facts waiting for the ledger; beyond it the oldest signal facts are left to a ledger rebuild."""
FLUSH_COUNT = 50
"""Quiet facts (signals, profiles) are sent to the ledger in batches of this size…"""
FLUSH_AFTER = timedelta(minutes=15)
"""…or when the oldest has waited this long."""
FLUSH_BATCH = 200
"""At most this many facts travel to the ledger in one batch..."""
FLUSH_BYTES = 400_000
"""... and about this many bytes: the engine takes 2 MB in one payload."""
CONTACT_LIMIT = 1_000
OBJECTOR_LIMIT = 2 * CONTACT_LIMIT
"""Contacts and persons of whom only an objection is known; beyond it the shared store alone knows of them."""
HOLD_LIMIT = 50
CASE_LIMIT = 50
"""Open support cases remembered; beyond it the least severe, then the oldest, are forgotten."""
READING_LIMIT = 100
OPEN_LIMIT = 200
OPEN_BYTES = 1_600_000
"""All open proposals together: an account travels in one payload, packed, of 2 MB at continue-as-new."""
CONSULT_LIMIT = 50
"""Proposals judged in one consultation; those beyond it, the latest, are judged right after."""
EXIT_REACH = timedelta(days=1)
"""An exit signal ends what was begun up to this long after it: tools report replies late."""
RULING_AGE = timedelta(seconds=60)
"""A ruling that took longer is asked for again: quiet hours and caps move on."""
PLAN_AGE = timedelta(seconds=60)
"""A plan that took longer is asked for again if the account's world has changed meanwhile."""
PROPOSAL_LIFE = timedelta(days=30)
"""Longest life of a proposal: what has not been sent by then is suppressed as expired."""
ENDED_RUNS_LIMIT = 10
"""Ended runs of plays kept whole; older ones live in the ledger."""
PAST_PLAYS_LIMIT = 100
"""Plays whose earlier runs are remembered for re-entry rules."""
ASKS_LIMIT = 20
"""Plays that may wait to enter at the same time."""
RECALL_LIMIT = 200
"""Touches being taken back at the same time."""
DEFAULT_WINDOW = timedelta(seconds=3)
"""Decision window until the first ruling says what the policy set wants."""


class InDoubt(Frozen):
    """A touch that may or may not have reached its provider: a person must settle it."""

    touch: Touch
    detail: LongText
    raised_at: Moment
    asked_at: Moment | None = None
    """When people were asked about it."""
    again_at: Moment | None = None
    """When somebody is looked for again, because nobody could be asked."""


class EarlyOutcome(Frozen):
    """An outcome whose touch is not known yet: it has taken effect, but counts for no touch so far."""

    outcome: Outcome
    since: Moment


class OpenProposal(Frozen):
    """A proposal on its way to a verdict."""

    proposal: Proposal
    digest: str
    received_at: Moment
    expires_at: Moment
    status: ProposalStatus = ProposalStatus.IN_WINDOW
    due_at: Moment | None = None
    """When a deferred proposal is ruled again."""
    rulings: int = 0
    deferrals: int = 0
    attempts: int = 0
    """Hand-overs started; part of the touch id."""
    approval_id: ShortText | None = None
    approved_by: ShortText | None = None
    """Who approved it, as the touch will say it."""
    approvers: tuple[ShortText, ...] = ()
    """Logins of all who approved it, in the order of their answers."""
    agreements: tuple[Agreement, ...] = ()
    """The same with moments, and in whose place each was said."""
    glass_broken_by: ShortText | None = None
    """Login of the person who approved it without those who were asked."""
    asked_about: tuple[ShortText, ...] = ()
    """Conflicts about it that have been put to people."""
    first_digest: str | None = None
    """The digest under which it was proposed, if an approver has changed it since."""
    original: Proposal | None = None
    """What was proposed at first, if an approver has changed it since."""
    edited_by: tuple[ShortText, ...] = ()
    """Logins of approvers who have changed it; they cannot approve it any more."""
    seeded_by: ShortText | None = None
    """Login of the person who planted it to test the approvers: it never goes out."""
    starved_at: Moment | None = None
    """When a decision first said that it has been deferred too often."""
    decision: Decision | None = None
    doubt: InDoubt | None = None
    """An attempt of an idempotent channel that may have reached the provider; a later one settles it."""
    exit_reason: ReasonCode | None = None
    """Why it ends if the touch in flight turns out not to have been handed over."""
    exit_message: ShortText | None = None

    def unapproved(self, **changes: object) -> Self:
        """Return it with changes, and without anything that anybody said yes to."""
        nobody = {"approved_by": None, "approvers": (), "agreements": (), "glass_broken_by": None}
        return self.model_copy(update={**nobody, **changes})


class ClosedProposal(Frozen):
    """A proposal that reached its end."""

    proposal: Proposal
    status: ProposalStatus
    reason: ReasonCode
    message: ShortText
    closed_at: Moment
    decision: Decision | None = None


class ActiveTouch(Frozen):
    """The one touch that a channel is working on."""

    touch: Touch
    handover: Handover
    started_at: Moment


class ReadingQuestion(Frozen):
    """The last question about readings that disagree."""

    approval_id: ShortText
    holds_seconds: float
    """How long an answer to it holds."""


class Consultation(Frozen):
    """A ruling that was asked for and has not come back."""

    revision: int
    proposal_ids: tuple[Identifier, ...]
    asks: tuple[ShortText, ...] = ()
    """Exceptions about which it is to say whom to ask, by approval id."""
    requested_at: Moment


class Planning(Frozen):
    """A plan that was asked for and has not come back."""

    revision: int
    run_id: Identifier | None
    asks: int
    """How many of those who want to enter it is about."""
    requested_at: Moment | None = None
    stale: bool = False
    """Whether what it is about has changed since: then it is asked for again."""


class Recalling(Frozen):
    """A touch that is being taken back."""

    recall: Recall
    task_queue: ShortText
    attempts: int = 0
    due_at: Moment | None = None
    """When it is tried again; None while the channel is at it."""


class Ticket(Frozen):
    """A notice about one exception: at most one is on its way, and at most one waits behind it."""

    occasion: Occasion
    message: ShortText
    to: tuple[ShortText, ...]
    number: int
    """Counts the notices about the exception; part of the notice's id."""
    on_its_way: bool = True
    due_at: Moment | None = None
    """When one that failed is tried again."""
    attempts: int = 0
    told: tuple[ShortText, ...] = ()
    """Those that an attempt before has reached: reports name them again."""
    behind: Occasion | None = None
    """What happened meanwhile, of which it is told next; only the latest."""
    behind_message: ShortText | None = None
    behind_to: tuple[ShortText, ...] = ()


class Moved(Frozen):
    """One line of the account's recent story."""

    at: Moment
    text: ShortText


class AccountState(BaseModel):
    """All that one account remembers.

    Mutable on purpose, and only inside one call of `advance`, which works on a copy of its own.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=False)

    account_id: Identifier
    account: Account | None = None
    contacts: dict[str, Contact] = {}
    readings: dict[str, Reading] = {}
    """Latest reading by system."""
    assessment: Assessment | None = None
    circumstances: Circumstances = Circumstances()
    open: dict[str, OpenProposal] = {}
    closed: dict[str, ClosedProposal] = {}
    ended: dict[str, str] = {}
    """Digest by proposal id, also of proposals no longer in `closed`."""
    active: ActiveTouch | None = None
    touches: dict[str, TouchRecord] = {}
    early: dict[str, EarlyOutcome] = {}
    approvals: dict[str, Approval] = {}
    answers: dict[str, AnswerResult] = {}
    asks: dict[str, ExceptionAsk] = {}
    """Exceptions of which governance has not said yet whom to ask, by approval id."""
    asks_about: tuple[ExceptionKind, ...] = ()
    """Kinds of exceptions that the policy set in force puts to people, besides actions."""
    vetting: dict[str, ApprovalAnswer] = {}
    """Answers of persons who were not asked by name, until governance says whether they may."""
    tickets: dict[str, Ticket] = {}
    """Notices that are not done with, by approval id."""
    reading_question: ReadingQuestion | None = None
    settled: SettledStage | None = None
    """What a person said the account's stage is."""
    chain: ChainHead = ChainHead()
    """The last link of the decision log."""
    holds: dict[str, Hold] = {}
    in_doubt: dict[str, InDoubt] = {}
    runs: dict[str, PlayRun] = {}
    """Runs of plays that are not over: at most one is active, the others are suspended."""
    ended_runs: dict[str, PlayRun] = {}
    past_plays: dict[str, PlayPast] = {}
    """Earlier runs by play, for re-entry rules."""
    run_number: int = 0
    play_asks: tuple[PlayAsk, ...] = ()
    play_moves: dict[str, PlayMove] = {}
    """By run: the version that it shall go on with."""
    play_refusals: dict[str, ShortText] = {}
    """By play: why it did not enter the last time."""
    planning: Planning | None = None
    heard: tuple[SignalKind, ...] = ()
    """Kinds of signals that came while a plan was on its way, which cannot have known of them."""
    plan_at: Moment | None = None
    """When the planner is asked again, whatever the active run waits for."""
    reviewed_at: Moment | None = None
    """When exit conditions were last looked at because the world had changed."""
    recalling: dict[str, Recalling] = {}
    window_ends_at: Moment | None = None
    window_seconds: Annotated[float, Field(ge=0)] = DEFAULT_WINDOW.total_seconds()
    consulting: Consultation | None = None
    revision: int = 0
    """Counts changes of the account's world that can change a ruling."""
    policy_digest: str | None = None
    seen: dict[str, None] = {}
    outbox: list[LedgerFact] = []
    projecting: int = 0
    """How many facts at the head of the outbox are on their way to the ledger."""
    seq: int = 0
    signals_absorbed: int = 0
    refusals: int = 0
    unprojected: int = 0
    """Facts that a full outbox dropped; a ledger rebuild brings them back."""
    timeline: tuple[Moved, ...] = ()

    def fork(self) -> Self:
        """Return a copy whose containers can be changed without changing this one."""
        changes = {
            name: value.copy() for name, value in self.__dict__.items() if isinstance(value, (dict, list))
        }
        return self.model_copy(update=changes)

    @property
    def pending_approvals(self) -> tuple[Approval, ...]:
        """Approvals that wait for an answer, oldest first."""
        return tuple(a for a in self.approvals.values() if a.status is ApprovalStatus.PENDING)

    @property
    def scheduled(self) -> tuple[OpenProposal, ...]:
        """Deferred proposals, the earliest first."""
        waiting = [item for item in self.open.values() if item.status is ProposalStatus.DEFERRED]
        return tuple(
            sorted(waiting, key=lambda item: (item.due_at or item.received_at, item.proposal.proposal_id))
        )

    @property
    def active_run(self) -> PlayRun | None:
        """The run that may propose, if there is one."""
        return next((run for run in self.runs.values() if run.status is PlayStatus.ACTIVE), None)

    @property
    def next_touch_at(self) -> datetime | None:
        """The earliest moment at which a deferred proposal is ruled again."""
        return next((item.due_at for item in self.scheduled), None)

    @property
    def urgent_facts(self) -> bool:
        """Whether facts that people wait for (decisions, approvals, touches…) are unsent."""
        return any(not _is_quiet(fact) for fact in self.outbox[self.projecting :])

    def judged_touches(self) -> tuple[TouchRecord, ...]:
        """Touches that rules judge by, oldest first: those that count, and rejected ones with an outcome.

        A rejected touch takes no place in a cap, but its bounce says to whom nothing should be written.
        """
        judged = [t for t in self.touches.values() if t.status is not TouchStatus.RELEASED or t.outcomes]
        return tuple(sorted(judged, key=lambda t: (t.at, t.touch_id)))

    def counted_touches(self) -> tuple[TouchRecord, ...]:
        """Touches that count against caps, oldest first."""
        counted = [t for t in self.touches.values() if t.status is not TouchStatus.RELEASED]
        return tuple(sorted(counted, key=lambda t: (t.at, t.touch_id)))


_QUIET_FACTS = frozenset({"signal", "account", "contact", "past_touch", "proposal", "refusal"})


def _is_quiet(fact: LedgerFact) -> bool:
    """Tell whether the ledger may learn a fact some minutes later; of plays, that one has gone a step on."""
    if fact.type == "play":
        return fact.run.status is PlayStatus.ACTIVE
    return fact.type in _QUIET_FACTS
