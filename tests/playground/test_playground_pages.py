"""The page of the playground, and trying a model."""

import json
import re
from typing import Any

import pytest

HOSTILE = "</textarea><script>alert(1)</script>"


def selected(text: str) -> list[str]:
    """The targets of the columns."""
    columns = text.partition("<template")[0]
    return re.findall(r'<option value="([^"]+)" selected', columns.partition("data-columns>")[2])


def test_a_span_of_any_trace_opens_with_all_that_it_was_asked(house: Any) -> None:
    done = house.ask(text=HOSTILE, parameters={"temperature": 0.3, "stop": ["zz"]})[-1][1]

    text = house.http.get("/playground", params={"trace": done["trace_id"], "span": done["span_id"]}).text

    assert "&lt;/textarea&gt;&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert 'data-number="temperature" value="0.3"' in text
    assert "zz" in text
    assert selected(text) == ["fast"]
    assert f'href="/traces/{done["trace_id"]}?span={done["span_id"]}"' in text.replace("&amp;", "&")


def test_a_prompt_and_a_variant_open_with_their_inputs_to_be_filled_in(house: Any) -> None:
    house.http.post(
        "/api/prompts", json={"name": "greet", "template": "Greet {{ name }}."}
    ).raise_for_status()

    prompt = house.http.get("/playground?prompt=greet").text
    variant = house.http.get("/playground?task=polish&variant=v1").text

    assert "Greet {{ name }}." in prompt
    assert "&#34;name&#34;: &#34;&#34;" in prompt
    assert selected(variant) == ["task:polish/v1"]
    assert "&#34;text&#34;: &#34;&#34;" in variant


def test_the_address_says_which_models_stand_side_by_side(house: Any) -> None:
    assert selected(house.http.get("/playground?model=down&model=fast&model=no").text) == ["down", "fast"]
    assert selected(house.http.get("/playground?model=acme/slow").text) == ["acme/slow"]


@pytest.mark.parametrize("query", ["span=0000", "prompt=nothing", "task=nothing", "task=polish&variant=v9"])
def test_what_is_not_there_is_said(house: Any, query: str) -> None:
    assert house.http.get(f"/playground?{query}").status_code in (400, 404)


def test_without_a_model_the_page_says_how_to_get_one(start_assay: Any) -> None:
    server = start_assay("").ready()

    text = server.http.get("/playground").text

    assert "assay models pull smollm2-135m" in text
    assert 'id="draft"' not in text


def test_a_model_is_tried_and_says_what_it_took_or_why_not(house: Any) -> None:
    good = house.http.post("/playground/trial", data={"model": "acme/slow"})
    bad = house.http.post("/playground/trial", data={"model": "down"})

    assert "Say hello" in good.text, "the upstream says it back"
    assert "cannot be reached" in bad.text
    for answer in (good, bad):
        assert answer.status_code == 200
        (trace,) = re.findall(r'href="/traces/([0-9a-f]+)"', answer.text)
        assert house.server.model_span(trace)["tags"] == ["playground", "trial"]
    assert house.http.post("/playground/trial", data={"model": "x"}).status_code == 404
    assert json.dumps(house.asked["max_tokens"]) == "32"
