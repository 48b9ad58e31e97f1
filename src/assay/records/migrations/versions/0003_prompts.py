"""Prompts: versions and labels."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of the room `prompts`."""
    op.create_table(
        "prompt_versions",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("notes", sa.Text),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_prompt_versions_hash", "prompt_versions", ["project", "name", "hash"], unique=True)
    op.create_table(
        "prompt_labels",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("moved_at_ns", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "name", "version"],
            ["prompt_versions.project", "prompt_versions.name", "prompt_versions.version"],
        ),
    )
