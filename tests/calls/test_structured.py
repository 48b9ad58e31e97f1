"""Answers of a schema: validated, tidied, asked for again, and paid for in one account."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from assay.calls import Call
from assay.calls.structured_requests import SILENT, Turn, in_words, once_more, schema_of
from assay.catalog.models import parse_model
from assay.errors import BadRequest, InvalidOutput, UpstreamRefused
from assay.testing import Change, Rule, Script
from assay.wire.anthropic import decode_messages
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request
from assay.wire.requests import ChatRequest
from assay.wire.responses_api import decode_responses
from assay.wire.spans import SpanKind, SpanStatus

Make = Callable[..., Any]
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
WORDS = {"attempts": 3, "native": False}
FITS = '{"age": 3}'


def says(*answers: str) -> Script:
    """An upstream that answers with these, one after the other, and then goes on with the last."""
    later = tuple(Change(after_calls=at, set={"text": text}) for at, text in enumerate(answers) if at)
    return Script(answer="fixed", text=answers[0], then=later)


def ask(made: Any, *, stream: bool = False, format: Any = FORMAT, **more: Any) -> Call:
    """A call for JSON."""
    message = text_message("user", "how old")
    request = chat_request("m", (message,), stream=stream or None, response_format=format, **more)
    call: Call = replace(made.call(stream=stream), request=request)
    return call


def answer(made: Any, call: Call) -> str:
    """What the client is told, whole or streamed."""

    async def heard() -> str:
        if not call.request.stream:
            return str((await made.caller.complete(call)).response.text)
        streamed = await made.caller.stream(call)
        return "".join([event.text async for event in streamed.events()])

    return asyncio.run(heard())


def attempts(made: Any) -> list[Any]:
    """The spans of attempts."""
    return [event for event in made.sink.batches[0] if event.kind is SpanKind.ATTEMPT]


both = pytest.mark.parametrize("stream", [False, True])


@both
def test_without_the_setting_a_schema_passes_through_as_it_came(pipeline: Make, stream: bool) -> None:
    made = pipeline(Script(answer="fixed", text='{"age": "x"}'))
    assert answer(made, ask(made, stream=stream)) == '{"age": "x"}', (
        "what the provider says is what the client hears"
    )
    assert made.simulations["a"].log[-1].body["response_format"] == FORMAT


@both
def test_an_answer_that_fits_is_one_attempt(pipeline: Make, stream: bool) -> None:
    made = pipeline(says(FITS), structured=WORDS)
    assert answer(made, ask(made, stream=stream)) == FITS
    assert (made.asked("a"), made.span.attempts, attempts(made)) == (1, 1, [])


@both
def test_an_answer_that_does_not_fit_is_shown_what_is_wrong_and_asked_for_again(
    pipeline: Make, stream: bool
) -> None:
    made = pipeline(says('{"age": "x"}', "Sorry", FITS), structured=WORDS)
    assert answer(made, ask(made, stream=stream, temperature=0.5)) == FITS
    last = made.simulations["a"].log[-1].body
    assert "response_format" not in last
    assert last["temperature"] == 0.5
    roles = [message["role"] for message in last["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert '"required":["age"]' in last["messages"][0]["content"]
    assert last["messages"][2]["content"] == '{"age": "x"}'
    assert 'age: "x" is not of type "integer"' in last["messages"][3]["content"]


@both
def test_all_attempts_are_kept_and_paid_for_in_one_call(pipeline: Make, stream: bool) -> None:
    made = pipeline(says('{"age": "x"}', FITS), structured=WORDS)
    answer(made, ask(made, stream=stream))
    (rejected,) = attempts(made)
    assert (rejected.parent_id, rejected.error_type) == (made.span.span_id, "invalid_output")
    assert rejected.error_message == 'age: "x" is not of type "integer"'
    assert json.loads(rejected.output[0])["content"] == '{"age": "x"}'
    assert rejected.cost_usd is None, "what the call cost is said once, by the call"
    span = made.span
    assert (span.status, span.attempts) == (SpanStatus.OK, 2)
    asked = [len(entry.body["messages"]) for entry in made.simulations["a"].log]
    assert asked == [2, 4]
    assert span.usage.input > rejected.attributes["gen_ai.usage.input_tokens"]
    assert span.cost_usd == (Decimal(span.usage.input) + 2 * Decimal(span.usage.output)) / 1_000_000
    assert json.loads(span.input[0])["content"] == "how old", "the call is what the client asked"


@both
def test_the_last_failure_says_what_does_not_fit(pipeline: Make, stream: bool) -> None:
    made = pipeline(says('{"age": null}'), structured={"attempts": 2, "native": False})
    with pytest.raises(InvalidOutput, match=r'asked 2 times.*age: null is not of type "integer"') as caught:
        answer(made, ask(made, stream=stream))
    assert (caught.value.status, caught.value.type) == (422, "invalid_output")
    span = made.span
    assert (span.status, span.error_type, span.attempts) == (SpanStatus.ERROR, "invalid_output", 2)
    assert span.cost_usd > 0
    assert caught.value.cost_usd == span.cost_usd
    assert len(attempts(made)) == 2
    ((_, condition),) = made.caller.health.conditions().values()
    assert (condition.in_flight, condition.failures) == (0, 0), "the upstream did its work"


@both
def test_a_markdown_fence_is_taken_off(pipeline: Make, stream: bool) -> None:
    made = pipeline(says(f"```json\n{FITS}\n```"), structured=WORDS)
    assert answer(made, ask(made, stream=stream)) == FITS
    assert made.asked("a") == 1
    assert json.loads(made.span.output[0])["content"] == FITS


@both
def test_a_schema_that_the_provider_takes_goes_along_as_it_came(pipeline: Make, stream: bool) -> None:
    made = pipeline(Script(answer="echo"), structured={})
    said = answer(made, ask(made, stream=stream))
    assert isinstance(json.loads(said)["age"], int), "the simulated provider knows schemas"
    (entry,) = made.simulations["a"].log
    assert entry.body["response_format"] == FORMAT
    assert entry.body["messages"] == [{"role": "user", "content": "how old"}]


@both
def test_an_upstream_that_lacks_schemas_is_asked_in_words(pipeline: Make, stream: bool) -> None:
    route = [{"provider": "a", "model": "up-a", "lacks": ["json_schema"]}]
    made = pipeline(says(FITS), structured={}, route=route)
    assert answer(made, ask(made, stream=stream)) == FITS
    assert "response_format" not in made.simulations["a"].log[-1].body
    made = pipeline(says(FITS), route=route)
    with pytest.raises(BadRequest, match="json_schema"):
        answer(made, ask(made, stream=stream))


def test_a_provider_that_refuses_the_field_by_name_is_asked_in_words(pipeline: Make) -> None:
    made = pipeline(says(FITS), structured={})
    provider = made.get("a")
    complete = provider.complete

    async def picky(request: Any) -> Any:
        if "response_format" in request.request.fields:
            raise BadRequest("no response_format here", param="response_format.type")
        return await complete(request)

    provider.complete = picky
    assert answer(made, ask(made)) == FITS
    assert "JSON Schema" in made.simulations["a"].log[-1].body["messages"][0]["content"]


def test_calls_of_tools_and_refusals_are_not_measured(pipeline: Make) -> None:
    rule = Rule(match="how old", tool="look", arguments={"at": "him"})
    made = pipeline(Script(rules=(rule,)), structured=WORDS)
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    for stream in (False, True):
        assert answer(made, ask(made, stream=stream, tools=[tool])) == ""
    assert made.asked("a") == 2


def test_an_answer_that_was_cut_short_is_not_asked_for_again(pipeline: Make) -> None:
    made = pipeline(says('{"age": 3, "and": "so on and on"}'), structured=WORDS)
    with pytest.raises(InvalidOutput, match="limit of tokens"):
        answer(made, ask(made, max_tokens=2))
    assert made.asked("a") == 1


@both
def test_an_upstream_that_fails_is_retried_as_ever(pipeline: Make, stream: bool) -> None:
    script = Script(answer="fixed", text=FITS, status=503, then=(Change(after_calls=1, set={"status": 200}),))
    made = pipeline(script, structured=WORDS, retries=1)
    assert answer(made, ask(made, stream=stream)) == FITS
    assert made.span.attempts == 2
    made = pipeline(Script(status=400), structured=WORDS)
    with pytest.raises(UpstreamRefused):
        answer(made, ask(made, stream=stream))


@both
def test_a_stream_that_is_held_back_may_still_be_answered_by_another(pipeline: Make, stream: bool) -> None:
    cut = Script(answer="fixed", text=FITS, cut_at=3 if stream else 0)
    made = pipeline(cut, says(FITS), structured=WORDS, fallback=["spare"])
    assert answer(made, ask(made, stream=stream)) == FITS
    assert made.span.provider == "b"


def test_guards_look_at_what_fits_and_at_what_does_not(pipeline: Make) -> None:
    guards = [{"check": "pii", "action": "redact"}]
    made = pipeline(
        says('{"mail": "a@example.com"}', '{"age": 3, "mail": "b@example.com"}'),
        structured=WORDS,
        guards=guards,
    )
    assert json.loads(answer(made, ask(made))) == {"age": 3, "mail": "[EMAIL]"}
    assert all(b"@example" not in span.output[0] for span in made.sink.batches[0] if hasattr(span, "output"))


def test_a_schema_that_cannot_be_used_is_the_clients_error(pipeline: Make) -> None:
    made = pipeline(says(FITS), structured=WORDS)
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "thing"}}}
    with pytest.raises(BadRequest, match="The schema cannot be used") as caught:
        answer(made, ask(made, format=wrong))
    assert caught.value.param == "response_format"
    assert made.asked("a") == 0


@pytest.mark.parametrize(
    ("structured", "param"),
    [
        ({"attempts": 0}, ".attempts"),
        ({"attempts": 99}, ".attempts"),
        ({"native": 1}, ""),
        ({"tries": 1}, ".tries"),
    ],
)
def test_the_setting_says_what_is_wrong_with_it(structured: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_model("m", {"route": [{"provider": "a", "model": "b"}], "structured": structured})
    assert caught.value.param == f"models.m.structured{param}"


TURNS = [Turn("", "again"), Turn("x", "and again")]


def read(request: ChatRequest, name: str) -> Any:
    """A field's value."""
    return json.loads(bytes(request.fields.get(name, Raw(b"null"))))


def test_a_request_of_anthropics_format_in_words_and_once_more() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be kind."}],
        "messages": [{"role": "user", "content": "hi"}],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    }
    request = decode_messages(json.dumps(body).encode())
    assert schema_of(request) == SCHEMA
    made = once_more(in_words(request, "As JSON."), TURNS)
    assert read(made, "system") == [
        {"type": "text", "text": "Be kind."},
        {"type": "text", "text": "As JSON."},
    ]
    assert read(made, "output_config") == {"effort": "low"}
    assert [each["content"] for each in read(made, "messages")] == ["hi", SILENT, "again", "x", "and again"]
    assert [each.role for each in made.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    plain = decode_messages(json.dumps({**body, "system": "Be kind.", "output_config": None}).encode())
    assert schema_of(plain) is None
    assert read(in_words(plain, "As JSON."), "system") == "Be kind.\n\nAs JSON."


def test_a_request_of_the_responses_api_in_words_and_once_more() -> None:
    body = {
        "model": "m",
        "input": "hi",
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
    }
    request = decode_responses(json.dumps(body).encode())
    assert schema_of(request) == SCHEMA
    made = once_more(in_words(request, "As JSON."), TURNS)
    assert read(made, "instructions") == "As JSON."
    assert read(made, "text") == {"verbosity": "low"}
    assert [each.text for each in made.messages] == ["As JSON.", "hi", SILENT, "again", "x", "and again"]


def test_a_system_message_is_added_to_and_one_in_parts_is_left_alone() -> None:
    plain = chat_request("m", (text_message("system", "Be kind."), text_message("user", "hi")))
    assert [each.text for each in in_words(plain, "As JSON.").messages] == ["Be kind.\n\nAs JSON.", "hi"]
    parts = [{"role": "system", "content": [{"type": "text", "text": "Be kind."}]}]
    odd = replace(plain, fields={**plain.fields, "messages": Raw(json.dumps(parts).encode())})
    assert [each.text for each in in_words(odd, "As JSON.").messages] == ["As JSON.", "Be kind."]
