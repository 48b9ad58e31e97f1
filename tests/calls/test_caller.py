"""One path to a model: attempts, fallbacks, and an account that is settled whatever happens."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from assay.errors import NotFound, Unavailable, UpstreamCut, UpstreamDown, UpstreamRefused, UpstreamTimeout
from assay.testing import Change, Script
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import UsageSource

ECHO = Script(answer="echo")
Make = Callable[..., Any]


async def heard(pipeline: Any, **options: Any) -> str:
    answer = await pipeline.caller.stream(pipeline.call(stream=True, **options))
    return "".join([event.text async for event in answer.events()])


def test_a_whole_answer_is_priced_and_kept_before_it_returns(pipeline: Make) -> None:
    made = pipeline(ECHO)
    answer = asyncio.run(made.caller.complete(made.call()))
    assert answer.response.text == "one two three"
    assert answer.span == made.span
    usage = answer.response.usage
    assert answer.cost_usd == (Decimal(usage.input) + 2 * Decimal(usage.output)) / 1_000_000
    assert (made.span.status, made.span.attempts, made.span.tags) == (SpanStatus.OK, 1, ("t",))
    assert len(made.sink.batches[0]) == 1, "a call that works at once is one span"


def test_a_stream_is_kept_when_it_ends(pipeline: Make) -> None:
    made = pipeline(ECHO)
    assert asyncio.run(heard(made)) == "one two three"
    assert made.span.streamed
    assert made.span.usage.output_source is UsageSource.PROVIDER
    assert made.span.cost_usd is not None
    assert json.loads(made.span.output[0])["content"] == "one two three"


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_retried_with_growing_waits_and_each_attempt_is_a_span(
    pipeline: Make, stream: bool
) -> None:
    made = pipeline(
        Script(answer="echo", status=503, then=(Change(after_calls=2, set={"status": 200}),)), retries=2
    )
    before = made.clock.monotonic()
    if stream:
        assert asyncio.run(heard(made)) == "one two three"
    else:
        assert asyncio.run(made.caller.complete(made.call())).response.text == "one two three"
    assert made.asked("a") == 3
    assert made.clock.monotonic() - before == pytest.approx(0.05 + 0.1), "half of 0.1 s and of 0.2 s"
    assert made.span.attempts == 3
    attempts = [event for event in made.sink.batches[0] if event.kind is SpanKind.ATTEMPT]
    assert [each.attributes["http.response.status_code"] for each in attempts] == [503, 503]
    assert {each.parent_id for each in attempts} == {made.span.span_id}


def test_retries_end(pipeline: Make) -> None:
    made = pipeline(Script(status=500), retries=2)
    with pytest.raises(UpstreamRefused):
        asyncio.run(made.caller.complete(made.call()))
    assert made.asked("a") == 3
    assert (made.span.status, made.span.error_type) == (SpanStatus.ERROR, "upstream_error")
    assert made.span.cost_usd is None


def test_a_long_retry_after_goes_to_the_fallback_at_once(pipeline: Make) -> None:
    made = pipeline(Script(status=429, retry_after_s=60), ECHO, retries=3, fallback=["spare"])
    assert asyncio.run(made.caller.complete(made.call())).response.text == "one two three"
    assert (made.asked("a"), made.asked("b"), made.clock.monotonic()) == (1, 1, 0.0)
    assert (made.span.provider, made.span.upstream_model, made.span.model) == ("b", "up-b", "m")


def test_a_bad_request_is_neither_retried_nor_passed_on(pipeline: Make) -> None:
    made = pipeline(Script(status=400), ECHO, retries=3, fallback=["spare"])
    with pytest.raises(UpstreamRefused) as caught:
        asyncio.run(made.caller.complete(made.call()))
    assert (caught.value.status, made.asked("a"), made.asked("b")) == (400, 1, 0)


def test_before_the_first_output_a_cut_stream_falls_back(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", cut_at=1), ECHO, fallback=["spare"])
    assert asyncio.run(heard(made)) == "one two three"
    assert made.span.provider == "b"


def test_after_the_first_output_a_cut_is_raised_and_settled_with_what_came(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", cut_at=3), ECHO, fallback=["spare"])
    with pytest.raises(UpstreamCut):
        asyncio.run(heard(made))
    assert made.asked("b") == 0
    assert made.span.status is SpanStatus.CUT
    assert json.loads(made.span.output[0])["content"].split() == ["one", "two"]
    assert made.span.usage.output_source is UsageSource.ESTIMATE
    assert made.span.cost_usd > 0, "what was sent is paid for"


def test_silence_after_the_first_output_is_a_timeout(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", stall_at=3), waits=True, timeout={"idle_s": 0.05})
    with pytest.raises(UpstreamTimeout, match="next token"):
        asyncio.run(heard(made))
    assert made.span.status is SpanStatus.ERROR
    assert made.span.error_type == "upstream_timeout"


def test_a_client_that_reads_slowly_is_no_silence_of_the_upstream(pipeline: Make) -> None:
    made = pipeline(ECHO, timeout={"idle_s": 0.05})

    async def read_slowly() -> str:
        answer = await made.caller.stream(made.call(stream=True))
        said = ""
        async for event in answer.events():
            said += event.text
            await asyncio.sleep(0.12 if event.text == " two" else 0)
        return said

    assert asyncio.run(read_slowly()) == "one two three"
    assert made.span.status is SpanStatus.OK


def test_a_first_token_that_does_not_come_is_a_timeout(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", stall_at=1), waits=True, timeout={"first_token_s": 0.05})
    with pytest.raises(UpstreamTimeout, match="first token"):
        asyncio.run(heard(made))
    assert made.simulations["a"].log[-1].cancelled


def test_a_stream_that_nobody_reads_on_is_settled_once_as_cancelled(pipeline: Make) -> None:
    made = pipeline(ECHO)

    async def leave() -> None:
        answer = await made.caller.stream(made.call(stream=True))
        async for event in answer.events():
            if event.is_output:
                break
        await answer.aclose()
        await answer.aclose()

    asyncio.run(leave())
    assert made.span.status is SpanStatus.CANCELLED
    assert json.loads(made.span.output[0])["content"] == "one"


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_cancelled_while_it_waits_is_settled(pipeline: Make, stream: bool) -> None:
    made = pipeline(Script(answer="echo", head_s=60), waits=True)

    async def leave() -> None:
        ask = made.caller.stream if stream else made.caller.complete
        task = asyncio.ensure_future(ask(made.call(stream=stream)))
        await made.clock.elapse(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert made.span.status is SpanStatus.CANCELLED
    assert made.simulations["a"].log[-1].cancelled


def test_a_provider_that_never_counts_is_estimated_and_said_to_be(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", usage=False))
    usage = asyncio.run(made.caller.complete(made.call())).span.usage
    assert (usage.input_source, usage.output_source) == (UsageSource.ESTIMATE, UsageSource.ESTIMATE)
    assert usage.output == -(-len(made.span.output[0]) // 4)


def test_an_unknown_model_is_asked_of_nobody_and_leaves_no_span(pipeline: Make) -> None:
    made = pipeline(ECHO)
    with pytest.raises(NotFound):
        asyncio.run(made.caller.complete(made.call(model="nothing")))
    assert made.sink.batches == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_strict_sink_that_cannot_write_refuses_before_the_upstream_is_asked(
    pipeline: Make, stream: bool
) -> None:
    made = pipeline(ECHO)
    made.sink.strict, made.sink.writable = True, False
    ask = made.caller.stream if stream else made.caller.complete
    with pytest.raises(Unavailable):
        asyncio.run(ask(made.call(stream=stream)))
    assert made.asked("a") == 0


def test_a_sink_that_cannot_write_marks_the_answer(pipeline: Make) -> None:
    made = pipeline(ECHO)
    made.sink.writable = False

    async def both() -> tuple[bool, bool]:
        answer = await made.caller.complete(made.call())
        stream = await made.caller.stream(made.call(stream=True))
        async for _ in stream.events():
            pass
        return answer.kept, stream.kept

    assert asyncio.run(both()) == (False, False)


def test_nobody_there_is_said(pipeline: Make) -> None:
    made = pipeline(Script(refuse=1.0))
    with pytest.raises(UpstreamDown):
        asyncio.run(made.caller.complete(made.call()))
    assert made.span.usage is None
