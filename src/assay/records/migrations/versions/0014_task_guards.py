"""Guards of tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """What looks at the calls of a task; none at first."""
    op.add_column("tasks", sa.Column("guards", sa.Text, nullable=False, server_default="[]"))
