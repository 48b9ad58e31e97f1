"""Whatever JSON a vendor sends, its codec reads it or says that it cannot: nothing else may come out of it."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest
from assay.wire.ai21_chat import decode_ai21, decode_ai21_chunk
from assay.wire.cohere_answers import CohereEvents, CohereFailed, decode_cohere
from assay.wire.cohere_embeddings import decode_embed
from assay.wire.embeddings import embedding_request
from assay.wire.feature_extraction import as_embeddings
from assay.wire.openai_chat import UNREADABLE, StreamError, decode_completion
from assay.wire.rerank import decode_ranked, rerank_request
from assay.wire.responses import Response, StreamEvent
from assay.wire.tgi import GenerateEvents, decode_generated

NAMES = st.sampled_from(
    [
        *(
            "type",
            "index",
            "id",
            "delta",
            "message",
            "content",
            "text",
            "thinking",
            "tool_plan",
            "tool_calls",
        ),
        *("function", "name", "arguments", "citations", "finish_reason", "error", "usage", "tokens", "meta"),
        *(
            "billed_units",
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "search_units",
            "choices",
            "results",
        ),
        *("relevance_score", "score", "token", "special", "generated_text", "details", "generated_tokens"),
        *("embeddings", "float", "base64", "role", "prompt_tokens", "completion_tokens", "input_length"),
    ]
)
KINDS = st.sampled_from(
    [
        *("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta"),
        *(
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "citation-start",
            "message-end",
            "debug",
            "text",
        ),
        *("COMPLETE", "ERROR", "assistant", "function", "stop", "eos_token"),
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**53), st.floats(0, 9), st.text(max_size=5), KINDS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
EVENTS = st.builds(lambda kind, rest: {**rest, "type": kind}, KINDS, OBJECTS)
REFUSED = (*UNREADABLE, BadRequest)


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


@given(st.lists(EVENTS, max_size=4))
def test_coheres_events_are_read_or_refused(sent: list[Any]) -> None:
    reader = CohereEvents(model="m", created=0, include_usage=True)
    for each in sent:
        try:
            made = list(reader.of(encoded(each)))
        except (*UNREADABLE, CohereFailed):
            continue
        assert all(isinstance(event, StreamEvent) for event in made)


@given(OBJECTS)
def test_whole_answers_are_read_or_refused(sent: dict[str, Any]) -> None:
    decoders: list[Callable[[bytes], Response]] = [
        lambda body: decode_cohere(body, model="m", created=0),
        lambda body: decode_ai21(body, model="m", created=0),
    ]
    for decode in decoders:
        try:
            assert isinstance(decode(encoded(sent)), Response)
        except (*REFUSED, CohereFailed):
            continue


@given(OBJECTS)
def test_chunks_of_ai21_are_read_or_refused(sent: dict[str, Any]) -> None:
    try:
        made = decode_ai21_chunk(encoded(sent), model="m", created=0, include_usage=True)
    except (*UNREADABLE, StreamError):
        return
    assert all(isinstance(event, StreamEvent) for event in made)


@given(OBJECTS)
def test_tokens_of_text_generation_inference_are_read_or_refused(sent: dict[str, Any]) -> None:
    request = decode_completion(b'{"model": "m", "prompt": "x"}')
    reader = GenerateEvents(request, id="c", model="m", created=0)
    try:
        assert all(isinstance(event, StreamEvent) for event in reader.of(encoded(sent)))
    except (*UNREADABLE, StreamError):
        pass
    try:
        decode_generated(encoded(sent), request, {}, id="c", model="m", created=0)
    except UNREADABLE:
        return


@given(VALUES)
def test_vectors_and_rankings_are_read_or_refused(sent: Any) -> None:
    decoders: list[Callable[[bytes], object]] = [
        decode_embed,
        lambda body: as_embeddings(body, embedding_request("m", ["x"]), model="m"),
        lambda body: decode_ranked(body, rerank_request("m", "q", ["x"]), model="m"),
    ]
    for decode in decoders:
        try:
            decode(encoded(sent))
        except UNREADABLE:
            continue
