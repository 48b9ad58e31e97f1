"""Which layout a store's file has, and the steps from an older one. Each step is one transaction: done whole or not."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import Unusable
from assay.spans.duckdb import schema

_TO_2 = """
DROP VIEW IF EXISTS calls;
DROP VIEW IF EXISTS live_spans;
ALTER TABLE spans RENAME TO hot_spans;
ALTER TABLE scores RENAME TO hot_scores;
ALTER TABLE payloads RENAME TO hot_payloads;
ALTER TABLE hot_spans ADD COLUMN IF NOT EXISTS mapping VARCHAR;
ALTER TABLE hot_spans ADD COLUMN IF NOT EXISTS raw_hashes BLOB[];
ALTER TABLE hot_spans ADD COLUMN request_hash BLOB;
ALTER TABLE hot_spans ADD COLUMN attributes_hash BLOB;
ALTER TABLE hot_spans ADD COLUMN imported BOOLEAN DEFAULT false;
ALTER TABLE hot_scores ADD COLUMN imported BOOLEAN DEFAULT false;
ALTER TABLE hot_payloads ADD COLUMN imported BOOLEAN DEFAULT false;
ALTER TABLE hot_payloads ADD COLUMN part INTEGER DEFAULT 0;
ALTER TABLE layout ADD COLUMN generation BIGINT DEFAULT 0;
ALTER TABLE layout ADD COLUMN row_id_floor BIGINT DEFAULT 0;
"""
"""Sealed days: the tables become the hot part of what they were."""

BeforeUpgrade = Callable[[Path, int], None]
"""Told of the file and the layout that it has."""

UPGRADES: Mapping[int, str] = {1: _TO_2}


def prepare(connection: duckdb.DuckDBPyConnection, path: Path, before: BeforeUpgrade) -> None:
    """Bring the file to this release's layout. Raises `Unusable` when a newer one wrote it.

    `before` is called before anything changes, when the file is whole and nobody writes to it.
    """
    found = version_of(connection)
    if found is not None and found > schema.VERSION:
        raise Unusable(
            f"The span store {str(path)!r} has layout {found}, this Assay knows {schema.VERSION}.",
            hint="Use the version of Assay that wrote it, or a newer one.",
        )
    if found is not None and found < schema.VERSION:
        connection.execute("CHECKPOINT")
        before(path, found)
    for version in range(found or schema.VERSION, schema.VERSION):
        connection.begin()
        connection.execute(UPGRADES[version])
        connection.execute("UPDATE layout SET version = ?", [version + 1])
        connection.commit()
    connection.execute(schema.DEFINITION)
    if found is None:
        connection.execute("INSERT INTO layout VALUES (?, 0, 0)", [schema.VERSION])


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The layout of a file; None for a new one."""
    tables: list[Any] = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND table_name = 'layout'"
    ).fetchall()
    found = connection.execute("SELECT version FROM layout").fetchall() if tables else []
    return int(found[0][0]) if found else None
