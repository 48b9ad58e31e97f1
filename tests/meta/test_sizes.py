"""The ugliness of a codebase lives in its tail: the longest files, the longest functions, the deepest packages.

The allowlists only shrink.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
# Statistics when something is compared, for SciPy takes most of a second; the server when a command needs one in this
# process.
LAZY_IMPORTS = {
    "assay.evals.comparing": 1,
    "assay.evals.summing": 1,
    "assay.cli": 1,
}
MIGRATIONS = "assay.records.migrations.versions"


def over(found: Mapping[str, int], limit: int, allowed: Mapping[str, int]) -> dict[str, int]:
    """What is above the limit, or above what was allowed for it; and what is allowed and no longer needs to be."""
    tall = {name: size for name, size in found.items() if size > limit}
    return {
        name: tall.get(name, 0)
        for name in tall.keys() | allowed.keys()
        if tall.get(name) != allowed.get(name)
    }


def test_no_file_is_over_500_lines(paths: Mapping[str, Path]) -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in paths.items()}
    assert over(lengths, 500, LONG_FILES) == {}


def test_no_function_is_over_60_lines(trees: Mapping[str, ast.Module]) -> None:
    lengths = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not name.startswith(MIGRATIONS)
    }
    assert over(lengths, 60, LONG_FUNCTIONS) == {}


def test_packages_are_at_most_two_deep(paths: Mapping[str, Path]) -> None:
    deep = [name for name, path in paths.items() if name.count(".") - (path.name != "__init__.py") > 2]
    assert [name for name in deep if not name.startswith(MIGRATIONS)] == []


def test_own_modules_are_imported_at_the_top(trees: Mapping[str, ast.Module]) -> None:
    inside = {
        name: sum(
            isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("assay")
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)
        )
        for name, tree in trees.items()
    }
    assert over(inside, 0, LAZY_IMPORTS) == {}
