"""Cohere's embeddings (v2): a request of OpenAI's format becomes one or more of Cohere's, which take 96 texts each, and the
answers become one."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from assay.errors import Untranslatable
from assay.wire.cohere_answers import SentUsage, billed_of
from assay.wire.embeddings import EmbeddingRequest

MOST_TEXTS = 96
"""Of one request, as Cohere has it."""
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")

_HERE = frozenset(("model", "input", "encoding_format", "dimensions", "input_type", "user", "assay"))
_ALONG = frozenset(("truncate", "priority", "max_tokens"))
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode


class Embedded(Struct, frozen=True):
    """What one of Cohere's answers has: vectors as JSON, numbers or base64, and the tokens that are billed."""

    vectors: tuple[Raw, ...]
    tokens: int | None


class _Vectors(Struct, frozen=True):
    float: tuple[Raw, ...] | None = None
    base64: tuple[Raw, ...] | None = None


class _Answer(Struct, frozen=True):
    embeddings: _Vectors
    meta: SentUsage | None = None


_answer = msgspec.json.Decoder(_Answer)


def as_embed_bodies(request: EmbeddingRequest, *, model: str, input_type: str) -> list[bytes]:
    """The bodies for Cohere. `input_type` is for a client that says none in a field of that name. Raises `Untranslatable`."""
    texts: list[str] = []
    for at, each in enumerate(request.inputs):
        if not isinstance(each, str):
            raise Untranslatable(
                "Token ids cannot be sent to Cohere, which takes texts",
                param=f"input[{at}]",
                hint="Send texts.",
            )
        texts.append(each)
    made: dict[str, Any] = {
        "model": model,
        "input_type": _input_type(request, input_type),
        "embedding_types": [request.encoding_format],
        **_along(request),
    }
    if request.dimensions is not None:
        made["output_dimension"] = request.dimensions
    return [_encode(made | {"texts": texts[at : at + MOST_TEXTS]}) for at in range(0, len(texts), MOST_TEXTS)]


def decode_embed(body: bytes) -> Embedded:
    """One answer. Raises one of `UNREADABLE` when it is not one."""
    sent = _answer.decode(body)
    vectors = sent.embeddings.float if sent.embeddings.base64 is None else sent.embeddings.base64
    billed = billed_of(sent.meta)
    return Embedded(vectors or (), None if billed is None else billed.input)


def joined(answers: Sequence[Embedded], *, model: str) -> bytes:
    """The answers, in their order, as one of OpenAI's format. Without a count in each of them it has no usage."""
    vectors = [vector for answer in answers for vector in answer.vectors]
    made: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)
        ],
        "model": model,
    }
    counts = [answer.tokens for answer in answers if answer.tokens is not None]
    if len(counts) == len(answers):
        made["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return _encode(made)


def _input_type(request: EmbeddingRequest, default: str) -> str:
    raw = request.fields.get("input_type", _NULL)
    said = default if raw == _NULL else msgspec.json.decode(raw)
    if said not in INPUT_TYPES:
        raise Untranslatable(
            f"input_type is {said!r}", param="input_type", hint=f"Cohere knows {', '.join(INPUT_TYPES)}."
        )
    return str(said)


def _along(request: EmbeddingRequest) -> dict[str, Raw]:
    for name, raw in request.fields.items():
        if name not in _HERE | _ALONG and raw != _NULL:
            raise Untranslatable(
                f"{name} cannot be said in the format of this model's provider (Cohere's)",
                param=name,
                hint="Leave it out, or ask for a model of an OpenAI-compatible provider.",
            )
    return {name: raw for name, raw in request.fields.items() if name in _ALONG and raw != _NULL}
