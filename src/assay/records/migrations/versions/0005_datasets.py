"""Datasets: versions and their cases."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables of the room `datasets`."""
    op.create_table(
        "dataset_versions",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("cases", sa.BigInteger, nullable=False),
        sa.Column("splits", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("notes", sa.Text),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_dataset_versions_hash", "dataset_versions", ["project", "name", "hash"], unique=True)
    op.create_table(
        "dataset_cases",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("split", sa.Text),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "name", "version"],
            ["dataset_versions.project", "dataset_versions.name", "dataset_versions.version"],
        ),
    )
    op.create_index("ix_dataset_cases_id", "dataset_cases", ["project", "name", "version", "id"], unique=True)
