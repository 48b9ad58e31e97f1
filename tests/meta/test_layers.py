"""Imports run only downward, and no two modules import each other."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

GROUND = "errors kit settings directory wire templates sdk stats detect charts ui records snapshot access audit secrets spans jobs decisions files responses"
ONE_PATH = "providers catalog calls"
FEATURES = "traces prompts scorers retrieval datasets tasks playground evals batches"
DECISIONS = "releases experiments monitors tuning search operations"
FACES = "gateway testing web metrics app server demo commands cli __main__"
ORDER = f"{GROUND} {ONE_PATH} {FEATURES} {DECISIONS} {FACES}".split()
ASSEMBLERS = {"app", "cli", "server"}
OWN = {"store", "api", "pages"}


def imported(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """The modules of the package that these statements import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in known else node.module,) if name in known)


def room(module: str) -> str:
    """The room a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_place_in_the_order(trees: Mapping[str, ast.Module]) -> None:
    assert {room(name) for name in trees} - {""} <= set(ORDER)


def test_a_room_imports_only_rooms_below_it(trees: Mapping[str, ast.Module]) -> None:
    height = {name: place for place, name in enumerate(ORDER)}
    upward = [
        f"{name} imports {target}"
        for name, tree in trees.items()
        for target in imported(tree, trees)
        if room(name) and room(target) and height[room(target)] > height[room(name)]
    ]
    assert upward == []


def test_a_store_and_the_faces_of_a_room_are_its_own(trees: Mapping[str, ast.Module]) -> None:
    reached = [
        f"{name} imports {target}"
        for name, tree in trees.items()
        for target in imported(tree, trees)
        if room(name) not in ASSEMBLERS | {room(target)} and target.rpartition(".")[2] in OWN
    ]
    assert reached == []


def test_no_module_is_part_of_an_import_cycle(trees: Mapping[str, ast.Module]) -> None:
    TopologicalSorter({name: set(imported(tree, trees)) - {name} for name, tree in trees.items()}).prepare()
