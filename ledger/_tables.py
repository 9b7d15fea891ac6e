"""The tables: each thing with its natural key, the columns that questions are asked by, and the whole fact.

`seq` is the fact's number within its account and `at` the moment when the thing happened. `body` is the whole
ledger fact as JSON, so that a row can always be read back as what was written. Nothing refers to other tables
by foreign key: facts arrive in any order, a decision possibly before its proposal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, MetaData, Table
from sqlalchemy.orm import registry
from sqlmodel import Field, Index, SQLModel

from ledger._types import UtcDateTime


class Row(SQLModel, registry=registry(metadata=MetaData())):
    """Base of all tables, with metadata of their own."""


class FactRow(Row):
    """What every table of facts has."""

    account_id: str = Field(primary_key=True)
    seq: int
    at: datetime = Field(sa_type=UtcDateTime)
    body: Any = Field(sa_type=JSON, nullable=False)


class AccountRow(FactRow, table=True):
    """The latest profile of an account; `at` is when it was last learnt."""

    __tablename__ = "accounts"

    name: str
    tier: str


class ContactRow(FactRow, table=True):
    """The latest profile of a contact; `person_key` finds the same person on other accounts."""

    __tablename__ = "contacts"

    contact_id: str = Field(primary_key=True)
    person_key: str | None = Field(default=None, index=True)


class SignalRow(FactRow, table=True):
    """A signal; its id is unique within its source only."""

    __tablename__ = "signals"

    source: str = Field(primary_key=True)
    signal_id: str = Field(primary_key=True)
    kind: str
    contact_id: str | None = None


class ProposalRow(FactRow, table=True):
    """Where a proposal stands."""

    __tablename__ = "proposals"

    proposal_id: str = Field(primary_key=True)
    status: str
    reason: str | None = None
    actor: str
    channel: str


class DecisionRow(FactRow, table=True):
    """One ruling on one proposal."""

    __tablename__ = "decisions"
    __table_args__ = (Index("ix_decisions_proposal", "account_id", "proposal_id"),)

    decision_id: str = Field(primary_key=True)
    proposal_id: str
    verdict: str
    reason: str
    policy_digest: str


class RuleHitRow(Row, table=True):
    """One rule's say in a decision, in the order of the decision; its words are in the decision's body."""

    __tablename__ = "rule_hits"

    account_id: str = Field(primary_key=True)
    decision_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int
    at: datetime = Field(sa_type=UtcDateTime)
    rule_id: str = Field(index=True)
    family: str
    effect: str
    reason: str
    policy_digest: str


class ApprovalRow(FactRow, table=True):
    """Where a question to people stands; an answer is expected by `due_at`, and taken until `expires_at`."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_due", "status", "expires_at"),
        # In the order of the inbox, with what is counted and whom it concerns: no row is read to count them.
        Index("ix_approvals_inbox", "status", "due_at", "requested_at", "account_id", "approval_id"),
    )

    approval_id: str = Field(primary_key=True)
    proposal_id: str | None = None
    kind: str = Field(default="action", sa_column_kwargs={"server_default": "action"})
    status: str
    route_group: str
    rule_id: str | None = None
    action: str | None = None
    actor: str | None = None
    risk: str = Field(default="normal", sa_column_kwargs={"server_default": "normal"})
    requested_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class ApprovalPersonRow(Row, table=True):
    """Somebody whom a question that is still open concerns: what an inbox is filtered by.

    They may answer it, or, if `barred`, never: they proposed it, say, or have approved it already.
    """

    __tablename__ = "approval_persons"

    login: str = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    approval_id: str = Field(primary_key=True)
    seq: int
    barred: bool


class ApprovalStepRow(FactRow, table=True):
    """One entry in the audit trail of a question to people; having no id, it is known by its number."""

    __tablename__ = "approval_steps"
    __table_args__ = (Index("ix_approval_steps_approval", "account_id", "approval_id"),)

    seq: int = Field(primary_key=True)
    approval_id: str
    kind: str
    actor: str
    via: str


class ApprovalAnswerRow(FactRow, table=True):
    """One answer to an approval, accepted or not; its id is that of its giver and its approval only."""

    __tablename__ = "approval_answers"

    approval_id: str = Field(primary_key=True)
    answer_id: str = Field(primary_key=True)
    approver: str = Field(primary_key=True)
    accepted: bool


class TouchRow(FactRow, table=True):
    """A touch: ours, with `source` `tutti`, or one that another tool reported.

    `at` is when the account made it or learnt its end, which is what rolling windows count from. A touch that
    another tool reported has no `actor` and costs nothing.
    """

    __tablename__ = "touches"
    __table_args__ = (
        Index("ix_touches_at", "at"),
        Index("ix_touches_channel", "channel", "at"),
        # With all that budgets ask for: they add up every touch in the window, and need not look at its row.
        Index("ix_touches_actor", "actor", "at", "cost", "status", "channel", "action"),
        Index("ix_touches_done", "actor", "action", "status"),
    )

    source: str = Field(primary_key=True)
    touch_id: str = Field(primary_key=True)
    governed: bool
    status: str
    channel: str
    action: str
    contact_id: str | None = None
    proposal_id: str | None = None
    actor: str | None = None
    cost: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})


class OutcomeRow(FactRow, table=True):
    """What came back after a touch; its id is unique within its source only."""

    __tablename__ = "outcomes"

    source: str = Field(primary_key=True)
    outcome_id: str = Field(primary_key=True)
    touch_id: str
    kind: str
    contact_id: str | None = None


class PlayRunRow(FactRow, table=True):
    """Where a run of a play stands; its id is unique within its account only."""

    __tablename__ = "play_runs"

    run_id: str = Field(primary_key=True)
    play_id: str
    version: str
    status: str


class SettlementRow(FactRow, table=True):
    """What a person found out about a touch in doubt."""

    __tablename__ = "settlements"

    touch_id: str = Field(primary_key=True)
    settlement: str
    settled_by: str


class RecallRow(FactRow, table=True):
    """What the channel last said about taking a touch back."""

    __tablename__ = "recalls"

    touch_id: str = Field(primary_key=True)
    status: str


class HoldRow(FactRow, table=True):
    """A hold; it stands while `ended_by` is null and `expires_at` is not past."""

    __tablename__ = "holds"

    hold_id: str = Field(primary_key=True)
    ended_by: str | None = None
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RefusalRow(FactRow, table=True):
    """A message that was refused; having no id of its own, it is known by its number."""

    __tablename__ = "refusals"

    seq: int = Field(primary_key=True)
    what: str


class SuppressionRow(Row, table=True):
    """A person who objected, and where that was first heard; holds for every account."""

    __tablename__ = "suppressions"

    person_key: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    account_id: str
    contact_id: str
    source: str


class ClaimRow(Row, table=True):
    """The right to hand a touch to its provider once; `status` and `receipt` are null until it is settled."""

    __tablename__ = "claims"

    touch_id: str = Field(primary_key=True)
    channel: str | None = None
    at: datetime = Field(sa_type=UtcDateTime)
    status: str | None = Field(default=None, index=True)
    receipt: Any = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)


class PolicySetRow(Row, table=True):
    """The files of a policy set, by its digest; `at` is when it was first seen."""

    __tablename__ = "policy_sets"

    digest: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    files: Any = Field(sa_type=JSON, nullable=False)


class PolicyReleaseRow(Row, table=True):
    """A policy set put in force; the one with the highest number is the one that counts."""

    __tablename__ = "policy_releases"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    digest: str
    author: str
    reason: str
    at: datetime = Field(sa_type=UtcDateTime)
    kind: str


class ReservationRow(Row, table=True):
    """The place of a touch that was allowed and is not among the touches yet.

    Facts of the account beyond `after_seq` are about what became of it.
    """

    __tablename__ = "reservations"

    account_id: str = Field(primary_key=True)
    proposal_id: str = Field(primary_key=True)
    after_seq: int
    at: datetime = Field(sa_type=UtcDateTime)
    channel: str
    actor: str
    action: str
    cost: float


class StopRow(Row, table=True):
    """A kill switch; it stands while `lifted_at` is null. There are few of them, so all are looked at."""

    __tablename__ = "stops"

    stop_id: str = Field(primary_key=True)
    scope: str
    name: str | None = None
    reason: str
    placed_by: str
    placed_at: datetime = Field(sa_type=UtcDateTime)
    lifted_by: str | None = None
    lifted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lift_reason: str | None = None


class DecisionLogRow(Row, table=True):
    """One link of an account's decision log, and its fact as it was chained; only ever added to.

    `body` is null once its personal data has been erased: `body_digest` still stands for it.
    """

    __tablename__ = "decision_log"
    __table_args__ = (Index("ix_decision_log_number", "account_id", "number"),)

    account_id: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    number: int
    previous: str
    seq: int
    at: datetime = Field(sa_type=UtcDateTime)
    type: str
    body_digest: str
    body: Any = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)


class DelegationRow(Row, table=True):
    """Somebody answers in another's place for a time."""

    __tablename__ = "delegations"

    delegation_id: str = Field(primary_key=True)
    principal: str
    delegate: str
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    ended_by: str | None = None
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WindowGrantRow(Row, table=True):
    """A window approval: the same again, for a segment and a time; `body` is the whole grant."""

    __tablename__ = "window_grants"
    __table_args__ = (Index("ix_window_grants_for", "actor", "action", "channel", "ends_at"),)

    grant_id: str = Field(primary_key=True)
    account_id: str
    segment: str | None = None
    actor: str
    action: str
    channel: str
    template: str
    version: str
    at_most: int
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    revoked_by: str | None = None
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    body: Any = Field(sa_type=JSON, nullable=False)


class WindowUseRow(Row, table=True):
    """The place that a touch takes in a window approval; given back if the touch does not go out.

    Facts of the account beyond `after_seq` are about what became of it.
    """

    __tablename__ = "window_uses"

    grant_id: str = Field(primary_key=True)
    account_id: str = Field(primary_key=True)
    proposal_id: str = Field(primary_key=True)
    after_seq: int
    at: datetime = Field(sa_type=UtcDateTime)


class FirstUseRow(Row, table=True):
    """A template (with its version) or a claim that has gone out once, and with which touch."""

    __tablename__ = "first_uses"

    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    account_id: str
    touch_id: str
    at: datetime = Field(sa_type=UtcDateTime)


class NoticeRow(Row, table=True):
    """That a person or a group was told by a medium: what makes trying again safe. Never an address.

    `doubts` counts the attempts by which the message may have left: all but those that certainly failed.
    """

    __tablename__ = "notices"
    __table_args__ = (
        Index("ix_notices_reply", "reply_key", unique=True),
        Index("ix_notices_approval", "account_id", "approval_id", "recipient", "medium"),
    )

    notice_id: str = Field(primary_key=True)
    recipient: str = Field(primary_key=True)
    medium: str = Field(primary_key=True)
    account_id: str
    approval_id: str
    digest: str
    reply_key: str | None = None
    status: str
    doubts: int
    at: datetime = Field(sa_type=UtcDateTime)
    detail: str | None = None


class RulingRow(Row, table=True):
    """One ruling as it was asked for and answered; `at` is its moment, `seq` the account's latest fact."""

    __tablename__ = "rulings"
    __table_args__ = (Index("ix_rulings_at", "at", "account_id", "revision"),)

    account_id: str = Field(primary_key=True)
    at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    revision: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int
    policy_digest: str
    request: Any = Field(sa_type=JSON, nullable=False)
    outcomes: Any = Field(sa_type=JSON, nullable=False)


METADATA: Final = Row.metadata

PROJECTION: Final = (
    AccountRow,
    ContactRow,
    SignalRow,
    ProposalRow,
    DecisionRow,
    RuleHitRow,
    ApprovalRow,
    ApprovalPersonRow,
    ApprovalStepRow,
    ApprovalAnswerRow,
    TouchRow,
    OutcomeRow,
    PlayRunRow,
    SettlementRow,
    RecallRow,
    HoldRow,
    RefusalRow,
)
"""What a rebuild brings back, in the one order in which everybody writes, so that writers cannot deadlock."""

OWNED: Final = (
    SuppressionRow,
    ClaimRow,
    PolicySetRow,
    PolicyReleaseRow,
    ReservationRow,
    StopRow,
    DecisionLogRow,
    DelegationRow,
    WindowGrantRow,
    WindowUseRow,
    FirstUseRow,
    NoticeRow,
    RulingRow,
)
"""What only the ledger knows; no rebuild brings it back."""


def table_of(row: type[Row]) -> Table:
    """Return the table behind a row class."""
    return METADATA.tables[str(row.__tablename__)]
