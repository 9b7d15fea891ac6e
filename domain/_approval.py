"""Approvals: an exception put to a person, bound to the digest of the exact action."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from domain._base import Frozen, Identifier, LongText, Moment, ShortText
from domain._proposal import ApprovalRoute
from domain._vocabulary import Answer, ApprovalStatus, ReasonCode

ApprovalId = Annotated[ShortText, StringConstraints(min_length=1, max_length=160)]


class Approval(Frozen):
    """A question to a group of persons, with a deadline."""

    approval_id: ApprovalId
    proposal_id: Identifier
    digest: str
    """SHA-256 of the exact action; an answer for another digest is refused."""
    reason: ReasonCode
    message: ShortText
    route: ApprovalRoute
    requested_at: Moment
    status: ApprovalStatus = ApprovalStatus.PENDING
    approvers: tuple[ShortText, ...] = ()
    """Logins of those who have approved so far, each once, in the order of their answers."""
    answered_by: ShortText | None = None
    """Whose answer settled it."""
    answered_at: Moment | None = None
    comment: LongText | None = None

    @property
    def progress(self) -> str:
        """How far it is, for people: `1 of 2 have approved`."""
        return f"{len(self.approvers)} of {self.route.quorum} have approved"


class ApprovalAnswer(Frozen):
    """A person's answer."""

    answer_id: Identifier
    """Chosen by the client; the same id always gets the same result."""
    approval_id: ApprovalId
    answer: Answer
    approver: ShortText
    """Login of the person who answers."""
    digest: str
    comment: Annotated[LongText, StringConstraints(max_length=2_000)] | None = None


class AnswerResult(Frozen):
    """What became of an answer."""

    answer_id: Identifier
    approval_id: ApprovalId
    accepted: bool
    status: ApprovalStatus | None
    """Where the approval stands now; None if there is no such approval."""
    message: ShortText
    """One sentence for the person who answered: what was recorded, or why not."""
