"""The first tables.

There is no way back but a backup: suppressions and claims exist nowhere else.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _key(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), primary_key=True, nullable=False)


def _word(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> "sa.Column[datetime]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _facts(name: str, *columns: "sa.Column[str] | sa.Column[bool] | sa.Column[datetime]") -> None:
    op.create_table(
        name,
        _key("account_id"),
        sa.Column("seq", sa.Integer(), nullable=False),
        _moment("at"),
        sa.Column("body", sa.JSON(), nullable=False),
        *columns,
    )


def upgrade() -> None:
    _facts("accounts", _word("name"), _word("tier"))
    _facts("contacts", _key("contact_id"), _word("person_key", nullable=True))
    op.create_index("ix_contacts_person_key", "contacts", ["person_key"])
    _facts(
        "signals",
        _key("source"),
        _key("signal_id"),
        _word("kind"),
        _word("contact_id", nullable=True),
    )
    _facts(
        "proposals",
        _key("proposal_id"),
        _word("status"),
        _word("reason", nullable=True),
        _word("actor"),
        _word("channel"),
    )
    _facts(
        "decisions",
        _key("decision_id"),
        _word("proposal_id"),
        _word("verdict"),
        _word("reason"),
        _word("policy_digest"),
    )
    op.create_index("ix_decisions_proposal", "decisions", ["account_id", "proposal_id"])
    op.create_table(
        "rule_hits",
        _key("account_id"),
        _key("decision_id"),
        sa.Column("position", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        _moment("at"),
        _word("rule_id"),
        _word("family"),
        _word("effect"),
        _word("reason"),
        _word("policy_digest"),
    )
    op.create_index("ix_rule_hits_rule_id", "rule_hits", ["rule_id"])
    _facts(
        "approvals",
        _key("approval_id"),
        _word("proposal_id"),
        _word("status"),
        _word("route_group"),
        _moment("expires_at"),
    )
    op.create_index("ix_approvals_due", "approvals", ["status", "expires_at"])
    _facts(
        "approval_answers",
        _key("answer_id"),
        _word("approval_id"),
        _word("approver"),
        sa.Column("accepted", sa.Boolean(), nullable=False),
    )
    _facts(
        "touches",
        _key("source"),
        _key("touch_id"),
        sa.Column("governed", sa.Boolean(), nullable=False),
        _word("status"),
        _word("channel"),
        _word("action"),
        _word("contact_id", nullable=True),
        _word("proposal_id", nullable=True),
    )
    _facts(
        "outcomes",
        _key("source"),
        _key("outcome_id"),
        _word("touch_id"),
        _word("kind"),
        _word("contact_id", nullable=True),
    )
    _facts("holds", _key("hold_id"), _word("ended_by", nullable=True), _moment("expires_at", nullable=True))
    op.create_table(
        "refusals",
        _key("account_id"),
        sa.Column("seq", sa.Integer(), primary_key=True, nullable=False),
        _moment("at"),
        sa.Column("body", sa.JSON(), nullable=False),
        _word("what"),
    )
    op.create_table(
        "suppressions",
        _key("person_key"),
        _moment("at"),
        _word("account_id"),
        _word("contact_id"),
        _word("source"),
    )
    op.create_table(
        "claims",
        _key("touch_id"),
        _word("channel", nullable=True),
        _moment("at"),
        _word("status", nullable=True),
        sa.Column("receipt", sa.JSON(), nullable=True),
    )
    op.create_index("ix_claims_status", "claims", ["status"])
    op.create_table(
        "policy_sets",
        _key("digest"),
        _moment("at"),
        sa.Column("files", sa.JSON(), nullable=False),
    )
