"""The source as the tests about the source see it."""

import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def paths() -> Mapping[str, Path]:
    """Every module of the package by dotted name."""
    found = {}
    for path in sorted((SOURCE / "assay").rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@pytest.fixture(scope="session")
def trees(paths: Mapping[str, Path]) -> Mapping[str, ast.Module]:
    """Their syntax trees."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in paths.items()}


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]
