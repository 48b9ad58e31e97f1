"""Guards in the pipeline: who looks at a call, and what its account says on every way out."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from assay.calls import Call
from assay.calls.guards import Guards, make_guards
from assay.catalog.guards import parse_guards
from assay.detect import Finding
from assay.errors import GuardBlocked, UpstreamCut
from assay.testing import Rule, Script
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request
from assay.wire.scores import Score
from assay.wire.spans import Span, SpanStatus

Make = Callable[..., Any]
PII = {"check": "pii", "action": "redact"}
SECRETS = {"check": "secrets", "action": "block"}
KEY = "AKIAQWERTYUIOPASDFGH"


def ask(made: Any, text: str, *, stream: bool = False, **more: Any) -> Call:
    """A call with this message."""
    request = chat_request("m", (text_message("user", text),), stream=stream or None, **more)
    call: Call = replace(made.call(stream=stream), request=request)
    return call


async def heard(made: Any, call: Call) -> str:
    answer = await made.caller.stream(call)
    return "".join([event.text async for event in answer.events()])


def test_without_guards_nothing_is_watched(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo"))
    assert made.caller.guards.watch(made.call(), trace_id="t", span_id="s") is None


def test_a_guard_of_some_projects_leaves_the_others_alone(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo"))
    rules = parse_guards("guards", [{**SECRETS, "projects": ["q"]}], for_projects=True)
    made.caller.guards = Guards(made.models, rules)
    assert asyncio.run(made.caller.complete(ask(made, KEY))).response.text == KEY
    call = ask(made, KEY)
    elsewhere = replace(call, context=replace(call.context, project="q"))
    with pytest.raises(GuardBlocked):
        asyncio.run(made.caller.complete(elsewhere))


def test_guards_of_the_model_and_of_the_call_look_together(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo"), guards=[PII])
    more = make_guards(parse_guards("guards", [{"check": "regex", "pattern": "cat", "action": "redact"}]))
    call = replace(ask(made, "a cat of a@example.com"), guards=more)
    assert asyncio.run(made.caller.complete(call)).response.text == "a [REGEX] of [EMAIL]"
    assert {score.name for score in made.sink.batches[0] if isinstance(score, Score)} == {
        "guard.pii",
        "guard.regex",
    }


def test_a_blocked_call_asks_nobody_and_is_one_span(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo"), guards=[SECRETS, PII])
    with pytest.raises(GuardBlocked, match="'secrets'") as caught:
        asyncio.run(made.caller.complete(ask(made, f"{KEY} and a@example.com")))
    assert KEY not in caught.value.message
    assert made.asked("a") == 0
    assert (made.span.status, made.span.error_type, made.span.attempts) == (
        SpanStatus.BLOCKED,
        "guard_blocked",
        0,
    )
    assert json.loads(made.span.input[0])["content"] == "[AWS_ACCESS_KEY] and [EMAIL]"
    assert made.caller.guards.counts == {
        ("m", "secrets", "input", "block"): 1,
        ("m", "pii", "input", "redact"): 1,
    }


def test_a_blocked_answer_is_paid_for_and_says_nothing_of_its_upstream(pipeline: Make) -> None:
    made = pipeline(Script(answer="fixed", text=f"It is {KEY}."), guards=[SECRETS])
    with pytest.raises(GuardBlocked, match="answer"):
        asyncio.run(made.caller.complete(ask(made, "which")))
    assert made.span.cost_usd > 0
    assert json.loads(made.span.output[0])["content"] == "It is [AWS_ACCESS_KEY]."
    ((_, condition),) = made.caller.health.conditions().values()
    assert (condition.in_flight, condition.failures) == (0, 0)


def test_a_blocked_stream_stops_its_upstream(pipeline: Make) -> None:
    text = f"Sure. It is {KEY} I think. " + "And more. " * 50
    made = pipeline(Script(answer="fixed", text=text), guards=[SECRETS])
    with pytest.raises(GuardBlocked):
        asyncio.run(heard(made, ask(made, "which", stream=True)))
    said = json.loads(made.span.output[0])["content"]
    assert said.startswith("Sure. It is [AWS_ACCESS_KEY] I think.")
    assert said.count("And more") < 50
    assert made.span.cost_usd > 0
    ((_, condition),) = made.caller.health.conditions().values()
    assert condition.in_flight == 0


def test_a_cut_stream_is_kept_redacted_as_far_as_it_came(pipeline: Make) -> None:
    script = Script(answer="fixed", text="Hi there. Mail a@example.com or call me", cut_at=7)
    made = pipeline(script, guards=[PII])
    with pytest.raises(UpstreamCut):
        asyncio.run(heard(made, ask(made, "x", stream=True)))
    assert made.span.status is SpanStatus.CUT
    assert "a@" not in json.loads(made.span.output[0])["content"]
    assert "[EMAIL]" in json.loads(made.span.output[0])["content"]


def test_a_stream_that_nobody_reads_on_keeps_nothing_in_the_clear(pipeline: Make) -> None:
    made = pipeline(Script(answer="fixed", text="Hi there. Mail a@example.com. Bye now. Yes"), guards=[PII])

    async def leave() -> None:
        answer = await made.caller.stream(ask(made, "x", stream=True))
        async for event in answer.events():
            if "there" in event.text:
                break
        await answer.aclose()

    asyncio.run(leave())
    assert made.span.status is SpanStatus.CANCELLED
    assert b"a@example" not in made.span.output[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_flag_is_a_score_and_delays_nothing(pipeline: Make, stream: bool) -> None:
    text = "Mail a@example.com now"
    made = pipeline(Script(answer="fixed", text=text), guards=[{"check": "pii", "action": "flag"}])
    call = ask(made, "x", stream=stream)
    if stream:
        assert asyncio.run(heard(made, call)) == text
    else:
        assert asyncio.run(made.caller.complete(call)).response.text == text
    *marks, span = made.sink.batches[0]
    assert isinstance(span, Span)
    (mark,) = marks
    assert (mark.name, mark.value, mark.span_id) == ("guard.pii", True, span.span_id)
    assert mark.explanation == "flag: output email"
    assert b"a@example.com" in span.output[0], "a flag takes nothing away"


def test_a_schema_for_the_input_is_about_the_last_message(pipeline: Make) -> None:
    schema = {"type": "object", "required": ["city"]}
    rule = {"check": "schema", "on": "input", "action": "block", "schema": schema}
    made = pipeline(Script(answer="echo"), guards=[rule])
    assert asyncio.run(made.caller.complete(ask(made, '{"city": "Rome"}'))).response.text
    with pytest.raises(GuardBlocked, match="'schema'"):
        asyncio.run(made.caller.complete(ask(made, "Rome")))


def test_a_schema_for_the_output_leaves_calls_of_tools_alone(pipeline: Make) -> None:
    rule = {"check": "schema", "action": "block", "schema": {"type": "object"}}
    script = Script(answer="fixed", text="no JSON", rules=(Rule(match="tool", tool="f", arguments={}),))
    made = pipeline(script, guards=[rule])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    for stream in (False, True):
        call = ask(made, "use the tool", tools=[tool], stream=stream)
        asyncio.run(heard(made, call) if stream else made.caller.complete(call))
    with pytest.raises(GuardBlocked):
        asyncio.run(made.caller.complete(ask(made, "say something")))


def test_a_large_request_is_looked_at_in_a_thread_of_its_own(pipeline: Make) -> None:
    class Spy:
        rule = parse_guards("guards", [PII])[0]
        threads: ClassVar[set[int]] = set()

        def find(self, text: str) -> list[Finding]:
            self.threads.add(threading.get_ident())
            return []

    made = pipeline(Script(answer="fixed", text="ok"))
    for text, in_thread in (("short", False), ("words and more words. " * 20_000, True)):
        Spy.threads.clear()
        asyncio.run(made.caller.complete(replace(ask(made, text), guards=(Spy(),))))
        assert (Spy.threads != {threading.get_ident()}) is in_thread
