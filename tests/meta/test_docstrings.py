"""Every public name says what it is."""

import ast
from collections.abc import Iterator, Mapping

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and their public methods, by dotted name."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}.{node.name}")


def promised(trees: Mapping[str, ast.Module]) -> set[str]:
    """Methods of the protocols and abstract classes, which say there what every implementation does."""
    classes = (node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    protocols = (
        node
        for node in classes
        if any(word in ast.unparse(parent) for parent in node.bases for word in ("Protocol", "ABC"))
    )
    return {where.rpartition(".")[2] for protocol in protocols for where, _ in definitions(protocol.body, "")}


def overrides(node: Definition) -> bool:
    """Whether it says what it does where it is declared first."""
    return any(ast.unparse(decorator).endswith("override") for decorator in node.decorator_list)


def test_every_module_has_a_docstring(trees: Mapping[str, ast.Module]) -> None:
    assert [name for name, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_every_public_name_has_a_docstring(trees: Mapping[str, ast.Module]) -> None:
    found = [pair for name, tree in trees.items() for pair in definitions(tree.body, name)]
    silent = [where for where, node in found if not ast.get_docstring(node) and not overrides(node)]
    assert [where for where in silent if where.rpartition(".")[2] not in promised(trees)] == []
