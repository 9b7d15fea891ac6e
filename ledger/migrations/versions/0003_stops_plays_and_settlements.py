"""Kill switches, and what plays, settlements and recalls leave behind.

The way back forgets who stopped what; a rebuild brings the other tables back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_FACTS = {
    "play_runs": ("run_id", "play_id", "version", "status"),
    "settlements": ("touch_id", "settlement", "settled_by"),
    "recalls": ("touch_id", "status"),
}
"""Tables of facts; the first column belongs to the key."""


def upgrade() -> None:
    op.create_table(
        "stops",
        sa.Column("stop_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_by", sa.String(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lift_reason", sa.String(), nullable=True),
    )
    for name, (key, *words) in _FACTS.items():
        op.create_table(
            name,
            sa.Column("account_id", sa.String(), primary_key=True, nullable=False),
            sa.Column("seq", sa.Integer(), nullable=False),
            sa.Column("at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("body", sa.JSON(), nullable=False),
            sa.Column(key, sa.String(), primary_key=True, nullable=False),
            *(sa.Column(word, sa.String(), nullable=False) for word in words),
        )


def downgrade() -> None:
    for name in (*reversed(_FACTS), "stops"):
        op.drop_table(name)
