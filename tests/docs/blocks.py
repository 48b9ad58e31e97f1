"""The code blocks of a Markdown page.

A block's language says what a reader does with it: `console` is typed line by line behind `$`, `bash` and `python` are
run, `toml` is a configuration, `json` is a body or an answer, `text` is only looked at. With `title="NAME"` it is a file
that the reader makes. A block that cannot run says so in the line before: `<!-- not run: WHY -->`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
CHINESE = "README.zh-CN.md"
LANGUAGES = ("console", "bash", "python", "toml", "json", "text")

_TITLE = re.compile(r'\btitle="([^"]+)"')
_MARKER = re.compile(r"^<!-- not run: (.+?) -->$")


class Block(NamedTuple):
    """A block, with the line that its text begins on, counted from 1."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    not_run: str | None

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: the root's, those of docs/ and those of the examples."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def blocks(page: Path) -> list[Block]:
    """The page's blocks in order. One that is only indented has the language `indented`."""
    return list(_blocks(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")))


def _blocks(page: str, text: str) -> Iterator[Block]:
    why = None
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block") and token.map:
            language = token.info.split(" ")[0] if token.type == "fence" else "indented"
            title = _TITLE.search(token.info)
            yield Block(page, token.map[0] + 2, language, title and title[1], token.content, why)
        if token.map:
            marker = _MARKER.match(token.content.strip()) if token.type == "html_block" else None
            why = marker and marker[1]
