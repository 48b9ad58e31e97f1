"""Every SQL statement about datasets."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Select, Table, Text, func, select

from assay.datasets.types import Case, DatasetSummary, DatasetVersion
from assay.records import Json, audited, insert_new, metadata, unaudited

versions = Table(
    "dataset_versions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("cases", BigInteger, nullable=False),
    Column("splits", Json(dict[str, int]), nullable=False),
    Column("actor", Text, nullable=False),
    Column("notes", Text),
    Column("created_at_ns", BigInteger, nullable=False),
    info=audited("dataset", subject=("name", "version"), shows=("cases", "splits", "hash", "notes")),
)
cases = Table(
    "dataset_cases",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("split", Text),
    Column("hash", Text, nullable=False),
    Column("body", Json(Case), nullable=False),
    info=unaudited("part of a version, whose hash covers them"),
)
_BATCH = 1000


def add_version(tx: Connection, version: DatasetVersion, added: Sequence[tuple[str, Case]]) -> bool:
    """Insert the version with its cases, each with its hash; False when its number has just been taken."""
    if not insert_new(tx, versions, msgspec.structs.asdict(version)):
        return False
    key = {"project": version.project, "name": version.name, "version": version.version}
    for begin in range(0, len(added), _BATCH):
        rows = [
            {**key, "position": position, "id": case.id, "split": case.split, "hash": hash, "body": case}
            for position, (hash, case) in enumerate(added[begin : begin + _BATCH], begin)
        ]
        tx.execute(cases.insert(), rows)
    return True


def latest_number(tx: Connection, project: str, name: str) -> int:
    """0 for a dataset that is not there."""
    statement = select(func.max(versions.c.version)).where(
        versions.c.project == project, versions.c.name == name
    )
    return tx.execute(statement).scalar() or 0


def find_version(
    tx: Connection, project: str, name: str, *, number: int | None = None, hash: str | None = None
) -> DatasetVersion | None:
    """By number or by the whole hash."""
    statement = select(versions).where(versions.c.project == project, versions.c.name == name)
    statement = statement.where(versions.c.version == number if hash is None else versions.c.hash == hash)
    row = tx.execute(statement).one_or_none()
    return None if row is None else DatasetVersion(**row._mapping)


def list_versions(tx: Connection, project: str, name: str) -> list[DatasetVersion]:
    """Newest first."""
    statement = select(versions).where(versions.c.project == project, versions.c.name == name)
    return [
        DatasetVersion(**row._mapping) for row in tx.execute(statement.order_by(versions.c.version.desc()))
    ]


def list_datasets(tx: Connection, project: str, *, after: str | None, limit: int) -> list[DatasetSummary]:
    """By name, those behind `after`, each with its newest version."""
    newest = (
        select(versions.c.name, func.max(versions.c.version).label("version"))
        .where(versions.c.project == project)
        .group_by(versions.c.name)
        .order_by(versions.c.name)
        .limit(limit)
    )
    if after is not None:
        newest = newest.where(versions.c.name > after)
    chosen = newest.subquery()
    statement = (
        select(versions)
        .join(chosen, (versions.c.name == chosen.c.name) & (versions.c.version == chosen.c.version))
        .where(versions.c.project == project)
        .order_by(versions.c.name)
    )
    return [
        DatasetSummary(name=row.name, version=row.version, cases=row.cases, changed_at_ns=row.created_at_ns)
        for row in tx.execute(statement)
    ]


def list_cases(
    tx: Connection, version: DatasetVersion, *, split: str | None, after: int, limit: int
) -> list[tuple[int, Case]]:
    """In the file's order, those behind the position `after`."""
    statement = _of(version).where(cases.c.position > after).order_by(cases.c.position).limit(limit)
    if split is not None:
        statement = statement.where(cases.c.split == split)
    return [(row.position, row.body) for row in tx.execute(statement)]


def iter_cases(tx: Connection, version: DatasetVersion) -> Iterator[Case]:
    """Every case in the file's order."""
    for row in tx.execute(_of(version).order_by(cases.c.position)):
        yield row.body


def case_hashes(tx: Connection, version: DatasetVersion) -> dict[str, str]:
    """Id to hash, in the file's order."""
    statement = select(cases.c.id, cases.c.hash).where(*_key(version)).order_by(cases.c.position)
    return {row.id: row.hash for row in tx.execute(statement)}


def find_cases(tx: Connection, version: DatasetVersion, ids: Iterable[str]) -> dict[str, Case]:
    """Those cases of the version that are there, by id."""
    statement = _of(version).where(cases.c.id.in_(list(ids)))
    return {row.id: row.body for row in tx.execute(statement)}


def _of(version: DatasetVersion) -> Select[tuple[int, str, Case]]:
    return select(cases.c.position, cases.c.id, cases.c.body).where(*_key(version))


def _key(version: DatasetVersion) -> tuple[ColumnElement[bool], ...]:
    return (
        cases.c.project == version.project,
        cases.c.name == version.name,
        cases.c.version == version.version,
    )
