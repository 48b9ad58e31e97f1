"""Where Assay keeps what people and programs decide: SQLite by default, PostgreSQL when that is outgrown.

`Records` gives transactions: any number of readers, one writer at a time, listeners told after a commit. The stores of
the rooms declare their tables on `metadata`, take a transaction and never commit. Migrations run forward only, in one
chain for all rooms.
"""

from assay.records.auditing import audited, unaudited
from assay.records.engine import Records, touch
from assay.records.grouping import GroupWriter
from assay.records.schema import metadata
from assay.records.types import Json, Money
from assay.records.writing import insert_new, upsert

__all__ = [
    "GroupWriter",
    "Json",
    "Money",
    "Records",
    "audited",
    "insert_new",
    "metadata",
    "touch",
    "unaudited",
    "upsert",
]
