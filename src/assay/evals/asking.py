"""What a run asks of a model for a case, and the name under which its answer is kept."""

from collections.abc import Mapping
from typing import Any

from assay.catalog.models import ModelConfig
from assay.datasets import Case
from assay.errors import AssayError, BadRequest
from assay.kit.hashing import value_hash
from assay.tasks import CompiledVariant
from assay.tasks.calling import render
from assay.wire.requests import ChatRequest


def request_for(variant: CompiledVariant, case: Case) -> ChatRequest:
    """The rendered request. Raises `BadRequest` that names the case when its input does not fit the variant."""
    try:
        return render(variant, _inputs(variant, case))
    except AssayError as error:
        raise BadRequest(
            f"Case {case.id!r} cannot be asked: {error.message}", param="dataset", hint=error.hint
        ) from error


def cache_key(request: ChatRequest, model: ModelConfig, *, repeat: int) -> str:
    """The hash of all that an answer depends on: the request as it is sent, where it goes, and which repeat it is."""
    return value_hash(
        {
            "fields": request.fields,
            "route": [(route.provider, route.model) for route in model.route],
            "fallback": model.fallback,
            "repeat": repeat,
        }
    )


def _inputs(variant: CompiledVariant, case: Case) -> Mapping[str, Any]:
    """A text feeds the variant's only input, as the text of a message does in a call."""
    if case.inputs is not None:
        return case.inputs
    names = variant.prompt.required or variant.prompt.inputs
    if len(names) != 1:
        raise BadRequest(
            f"its input is a text, and the variant {variant.variant.name!r} takes {', '.join(names) or 'no input'}",
            hint='Write the input as an object, e.g. {"input": {"question": "…"}}.',
        )
    return {names[0]: case.input}
