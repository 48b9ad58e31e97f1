"""How long each project keeps what it is told."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table of choices; a project without a row follows the server's settings."""
    op.create_table(
        "retention",
        sa.Column("project", sa.Text, sa.ForeignKey("projects.project"), primary_key=True),
        sa.Column("content_days", sa.Integer),
        sa.Column("row_days", sa.Integer),
        sa.Column("imports", sa.Boolean, nullable=False),
    )
