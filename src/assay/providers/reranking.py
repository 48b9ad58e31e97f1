"""What every provider that reranks does with an answer: check that it fits the documents."""

from assay.errors import Upstream
from assay.providers.types import ProviderRequest
from assay.wire.openai_chat import UNREADABLE
from assay.wire.rerank import RerankRequest, RerankResponse, decode_ranked


def asked_to_rank(request: ProviderRequest) -> RerankRequest:
    """The client's request. The pipeline asks `rerank` for nothing else."""
    assert isinstance(request.request, RerankRequest)
    return request.request


def read_ranked(provider: str, request: ProviderRequest, body: bytes) -> RerankResponse:
    """An upstream's answer, in order of relevance, about documents that were sent."""
    try:
        return decode_ranked(body, asked_to_rank(request), model=request.model)
    except UNREADABLE as error:
        raise Upstream(f"{provider} answered with something that is no ranking: {error}") from error
