"""`/api/datasets`."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.datasets import library
from assay.datasets.importing import read_upload
from assay.datasets.types import Case, DatasetDiff, DatasetVersion
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records


class VersionAnswer(msgspec.Struct, kw_only=True):
    """A version as the API shows it. `is_new` is there only in the answer to an import."""

    name: str
    version: int
    hash: str
    cases: int
    splits: dict[str, int]
    actor: str
    created: str
    notes: str | None
    is_new: bool | msgspec.UnsetType = msgspec.UNSET


class DatasetAnswer(msgspec.Struct):
    """A dataset with all its versions, newest first."""

    name: str
    versions: list[VersionAnswer]


class DatasetLine(msgspec.Struct, kw_only=True):
    """A line in the list: the newest version."""

    name: str
    version: int
    cases: int
    changed: str


@post("/api/datasets/{name:str}/versions", guards=[requires(Right.EDIT)], status_code=200)
async def import_version(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    notes: FromQuery[str | None] = None,
) -> VersionAnswer:
    """Import a file as the body: JSONL, or CSV with the content type `text/csv`. All of its lines, or none."""
    body = await request.body()
    return await asyncio.to_thread(
        _import, body, request.headers.get("content-type", ""), name, notes, principal, records
    )


@get("/api/datasets", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Page[DatasetLine]:
    """Every dataset by name."""
    with records.read() as tx:
        page = library.list_datasets(tx, principal.project, cursor=cursor)
    lines = [
        DatasetLine(
            name=item.name, version=item.version, cases=item.cases, changed=rfc3339(item.changed_at_ns)
        )
        for item in page.items
    ]
    return Page(lines, page.next)


@get("/api/datasets/{name:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> DatasetAnswer:
    """A dataset's versions."""
    with records.read() as tx:
        return DatasetAnswer(
            name, [answer_of(item) for item in library.list_versions(tx, principal.project, name)]
        )


@get("/api/datasets/{name:str}/cases", guards=[requires(Right.READ)], sync_to_thread=True)
def list_cases(
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    version: FromQuery[int | None] = None,
    split: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> Page[Case]:
    """The cases of a version, the newest by default."""
    with records.read() as tx:
        found = library.get_version(tx, principal.project, name, version)
        return library.list_cases(tx, found, split=split, cursor=cursor, limit=min(max(limit, 1), 1000))


@get("/api/datasets/{name:str}/export", guards=[requires(Right.READ)], sync_to_thread=True)
def export(
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    version: FromQuery[int | None] = None,
) -> Stream:
    """A version as the JSONL file that imports as the same."""
    with records.read() as tx:
        found = library.get_version(tx, principal.project, name, version)
    headers = {"content-disposition": f'attachment; filename="{name}-v{found.version}.jsonl"'}
    return Stream(_lines(records, found), media_type="application/x-ndjson", headers=headers)


@get("/api/datasets/{name:str}/diff", guards=[requires(Right.READ)], sync_to_thread=True)
def diff(
    name: FromPath[str],
    old: FromQuery[int],
    new: FromQuery[int],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> DatasetDiff:
    """Ids of the cases that were added, removed or changed between two versions."""
    with records.read() as tx:
        versions = [library.get_version(tx, principal.project, name, number) for number in (old, new)]
        return library.diff(tx, *versions)


def answer_of(version: DatasetVersion) -> VersionAnswer:
    """A kept version in the shape of the API."""
    return VersionAnswer(
        name=version.name,
        version=version.version,
        hash=version.hash,
        cases=version.cases,
        splits=version.splits,
        actor=version.actor,
        created=rfc3339(version.created_at_ns),
        notes=version.notes,
    )


def _import(
    body: bytes,
    content_type: str,
    name: str,
    notes: str | None,
    principal: Principal,
    records: Records,
) -> VersionAnswer:
    cases = read_upload(body, content_type)
    with records.write() as tx:
        version, is_new = library.import_cases(
            tx, principal.project, name, cases, actor=principal.name, notes=notes
        )
    return msgspec.structs.replace(answer_of(version), is_new=is_new)


def _lines(records: Records, version: DatasetVersion) -> Iterator[bytes]:
    with records.read() as tx:
        yield from library.to_jsonl(library.iter_cases(tx, version))


handlers = [import_version, list_all, show, list_cases, export, diff]
