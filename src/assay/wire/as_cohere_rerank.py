"""A request to rerank, said in Cohere's format (v2), which never sends the documents back."""

from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.rerank import READ_HERE, RerankRequest

_ALONG = frozenset(("max_tokens_per_doc", "priority"))
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode


def as_rerank_body(request: RerankRequest, *, model: str) -> bytes:
    """The body. Raises `Untranslatable` for a field that Cohere does not know."""
    made: dict[str, Any] = {"model": model, "query": request.query, "documents": request.documents}
    if request.top_n is not None:
        made["top_n"] = request.top_n
    for name, raw in request.fields.items():
        if name in READ_HERE or raw == _NULL:
            continue
        if name not in _ALONG:
            raise Untranslatable(
                f"{name} cannot be said in the format of this model's provider (Cohere's)",
                param=name,
                hint="Leave it out, or ask for a model of another provider.",
            )
        made[name] = raw
    return _encode(made)
