"""The cache of tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """How long the answers of a task are told again; at first its models say."""
    op.add_column("tasks", sa.Column("cache", sa.Text, nullable=True))
