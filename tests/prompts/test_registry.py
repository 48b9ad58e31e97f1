"""Prompts: content names versions, labels move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import BadRequest, NotFound
from assay.prompts import PromptContent, TemplateMessage, compile_prompt, registry
from assay.records import Records


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records.in_directory(tmp_path)
    made.upgrade()
    yield made
    made.close()


def push(records: Records, content: PromptContent, name: str = "polish") -> tuple[int, bool]:
    with records.write() as tx:
        version, is_new = registry.push(tx, "p", name, content, actor="ann")
    return version.version, is_new


def test_equal_content_is_the_same_version(records: Records) -> None:
    assert push(records, PromptContent("a {{ x }}")) == (1, True)
    assert push(records, PromptContent("b {{ x }}")) == (2, True)
    assert push(records, PromptContent("a {{ x }}")) == (1, False)


def test_a_version_is_found_by_number_hash_and_label(records: Records) -> None:
    first, second = PromptContent("one"), PromptContent("two")
    push(records, first)
    push(records, second)
    with records.write() as tx:
        registry.move_label(tx, "p", "polish", "production", 1, actor="ann")
        assert registry.get_version(tx, "p", "polish").version == 2
        assert registry.get_version(tx, "p", "polish", label="production").content == first
        assert registry.get_version(tx, "p", "polish", version=second.hash[:10]).version == 2
        registry.move_label(tx, "p", "polish", "production", second.hash, actor="bob")
        assert registry.get_version(tx, "p", "polish", label="production").content == second


def test_what_is_not_there_is_not_found(records: Records) -> None:
    push(records, PromptContent("one"))
    with records.read() as tx:
        for wrong in ({"version": 7}, {"version": "f" * 12}, {"label": "nowhere"}):
            with pytest.raises(NotFound):
                registry.get_version(tx, "p", "polish", **wrong)
        with pytest.raises(NotFound):
            registry.get_version(tx, "other project", "polish")


def test_the_list_pages_by_name(records: Records) -> None:
    for name in "cab":
        push(records, PromptContent("x"), name)
    with records.read() as tx:
        first = registry.list_prompts(tx, "p", limit=2)
        second = registry.list_prompts(tx, "p", limit=2, cursor=first.next)
    assert [item.name for item in (*first.items, *second.items)] == ["a", "b", "c"]
    assert second.next is None


@pytest.mark.parametrize(
    "content",
    [
        PromptContent(),
        PromptContent("both", (TemplateMessage("user", "x"),)),
        PromptContent(messages=(TemplateMessage("history"),)),
        PromptContent(
            messages=(TemplateMessage("history"), TemplateMessage("history"), TemplateMessage("user", "x"))
        ),
        PromptContent(messages=(TemplateMessage("history", "text"), TemplateMessage("user", "x"))),
        PromptContent("{{ unclosed"),
    ],
)
def test_content_that_says_nothing_clear_is_refused(records: Records, content: PromptContent) -> None:
    with pytest.raises(BadRequest):
        push(records, content)


def test_names_that_cannot_stand_in_a_path_are_refused(records: Records) -> None:
    for name in ("", "a/b", "../x", "a b", ".hidden", "x" * 101):
        with pytest.raises(BadRequest):
            push(records, PromptContent("x"), name)


def test_a_bad_message_is_named_by_its_place() -> None:
    with pytest.raises(BadRequest) as caught:
        compile_prompt(
            PromptContent(messages=(TemplateMessage("system", "ok"), TemplateMessage("user", "{{ x")))
        )
    assert caught.value.param == "messages[1].content"


def test_the_difference_of_two_versions_reads_like_a_patch(records: Records) -> None:
    push(records, PromptContent("same\nold\n"))
    push(records, PromptContent("same\nnew\n"))
    with records.read() as tx:
        versions = [registry.get_version(tx, "p", "polish", version=number) for number in (1, 2)]
    assert "-old\n+new\n" in registry.differences(*versions)
    assert registry.differences(versions[0], versions[0]) == ""
