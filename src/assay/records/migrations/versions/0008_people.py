"""Accounts, roles in projects, names of projects, logins that know whose they are, and the log of changes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SQLITE_TRIGGER = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'the log is kept as it was written'); END
"""
_POSTGRESQL_FUNCTION = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is kept as it was written'; END $$
"""
_POSTGRESQL_TRIGGER = """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()
"""


def upgrade() -> None:
    """Create what is new; browser logins are made anew, so everybody signs in once more."""
    op.add_column("projects", sa.Column("name", sa.Text, nullable=False, server_default=""))
    op.add_column("projects", sa.Column("archived_at_ns", sa.BigInteger))
    op.create_table(
        "users",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("must_change_password", sa.Boolean, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("password_changed_at_ns", sa.BigInteger, nullable=False),
        sa.Column("disabled_at_ns", sa.BigInteger),
        sa.Column("signed_in_at_ns", sa.BigInteger),
    )
    op.create_table(
        "members",
        sa.Column("project", sa.Text, sa.ForeignKey("projects.project"), primary_key=True),
        sa.Column("user", sa.Text, sa.ForeignKey("users.name"), primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
    )
    op.drop_table("sessions")
    op.create_table(
        "sessions",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("key_project", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("user", sa.Text, sa.ForeignKey("users.name")),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.project"), nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ns", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("browser", sa.Text),
        sa.ForeignKeyConstraint(["key_project", "key_id"], ["keys.project", "keys.id"]),
    )
    op.create_table(
        "audit",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
    )
    op.create_index("ix_audit_project_at_ns", "audit", ["project", "at_ns"])
    op.create_index("ix_audit_at_ns", "audit", ["at_ns"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(_SQLITE_TRIGGER.format(verb=verb))
    else:
        op.execute(_POSTGRESQL_FUNCTION)
        op.execute(_POSTGRESQL_TRIGGER)
