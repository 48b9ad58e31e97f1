"""Importing datasets and looking into them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import Connection

from assay.datasets import store
from assay.datasets.types import Case, DatasetDiff, DatasetSummary, DatasetVersion
from assay.errors import BadRequest, Conflict, NotFound
from assay.kit.clock import SYSTEM, Clock
from assay.kit.hashing import content_hash, value_hash
from assay.kit.names import check_name
from assay.kit.paging import Page, from_cursor, to_cursor


def import_cases(
    tx: Connection,
    project: str,
    name: str,
    cases: Sequence[Case],
    *,
    actor: str,
    notes: str | None = None,
    clock: Clock = SYSTEM,
) -> tuple[DatasetVersion, bool]:
    """The version with exactly these cases, made if it was not there; and whether it was made."""
    check_name(name)
    hashed = [(value_hash(case), case) for case in cases]
    hash = content_hash("\n".join(sorted(mark for mark, _ in hashed)).encode())
    known = store.find_version(tx, project, name, hash=hash)
    if known is not None:
        return known, False
    version = DatasetVersion(
        project=project,
        name=name,
        version=store.latest_number(tx, project, name) + 1,
        hash=hash,
        cases=len(cases),
        splits=dict(Counter(case.split for case in cases if case.split is not None)),
        actor=actor,
        notes=notes,
        created_at_ns=clock.now_ns(),
    )
    if not store.add_version(tx, version, hashed):
        raise Conflict(f"Another version of {name!r} was imported at the same moment", hint="Import again.")
    return version, True


def add_case(
    tx: Connection,
    project: str,
    name: str,
    case: Case,
    *,
    actor: str,
    notes: str | None = None,
    clock: Clock = SYSTEM,
) -> tuple[DatasetVersion, bool]:
    """The newest version with this case beside its own, or in the place of the one with its id; the dataset's first version
    when there is none. And whether a version was made."""
    check_name(name)
    kept: list[Case] = []
    if (number := store.latest_number(tx, project, name)) > 0:
        kept = list(store.iter_cases(tx, get_version(tx, project, name, number)))
    places = {each.id: place for place, each in enumerate(kept)}
    if case.id in places:
        kept[places[case.id]] = case
    else:
        kept.append(case)
    return import_cases(tx, project, name, kept, actor=actor, notes=notes, clock=clock)


def get_version(tx: Connection, project: str, name: str, version: int | None = None) -> DatasetVersion:
    """The version by number, the newest by default. Raises `NotFound`."""
    number = version or store.latest_number(tx, project, name)
    if number == 0:
        raise NotFound(f"There is no dataset {name!r}", param="dataset", hint="GET /api/datasets lists them.")
    found = store.find_version(tx, project, name, number=number)
    if found is None:
        raise NotFound(f"The dataset {name!r} has no version {number}", param="version")
    return found


def parse_reference(text: str) -> tuple[str, int | None]:
    """`name` or `name@version`. Raises `BadRequest`."""
    name, at, version = text.partition("@")
    if at and not version.removeprefix("v").isdigit():
        raise BadRequest(
            f"{text!r} names no dataset version", param="dataset", hint="Write e.g. reviews or reviews@2."
        )
    return name, int(version.removeprefix("v")) if at else None


def list_versions(tx: Connection, project: str, name: str) -> list[DatasetVersion]:
    """Newest first. Raises `NotFound`."""
    found = store.list_versions(tx, project, name)
    if not found:
        raise NotFound(f"There is no dataset {name!r}", hint="GET /api/datasets lists them.")
    return found


def list_datasets(
    tx: Connection, project: str, *, cursor: str | None = None, limit: int = 100
) -> Page[DatasetSummary]:
    """By name."""
    after = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.list_datasets(tx, project, after=after, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].name) if len(found) > limit else None)


def list_cases(
    tx: Connection,
    version: DatasetVersion,
    *,
    split: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Case]:
    """In the file's order."""
    after = -1
    if cursor is not None:
        (after,) = from_cursor(cursor, tuple[int])
    found = store.list_cases(tx, version, split=split, after=after, limit=limit + 1)
    cases = [case for _, case in found[:limit]]
    return Page(cases, to_cursor(found[limit - 1][0]) if len(found) > limit else None)


def iter_cases(tx: Connection, version: DatasetVersion) -> Iterator[Case]:
    """Every case in the file's order."""
    return store.iter_cases(tx, version)


def find_cases(tx: Connection, version: DatasetVersion, ids: Iterable[str]) -> dict[str, Case]:
    """Those of the ids that the version has."""
    return store.find_cases(tx, version, ids)


def case_hashes(tx: Connection, version: DatasetVersion) -> dict[str, str]:
    """Id to the hash of the whole case, in the file's order."""
    return store.case_hashes(tx, version)


def diff(tx: Connection, old: DatasetVersion, new: DatasetVersion) -> DatasetDiff:
    """What changed between two versions, by case id."""
    before, after = store.case_hashes(tx, old), store.case_hashes(tx, new)
    return DatasetDiff(
        added=[id for id in after if id not in before],
        removed=[id for id in before if id not in after],
        changed=[id for id, hash in after.items() if before.get(id, hash) != hash],
    )


def to_jsonl(cases: Iterable[Case]) -> Iterator[bytes]:
    """The file that imports as these cases."""
    for case in cases:
        yield msgspec.json.encode(case) + b"\n"
