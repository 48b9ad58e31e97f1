"""Reranking: a query and documents in, the documents' relevance to it out. The shape is the one that Cohere made and Jina, vLLM,
llama.cpp and others took over; OpenAI has none.

A request keeps its JSON beside what was read (`fields`), so that a server of the same shape gets it as it came. An answer is made
anew for every client: in order of relevance, no longer than was asked for, with documents only where they were asked for.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from assay.errors import BadRequest, Untranslatable
from assay.wire.cohere_answers import SentUsage, billed_of
from assay.wire.openai_chat import UNREADABLE, bad_field, decode_body
from assay.wire.requests import AssayFields, Fields
from assay.wire.usage import Usage

MAX_DOCUMENTS = 10_000
"""Of one request, as Cohere has it."""

READ_HERE = frozenset(("model", "query", "documents", "top_n", "return_documents", "user", "assay"))
"""Read here, or nothing that changes an order."""
_TEI = ("truncate", "truncation_direction", "raw_scores")
_encode = msgspec.json.Encoder().encode


class RerankRequest(Struct, frozen=True, kw_only=True):
    """A request to order documents. `documents` are their texts; there is at least one."""

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int | None = None
    return_documents: bool = False
    stream: Literal[False] = False
    include_usage: Literal[False] = False
    assay: AssayFields | None = None
    fields: Fields = {}


class Ranked(Struct, frozen=True):
    """A document by its place in the request, and how relevant it is: higher is more. Scores of two models cannot be compared, and
    not every model's lie between 0 and 1."""

    index: int
    relevance_score: float


class RerankResponse(Struct, frozen=True, kw_only=True):
    """The most relevant document first. `search_units` is what a vendor bills instead of tokens."""

    raw: bytes
    results: tuple[Ranked, ...]
    model: str | None = None
    usage: Usage | None = None
    search_units: int | None = None


class _Request(Struct, frozen=True, kw_only=True):
    model: str
    query: str
    documents: list[Raw]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    assay: AssayFields | None = None


class _Document(Struct, frozen=True):
    text: str


class _Result(Struct, frozen=True):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(Struct, frozen=True):
    results: list[_Result]
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    meta: SentUsage | None = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)
_bare = msgspec.json.Decoder(list[_Result])
_text = msgspec.json.Decoder(str)
_document = msgspec.json.Decoder(_Document)


def decode_rerank(body: bytes) -> RerankRequest:
    """A `/v1/rerank` body. Raises `BadRequest` whose `param` is the field's path, e.g. `documents[3]`."""
    fields, sent = decode_body(body, _request)
    if not sent.query:
        raise BadRequest("query is empty", param="query", hint="Say what the documents shall be relevant to.")
    if not sent.documents:
        raise BadRequest("documents is empty", param="documents", hint="Send at least one document.")
    if len(sent.documents) > MAX_DOCUMENTS:
        raise BadRequest(
            f"More than {MAX_DOCUMENTS:,} documents cannot be sent at once",
            param="documents",
            hint="Send several requests, or fewer candidates.",
        )
    return RerankRequest(
        model=sent.model,
        query=sent.query,
        documents=tuple([_text_of(raw, f"documents[{at}]") for at, raw in enumerate(sent.documents)]),
        top_n=sent.top_n,
        return_documents=bool(sent.return_documents),
        assay=sent.assay,
        fields=fields,
    )


def rerank_request(
    model: str, query: str, documents: Sequence[str], *, top_n: int | None = None
) -> RerankRequest:
    """Make a request from values instead of from a body. Raises `BadRequest` like `decode_rerank`."""
    body: dict[str, Any] = {"model": model, "query": query, "documents": documents}
    return decode_rerank(_encode(body if top_n is None else {**body, "top_n": top_n}))


def as_tei_body(request: RerankRequest) -> bytes:
    """The body for text-embeddings-inference, whose model is the server's. Raises `Untranslatable` for a field that it does not
    know."""
    for name in request.fields:
        if name not in READ_HERE and name not in _TEI:
            raise Untranslatable(
                f"{name} is not known to text-embeddings-inference", param=name, hint="Leave it out."
            )
    made: dict[str, Any] = {"query": request.query, "texts": request.documents}
    return _encode(made | {name: request.fields[name] for name in _TEI if name in request.fields})


def decode_ranked(body: bytes, request: RerankRequest, *, model: str) -> RerankResponse:
    """An upstream's answer as `request` wants it: of this shape, or a bare list with `score`, as text-embeddings-inference has it.

    Raises one of `UNREADABLE` when it is neither, or tells of documents that were not sent, or of too few.
    """
    sent = _Answer(_bare.decode(body)) if body.lstrip()[:1] == b"[" else _answer.decode(body)
    results = sorted(map(_ranked, sent.results), key=lambda result: -result.relevance_score)
    places = {result.index for result in results}
    count = len(request.documents)
    wanted = min(request.top_n or count, count)
    if len(places) < len(results) or not places <= set(range(count)) or len(results) < wanted:
        raise msgspec.ValidationError(f"{len(results)} results that do not fit {count} documents")
    usage, units = _usage_of(sent), _units_of(sent.meta)
    results = results[:wanted]
    raw = _encode_answer(request, results, id=sent.id, model=sent.model or model, usage=usage, units=units)
    return RerankResponse(raw=raw, results=tuple(results), model=sent.model, usage=usage, search_units=units)


def _encode_answer(
    request: RerankRequest,
    results: list[Ranked],
    *,
    id: str | None,
    model: str,
    usage: Usage | None,
    units: int | None,
) -> bytes:
    rows = [
        {
            "index": result.index,
            "relevance_score": result.relevance_score,
            **({"document": {"text": request.documents[result.index]}} if request.return_documents else {}),
        }
        for result in results
    ]
    made: dict[str, Any] = {"id": id or "", "model": model, "results": rows}
    if usage is not None:
        made["usage"] = {"prompt_tokens": usage.total_input, "total_tokens": usage.total_input}
    if units is not None:
        made["meta"] = {"billed_units": {"search_units": units}}
    return _encode(made)


def _ranked(sent: _Result) -> Ranked:
    score = sent.score if sent.relevance_score is None else sent.relevance_score
    if score is None:
        raise msgspec.ValidationError("a result without relevance_score")
    return Ranked(sent.index, score)


def _usage_of(sent: _Answer) -> Usage | None:
    said = sent.usage or _Usage()
    counted = said.total_tokens if said.prompt_tokens is None else said.prompt_tokens
    if counted is not None:
        return Usage(input=counted)
    billed = billed_of(sent.meta)
    return billed if billed is not None and _units_of(sent.meta) is None else None


def _units_of(meta: SentUsage | None) -> int | None:
    billed = None if meta is None else meta.billed_units
    return None if billed is None or billed.search_units is None else int(billed.search_units)


def _text_of(raw: Raw, place: str) -> str:
    try:
        text = _text.decode(raw) if bytes(raw).lstrip()[:1] == b'"' else _document.decode(raw).text
    except UNREADABLE as error:
        raise bad_field(error, place) from error
    if not text:
        raise BadRequest(f"{place} is empty", param=place, hint="Leave empty documents out.")
    return text
