"""What is exported is said, and no name is a shrug."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import assay

SHRUG = re.compile(
    r"utils?|helpers?|common|base|core|misc|manager|handler|processor|service|data|info", re.IGNORECASE
)
WORD = re.compile(r"[A-Z]?[a-z]+")


def bound(tree: ast.Module) -> set[str]:
    """The public names that the top of a module binds by importing or defining."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return {name for name in names if not name.startswith("_")}


def test_the_package_exports_at_most_25_names() -> None:
    assert len(assay.__all__) <= 25


def test_a_room_exports_just_what_it_says(trees: Mapping[str, ast.Module], paths: Mapping[str, Path]) -> None:
    for name, tree in trees.items():
        for node in tree.body:
            says = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            if (
                says
                and isinstance(node, ast.Assign)
                and paths[name].name == "__init__.py"
                and name != "assay"
            ):
                assert set(ast.literal_eval(node.value)) >= bound(tree), name


def test_no_module_or_class_has_a_name_that_says_nothing(trees: Mapping[str, ast.Module]) -> None:
    classes = (
        node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    names = {*(name.rpartition(".")[2] for name in trees), *classes}
    assert [name for name in names if any(SHRUG.fullmatch(word) for word in WORD.findall(name))] == []
