"""Vectors come through the same pipeline, and only their account is kept."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from assay.calls import Call, CallContext
from assay.errors import BadRequest, Upstream, UpstreamDown, UpstreamRefused, UpstreamTimeout
from assay.kit import json
from assay.providers.completions import CompletionsOverChat
from assay.providers.simulated import Change, Script
from assay.wire.embeddings import embedding_request
from assay.wire.spans import Span, SpanKind, SpanStatus
from assay.wire.usage import UsageSource

CONTEXT = CallContext(project="p", user="u", session="s", tags=("t",), attributes={"mine": 1})


def asked(*inputs: Any, model: str = "m", **options: Any) -> Call:
    return Call("embeddings", embedding_request(model, inputs or ("one two", "three"), **options), CONTEXT)


def embedding_span(made: Any) -> Span:
    (batch,) = made.sink.batches
    (span,) = [event for event in batch if event.kind is SpanKind.EMBEDDING]
    assert isinstance(span, Span)
    return span


def test_vectors_come_back_and_the_span_says_what_they_took(pipeline: Any) -> None:
    made = pipeline(Script(dimensions=8))
    answer = asyncio.run(made.caller.embed(asked(encoding_format="float")))
    assert [len(vector) for vector in answer.response.vectors()] == [8, 8]
    span = embedding_span(made)
    assert span is answer.span
    assert (span.name, span.endpoint, span.status) == ("embeddings m", "embeddings", SpanStatus.OK)
    assert (span.upstream_model, span.provider, span.attempts) == ("up-a", "a", 1)
    assert (span.user_id, span.session_id, span.tags) == ("u", "s", ("t",))
    assert span.usage is not None
    assert (span.usage.total_input, span.usage.total_output) == (3, 0)
    assert answer.cost_usd == Decimal(3) / 1_000_000
    assert span.attributes == {
        "mine": 1,
        "assay.embeddings.inputs": 2,
        "gen_ai.embeddings.dimension.count": 8,
    }
    assert [json.decode(text) for text in span.input] == ["one two", "three"]
    assert (span.output, span.tools) == ((), ())
    assert json.decode(span.request or b"") == {"encoding_format": "float"}


def test_a_span_shows_how_the_first_inputs_begin(pipeline: Any) -> None:
    made = pipeline(Script(dimensions=8))
    asyncio.run(made.caller.embed(asked("word " * 1000, *["x"] * 99)))
    span = embedding_span(made)
    assert len(span.input) == 20
    assert len(json.decode(span.input[0])) == 500
    assert json.decode(span.input[0]).endswith("…")
    assert span.attributes["assay.embeddings.inputs"] == 100
    made = pipeline(Script(dimensions=8))
    asyncio.run(made.caller.embed(asked((*range(600),))))
    assert json.decode(embedding_span(made).input[0]) == [*range(500)]


def test_a_failed_attempt_is_tried_again_and_kept_below_the_call(pipeline: Any) -> None:
    made = pipeline(Script(status=503, then=(Change(set={"status": 200}, after_calls=1),)), retries=2)
    asyncio.run(made.caller.embed(asked()))
    (batch,) = made.sink.batches
    assert [(event.kind, event.status) for event in batch] == [("attempt", "error"), ("embedding", "ok")]
    assert made.asked("a") == 2


def test_another_upstream_of_the_route_takes_over(pipeline: Any) -> None:
    made = pipeline(Script(refuse=1.0), fallback=["spare"])
    answer = asyncio.run(made.caller.embed(asked()))
    assert (answer.span.provider, answer.span.attempts) == ("b", 2)


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ({"refuse": 1.0}, UpstreamDown, "refused"),
        ({"malformed_at": 1}, Upstream, "no embeddings"),
        ({"cut_at": 1}, Upstream, "broke the connection"),
        ({"status": 429}, UpstreamRefused, "429"),
        ({"status": 404}, UpstreamRefused, "404"),
    ],
)
def test_a_failure_is_told_and_kept(pipeline: Any, script: Any, error: type[Exception], said: str) -> None:
    made = pipeline(Script(**script))
    with pytest.raises(error, match=said) as caught:
        asyncio.run(made.caller.embed(asked()))
    span = embedding_span(made)
    assert (span.status is SpanStatus.OK, span.usage, span.cost_usd) == (False, None, None)
    if script.get("status") == 404:
        assert "serve embeddings" in (getattr(caught.value, "hint", "") or "")


def test_an_upstream_that_takes_too_long_is_cut_off(pipeline: Any) -> None:
    made = pipeline(Script(head_s=30), waits=True, timeout={"total_s": 0.05})
    with pytest.raises(UpstreamTimeout, match=r"within 0\.05 s") as caught:
        asyncio.run(made.caller.embed(asked()))
    assert "fewer texts" in (caught.value.hint or "")


def test_a_client_that_leaves_is_kept_as_such(pipeline: Any) -> None:
    made = pipeline(Script(head_s=30), waits=True)

    async def leaves() -> None:
        task = asyncio.create_task(made.caller.embed(asked()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert made.asked("a") == 1
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(leaves())
    assert embedding_span(made).status is SpanStatus.CANCELLED


def test_what_a_server_does_not_count_is_counted_here_and_marked(pipeline: Any) -> None:
    made = pipeline(Script(usage=False, dimensions=8))
    usage = asyncio.run(made.caller.embed(asked("12345678", "9"))).span.usage
    assert (usage.input, usage.input_source) == (3, UsageSource.ESTIMATE)
    made = pipeline(Script(usage=False, dimensions=8))
    usage = asyncio.run(made.caller.embed(asked((7, 8, 9), (1,)))).span.usage
    assert (usage.input, usage.input_source) == (4, UsageSource.TOKENIZER)


def test_a_provider_that_embeds_nothing_is_named(pipeline: Any) -> None:
    made = pipeline(Script())
    made._providers["a", 0] = CompletionsOverChat(made._providers["a", 0])
    with pytest.raises(BadRequest, match="'m' makes no embeddings") as caught:
        asyncio.run(made.caller.embed(asked()))
    assert caught.value.param == "model"


def test_durability_that_is_strict_refuses_before_the_upstream_is_asked(pipeline: Any) -> None:
    made = pipeline(Script())
    made.sink.writable, made.sink.strict = False, True
    with pytest.raises(Exception, match="Nothing can be kept"):
        asyncio.run(made.caller.embed(asked()))
    assert made.asked("a") == 0
