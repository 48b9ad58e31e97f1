"""Inserts that meet a row which is there already, in words that both databases understand."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def upsert(
    tx: Connection, table: Table, rows: Row | Sequence[Row], *, update: Sequence[str] | None = None
) -> None:
    """Insert, or where the primary key is there already, set the columns in `update` (default: all but the key)."""
    batch = _batch(rows)
    if not batch:
        return
    key = [column.name for column in table.primary_key]
    names = [name for name in batch[0] if name not in key] if update is None else update
    statement = _insert(tx, table)
    chosen = {name: statement.excluded[name] for name in names}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=chosen), batch)


def insert_new(tx: Connection, table: Table, row: Row) -> bool:
    """Insert unless a row with the same primary key or another unique value is there; says whether it was new."""
    statement = _insert(tx, table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return tx.execute(statement, row).rowcount == 1


def _batch(rows: Row | Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(rows)] if isinstance(rows, Mapping) else [dict(row) for row in rows]


def _insert(tx: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)
