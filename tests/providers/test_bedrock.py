"""The Bedrock provider against the simulated one, for clients of either format."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from assay.catalog.config import parse_config
from assay.errors import BadRequest, Untranslatable, Upstream, UpstreamCut, UpstreamDown, UpstreamRefused
from assay.providers.bedrock import BedrockProvider, build
from assay.providers.registry import Providers
from assay.providers.sigv4 import Credentials
from assay.providers.simulated import Rule, Script, SimulatedTransport, Simulation, ToolUse
from assay.providers.simulated.converse_saying import message as encoded
from assay.providers.transport import NetworkTransport
from assay.providers.types import (
    HttpRequest,
    HttpResponse,
    MessagesProvider,
    ProbedProvider,
    ProviderConfig,
    ProviderRequest,
    Timeouts,
)
from assay.testing import FakeClock, SimulatedServer
from assay.wire.anthropic import decode_messages
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.openai_stream import assemble
from assay.wire.requests import ModelRequest
from assay.wire.responses import Response, StreamEvent

HELLO: list[Any] = [{"role": "user", "content": "one two three"}]
PAIR = Credentials("AKIDEXAMPLE", "SECRET")
CLAUDE = "anthropic.claude-x-v1:0"
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
    """A Bedrock provider that leads to a simulation."""

    def __init__(self, key: Credentials | str = PAIR, **script: Any) -> None:
        clock = FakeClock(runs_ahead=True)
        given = {"answer": "echo", "api_key": key if isinstance(key, str) else "AKIDEXAMPLE:SECRET", **script}
        self.simulation = Simulation(Script(**given), clock=clock)
        self.bedrock = BedrockProvider(
            name="b",
            region="us-east-1",
            key=key,
            transport=SimulatedTransport(self.simulation),
            clock=clock,
        )

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body


def asked(request: ModelRequest, model: str = CLAUDE) -> ProviderRequest:
    endpoint: Any = "messages" if type(request).__name__ == "MessagesRequest" else "chat"
    return ProviderRequest(endpoint, request, model, Timeouts())


def chat(upstream: str = CLAUDE, **body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()), upstream)


def messages(**body: Any) -> ProviderRequest:
    sent = {"model": "m", "max_tokens": 2048, "messages": HELLO, **body}
    return asked(decode_messages(json.dumps(sent).encode()))


def complete(provider: Any, request: ProviderRequest) -> Response:
    answer = asyncio.run(provider.complete(request))
    assert isinstance(answer, Response)
    return answer


def stream(provider: Any, request: ProviderRequest) -> list[StreamEvent]:
    async def scenario() -> list[StreamEvent]:
        async with aclosing(provider.stream(request)) as events:
            return [event async for event in events]

    return asyncio.run(scenario())


def message_of(answer: Response) -> Any:
    return json.loads(answer.raw)["choices"][0]["message"]


# --- Chat ---


def test_a_chat_is_translated_there_and_back() -> None:
    desk = Desk(cached_share=0.25, cache_write_share=0.25)
    answer = complete(
        desk.bedrock, chat(messages=[{"role": "system", "content": "s"}, *HELLO], temperature=0.5)
    )
    assert desk.asked == {
        "messages": [{"role": "user", "content": [{"text": "one two three"}]}],
        "system": [{"text": "s"}],
        "inferenceConfig": {"temperature": 0.5},
    }
    assert desk.simulation.log[-1].path == "/model/anthropic.claude-x-v1%3A0/converse"
    body = json.loads(answer.raw)
    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "one two three")
    assert (body["model"], body["usage"]["prompt_tokens"]) == (CLAUDE, 4)
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.cache_read, answer.usage.cache_write_5m) == (2, 1, 1)


def test_a_streamed_chat_says_what_a_whole_one_says() -> None:
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": "the weather"}], "tools": TOOLS}
    desk = Desk(rules=(WEATHER,), reasoning_tokens=4, cache_write_1h_share=0.5, show_reasoning=True)
    whole = complete(desk.bedrock, chat(**ask))
    events = stream(desk.bedrock, chat(**ask, stream=True, stream_options={"include_usage": True}))
    assert desk.simulation.log[-1].path.endswith("/converse-stream")
    (told,) = [json.loads(raw) for raw in assemble([event.raw for event in events if event.raw])]
    said = message_of(whole)
    assert (told["content"], told["reasoning_content"]) == (said["content"], said["reasoning_content"])
    functions = [call["function"] for call in said["tool_calls"]]
    assert [call["function"] for call in told["tool_calls"]] == functions
    assert [each["arguments"] for each in functions] == ['{"city":"Rome"}', "{}", '{"city":"Oslo"}']
    assert [event.usage for event in events if event.usage] == [whole.usage]
    assert json.loads(events[-1].raw or b"")["usage"] == json.loads(whole.raw)["usage"]
    assert [event.finish_reason for event in events if event.finish_reason] == ["tool_calls"]


def test_thinking_is_signed_and_taken_back() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=5)
    ask: dict[str, Any] = {
        "messages": [{"role": "user", "content": "the weather"}],
        "tools": TOOLS,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    said = message_of(complete(desk.bedrock, chat(**ask)))
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in said["tool_calls"]]
    ask["messages"] = [*ask["messages"], said, *results]
    assert complete(desk.bedrock, chat(**ask)).text
    said["thinking_blocks"][0]["thinking"] += "!"
    with pytest.raises(UpstreamRefused, match="signature"):
        complete(desk.bedrock, chat(**ask))


def test_an_anthropic_clients_thinking_marks_and_pictures_survive() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=5, cached_share=0.25, cache_write_1h_share=0.25)
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    tools = [{"name": name, "input_schema": SCHEMA, **mark} for name in ("weather", "time")]
    options = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": tools,
        "system": [{"type": "text", "text": "be kind", **mark}],
    }
    ask = {"role": "user", "content": [{"type": "text", "text": "the weather in my town", **mark}]}
    whole = json.loads(complete(desk.bedrock, messages(messages=[ask], **options)).raw)
    content = whole["content"]
    assert [block["type"] for block in content] == ["thinking", "text", *["tool_use"] * 3]
    assert (whole["type"], whole["stop_reason"], whole["model"]) == ("message", "tool_use", CLAUDE)
    assert desk.asked["additionalModelRequestFields"] == {"thinking": options["thinking"]}
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert desk.asked["system"] == [{"text": "be kind"}, point]
    assert desk.asked["messages"][0]["content"][1] == desk.asked["toolConfig"]["tools"][1] == point
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": [picture], "is_error": True}
        for block in content
        if block["type"] == "tool_use"
    ]
    history = [ask, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert complete(desk.bedrock, messages(messages=history, **options)).choices[0].message.tool_calls == ()
    first = desk.asked["messages"][2]["content"][0]["toolResult"]
    assert first["status"] == "error"
    assert first["content"] == [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]
    content[0]["thinking"] += "!"
    with pytest.raises(UpstreamRefused, match="signature"):
        complete(desk.bedrock, messages(messages=history, **options))


def test_an_anthropic_stream_says_what_a_whole_message_says() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=3, cached_share=0.25)
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]
    ask = {
        "messages": [{"role": "user", "content": "the weather in my town"}],
        "tools": tools,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    whole = complete(desk.bedrock, messages(**ask))
    events = stream(desk.bedrock, messages(**ask, stream=True))
    told = assemble_messages([event.raw for event in events if event.raw])
    said = whole.choices[0].message
    assert told.parts == said.parts
    assert [(call.name, call.arguments) for call in told.tool_calls] == [
        (call.name, call.arguments) for call in said.tool_calls
    ]
    kinds = [json.loads(event.raw)["type"] for event in events if event.raw]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 5
    assert [event.usage for event in events if event.usage] == [whole.usage]
    last = json.loads(events[-2].raw or b"")
    counted = json.loads(whole.raw)["usage"]
    del counted["cache_creation"]
    assert (last["usage"], last["delta"]["stop_reason"]) == (counted, "tool_use")
    assert [event.finish_reason for event in events if event.finish_reason] == ["tool_calls"]
    assert next(json.loads(e.raw)["type"] for e in events if e.raw and e.is_output) == "content_block_delta"


def test_a_task_is_a_chat_that_an_anthropic_client_is_answered() -> None:
    task = ProviderRequest("messages", chat(temperature=0.5).request, CLAUDE, Timeouts())
    assert json.loads(complete(Desk().bedrock, task).raw)["type"] == "message"


def test_a_schema_and_a_demanded_tool_are_kept_to() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert json.loads(complete(Desk().bedrock, chat(response_format=form)).text)["answer"] == "one two three"
    named = {"type": "function", "function": {"name": "time"}}
    (call,) = complete(Desk().bedrock, chat(tools=TOOLS, tool_choice=named)).choices[0].message.tool_calls
    assert call.name == "time"


def test_a_completion_is_asked_as_a_message() -> None:
    desk = Desk()
    request = decode_completion(b'{"model":"m","prompt":"one two"}')
    assert complete(desk.bedrock, ProviderRequest("completions", request, "b", Timeouts())).text == "one two"
    streamed = decode_completion(b'{"model":"m","prompt":"one two","stream":true}')
    events = stream(desk.bedrock, ProviderRequest("completions", streamed, "b", Timeouts()))
    assert "".join(json.loads(e.raw)["choices"][0]["text"] for e in events if e.raw) == "one two"


def test_tokens_are_counted_by_bedrock_where_it_counts() -> None:
    desk = Desk()
    assert asyncio.run(desk.bedrock.count_tokens(messages(system="be kind", temperature=0.5))) == 5
    assert desk.simulation.log[-1].path == "/model/anthropic.claude-x-v1%3A0/count-tokens"
    assert set(desk.asked["input"]["converse"]) == {"messages", "system"}
    for status in (400, 403):
        unable = Answering({"message": "m"}, status).bedrock
        assert asyncio.run(unable.count_tokens(chat())) is None
    with pytest.raises(UpstreamRefused):
        asyncio.run(Answering({"message": "m"}, 503).bedrock.count_tokens(chat()))
    with pytest.raises(Upstream, match="no count"):
        asyncio.run(Answering({}).bedrock.count_tokens(chat()))


# --- Keys and signatures ---


def test_an_api_key_is_sent_and_a_pair_signs() -> None:
    desk = Desk("bedrock-api-key-x")
    complete(desk.bedrock, chat())
    assert desk.simulation.log[-1].headers["authorization"] == "Bearer bedrock-api-key-x"
    signed = Desk(Credentials("AKIDEXAMPLE", "SECRET", "token"))
    complete(signed.bedrock, chat())
    headers = signed.simulation.log[-1].headers
    assert headers["x-amz-security-token"] == "token"
    assert headers["x-amz-date"] == "20260101T000000Z"
    assert "AKIDEXAMPLE/20260101/us-east-1/bedrock/aws4_request" in headers["authorization"]


@pytest.mark.peers
@pytest.mark.parametrize(
    "model", [CLAUDE, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x y-v1:0"]
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_the_network_sends_is_signed_as_botocore_would_sign_it(model: str, is_streamed: bool) -> None:
    """The host with its port and the path as it goes out; what the network adds is not signed."""
    auth = pytest.importorskip("botocore.auth", reason="needs botocore")
    requests = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials")
    with SimulatedServer(Script(answer="echo")) as server:

        async def scenario() -> None:
            network = NetworkTransport()
            provider = BedrockProvider(
                name="b", region="eu-west-1", key=PAIR, transport=network, base_url=f"{server.root}/"
            )
            if is_streamed:
                assert [event async for event in provider.stream(chat(model, stream=True))]
            else:
                await provider.complete(chat(model))
            await network.aclose()

        asyncio.run(scenario())
        call = server.simulation.log[-1]
    sent = call.headers
    assert set(sent) - {"authorization", "x-amz-date", "content-type", "host"} == {
        "user-agent",
        "accept-encoding",
        "content-length",
    }
    body = json.dumps(call.body, separators=(",", ":")).encode()
    theirs = requests.AWSRequest(
        method="POST",
        url=f"http://{sent['host']}{call.path}",
        headers={"content-type": sent["content-type"], "host": sent["host"]},
        data=body,
    )
    signer = auth.SigV4Auth(credentials.Credentials("AKIDEXAMPLE", "SECRET"), "bedrock", "eu-west-1")
    theirs.context["timestamp"] = sent["x-amz-date"]
    theirs.headers["X-Amz-Date"] = sent["x-amz-date"]
    to_sign = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    assert sent["authorization"].endswith(signer.signature(to_sign, theirs))


@pytest.mark.parametrize(
    ("table", "sent"),
    [
        ('api_key = "env:PAIR"', r"Credential=AKIDAKIDAKIDAKID/"),
        ('api_key = "env:BEARER"', r"^Bearer ABSKxyz==$"),
        ('access_key_id = "env:ID"\nsecret_access_key = "env:KEY"', r"Credential=AKIAOTHER/"),
        (
            'access_key_id = "secret:id"\nsecret_access_key = "secret:key"\nsession_token = "env:TOKEN"',
            r"Credential=revealed-id/.*x-amz-security-token",
        ),
    ],
)
def test_keys_come_from_wherever_keys_come_from(table: str, sent: str) -> None:
    environ = {
        "PAIR": "AKIDAKIDAKIDAKID:s/+",
        "BEARER": "ABSKxyz==",
        "ID": "AKIAOTHER",
        "KEY": "k",
        "TOKEN": "t",
    }
    config = parse_config(
        f'[providers.aws]\ntype = "bedrock"\nregion = "eu-north-1"\n{table}', environ=environ
    )
    assert not config.warnings
    network = Noting()
    providers = Providers(
        config.providers,
        network,
        reveal=lambda text: text and text.replace("secret:", "revealed-"),
    )
    with pytest.raises(UpstreamDown):
        complete(providers.get("aws"), chat())
    (request,) = network.requests
    assert request.url.startswith("https://bedrock-runtime.eu-north-1.amazonaws.com/model/")
    assert re.search(sent, dict(request.headers)["authorization"])


def test_an_id_may_stand_in_the_file_and_a_secret_had_better_not() -> None:
    table = 'type = "bedrock"\nregion = "eu-north-1"\naccess_key_id = "AKIA"\nsecret_access_key = "s"'
    (warning,) = parse_config(f"[providers.aws]\n{table}").warnings
    assert warning.startswith("providers.aws.secret_access_key holds the key itself")


def test_a_secret_that_changes_renews_the_provider() -> None:
    table = 'type = "bedrock"\nregion = "eu-north-1"\naccess_key_id = "secret:id"\nsecret_access_key = "secret:key"'
    values = {"secret:id": "FIRST", "secret:key": "k", None: None}
    network = Noting()
    config = parse_config(f"[providers.aws]\n{table}").providers
    providers = Providers(config, network, reveal=lambda text: values[text])
    for id in ("FIRST", "SECOND"):
        values["secret:id"] = id
        providers.renew(lambda text: text == "secret:id")
        with pytest.raises(UpstreamDown):
            complete(providers.get("aws"), chat())
        assert f"Credential={id}/" in dict(network.requests[-1].headers)["authorization"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "region"),
        ({"region": "Frankfurt"}, "region"),
        ({"region": "us-east-1"}, "has no keys"),
        ({"region": "us-east-1", "access_key_id": "x"}, "has no keys"),
        ({"region": "us-east-1", "profile": "x"}, "profile"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        build(ProviderConfig(name="b", type="bedrock", options=options), Noting())


def test_two_kinds_of_keys_are_one_too_many() -> None:
    options = {"region": "us-east-1", "access_key_id": "x", "secret_access_key": "y"}
    with pytest.raises(BadRequest, match="one of them"):
        build(ProviderConfig(name="b", type="bedrock", api_key="k", options=options), Noting())


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_region_has_its_address(region: str, host: str) -> None:
    network = Noting()
    provider = build(
        ProviderConfig(name="b", type="bedrock", api_key="k", options={"region": region}), network
    )
    with pytest.raises(UpstreamDown):
        complete(provider, chat())
    assert network.requests[0].url.startswith(f"https://{host}/model/")


# --- Failures ---


class Noting(SimulatedTransport):
    """Remembers what was asked, and sends nothing."""

    def __init__(self) -> None:
        super().__init__(Simulation())
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        self.requests.append(request)
        raise UpstreamDown("nobody")


class Answering:
    """A network whose other end always says the same."""

    def __init__(self, body: Any, status: int = 200, **headers: str) -> None:
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
        self.bedrock = BedrockProvider(name="b", region="us-east-1", key=PAIR, transport=self)

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        return self

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), 7):
            yield self._body[at : at + 7]

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("ThrottlingException:http://internal.amazon.com/coral/", 429, 429),
        ("ModelErrorException", 424, 502),
        ("ModelTimeoutException", 408, 408),
        ("InvalidSignatureException", 403, 403),
    ],
)
def test_a_refusal_is_told_in_openais_shape(kind: str, status: int, told: int) -> None:
    with pytest.raises(UpstreamRefused, match="too fast") as caught:
        complete(Answering({"message": "too fast"}, status, x_amzn_errortype=kind).bedrock, chat())
    assert caught.value.status == told
    error = json.loads(caught.value.body)["error"]
    assert (error["message"], error["code"]) == ("too fast", kind.partition(":")[0])
    with pytest.raises(UpstreamRefused, match="b answered 403: Who"):
        stream(Answering({"Message": "Who"}, 403).bedrock, chat(stream=True))
    with pytest.raises(UpstreamRefused, match="<html>"):
        complete(Answering(b"<html>", 502).bedrock, chat())


def test_an_exception_in_a_stream_has_its_status() -> None:
    begun = encoded(((":message-type", "event"), (":event-type", "messageStart")), b'{"role":"assistant"}')
    throttled = encoded(
        ((":message-type", "exception"), (":exception-type", "throttlingException")),
        b'{"message":"slow down"}',
    )
    unmodelled = encoded(
        ((":message-type", "error"), (":error-code", "InternalServerException"), (":error-message", "oh")),
        b"",
    )
    for failure, status, said in ((throttled, 429, "slow down"), (unmodelled, 500, "oh")):
        with pytest.raises(UpstreamRefused, match=said) as caught:
            stream(Answering(begun + failure).bedrock, chat(stream=True))
        assert caught.value.status == status


def test_faults_in_a_stream_are_what_they_are() -> None:
    with pytest.raises(UpstreamCut):
        stream(Desk(cut_at=3).bedrock, chat(stream=True))
    with pytest.raises(UpstreamRefused, match="unable to process") as caught:
        stream(Desk(error_at=3).bedrock, chat(stream=True))
    assert caught.value.status == 503
    events = stream(Desk(malformed_at=3).bedrock, chat(stream=True))
    assert sum(event.malformed for event in events) == 1
    assert "".join(event.text for event in events) == "one three"
    with pytest.raises(UpstreamCut, match="wrong checksum"):
        stream(Answering(b"data: {}\n\n" * 9).bedrock, chat(stream=True))
    event = ((":message-type", "event"), (":event-type", "messageStop"))
    with pytest.raises(UpstreamCut, match="middle"):
        stream(Answering(b"").bedrock, chat(stream=True))
    broken = encoded(event, b'{"stopReason":') + encoded(event, b'{"stopReason":"end_turn"}')
    assert [e.malformed for e in stream(Answering(broken).bedrock, chat(stream=True))] == [True, False]
    for ask in (chat(stream=True), messages(stream=True)):
        with pytest.raises(Upstream, match="malformed_tool_use"):
            stream(Answering(encoded(event, b'{"stopReason":"malformed_tool_use"}')).bedrock, ask)


def test_faults_in_a_whole_answer_are_what_they_are() -> None:
    with pytest.raises(UpstreamCut):
        complete(Desk(cut_at=1).bedrock, chat())
    with pytest.raises(Upstream, match="not an answer"):
        complete(Desk(malformed_at=1).bedrock, chat())
    none = {"output": {"message": {"content": []}}, "stopReason": "malformed_model_output"}
    with pytest.raises(Upstream, match="without an answer: malformed_model_output"):
        complete(Answering(none).bedrock, chat())


def test_a_chat_that_cannot_be_said_never_leaves() -> None:
    desk = Desk()
    with pytest.raises(Untranslatable, match="seed"):
        complete(desk.bedrock, chat(seed=1))
    with pytest.raises(Untranslatable, match="seed"):
        stream(desk.bedrock, chat(seed=1, stream=True))
    assert not desk.simulation.log


def test_a_key_that_may_not_list_models_has_been_taken_all_the_same() -> None:
    assert isinstance(Desk().bedrock, ProbedProvider)
    assert isinstance(Desk().bedrock, MessagesProvider)
    assert asyncio.run(Desk().bedrock.probe()).status == 200
    narrow = Answering({"message": "m"}, 403, x_amzn_errortype="AccessDeniedException")
    assert asyncio.run(narrow.bedrock.probe()).status == 404
    wrong = Answering({"message": "m"}, 403, x_amzn_errortype="UnrecognizedClientException")
    assert asyncio.run(wrong.bedrock.probe()).status == 403
