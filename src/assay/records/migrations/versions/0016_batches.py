"""Batches."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from assay.records.types import Json, Money

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the tables of the room `batches`."""
    op.create_table(
        "batches",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("input_file_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("concurrency", sa.BigInteger, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("metadata", Json(dict[str, str])),
        sa.Column("problems", Json(list[Any]), nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("usage", Json(dict[str, int])),
        sa.Column("cost_usd", Money),
        sa.Column("output_file_id", sa.Text),
        sa.Column("error_file_id", sa.Text),
        sa.Column("times", Json(dict[str, int]), nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "batch_results",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("line", sa.BigInteger, primary_key=True),
        sa.Column("custom_id", sa.Text, nullable=False),
        sa.Column("status_code", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text),
        sa.Column("usage", Json(dict[str, int])),
        sa.Column("cost_usd", Money),
    )
