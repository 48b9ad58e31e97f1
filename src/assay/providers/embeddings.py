"""What every provider of embeddings checks in an answer: vectors are passed on unread, so a mistake in them would be found
much later, in an index."""

import asyncio

from assay.errors import BadRequest, Upstream
from assay.providers.types import ProviderRequest
from assay.wire.embeddings import EmbeddingRequest, EmbeddingResponse, decode_embeddings
from assay.wire.openai_chat import UNREADABLE

LARGE_BODY_BYTES = 1 << 20
"""A larger answer is read in a thread, so that other calls go on meanwhile."""


def asked_of(request: ProviderRequest) -> EmbeddingRequest:
    """The client's request. The pipeline asks `embed` for nothing else."""
    assert isinstance(request.request, EmbeddingRequest)
    return request.request


async def read_answer(provider: str, request: ProviderRequest, body: bytes) -> EmbeddingResponse:
    """An upstream's answer, with a vector for each input and as long as was asked for."""
    try:
        answer = (
            decode_embeddings(body)
            if len(body) < LARGE_BODY_BYTES
            else await asyncio.to_thread(decode_embeddings, body)
        )
    except UNREADABLE as error:
        raise Upstream(f"{provider} answered with something that is no embeddings: {error}") from error
    asked = asked_of(request)
    if answer.count != len(asked.inputs):
        raise Upstream(f"{provider} answered with {answer.count} vectors for {len(asked.inputs)} inputs")
    check_dimensions(asked, answer.dimensions, provider)
    return answer


def check_dimensions(asked: EmbeddingRequest, dimensions: int, provider: str) -> None:
    """Many servers leave `dimensions` unread and answer with vectors of another length than an index expects. Cutting
    them here would spoil those of most models: only some are trained for it (Kusupati et al. 2022, arXiv:2205.13147)."""
    if asked.dimensions not in (None, dimensions):
        raise BadRequest(
            f"The model {asked.model!r} makes vectors of {dimensions} numbers at {provider}, not of {asked.dimensions}",
            param="dimensions",
            hint="Leave dimensions out, or use a model that is trained for shorter vectors.",
        )
