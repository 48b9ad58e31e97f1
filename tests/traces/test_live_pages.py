"""The page of the live tail, and its stream over a real connection."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from assay.access import Role
from assay.wire.spans import SpanKind, SpanStatus

CONFIG = """
[providers.sim]
type = "simulated"
answer = "echo"
[models.fast]
route = [{ provider = "sim", model = "s" }]
"""


def test_the_page_begins_with_the_newest_calls_and_leads_on_from_there(house: Any, make_span: Any) -> None:
    house.keep(make_span(name="chat fast", kind=SpanKind.TASK, model=None), *(make_span() for _ in range(3)))

    text = house.client(Role.VIEWER).get("/live").text

    assert text.count('<tr class="link"') == 3, "calls of models only"
    stream = re.search(r'data-stream="([^"]+)"', text)
    assert stream is not None
    assert stream[1] == "/live/events?after=4"
    assert "data-none hidden" in text


def test_the_filters_of_the_page_are_those_of_its_stream(house: Any, make_span: Any) -> None:
    house.keep(
        make_span(user_id="ann"), make_span(user_id="bo", status=SpanStatus.ERROR, error_message="It broke")
    )
    client = house.client()

    text = client.get("/live?user=bo&kind=any&q=").text

    assert text.count('<tr class="link"') == 1
    assert "It broke" in text
    assert "/live/events?user=bo&amp;kind=any&amp;after=2" in text
    assert "Nothing like this yet" in client.get("/live?user=nobody").text
    assert "Waiting for the first call" in client.get("/live").text


@pytest.mark.parametrize("query", ["last=1h", "status=fine", "color=red", "kind=dog"])
def test_a_filter_that_is_none_is_told(house: Any, query: str) -> None:
    client = house.client()

    assert client.get(f"/live?{query}").status_code == 400
    refused = client.get(f"/api/spans/live?{query}")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, query.partition("=")[0])


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A real server."""
    return start_assay(CONFIG).ready()


def call(server: Any, text: str) -> None:
    """A call of a model that says what it is told."""
    message = {"role": "user", "content": text}
    server.http.post("/v1/chat/completions", json={"model": "fast", "messages": [message]}).raise_for_status()


@contextmanager
def watching(server: Any, path: str, **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """The events of a stream: their fields."""
    sent = {"authorization": f"Bearer {server.key}", **headers}

    def read(lines: Iterator[str]) -> Iterator[dict[str, str]]:
        fields: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = fields[name] + "\n" + value if name in fields else value
            else:
                yield fields
                fields = {}

    with httpx.stream("GET", server.url + path, headers=sent, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read(answer.iter_lines())


def heard(events: Iterator[dict[str, str]], count: int) -> tuple[list[str], str]:
    """What the next so many spans were asked, and the id to go on from."""
    asked: list[str] = []
    position = ""
    while len(asked) < count:
        event = next(events)
        if event.get("event") == "spans":
            asked += [span["input"] for span in json.loads(event["data"])]
            position = event["id"]
    return asked, position


def test_a_viewer_that_is_cut_off_and_returns_has_seen_every_call_once(server: Any) -> None:
    with watching(server, "/api/spans/live") as events:
        assert next(events).keys() == {"id"}
        for number in range(3):
            call(server, f"call {number}")
        before, position = heard(events, 3)
    for number in range(3, 6):
        call(server, f"call {number}")
    with watching(server, "/api/spans/live?after=0", **{"last-event-id": position}) as events:
        after, _ = heard(events, 3)
        call(server, "call 6")
        last, _ = heard(events, 1)

    assert before + after + last == [f"call {number}" for number in range(7)]


def test_rows_come_as_the_page_draws_them_and_nothing_in_them_acts(server: Any) -> None:
    with watching(server, "/live/events") as events:
        next(events)
        call(server, "<script>alert(1)</script>\nnext line")
        event = next(events)

    assert event["event"] == "spans"
    assert event["data"].count("<tr") == 1
    assert "&lt;script&gt;alert(1)" in event["data"]
    assert "<script" not in event["data"]


def test_a_stopping_server_does_not_wait_for_its_viewers(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()
    with watching(server, "/api/spans/live") as events:
        next(events)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10, "shutdown_s is 20"
        assert list(events) == []
