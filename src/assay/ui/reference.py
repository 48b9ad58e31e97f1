"""`/api/docs`: the HTTP API for people, made of the same OpenAPI document that programs read."""

from collections import defaultdict
from typing import Any

import msgspec
from litestar import Request, Response, get

from assay.ui import shell


class Parameter(msgspec.Struct, frozen=True):
    """A parameter in the path or the query."""

    name: str
    where: str
    required: bool
    type: str


class Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    method: str
    path: str
    says: str
    parameters: list[Parameter]
    body: Any
    answer: Any


class ReferenceContext(msgspec.Struct):
    """What `ui/reference.html` shows: operations by noun."""

    nouns: list[tuple[str, list[Operation]]]


@get("/api/docs", opt={"for_anyone": True}, include_in_schema=False, sync_to_thread=True)
def show_reference(request: Request[Any, Any, Any]) -> Response[str]:
    """Every route with its parameters and shapes."""
    document = request.app.openapi_schema.to_schema()
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, list[Operation]] = defaultdict(list)
    for path, item in sorted(document["paths"].items()):
        noun = path.split("/")[2] if path.count("/") > 1 else path
        for method, operation in item.items():
            found[noun].append(_operation(method, path, operation, schemas))
    return shell.page(request, "ui/reference.html", ReferenceContext(sorted(found.items())), title="HTTP API")


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Operation:
    answers = [answer for status, answer in operation.get("responses", {}).items() if status.startswith("2")]
    return Operation(
        method=method.upper(),
        path=path,
        says=operation.get("description") or operation.get("summary") or "",
        parameters=[
            Parameter(
                each["name"], each["in"], bool(each.get("required")), _type(each.get("schema", {}), schemas)
            )
            for each in operation.get("parameters", ())
        ],
        body=_shape(_content(operation.get("requestBody")), schemas),
        answer=_shape(_content(answers[0]) if answers else None, schemas),
    )


def _content(holder: dict[str, Any] | None) -> dict[str, Any] | None:
    for media in (holder or {}).get("content", {}).values():
        schema: dict[str, Any] | None = media.get("schema")
        return schema
    return None


def _shape(schema: dict[str, Any] | None, schemas: dict[str, Any], *, depth: int = 0) -> Any:
    """A schema as the JSON that it describes, with types in the place of values."""
    if schema is None:
        return None
    schema = _resolved(schema, schemas)
    if "properties" in schema and depth < 3:
        required = set(schema.get("required", ()))
        return {
            name if name in required else f"{name}?": _shape(inner, schemas, depth=depth + 1)
            for name, inner in schema["properties"].items()
        }
    if schema.get("type") == "array" and depth < 3:
        return [_shape(schema.get("items"), schemas, depth=depth + 1)]
    return _type(schema, schemas)


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(each, schemas) for each in schema[key]))
    kind = schema.get("type", "any")
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return schemas.get(reference.rpartition("/")[2], {}) if reference else schema


handlers = [show_reference]
