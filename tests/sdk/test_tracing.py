"""Blocks as spans: what they say, and that nothing of it reaches the application."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.conftest import Receiver

import assay

Sdk = Callable[..., None]


def test_a_block_is_a_span_with_what_was_said_of_it(sdk: Sdk, receiver: Receiver) -> None:
    sdk(environment="staging", service="shop")
    with assay.span("plan", kind="agent", input={"goal": "tea"}, attributes={"depth": 2}) as step:
        with assay.span("look up", kind="tool") as inner:
            inner.set("found", 3).output(["a", "b"])
        step.output("done")
    assert assay.flush()
    plan, tool = receiver.named("plan"), receiver.named("look up")
    assert (plan.trace_id, plan.span_id, plan.parent_id) == (step.trace_id, step.span_id, None)
    assert tool.parent_id == plan.span_id
    assert (plan.input, plan.output, plan.attributes["depth"]) == ({"goal": "tea"}, "done", 2)
    assert (tool.output, tool.attributes["found"]) == (["a", "b"], 3)
    assert (plan.attributes["assay.kind"], plan.attributes["gen_ai.operation.name"]) == (
        "agent",
        "invoke_agent",
    )
    assert tool.attributes["gen_ai.tool.name"] == "look up"
    assert (plan.scope, plan.kind) == ("assay", 1)
    assert plan.resource["service.name"] == "shop"
    assert plan.resource["deployment.environment.name"] == "staging"
    path, headers = receiver.requests[0]
    assert path == "/v1/traces"
    assert (headers["authorization"], headers["content-encoding"]) == ("Bearer sk-test", "gzip")
    assert (headers["content-type"], headers["x-assay-environment"]) == ("application/x-protobuf", "staging")


def test_an_exception_is_recorded_and_goes_its_way(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    with pytest.raises(ZeroDivisionError), assay.span("outer"), assay.span("inner"):
        _ = 1 / 0
    assert assay.flush()
    for name in ("outer", "inner"):
        span = receiver.named(name)
        assert (span.status, span.message) == (2, "ZeroDivisionError: division by zero")
        assert span.attributes["error.type"] == "ZeroDivisionError"
        assert span.events[0][1]["exception.type"] == "ZeroDivisionError"


def test_an_error_that_was_dealt_with_can_be_recorded(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    with assay.span("x") as step:
        step.error(ValueError("half"))
    assert assay.flush()
    assert (receiver.named("x").status, receiver.named("x").message) == (2, "ValueError: half")


def test_async_blocks_nest_in_their_own_task(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    async def work(name: str) -> None:
        async with assay.span(name), assay.span(f"{name} inner"):
            await asyncio.sleep(0)

    async def main() -> None:
        async with assay.span("top"):
            await asyncio.gather(work("a"), work("b"))

    asyncio.run(main())
    assert assay.flush()
    top = receiver.named("top").span_id
    assert (receiver.named("a").parent_id, receiver.named("b").parent_id) == (top, top)
    assert receiver.named("a inner").parent_id == receiver.named("a").span_id


def test_work_that_is_cancelled_is_given_up_and_not_failed(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    async def main() -> None:
        async def slow() -> None:
            async with assay.span("slow"):
                await asyncio.Event().wait()

        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert assay.flush()
    assert (receiver.named("slow").status, receiver.named("slow").attributes["assay.status"]) == (
        0,
        "cancelled",
    )


def test_labels_hold_for_everything_inside(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    with assay.session("s-1", user="ada", tags=["beta"]):
        with assay.span("a", tags=["more"]), assay.span("b", user="bob"):
            pass
        with assay.span("c"):
            pass
    with assay.span("d"):
        pass
    assert assay.flush()
    told = {
        name: [receiver.named(name).attributes.get(key) for key in ("session.id", "user.id", "assay.tags")]
        for name in "abcd"
    }
    assert told == {
        "a": ["s-1", "ada", ["beta", "more"]],
        "b": ["s-1", "bob", ["beta", "more"]],
        "c": ["s-1", "ada", ["beta"]],
        "d": [None, None, None],
    }


def test_the_current_step_is_found_from_anywhere(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    def deep() -> None:
        assay.current().set("deep", True).output("said below")

    with assay.span("x") as step:
        assert assay.current().span_id == step.span_id
        deep()
    assert assay.current().span_id is None
    assay.current().set("nowhere", 1).output(2).error(ValueError())
    assert assay.flush()
    assert (receiver.named("x").attributes["deep"], receiver.named("x").output) == (True, "said below")


def test_content_can_be_left_out_masked_and_is_cut(sdk: Sdk, receiver: Receiver) -> None:
    sdk(mask=lambda text: text.replace("ada", "***"), max_value_bytes=50)
    with assay.span("masked", input={"name": "ada"}):
        pass
    with assay.span("cut", input="x" * 1_000):
        pass
    assert assay.flush()
    assert receiver.named("masked").input == {"name": "***"}
    assert "assay.truncated" not in receiver.named("masked").attributes
    assert receiver.named("cut").input.endswith("[950 more characters]")
    assert receiver.named("cut").attributes["assay.truncated"] is True
    sdk(capture=False)
    with assay.span("bare", input="secret") as step:
        step.output("secret")
    assert assay.flush()
    assert "secret" not in str(receiver.named("bare").attributes)


def test_a_mask_that_fails_lets_nothing_through(sdk: Sdk, receiver: Receiver) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    sdk(mask=broken)
    with assay.span("x", input="secret"):
        pass
    assert assay.flush()
    assert receiver.named("x").input == "[the mask failed: RuntimeError]"


def test_without_init_everything_works_and_nothing_is_recorded() -> None:
    with assay.span("x", input=1, session="s") as step:
        step.set("a", 1).output(2)
        assert (step.trace_id, step.span_id, assay.headers()) == (None, None, {})
        assay.score("thumbs", True)
    assert assay.flush()
    assert not assay.status().active


def test_a_fault_of_the_sdk_is_counted_and_does_not_reach_the_application(
    sdk: Sdk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sdk()

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("assay.sdk.running.Running.start", broken)
    with caplog.at_level(logging.WARNING, "assay"), assay.span("x") as step:
        step.output(1)
    assert assay.status().faults == 1
    assay.shutdown()
    sdk()
    assert assay.status().faults == 0, "what was before is not this one's"


def test_the_spans_of_a_time_are_measured_by_a_clock_that_nobody_sets(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    with assay.span("x"):
        sum(range(10_000))
    assert assay.flush()
    assert 0 < receiver.named("x").end_ns - receiver.named("x").start_ns < 10**9
