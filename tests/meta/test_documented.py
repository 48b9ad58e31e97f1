"""Every setting, route and command is in the reference, and every command that the pages show exists and takes its options."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)


def shown(root: Path, word: str) -> Iterator[tuple[str, list[str]]]:
    """The console lines of README and docs that begin with this word: (page, arguments)."""
    for page in (*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.md")):
        for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
            for line in COMMAND.findall(block):
                if line.split()[0] == word:
                    yield page.name, shlex.split(line, comments=True)[1:]


def test_the_reference_is_fresh(root: Path) -> None:
    run = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_every_make_word_that_is_shown_exists(root: Path) -> None:
    words = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {word for _, line in shown(root, "make") for word in line if "=" not in word}
    assert asked
    assert asked <= words


def test_every_command_that_is_shown_exists(root: Path) -> None:
    reference = (root / "docs/reference/cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^#+ `(assay[^`]*)`\n(.*?)(?=^#|\Z)", reference, re.MULTILINE | re.DOTALL))
    lines = list(shown(root, "assay"))
    assert lines
    for page, said in lines:
        line = list(said)
        while line and line[0].startswith("--") and line != ["--version"]:  # options before the noun
            del line[: 1 if line[0] == "--json" else 2]
        depth = next(n for n in (2, 1, 0) if " ".join(["assay", *line[:n]]) in sections)
        if depth == 0:
            pytest.fail(f"{page} shows `assay {' '.join(line)}`, which is no command")
        section = sections[" ".join(["assay", *line[:depth]])] + sections["assay"]
        missing = [
            word for word in line if word.startswith("--") and f"`{word.partition('=')[0]}`" not in section
        ]
        assert missing == [], f"{page}: assay {' '.join(line)}"
