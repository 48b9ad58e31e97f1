"""Conditions of routes, the cheapest upstream, and the route that a trusted key chooses."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from assay.calls import Call
from assay.calls.wishes import needs_of
from assay.catalog.models import parse_model
from assay.errors import BadRequest
from assay.testing import Script
from assay.wire.messages import FilePart, ImagePart, Message, TextPart, text_message
from assay.wire.openai_chat import chat_request

Make = Callable[..., Any]
ECHO = Script(answer="echo")
SMALL = {"provider": "a", "model": "small", "context_tokens": 1_000, "lacks": ["tools", "images"]}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
LARGE = {"provider": "b", "model": "large", "weight": 0}


def made(pipeline: Make, **model: Any) -> Any:
    return pipeline(ECHO, ECHO, **{"route": [SMALL, LARGE], **model})


def ask(pipeline: Any, call: Call) -> str:
    return str(asyncio.run(pipeline.caller.complete(call)).span.provider)


def calls(message: Message, **options: Any) -> Any:
    return chat_request("m", (message,), **options)


def test_a_route_is_left_out_for_what_it_lacks_and_for_what_is_too_long(pipeline: Make) -> None:
    many = made(pipeline)
    plain = many.call()
    assert ask(many, plain) == "a"
    long = calls(text_message("user", "word " * 2_000))
    assert ask(many, msgspec.structs.replace(plain, request=long)) == "b"
    tool = calls(text_message("user", "hello"), tools=[LOOK])
    assert ask(many, msgspec.structs.replace(plain, request=tool)) == "b"
    image = calls(Message(role="user", parts=(ImagePart("data:image/png;base64,AA=="), TextPart("what?"))))
    assert ask(many, msgspec.structs.replace(plain, request=image)) == "b"


def test_what_no_upstream_can_is_refused_by_name(pipeline: Make) -> None:
    alone = made(pipeline, route=[SMALL])
    tool = calls(text_message("user", "hello"), tools=[LOOK])
    with pytest.raises(BadRequest, match="it needs tools and about") as refused:
        ask(alone, msgspec.structs.replace(alone.call(), request=tool))
    assert "a/small" in (refused.value.hint or "")
    assert alone.sink.batches == [], "nothing was asked, so nothing is kept"


def test_needs_are_read_from_the_request() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    request = calls(Message(role="user", parts=(FilePart(file_id="f"),)), response_format=schema)
    call = Call("chat", request, msgspec.UNSET)  # type: ignore[arg-type]
    assert needs_of(call) == {"files", "json_schema"}


def test_the_cheapest_is_asked_first_and_one_without_a_price_last(pipeline: Make) -> None:
    many = made(
        pipeline,
        route=[{"provider": "a", "model": "x"}, {"provider": "b", "model": "y"}],
        strategy="cheapest",
    )
    prices = {"x": 3, "y": 2}

    class Book:
        def find(self, where: Any, _: Any) -> Any:
            rate = prices.get(where.route.model)
            price = {"input_usd_per_mtok": rate, "output_usd_per_mtok": rate}
            model = {"route": [{"provider": "a", "model": "x"}], "price": price}
            return None if rate is None else parse_model("m", model).price

    many.caller._prices = Book()
    assert [ask(many, many.call()) for _ in range(3)] == ["b", "b", "b"]
    prices["x"] = 1
    assert ask(many, many.call()) == "a"
    del prices["x"]
    assert ask(many, many.call()) == "b"


@pytest.mark.parametrize(("wanted", "provider"), [("b", "b"), ("b/large", "b"), ("a/small", "a")])
def test_a_call_may_name_its_upstream(pipeline: Make, wanted: str, provider: str) -> None:
    many = made(pipeline)
    call = many.call()
    context = msgspec.structs.replace(call.context, route=wanted)
    assert ask(many, msgspec.structs.replace(call, context=context)) == provider


def test_an_upstream_that_is_not_there_is_said_to_be_none(pipeline: Make) -> None:
    many = made(pipeline)
    call = many.call()
    context = msgspec.structs.replace(call.context, route="c")
    with pytest.raises(BadRequest, match="does not lead to 'c'") as refused:
        ask(many, msgspec.structs.replace(call, context=context))
    assert (refused.value.param, refused.value.hint) == ("x-assay-route", "It leads to a/small, b/large.")


@pytest.mark.parametrize(
    ("route", "param"),
    [({"context_tokens": 0}, "context_tokens"), ({"lacks": ["wings"]}, ""), ({"context_tokens": "x"}, "")],
)
def test_a_condition_that_cannot_be_is_a_mistake(route: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_model("m", {"route": [{"provider": "a", "model": "x", **route}]})
    assert (refused.value.param or "").startswith("models.m.route[0]" + (f".{param}" if param else ""))
