"""What may lie in the repository."""

import re
from pathlib import Path

# Spelled apart, so that this file does not find itself.
PLACES = [
    "/" + "work/",
    "/" + "tmp/",
    "shared/" + "field",
    "py" + "pi.org",
    "python" + "hosted",
    "registry." + "npmjs",
]
PRIVATE = re.compile("|".join(re.escape(word) for word in PLACES))
PICTURES = {".png", ".gz", ".woff2", ".ico", ".zst", ".mo"}


def test_no_file_names_where_it_was_written(tracked: list[Path], root: Path) -> None:
    found = [
        f"{path.relative_to(root)}: {line.strip()[:100]}"
        for path in tracked
        if path.suffix not in PICTURES
        for line in path.read_text(encoding="utf-8").splitlines()
        if PRIVATE.search(line)
    ]
    assert found == []


def test_a_decision_fits_on_a_page_and_says_what_else_there_was(root: Path) -> None:
    records = sorted((root / "docs/decisions").glob("[0-9]*.md"))
    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, record.name
        for part in ("Context", "Decision", "Consequences", "Alternatives"):
            assert re.search(rf"^##+ {part}", text, re.MULTILINE), f"{record.name} has no section {part}"


def test_decisions_are_numbered_apart(root: Path) -> None:
    numbers = [record.name[:4] for record in (root / "docs/decisions").glob("[0-9]*.md")]
    assert sorted(numbers) == sorted(set(numbers))
