"""Embeddings by llama.cpp: which weights make them, and how a request is put to its server.

A request goes there in slices, since the server takes work in the order in which it comes: whoever embeds one question
waits for the slice before it, not for the two thousand chunks of somebody's index.
"""

import asyncio
import re
from array import array
from functools import partial
from pathlib import Path

import msgspec

from assay.errors import AssayError, BadRequest, UpstreamRefused
from assay.providers.embeddings import asked_of, check_dimensions
from assay.providers.gguf import read_metadata
from assay.providers.types import EmbeddingProvider, ProviderRequest
from assay.wire.embeddings import EmbeddingResponse, embedding_request, encode_embeddings
from assay.wire.usage import Usage

SLICE = 16
"""Texts sent to the server at once; 0.1 to 1 s of work for one thread."""

LARGE_ANSWER = 64 * 1024
"""More numbers than this are written in a thread."""

_POOLINGS = (1, 2, 3)
"""Mean, first token, last token: the kinds of pooling that make one vector of a text. 4 is a reranker's."""
_TOO_LONG = re.compile(r"input \((\d+) tokens\) is (?:too large|larger)")


class Encoder(msgspec.Struct, frozen=True):
    """What the weights say of a model that embeds: the length of its vectors and the tokens that it reads at most."""

    dimensions: int
    context: int


def read_encoder(weights: Path) -> Encoder | None:
    """None for a model that chats, and for a file that says nothing: loading it will tell why."""
    try:
        metadata = read_metadata(weights)
    except (OSError, ValueError):
        return None
    architecture = metadata.get("general.architecture")
    if metadata.get(f"{architecture}.pooling_type") not in _POOLINGS:
        return None
    dimensions = metadata.get(f"{architecture}.embedding_length")
    context = metadata.get(f"{architecture}.context_length")
    return Encoder(dimensions, context) if isinstance(dimensions, int) and isinstance(context, int) else None


async def embed(
    server: EmbeddingProvider, request: ProviderRequest, encoder: Encoder, *, context: int
) -> EmbeddingResponse:
    """The vectors from a running server, slice by slice. `context` is how many tokens of a text it was set up for."""
    asked = asked_of(request)
    check_dimensions(asked, encoder.dimensions, server.name)
    vectors: list[array[float]] = []
    tokens = 0
    for begin in range(0, len(asked.inputs), SLICE):
        part = embedding_request(request.model, asked.inputs[begin : begin + SLICE])
        try:
            answer = await server.embed(ProviderRequest("embeddings", part, request.model, request.timeouts))
        except UpstreamRefused as error:
            raise _explained(error, asked.model, context) from error
        vectors += answer.vectors()
        tokens += answer.usage.input if answer.usage is not None else 0
    write = partial(
        encode_embeddings,
        vectors,
        model=request.model,
        tokens=tokens,
        encoding_format=asked.encoding_format,
    )
    is_large = len(vectors) * encoder.dimensions > LARGE_ANSWER
    raw = await asyncio.to_thread(write) if is_large else write()
    return EmbeddingResponse(
        raw=raw,
        count=len(vectors),
        dimensions=encoder.dimensions,
        model=request.model,
        usage=Usage(input=tokens),
    )


def _explained(error: UpstreamRefused, model: str, context: int) -> AssayError:
    """llama.cpp calls a text that is too long a failure of its own (500), which would be tried again."""
    found = _TOO_LONG.search(error.message)
    if found is None:
        return error
    return BadRequest(
        f"A text has {found[1]} tokens, and {model!r} reads at most {context}",
        param="input",
        hint="Cut it into shorter pieces.",
    )
