"""What is in the cache is told again, and what does not belong there is not."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from assay.calls import Call, CallContext
from assay.calls.cache import AnswerCache
from assay.calls.cache_rules import PASS_BY, CacheAsk, Question
from assay.catalog.caching import CachePolicy
from assay.errors import GuardBlocked, Upstream
from assay.testing import Script
from assay.wire.anthropic import decode_messages
from assay.wire.embeddings import embedding_request
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.requests import ChatRequest
from assay.wire.spans import Span, SpanKind, SpanStatus

ECHO = Script(answer="echo")
HOUR = {"ttl_s": 3600}
USE = CacheAsk(mode="use")
Make = Callable[..., Any]


def chat(
    text: str = "one two three", *, project: str = "p", cache: CacheAsk | None = None, **more: Any
) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    context = CallContext(project=project, trace_id="0" * 31 + "1")
    return Call("chat", decode_chat(json.dumps(body).encode()), context, cache=cache)


def ask(made: Any, call: Call) -> Any:
    return asyncio.run(made.caller.complete(call))


def spans(made: Any) -> list[Span]:
    return [event for batch in made.sink.batches for event in batch if event.kind is not SpanKind.ATTEMPT]


async def listened(made: Any, call: Call) -> tuple[Any, list[Any]]:
    answer = await made.caller.stream(call)
    return answer, [event async for event in answer.events()]


def test_the_second_of_two_equal_questions_is_answered_from_the_cache(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    first, second = ask(made, chat()), ask(made, chat())
    assert made.asked("a") == 1
    assert (first.cache.state, second.cache.state) == ("miss", "hit")
    assert second.response.raw == first.response.raw
    assert second.response.text == "one two three"
    assert made.cache.hits == {"m": 1}
    assert made.cache.misses == {"m": 1}
    assert made.cache.saved_usd == {"m": first.cost_usd}


def test_the_span_of_a_hit_says_what_it_saved_and_counts_nothing_twice(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    first = ask(made, chat()).span
    made.clock.advance(90)
    hit = ask(made, chat()).span
    assert (first.cache, hit.cache) == ("miss", "hit")
    assert (hit.status, hit.attempts, hit.cost_usd, hit.usage) == (SpanStatus.OK, 0, Decimal(0), None)
    assert (hit.provider, hit.upstream_model, hit.price_id) == (None, None, None)
    assert (hit.model, hit.response_model, hit.finish_reason) == ("m", first.response_model, "stop")
    assert hit.output == first.output
    assert hit.attributes == {
        "assay.cache.age_s": pytest.approx(90, abs=1),
        "assay.cache.trace_id": first.trace_id,
        "assay.cache.span_id": first.span_id,
        "assay.cache.saved_usd": str(first.cost_usd),
        "assay.cache.saved_input_tokens": first.usage.total_input,
        "assay.cache.saved_output_tokens": first.usage.total_output,
    }


def test_a_hit_says_nothing_of_an_upstream(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    ask(made, chat())
    ((_, condition),) = made.caller.health.conditions().values()
    before = (condition.latency_s, condition.stamp, condition.in_flight)
    made.clock.advance(5)
    ask(made, chat())
    asyncio.run(listened(made, chat(stream=True)))
    assert (condition.latency_s, condition.stamp, condition.in_flight) == before


def test_without_a_policy_and_without_being_asked_nothing_is_cached(pipeline: Make) -> None:
    made = pipeline(ECHO)
    answers = [ask(made, chat()) for _ in range(2)]
    assert made.asked("a") == 2
    assert {answer.cache for answer in answers} == {None}
    assert {span.cache for span in spans(made)} == {None}
    assert made.cache.size().entries == 0


@pytest.mark.parametrize("first_streams", [False, True])
@pytest.mark.parametrize("endpoint", ["chat", "completions", "messages"])
def test_whole_answers_and_streams_share_an_entry(pipeline: Make, endpoint: str, first_streams: bool) -> None:
    made = pipeline(ECHO, cache=HOUR)
    body: dict[str, Any] = {"model": "m", "max_tokens": 20}
    body |= (
        {"prompt": "one two three"}
        if endpoint == "completions"
        else {"messages": [{"role": "user", "content": "one two three"}]}
    )
    decode: Any = {"chat": decode_chat, "completions": decode_completion, "messages": decode_messages}[
        endpoint
    ]

    def call(*, stream: bool) -> Any:
        request = decode(json.dumps({**body, "stream": stream}).encode())
        return Call(endpoint, request, CallContext(project="p"))  # type: ignore[arg-type]

    async def both() -> list[str]:
        said = []
        for stream in (first_streams, not first_streams):
            if not stream:
                said.append((await made.caller.complete(call(stream=False))).response.text)
                continue
            answer = await made.caller.stream(call(stream=True))
            said.append("".join([event.text async for event in answer.events()]))
        return said

    assert asyncio.run(both()) == ["one two three"] * 2
    assert made.asked("a") == 1
    first, hit = spans(made)
    assert (first.streamed, hit.streamed) == (first_streams, not first_streams)
    assert (first.cache, hit.cache) == ("miss", "hit")
    assert "one two three" in json.dumps(json.loads(hit.output[0])["content"])
    assert hit.cost_usd == 0
    assert hit.attributes["assay.cache.saved_usd"] == str(first.cost_usd)
    assert hit.first_output_ns is not None or not hit.streamed


def test_a_stream_that_wants_usage_gets_it_from_the_cache(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    _, first = asyncio.run(listened(made, chat(stream=True)))
    _, events = asyncio.run(listened(made, chat(stream=True, stream_options={"include_usage": True})))
    assert made.asked("a") == 1
    assert not any(json.loads(event.raw).get("usage") for event in first)
    assert json.loads(events[-1].raw)["usage"]["completion_tokens"] == 3


def test_an_entry_ends_with_its_time(pipeline: Make) -> None:
    made = pipeline(ECHO, cache={"ttl_s": 60})
    ask(made, chat())
    made.clock.advance(50)
    assert ask(made, chat()).cache.state == "hit"
    assert ask(made, chat(cache=CacheAsk(ttl_s=40))).cache.state == "miss", "too old for this one"
    assert ask(made, chat()).cache.state == "hit", "and now it is fresh again"
    made.clock.advance(61)
    assert ask(made, chat()).cache.state == "miss"


@pytest.mark.parametrize(
    "other",
    [
        {"text": "one two"},
        {"project": "q"},
        {"max_tokens": 5},
        {"seed": 1},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"response_format": {"type": "json_object"}},
        {"cache": CacheAsk(salt="2")},
        {"something_new": True},
    ],
)
def test_what_an_answer_depends_on_is_part_of_the_question(pipeline: Make, other: Any) -> None:
    made = pipeline(ECHO, cache=HOUR)
    ask(made, chat())
    assert ask(made, chat(**other)).cache.state == "miss"
    assert ask(made, chat()).cache.state == "hit"


@pytest.mark.parametrize(
    "other", [{"user": "ann"}, {"metadata": {"a": "b"}}, {"stream_options": None}, {"temperature": None}]
)
def test_what_it_does_not_depend_on_is_not(pipeline: Make, other: Any) -> None:
    made = pipeline(ECHO, cache=HOUR)
    ask(made, chat())
    assert ask(made, chat(**other)).cache.state == "hit"


def test_the_order_of_fields_does_not_matter(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    ask(made, chat(seed=1, max_tokens=9))
    assert ask(made, chat(max_tokens=9, seed=1)).cache.state == "hit"


def test_another_environment_and_another_route_ask_for_themselves(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    ask(made, chat())
    call = chat()
    staging = Call("chat", call.request, CallContext(project="p", environment="staging"))
    assert ask(made, staging).cache.state == "miss"
    moved = pipeline(ECHO, cache=HOUR, route=[{"provider": "a", "model": "up-2"}])
    moved.caller.cache = made.cache
    assert ask(moved, chat()).cache.state == "miss"


def test_a_sampled_call_is_cached_only_when_somebody_asks_for_it(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    assert ask(made, chat(temperature=0.7)).cache is None
    assert ask(made, chat(temperature=0.7, cache=USE)).cache.state == "miss"
    assert ask(made, chat(temperature=0.7, cache=USE)).cache.state == "hit"
    assert ask(made, chat(temperature=0)).cache.state == "miss"
    made = pipeline(ECHO, cache={**HOUR, "sampled": True})
    assert ask(made, chat(temperature=0.7)).cache.state == "miss"
    assert ask(made, chat(temperature=0.7)).cache.state == "hit"


def test_a_call_may_ask_for_it_renew_it_or_pass_it_by(pipeline: Make) -> None:
    made = pipeline(ECHO)
    assert ask(made, chat(cache=USE)).cache.state == "miss"
    assert ask(made, chat(cache=USE)).cache.state == "hit"
    assert ask(made, chat(cache=CacheAsk(mode="refresh"))).cache.state == "miss"
    assert made.asked("a") == 2
    assert ask(made, chat(cache=PASS_BY)).cache is None
    assert made.asked("a") == 3
    renewed = spans(made)[2]
    assert ask(made, chat(cache=USE)).span.attributes["assay.cache.span_id"] == renewed.span_id


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 400}, {"cut_at": 2}, {"malformed_at": 2}])
@pytest.mark.parametrize("stream", [False, True])
def test_what_failed_or_was_cut_is_not_kept(pipeline: Make, fault: Any, stream: bool) -> None:
    made = pipeline(Script(answer="echo", **fault), cache=HOUR)

    async def once() -> None:
        answer = await made.caller.stream(chat(stream=True))
        async for _ in answer.events():
            pass

    with contextlib.suppress(Upstream):
        asyncio.run(once()) if stream else ask(made, chat())
    assert made.cache.size().entries == 0


def test_a_stream_that_its_client_left_is_not_kept(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)

    async def leaves() -> None:
        answer = await made.caller.stream(chat(stream=True))
        async for _ in answer.events():
            break
        await answer.aclose()

    asyncio.run(leaves())
    assert made.cache.size().entries == 0
    assert spans(made)[0].status is SpanStatus.CANCELLED


def test_an_answer_that_a_filter_stopped_is_not_kept(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    asked = made.get("a").complete

    async def filtered(request: Any) -> Any:
        answer = await asked(request)
        choices = (msgspec.structs.replace(answer.choices[0], finish_reason="content_filter"),)
        return msgspec.structs.replace(answer, choices=choices)

    made.get("a").complete = filtered
    ask(made, chat())
    assert made.cache.size().entries == 0


def test_what_a_fallback_said_is_not_the_models(pipeline: Make) -> None:
    made = pipeline(Script(status=503), Script(answer="echo"), cache=HOUR, fallback=["spare"])
    assert ask(made, chat()).cache.state == "miss"
    assert ask(made, chat()).cache.state == "miss"
    assert made.asked("b") == 2


def test_vectors_are_cached_too(pipeline: Make) -> None:
    made = pipeline(Script(dimensions=8), cache=HOUR)
    call = Call("embeddings", embedding_request("m", ("one", "two")), CallContext(project="p"))
    first, second = (asyncio.run(made.caller.embed(call)) for _ in range(2))
    assert made.asked("a") == 1
    assert second.response.raw == first.response.raw
    assert second.response.vectors() == first.response.vectors()
    assert (first.cache.state, second.cache.state) == ("miss", "hit")
    assert (second.cost_usd, second.span.usage) == (0, None)
    assert second.span.attributes["gen_ai.embeddings.dimension.count"] == 8


def test_a_hit_gives_back_what_it_reserved(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    settled: list[Any] = []

    class Reservation:
        share = 0.0

        def settle(self, span: Span | None) -> None:
            settled.append(span)

    class Limiter:
        def reserve(self, call: Call) -> Reservation:
            return Reservation()

    made.caller.limiter = Limiter()
    for _ in range(2):
        ask(made, chat())
    assert [span.cache for span in settled] == ["miss", "hit"]
    assert settled[1].cost_usd == 0


def test_clearing_is_by_project(pipeline: Make) -> None:
    made = pipeline(ECHO, cache=HOUR)
    cache: AnswerCache = made.cache
    ask(made, chat())
    ask(made, chat(project="q"))
    assert cache.size("p").entries == 1
    assert cache.clear("p") == 1
    assert ask(made, chat()).cache.state == "miss"
    assert ask(made, chat(project="q")).cache.state == "hit"


POLICY = CachePolicy(ttl_s=3600, similarity=0.7, encoder="spare")


def task(text: str, *, language: str = "English", policy: CachePolicy = POLICY, **more: Any) -> Call:
    """A call as a task makes it: the question is one input, and the rest must be equal."""

    def request(question: str) -> ChatRequest:
        content = f"Answer in {language}: {question}"
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
        return decode_chat(json.dumps(body).encode())

    made = request(text)
    ask = CacheAsk(policy=policy, question=Question(text, request(""), made))
    return Call("chat", made, CallContext(project="p", task="t", trace_id="0" * 31 + "1"), cache=ask)


ASKED = "how do I return a parcel that I did not order"
ALIKE = "how do I return the parcel that I did not order"
OTHER = "what is the capital of France"


def test_a_question_in_other_words_is_answered_from_the_cache_and_says_how_alike_it_is(
    pipeline: Make,
) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    first = ask(made, task(ASKED))
    second = ask(made, task(ALIKE))
    third = ask(made, task(OTHER))
    assert [answer.cache.state for answer in (first, second, third)] == ["miss", "hit", "miss"]
    assert (made.asked("a"), made.asked("b")) == (2, 3)
    assert second.response.raw == first.response.raw
    assert first.cache.similarity is None
    assert 0.7 <= second.cache.similarity < 1
    attributes = second.span.attributes
    assert attributes["assay.cache.similarity"] == pytest.approx(second.cache.similarity, abs=1e-4)
    assert attributes["assay.cache.question"] == ASKED
    assert attributes["assay.cache.span_id"] == first.span.span_id


def test_the_vector_is_a_call_with_a_span_of_its_own_below_the_one_it_is_for(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    answer = ask(made, task(ASKED))
    (vector,) = [span for span in spans(made) if span.kind is SpanKind.EMBEDDING]
    assert (vector.trace_id, vector.parent_id) == (answer.span.trace_id, answer.span.span_id)
    assert (vector.model, vector.task) == ("spare", None), "the task's figures are those of its answers"
    assert json.loads(vector.input[0]) == ASKED


def test_the_same_question_needs_no_vector(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    ask(made, task(ASKED))
    again = ask(made, task(ASKED))
    assert (again.cache.state, again.cache.similarity) == ("hit", None)
    assert made.asked("b") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"language": "French"},
        {"max_tokens": 5},
        {"policy": CachePolicy(ttl_s=9, similarity=0.99, encoder="spare")},
    ],
)
def test_around_the_question_all_must_be_equal(pipeline: Make, other: Any) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    ask(made, task(ASKED))
    assert ask(made, task(ALIKE, **other)).cache.state == "miss"


def test_other_numbers_are_another_question(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    ask(made, task(f"{ASKED} in 2023"))
    assert ask(made, task(f"{ASKED} in 2024")).cache.state == "miss"


def test_an_encoder_that_is_down_stops_no_call(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(status=503))
    answer = ask(made, task(ASKED))
    assert (answer.cache.state, answer.response.text) == ("miss", f"Answer in English: {ASKED}")
    assert "503" in answer.span.attributes["assay.cache.trouble"]


def test_an_answer_that_has_gone_is_not_found_by_its_question(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    ask(made, task(ASKED))
    made.cache.clear("p")
    assert ask(made, task(ALIKE)).cache.state == "miss"
    made.clock.advance(3601)
    assert ask(made, task(ASKED)).cache.state == "miss"


def test_a_text_that_a_guard_has_changed_in_the_request_goes_to_no_encoder(pipeline: Make) -> None:
    made = pipeline(ECHO, Script(dimensions=256))
    call = task(ASKED)
    changed = msgspec.structs.replace(call, request=msgspec.structs.replace(call.request))
    assert ask(made, changed).cache.state == "miss"
    assert made.asked("b") == 0


def test_guards_see_what_is_asked_before_the_cache_and_what_it_answers(pipeline: Make) -> None:
    redacts = {"check": "pii", "on": "input", "action": "redact"}
    made = pipeline(ECHO, cache=HOUR, guards=[redacts])
    first = ask(made, chat("write to ann@example.org"))
    again = ask(made, chat("write to bob@example.org"))
    assert [answer.cache.state for answer in (first, again)] == ["miss", "hit"], "both ask the same now"
    assert "@" not in again.response.text
    strict = pipeline(
        ECHO, cache=HOUR, guards=[{"check": "regex", "pattern": "three", "on": "output", "action": "block"}]
    )
    ask(made, chat("one two three"))
    strict.caller.cache = made.cache
    with pytest.raises(GuardBlocked):
        ask(strict, chat("one two three"))
    assert strict.asked("a") == 0, "it was answered from the cache, and a guard that is new looked at it"


def test_what_a_guard_blocked_is_not_kept(pipeline: Make) -> None:
    made = pipeline(
        ECHO, cache=HOUR, guards=[{"check": "regex", "pattern": "three", "on": "output", "action": "block"}]
    )
    with pytest.raises(GuardBlocked):
        ask(made, chat("one two three"))
    assert made.cache.size().entries == 0
