"""The pages of tasks: what serves, and the forms that change it."""

import re
from typing import Any

import pytest

from assay.access import Role
from assay.kit.clock import SYSTEM
from assay.spans.segments import Position
from assay.spans.types import Arrival
from assay.wire.spans import Span, SpanKind, SpanStatus


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def signed_in(house: Any) -> Any:
    client = house.client(None)
    answer = client.post("/login", data={"key": house.admin_key})
    assert answer.status_code == 303, answer.text
    return client


def call(number: int, variant: str, status: SpanStatus = SpanStatus.OK) -> Arrival:
    now_ns = SYSTEM.now_ns()
    span = Span(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        project="default",
        name="chat",
        kind=SpanKind.MODEL,
        start_ns=now_ns - 2_000_000,
        end_ns=now_ns - 1_000_000,
        status=status,
        task="polish",
        variant=variant,
    )
    return Arrival(span, now_ns)


def test_the_list_shows_what_serves_each_task(house: Any) -> None:
    house.release({"v1": 3, "v2": 1})
    page = house.client().get("/tasks").text
    assert 'href="/tasks/polish"' in page
    assert re.search(r"v1\s+75", page)
    assert re.search(r"v2\s+25", page)


def test_a_task_without_a_release_says_so(house: Any) -> None:
    assert "nothing is released" in house.client().get("/tasks").text
    page = house.client().get("/tasks/polish").text
    assert "Nothing is released in production" in page
    assert "Roll back" not in page


def test_prompts_are_shown_and_never_interpreted(house: Any) -> None:
    page = house.client().get("/tasks/polish").text
    assert "&lt;b&gt;{{ text }}&lt;/b&gt;" in page
    assert "<b>{{" not in page


def test_live_traffic_stands_beside_the_shares(house: Any) -> None:
    house.release({"v1": 1})
    calls = [*(call(number, "v1") for number in range(3)), call(3, "v1", SpanStatus.ERROR), call(4, "v2")]
    house.spans.write(calls, source="test", position=Position(0, 0, 0))
    page = house.client().get("/tasks/polish").text
    assert "no longer released" in page
    assert re.search(r"80\s*.?%", page)


def test_the_form_releases_and_the_button_rolls_back(house: Any) -> None:
    client = signed_in(house)
    page = client.get("/tasks/polish").text
    form = {
        "csrf_token": token_of(page),
        "weight.v1": "1",
        "weight.v2": "",
        "weight.v3": "0",
        "note": "first",
    }
    answer = client.post("/tasks/polish/releases/production", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/tasks/polish")
    assert house.serving() == {"v1": 1.0}
    client.post("/tasks/polish/releases/production", data={**form, "weight.v1": "", "weight.v2": "2"})
    page = client.get("/tasks/polish").text
    assert "Roll back" in page
    answer = client.post("/tasks/polish/releases/production/rollback", data={"csrf_token": token_of(page)})
    assert answer.status_code == 303
    assert house.serving() == {"v1": 1.0}


def test_a_form_that_cannot_be_used_comes_back_with_what_was_filled_in(house: Any) -> None:
    client = signed_in(house)
    form = {"csrf_token": token_of(client.get("/tasks/polish").text), "weight.v1": "many", "weight.v2": "7"}
    answer = client.post("/tasks/polish/releases/production", data=form)
    assert answer.status_code == 400
    assert "must be a number" in answer.text
    assert 'value="7"' in answer.text
    assert house.serving() is None


def test_a_form_without_its_token_changes_nothing(house: Any) -> None:
    client = signed_in(house)
    assert client.post("/tasks/polish/releases/production", data={"weight.v1": "1"}).status_code == 403
    assert house.serving() is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APP])
def test_only_editors_release(house: Any, role: Role) -> None:
    client = house.client(role)
    assert client.post("/tasks/polish/releases/production", data={"weight.v1": "1"}).status_code == 403
    assert (
        client.put("/api/tasks/polish/releases/production", json={"variants": {"v1": 1}}).status_code == 403
    )
    if role is Role.VIEWER:
        assert 'name="weight.v1"' not in client.get("/tasks/polish").text


def test_the_api_releases_lists_and_rolls_back(house: Any) -> None:
    client = house.client()
    path = "/api/tasks/polish/releases/staging"
    assert client.put(path, json={"variants": {"v1": 1}}).json()["shares"] == {"v1": 1.0}
    assert client.put(path, json={"variants": {"v2": 1}, "note": "try"}).status_code == 200
    assert [each["variants"] for each in client.get(path).json()["items"]] == [{"v2": 1.0}, {"v1": 1.0}]
    assert client.post(f"{path}/rollback").json()["variants"] == {"v1": 1.0}
    refused = client.put(path, json={"variants": {"v1": 1}, "shadows": ["v2"]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "shadows")
    assert client.put("/api/tasks/nowhere/releases/staging", json={"variants": {"v1": 1}}).status_code == 404
