"""Approvals: an exception put to people, bound to the digest of exactly what they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from domain._base import Amount, Frozen, Identifier, LongText, Moment, ShortText
from domain._exception_words import (
    Answer,
    AnswerCode,
    ApprovalStatus,
    Door,
    ExceptionKind,
    StepKind,
)
from domain._proposal import Content
from domain._route import ApprovalRoute
from domain._vocabulary import ReasonCode, Settlement, Stage

ApprovalId = Annotated[ShortText, StringConstraints(min_length=1, max_length=160)]
Comment = Annotated[LongText, StringConstraints(max_length=2_000)]


class Agreement(Frozen):
    """One person's yes to exactly one digest."""

    approver: ShortText
    """Login of the person who said it."""
    answers_for: ShortText | None = None
    """Login of the person in whose place they said it; None: in their own."""
    at: Moment

    @property
    def in_words(self) -> str:
        """Who it was, for people: `tom for dana`."""
        return self.approver if self.answers_for is None else f"{self.approver} for {self.answers_for}"


class ExceptionAsk(Frozen):
    """Something a person must decide, and of which it is not known yet whom to ask."""

    approval_id: ApprovalId
    kind: ExceptionKind
    digest: str
    reason: ReasonCode
    message: ShortText
    raised_at: Moment
    proposal_id: Identifier | None = None
    touch_id: ShortText | None = None
    holds: tuple[Identifier, ...] = ()
    """Of a contradicted approval: the holds that stop what was approved."""
    rule_id: ShortText | None = None
    actor: Identifier | None = None
    action: Identifier | None = None
    channel: Identifier | None = None
    value: Amount = 0.0
    edited_by: tuple[Identifier, ...] = ()
    """Logins of those who wrote or changed what it is about."""
    approved_by: tuple[ShortText, ...] = ()
    """Of a contradicted approval: the logins of those who gave it, and of those whose holds stop it."""


class Approval(Frozen):
    """A question to people, with a deadline."""

    approval_id: ApprovalId
    kind: ExceptionKind = ExceptionKind.ACTION
    proposal_id: Identifier | None
    """What was proposed; None if it is about no proposal."""
    touch_id: ShortText | None = None
    """The touch in doubt, if it is about one."""
    holds: tuple[Identifier, ...] = ()
    """Of a contradicted approval: the holds that stop what was approved."""
    digest: str
    """SHA-256 of exactly what is asked about; an answer for another digest is refused."""
    reason: ReasonCode
    message: ShortText
    rule_id: ShortText | None = None
    """The rule that asks; what is answered in bulk is asked by one."""
    actor: Identifier | None = None
    action: Identifier | None = None
    channel: Identifier | None = None
    contact_id: Identifier | None = None
    template: Identifier | None = None
    """The template of the action, if it is made from one."""
    value: Amount = 0.0
    route: ApprovalRoute
    requested_at: Moment
    status: ApprovalStatus = ApprovalStatus.PENDING
    level: Annotated[int, Field(ge=0)] = 0
    """How many levels of the escalation chain have been asked."""
    reminded: Annotated[int, Field(ge=0)] = 0
    """How many reminders have come due."""
    claimed_by: ShortText | None = None
    claimed_until: Moment | None = None
    approvers: tuple[ShortText, ...] = ()
    """Logins of those who have approved so far, each once, in the order of their answers."""
    agreements: tuple[Agreement, ...] = ()
    """The same with moments, and in whose place it was said."""
    views: dict[ShortText, Moment] = {}
    """When somebody was last shown its card, by login."""
    notices: Annotated[int, Field(ge=0)] = 0
    """How many notices about it have been sent."""
    answered_by: ShortText | None = None
    """Whose answer settled it."""
    answered_at: Moment | None = None
    code: AnswerCode | None = None
    comment: LongText | None = None

    @property
    def progress(self) -> str:
        """How far it is, for people: `1 of 2 have approved`."""
        return f"{len(self.approvers)} of {self.route.quorum} have approved"

    @property
    def asked(self) -> tuple[str, ...]:
        """Logins of all who are asked by now: those of the levels reached included."""
        escalated = (login for level in self.route.levels[: self.level] for login in level.approvers)
        barred = frozenset(self.route.excluded)
        everybody = dict.fromkeys((*self.route.approvers, *escalated))
        return tuple(login for login in everybody if login not in barred)

    @property
    def addressed(self) -> tuple[str, ...]:
        """Logins of all who may answer by now, in their own right or in somebody's place."""
        asked = self.asked
        deputies = (login for login, principal in self.route.delegates.items() if principal in asked)
        barred = frozenset(self.route.excluded)
        return tuple(login for login in dict.fromkeys((*asked, *deputies)) if login not in barred)


class Changes(Frozen):
    """What an approver would rather have: only what is said changes."""

    content: Content | None = None
    contact_id: Identifier | None = None
    channel: Identifier | None = None
    earliest: Moment | None = None
    expires_at: Moment | None = None


class WindowAsk(Frozen):
    """With an approval: the same is allowed again for a time, up to a number."""

    segment: Identifier | None = None
    """For accounts of this segment of approvals.yaml; None: for this account alone."""
    days: Annotated[int, Field(ge=1, le=90)]
    at_most: Annotated[int, Field(ge=1, le=10_000)]
    """How many touches, the one approved here included."""


class WindowGrant(Frozen):
    """What a person has approved in advance: one template and action, for a segment and a time."""

    grant_id: ShortText
    """That of the approval with which it was given, with the account before it."""
    account_id: Identifier
    """The account on which it was given; without a segment it holds there alone."""
    segment: Identifier | None = None
    actor: Identifier
    action: Identifier
    channel: Identifier
    template: Identifier
    version: ShortText
    """Version of the template: a changed text is another one."""
    claims: tuple[ShortText, ...] = ()
    """What was claimed, by `Use.key`: nothing goes out on it that is the first to claim something else."""
    rules: tuple[ShortText, ...] = ()
    """Ids of the rules that asked; whatever else asks for a person still does."""
    value: Amount = 0.0
    """Expected value of what was approved: nothing that is worth more goes out on it."""
    cost: Amount = 0.0
    """What it cost: nothing dearer goes out on it."""
    reach: Annotated[int, Field(ge=1)] = 1
    """How many people it reached at most: nothing that reaches more goes out on it."""
    at_most: Annotated[int, Field(ge=1)]
    """How many touches, the one it was given with included."""
    used: Annotated[int, Field(ge=0)] = 1
    """How many touches have taken a place by now, the one it was given with included."""
    starts_at: Moment
    ends_at: Moment
    given_by: tuple[ShortText, ...]
    """Logins of those who approved it."""
    revoked_by: ShortText | None = None
    revoked_at: Moment | None = None

    @property
    def left(self) -> int:
        """How many more touches it lets go out."""
        return max(self.at_most - self.used, 0)

    def stands(self, moment: datetime) -> bool:
        """Return whether it can still let a touch go out at a moment."""
        return self.revoked_at is None and self.starts_at <= moment < self.ends_at and self.left > 0


class ApprovalAnswer(Frozen):
    """A person's answer."""

    answer_id: Identifier
    """Chosen by the client; the same id always gets the same result."""
    approval_id: ApprovalId
    answer: Answer
    approver: ShortText
    """Login of the person who answers."""
    digest: str
    code: AnswerCode | None = None
    comment: Comment | None = None
    changes: Changes | None = None
    """With `modify`: what is to be different."""
    stage: Stage | None = None
    """With `settle` of readings that disagree: what the account's stage is."""
    settlement: Settlement | None = None
    """With `settle` of a touch in doubt: what became of it."""
    window: WindowAsk | None = None
    """With `approve`: the same may go out again for a time."""
    via: Door = Door.UPDATE
    """The way by which it came."""


class AnswerResult(Frozen):
    """What became of an answer."""

    answer_id: Identifier
    approval_id: ApprovalId
    accepted: bool
    status: ApprovalStatus | None
    """Where the approval stands now; None if there is no such approval."""
    message: ShortText
    """One sentence for the person who answered: what was recorded, or why not."""
    answered_by: ShortText | None = None
    """Who had decided before, if somebody had."""
    answered_at: Moment | None = None
    """When that was."""


class Vetting(Frozen):
    """Whether somebody may answer who was not asked by name: under the policies of this moment."""

    approval_id: ApprovalId
    answer_id: Identifier
    refusal: ShortText | None
    """Why not; None: they may."""
    answers_for: ShortText | None = None
    """Login of the person in whose place they answer."""
    group: ShortText | None = None
    """The group that they speak for."""
    review: ApprovalRoute | None = None
    """Of `break_glass`: who looks at it afterwards."""


class VetRequest(Frozen):
    """An answer of somebody who was not asked by name."""

    account_id: Identifier
    approval: Approval
    answer: ApprovalAnswer
    now: Moment


class ApprovalStep(Frozen):
    """One entry in the audit trail of a question to people."""

    approval_id: ApprovalId
    kind: StepKind
    actor: ShortText
    """Login of the person, or `tutti`."""
    via: Door
    detail: ShortText | None = None
    shown_at: Moment | None = None
    """Of a look: since when the card had been before them; None: since the moment of the entry."""
