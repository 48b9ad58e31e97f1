"""Limits and budgets."""

import sqlalchemy as sa
from alembic import op

from assay.records.types import Money

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables of limits in the room `access`."""
    op.create_table(
        "limits",
        sa.Column("project", sa.Text, sa.ForeignKey("projects.project"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("per", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("requests_per_minute", sa.BigInteger),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("concurrent", sa.BigInteger),
        sa.Column("usd", Money),
        sa.Column("period", sa.Text),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "spent",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("limit_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("usd", Money, nullable=False),
        sa.Column("since_ns", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
    )
