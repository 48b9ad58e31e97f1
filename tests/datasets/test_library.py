"""Dataset versions: named by their cases, never changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.datasets import (
    Case,
    DatasetVersion,
    diff,
    get_version,
    import_cases,
    iter_cases,
    list_cases,
    list_datasets,
    read_jsonl,
)
from assay.datasets.library import parse_reference, to_jsonl
from assay.errors import BadRequest, NotFound
from assay.records import Records

CASES = [
    Case(id="a", input="one", reference="1", split="dev"),
    Case(id="b", input={"x": 2}, reference=[1, 2.5, None], cluster="k", metadata={"m": True}),
    Case(id="c", input="three", split="test", provenance={"trace_id": "f" * 32}),
]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records.in_directory(tmp_path)
    made.upgrade()
    yield made
    made.close()


def add(records: Records, cases: list[Case], name: str = "d") -> tuple[DatasetVersion, bool]:
    with records.write() as tx:
        return import_cases(tx, "p", name, cases, actor="ann")


def test_the_same_cases_in_any_order_are_the_same_version(records: Records) -> None:
    first, is_new = add(records, CASES)
    again, is_new_again = add(records, CASES[::-1])
    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert first.splits == {"dev": 1, "test": 1}


def test_a_version_gives_back_its_cases_in_order(records: Records) -> None:
    version, _ = add(records, CASES)
    with records.read() as tx:
        assert list(iter_cases(tx, version)) == CASES
        first = list_cases(tx, version, limit=2)
        second = list_cases(tx, version, limit=2, cursor=first.next)
        assert [*first.items, *second.items] == CASES
        assert second.next is None
        assert [case.id for case in list_cases(tx, version, split="test").items] == ["c"]


def test_an_export_imports_as_the_same_version(records: Records) -> None:
    version, _ = add(records, CASES)
    with records.read() as tx:
        body = b"".join(to_jsonl(iter_cases(tx, version)))
    assert add(records, read_jsonl(body)) == (version, False)


def test_versions_count_up_and_differ_by_case(records: Records) -> None:
    old, _ = add(records, CASES)
    changed = Case(id="a", input="one", reference="corrected")
    new, _ = add(records, [changed, CASES[1], Case(id="d", input="four")])
    assert (old.version, new.version) == (1, 2)
    with records.read() as tx:
        found = diff(tx, old, new)
        assert get_version(tx, "p", "d") == new
    assert (found.added, found.removed, found.changed) == (["d"], ["c"], ["a"])


def test_what_is_not_there_is_not_found(records: Records) -> None:
    add(records, CASES)
    with records.read() as tx:
        for name, number in (("d", 9), ("e", None)):
            with pytest.raises(NotFound):
                get_version(tx, "p", name, number)
        with pytest.raises(NotFound):
            get_version(tx, "other project", "d")


def test_the_list_pages_by_name_with_the_newest_version(records: Records) -> None:
    for name in ("b", "a", "c"):
        add(records, CASES, name)
    add(records, CASES[:1], "a")
    with records.read() as tx:
        first = list_datasets(tx, "p", limit=2)
        second = list_datasets(tx, "p", limit=2, cursor=first.next)
    assert [(item.name, item.version, item.cases) for item in (*first.items, *second.items)] == [
        ("a", 2, 1),
        ("b", 1, 3),
        ("c", 1, 3),
    ]


def test_a_reference_may_name_a_version() -> None:
    assert parse_reference("reviews") == ("reviews", None)
    assert parse_reference("reviews@2") == ("reviews", 2)
    assert parse_reference("reviews@v2") == ("reviews", 2)
    with pytest.raises(BadRequest):
        parse_reference("reviews@latest")
