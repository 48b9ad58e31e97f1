"""The Gemini provider against the simulated one, for clients of either format."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from assay.errors import (
    BadRequest,
    Untranslatable,
    Upstream,
    UpstreamCut,
    UpstreamRefused,
)
from assay.providers.gemini import GeminiOptions, GeminiProvider, build
from assay.providers.messages import MessagesOverChat
from assay.providers.registry import BUILT_IN
from assay.providers.simulated import Rule, Script, SimulatedTransport, Simulation, ToolUse
from assay.providers.types import (
    EmbeddingProvider,
    HttpRequest,
    HttpResponse,
    MessagesProvider,
    ProbedProvider,
    ProviderConfig,
    ProviderRequest,
    Timeouts,
)
from assay.testing import FakeClock
from assay.wire.anthropic import decode_messages
from assay.wire.embeddings import EmbeddingResponse, decode_embedding
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.openai_stream import assemble
from assay.wire.requests import ModelRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import UsageSource

HELLO: list[Any] = [{"role": "user", "content": "one two three"}]
WEATHER = Rule(
    match="weather",
    tool="weather",
    arguments={"city": "Rome"},
    also=(ToolUse(tool="time", arguments={}), ToolUse(tool="weather", arguments={"city": "Oslo"})),
    saying="Let me look.",
)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("weather", "time")
]


class Desk:
    """A Gemini provider that leads to a simulation, for chat clients and for Anthropic's."""

    def __init__(self, options: GeminiOptions | None = None, **script: Any) -> None:
        clock = FakeClock(runs_ahead=True)
        self.simulation = Simulation(Script(**{"answer": "echo", "api_key": "k", **script}), clock=clock)
        self.gemini = GeminiProvider(
            name="g",
            base_url="http://any.invalid/v1beta/",
            api_key="k",
            transport=SimulatedTransport(self.simulation),
            options=options,
            clock=clock,
        )
        self.translated = MessagesOverChat(self.gemini)

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body


def asked(request: ModelRequest, model: str = "gemini-3-pro") -> ProviderRequest:
    endpoint: Any = "messages" if type(request).__name__ == "MessagesRequest" else "chat"
    return ProviderRequest(endpoint, request, model, Timeouts())


def chat(model: str = "gemini-3-pro", **body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()), model)


def messages(**body: Any) -> ProviderRequest:
    sent = {"model": "m", "max_tokens": 2048, "messages": HELLO, **body}
    return asked(decode_messages(json.dumps(sent).encode()))


def vectors(*texts: Any, **body: Any) -> ProviderRequest:
    request = decode_embedding(json.dumps({"model": "m", "input": texts, **body}).encode())
    return ProviderRequest("embeddings", request, "gemini-embedding-001", Timeouts())


def complete(provider: Any, request: ProviderRequest) -> Response:
    answer = asyncio.run(provider.complete(request))
    assert isinstance(answer, Response)
    return answer


def stream(provider: Any, request: ProviderRequest) -> list[StreamEvent]:
    async def scenario() -> list[StreamEvent]:
        async with aclosing(provider.stream(request)) as events:
            return [event async for event in events]

    return asyncio.run(scenario())


def embed(provider: Any, request: ProviderRequest) -> EmbeddingResponse:
    answer = asyncio.run(provider.embed(request))
    assert isinstance(answer, EmbeddingResponse)
    return answer


def message_of(answer: Response) -> Any:
    return json.loads(answer.raw)["choices"][0]["message"]


# --- Chat ---


def test_a_chat_is_translated_there_and_back() -> None:
    desk = Desk(cached_share=0.5)
    answer = complete(
        desk.gemini, chat(messages=[{"role": "system", "content": "s"}, *HELLO], temperature=0.5)
    )
    assert desk.asked == {
        "contents": [{"role": "user", "parts": [{"text": "one two three"}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"temperature": 0.5},
    }
    call = desk.simulation.log[-1]
    assert call.path == "/v1beta/models/gemini-3-pro:generateContent"
    assert call.headers["x-goog-api-key"] == "k"
    body = json.loads(answer.raw)
    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "one two three")
    assert (body["usage"]["prompt_tokens"], body["usage"]["prompt_tokens_details"]["cached_tokens"]) == (4, 2)
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.cache_read, answer.usage.output) == (2, 2, 3)


def test_a_streamed_chat_says_what_a_whole_one_says() -> None:
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": "the weather"}], "tools": TOOLS}
    desk = Desk(rules=(WEATHER,), reasoning_tokens=4, cached_share=0.5, show_reasoning=True)
    whole = complete(desk.gemini, chat(**ask))
    events = stream(desk.gemini, chat(**ask, stream=True, stream_options={"include_usage": True}))
    assert desk.simulation.log[-1].path.endswith(":streamGenerateContent")
    (told,) = [json.loads(raw) for raw in assemble([event.raw for event in events if event.raw])]
    said = message_of(whole)
    assert (told["content"], told["reasoning_content"]) == (said["content"], said["reasoning_content"])
    assert said["content"] == "Let me look."
    functions = [call["function"] for call in said["tool_calls"]]
    assert [call["function"] for call in told["tool_calls"]] == functions
    assert [each["arguments"] for each in functions] == ['{"city":"Rome"}', "{}", '{"city":"Oslo"}']
    assert len({call["id"] for call in told["tool_calls"] + said["tool_calls"]}) == 6, "ids are made up"
    counts = [event.usage for event in events if event.usage]
    assert counts[0].output_source is UsageSource.ESTIMATE
    assert counts[-1] == whole.usage
    assert json.loads(events[-1].raw or b"")["usage"] == json.loads(whole.raw)["usage"]
    assert [event.finish_reason for event in events if event.finish_reason] == ["tool_calls"]


def test_usage_is_kept_from_a_client_that_did_not_ask_and_still_counted() -> None:
    events = stream(Desk().gemini, chat(stream=True))
    assert all("usage" not in json.loads(event.raw) for event in events if event.raw)
    assert events[-1].raw is None
    assert events[-1].usage is not None


def test_several_answers_are_told_and_counted_together() -> None:
    desk = Desk()
    whole = complete(desk.gemini, chat(n=2))
    assert [choice.message.text for choice in whole.choices] == ["one two three"] * 2
    events = stream(desk.gemini, chat(n=2, stream=True))
    assert [event.index for event in events if event.finish_reason] == [0, 1]
    assert [event.usage for event in events if event.usage][-1] == whole.usage


def test_log_probabilities_are_the_same_streamed_and_whole() -> None:
    asks: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    said = json.loads(complete(Desk().gemini, chat(**asks)).raw)["choices"][0]["logprobs"]["content"]
    events = stream(Desk().gemini, chat(**asks, stream=True))
    choices = [json.loads(event.raw)["choices"][0] for event in events if event.raw]
    told = [token for choice in choices if choice["logprobs"] for token in choice["logprobs"]["content"]]
    assert (
        [token["token"] for token in told] == [token["token"] for token in said] == ["one", " two", " three"]
    )
    assert all(len(token["top_logprobs"]) == 2 for token in told)


def test_a_schema_and_a_demanded_tool_are_kept_to() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert json.loads(complete(Desk().gemini, chat(response_format=form)).text)["answer"] == "one two three"
    named = {"type": "function", "function": {"name": "time"}}
    (call,) = complete(Desk().gemini, chat(tools=TOOLS, tool_choice=named)).choices[0].message.tool_calls
    assert call.name == "time"


def test_thinking_is_asked_for_where_the_client_does_not_say() -> None:
    desk = Desk(GeminiOptions(include_thoughts=True), reasoning_tokens=3)
    assert message_of(complete(desk.gemini, chat()))["reasoning_content"]
    quiet = chat(extra_body={"google": {"thinking_config": {"include_thoughts": False}}})
    assert "reasoning_content" not in message_of(complete(desk.gemini, quiet))


def test_a_completion_is_asked_as_a_message() -> None:
    desk = Desk()
    request = decode_completion(b'{"model":"m","prompt":"one two"}')
    assert complete(desk.gemini, ProviderRequest("completions", request, "g", Timeouts())).text == "one two"
    streamed = decode_completion(b'{"model":"m","prompt":"one two","stream":true}')
    events = stream(desk.gemini, ProviderRequest("completions", streamed, "g", Timeouts()))
    told = [json.loads(event.raw)["choices"][0]["text"] for event in events if event.raw]
    assert "".join(told) == "one two"


# --- Conversations with tools ---


def follow_up(said: Any) -> list[Any]:
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in said["tool_calls"]]
    return [{"role": "user", "content": "the weather"}, said, *results]


def test_a_conversation_goes_on_with_what_a_chat_client_sends_back() -> None:
    desk = Desk(rules=(WEATHER,))
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": "the weather"}], "tools": TOOLS}
    said = message_of(complete(desk.gemini, chat(**ask)))
    assert complete(desk.gemini, chat(messages=follow_up(said), tools=TOOLS)).text
    sent = desk.asked["contents"][1]["parts"]
    assert [part["functionCall"]["id"] for part in sent[1:]] == [call["id"] for call in said["tool_calls"]]

    fresh = Desk(rules=(WEATHER,))
    assert complete(fresh.gemini, chat(messages=follow_up(said), tools=TOOLS)).text, (
        "another server, the same signature"
    )
    said["tool_calls"][0]["extra_content"]["google"]["thought_signature"] = "AAAA"
    with pytest.raises(UpstreamRefused, match="Corrupted thought signature"):
        complete(fresh.gemini, chat(messages=follow_up(said), tools=TOOLS))


@pytest.mark.parametrize("is_streamed", [False, True])
def test_it_goes_on_for_a_client_that_drops_signatures(is_streamed: bool) -> None:
    desk = Desk(rules=(WEATHER,))
    ask = chat(messages=[{"role": "user", "content": "the weather"}], tools=TOOLS, stream=is_streamed)
    if is_streamed:
        (raw,) = assemble([event.raw for event in stream(desk.gemini, ask) if event.raw])
        said = json.loads(raw)
    else:
        said = message_of(complete(desk.gemini, ask))
        del said["tool_calls"][0]["extra_content"]
    assert complete(desk.gemini, chat(messages=follow_up(said), tools=TOOLS)).text
    assert desk.asked["contents"][1]["parts"][1]["thoughtSignature"].endswith("=")
    fresh = Desk(rules=(WEATHER,))
    assert complete(fresh.gemini, chat(messages=follow_up(said), tools=TOOLS)).text
    assert "skip" in fresh.asked["contents"][1]["parts"][1]["thoughtSignature"]


def test_an_anthropic_client_goes_on_as_well() -> None:
    desk = Desk(rules=(WEATHER,))
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]
    ask = {"role": "user", "content": "the weather"}
    content = json.loads(complete(desk.translated, messages(messages=[ask], tools=tools)).raw)["content"]
    assert [block["type"] for block in content] == ["text", *["tool_use"] * 3]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "bad", "is_error": True}
        for block in content[1:]
    ]
    history = [ask, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert complete(desk.translated, messages(messages=history, tools=tools)).text
    parts = desk.asked["contents"][1]["parts"]
    assert parts[1]["thoughtSignature"].endswith("="), "remembered by the id of the call"
    responses = [part["functionResponse"] for part in desk.asked["contents"][2]["parts"]]
    assert [each["name"] for each in responses] == ["weather", "time", "weather"]
    assert responses[0]["response"] == {"error": "bad"}
    told = stream(desk.translated, messages(messages=[ask], tools=tools, stream=True))
    assert json.loads(told[-2].raw or b"")["delta"]["stop_reason"] == "tool_use"


def test_an_anthropic_client_sees_the_thinking_it_asked_for() -> None:
    desk = Desk(reasoning_tokens=3)
    ask = messages(thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block["type"] for block in json.loads(complete(desk.translated, ask).raw)["content"]] == [
        "thinking",
        "text",
    ]
    assert desk.asked["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1024


def test_tokens_are_counted_by_google_for_an_anthropic_client() -> None:
    desk = Desk()
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    counted = messages(system="be kind", tools=tools)
    assert asyncio.run(desk.translated.count_chat(counted)) == 5
    assert desk.simulation.log[-1].path == "/v1beta/models/gemini-3-pro:countTokens"
    asked = desk.asked["generateContentRequest"]
    assert (asked["model"], asked["systemInstruction"]) == (
        "models/gemini-3-pro",
        {"parts": [{"text": "be kind"}]},
    )
    with pytest.raises(Upstream, match="no count"):
        asyncio.run(Answering({}).gemini.count_chat(chat()))


# --- Vectors ---


def test_vectors_come_in_the_order_of_their_texts_also_of_many() -> None:
    desk = Desk(dimensions=8)
    texts = [f"text {at}" for at in range(205)]
    many = embed(desk.gemini, vectors(*texts, encoding_format="base64"))
    assert [len(call.body["requests"]) for call in desk.simulation.log] == [100, 100, 5]
    assert (many.count, many.dimensions) == (205, 8)
    assert many.usage is not None
    assert many.usage.input == 410
    alone = embed(desk.gemini, vectors("text 150"))
    assert alone.vectors()[0] == many.vectors()[150]
    assert desk.asked["requests"] == [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "text 150"}]}}
    ]


def test_dimensions_and_googles_own_fields_go_along_and_others_are_refused() -> None:
    desk = Desk(dimensions=8)
    short = embed(desk.gemini, vectors("a", dimensions=4, task_type="RETRIEVAL_QUERY", user="u"))
    assert short.dimensions == 4
    assert desk.asked["requests"][0]["outputDimensionality"] == 4
    assert desk.asked["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    with pytest.raises(Untranslatable, match="truncate"):
        embed(desk.gemini, vectors("a", truncate="END"))
    with pytest.raises(Untranslatable, match="token ids"):
        embed(desk.gemini, vectors(1, 2))
    unread = Answering({"embeddings": [{"values": [0.5, 0.5]}]})
    with pytest.raises(BadRequest, match="2 numbers"):
        embed(unread.gemini, vectors("a", dimensions=4))
    with pytest.raises(Upstream, match="1 vectors for 2"):
        embed(unread.gemini, vectors("a", "b"))
    assert embed(unread.gemini, vectors("a")).usage is None
    with pytest.raises(Upstream, match="no embeddings"):
        embed(Answering({}).gemini, vectors("a"))


# --- Failures ---


class Answering:
    """A network whose other end always says the same."""

    headers: Mapping[str, str] = {}

    def __init__(self, body: Any, status: int = 200) -> None:
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.gemini = GeminiProvider(
            name="g", base_url="http://any.invalid/v1beta", api_key="k", transport=self
        )
        self.urls: list[str] = []

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        self.urls.append(request.url)
        return self

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        """Nothing is open."""


def google_error(code: int, status: str, **detail: Any) -> Any:
    return {"error": {"code": code, "message": "m", "status": status, "details": [detail] if detail else []}}


def test_a_refusal_is_told_in_openais_shape_with_googles_advice() -> None:
    exhausted = google_error(429, "RESOURCE_EXHAUSTED", retryDelay="17.5s")
    with pytest.raises(UpstreamRefused, match="g answered 429: m") as caught:
        complete(Answering(exhausted, 429).gemini, chat())
    assert (caught.value.status, caught.value.retry_after_s) == (429, 17.5)
    assert json.loads(caught.value.body)["error"]["code"] == "RESOURCE_EXHAUSTED"
    with pytest.raises(UpstreamRefused) as caught:
        stream(Answering([exhausted], 429).gemini, chat(stream=True))
    assert caught.value.retry_after_s == 17.5


def test_a_key_that_is_not_valid_gives_way_to_the_next() -> None:
    invalid = google_error(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID")
    with pytest.raises(UpstreamRefused) as caught:
        complete(Answering(invalid, 400).gemini, chat())
    assert caught.value.status == 401
    with pytest.raises(UpstreamRefused) as caught:
        complete(Answering(b"<html>no</html>", 502).gemini, chat())
    assert (caught.value.status, "<html>" in caught.value.message) == (502, True)


def test_an_overload_is_a_refusal_with_its_status() -> None:
    desk = Desk(status=503, retry_after_s=3)
    for ask in (lambda: complete(desk.gemini, chat()), lambda: stream(desk.gemini, chat(stream=True))):
        with pytest.raises(UpstreamRefused, match="overloaded") as caught:
            ask()
        assert (caught.value.status, caught.value.retry_after_s) == (503, 3)


def test_faults_in_a_stream_are_what_they_are() -> None:
    with pytest.raises(UpstreamCut):
        stream(Desk(cut_at=2).gemini, chat(stream=True))
    with pytest.raises(UpstreamRefused, match="overloaded") as caught:
        stream(Desk(error_at=2).gemini, chat(stream=True))
    assert caught.value.status == 503
    events = stream(Desk(malformed_at=2).gemini, chat(stream=True))
    assert sum(event.malformed for event in events) == 1
    assert "".join(event.text for event in events) == "one three"
    unfinished = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n'
    with pytest.raises(UpstreamCut, match="middle"):
        stream(Answering(unfinished).gemini, chat(stream=True))
    no_call = b'data: {"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}'
    with pytest.raises(Upstream, match="MALFORMED_FUNCTION_CALL"):
        stream(Answering(no_call).gemini, chat(stream=True))


def test_faults_in_a_whole_answer_are_what_they_are() -> None:
    with pytest.raises(UpstreamCut):
        complete(Desk(cut_at=1).gemini, chat())
    with pytest.raises(Upstream, match="not an answer"):
        complete(Desk(malformed_at=1).gemini, chat())
    with pytest.raises(Upstream, match="without an answer: no candidates"):
        complete(Answering({}).gemini, chat())


def test_a_chat_that_cannot_be_said_never_leaves() -> None:
    desk = Desk()
    for request in (chat(logit_bias={"5": 1}), chat(logit_bias={"5": 1}, stream=True)):
        with pytest.raises(Untranslatable, match="logit_bias"):
            stream(desk.gemini, request) if request.request.stream else complete(desk.gemini, request)
    assert not desk.simulation.log


# --- Configuration ---


def test_it_is_a_type_that_embeds_and_can_be_probed() -> None:
    built = BUILT_IN["gemini"](ProviderConfig(name="g", type="gemini", api_key="k"), Answering({}))
    assert isinstance(built, EmbeddingProvider)
    assert isinstance(built, ProbedProvider)
    assert not isinstance(built, MessagesProvider)
    assert asyncio.run(Desk().gemini.probe()).status == 200


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-x", "models/gemini-x:generateContent"),
        ("models/gemini-x", "models/gemini-x:generateContent"),
        ("tunedModels/mine", "tunedModels/mine:generateContent"),
        ("a b?c:d", "models/a%20b%3Fc%3Ad:generateContent"),
    ],
)
def test_the_model_stands_in_the_address(model: str, path: str) -> None:
    network = Answering({})
    with pytest.raises(Upstream):
        complete(build(ProviderConfig(name="g", type="gemini"), network), chat(model))
    assert network.urls == [f"https://generativelanguage.googleapis.com/v1beta/{path}"]


def test_an_option_that_it_has_not_is_refused() -> None:
    config = ProviderConfig(name="g", type="gemini", options={"thoughts": True})
    with pytest.raises(BadRequest, match="thoughts") as caught:
        build(config, Answering({}))
    assert caught.value.param == "providers.g"
