"""The Cohere provider against the simulated one."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from assay.errors import (
    BadRequest,
    Untranslatable,
    Upstream,
    UpstreamCut,
    UpstreamDown,
    UpstreamRefused,
)
from assay.providers.cohere import BASE_URL, CohereProvider, build
from assay.providers.embeddings import LARGE_BODY_BYTES
from assay.providers.simulated import Rule, Script, SimulatedTransport, Simulation, ToolUse
from assay.providers.simulated.cohere_saying import PREAMBLE_TOKENS
from assay.providers.types import (
    EmbeddingProvider,
    Endpoint,
    HttpRequest,
    HttpResponse,
    ProbedProvider,
    ProviderConfig,
    ProviderRequest,
    RerankProvider,
    Timeouts,
)
from assay.testing import FakeClock
from assay.wire.embeddings import decode_embedding
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.openai_stream import assemble
from assay.wire.requests import ModelRequest
from assay.wire.rerank import decode_rerank
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage

HELLO = [{"role": "user", "content": "one two three"}]
WEATHER = Rule(
    match="weather",
    tool="weather",
    arguments={"city": "Rome"},
    also=(ToolUse(tool="time", arguments={}),),
    saying="Let me look.",
)


def tool(name: str, **function: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "parameters": parameters, **function}}


TOOLS = [tool("weather"), tool("time")]


class Desk:
    """A provider that leads to a simulation."""

    def __init__(self, *, base_url: str = "http://any.invalid", **script: Any) -> None:
        clock = FakeClock(runs_ahead=True)
        self.simulation = Simulation(Script(**{"answer": "echo", **script}), clock=clock)
        self.cohere = CohereProvider(
            name="c",
            base_url=base_url,
            api_key="sk",
            transport=SimulatedTransport(self.simulation),
            clock=clock,
        )

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body

    def complete(self, request: ProviderRequest) -> Response:
        return asyncio.run(self.cohere.complete(request))

    def stream(self, request: ProviderRequest) -> list[StreamEvent]:
        async def scenario() -> list[StreamEvent]:
            async with aclosing(self.cohere.stream(request)) as events:
                return [event async for event in events]

        return asyncio.run(scenario())

    def answer(self, request: ProviderRequest) -> Any:
        return json.loads(self.complete(request).raw)


def asked(request: ModelRequest, endpoint: Endpoint = "chat") -> ProviderRequest:
    return ProviderRequest(endpoint, request, "command-a", Timeouts())


def chat(**body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()))


def chunks(events: list[StreamEvent]) -> list[Any]:
    return [json.loads(event.raw) for event in events if event.raw is not None]


def test_an_answer_is_in_openais_format_with_the_upstreams_name() -> None:
    desk = Desk(api_key="sk")
    answer = desk.answer(chat(max_completion_tokens=50, temperature=0.2, stop="nine", user="u7", n=1))
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "command-a"
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "one two three", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert desk.asked == {
        "model": "command-a",
        "messages": [{"role": "user", "content": "one two three"}],
        "max_tokens": 50,
        "temperature": 0.2,
        "stop_sequences": ["nine"],
        "stream": False,
    }


@pytest.mark.parametrize("base_url", ["http://any.invalid", "http://any.invalid/v2/", "http://any.invalid/"])
def test_the_base_url_may_end_with_the_version(base_url: str) -> None:
    desk = Desk(base_url=base_url)
    desk.complete(chat())
    assert desk.simulation.log[-1].path == "/v2/chat"


@pytest.mark.parametrize(
    ("body", "finish_reason"),
    [({}, "stop"), ({"stop": ["two"]}, "stop"), ({"max_tokens": 1}, "length")],
)
def test_why_it_stopped_is_said_in_openais_words(body: dict[str, Any], finish_reason: str) -> None:
    desk = Desk()
    assert desk.answer(chat(**body))["choices"][0]["finish_reason"] == finish_reason
    (reason,) = [event.finish_reason for event in desk.stream(chat(**body)) if event.finish_reason]
    assert reason == finish_reason


def test_a_stream_says_what_the_whole_answer_says() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=4)
    bodies: list[dict[str, Any]] = [
        {},
        {"documents": ["one source"], "thinking": {"type": "enabled", "token_budget": 100}},
        {"messages": [{"role": "user", "content": "weather?"}], "tools": TOOLS},
    ]
    for body in bodies:
        whole = desk.answer(chat(**body))["choices"][0]["message"]
        (told,) = assemble([event.raw for event in desk.stream(chat(**body)) if event.raw is not None])
        streamed = json.loads(told)
        for message in (whole, streamed):
            message.pop("refusal", None)
            for call in message.get("tool_calls", ()):
                call.pop("id")
        assert streamed == whole


def test_the_plan_before_calls_is_the_content_and_goes_back_as_the_plan() -> None:
    desk = Desk(rules=(WEATHER,))
    question = {"role": "user", "content": "weather?"}
    message = desk.answer(chat(messages=[question], tools=TOOLS))["choices"][0]["message"]
    assert message["content"] == "Let me look."
    assert [call["function"] for call in message["tool_calls"]] == [
        {"name": "weather", "arguments": '{"city":"Rome"}'},
        {"name": "time", "arguments": "{}"},
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in message["tool_calls"]
    ]
    desk.complete(chat(messages=[question, message, *results], tools=TOOLS))
    _, spoken, first, _ = desk.asked["messages"]
    assert spoken["tool_plan"] == "Let me look."
    assert "content" not in spoken
    assert spoken["tool_calls"] == message["tool_calls"]
    assert first["content"] == [{"type": "text", "text": "fine"}]


def test_thinking_and_citations_are_kept() -> None:
    desk = Desk(reasoning_tokens=3)
    request = chat(documents=[{"id": "d1", "data": {"text": "one"}}], thinking={"type": "enabled"})
    response = desk.complete(request)
    message = json.loads(response.raw)["choices"][0]["message"]
    assert len(message["reasoning_content"].split()) == 3
    assert [citation["text"] for citation in message["citations"]] == ["one", "two"]
    assert message["citations"][0]["sources"][0]["id"] == "d1"
    kept = json.loads(bytes(response.choices[0].message.raw or b"{}"))
    assert kept["citations"] == message["citations"]
    desk.complete(chat(messages=[*HELLO, message, *HELLO]))
    assert desk.asked["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": message["reasoning_content"],
    }


def test_what_the_model_read_is_counted_and_what_is_billed_is_told_apart() -> None:
    desk = Desk(cached_share=0.5, reasoning_tokens=2)
    counts = Usage(input=3 + PREAMBLE_TOKENS - 1, cache_read=1, output=5)
    response = desk.complete(chat())
    assert response.usage == counts
    assert response.billed == Usage(input=3, output=5)
    events = desk.stream(chat(stream_options={"include_usage": True}, stream=True))
    (ended,) = [event for event in events if event.usage is not None]
    assert (ended.usage, ended.billed) == (counts, Usage(input=3, output=5))
    assert chunks(events)[-1]["usage"]["prompt_tokens"] == 3 + PREAMBLE_TOKENS
    assert not any(chunk.get("usage") for chunk in chunks(desk.stream(chat(stream=True))))


def test_a_server_that_does_not_count_has_no_usage() -> None:
    desk = Desk(usage=False)
    response = desk.complete(chat())
    assert (response.usage, response.billed) == (None, None)
    assert "usage" not in json.loads(response.raw)


def test_everything_that_cohere_can_be_told_is_told() -> None:
    desk = Desk()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
    ]
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    desk.complete(
        chat(
            messages=messages,
            top_p=0.5,
            top_k=7,
            seed=3,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            safety_mode="STRICT",
            priority=1,
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
            reasoning_effort="none",
        )
    )
    assert desk.asked == {
        "model": "command-a",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
        ],
        "p": 0.5,
        "k": 7,
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "safety_mode": "STRICT",
        "priority": 1,
        "response_format": {"type": "json_object", "json_schema": schema},
        "thinking": {"type": "disabled"},
        "stream": False,
    }


def test_tools_can_be_demanded_forbidden_and_strict() -> None:
    desk = Desk()
    strict = [tool("weather", strict=True), tool("time", strict=True)]
    desk.complete(chat(tools=strict, tool_choice="required"))
    assert (desk.asked["tool_choice"], desk.asked["strict_tools"]) == ("REQUIRED", True)
    desk.complete(chat(tools=TOOLS, tool_choice="none"))
    assert desk.asked["tool_choice"] == "NONE"
    desk.complete(chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "time"}}))
    assert [each["function"]["name"] for each in desk.asked["tools"]] == ["time"]
    assert desk.asked["tool_choice"] == "REQUIRED"
    desk.complete(chat(tools=TOOLS, tool_choice="auto"))
    assert "tool_choice" not in desk.asked


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"top_p": 1}, "top_p"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
        ({"frequency_penalty": 1.5}, "frequency_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"stop": ["a", "b", "c", "d", "e", "f"]}, "stop"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [tool("a", strict=True), tool("b")]}, "tools[1].function.strict"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        ({"messages": [*HELLO, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
    ],
)
def test_what_cohere_cannot_honour_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    desk = Desk()
    with pytest.raises(Untranslatable) as refused:
        desk.complete(chat(**body))
    assert refused.value.param == param
    with pytest.raises(Untranslatable):
        desk.stream(chat(**body))
    assert not desk.simulation.log


def test_what_asks_for_nothing_is_left_behind() -> None:
    desk = Desk()
    nothing = {
        "n": 1,
        "logit_bias": {},
        "logprobs": False,
        "store": False,
        "metadata": None,
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "tool_choice": "auto",
        "response_format": {"type": "text"},
    }
    desk.complete(chat(**nothing))
    assert set(desk.asked) == {"model", "messages", "stream"}


def test_completions_are_made_of_the_chat() -> None:
    desk = Desk()
    request = asked(decode_completion(b'{"model": "m", "prompt": "one two"}'), "completions")
    assert desk.answer(request)["choices"][0]["text"] == "one two"
    assert "".join(event.text for event in desk.stream(request)) == "one two"


# --- Failures ---


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refusal_has_coheres_words_and_its_status(status: int) -> None:
    desk = Desk(status=status, retry_after_s=7)
    for ask in (desk.complete, desk.stream):
        with pytest.raises(UpstreamRefused) as refused:
            ask(chat())
        assert refused.value.status == status
        assert refused.value.retry_after_s == 7
        assert "c answered" in refused.value.message
        assert "no message" not in refused.value.message


def test_faults_of_a_stream_are_told_apart() -> None:
    events = Desk(malformed_at=4).stream(chat())
    assert [event.malformed for event in events].count(True) == 1
    assert any(event.finish_reason == "stop" for event in events)
    with pytest.raises(UpstreamCut):
        Desk(cut_at=4).stream(chat())
    with pytest.raises(UpstreamRefused, match="the generation failed") as refused:
        Desk(error_at=4).stream(chat())
    assert refused.value.status == 502
    with pytest.raises(UpstreamDown):
        Desk(refuse=1.0).stream(chat())


def test_an_answer_that_is_none_is_an_upstream_error() -> None:
    for desk in (Desk(malformed_at=1), Desk(error_at=1)):
        with pytest.raises(Upstream):
            desk.complete(chat())


class Canned:
    """A network that has one answer."""

    def __init__(self, body: bytes) -> None:
        self.status, self.headers, self._body = 200, dict[str, str](), body

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        return self

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> Any:
        yield self._body

    async def aclose(self) -> None:
        pass


def canned(body: bytes) -> CohereProvider:
    return CohereProvider(name="c", base_url="http://x.invalid", api_key=None, transport=Canned(body))


def test_a_generation_that_failed_is_no_answer() -> None:
    body = b'{"id": "1", "finish_reason": "ERROR", "message": {"role": "assistant"}}'
    with pytest.raises(Upstream, match="ERROR"):
        asyncio.run(canned(body).complete(chat()))


def test_a_message_without_words_has_an_empty_text() -> None:
    body = b'{"finish_reason": "COMPLETE", "message": {"role": "assistant", "content": "plain"}}'
    assert asyncio.run(canned(body).complete(chat())).text == "plain"
    body = b'{"finish_reason": "NEW_REASON", "message": {"role": "assistant"}}'
    answer = asyncio.run(canned(body).complete(chat()))
    assert (answer.text, answer.choices[0].finish_reason) == ("", "stop")


# --- Vectors and rankings ---


def embedding(**body: Any) -> ProviderRequest:
    sent = decode_embedding(json.dumps({"model": "m", "input": "x", **body}).encode())
    return ProviderRequest("embeddings", sent, "embed-v4.0", Timeouts())


def test_vectors_are_the_same_as_numbers_and_as_base64() -> None:
    desk = Desk(dimensions=64)
    plain = asyncio.run(desk.cohere.embed(embedding(input=["one", "two"], dimensions=32)))
    assert desk.asked == {
        "model": "embed-v4.0",
        "texts": ["one", "two"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 32,
    }
    packed = asyncio.run(
        desk.cohere.embed(embedding(input=["one", "two"], dimensions=32, encoding_format="base64"))
    )
    assert desk.asked["embedding_types"] == ["base64"]
    assert [each.tolist() for each in packed.vectors()] == [each.tolist() for each in plain.vectors()]
    assert json.loads(plain.raw)["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert isinstance(json.loads(packed.raw)["data"][0]["embedding"], str)


def test_more_texts_than_cohere_takes_are_several_requests_in_one_order() -> None:
    desk = Desk(dimensions=8)
    texts = [f"text {at}" for at in range(200)]
    answer = asyncio.run(desk.cohere.embed(embedding(input=texts)))
    assert [len(call.body["texts"]) for call in desk.simulation.log] == [96, 96, 8]
    alone = asyncio.run(desk.cohere.embed(embedding(input=texts[150])))
    assert answer.count == 200
    assert answer.vectors()[150] == alone.vectors()[0]
    assert answer.usage == Usage(input=400)
    desk.simulation.change(errors={"500": 0.5})
    with pytest.raises(UpstreamRefused):
        asyncio.run(desk.cohere.embed(embedding(input=[*texts, *texts, *texts])))


def test_large_answers_are_read_aside() -> None:
    desk = Desk(dimensions=1024)
    answer = asyncio.run(desk.cohere.embed(embedding(input=[f"text {at}" for at in range(90)])))
    assert len(answer.raw) > LARGE_BODY_BYTES
    assert (answer.count, answer.dimensions) == (90, 1024)


def test_what_vectors_are_for_is_said_by_the_request_or_the_provider() -> None:
    desk = Desk()
    asyncio.run(desk.cohere.embed(embedding(input_type="search_query", truncate="END")))
    assert (desk.asked["input_type"], desk.asked["truncate"]) == ("search_query", "END")
    transport = SimulatedTransport(desk.simulation)
    config = ProviderConfig(name="c", type="cohere", options={"input_type": "clustering"})
    asyncio.run(build(config, transport).embed(embedding()))
    assert desk.asked["input_type"] == "clustering"


@pytest.mark.parametrize(
    ("body", "param"),
    [({"input": [[1, 2]]}, "input[0]"), ({"input_type": "x"}, "input_type"), ({"task": "x"}, "task")],
)
def test_vectors_that_cohere_cannot_make_are_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        asyncio.run(Desk().cohere.embed(embedding(**body)))
    assert refused.value.param == param


def ranking(**body: Any) -> ProviderRequest:
    documents = ["A cake needs eggs.", "The parcel is late.", "Where parcels are."]
    sent = {"model": "m", "query": "Where is my parcel?", "documents": documents, **body}
    return ProviderRequest("rerank", decode_rerank(json.dumps(sent).encode()), "rerank-v4", Timeouts())


def test_documents_are_ranked_and_billed_by_the_search() -> None:
    desk = Desk()
    answer = asyncio.run(desk.cohere.rerank(ranking(top_n=2, return_documents=True, max_tokens_per_doc=99)))
    assert "return_documents" not in desk.asked
    assert desk.asked["max_tokens_per_doc"] == 99
    assert len(answer.results) == 2
    assert answer.results[0].relevance_score >= answer.results[1].relevance_score
    assert 0 not in [result.index for result in answer.results]
    assert (answer.search_units, answer.usage) == (1, None)
    body = json.loads(answer.raw)
    assert body["results"][0]["document"]["text"].lower().count("parcel") == 1
    assert body["meta"] == {"billed_units": {"search_units": 1}}
    with pytest.raises(Untranslatable, match="rank_fields"):
        asyncio.run(desk.cohere.rerank(ranking(rank_fields=["text"])))


# --- Configuration ---


def test_a_provider_is_built_from_its_table() -> None:
    desk = Desk(api_key="sk-right")
    transport = SimulatedTransport(desk.simulation)
    provider = build(ProviderConfig(name="c", type="cohere", api_key="sk-right"), transport)
    asyncio.run(provider.complete(chat()))
    assert desk.simulation.log[-1].headers["authorization"] == "Bearer sk-right"
    assert asyncio.run(provider.probe()).status == 200
    assert BASE_URL == "https://api.cohere.com"
    for kind in (EmbeddingProvider, RerankProvider, ProbedProvider):
        assert isinstance(provider, kind)
    for options in ({"input_type": "x"}, {"nonsense": 1}):
        with pytest.raises(BadRequest, match=r"providers\.c"):
            build(ProviderConfig(name="c", type="cohere", options=options), transport)
