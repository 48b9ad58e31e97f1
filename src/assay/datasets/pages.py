"""`/datasets` and `/datasets/{name}`."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.datasets import library
from assay.datasets.types import Case, DatasetSummary, DatasetVersion
from assay.records import Records
from assay.ui import shell

_SHOWN = 50


class DatasetsContext(msgspec.Struct):
    """What `datasets/list.html` shows."""

    datasets: list[DatasetSummary]
    next: str | None


class DatasetContext(msgspec.Struct):
    """What `datasets/one.html` shows."""

    name: str
    versions: list[DatasetVersion]
    chosen: DatasetVersion
    split: str | None
    cases: list[Case]
    next: str | None
    is_first: bool


@get("/datasets", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_datasets(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Every dataset."""
    with records.read() as tx:
        page = library.list_datasets(tx, principal.project, cursor=cursor, limit=_SHOWN)
    return shell.page(request, "datasets/list.html", DatasetsContext(page.items, page.next), title="Datasets")


@get("/datasets/{name:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_dataset(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    version: FromQuery[int | None] = None,
    split: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """A version's cases, and the other versions."""
    with records.read() as tx:
        versions = library.list_versions(tx, principal.project, name)
        chosen = library.get_version(tx, principal.project, name, version)
        page = library.list_cases(tx, chosen, split=split, cursor=cursor, limit=_SHOWN)
    context = DatasetContext(name, versions, chosen, split, page.items, page.next, cursor is None)
    return shell.page(request, "datasets/one.html", context, title=name)


handlers = [show_datasets, show_dataset]
