"""The official OpenAI client asks for vectors: base64 unless told otherwise, of every kind of provider."""

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.acme]
type = "openai"
base_url = "{upstream}"
[providers.sim]
type = "simulated"
dimensions = 64
[providers.chatty]
type = "openai"
base_url = "{upstream}/nowhere"
[providers.local]
type = "llama"
models = "{models}"
threads = 1

[models.embed]
route = [{{ provider = "acme", model = "acme-embed-3" }}]
retries = 0
price = {{ input_usd_per_mtok = 0.02 }}
[models.sim]
route = [{{ provider = "sim", model = "sim-embed" }}]
retries = 0
[models.chat-only]
route = [{{ provider = "chatty", model = "x" }}]
retries = 0
[models.minilm]
route = [{{ provider = "local", model = "minilm" }}]
retries = 0
[models.smollm]
route = [{{ provider = "local", model = "smollm2-135m" }}]
retries = 0
[tasks.polish]
variants.v1 = {{ model = "sim", prompt = "{{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""
MODELS = Path(__file__).parents[2] / ".assay/models"


class House:
    """The server and the upstream that one of its models leads to."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.simulation = upstream.simulation
        self.http = server.http

    @property
    def asked(self) -> Any:
        """The body that the upstream was last asked with."""
        return self.simulation.log[-1].body

    def span(self, trace_id: str) -> Any:
        """The span of a call for vectors."""
        (span,) = [each for each in self.server.trace(trace_id) if each["kind"] == "embedding"]
        return span

    def refused(self, **body: Any) -> tuple[int, Any]:
        """Status and error of a bare request."""
        answer = self.http.post("/v1/embeddings", json={"model": "embed", "input": "x", **body})
        return answer.status_code, answer.json()["error"]


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    with SimulatedServer(Script(dimensions=96)) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream.url, models=MODELS)).ready()
        yield House(server, upstream)
        server.stop()


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    url = f"{house.server.url}/v1"
    with openai.OpenAI(base_url=url, api_key=house.server.key, max_retries=0) as client:
        yield client


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(one * other for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("model", "length", "upstream"), [("embed", 96, "acme-embed-3"), ("sim", 64, "sim-embed")]
)
def test_one_text_and_many_are_embedded(
    client: openai.OpenAI, house: House, model: str, length: int, upstream: str
) -> None:
    one = client.embeddings.create(model=model, input="Where is my parcel?")
    assert (one.object, one.model, len(one.data)) == ("list", upstream, 1)
    assert len(one.data[0].embedding) == length
    texts = ["Where is my parcel?", "Where is my parcel now?", "A cake needs eggs."]
    many = client.embeddings.create(model=model, input=texts)
    assert [each.index for each in many.data] == [0, 1, 2]
    vectors = [each.embedding for each in many.data]
    assert vectors[0] == one.data[0].embedding
    assert cosine(vectors[0], vectors[0]) == pytest.approx(1, abs=1e-6)
    assert cosine(vectors[0], vectors[1]) > 0.8 > 0.4 > cosine(vectors[0], vectors[2])


def test_floats_and_base64_are_the_same_numbers(client: openai.OpenAI, house: House) -> None:
    for model in ("embed", "sim"):
        packed = client.embeddings.create(model=model, input="x").data[0].embedding
        plain = client.embeddings.create(model=model, input="x", encoding_format="float").data[0].embedding
        assert packed == pytest.approx(plain, abs=1e-7)
    body = house.http.post("/v1/embeddings", json={"model": "embed", "input": "x"}).json()
    assert isinstance(body["data"][0]["embedding"], list)
    assert body["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


def test_the_clients_json_reaches_the_upstream_as_it_was_sent(client: openai.OpenAI, house: House) -> None:
    client.embeddings.create(
        model="embed", input=[[1, 2], [3]], dimensions=32, user="u-1", extra_body={"later": {"a": [1, None]}}
    )
    assert house.asked == {
        "model": "acme-embed-3",
        "input": [[1, 2], [3]],
        "dimensions": 32,
        "user": "u-1",
        "encoding_format": "base64",
        "later": {"a": [1, None]},
    }


def test_fewer_dimensions_are_made_where_the_model_can(client: openai.OpenAI) -> None:
    for model in ("embed", "sim"):
        vector = client.embeddings.create(model=model, input="x", dimensions=16).data[0].embedding
        assert len(vector) == 16
        assert cosine(vector, vector) == pytest.approx(1, abs=1e-6)
        with pytest.raises(openai.BadRequestError, match="dimensions"):
            client.embeddings.create(model=model, input="x", dimensions=97)


def test_usage_and_cost_are_on_the_headers_and_on_the_span(client: openai.OpenAI, house: House) -> None:
    raw = client.embeddings.with_raw_response.create(
        model="embed",
        input=["one two three", "four"],
        extra_headers={"x-assay-user": "ada", "x-assay-session": "s-1", "x-assay-tags": "index"},
    )
    usage = raw.parse().usage
    assert (usage.prompt_tokens, usage.total_tokens) == (4, 4)
    exact = Decimal("0.02") * 4 / 1_000_000
    assert Decimal(raw.headers["x-assay-cost-usd"]) == exact
    assert (raw.headers["x-assay-attempts"], raw.headers["x-assay-model"]) == ("1", "embed")
    assert float(raw.headers["x-assay-overhead-ms"]) > 0
    span = house.span(raw.headers["x-assay-trace-id"])
    assert (span["name"], span["status"], span["model"]) == ("embeddings embed", "ok", "embed")
    assert (span["upstream_model"], span["endpoint"]) == ("acme-embed-3", "embeddings")
    assert span["usage"]["input"] == 4
    assert "output" not in span["usage"] or span["usage"]["output"] == 0
    assert Decimal(str(span["cost_usd"])) == exact
    assert (span["user"], span["session"], span["tags"]) == ("ada", "s-1", ["index"])
    assert span["input"] == ["one two three", "four"]
    assert span["output"] == []
    assert span["attributes"]["assay.embeddings.inputs"] == 2
    assert span["attributes"]["gen_ai.embeddings.dimension.count"] == 96
    raw = client.embeddings.with_raw_response.create(model="sim", input="x")
    assert "x-assay-cost-usd" not in raw.headers


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": ["a", ""]}, "input[1]", "empty"),
        ({"input": ["a"] * 2049}, "input", "2,048"),
        ({"input": [[]]}, "input[0]", "empty"),
        ({"input": {"a": 1}}, "input", "object"),
        ({"dimensions": 0}, "dimensions", "at least 1"),
        ({"dimensions": "all"}, "dimensions", "int"),
        ({"encoding_format": "hex"}, "encoding_format", "hex"),
        ({"model": "task:polish"}, "model", "is a task"),
    ],
)
def test_what_cannot_be_embedded_is_refused_before_anybody_is_asked(
    house: House, body: Any, param: str, said: str
) -> None:
    before = len(house.simulation.log)
    status, error = house.refused(**body)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert said in error["message"]
    assert len(house.simulation.log) == before


@pytest.mark.parametrize("number", ["1e999", "NaN", "Infinity", "-Infinity"])
def test_dimensions_that_are_not_finite_are_refused(house: House, number: str) -> None:
    answer = house.http.post(
        "/v1/embeddings", content=f'{{"model": "embed", "input": "x", "dimensions": {number}}}'
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_an_unknown_model_a_key_without_the_right_and_a_wrong_method_are_refused(house: House) -> None:
    assert house.refused(model="nothing")[0] == 404
    made = house.http.post("/api/keys", json={"name": "reader", "role": "viewer"}).json()["key"]
    answer = house.http.post(
        "/v1/embeddings",
        json={"model": "embed", "input": "x"},
        headers={"authorization": f"Bearer {made}"},
    )
    assert answer.status_code == 403
    assert house.http.get("/v1/embeddings").status_code == 405


def test_a_server_without_embeddings_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="chat-only", input="x")


def test_a_large_batch_is_answered_whole(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="sim", input=[f"text number {at}" for at in range(2048)])
    assert len(answer.data) == 2048
    assert answer.usage.prompt_tokens == 3 * 2048


# A real model on this machine.

SENTENCES = ["A man is eating food.", "A man eats something.", "The sky on the planet is green."]


@pytest.mark.local_encoder
def test_minilm_finds_what_means_the_same(client: openai.OpenAI, house: House) -> None:
    raw = client.embeddings.with_raw_response.create(model="minilm", input=SENTENCES)
    answer = raw.parse()
    first, second, third = [each.embedding for each in answer.data]
    assert len(first) == 384
    assert cosine(first, first) == pytest.approx(1, abs=1e-5)
    assert cosine(first, second) == pytest.approx(0.87, abs=0.02)
    assert cosine(first, third) == pytest.approx(0.0, abs=0.05)
    # [CLS] a man is eating food . [SEP], and so on
    assert answer.usage.prompt_tokens == 8 + 7 + 10
    assert answer.model == "minilm"
    span = house.span(raw.headers["x-assay-trace-id"])
    assert (span["provider"], span["usage"]["input"], span["cost_usd"]) == ("local", 25, 0)
    assert raw.headers["x-assay-cost-usd"] == "0"


@pytest.mark.local_encoder
def test_minilm_takes_token_ids_and_gives_floats(client: openai.OpenAI) -> None:
    ids = [101, 1037, 2158, 2003, 5983, 2833, 1012, 102]  # the first sentence
    by_ids = client.embeddings.create(model="minilm", input=[ids], encoding_format="float").data[0].embedding
    by_text = client.embeddings.create(model="minilm", input=SENTENCES[0]).data[0].embedding
    assert cosine(by_ids, by_text) == pytest.approx(1, abs=1e-5)


@pytest.mark.local_encoder
def test_minilm_refuses_what_would_spoil_its_vectors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="384 numbers") as caught:
        client.embeddings.create(model="minilm", input="x", dimensions=128)
    assert caught.value.param == "dimensions"
    assert len(client.embeddings.create(model="minilm", input="x", dimensions=384).data[0].embedding) == 384
    with pytest.raises(openai.BadRequestError, match="602 tokens, and 'minilm' reads at most 512"):
        client.embeddings.create(model="minilm", input=["short", "word " * 600])
    assert client.embeddings.create(model="minilm", input="word " * 500).usage.prompt_tokens == 502
    with pytest.raises(openai.BadRequestError, match="does not chat"):
        client.chat.completions.create(model="minilm", messages=[{"role": "user", "content": "Hello"}])


@pytest.mark.local_encoder
def test_minilm_answers_a_batch_in_order(client: openai.OpenAI) -> None:
    texts = [f"{at} apples lie on the table" for at in range(50)]
    batch = client.embeddings.create(model="minilm", input=texts)
    assert [each.index for each in batch.data] == [*range(50)]
    for at in (0, 17, 49):
        alone = client.embeddings.create(model="minilm", input=texts[at]).data[0].embedding
        assert cosine(batch.data[at].embedding, alone) == pytest.approx(1, abs=1e-4)


@pytest.mark.local_model
def test_a_local_model_that_chats_says_that_it_makes_no_vectors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'smollm' makes no embeddings") as caught:
        client.embeddings.create(model="smollm", input="x")
    assert caught.value.param == "model"
