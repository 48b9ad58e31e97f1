"""Every SQL statement about limits and what was spent under them."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Row,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from assay.access.types import Limit, Per, Period, Spent
from assay.errors import NotFound
from assay.records import Money, audited, metadata, unaudited

limits = Table(
    "limits",
    metadata,
    Column("project", Text, ForeignKey("projects.project"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("per", Text, nullable=False),
    Column("name", Text),
    Column("model", Text),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("concurrent", BigInteger),
    Column("usd", Money),
    Column("period", Text),
    Column("created_at_ns", BigInteger, nullable=False),
    info=audited(
        "limit",
        subject=("id",),
        shows=(
            "per",
            "name",
            "model",
            "requests_per_minute",
            "tokens_per_minute",
            "concurrent",
            "usd",
            "period",
        ),
    ),
)

spent = Table(
    "spent",
    metadata,
    Column("project", Text, primary_key=True),
    Column("limit_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("usd", Money, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    info=unaudited("a running sum that the server writes, not a change that somebody makes"),
)


def add_limit(tx: Connection, limit: Limit) -> None:
    """Keep a new limit."""
    tx.execute(insert(limits).values(**_values(limit)))


def change_limit(tx: Connection, limit: Limit) -> None:
    """Replace what is allowed."""
    tx.execute(update(limits).where(*_of(limit.project, limit.id)).values(**_values(limit)))


def remove_limit(tx: Connection, project: str, limit_id: str) -> None:
    """Forget a limit and what was spent under it."""
    tx.execute(delete(limits).where(*_of(project, limit_id)))
    tx.execute(delete(spent).where(spent.c.project == project, spent.c.limit_id == limit_id))


def get_limit(tx: Connection, project: str, limit_id: str) -> Limit:
    """One limit. Raises `NotFound`."""
    row = tx.execute(select(limits).where(*_of(project, limit_id))).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no limit {limit_id!r}", hint="`assay limits list` shows them with their ids."
        )
    return _limit(row)


def limits_of(tx: Connection, project: str | None = None) -> list[Limit]:
    """The limits of a project, or of all, oldest first."""
    query = select(limits).order_by(limits.c.project, limits.c.id)
    return [
        _limit(row)
        for row in tx.execute(query if project is None else query.where(limits.c.project == project))
    ]


def all_spent(tx: Connection) -> list[Spent]:
    """The sums that were written last."""
    return [
        Spent(**{name: getattr(row, name) for name in Spent.__struct_fields__})
        for row in tx.execute(select(spent))
    ]


def replace_spent(tx: Connection, sums: Iterable[Spent]) -> None:
    """Write these sums in the place of all others."""
    tx.execute(delete(spent))
    rows = [{name: getattr(each, name) for name in Spent.__struct_fields__} for each in sums]
    if rows:
        tx.execute(insert(spent), rows)


def _of(project: str, limit_id: str) -> tuple[Any, Any]:
    return limits.c.project == project, limits.c.id == limit_id


def _values(limit: Limit) -> dict[str, Any]:
    return {name: getattr(limit, name) for name in limit.__struct_fields__}


def _limit(row: Row[Any]) -> Limit:
    values = {name: getattr(row, name) for name in Limit.__struct_fields__}
    period = row.period and Period(row.period)
    return Limit(**{**values, "per": Per(row.per), "period": period})
