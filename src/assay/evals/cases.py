"""One case: its request, and the name under which its answer is remembered."""

from collections.abc import Mapping
from typing import Any

import msgspec

from assay.catalog.models import ModelConfig
from assay.datasets import Case
from assay.errors import BadRequest
from assay.kit.hashing import value_hash
from assay.tasks.calling import render
from assay.tasks.table import CompiledVariant
from assay.wire.requests import ChatRequest


def messages_of(variant: CompiledVariant, case: Case) -> ChatRequest:
    """The request that the variant makes of a case; a text is the variant's only input.

    Raises `BadRequest` for inputs that do not fit.
    """
    return render(variant, _inputs(variant, case))


def cache_key(request: ChatRequest, model: ModelConfig | None, *, salt: str) -> str:
    """The hash of everything that an answer depends on: the whole request, where its model leads, and the salt."""
    fields = {name: msgspec.json.decode(raw) for name, raw in request.fields.items()}
    routes = [] if model is None else [(route.provider, route.model) for route in model.route]
    return value_hash({"fields": fields, "routes": routes, "salt": salt})


def _inputs(variant: CompiledVariant, case: Case) -> Mapping[str, Any]:
    if case.inputs is not None:
        return case.inputs
    names = variant.prompt.required or variant.prompt.inputs
    if len(names) != 1:
        raise BadRequest(
            f"the input is one text, and the variant takes the inputs {', '.join(names) or '(none)'}",
            hint="Give the cases an object as input, with these fields.",
        )
    return {names[0]: case.input}
