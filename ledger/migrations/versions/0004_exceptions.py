"""Exceptions and approvals: the inbox, its audit trail, the decision log, delegations, windows and notices.

The way back forgets all of them; a rebuild brings back what the accounts themselves know.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INBOX = ("kind", "rule_id", "action", "actor", "risk", "requested_at", "due_at")
_COUNTED_BY = ["status", "due_at", "requested_at", "account_id", "approval_id"]


def _inbox() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("kind", sa.String(), nullable=False, server_default="action"),
        sa.Column("rule_id", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("risk", sa.String(), nullable=False, server_default="normal"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
    )


def _text(name: str, *, key: bool = False, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), primary_key=key, nullable=null)


def _moment(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _number(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), primary_key=key, nullable=False, autoincrement=False)


def _whole(*, null: bool = False) -> sa.Column[object]:
    return sa.Column("body", sa.JSON(), nullable=null)


def _ask_again() -> None:
    """Fill the inboxes with what was asked before there were any."""
    asked = sa.text("SELECT account_id, approval_id, seq, body FROM approvals WHERE status = 'pending'")
    rows = []
    for account_id, approval_id, seq, body in op.get_bind().execute(asked):
        route = (json.loads(body) if isinstance(body, str) else body)["approval"]["route"]
        barred = frozenset(route["excluded"])
        rows += [
            {
                "login": login,
                "account_id": account_id,
                "approval_id": approval_id,
                "seq": seq,
                "barred": login in barred,
            }
            for login in sorted({*route["approvers"], *barred})
        ]
    names = ("login", "account_id", "approval_id", "seq", "barred")
    op.bulk_insert(sa.table("approval_persons", *(sa.column(name) for name in names)), rows)


def _answers_known_by(*keys: str) -> None:
    """Make the table of answers again, with another key."""
    op.create_table(
        "approval_answers_new",
        _text("account_id", key=True),
        *(_text(name, key=name in keys) for name in ("approval_id", "answer_id")),
        _number("seq"),
        _moment("at"),
        _whole(),
        _text("approver", key="approver" in keys),
        sa.Column("accepted", sa.Boolean(), nullable=False),
    )
    columns = "account_id, approval_id, answer_id, seq, at, body, approver, accepted"
    # Of several with the same key the latest stays; only the way back can meet such.
    known = " AND ".join(f"later.{name} = each.{name}" for name in ("account_id", *keys))
    op.execute(
        f"INSERT INTO approval_answers_new ({columns}) SELECT {columns} FROM approval_answers AS each "  # noqa: S608
        f"WHERE NOT EXISTS (SELECT 1 FROM approval_answers AS later WHERE {known} AND later.seq > each.seq)"
    )
    op.drop_table("approval_answers")
    op.rename_table("approval_answers_new", "approval_answers")


def upgrade() -> None:
    # An answer's id is chosen by its giver, and is one of its approval only.
    _answers_known_by("approval_id", "answer_id", "approver")
    with op.batch_alter_table("approvals") as approvals:
        for column in _inbox():
            approvals.add_column(column)
        approvals.alter_column("proposal_id", existing_type=sa.String(), nullable=True)
        approvals.create_index("ix_approvals_inbox", _COUNTED_BY)
    op.execute("UPDATE approvals SET requested_at = at, due_at = expires_at")
    op.create_table(
        "approval_persons",
        _text("login", key=True),
        _text("account_id", key=True),
        _text("approval_id", key=True),
        _number("seq"),
        sa.Column("barred", sa.Boolean(), nullable=False),
    )
    _ask_again()
    op.create_table(
        "approval_steps",
        _text("account_id", key=True),
        _number("seq", key=True),
        _moment("at"),
        _whole(),
        _text("approval_id"),
        _text("kind"),
        _text("actor"),
        _text("via"),
    )
    op.create_index("ix_approval_steps_approval", "approval_steps", ["account_id", "approval_id"])
    op.create_table(
        "decision_log",
        _text("account_id", key=True),
        _text("digest", key=True),
        _number("number"),
        _text("previous"),
        _number("seq"),
        _moment("at"),
        _text("type"),
        _text("body_digest"),
        _whole(null=True),
    )
    op.create_index("ix_decision_log_number", "decision_log", ["account_id", "number"])
    op.create_table(
        "delegations",
        _text("delegation_id", key=True),
        _text("principal"),
        _text("delegate"),
        _moment("starts_at"),
        _moment("ends_at"),
        _text("made_by"),
        _moment("made_at"),
        _text("ended_by", null=True),
        _moment("ended_at", null=True),
    )
    op.create_table(
        "window_grants",
        _text("grant_id", key=True),
        _text("account_id"),
        _text("segment", null=True),
        _text("actor"),
        _text("action"),
        _text("channel"),
        _text("template"),
        _text("version"),
        _number("at_most"),
        _moment("starts_at"),
        _moment("ends_at"),
        _text("revoked_by", null=True),
        _moment("revoked_at", null=True),
        _whole(),
    )
    op.create_index("ix_window_grants_for", "window_grants", ["actor", "action", "channel", "ends_at"])
    op.create_table(
        "window_uses",
        _text("grant_id", key=True),
        _text("account_id", key=True),
        _text("proposal_id", key=True),
        _number("after_seq"),
        _moment("at"),
    )
    op.create_table(
        "first_uses",
        _text("kind", key=True),
        _text("name", key=True),
        _text("account_id"),
        _text("touch_id"),
        _moment("at"),
    )
    op.create_table(
        "notices",
        _text("notice_id", key=True),
        _text("recipient", key=True),
        _text("medium", key=True),
        _text("account_id"),
        _text("approval_id"),
        _text("digest"),
        _text("reply_key", null=True),
        _text("status"),
        _number("doubts"),
        _moment("at"),
        _text("detail", null=True),
    )
    op.create_index("ix_notices_reply", "notices", ["reply_key"], unique=True)
    op.create_index("ix_notices_approval", "notices", ["account_id", "approval_id", "recipient", "medium"])


def downgrade() -> None:
    _answers_known_by("answer_id")
    for name in (
        "notices",
        "first_uses",
        "window_uses",
        "window_grants",
        "delegations",
        "decision_log",
        "approval_steps",
        "approval_persons",
    ):
        op.drop_table(name)
    op.execute("DELETE FROM approvals WHERE proposal_id IS NULL")
    with op.batch_alter_table("approvals") as approvals:
        approvals.drop_index("ix_approvals_inbox")
        approvals.alter_column("proposal_id", existing_type=sa.String(), nullable=False)
        for name in reversed(_INBOX):
            approvals.drop_column(name)
