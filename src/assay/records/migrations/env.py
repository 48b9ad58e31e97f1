"""Alembic's entry: runs the scripts on the connection that `assay.records.migrating` hands over."""

from alembic import context

from assay.records.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
