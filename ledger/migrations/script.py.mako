"""${message}.

Revision ${up_revision} follows ${down_revision | comma,n}. There is no way back but a backup: suppressions
and claims exist nowhere else.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
