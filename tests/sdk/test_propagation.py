"""Outgoing requests to the server carry the trace; nobody else's do."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.sdk.conftest import Receiver

import assay
from assay import errors

Sdk = Callable[..., None]
OURS = {"traceparent", "x-assay-session", "x-assay-user", "x-assay-tags", "x-assay-environment"}


def test_headers_name_the_current_span_and_whose_work_it_is(sdk: Sdk) -> None:
    sdk(environment="staging")
    assert assay.headers() == {"x-assay-environment": "staging"}
    with assay.span("x", session="s 1", user="zoë", tags=["a", "b,c"]) as step:
        assert assay.headers() == {
            "traceparent": f"00-{step.trace_id}-{step.span_id}-01",
            "x-assay-session": "s 1",
            "x-assay-user": "zo%C3%AB",
            "x-assay-tags": "a,b c",
            "x-assay-environment": "staging",
        }


def test_the_hook_serves_sync_and_async_clients(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    async def asynchronous() -> None:
        async with httpx.AsyncClient(event_hooks={"request": [assay.propagate]}) as client:
            await client.post(f"{receiver.url}/v1/async", json={})

    with assay.span("x", session="s") as step:
        with httpx.Client(event_hooks={"request": [assay.propagate]}) as client:
            client.post(f"{receiver.url}/v1/sync", json={})
            client.post(f"{receiver.url}/v1/own", json={}, headers={"x-assay-session": "mine"})
        asyncio.run(asynchronous())
    sent = {path: headers for path, headers in receiver.requests if path != "/v1/traces"}
    for path in ("/v1/sync", "/v1/async"):
        assert sent[path]["traceparent"] == f"00-{step.trace_id}-{step.span_id}-01"
        assert sent[path]["x-assay-session"] == "s"
    assert sent["/v1/own"]["x-assay-session"] == "mine"


def test_requests_to_anybody_else_are_left_alone(sdk: Sdk) -> None:
    sdk()
    elsewhere = Receiver()
    with assay.span("x", session="s"), httpx.Client(event_hooks={"request": [assay.propagate]}) as client:
        client.post(f"{elsewhere.url}/v1/x", json={})
    ((_, headers),) = elsewhere.requests
    elsewhere.stop()
    assert not OURS & headers.keys()


def test_official_clients_come_ready(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    receiver.answer = lambda path, count: (200, {"content-type": "application/json"}, b'{"choices": []}')
    message: Any = {"role": "user", "content": "hello"}

    async def asynchronous() -> None:
        async with assay.async_openai_client() as client:
            await client.chat.completions.create(model="m", messages=[message])

    with assay.span("x") as step:
        with assay.openai_client(max_retries=0) as client:
            client.chat.completions.create(model="m", messages=[message])
        asyncio.run(asynchronous())
    calls = [headers for path, headers in receiver.requests if path == "/v1/chat/completions"]
    assert [call["traceparent"] for call in calls] == [f"00-{step.trace_id}-{step.span_id}-01"] * 2
    assert calls[0]["authorization"] == "Bearer sk-test"


def test_a_client_needs_init_and_its_package(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.Unusable, match="init"):
        assay.openai_client()
    sdk()
    monkeypatch.setitem(__import__("sys").modules, "anthropic", None)
    with pytest.raises(errors.Unusable) as caught:
        assay.anthropic_client()
    assert caught.value.hint == "pip install anthropic"


@pytest.mark.parametrize("form", [dict, lambda it: [(k.encode(), v.encode()) for k, v in it.items()]])
def test_an_incoming_request_continues_its_trace(sdk: Sdk, receiver: Receiver, form: Any) -> None:
    sdk()
    with assay.span("caller", session="s", user="zoë", tags=["a", "b"]) as caller:
        sent = assay.headers()
    with assay.continue_trace(form(sent)), assay.span("called"):
        assert assay.headers()["x-assay-user"] == "zo%C3%AB"
    with assay.span("after") as after:
        assert after.trace_id != caller.trace_id
    assert assay.flush()
    called = receiver.named("called")
    assert (called.trace_id, called.parent_id) == (caller.trace_id, caller.span_id)
    assert (called.attributes["session.id"], called.attributes["user.id"]) == ("s", "zoë")
    assert called.attributes["assay.tags"] == ["a", "b"]


@pytest.mark.parametrize(
    "header", ["", "nonsense", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01"]
)
def test_headers_that_name_no_trace_begin_one(sdk: Sdk, receiver: Receiver, header: str) -> None:
    sdk()
    with assay.continue_trace({"Traceparent": header}), assay.span("x"):
        pass
    assert assay.flush()
    assert receiver.named("x").parent_id is None


def test_without_init_there_is_nothing_to_carry(receiver: Receiver) -> None:
    with httpx.Client(event_hooks={"request": [assay.propagate]}) as client, assay.continue_trace({}):
        client.post(f"{receiver.url}/x", json={})
    assert not OURS & receiver.requests[0][1].keys()
