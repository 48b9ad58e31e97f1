"""Limits and budgets of a real server: API, pages, command, metrics, and what a kill leaves of them."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

CONFIG = """
[providers.sim]
type = "simulated"
answer = "echo"
[models.fast]
route = [{ provider = "sim", model = "fast" }]
price = { input_usd_per_mtok = 1000, output_usd_per_mtok = 2000 }
economy = { above = 0.9, model = "small" }
[models.small]
route = [{ provider = "sim", model = "small" }]
price = { input_usd_per_mtok = 0, output_usd_per_mtok = 0 }
[models.unpriced]
route = [{ provider = "sim", model = "unpriced" }]
"""
COST = Decimal("0.009")
"""Three words in, three words out."""


def ask(
    server: Any, key: str, *, model: str = "fast", user: str | None = None, **more: Any
) -> httpx.Response:
    body = {
        "model": model,
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "one two three"}],
        **more,
    }
    headers = {"authorization": f"Bearer {key}", **({"x-assay-user": user} if user else {})}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def spent(server: Any, limit_id: str) -> Decimal:
    found = server.http.get(f"/api/limits/{limit_id}").raise_for_status().json()
    return sum((Decimal(str(meter["spent_usd"])) for meter in found["meters"]), Decimal(0))


def only_limit(server: Any, per: str) -> Any:
    (found,) = [one for one in server.http.get("/api/limits").json()["items"] if one["per"] == per]
    return found


def test_a_key_with_a_budget_stops_when_it_is_spent_and_no_kill_gives_it_back(
    start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_assay(CONFIG, folder=tmp_path).ready()
    body = {"name": "shop", "budget": {"usd": 0.05, "period": "total"}}
    key = server.http.post("/api/keys", json=body).raise_for_status().json()["key"]
    limit = only_limit(server, "key")
    assert limit["budget"] == {"usd": 0.05, "period": "total"}
    for _ in range(2):
        assert ask(server, key, stream=False).status_code == 200
    assert ask(server, key, stream=True).text.endswith("data: [DONE]\n\n")
    before = spent(server, limit["id"])
    assert before == 3 * COST
    server.kill()
    server = start_assay(CONFIG, folder=tmp_path, port=server.port).ready()
    assert spent(server, limit["id"]) == before
    answers = [ask(server, key) for _ in range(4)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert refused[0].status_code == 429
    assert refused[0].json()["error"]["type"] == "insufficient_quota"
    assert "budget of $0.05" in refused[0].json()["error"]["message"]
    assert refused[0].headers["x-should-retry"] == "false"
    assert spent(server, limit["id"]) <= Decimal("0.05")
    kept = spent(server, limit["id"])
    assert server.stop() == 0
    server = start_assay(CONFIG, folder=tmp_path).ready()
    assert spent(server, limit["id"]) == kept
    unpriced = ask(server, key, model="unpriced")
    assert (unpriced.status_code, "price" in unpriced.text) == (403, True)


def test_sixty_four_clients_do_not_overspend_a_project(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()
    made = server.http.post("/api/limits", json={"per": "project", "budget": {"usd": 0.5, "period": "day"}})
    limit_id = made.raise_for_status().json()["id"]
    with ThreadPoolExecutor(64) as clients:
        answers = list(clients.map(lambda _: ask(server, server.key), range(300)))
    dear = [answer for answer in answers if answer.headers.get("x-assay-model") == "fast"]
    cheap = [answer for answer in answers if answer.headers.get("x-assay-model") == "small"]
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert spent(server, limit_id) == len(dear) * COST <= Decimal("0.5")
    assert cheap, "near its end the cheaper model answers"
    assert {answer.headers.get("x-assay-model") for answer in answers[-20:]} == {"small"}


def test_openais_client_waits_as_it_is_told(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()
    server.http.post("/api/limits", json={"per": "user", "requests_per_minute": 1}).raise_for_status()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
    extra = {"x-assay-user": "ada"}
    messages: Any = [{"role": "user", "content": "hello"}]
    client.chat.completions.create(model="fast", messages=messages, extra_headers=extra)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="fast", messages=messages, extra_headers=extra)
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 61
    client.chat.completions.create(model="fast", messages=messages, extra_headers={"x-assay-user": "bob"})
    headers = {"x-api-key": server.key, "x-assay-user": "bob"}
    body = {"model": "fast", "max_tokens": 5, "messages": messages}
    answer = httpx.post(f"{server.url}/v1/messages", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"per": "project"}, None),
        ({"per": "project", "name": "x", "concurrent": 1}, "name"),
        ({"per": "user", "concurrent": 0}, "concurrent"),
        ({"per": "user", "budget": {"usd": -1, "period": "day"}}, "usd"),
        ({"per": "user", "budget": {"usd": 1, "period": "week"}}, None),
        ({"per": "planet", "concurrent": 1}, None),
    ],
)
def test_what_cannot_be_a_limit_is_refused_by_name(
    start_assay: Callable[..., Any], body: dict[str, Any], param: str | None
) -> None:
    server = start_assay(CONFIG).ready()
    answer = server.http.post("/api/limits", json=body)
    assert answer.status_code == 400
    if param is not None:
        assert answer.json()["error"]["param"] == param
    assert (
        server.http.post("/api/limits", json={"per": "key", "name": "nobody", "concurrent": 1}).status_code
        == 404
    )


def test_limits_are_changed_and_taken_away_and_hold_at_once(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()
    made = server.http.post(
        "/api/limits", json={"per": "tag", "name": "night", "requests_per_minute": 1}
    ).json()
    again = server.http.post("/api/limits", json={"per": "tag", "name": "night", "concurrent": 5})
    assert (again.status_code, made["id"] in again.text) == (409, True)
    tagged: dict[str, Any] = {"assay": {"tags": ["night"]}}
    assert [ask(server, server.key, **tagged).status_code for _ in range(2)] == [200, 429]
    assert 'assay_limited_calls_total{limit="requests"} 1' in server.http.get("/metrics").text
    path = f"/api/limits/{made['id']}"
    assert server.http.put(path, json={"requests_per_minute": 3}).json()["requests_per_minute"] == 3
    assert [ask(server, server.key, **tagged).status_code for _ in range(3)] == [200, 200, 429]
    assert server.http.delete(path).status_code == 200
    assert ask(server, server.key, **tagged).status_code == 200
    assert server.http.delete(path).status_code == 404
    log = server.http.get("/api/audit").json()["items"]
    assert [one["action"] for one in log if one["subject"] == made["id"]] == [
        "limit.removed",
        "limit.changed",
        "limit.created",
    ]


def test_the_command_sets_shows_changes_and_removes(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()

    def assay(*words: str) -> str:
        command = [sys.executable, "-m", "assay", "--url", server.url, "--key", server.key, *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert "each user: 5 requests/min, $2.5 a month" in assay(
        "limits", "set", "user", "--requests", "5", "--usd", "2.5", "--period", "month"
    )
    (limit,) = json.loads(assay("--json", "limits", "list"))["items"]
    assert "each user" in assay("limits", "list")
    assert "7 requests/min" in assay("limits", "change", limit["id"], "--requests", "7")
    assert "Removed" in assay("limits", "remove", limit["id"])
    secret = assay("keys", "create", "shop", "--usd", "1", "--period", "day", "--concurrent", "2").strip()
    assert secret.startswith("sk-assay-")
    assert only_limit(server, "key")["concurrent"] == 2


def test_the_pages_set_a_limit_and_say_what_is_wrong(start_assay: Callable[..., Any]) -> None:
    server = start_assay(CONFIG).ready()
    with httpx.Client(base_url=server.url, follow_redirects=True) as browser:
        browser.post("/login", data={"key": server.key})
        token = browser.get("/api/whoami").json()["csrf_token"]
        assert "Nothing is limited" in browser.get("/settings/limits").text
        form = {"per": "user", "csrf_token": token, "usd": "0.25", "period": "day"}
        assert "$0.25 a day" in browser.post("/settings/limits", data=form).text
        wrong = browser.post("/settings/limits", data={**form, "usd": "much"})
        assert (wrong.status_code, "is no number" in wrong.text) == (400, True)
        limit_id = only_limit(server, "user")["id"]
        ask(server, server.key, user="ada")
        page = browser.get(f"/settings/limits/{limit_id}").text
        assert ">ada<" in page
        assert "$0.009" in page
        changed = browser.post(
            f"/settings/limits/{limit_id}", data={"csrf_token": token, "requests_per_minute": "9"}
        )
        assert "9 requests a minute" in changed.text
        gone = browser.post(f"/settings/limits/{limit_id}/remove", data={"csrf_token": token})
        assert "Nothing is limited" in gone.text
