"""`/v1/rerank` of a real server: of the simulated provider, of a server of OpenAI's format, and of Cohere."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.vllm]
type = "openai"
base_url = "{upstream.url}"
[providers.cohere]
type = "cohere"
base_url = "{upstream.root}"
[providers.sim]
type = "simulated"
[providers.nowhere]
type = "openai"
base_url = "{upstream.url}/nowhere"
[providers.claude]
type = "anthropic"
base_url = "{upstream.root}"

[models.open]
route = [{{ provider = "vllm", model = "bge-reranker" }}]
retries = 0
price = {{ input_usd_per_mtok = 0.02 }}
[models.cohere]
route = [{{ provider = "cohere", model = "rerank-v3.5" }}]
retries = 0
[models.sim]
route = [{{ provider = "sim", model = "any" }}]
retries = 0
[models.nowhere]
route = [{{ provider = "nowhere", model = "any" }}]
retries = 0
[models.chatty]
route = [{{ provider = "claude", model = "any" }}]
retries = 0
[models.either]
route = [{{ provider = "cohere", model = "rerank-v3.5", weight = 1.0 }}, {{ provider = "vllm", model = "bge-reranker", weight = 0.0 }}]
retries = 0
[tasks.polish]
variants.v1 = {{ model = "sim", prompt = "{{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""
QUERY = "Where is my parcel?"
DOCUMENTS = ["A cake needs eggs.", "Your parcel is where it was.", {"text": "Where parcels go."}]


class House:
    """The server and the upstream that its models lead to."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.simulation = upstream.simulation
        self.http = server.http

    def ask(self, model: str = "open", **body: Any) -> Any:
        sent = {"model": model, "query": QUERY, "documents": DOCUMENTS, **body}
        return self.http.post("/v1/rerank", json=sent)

    def refused(self, **body: Any) -> tuple[int, Any]:
        answer = self.ask(**body)
        return answer.status_code, answer.json()["error"]

    def span(self, trace_id: str) -> Any:
        (span,) = [each for each in self.server.trace(trace_id) if each["kind"] == "rerank"]
        return span


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    with SimulatedServer(Script()) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream)).ready()
        yield House(server, upstream)
        server.stop()


@pytest.mark.parametrize("model", ["open", "cohere", "sim"])
def test_the_most_relevant_document_is_first_from_every_provider(house: House, model: str) -> None:
    answer = house.ask(model)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["index"] for each in results][-1] == 0
    scores = [each["relevance_score"] for each in results]
    assert scores == sorted(scores, reverse=True)
    assert all("document" not in each for each in results)
    (best,) = house.ask(model, top_n=1, return_documents=True).json()["results"]
    assert best["index"] == results[0]["index"]
    assert best["document"]["text"].lower().count("parcel") == 1


def test_tokens_are_priced_and_searches_have_no_price(house: House) -> None:
    answer = house.ask(top_n=2)
    usage = answer.json()["usage"]
    exact = Decimal("0.02") * usage["prompt_tokens"] / 1_000_000
    assert Decimal(answer.headers["x-assay-cost-usd"]) == exact
    span = house.span(answer.headers["x-assay-trace-id"])
    assert (span["name"], span["status"], span["endpoint"]) == ("rerank open", "ok", "rerank")
    assert (span["upstream_model"], span["usage"]["input"]) == ("bge-reranker", usage["prompt_tokens"])
    assert Decimal(str(span["cost_usd"])) == exact
    assert span["input"] == [QUERY, DOCUMENTS[0], DOCUMENTS[1], "Where parcels go."]
    assert [set(each) for each in span["output"]] == [{"index", "relevance_score", "text"}] * 2
    assert span["attributes"]["assay.rerank.documents"] == 3
    answer = house.ask("cohere")
    assert "x-assay-cost-usd" not in answer.headers
    assert answer.json()["meta"] == {"billed_units": {"search_units": 1}}
    span = house.span(answer.headers["x-assay-trace-id"])
    assert span["cost_usd"] is None
    assert span["usage"] is None
    assert span["attributes"]["assay.rerank.search_units"] == 1


def test_a_server_of_the_same_shape_gets_the_clients_json_as_it_was_sent(house: House) -> None:
    house.ask(top_n=3, truncate_prompt_tokens=100, assay={"user": "ada"})
    assert house.simulation.log[-1].body == {
        "model": "bge-reranker",
        "query": QUERY,
        "documents": DOCUMENTS,
        "top_n": 3,
        "truncate_prompt_tokens": 100,
    }


def test_what_one_upstream_cannot_be_asked_the_next_one_can(house: House) -> None:
    assert house.refused(model="cohere", truncate_prompt_tokens=100)[1]["param"] == "truncate_prompt_tokens"
    answer = house.ask("either", truncate_prompt_tokens=100)
    assert answer.status_code == 200
    assert house.span(answer.headers["x-assay-trace-id"])["provider"] == "vllm"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1].text"),
        ({"top_n": -1}, "top_n"),
        ({"model": "task:polish"}, "model"),
        ({"model": "chatty"}, "model"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_anybody_is_asked(
    house: House, body: Any, param: str
) -> None:
    before = len(house.simulation.log)
    status, error = house.refused(**body)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert len(house.simulation.log) == before


def test_a_server_that_ranks_nothing_is_named(house: House) -> None:
    status, error = house.refused(model="nowhere")
    assert status == 404
    assert "Invalid URL" in error["message"]
    assert house.refused(model="nothing")[0] == 404
    assert house.http.get("/v1/rerank").status_code == 405


def test_the_page_of_a_ranking_shows_the_order_with_scores(house: House) -> None:
    answer = house.ask("cohere", top_n=2)
    trace_id = answer.headers["x-assay-trace-id"]
    house.span(trace_id)
    page = house.http.get(f"/traces/{trace_id}").text
    for result in answer.json()["results"]:
        assert f"{result['relevance_score']:.4f}" in page
    assert "Relevance" in page
    assert "A cake needs eggs." not in page


def test_rankings_are_calls_of_the_overview(house: House) -> None:
    trace_id = house.ask(top_n=1).headers["x-assay-trace-id"]
    house.span(trace_id)
    overview = house.http.get("/api/overview", params={"last": "24h"}).json()
    by_model = {group["value"]: group["traffic"] for group in overview["by_model"]}
    assert by_model["open"]["calls"] > 0
    assert by_model["open"]["cost_usd"] > 0


def test_a_repeated_ranking_is_asked_once(house: House) -> None:
    before = len(house.simulation.log)
    sent = {"model": "open", "query": QUERY, "documents": DOCUMENTS}
    answers = [
        house.http.post("/v1/rerank", json=sent, headers={"idempotency-key": "ranked-once"}) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(house.simulation.log) == before + 1
