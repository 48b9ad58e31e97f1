"""The official Anthropic client against any upstream, and the official OpenAI client against an Anthropic one."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from assay.testing import Rule, Script, SimulatedServer, ToolUse

CONFIG = """
[server]
max_body_mb = 1

[providers.openai-like]
type = "openai"
base_url = "{upstream}/v1"
[providers.anthropic-like]
type = "anthropic"
base_url = "{upstream}"
[providers.inside]
type = "simulated"
answer = "echo"
cached_share = 0.4
cache_write_share = 0.2
[providers.faulty]
type = "anthropic"
base_url = "{faulty}"

[models.chat]
route = [{{ provider = "openai-like", model = "chat-upstream" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, cached_input_usd_per_mtok = 0.1, cache_write_usd_per_mtok = 1.25, output_usd_per_mtok = 5 }}
[models.claude]
route = [{{ provider = "anthropic-like", model = "claude-upstream" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, cached_input_usd_per_mtok = 0.1, cache_write_usd_per_mtok = 1.25, output_usd_per_mtok = 5 }}
[models.inside]
route = [{{ provider = "inside", model = "i" }}]
retries = 0
[models.either]
route = [{{ provider = "anthropic-like", model = "claude-upstream" }}]
fallback = ["chat"]
retries = 0
[models.cut]
route = [{{ provider = "faulty", model = "cut" }}]
retries = 0
timeout = {{ first_token_s = 2, idle_s = 2 }}
[models.slow]
route = [{{ provider = "faulty", model = "slow" }}]
retries = 0
[models.overloaded]
route = [{{ provider = "faulty", model = "overloaded" }}]
retries = 1
[models.backed]
route = [{{ provider = "faulty", model = "backed" }}]
fallback = ["chat"]
retries = 0

[tasks.polish]
variants.v1 = {{ model = "claude", prompt = "Correct this: {{{{ text }}}}", parameters = {{ temperature = 0.5 }} }}
release = {{ v1 = 1.0 }}
[tasks.plain]
variants.v1 = {{ model = "chat", prompt = "{{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""

WEATHER = Rule(
    match="weather",
    tool="weather",
    arguments={"city": "Rome", "days": [1, 2.5, None]},
    saying="One moment.",
    also=(ToolUse(tool="clock", arguments={}), ToolUse(tool="weather", arguments={"city": "Oslo"})),
)
UPSTREAM = Script(answer="echo", rules=(WEATHER,), cached_share=0.4, cache_write_share=0.2)
FAULTY = Script(answer="fixed", text="one two three four five six")
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [
    {"name": name, "description": name, "input_schema": SCHEMA} for name in ("weather", "clock")
]
FUNCTIONS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}}
    for name in ("weather", "clock")
]
MODELS = ["chat", "claude", "inside"]


class House:
    """The server, its upstreams and clients for it."""

    def __init__(self, server: Any, upstream: SimulatedServer, faulty: SimulatedServer) -> None:
        self.server = server
        self.upstream = upstream
        self.faulty = faulty
        self.anthropic = anthropic.Anthropic(base_url=server.url, api_key=server.key, max_retries=0)
        self.openai = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)

    @property
    def asked(self) -> Any:
        """The body that the upstream was last asked with."""
        return self.upstream.simulation.log[-1].body

    def behave(self, **figures: Any) -> None:
        """How the faulty upstream is from now on."""
        names = ("status", "cut_at", "stall_at", "malformed_at", "error_at", "tokens_per_s", "retry_after_s")
        self.faulty.simulation.change(**({name: getattr(FAULTY, name) for name in names} | figures))

    def message(self, model: str, text: str = "one two three four five", **more: Any) -> Any:
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": 1000,
            "messages": [{"role": "user", "content": text}],
        }
        return self.anthropic.messages.with_raw_response.create(**(body | more))

    def chat(self, model: str, text: str = "one two three four five", **more: Any) -> Any:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        return self.openai.chat.completions.with_raw_response.create(**(body | more))

    def post(self, path: str = "/v1/messages", **request: Any) -> httpx.Response:
        """Without a client's help."""
        answer: httpx.Response = self.server.http.request(request.pop("method", "POST"), path, **request)
        return answer


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    with SimulatedServer(UPSTREAM) as upstream, SimulatedServer(FAULTY) as faulty:
        server = start_assay(CONFIG.format(upstream=upstream.root, faulty=faulty.root)).ready()
        made = House(server, upstream, faulty)
        yield made
        made.anthropic.close()
        made.openai.close()
        server.stop()


def of_anthropic(message: Any) -> tuple[str, list[Any], list[int]]:
    """Text, calls and counts in the words that both formats share: input in all, read, written, output."""
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    return text, calls, [usage.input_tokens + read + written, read, written, usage.output_tokens]


def of_openai(completion: Any) -> tuple[str, list[Any], list[int]]:
    """The same."""
    message, usage = completion.choices[0].message, completion.usage
    details = usage.prompt_tokens_details
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or ()
    ]
    counts = [
        usage.prompt_tokens,
        details.cached_tokens or 0,
        details.cache_write_tokens or 0,
        usage.completion_tokens,
    ]
    return message.content or "", calls, counts


def without_ids(said: tuple[str, list[Any], list[int]]) -> Any:
    return said[0], [call[1:] for call in said[1]], said[2]


# --- Equal on both sides ---


@pytest.mark.parametrize("text", ["one two three four five six seven", "the weather and the time, please"])
def test_text_calls_and_counts_are_the_same_in_either_format_from_either_upstream(
    house: House, text: str
) -> None:
    ours: Any = {"system": "be kind", "tools": TOOLS}
    theirs: Any = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}]}
    said = []
    for model in ("chat", "claude"):
        said.append(of_anthropic(house.message(model, text, **ours).parse()))
        with house.anthropic.messages.stream(
            model=model,
            max_tokens=1000,
            system="be kind",
            tools=TOOLS,
            messages=[{"role": "user", "content": text}],
        ) as stream:
            said.append(of_anthropic(stream.get_final_message()))
        said.append(of_openai(house.chat(model, tools=FUNCTIONS, **theirs).parse()))
        with house.openai.chat.completions.stream(
            model=model,
            tools=FUNCTIONS,
            stream_options={"include_usage": True},
            **theirs,
        ) as chunks:
            said.append(of_openai(chunks.get_final_completion()))
    assert len({json.dumps(without_ids(each)) for each in said}) == 1
    spoken, calls, counts = without_ids(said[0])
    if "weather" in text:
        assert spoken == "One moment."
        assert [(name, sent.get("city")) for name, sent in calls] == [
            ("weather", "Rome"),
            ("clock", None),
            ("weather", "Oslo"),
        ]
        assert calls[0][1]["days"] == [1, 2.5, None]
    else:
        assert (spoken, calls) == (text, [])
    assert counts[0] > counts[1] > 0
    assert counts[2] > 0


@pytest.mark.parametrize("model", MODELS)
def test_the_span_has_the_same_counts_in_disjoint_classes_and_their_cost(house: House, model: str) -> None:
    raw = house.message(model, "one two three four five six seven eight nine ten")
    usage = raw.parse().usage
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    kept = span["usage"]
    assert kept["input"] == usage.input_tokens == 4
    assert kept["cache_read"] == usage.cache_read_input_tokens == 4
    assert kept["cache_write_5m"] == usage.cache_creation_input_tokens == 2
    assert kept["output"] == usage.output_tokens == 10
    assert (span["endpoint"], span["model"], span["status"]) == ("messages", model, "ok")
    assert span["input"][0]["content"] == span["output"][0]["content"]
    assert span["request"] == {"max_tokens": 1000}
    assert raw.headers["request-id"] == raw.headers["x-assay-trace-id"]
    assert raw.headers["x-assay-model"] == model
    if model == "inside":
        assert "x-assay-cost-usd" not in raw.headers
    else:
        exact = Decimal("4") + 4 * Decimal("0.1") + 2 * Decimal("1.25") + 10 * 5
        assert Decimal(raw.headers["x-assay-cost-usd"]) == exact / 1_000_000
        assert Decimal(str(span["cost_usd"])) == exact / 1_000_000


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_is_kept_like_a_whole_answer(house: House, model: str) -> None:
    stream = house.anthropic.messages.with_raw_response.create(
        model=model,
        max_tokens=1000,
        messages=[{"role": "user", "content": "one two three"}],
        stream=True,
        extra_headers={"x-assay-session": "s-1"},
    )
    events = list(stream.parse())
    assert events[-1].type == "message_stop"
    span = house.server.model_span(stream.headers["x-assay-trace-id"])
    assert (span["streamed"], span["status"], span["session"]) == (True, "ok", "s-1")
    assert span["output"] == [{"role": "assistant", "content": "one two three"}]
    assert span["usage"]["output"] == 3
    assert span["first_output_ms"] is not None
    assert span["finish_reason"] == "stop"
    assert span["usage"].get("output_source", "provider") == "provider"


@pytest.mark.parametrize("model", ["chat", "claude"])
def test_an_agent_of_anthropics_client_goes_round_with_ids_and_order_intact(house: House, model: str) -> None:
    ask: Any = [{"role": "user", "content": "the weather"}]
    first = house.message(model, messages=ask, tools=TOOLS).parse()
    uses = [block for block in first.content if block.type == "tool_use"]
    assert len({use.id for use in uses}) == 3
    results = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": "sunny"},
        {"type": "tool_result", "tool_use_id": uses[1].id, "content": [{"type": "text", "text": "noon"}]},
        {"type": "tool_result", "tool_use_id": uses[2].id, "content": "no such city", "is_error": True},
        {"type": "text", "text": "well?"},
    ]
    said = [block.to_dict(exclude_none=True) for block in first.content]
    second = house.message(
        model,
        messages=[*ask, {"role": "assistant", "content": said}, {"role": "user", "content": results}],
        tools=TOOLS,
    )
    assert second.parse().content[0].text == "well?"
    sent = house.asked["messages"]
    if model == "claude":
        assert sent[1:] == [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
    else:
        assert [call["id"] for call in sent[1]["tool_calls"]] == [use.id for use in uses]
        assert [(each["tool_call_id"], each["content"]) for each in sent[2:5]] == [
            (uses[0].id, "sunny"),
            (uses[1].id, "noon"),
            (uses[2].id, "Error: no such city"),
        ]
        assert sent[5] == {"role": "user", "content": "well?"}
    kept = house.server.model_span(second.headers["x-assay-trace-id"])["input"]
    assert [message["role"] for message in kept] == ["user", "assistant", "tool", "tool", "tool", "user"]


@pytest.mark.parametrize("model", ["chat", "claude"])
def test_an_agent_of_openais_client_goes_round_with_ids_and_order_intact(house: House, model: str) -> None:
    ask: Any = [{"role": "user", "content": "the weather"}]
    first = house.chat(model, messages=ask, tools=FUNCTIONS).parse().choices[0].message
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": f"answer {at}"}
        for at, call in enumerate(first.tool_calls)
    ]
    history = [*ask, first.to_dict(exclude_none=True), *answers, {"role": "user", "content": "well?"}]
    second = house.chat(model, messages=history, tools=FUNCTIONS).parse()
    assert second.choices[0].message.content == "well?"
    if model == "claude":
        turn = house.asked["messages"][2]
        assert [(block["type"], block.get("tool_use_id")) for block in turn["content"]] == [
            *(("tool_result", call.id) for call in first.tool_calls),
            ("text", None),
        ]


# --- What goes where ---


def test_the_same_format_goes_through_as_it_came(house: House) -> None:
    content = [
        {
            "type": "text",
            "text": "what is this? é\U0001f600",
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
            "citations": {"enabled": True},
        },
    ]
    extra = {"nested": {"deep": [1, 2.50, None, 123456789012345678901234567890]}, "text": "☃"}
    house.message(
        "claude",
        messages=[{"role": "user", "content": content}],
        system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["never"],
        metadata={"user_id": "u"},
        extra_body={"vendor_extension": extra, "assay": {"session": "s"}},
        extra_headers={"anthropic-beta": "some-beta"},
    )
    assert house.asked == {
        "model": "claude-upstream",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": content}],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "stop_sequences": ["never"],
        "metadata": {"user_id": "u"},
        "vendor_extension": extra,
    }
    headers = house.upstream.simulation.log[-1].headers
    assert headers["anthropic-beta"] == "some-beta"
    assert headers["anthropic-version"] == "2026-10-21"
    assert "authorization" not in headers


def test_images_thinking_and_system_reach_a_chat_upstream(house: House) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    house.message(
        "chat",
        system="be kind",
        messages=[
            {
                "role": "user",
                "content": [{"type": "image", "source": image}, {"type": "text", "text": "look"}],
            },
            {"role": "assistant", "content": [thought, {"type": "text", "text": "I see"}]},
            {"role": "user", "content": "and now?"},
        ],
    )
    assert house.asked["messages"] == [
        {"role": "system", "content": "be kind"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "look"},
            ],
        },
        {"role": "assistant", "content": "I see"},
        {"role": "user", "content": "and now?"},
    ]


def test_thinking_of_an_anthropic_upstream_reaches_a_chat_client_and_goes_back(house: House) -> None:
    budget = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    limit: Any = {"max_tokens": 2000, "tools": FUNCTIONS, "extra_body": budget}
    ask: Any = [{"role": "user", "content": "the weather"}]
    first = house.chat("claude", messages=ask, **limit).parse()
    message = first.choices[0].message.to_dict(exclude_none=True)
    (block,) = message["thinking_blocks"]
    assert message["reasoning_content"] == block["thinking"] != ""
    assert first.usage.completion_tokens_details.reasoning_tokens == 8
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in message["tool_calls"]
    ]
    house.chat("claude", messages=[*ask, message, *results], **limit)
    assert house.asked["messages"][1]["content"][0] == block
    with house.openai.chat.completions.stream(model="claude", messages=ask, **limit) as stream:
        deltas = [event.chunk.choices[0].delta for event in stream if event.type == "chunk"]
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    signed = [each for delta in deltas for each in getattr(delta, "thinking_blocks", None) or ()]
    assert [each["thinking"] for each in signed] == [thoughts]
    assert all(each["signature"] for each in signed)


@pytest.mark.parametrize(
    ("model", "tokens", "source"),
    [("claude", 5, "provider"), ("inside", 5, "provider"), ("chat", 12, "estimate")],
)
def test_tokens_are_counted(house: House, model: str, tokens: int, source: str) -> None:
    calls = len(house.upstream.simulation.log)
    raw = house.anthropic.messages.with_raw_response.count_tokens(
        model=model, messages=[{"role": "user", "content": "one two three four five"}]
    )
    counted = raw.parse().input_tokens
    assert counted == pytest.approx(tokens, abs=4 if source == "estimate" else 0)
    assert raw.headers["x-assay-usage-source"] == source
    assert len(house.upstream.simulation.log) - calls == (model == "claude")


def test_an_image_is_not_counted_by_its_bytes(house: House) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}
    message: Any = {"role": "user", "content": [{"type": "image", "source": image}]}
    assert house.anthropic.messages.count_tokens(model="chat", messages=[message]).input_tokens < 2_000


def test_models_are_listed_as_each_client_expects(house: House) -> None:
    names = [model.id for model in house.openai.models.list()]
    assert [model.id for model in house.anthropic.models.list()] == names
    assert {"chat", "claude", "task:polish"} <= set(names)
    assert house.anthropic.models.retrieve("claude").display_name == "claude"
    with pytest.raises(anthropic.NotFoundError, match="clod"):
        house.anthropic.models.retrieve("clod")


# --- Tasks ---


def test_a_task_is_called_with_inputs_or_with_a_message(house: House) -> None:
    raw = house.message("task:polish", "she no went")
    assert raw.parse().content[0].text == "Correct this: she no went"
    assert raw.headers["x-assay-variant"] == "v1"
    assert house.asked["messages"] == [{"role": "user", "content": "Correct this: she no went"}]
    assert (house.asked["temperature"], house.asked["max_tokens"]) == (0.5, 1000)
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert (span["task"], span["variant"], span["endpoint"]) == ("polish", "v1", "messages")
    given = house.message("task:plain", "earlier", extra_body={"assay": {"inputs": {"text": "now"}}})
    assert given.parse().content[0].text == "now"
    assert [message["content"] for message in house.asked["messages"]] == ["earlier", "now"]


@pytest.mark.parametrize("task", ["polish", "plain"])
def test_a_task_is_streamed_and_counted(house: House, task: str) -> None:
    messages: Any = [{"role": "user", "content": "one two"}]
    with house.anthropic.messages.stream(model=f"task:{task}", max_tokens=100, messages=messages) as stream:
        text = stream.get_final_text()
    assert text.endswith("one two")
    count = house.anthropic.messages.count_tokens(model=f"task:{task}", messages=messages)
    assert count.input_tokens > 1


def test_a_task_takes_no_system_prompt_that_it_has_not_asked_for(house: House) -> None:
    with pytest.raises(anthropic.BadRequestError, match="system"):
        house.message("task:polish", "x", system="ignore the task")


# --- Refusals ---


BODY: dict[str, Any] = {"model": "chat", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


def refused(answer: httpx.Response, status: int, kind: str) -> str:
    assert (answer.status_code, answer.json()["type"]) == (status, "error")
    error = answer.json()["error"]
    assert error["type"] == kind
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff", "JSON"),
        (json.dumps({**BODY, "max_tokens": "5"}).encode(), "max_tokens"),
        (json.dumps({**BODY, "messages": []}).encode(), "messages"),
        (json.dumps({**BODY, "messages": [{"role": "tool", "content": "x"}]}).encode(), "messages[0].role"),
        (
            json.dumps({**BODY, "messages": [{"role": "user", "content": [{"type": "text"}]}]}).encode(),
            "messages[0].content[0].text",
        ),
        (json.dumps({**BODY, "assay": {"tags": "x"}}).encode(), "assay.tags"),
        (json.dumps({**BODY, "top_k": 5}).encode(), "top_k"),
        (json.dumps({**BODY, "tools": [{"type": "web_search_20260209", "name": "w"}]}).encode(), "tools[0]"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_what_cannot_be_used_is_a_400_in_anthropics_shape(
    house: House, path: str, body: bytes, named: str
) -> None:
    if path.endswith("count_tokens") and named in ("max_tokens", "top_k", "tools[0]"):
        pytest.skip("counting does not mind")
    assert named in refused(house.post(path, content=body), 400, "invalid_request_error")


def test_other_refusals_have_anthropics_shape_too(house: House) -> None:
    assert "nowhere" in refused(house.post(json={**BODY, "model": "nowhere"}), 404, "not_found_error")
    assert "/v1/messages/batches" in refused(
        house.post("/v1/messages/batches", json={}), 404, "not_found_error"
    )
    answer = house.post(method="GET")
    refused(answer, 405, "invalid_request_error")
    assert answer.headers["allow"] == "POST"
    refused(httpx.post(f"{house.server.url}/v1/messages", json=BODY), 401, "authentication_error")
    viewer = house.post("/api/keys", json={"name": "v", "role": "viewer"}).json()["key"]
    refused(house.post(json=BODY, headers={"authorization": f"Bearer {viewer}"}), 403, "permission_error")
    refused(house.post(content=b" " * (2 << 20)), 413, "request_too_large")


def test_the_client_raises_what_it_should(house: House) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        house.message("nowhere")
    assert caught.value.request_id == caught.value.response.headers["x-assay-trace-id"]
    with anthropic.Anthropic(base_url=house.server.url, api_key="sk-assay-wrong", max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            stranger.messages.create(**BODY)
    with anthropic.Anthropic(
        base_url=house.server.url, api_key="-", default_headers={"x-api-key": house.server.key}
    ) as older:
        older._client.headers.pop("authorization", None)
        assert older.messages.create(**BODY).content


def test_what_one_upstream_cannot_be_asked_another_may(house: House) -> None:
    with pytest.raises(openai.BadRequestError, match="seed") as caught:
        house.chat("claude", seed=1)
    assert caught.value.param == "seed"
    raw = house.chat("either", seed=1)
    assert raw.parse().choices[0].message.content
    assert raw.headers["x-assay-attempts"] == "1"
    assert house.asked["seed"] == 1
    with pytest.raises(anthropic.BadRequestError, match="top_k"):
        house.message("chat", extra_body={"top_k": 3})


# --- When an upstream fails ---


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    made = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            made.append((lines["event"], json.loads(lines["data"])))
    return made


@pytest.mark.parametrize(
    ("fault", "kind"), [({"cut_at": 5}, "api_error"), ({"error_at": 6}, "overloaded_error")]
)
def test_after_the_first_output_a_break_is_said_and_never_looks_complete(
    house: House, fault: dict[str, Any], kind: str
) -> None:
    house.behave(**fault)
    answer = house.post(json={**BODY, "model": "cut", "stream": True})
    told = events(answer)
    assert answer.status_code == 200
    assert [name for name, _ in told][:2] == ["message_start", "ping"]
    name, last = told[-1]
    assert (name, last["type"], last["error"]["type"]) == ("error", "error", kind)
    assert "message_stop" not in answer.text
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert span["status"] in ("cut", "error")
    assert span["output"][0]["content"].split() == ["one", "two"]
    usage = span["usage"]
    assert (usage["input"], usage.get("input_source", "provider")) == (1, "provider")
    assert usage["output_source"] == "estimate"
    assert usage["output"] > 0
    with house.anthropic.messages.stream(model="cut", max_tokens=5, messages=BODY["messages"]) as stream:
        with pytest.raises(anthropic.APIError):
            stream.get_final_message()


def test_before_the_first_output_an_upstream_of_the_other_format_may_answer(house: House) -> None:
    house.behave(error_at=2)
    answer = house.post(json={**BODY, "model": "backed", "stream": True})
    told = events(answer)
    assert [name for name, _ in told].count("message_start") == 1
    assert told[-1][0] == "message_stop"
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert (span["provider"], span["attempts"]) == ("openai-like", 2)


def test_a_malformed_event_is_left_out_and_the_answer_goes_on(house: House) -> None:
    house.behave(malformed_at=5)
    answer = house.post(json={**BODY, "model": "cut", "stream": True})
    assert events(answer)[-1][0] == "message_stop"
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert span["attributes"]["assay.stream.malformed_events"] == 1


def test_an_overload_is_tried_again_and_told_to_each_client_in_its_words(house: House) -> None:
    house.behave(status=529, retry_after_s=0.01)
    before = len(house.faulty.simulation.log)
    with pytest.raises(anthropic.OverloadedError) as caught:
        house.message("overloaded")
    assert len(house.faulty.simulation.log) - before == 2
    assert caught.value.body["error"]["message"] == "Overloaded"  # type: ignore[index]
    with pytest.raises(openai.InternalServerError) as theirs:
        house.chat("overloaded")
    assert theirs.value.status_code == 503
    assert theirs.value.type == "overloaded_error"
    assert theirs.value.body == {
        "message": "Overloaded",
        "type": "overloaded_error",
        "param": None,
        "code": None,
    }


def test_a_client_that_leaves_a_stream_stops_the_upstream_and_is_settled(
    house: House, eventually: Callable[..., Any]
) -> None:
    house.behave(tokens_per_s=2)
    body = {**BODY, "model": "slow", "stream": True}
    with house.server.http.stream("POST", "/v1/messages", json=body) as answer:
        trace_id = answer.headers["x-assay-trace-id"]
        for line in answer.iter_lines():
            if '"text":"one"' in line:
                break
    call = house.faulty.simulation.log[-1]
    eventually(lambda: call.cancelled)
    eventually(lambda: house.server.http.get(f"/api/traces/{trace_id}").status_code == 200)
    span = house.server.model_span(trace_id)
    assert span["status"] == "cancelled"
    assert span["output"][0]["content"].startswith("one")
    assert span["usage"]["input"] == 1
    assert span["usage"]["output_source"] == "estimate"


def test_a_trailer_says_the_cost_of_a_stream(house: House) -> None:
    for model in ("chat", "claude"):
        answer = house.post(
            json={**BODY, "model": model, "stream": True}, headers={"x-assay-trailer": "true"}
        )
        comment = answer.text.rstrip().rsplit("\n\n", 1)[-1]
        span = house.server.model_span(answer.headers["x-assay-trace-id"])
        assert json.loads(comment.removeprefix(": "))["x-assay-cost-usd"] == span["cost_usd"] > 0
        assert events(answer)[-1][0] == "message_stop"


@pytest.mark.local_model
def test_a_model_on_this_machine_answers_an_anthropic_client(
    start_assay: Callable[..., Any], weights: Path
) -> None:
    config = f"""
    [providers.here]
    type = "llama"
    models = "{weights.parent}"
    threads = 1
    context = 1024
    parallel = 1
    [models.local]
    route = [{{ provider = "here", model = "{weights.stem}" }}]
    """
    server = start_assay(config).ready()
    with anthropic.Anthropic(base_url=server.url, api_key=server.key, max_retries=0, timeout=120) as client:
        body: Any = {
            "model": "local",
            "max_tokens": 8,
            "system": "Answer in one word.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}
            ],
        }
        message = client.messages.create(**body)
        assert message.content[0].type == "text"
        assert 0 < message.usage.output_tokens <= 8
        assert message.usage.input_tokens > 5
        with client.messages.stream(**body) as stream:
            streamed = stream.get_final_message()
    assert streamed.usage.input_tokens + (streamed.usage.cache_read_input_tokens or 0) > 5
    assert streamed.stop_reason in ("end_turn", "max_tokens")
    server.stop()
