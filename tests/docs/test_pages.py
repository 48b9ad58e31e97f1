"""The form of the pages: what a block may be, what may stay undone, where a page is listed, where a link leads."""

import json
import re
from pathlib import Path

import pytest
from tests.docs.blocks import CHINESE, LANGUAGES, ROOT, blocks, pages

NOT_RUN = {
    "CONTRIBUTING.md": "sets up what the tests themselves stand on",
    "README.md": "minutes with a real model; tests/demo plays it with a simulated one",
    "README.zh-CN.md": "minutes with a real model; tests/demo plays it with a simulated one",
    "docs/guides/run-it-on-a-server.md": "needs root and a machine of its own",
    "docs/guides/trace-an-app-i-cannot-change.md": "the packages are installed for the tests",
    "docs/install.md": "sets up what the tests themselves stand on",
    "docs/testing.md": "serves until it is stopped",
    "examples/opentelemetry/README.md": "the packages are installed for the tests",
}
"""Every block that is only looked at, by its page. This list only shrinks."""

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def test_a_block_says_what_it_is() -> None:
    unsaid = [block.where for page in pages() for block in blocks(page) if block.language not in LANGUAGES]
    assert unsaid == []


def test_a_block_that_does_not_run_has_its_reason_and_its_place_in_a_short_list() -> None:
    marked = [(block.page, block.not_run) for page in pages() for block in blocks(page) if block.not_run]
    assert sorted(marked) == sorted(NOT_RUN.items())


def test_json_is_json() -> None:
    shown = [block for page in pages() for block in blocks(page) if block.language == "json"]
    assert shown
    for block in shown:
        try:
            json.loads(block.text)
        except ValueError:
            for line in filter(str.strip, block.text.splitlines()):
                json.loads(line)


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert listed == there


@pytest.mark.parametrize(
    "page", [page for page in pages() if "docs" not in page.parts], ids=lambda page: page.name
)
def test_links_of_pages_that_are_not_in_the_site_lead_somewhere(page: Path) -> None:
    dead = [to for to in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / to).exists()]
    assert dead == []


def outline(page: Path) -> list[str]:
    """The levels of the headings, in order."""
    return re.findall(r"^(#+) ", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_readme_says_the_same_in_chinese() -> None:
    english, chinese = ROOT / "README.md", ROOT / CHINESE
    assert outline(english) == outline(chinese)
    for one, other in zip(blocks(english), blocks(chinese), strict=True):
        assert (one.language, one.title, one.text) == (other.language, other.title, other.text), other.where
    tables = [
        re.findall(r"^\|", page.read_text(encoding="utf-8"), re.MULTILINE) for page in (english, chinese)
    ]
    assert len(tables[0]) == len(tables[1])
    links = [
        set(re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))) for page in (english, chinese)
    ]
    assert links[0] - {CHINESE} == {to.replace(".zh-CN.png", ".png") for to in links[1]} - {"README.md"}
    assert CHINESE in links[0]
    assert "README.md" in links[1]
