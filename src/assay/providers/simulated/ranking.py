"""Reranking of the simulated provider: how near a document's words are to the query's, by the vectors of `embedding`."""

import math
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.embedding import vector

_DIMENSIONS = 256
_DOCUMENTS_OF_A_UNIT = 100
"""As Cohere bills: a search with up to this many documents is one unit."""


def ranked(asked: Asked) -> list[tuple[int, float]]:
    """Each document's place in the request and its relevance, from 0 to 1; the most relevant first."""
    query, *documents = [vector(text, _DIMENSIONS) for text in asked.prompts]
    scored = [
        (at, round((1 + math.fsum(one * other for one, other in zip(query, each, strict=True))) / 2, 6))
        for at, each in enumerate(documents)
    ]
    return sorted(scored, key=lambda pair: -pair[1])[: asked.top_n]


def answer(asked: Asked, *, index: int, usage: bool) -> bytes:
    """The body as vLLM and Jina have it: with documents unless they are not wanted."""
    results = [
        {
            "index": at,
            "relevance_score": score,
            **({"document": {"text": asked.prompts[at + 1]}} if asked.returns_documents else {}),
        }
        for at, score in ranked(asked)
    ]
    body: dict[str, Any] = {"id": f"rerank-sim{index:08d}", "model": asked.model, "results": results}
    if usage:
        body["usage"] = {"total_tokens": sum(len(tokens(text)) for text in asked.prompts)}
    return msgspec.json.encode(body)


def cohere_answer(asked: Asked, *, index: int, usage: bool) -> bytes:
    """The body as Cohere has it: no documents, and what is billed is the search."""
    results = [{"index": at, "relevance_score": score} for at, score in ranked(asked)]
    units = -(-(len(asked.prompts) - 1) // _DOCUMENTS_OF_A_UNIT)
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if usage:
        meta["billed_units"] = {"search_units": units}
    return msgspec.json.encode({"id": f"rerank-sim{index:08d}", "results": results, "meta": meta})


def bare_answer(asked: Asked) -> bytes:
    """The body as text-embeddings-inference has it."""
    return msgspec.json.encode(
        [
            {
                "index": at,
                "score": score,
                **({"text": asked.prompts[at + 1]} if asked.returns_documents else {}),
            }
            for at, score in ranked(asked)
        ]
    )
