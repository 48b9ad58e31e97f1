"""A job that ended in failure or was stopped can go on; how often it did."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Count from none."""
    op.add_column("jobs", sa.Column("resumed", sa.BigInteger, nullable=False, server_default="0"))
