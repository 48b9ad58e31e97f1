"""The pages about models: where each leads, what it costs, how it has been, and which weights are here."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.catalog.overview import state_of
from assay.spans.types import Traffic
from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.good]
type = "openai"
base_url = "{upstream}"
api_key = "file:key"
[providers.bad]
type = "openai"
base_url = "http://ann:secret@127.0.0.1:1/v1"

[models.fast]
route = [{{ provider = "good", model = "gpt-4o-mini", weight = 3 }}, {{ provider = "bad", model = "x", weight = 1 }}]
strategy = "priority"
fallback = ["acme/large"]
timeout = {{ first_token_s = 12 }}
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
[models."acme/large"]
route = [{{ provider = "good", model = "gpt-4o" }}]
[models.down]
route = [{{ provider = "bad", model = "n" }}]
retries = 5
[models.tiny]
route = [{{ provider = "local", model = "smollm2-135m" }}]
"""


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whose models have been called: one well, one in vain."""
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "key").write_text("sk-upstream-secret")
    with SimulatedServer(Script(answer="echo")) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream.url), folder=folder).ready()
        answer = None
        for model in ("down", "fast", "fast"):
            body = {"model": model, "messages": [{"role": "user", "content": "one two"}]}
            answer = server.http.post("/v1/chat/completions", json=body)
        assert answer is not None
        server.model_span(answer.headers["x-assay-trace-id"])
        yield server
        server.stop()


def read(server: Any, path: str) -> str:
    """A page as words."""
    answer = server.http.get(path)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text).replace("\u202f", " "))


def test_the_list_says_of_each_model_where_it_leads_and_how_it_is(server: Any) -> None:
    text = read(server, "/models")

    assert re.search(r"fast good gpt-4o-mini bad x else acme/large .{0,9}healthy 2 0.0 %", text)
    assert re.search(r"down bad n .{0,9}failing .{0,9}breaker open 1 100.0 %", text)
    assert re.search(r"acme/large good gpt-4o .{0,9}not used 0", text)
    assert "assay models pull smollm2-135m" in text


def test_a_model_shows_route_fallback_patience_price_and_failures(server: Any) -> None:
    fast, down = read(server, "/models/fast"), read(server, "/models/down")

    assert "in this order" in fast
    assert "When all of these fail, the call goes on to: acme/large" in fast
    assert "First token 12.0 s" in fast
    assert "Input $0.15 per million tokens" in fast
    assert "set in assay.toml" in fast
    assert "No price is known" in down
    assert re.search(r"Latest failures .* cannot be reached", down)
    assert "Retries 5" in down


def test_no_secret_of_a_provider_is_shown(server: Any) -> None:
    for path in ("/models", "/models/fast", "/models/down"):
        page = server.http.get(path).text
        assert "secret" not in page
        assert "ann:" not in page


def test_a_model_without_its_weights_says_how_to_bring_them(server: Any) -> None:
    text = read(server, "/models/tiny")

    assert "are not on this machine" in text
    assert "assay models pull smollm2-135m" in text
    (server.data / "models").mkdir(exist_ok=True)
    (server.data / "models/mine.gguf").write_bytes(b"GGUF" + bytes(2044))
    assert re.search(r"mine 2.0 KiB – .{0,9}here", read(server, "/models"))
    assert "runs on this machine: nobody bills it" in read(server, "/models/mine")


def test_a_name_with_a_slash_has_a_page_and_an_answer(server: Any) -> None:
    assert "gpt-4o" in read(server, "/models/acme/large")
    answer = server.http.get("/api/models/acme/large").json()
    assert (answer["name"], answer["strategy"], answer["timeout"]["total_s"]) == (
        "acme/large",
        "weighted",
        600.0,
    )
    assert server.http.get("/models/nothing").status_code == 404
    assert server.http.get("/api/models/acme/small").json()["error"]["hint"] == "Did you mean 'acme/large'?"


def test_only_who_may_spend_sees_the_test_call(server: Any) -> None:
    key = server.http.post("/api/keys", json={"name": "v", "role": "viewer"}).json()["key"]
    seen = server.http.get("/models/fast", headers={"authorization": f"Bearer {key}"}).text

    assert 'action="/playground/trial"' in server.http.get("/models/fast").text
    assert 'action="/playground/trial"' not in seen


@pytest.mark.parametrize(
    ("calls", "errors", "state"),
    [
        (0, 0, "unused"),
        (100, 0, "healthy"),
        (100, 4, "healthy"),
        (100, 5, "troubled"),
        (2, 1, "failing"),
        (1, 1, "failing"),
    ],
)
def test_the_state_of_a_model_is_its_share_of_failures(calls: int, errors: int, state: str) -> None:
    assert state_of(Traffic(calls=calls, errors=errors)) == state
    assert state_of(Traffic(calls=calls + 50, cached=50, errors=errors)) == state, "hits hide no failure"
