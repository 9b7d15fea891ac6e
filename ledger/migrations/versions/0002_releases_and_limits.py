"""Releases of policy sets, places in limits that all accounts share, and the rulings themselves.

The way back forgets releases, reservations and rulings; facts, suppressions and claims stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_INDEXES = {
    "ix_touches_at": ["at"],
    "ix_touches_channel": ["channel", "at"],
    "ix_touches_actor": ["actor", "at", "cost", "status", "channel", "action"],
    "ix_touches_done": ["actor", "action", "status"],
}


def upgrade() -> None:
    op.create_table(
        "policy_releases",
        sa.Column("number", sa.Integer(), primary_key=True, nullable=False, autoincrement=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("account_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("proposal_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("after_seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
    )
    op.create_table(
        "rulings",
        sa.Column("account_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True, nullable=False),
        sa.Column("revision", sa.Integer(), primary_key=True, nullable=False, autoincrement=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("policy_digest", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("outcomes", sa.JSON(), nullable=False),
    )
    op.create_index("ix_rulings_at", "rulings", ["at", "account_id", "revision"])
    op.add_column("touches", sa.Column("actor", sa.String(), nullable=True))
    op.add_column("touches", sa.Column("cost", sa.Float(), nullable=False, server_default="0"))
    touches = sa.table("touches", sa.column("actor"), sa.column("governed"), sa.column("body", sa.JSON()))
    op.execute(
        touches.update()
        .where(touches.c.governed.is_(sa.true()))
        .values(actor=touches.c.body[("touch", "actor")].as_string())
    )
    for name, columns in _INDEXES.items():
        op.create_index(name, "touches", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "touches")
    with op.batch_alter_table("touches") as touches:
        touches.drop_column("cost")
        touches.drop_column("actor")
    op.drop_table("rulings")
    op.drop_table("reservations")
    op.drop_table("policy_releases")
