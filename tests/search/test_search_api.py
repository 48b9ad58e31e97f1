"""Everything that has a name or an id is found by it, by whoever may see it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

CONFIG = """
[providers.sim]
type = "simulated"
answer = "echo"
[models."acme/large"]
route = [{ provider = "sim", model = "s" }]
[tasks.polish]
variants.v1 = { model = "acme/large", prompt = "Correct: {{ text }}" }
release = { v1 = 1.0 }
"""


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A server with one of each."""
    server = start_assay(CONFIG).ready()
    http = server.http
    http.post("/api/prompts", json={"name": "greeting", "template": "Hello {{ name }}"}).raise_for_status()
    case = json.dumps({"input": {"text": "x"}, "reference": "Correct: x"})
    http.post("/api/datasets/reviews/versions", content=case).raise_for_status()
    run = {"task": "polish", "variant": "v1", "dataset": "reviews", "scorers": ["exact"]}
    made = http.post("/api/runs", json=run).raise_for_status().json()
    server.run, server.job = made["id"], made["job_id"]
    body = {
        "model": "acme/large",
        "messages": [{"role": "user", "content": "hi"}],
        "assay": {"session": "Chat 77"},
    }
    server.trace_id = http.post("/v1/chat/completions", json=body).headers["x-assay-trace-id"]
    server.span_id = server.model_span(server.trace_id)["span_id"]
    return server


def found(server: Any, asked: str, **more: Any) -> list[tuple[str, str, str]]:
    """Kind, title and address of what answers."""
    answer = server.http.get("/api/search", params={"q": asked, **more}).raise_for_status().json()
    return [(item["kind"], item["title"], item["href"]) for item in answer["items"]]


def test_each_kind_of_thing_is_found_by_its_name(server: Any) -> None:
    assert found(server, "polish")[:2] == [
        ("task", "polish", "/tasks/polish"),
        ("variant", "polish / v1", "/tasks/polish#variant-v1"),
    ]
    assert ("prompt", "greeting", "/prompts/greeting") in found(server, "greet")
    assert ("dataset", "reviews", "/datasets/reviews") in found(server, "review")
    assert ("model", "acme/large", "/models/acme/large") in found(server, "large")
    assert ("run", "polish/v1", f"/runs/{server.run}") in found(server, "polish/v")
    assert ("page", "Decisions", "/decisions") in found(server, "deci")
    assert found(server, "nothing at all") == []


def test_ids_are_found_whole_or_by_the_end_that_pages_show(server: Any) -> None:
    assert found(server, server.trace_id)[0] == ("trace", server.trace_id, f"/traces/{server.trace_id}")
    assert found(server, server.trace_id[-8:])[0][:2] == ("trace", server.trace_id)
    assert found(server, server.span_id)[0] == (
        "span",
        server.span_id,
        f"/traces/{server.trace_id}?span={server.span_id}",
    )
    assert ("run", "polish/v1", f"/runs/{server.run}") in found(server, server.run[-6:])
    assert ("job", "eval run", f"/jobs/{server.job}") in found(server, server.job)
    assert ("session", "Chat 77", "/sessions/Chat%2077") in found(server, "chat 7")


def test_every_address_that_is_found_is_a_page(server: Any) -> None:
    for asked in (
        "",
        "e",
        "polish",
        "greeting",
        "reviews",
        "large",
        server.trace_id,
        server.span_id,
        server.run,
        server.job,
        "chat",
    ):
        for _, title, href in found(server, asked):
            answer = server.http.get(href.partition("#")[0])
            assert answer.status_code == 200, (title, href)


def test_without_a_question_there_are_the_places_that_one_may_enter(server: Any) -> None:
    mine = [title for _, title, _ in found(server, "")]
    key = server.http.post("/api/keys", json={"name": "v", "role": "viewer"}).json()["key"]
    answer = server.http.get("/api/search", headers={"authorization": f"Bearer {key}"}).json()

    assert mine[0] == "Overview"
    assert "Playground" in mine
    assert "Playground" not in [item["title"] for item in answer["items"]]


def test_bad_questions_are_refused_and_odd_ones_answered(server: Any) -> None:
    assert server.http.get("/api/search", params={"q": "x" * 201}).json()["error"]["param"] == "q"
    assert server.http.get("/api/search", params={"limit": 0}).status_code == 400
    assert len(found(server, "", limit=2)) == 2
    for odd in ("%", "' or 1=1--", "\u0000", "(", "𝔘"):
        assert isinstance(found(server, odd), list)
