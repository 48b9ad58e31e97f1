"""Moderations with the official OpenAI client against a real server."""

from typing import Any

import openai
import pytest


def test_texts_are_looked_at_and_the_span_says_what_was_seen(client: openai.OpenAI, house: Any) -> None:
    raw = client.moderations.with_raw_response.create(model="fast", input=["I love you", "I will kill you"])
    answer = raw.parse()
    assert [result.flagged for result in answer.results] == [False, True]
    assert answer.results[1].categories.violence
    assert house.asked == {"model": "upstream-name", "input": ["I love you", "I will kill you"]}
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert (span["status"], span["name"], span["cost_usd"]) == ("ok", "moderation fast", None)
    assert (span["input"], span["output"]) == (["I love you", "I will kill you"], [[], ["violence"]])
    assert span["attributes"]["assay.moderation.flagged"] == 1


def test_images_go_along(client: openai.OpenAI, house: Any) -> None:
    parts: Any = [
        {"type": "text", "text": "such hate"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    answer = client.moderations.create(model="fast", input=parts)
    assert [result.categories.hate for result in answer.results] == [True]
    assert house.asked["input"] == parts


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": "x"}, 404, "model"),
        ({"model": "fast"}, 400, "input"),
        ({"model": "fast", "input": []}, 400, "input"),
        ({"model": "fast", "input": [5]}, 400, "input[0]"),
        ({"model": "fast", "input": [{"type": "image_url"}]}, 400, "input[0].image_url"),
        ({"model": "task:polish", "input": "x"}, 400, "model"),
    ],
)
def test_what_cannot_be_looked_at_is_named(house: Any, body: Any, status: int, param: str) -> None:
    answer = house.http.post("/v1/moderations", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_an_upstream_without_them_is_named(house: Any) -> None:
    house.behave(status=404)
    answer = house.http.post("/v1/moderations", json={"model": "faulty", "input": "x"})
    assert answer.status_code == 404
    house.behave(malformed_at=1)
    answer = house.http.post("/v1/moderations", json={"model": "faulty", "input": "x"})
    assert (answer.status_code, "no moderation" in answer.json()["error"]["message"]) == (502, True)
    house.behave(malformed_at=None)
