"""Evaluation: runs, their results, the cache of answers, comparisons."""

import sqlalchemy as sa
from alembic import op

from assay.records.types import Money

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables of the room `evals`."""
    op.create_table(
        "eval_runs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("variant_hash", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("dataset_version", sa.BigInteger, nullable=False),
        sa.Column("dataset_hash", sa.Text, nullable=False),
        sa.Column("split", sa.Text),
        sa.Column("cases", sa.BigInteger, nullable=False),
        sa.Column("scorers", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ns", sa.BigInteger),
        sa.Column("summary", sa.Text),
    )
    op.create_index("ix_eval_runs_task", "eval_runs", ["project", "task", "id"])
    op.create_table(
        "eval_outputs",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("output", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["project", "run_id"], ["eval_runs.project", "eval_runs.id"]),
    )
    op.create_table(
        "eval_results",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("output", sa.Text),
        sa.Column("error_type", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("scores", sa.Text, nullable=False),
        sa.Column("is_wrong", sa.Boolean, nullable=False),
        sa.Column("trace_id", sa.Text),
        sa.Column("span_id", sa.Text),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cost_usd", Money),
        sa.Column("latency_ms", sa.Float),
        sa.Column("is_cached", sa.Boolean, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["project", "run_id"], ["eval_runs.project", "eval_runs.id"]),
    )
    op.create_table(
        "eval_cache",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("trace_id", sa.Text),
        sa.Column("span_id", sa.Text),
        sa.Column("latency_ms", sa.Float),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "eval_comparisons",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("baseline", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("verdicts", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
    )
