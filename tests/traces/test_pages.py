"""The pages show what there is, and nothing that a model wrote can act on them."""

import re
import time
from decimal import Decimal
from typing import Any

import pytest

from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> ![x](http://evil.example/p.png) \u202eevil"


def test_the_empty_pages_say_how_to_begin(house: Any) -> None:
    client = house.client()

    assert "No calls in this time" in client.get("/").text
    assert "No traces in this time" in client.get("/traces").text


def test_the_overview_shows_figures_pictures_and_the_latest(house: Any, make_span: Any) -> None:
    house.keep(
        make_span(cost_usd=Decimal("0.25"), usage=Usage(input=5)),
        make_span(model="large", status=SpanStatus.ERROR),
    )

    text = house.client().get("/").text

    assert "$0.25" in text
    assert "1 calls without a price" in text.replace("\u202f", " ")
    assert text.count("chart chart-time-") == 6
    assert "/traces?last=24h&amp;model=large" in text


def test_the_list_keeps_its_filters_and_turns_pages(house: Any, make_span: Any) -> None:
    house.keep(
        *(make_span(name=f"call-{index:02d}", user_id="ann") for index in range(55)), make_span(name="else")
    )
    client = house.client()

    page = client.get("/traces", params={"user": "ann", "last": "24h"})
    further = re.search(r'rel="next" href="([^"]+)"', page.text)

    assert page.status_code == 200
    assert 'value="ann"' in page.text
    assert further is not None
    rest = client.get(further[1].replace("&amp;", "&"))
    seen = set(re.findall(r"call-\d\d", page.text + rest.text))
    assert len(seen) == 55
    assert ">else<" not in page.text + rest.text


def test_a_wrong_filter_is_told_on_the_page(house: Any) -> None:
    response = house.client().get("/traces?last=soon&color=red")

    assert response.status_code == 400
    assert "no stretch of time" in response.text or "no filter of traces" in response.text


def test_a_search_without_a_match_says_so(house: Any, make_span: Any) -> None:
    house.keep(make_span())

    assert "No trace matches" in house.client().get("/traces?q=nowhere").text


def test_a_trace_shows_its_spans_conversation_and_scores(house: Any, make_span: Any) -> None:
    root = make_span(kind=SpanKind.TASK, name="polish")
    call = make_span(
        trace_id=root.trace_id, parent_id=root.span_id, input=(b'{"role":"user","content":"What is up?"}',),
        output=(b'{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]}',),
        tools=(b'{"type":"function","function":{"name":"look","description":"Looks."}}',), cost_usd=Decimal("0.5"),
        request=b'{"temperature":0.2}', usage=Usage(input=4, output=2),
    )  # fmt: skip
    house.keep(
        root,
        call,
        Score(
            score_id="s",
            project="default",
            name="thumbs",
            value=True,
            source=ScoreSource.USER,
            at_ns=1,
            trace_id=root.trace_id,
        ),
    )
    client = house.client()

    text = client.get(f"/traces/{root.trace_id}").text
    details = client.get(f"/traces/{root.trace_id}?span={call.span_id}&tab=details").text
    raw = client.get(f"/traces/{root.trace_id}?span={call.span_id}&tab=raw").text

    assert "What is up?" in text
    assert "look" in text
    assert "Looks." in text
    assert "thumbs" in text
    assert "$0.5" in text
    assert "temperature" in details
    assert "&#34;span_id&#34;" in raw


def test_a_trace_that_is_not_there_is_a_page_too(house: Any) -> None:
    response = house.client().get("/traces/nope")

    assert response.status_code == 404
    assert "There is no trace" in response.text


@pytest.mark.parametrize("tab", ["conversation", "details", "raw"])
def test_what_a_model_wrote_stays_text(house: Any, make_span: Any, tab: str) -> None:
    import json

    hostile = json.dumps(HOSTILE)
    span = make_span(
        name=HOSTILE, model=HOSTILE, error_message=HOSTILE, error_type=HOSTILE, task=HOSTILE, variant=HOSTILE, user_id=HOSTILE,
        status=SpanStatus.ERROR, attributes={HOSTILE: HOSTILE}, finish_reason=HOSTILE, tags=(HOSTILE,), request=hostile.encode(),
        input=(f'{{"role":"user","content":{hostile},"name":{hostile}}}'.encode(), hostile.encode()),
        output=(f'{{"role":"assistant","content":[{{"type":"image_url","image_url":{{"url":"http://evil.example/p.png"}}}},{{"type":{hostile}}}]}}'.encode(),),
        tools=(f'{{"name":{hostile},"description":{hostile}}}'.encode(),),
    )  # fmt: skip
    score = Score(score_id="s", project="default", name=HOSTILE, value=HOSTILE, source=ScoreSource.USER, at_ns=1, trace_id=span.trace_id, explanation=HOSTILE, author=HOSTILE)  # fmt: skip
    house.keep(span, score)
    client = house.client()

    for response in (
        client.get(f"/traces/{span.trace_id}?tab={tab}"),
        client.get("/traces"),
        client.get("/"),
    ):
        assert response.status_code == 200
        assert "<script>alert" not in response.text
        assert "<img src=x" not in response.text
        assert 'src="http' not in response.text
        assert "\u202e" not in re.sub(r'="[^"]*"', "", response.text)
        assert "script-src 'self'" in response.headers["content-security-policy"]


def test_a_page_of_a_busy_trace_stays_quick(house: Any, make_span: Any) -> None:
    root = make_span(kind=SpanKind.AGENT)
    message = b'{"role":"user","content":"' + b"word " * 200 + b'"}'
    house.keep(
        root,
        *(make_span(trace_id=root.trace_id, parent_id=root.span_id, input=(message,)) for _ in range(400)),
    )
    client = house.client()
    client.get(f"/traces/{root.trace_id}")

    before = time.perf_counter()
    response = client.get(f"/traces/{root.trace_id}")

    assert response.status_code == 200
    assert 'rel="next"' in response.text
    assert time.perf_counter() - before < 2
