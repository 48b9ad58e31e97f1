"""Thumbs and comments on the page of a trace: kept before the page comes back, refused with what was written still there."""

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from assay.access import Role
from assay.errors import Unavailable
from assay.spans import Collector
from assay.wire.scores import Score, ScoreSource

HOSTILE = "<script>alert(1)</script>\u202e"


def give(house: Any, trace_id: str, role: Role = Role.EDITOR, query: str = "", **form: str) -> Any:
    """Send one of the page's forms."""
    return house.client(role).post(f"/traces/{trace_id}/feedback{query}", data=form)


def kept(house: Any, **target: str) -> list[Score]:
    scores: list[Score] = house.store.list_scores("default", **target)
    return scores


def test_a_thumb_is_kept_when_the_page_comes_back_and_stands_pressed(house: Any, make_span: Any) -> None:
    span = make_span()
    house.keep(span)

    response = give(house, span.trace_id, about="trace", thumb="up", comment="Just right.")

    assert (response.status_code, response.headers["location"]) == (303, f"/traces/{span.trace_id}#feedback")
    (score,) = kept(house, trace_id=span.trace_id)
    assert (score.name, score.value, score.explanation) == ("thumbs", True, "Just right.")
    assert (score.source, score.author) == (ScoreSource.HUMAN, "a editor")
    text = house.client(Role.EDITOR).get(f"/traces/{span.trace_id}").text
    assert re.search(r'value="up" aria-pressed="true"', text)
    assert re.search(r'value="down" aria-pressed="false"', text)
    assert "Just right." in text


def test_another_score_may_be_about_the_session(house: Any, make_span: Any) -> None:
    span = make_span(session_id="s-1")
    house.keep(span)
    query = f"?span={span.span_id}&tab=details"

    response = give(
        house, span.trace_id, query=query, about="session", session_id="s-1", name="tone", kind="text", value="friendly"
    )  # fmt: skip

    assert response.headers["location"] == f"/traces/{span.trace_id}{query}#feedback"
    (score,) = kept(house, session_id="s-1")
    assert (score.name, score.value, score.trace_id) == ("tone", "friendly", None)
    assert "friendly" in house.client().get(f"/traces/{span.trace_id}").text


def test_a_score_about_a_step_is_found_with_its_trace_even_when_it_does_not_name_it(
    house: Any, make_span: Any
) -> None:
    span = make_span()
    house.keep(span)
    client = house.client()
    client.post("/api/scores", json={"span_id": span.span_id, "name": "grade", "value": "passable"})
    house.collector.drain_now()

    (score,) = client.get(f"/api/traces/{span.trace_id}").json()["scores"]
    assert score["value"] == "passable"
    assert "passable" in client.get(f"/traces/{span.trace_id}").text


def test_what_cannot_be_kept_comes_back_as_it_was_written(house: Any, make_span: Any) -> None:
    span = make_span()
    house.keep(span)

    response = give(house, span.trace_id, name="speed", kind="number", value="quick", comment="so it felt")

    assert response.status_code == 400
    assert "is no number" in response.text
    for written in (
        'value="speed"',
        'value="quick"',
        'value="so it felt"',
        '<option value="number" selected>',
    ):
        assert written in response.text
    assert give(house, span.trace_id).status_code == 400
    assert kept(house, trace_id=span.trace_id) == []


def test_what_people_write_stays_text(house: Any, make_span: Any) -> None:
    span = make_span(session_id=HOSTILE)
    house.keep(span)
    give(house, span.trace_id, name=HOSTILE, kind="text", value=HOSTILE * 20, comment=HOSTILE)

    wrong = give(house, span.trace_id, name=HOSTILE, kind="number", value=HOSTILE, comment=HOSTILE)
    for text in (wrong.text, house.client().get(f"/traces/{span.trace_id}").text):
        assert "<script>alert" not in text
        assert "\u202e" not in re.sub(r'="[^"]*"', "", text)


def test_a_viewer_reads_what_others_thought_and_gives_nothing(house: Any, make_span: Any) -> None:
    span = make_span()
    house.keep(span)
    give(house, span.trace_id, thumb="down")

    assert give(house, span.trace_id, Role.VIEWER, thumb="up").status_code == 403
    text = house.client(Role.VIEWER).get(f"/traces/{span.trace_id}").text
    assert 'id="scores"' in text
    assert 'id="feedback"' not in text


def test_a_trace_that_is_not_there_is_not_judged(house: Any) -> None:
    assert give(house, "nope", thumb="up").status_code == 404
    assert kept(house, trace_id="nope") == []


def test_feedback_that_cannot_be_kept_is_said_on_the_page(house: Any, make_span: Any) -> None:
    span = make_span()
    house.keep(span)
    house.spool.hold_telemetry("the disk of the store is full")

    response = give(house, span.trace_id, comment="Do not lose this.")

    assert response.status_code == 503
    assert "the disk of the store is full" in response.text
    assert "Do not lose this." in response.text


def test_a_collector_that_is_behind_does_not_make_kept_feedback_an_error(
    house: Any, make_span: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = make_span()
    house.keep(span)

    def behind(self: Collector, *, timeout_s: float) -> None:
        raise Unavailable("behind")

    with monkeypatch.context() as patched:
        patched.setattr(Collector, "drain_now", behind)
        assert give(house, span.trace_id, thumb="up").status_code == 303
    house.collector.drain_now()
    assert len(kept(house, trace_id=span.trace_id)) == 1


def test_the_list_shows_how_traces_were_received(house: Any, make_span: Any) -> None:
    span, other = make_span(), make_span()
    house.keep(span, other)
    give(house, span.trace_id, thumb="down")
    give(house, span.trace_id, thumb="up", comment="On second thoughts.")

    text = house.client().get("/traces").text

    assert text.count('class="thumb-up"') == 1
    assert 'class="thumb-down"' not in text
    assert "1 comment" in text


def test_an_embedding_says_how_many_texts_there_were(house: Any, make_span: Any) -> None:
    span = make_span(
        kind="embedding", input=(b'"one"', b'"two"'), attributes={"assay.embeddings.inputs": 2048}
    )
    house.keep(span)

    text = house.client().get(f"/traces/{span.trace_id}").text

    assert "first 2 of 2\u202f048 texts" in text
    assert "Vectors are not kept" in text


# In a real browser, by the keyboard alone.


@pytest.fixture
def address(house: Any) -> Iterator[str]:
    """The house on a port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(house.app, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.browser
def test_the_keyboard_is_enough(house: Any, make_span: Any, address: str, chromium: Any) -> None:
    span = make_span(session_id="s-1")
    house.keep(span)
    headers = {"authorization": house.client(Role.EDITOR).headers["authorization"]}
    context = chromium.new_context(extra_http_headers=headers, viewport={"width": 360, "height": 800})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.goto(f"{address}/traces/{span.trace_id}")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360

    tab.keyboard.press("+")
    tab.wait_for_selector(".thumb-up[aria-pressed=true]")
    tab.keyboard.press("-")
    tab.wait_for_selector(".thumb-down[aria-pressed=true]")
    tab.keyboard.press("c")
    tab.keyboard.type("Not + but - and ?")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_selector("#scores td:text-is('Not + but - and ?')")
    tab.focus("summary:text('Another score')")
    for key in ("Enter", "Tab"):
        tab.keyboard.press(key)
    tab.keyboard.type("tone")
    tab.keyboard.press("Tab")
    tab.keyboard.type("a cat")  # the choice "a category or a text", by its first letters
    tab.keyboard.press("Tab")
    tab.keyboard.type("kind")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#scores td:text-is('kind')")

    assert problems == []
    assert [(score.name, score.value) for score in kept(house, trace_id=span.trace_id)] == [
        ("thumbs", True),
        ("thumbs", False),
        ("comment", "Not + but - and ?"),
        ("tone", "kind"),
    ]
    context.close()
