"""Hugging Face's feature extraction: texts in, their vectors out as bare lists."""

from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.embeddings import EmbeddingRequest, encode_embeddings, read_vector

_HERE = frozenset(("model", "input", "encoding_format", "dimensions", "user", "assay"))
_ALONG = frozenset(("normalize", "prompt_name", "truncate", "truncation_direction"))
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_vectors = msgspec.json.Decoder(list[Raw])


def as_feature_body(request: EmbeddingRequest) -> bytes:
    """The body. Raises `Untranslatable`; `dimensions` are not asked for, and the answer's length is checked."""
    for at, each in enumerate(request.inputs):
        if not isinstance(each, str):
            raise Untranslatable(
                "Token ids cannot be sent to Hugging Face's feature extraction",
                param=f"input[{at}]",
                hint="Send texts.",
            )
    made: dict[str, Any] = {"inputs": request.inputs}
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        if name not in _ALONG:
            raise Untranslatable(
                f"{name} is not known to Hugging Face's feature extraction", param=name, hint="Leave it out."
            )
        made[name] = raw
    return _encode(made)


def as_embeddings(body: bytes, request: EmbeddingRequest, *, model: str) -> bytes:
    """The answer in OpenAI's format. Raises one of `UNREADABLE` for what is no vector a text: a model that gives one for each
    token needs a pooling of its own."""
    rows = _vectors.decode(body)
    for row in rows:
        if bytes(row)[:1] != b"[" or b"[" in bytes(row)[1:]:
            raise msgspec.ValidationError("Expected one list of numbers a text")
    if request.encoding_format == "base64":
        vectors = [read_vector(row) for row in rows]
        return encode_embeddings(vectors, model=model, tokens=None, encoding_format="base64")
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    return _encode({"object": "list", "data": data, "model": model})
