"""What answers a question: pages, tasks, prompts, datasets, runs, models, jobs, and traces, spans and sessions by id."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection

from assay.access import Principal, Right
from assay.catalog import Catalog
from assay.datasets import library as datasets
from assay.errors import AssayError
from assay.evals import list_runs
from assay.jobs import list_jobs
from assay.kit.clock import SYSTEM, Clock
from assay.kit.paging import Page
from assay.prompts import registry
from assay.search.matching import rank
from assay.snapshot import Snapshot
from assay.spans.types import Found, SpanStore
from assay.tasks import TASKS
from assay.ui.language import _
from assay.ui.shell import NavItem

Kind = Literal[
    "page", "task", "variant", "prompt", "dataset", "run", "model", "job", "trace", "span", "session"
]

MOST_OF_A_KIND = 6
LOOKED_THROUGH = 500
"""Of things that are listed in the records, the first or newest so many are looked through."""
DAYS = 90
"""How far back ids of spans are looked for."""

_DAY_NS = 86_400_000_000_000
T = TypeVar("T")


class Hit(msgspec.Struct, frozen=True):
    """Something found: `href` is its page, `note` what tells it from others of its name."""

    kind: Kind
    title: str
    href: str
    note: str = ""


class _Ranked(msgspec.Struct, frozen=True):
    rank: int
    hit: Hit


def find(
    asked: str,
    principal: Principal,
    *,
    tx: Connection,
    snapshot: Snapshot,
    catalog: Catalog,
    store: SpanStore,
    nav: Sequence[NavItem],
    clock: Clock = SYSTEM,
) -> list[Hit]:
    """What answers the question, the best first; every page when nothing is asked."""
    pages = [Hit("page", _(item.label), item.path) for item in nav]
    if not asked.strip():
        return pages
    project = principal.project
    kinds: list[Iterable[_Ranked]] = [
        _named(asked, pages),
        _ids(asked, store, project, clock),
        _named(asked, _tasks(snapshot, project)),
        _named(asked, _models(catalog)),
        _named(asked, _prompts(tx, project)),
        _named(asked, _datasets(tx, project)),
        _named(asked, _runs(tx, project), also=lambda hit: hit.href.rpartition("/")[2]),
        _named(asked, _jobs(tx, project), also=lambda hit: hit.href.rpartition("/")[2]),
    ]
    if not principal.may(Right.EDIT):
        kinds = [[each for each in kind if not each.hit.href.startswith("/playground")] for kind in kinds]
    ranked = [each for kind in kinds for each in _best(kind)]
    return [each.hit for each in sorted(ranked, key=lambda each: each.rank)]


def _best(found: Iterable[_Ranked]) -> list[_Ranked]:
    return sorted(found, key=lambda each: each.rank)[:MOST_OF_A_KIND]


def _named(asked: str, hits: Iterable[Hit], *, also: Callable[[Hit], str] | None = None) -> Iterator[_Ranked]:
    """Those whose title answers, or `also` what else they are called (an id, of which people see the end)."""
    for hit in hits:
        found = rank(asked, hit.title)
        if found is None and also is not None and len(asked) >= 4:
            called = also(hit)
            found = 1 if called.startswith(asked) or called.endswith(asked) else None
        if found is not None:
            yield _Ranked(found, hit)


def _ids(asked: str, store: SpanStore, project: str, clock: Clock) -> list[_Ranked]:
    try:
        found = store.find_ids(
            project, asked.strip(), from_ns=clock.now_ns() - DAYS * _DAY_NS, limit=MOST_OF_A_KIND
        )
    except AssayError:  # the store is down: everything else is found without it
        return []
    return [_Ranked(0 if asked.strip() == each.id else 2, _of_id(each)) for each in found]


def _of_id(found: Found) -> Hit:
    if found.kind == "session":
        return Hit("session", found.id, f"/sessions/{quote(found.id)}", found.name)
    if found.kind == "span":
        return Hit("span", found.id, f"/traces/{found.trace_id}?span={found.id}", found.name)
    return Hit("trace", found.id, f"/traces/{found.id}", found.name)


def _tasks(snapshot: Snapshot, project: str) -> Iterator[Hit]:
    for (owner, name), task in sorted(snapshot[TASKS].items()):
        if owner == project:
            yield Hit("task", name, f"/tasks/{name}")
            for variant in task.variants.values():
                spec = variant.variant.spec
                address = f"/tasks/{name}#variant-{quote(variant.variant.name)}"
                yield Hit("variant", f"{name} / {variant.variant.name}", address, spec.model)


def _models(catalog: Catalog) -> Iterator[Hit]:
    for name in catalog.models:
        model = catalog.models.get(name)
        if model is not None:
            upstreams = ", ".join(dict.fromkeys(route.provider for route in model.route))
            yield Hit("model", name, f"/models/{quote(name)}", upstreams)


def _prompts(tx: Connection, project: str) -> Iterator[Hit]:
    for item in _through(lambda cursor: registry.list_prompts(tx, project, cursor=cursor)):
        yield Hit("prompt", item.name, f"/prompts/{item.name}", f"v{item.latest}")


def _datasets(tx: Connection, project: str) -> Iterator[Hit]:
    for item in _through(lambda cursor: datasets.list_datasets(tx, project, cursor=cursor)):
        yield Hit("dataset", item.name, f"/datasets/{item.name}", f"v{item.version}")


def _runs(tx: Connection, project: str) -> Iterator[Hit]:
    for run in list_runs(tx, project, limit=LOOKED_THROUGH).items:
        yield Hit(
            "run", run.title, f"/runs/{run.id}", f"{run.dataset} v{run.dataset_version} · {run.id[-6:]}"
        )


def _jobs(tx: Connection, project: str) -> Iterator[Hit]:
    for job in list_jobs(tx, project, limit=LOOKED_THROUGH).items:
        yield Hit("job", job.kind.replace("_", " "), f"/jobs/{job.id}", f"{job.status} · {job.id[-6:]}")


def _through(read: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Page after page, up to `LOOKED_THROUGH`."""
    cursor: str | None = None
    seen = 0
    while seen < LOOKED_THROUGH:
        page = read(cursor)
        yield from page.items
        seen += len(page.items)
        cursor = page.next
        if cursor is None:
            return
