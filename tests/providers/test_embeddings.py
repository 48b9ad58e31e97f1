"""What providers do with embeddings: OpenAI's format over a wire, and the vectors of a model that is not there."""

import asyncio
import json
import math
from array import array
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from assay.errors import AssayError, BadRequest, Upstream, UpstreamRefused
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated import Script, SimulatedProvider, Simulation
from assay.providers.simulated.embedding import vector
from assay.providers.types import HttpRequest, HttpResponse, ProviderRequest, Timeouts
from assay.wire.embeddings import EmbeddingResponse, decode_embedding


class Saying:
    """A network whose other end always says the same. It keeps what it was asked."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, body: Any, status: int = 200) -> None:
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.asked: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        self.asked.append(request)
        return self

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def aclose(self) -> None:
        return


def embed(provider: Any, model: str = "up", **body: Any) -> EmbeddingResponse:
    request = decode_embedding(json.dumps({"model": "m", "input": "x", **body}).encode())
    answer: EmbeddingResponse = asyncio.run(
        provider.embed(ProviderRequest("embeddings", request, model, Timeouts()))
    )
    return answer


def upstream(network: Saying) -> OpenAIProvider:
    return OpenAIProvider(name="acme", base_url="http://acme.invalid/v1/", api_key="k", transport=network)


def simulated(**script: Any) -> SimulatedProvider:
    return SimulatedProvider(name="sim", simulation=Simulation(Script(**script)))


def test_the_clients_json_goes_out_with_only_the_model_edited() -> None:
    network = Saying(
        {"data": [{"embedding": [1.0, 2.0]}], "model": "up-1", "usage": {"prompt_tokens": 3}, "more": 1}
    )
    answer = embed(
        upstream(network), user="u", later=[1, 2.50], assay={"session": "s"}, encoding_format="float"
    )
    (request,) = network.asked
    assert (request.method, request.url) == ("POST", "http://acme.invalid/v1/embeddings")
    assert json.loads(request.body) == {
        "model": "up",
        "input": "x",
        "user": "u",
        "later": [1, 2.5],
        "encoding_format": "float",
    }
    assert b"2.5" in request.body
    assert json.loads(answer.raw)["more"] == 1
    assert (answer.model, answer.dimensions) == ("up-1", 2)


@pytest.mark.parametrize(
    ("body", "status", "error", "said"),
    [
        ({"data": [{"embedding": [1]}]}, 200, Upstream, "1 vectors for 2 inputs"),
        ({"choices": []}, 200, Upstream, "no embeddings"),
        (b"<html>", 200, Upstream, "no embeddings"),
        ({"detail": "Not Found"}, 404, UpstreamRefused, "Not Found"),
        ({"error": {"message": "too many"}}, 429, UpstreamRefused, "too many"),
    ],
)
def test_what_is_no_answer_is_an_error(body: Any, status: int, error: type[AssayError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        embed(upstream(Saying(body, status)), input=["a", "b"])
    assert isinstance(caught.value, AssayError)
    assert (caught.value.hint is not None) == (status == 404)


def test_a_server_that_leaves_dimensions_unread_is_found_out() -> None:
    answer = {"data": [{"embedding": [0.5] * 384}]}
    with pytest.raises(BadRequest, match="vectors of 384 numbers at acme, not of 256") as caught:
        embed(upstream(Saying(answer)), dimensions=256)
    assert caught.value.param == "dimensions"
    assert embed(upstream(Saying(answer)), dimensions=384).dimensions == 384


def test_an_answer_of_many_vectors_is_read_beside_other_work() -> None:
    data = [{"index": at, "embedding": [0.123456789] * 384} for at in range(400)]
    answer = embed(upstream(Saying({"data": data})), input=["x"] * 400)
    assert (answer.count, answer.dimensions) == (400, 384)


# The simulated provider.


def cosine(left: "array[float]", right: "array[float]") -> float:
    return math.fsum(one * other for one, other in zip(left, right, strict=True))


def test_simulated_vectors_are_units_the_same_each_time_and_near_for_texts_alike() -> None:
    texts = ["How do I reset my password?", "I forgot my password, how can I reset it?", "The sky is green."]
    first, second, third = embed(simulated(), input=texts).vectors()
    assert embed(simulated(seed=5), input=texts, encoding_format="base64").vectors()[1] == second
    assert [cosine(each, each) for each in (first, second, third)] == pytest.approx([1, 1, 1], abs=1e-6)
    assert cosine(first, second) > 0.7
    assert abs(cosine(first, third)) < 0.25
    assert vector("Hello", 16) == vector("  hello!", 16)


def test_a_shortened_vector_is_the_beginning_of_the_whole_at_length_one() -> None:
    (whole,) = embed(simulated(dimensions=64)).vectors()
    (short,) = embed(simulated(dimensions=64), dimensions=10).vectors()
    assert cosine(short, short) == pytest.approx(1, abs=1e-6)
    norm = math.sqrt(cosine(whole[:10], whole[:10]))
    assert short.tolist() == pytest.approx([number / norm for number in whole[:10]], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "param"),
    [({"dimensions": 65}, "dimensions"), ({"input": [1] * 3, "dimensions": 100}, "dimensions")],
)
def test_it_refuses_as_openai_does(body: Any, param: str) -> None:
    with pytest.raises(UpstreamRefused) as caught:
        embed(simulated(dimensions=64), **body)
    assert caught.value.status == 400
    assert json.loads(caught.value.body)["error"]["param"] == param


def test_token_ids_are_words_of_their_own_and_are_counted() -> None:
    answer = embed(simulated(), input=[[5, 6], [6, 5], [7]])
    one, other, third = answer.vectors()
    assert cosine(one, other) == pytest.approx(1, abs=1e-6)
    assert cosine(one, third) < 0.5
    assert answer.usage is not None
    assert answer.usage.input == 5


def test_faults_hit_embeddings_too() -> None:
    with pytest.raises(Upstream, match="no embeddings"):
        embed(simulated(malformed_at=1))
    with pytest.raises(UpstreamRefused, match="503"):
        embed(simulated(errors={"503": 1.0}))
    assert embed(simulated(usage=False)).usage is None
