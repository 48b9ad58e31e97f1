"""Embeddings in Gemini's format: texts in batches, a list of numbers each out. An answer is put into OpenAI's format."""

from array import array
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from assay.errors import Untranslatable
from assay.wire.embeddings import EmbeddingRequest

MAX_BATCH = 100
"""Texts that Gemini takes at once."""

_NULL = Raw(b"null")
_HERE = frozenset(("model", "input", "encoding_format", "dimensions", "user", "assay"))
_OWN = {"task_type": "taskType", "title": "title"}
_encode = msgspec.json.Encoder().encode


class _Vector(Struct, frozen=True):
    values: list[float]


class _Usage(Struct, frozen=True, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(Struct, frozen=True, rename="camel"):
    embeddings: list[_Vector]
    usage_metadata: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)


class Vectors(Struct, frozen=True):
    """Those of one batch. `tokens` is None where the server did not count."""

    vectors: list["array[float]"]
    tokens: int | None


def encode_batches(request: EmbeddingRequest, *, model: str) -> Iterator[bytes]:
    """Bodies for `batchEmbedContents`, in the order of the inputs. Raises `Untranslatable` for what the format cannot say."""
    rest: dict[str, Any] = {"model": model}
    if request.dimensions is not None:
        rest["outputDimensionality"] = request.dimensions
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        if name not in _OWN:
            raise Untranslatable(
                f"{name} cannot be said in the format of this model's provider (Gemini's)",
                param=name,
                hint="Leave it out. Gemini's own are task_type and title.",
            )
        rest[_OWN[name]] = raw
    for at, each in enumerate(request.inputs):
        if not isinstance(each, str):
            raise Untranslatable(
                "input has token ids, which Gemini's format does not take",
                param=f"input[{at}]" if len(request.inputs) > 1 else "input",
                hint="Send the text.",
            )
    for at in range(0, len(request.inputs), MAX_BATCH):
        batch = request.inputs[at : at + MAX_BATCH]
        yield _encode({"requests": [{**rest, "content": {"parts": [{"text": text}]}} for text in batch]})


def decode_batch(body: bytes) -> Vectors:
    """The answer to one batch. Raises one of `UNREADABLE`."""
    sent = _answer.decode(body)
    counted = sent.usage_metadata.prompt_token_count if sent.usage_metadata else None
    return Vectors([array("f", each.values) for each in sent.embeddings], counted)
