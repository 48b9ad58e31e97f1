"""Releases, and what the configuration file last said."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables of the room `releases`."""
    op.create_table(
        "releases",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("variants", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("comparison_id", sa.Text),
        sa.Column("restores", sa.Text),
        sa.ForeignKeyConstraint(["project", "task"], ["tasks.project", "tasks.name"]),
    )
    op.create_index("ix_releases_serving", "releases", ["project", "task", "environment", "id"])
    op.create_table(
        "file_releases",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("variants", sa.Text, nullable=False),
    )
