"""Sessions in the API and on their pages."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from assay.access import Role
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage

HOSTILE = "<script>alert(1)</script>\u202e"


def message(role: str, text: str) -> bytes:
    return json.dumps({"role": role, "content": text}).encode()


def talk(house: Any, make_span: Any, session: str = "chat-1", turns: int = 3, **fields: Any) -> list[str]:
    """A conversation whose calls repeat what came before; the ids of its traces."""
    spans: list[Any] = []
    said: list[bytes] = [message("system", "Be kind.")]
    for number in range(turns):
        said.append(message("user", f"question {number}"))
        answer = message("assistant", f"answer {number}")
        start = 1_790_000_000_000_000_000 + number * 10**9
        given: dict[str, Any] = {
            "session_id": session, "user_id": "ann", "input": tuple(said), "output": (answer,), "usage": Usage(input=5, output=2),
            "cost_usd": Decimal("0.01"), "start_ns": start, "end_ns": start + 10**8,
        }  # fmt: skip
        spans.append(make_span(**given | fields))
        said.append(answer)
    house.keep(*spans)
    return [span.trace_id for span in spans]


ALL = "from=2020-01-01T00:00:00Z&to=2060-01-01T00:00:00Z"


def test_the_api_lists_sessions_with_filters_and_pages(house: Any, make_span: Any) -> None:
    for number in range(5):
        talk(house, make_span, f"s{number}", user_id="ann" if number % 2 else "bo")
    client = house.client(Role.VIEWER)

    first = client.get(f"/api/sessions?{ALL}&limit=3").json()
    rest = client.get(f"/api/sessions?{ALL}&limit=3&cursor={first['next']}").json()
    hers = client.get(f"/api/sessions?{ALL}&user=ann").json()["items"]

    assert [item["session_id"] for item in first["items"] + rest["items"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert rest["next"] is None
    assert [item["session_id"] for item in hers] == ["s3", "s1"]
    assert hers[0] | {"start": "", "end": ""} == {
        "session_id": "s3", "start": "", "end": "", "duration_ms": 2100.0, "traces": 3, "calls": 3, "errors": 0, "cost_usd": 0.03,
        "cost_known_usd": 0.03, "cost_unknown": 0, "total_tokens": 21, "user": "ann", "task": None, "models": ["fast"],
        "input": "question 0", "output": "answer 2", "scores": [],
    }  # fmt: skip
    assert client.get("/api/sessions?color=red").status_code == 400
    assert client.get(f"/api/sessions?{ALL}&cursor=x").json()["error"]["param"] == "cursor"


def test_the_api_tells_a_session_as_a_conversation_in_pages(house: Any, make_span: Any) -> None:
    first, second, third = talk(house, make_span)
    client = house.client(Role.VIEWER)
    house.keep(
        Score(score_id="a", project="default", name="thumbs", value=True, source=ScoreSource.USER, at_ns=1, trace_id=second),
        Score(score_id="b", project="default", name="helpful", value=0.5, source=ScoreSource.USER, at_ns=2, session_id="chat-1"),
    )  # fmt: skip

    page = client.get("/api/sessions/chat-1?limit=2").json()
    rest = client.get(f"/api/sessions/chat-1?limit=2&cursor={page['next']}").json()

    assert [turn["trace_id"] for turn in page["turns"] + rest["turns"]] == [first, second, third]
    assert [turn["steps"][0]["asked"] for turn in page["turns"]] == [
        [{"role": "user", "content": "question 0"}],
        [{"role": "user", "content": "question 1"}],
    ]
    assert page["turns"][0]["steps"][0]["instructions"] == [{"role": "system", "content": "Be kind."}]
    assert page["turns"][1]["steps"][0]["said"] == [{"role": "assistant", "content": "answer 1"}]
    assert [score["name"] for score in page["turns"][1]["scores"]] == ["thumbs"]
    assert [score["name"] for score in page["scores"]] == ["helpful"]
    last = rest["turns"][0]["steps"][0]
    assert (len(last["earlier"]), last["asked"]) == (4, [{"role": "user", "content": "question 2"}])
    assert page["session"]["scores"] == [
        {"name": "helpful", "count": 1, "mean": 0.5},
        {"name": "thumbs", "count": 1, "mean": 1.0},
    ]
    assert client.get("/api/sessions/nobody").status_code == 404


@pytest.mark.parametrize("session", ["a/b", "ü 1?x=1&y#z", "100%"])
def test_a_session_may_be_called_anything(house: Any, make_span: Any, session: str) -> None:
    talk(house, make_span, session)
    client = house.client(Role.VIEWER)

    listed = client.get(f"/sessions?{ALL}").text
    (address,) = re.findall(r'class="row-link" href="([^"]+)"', listed)

    assert client.get(address).status_code == 200
    assert client.get("/api" + address).json()["session"]["session_id"] == session


def test_the_page_shows_each_message_once_and_leads_to_the_traces(house: Any, make_span: Any) -> None:
    traces = talk(house, make_span)
    broken = make_span(
        session_id="chat-1", status=SpanStatus.ERROR, error_message="It broke", error_type="upstream_error"
    )
    tool = make_span(session_id="chat-1", trace_id=broken.trace_id, kind=SpanKind.TOOL, name="look up")
    house.keep(broken, tool)

    text = house.client().get("/sessions/chat-1").text

    for number in range(3):
        assert text.count(f"question {number}") == 1
        assert text.count(f"answer {number}") == 1
        assert f'href="/traces/{traces[number]}"' in text
    assert text.count("Be kind.") == 1
    assert "It broke" in text
    assert "look up" in text
    assert "1 failed" in text


def test_thumbs_are_given_below_a_turn_and_the_last_one_holds(house: Any, make_span: Any) -> None:
    traces = talk(house, make_span)
    client = house.client()
    form = {"session_id": "chat-1", "trace_id": traces[1]}

    assert client.post("/session-feedback", data={**form, "thumb": "up"}).status_code == 303
    answer = client.post("/session-feedback", data={**form, "thumb": "down", "comment": "too long"})
    text = client.get("/sessions/chat-1").text

    assert answer.headers["location"] == f"/sessions/chat-1#turn-{traces[1]}"
    assert text.count('aria-pressed="true"') == 1
    assert "too long" in text
    figures = client.get("/api/sessions/chat-1").json()["session"]["scores"]
    assert figures == [{"name": "thumbs", "count": 1, "mean": 0.0}]
    assert client.post("/session-feedback", data=form).status_code == 400
    viewer = house.client(Role.VIEWER)
    assert viewer.post("/session-feedback", data={**form, "thumb": "up"}).status_code == 403
    assert 'action="/session-feedback"' not in viewer.get("/sessions/chat-1").text


def test_the_empty_list_teaches_how_to_send_a_session(house: Any) -> None:
    client = house.client(Role.VIEWER)

    assert "x-assay-session" in client.get("/sessions").text
    assert "No session matches" in client.get("/sessions?user=nobody").text
    assert client.get("/sessions?last=soon").status_code == 400
    assert client.get("/sessions/nobody").status_code == 404


def test_what_a_session_says_stays_text(house: Any, make_span: Any) -> None:
    talk(house, make_span, HOSTILE, turns=1, user_id=HOSTILE, input=(message("user", HOSTILE),), output=(message("assistant", HOSTILE),))  # fmt: skip
    client = house.client()
    (address,) = re.findall(r'class="row-link" href="([^"]+)"', client.get(f"/sessions?{ALL}").text)

    for path in (f"/sessions?{ALL}", address):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "\u202e" not in re.sub(r'="[^"]*"', "", text)
