"""Tasks and variants: a name stands for one content, for ever."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.errors import BadRequest, Conflict, NotFound
from assay.kit.json import encode
from assay.prompts import PromptContent, TemplateMessage, registry
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.tasks import TASKS, apply_tasks, get_task, get_variant, list_tasks, put_variant
from assay.tasks.definitions import VariantDefinition


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records.in_directory(tmp_path)
    made.upgrade()
    yield made
    made.close()


def put(records: Records, name: str = "v1", task: str = "t", **written: Any) -> bool:
    with records.write() as tx:
        definition = VariantDefinition(**{"model": "fast", **written})
        return put_variant(tx, "p", task, name, definition, actor="ann")[1]


def test_the_same_again_changes_nothing_and_something_else_is_a_conflict(records: Records) -> None:
    assert put(records, prompt="a {{ x }}") is True
    assert put(records, prompt="a {{ x }}") is False
    for changed in (
        {"prompt": "b {{ x }}"},
        {"prompt": "a {{ x }}", "model": "slow"},
        {"prompt": "a {{ x }}", "parameters": {"seed": 1}},
    ):
        with pytest.raises(Conflict, match="says something else"):
            put(records, **changed)
    with records.read() as tx:
        assert get_variant(tx, "p", "t", "v1").spec.content == PromptContent("a {{ x }}")


def test_a_variant_holds_what_the_label_meant_when_it_was_made(records: Records) -> None:
    with records.write() as tx:
        for text in ("one", "two"):
            registry.push(tx, "p", "greeting", PromptContent(text), actor="ann")
        registry.move_label(tx, "p", "greeting", "production", 1, actor="ann")
    put(records, prompt={"name": "greeting", "label": "production"})
    with records.write() as tx:
        registry.move_label(tx, "p", "greeting", "production", 2, actor="ann")
        spec = get_variant(tx, "p", "t", "v1").spec
    assert spec.content == PromptContent("one")
    assert spec.prompt is not None
    assert spec.prompt.version == 1


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"prompt": "x", "messages": (TemplateMessage("user", "y"),)},
        {"prompt": "{{ unclosed"},
        {"prompt": "x", "parameters": {"stream": True}},
        {"prompt": "x", "parameters": {"messages": []}},
        {"prompt": {"version": 1}},
        {"prompt": {"name": "greeting", "colour": 1}},
    ],
)
def test_what_cannot_be_a_variant_is_refused(records: Records, written: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        put(records, **written)
    with records.read() as tx, pytest.raises(NotFound):
        get_task(tx, "p", "t")


def test_the_hot_path_has_a_new_variant_when_the_write_returns(records: Records) -> None:
    source = SnapshotSource(records, [TASKS])
    put(records, prompt="a {{ x }}", parameters={"temperature": 0.5})
    compiled = source.current[TASKS]["p", "t"].variants["v1"]
    assert compiled.prompt.inputs == ("x",)
    assert encode(compiled.fields) == b'{"temperature":0.5}'


def test_a_file_applies_as_often_as_it_is_read(records: Records) -> None:
    tables = {"t": {"variants": {"v1": {"model": "fast", "prompt": "a {{ x }}"}}, "allow_system": True}}
    for _ in range(2):
        with records.write() as tx:
            apply_tasks(tx, "p", tables, models={"fast": object()})
    with records.read() as tx:
        task = get_task(tx, "p", "t")
    assert (task.allow_system, [each.name for each in task.variants]) == (True, ["v1"])


@pytest.mark.parametrize(
    ("table", "param"),
    [
        ({}, "tasks.t"),
        ({"variants": {}, "weights": {}}, "tasks.t.weights"),
        ({"variants": {"v1": {"model": "fast"}}}, "tasks.t.variants.v1"),
        ({"variants": {"v1": {"model": "fast", "prompt": "x", "temperature": 1}}}, "tasks.t.variants.v1"),
        ({"variants": {"v1": {"model": "none", "prompt": "x"}}}, "tasks.t.variants.v1.model"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_key(
    records: Records, table: dict[str, Any], param: str
) -> None:
    with records.write() as tx, pytest.raises(BadRequest) as caught:
        apply_tasks(tx, "p", {"t": table}, models={"fast": object()})
    assert caught.value.param == param


def test_tasks_are_listed_by_name_in_pages(records: Records) -> None:
    for task in ("b", "c", "a"):
        put(records, task=task, prompt="x")
    with records.read() as tx:
        first = list_tasks(tx, "p", limit=2)
        second = list_tasks(tx, "p", limit=2, cursor=first.next)
    assert [task.name for task in (*first.items, *second.items)] == ["a", "b", "c"]
    assert second.next is None
