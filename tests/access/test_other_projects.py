"""What belongs to one project is out of reach of every other: each route of the real server is tried with the ids of
somebody else's things, and answers as if there were no such thing.

The routes are those that the app lists. A new one whose parameters or body this file does not know fails here until it
says how to name something of another project.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from assay.access import Right
from assay.access.guards import needed_by
from assay.app import HANDLERS

CONFIG = """
[providers.pretend]
type = "simulated"
[models.fast]
route = [{ provider = "pretend", model = "m" }]
"""
WORD = "canary7f3a"
"""In everything that the one project has. No answer to another may have it."""
PASSWORD = "tungsten-mango-42"
STREAMS = {"/api/spans/live", "/live/events"}
UNSTEADY = {*STREAMS, "/api/storage", "/api/overview"}
"""Answers of the API that change by themselves."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

JSON = {
    ("POST", "/api/tasks/{}/calls"): {"inputs": {"text": "x"}},
    ("PUT", "/api/tasks/{}/releases/{}"): {"variants": {"v1": 1}},
    ("PATCH", "/api/tasks/{}"): {"allow_system": True},
    ("POST", "/api/prompts/{}/labels"): {"label": "production", "version": 1},
    ("PATCH", "/api/projects/{}"): {"name": "Taken over"},
    ("PUT", "/api/limits/{}"): {"concurrent": 1},
}
QUERIES: dict[str, dict[str, Any]] = {
    "/api/datasets/{}/diff": {"old": 1, "new": 1},
    "/api/prompts/{}/diff": {"old": 1, "new": 1},
    "/api/comparisons/{}/cases": {"metric": "exact"},
    "/api/scores": {"trace_id": "{trace_id}"},
}
FORMS = {
    ("POST", "/settings/limits/{}"): {"concurrent": "1"},
    ("POST", "/tasks/{}/releases/{}"): {"variant": "v1"},
    ("POST", "/prompts/{}/labels"): {"label": "production", "version": "1"},
    ("POST", "/comparisons/{}/promote"): {"environment": "production"},
    ("POST", "/traces/{}/feedback"): {"thumb": "up"},
    ("POST", "/settings/project/people/remove"): {"user": "ann@example.org"},
}
MAKES = {
    ("PUT", "/api/tasks/{}/variants/{}"): "makes a task of one's own of that name",
    ("POST", "/api/datasets/{}/versions"): "makes a dataset of one's own of that name",
    ("PUT", "/api/users/{}/role"): "accounts belong to the server; the role is in one's own project",
    ("POST", "/traces/{}/feedback"): "keeps a score of one's own about an id",
}
"""Routes that do something with a name or an id that is somebody else's, and nothing to what that has."""
GLOBAL = {"/api/models/{}", "/models/{}", "/static/{}"}
"""What belongs to the server and is the same for everybody."""

REFERRING: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/comparisons"): {"json": {"baseline": "{run}", "candidate": "{other_run}"}},
    ("POST", "/api/runs"): {
        "json": {"task": "{task}", "variant": "v1", "dataset": "{dataset}", "scorers": ["exact"]}
    },
    ("POST", "/api/prompts/render"): {"json": {"prompt": "{prompt}", "label": "production"}},
    ("POST", "/runs/compare"): {"data": {"baseline": "{run}", "candidate": "{other_run}"}},
}
"""Routes without a parameter whose body names things, which must be found in one's own project only."""
OWN = {
    *(("POST", path) for path in ("/api/keys", "/api/prompts", "/api/scores", "/api/traces/purge")),
    *(("POST", path) for path in ("/api/playground/calls", "/api/playground/cases", "/playground/trial")),
    *(("POST", path) for path in ("/keys", "/project", "/session-feedback", "/settings/password")),
    *(("POST", path) for path in ("/settings/logins/end", "/settings/project", "/settings/project/people")),
    *(("POST", path) for path in ("/settings/storage/purge", "/settings/storage/purge/confirm")),
    *(("POST", path) for path in ("/settings/storage/retention", "/v1/logs", "/v1/metrics", "/v1/traces")),
    *(
        ("POST", path)
        for path in ("/api/batches", "/api/limits", "/settings/limits", "/settings/cache/clear")
    ),
    *(("POST", path) for path in ("/logout", "/settings/project/people/remove")),
    *(("PUT", path) for path in ("/api/account/password", "/api/retention")),
    *(("DELETE", path) for path in ("/api/cache", "/api/logins", "/api/retention")),
}
"""Routes without a parameter that make or change something of one's own, whatever they name."""


class Estate(msgspec.Struct):
    """A server with two projects: one that has something of everything, and one that has nothing."""

    url: str
    ids: dict[str, str]
    owner: str
    rival: str
    rival_viewer: str
    server_admin: str

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        shown = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers={**shown, **headers}, timeout=60.0)


@pytest.fixture(scope="module")
def estate(start_assay: Callable[..., Any]) -> Estate:
    server = start_assay(CONFIG).ready()
    keys = {}
    for project in ("acme", "rival"):
        made = server.http.post("/api/projects", json={"id": project, "admin_key": True}).raise_for_status()
        keys[project] = made.json()["key"]
    people = {"ann@example.org": "acme", "eve@example.org": "rival"}
    for name in people:
        body = {"name": name, "password": PASSWORD, "must_change_password": False}
        server.http.post("/api/users", json=body).raise_for_status()
    for name, project in people.items():
        with httpx.Client(base_url=server.url, headers={"x-api-key": keys[project]}) as client:
            client.put(f"/api/users/{name}/role", json={"role": "admin"}).raise_for_status()
    with httpx.Client(base_url=server.url, headers={"x-api-key": keys["acme"]}, timeout=60.0) as client:
        ids = furnish(client)
    with httpx.Client(base_url=server.url, headers={"x-api-key": keys["rival"]}) as client:
        viewer = client.post("/api/keys", json={"name": "looker", "role": "viewer"}).raise_for_status()
    return Estate(server.url, ids, keys["acme"], keys["rival"], viewer.json()["key"], server.key)


def furnish(client: httpx.Client) -> dict[str, str]:
    """Something of everything, each with the word in it, and the ids of it all."""

    def post(path: str, **body: Any) -> Any:
        return client.post(path, json=body).raise_for_status().json()

    task, prompt, data, user = f"{WORD}-task", f"{WORD}-prompt", f"{WORD}-data", "ann@example.org"
    post("/api/prompts", name=prompt, template=f"{WORD} {{{{ text }}}}", labels=["production"])
    for variant in ("v1", "v2"):
        spec = {"model": "fast", "prompt": f"{WORD} {variant} {{{{ text }}}}"}
        client.put(f"/api/tasks/{task}/variants/{variant}", json=spec).raise_for_status()
    for shares in ({"v1": 1}, {"v2": 1}):
        client.put(f"/api/tasks/{task}/releases/production", json={"variants": shares}).raise_for_status()
    rows = "\n".join(f'{{"id": "c{n}", "input": "{WORD} {n}", "reference": "x"}}' for n in range(3))
    client.post(f"/api/datasets/{data}/versions", content=rows.encode()).raise_for_status()
    called = post(f"/api/tasks/{task}/calls", inputs={"text": WORD}, session=f"{WORD}-session")
    trace = until(lambda: client.get(f"/api/traces/{called['trace_id']}"))
    post("/api/scores", trace_id=called["trace_id"], name="good", value=True, comment=WORD)
    runs = [
        post("/api/runs", task=task, variant=variant, dataset=data, scorers=["exact"])
        for variant in ("v1", "v2")
    ]
    for run in runs:
        until(lambda run=run: client.get(f"/api/jobs/{run['job_id']}"), lambda job: job["ended"])  # type: ignore[misc]
    batch = client.post(
        "/api/batches", params={"endpoint": "/v1/chat/completions"}, content=lines_of_a_batch()
    )
    batch_id = batch.raise_for_status().json()["id"]
    until(lambda: client.get(f"/api/batches/{batch_id}"), lambda found: found["status"] == "completed")
    compared = post("/api/comparisons", baseline=runs[0]["id"], candidate=runs[1]["id"])
    with httpx.Client(base_url=client.base_url) as browser:
        browser.post("/login", data={"user": user, "password": PASSWORD})
        login = browser.get("/api/logins").raise_for_status().json()["items"][0]["id"]
    return {
        "project": "acme",
        "prompt": prompt,
        "task": task,
        "dataset": data,
        "user": user,
        "secret": f"{WORD}-secret",
        "trace_id": called["trace_id"],
        "span_id": trace["spans"][0]["span_id"],
        "session_id": f"{WORD}-session",
        "run": runs[0]["id"],
        "other_run": runs[1]["id"],
        "job_id": runs[0]["job_id"],
        "comparison_id": compared["id"],
        "key_id": post("/api/keys", name=f"{WORD}-key")["id"],
        "login_id": login,
        "batch_id": batch_id,
        "limit_id": post("/api/limits", per="user", name=f"{WORD}-user", concurrent=1)["id"],
    }


def lines_of_a_batch() -> str:
    """One line that is answered and one that is refused."""
    messages = [{"role": "user", "content": WORD}]
    bodies = ({"model": "fast", "messages": messages, "n": n} for n in (1, 1_000))
    return "\n".join(
        msgspec.json.encode(
            {"custom_id": f"{WORD}-{at}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        ).decode()
        for at, body in enumerate(bodies)
    )


def until(ask: Callable[[], httpx.Response], ready: Callable[[Any], Any] = bool) -> Any:
    """Ask again until it is there."""
    end = time.monotonic() + 30
    while True:
        answer = ask()
        if answer.status_code == 200 and ready(answer.json()):
            return answer.json()
        assert time.monotonic() < end, answer.text
        time.sleep(0.02)


def routes(*, with_parameters: bool) -> Iterator[tuple[str, str, Any]]:
    """Method, template and handler of the routes behind the door."""
    for handler in HANDLERS:
        for path in handler.paths:
            for method in handler.http_methods - {"HEAD", "OPTIONS"}:
                if ("{" in path) is with_parameters and not handler.opt.get("public"):
                    yield str(method), path, handler


def blank(template: str) -> str:
    """A template with `{}` for its parameters."""
    return re.sub(r"\{[^}]+\}", "{}", template)


def named(template: str, ids: dict[str, str]) -> str:
    """The path with the ids of somebody else's things in it."""
    by_place = {
        "prompts": "prompt",
        "tasks": "task",
        "datasets": "dataset",
        "users": "user",
        "secrets": "secret",
    }
    fixed = {"environment": "production", "label": "production", "version": "1", "variant": "v1"}

    def value(match: re.Match[str]) -> str:
        name = match[1].partition(":")[0]
        place = template[: match.start()].rstrip("/").rpartition("/")[2]
        if name == "name" and place in by_place:
            return ids[by_place[place]]
        if name == "name" and place == "models":
            return "fast"
        known = {**ids, **fixed, "run_id": ids["run"]}
        assert name in known, f"{template}: how is a {name} of another project named?"
        return known[name]

    return re.sub(r"\{([^}]+)\}", value, template)


def absent(ids: dict[str, str]) -> dict[str, str]:
    """Ids of the same form that nobody has."""
    return {
        name: value.replace(WORD, "nobody0000") if WORD in value else f"{value[:-4]}{value[-4:][::-1]}"
        for name, value in {**ids, "project": "emca"}.items()
    }


def ask(client: httpx.Client, method: str, template: str, ids: dict[str, str]) -> httpx.Response:
    """The request about these ids with what the route takes."""
    path, place = named(template, ids), (method, blank(template))
    if method == "GET":
        return client.get(path, params=filled(QUERIES.get(blank(template), {}), ids))
    return client.request(method, path, json=JSON.get(place), data=FORMS.get(place))


def plain(text: str, ids: dict[str, str]) -> str:
    """An answer without the ids that were asked for and without what differs from answer to answer."""
    for name, value in ids.items():
        text = text.replace(value, f"<{name}>")
    text = UUID.sub("<uuid>", text)
    return re.sub(r"<time.*?</time>|\d+(\.\d+)?\u202f?(ms|s) ago", "<when>", text)


def everything_of(client: httpx.Client, ids: dict[str, str]) -> dict[str, str]:
    """What the API says of all there is in a project, by path."""
    found = {}
    for which in (True, False):
        for method, template, handler in routes(with_parameters=which):
            is_data = template.startswith("/api/") and blank(template) not in GLOBAL | UNSTEADY
            if method == "GET" and is_data and needed_by(handler) is not Right.OPERATE:
                answer = ask(client, "GET", template, ids)
                assert answer.status_code == 200, (template, answer.text)
                found[template] = answer.text
    assert sum(WORD in text for text in found.values()) > 15
    return found


@pytest.mark.parametrize("attacker", ["rival", "rival_viewer", "server_admin"])
def test_a_thing_of_another_project_is_as_good_as_none(estate: Estate, attacker: str) -> None:
    nobodys = absent(estate.ids)
    with estate.client(estate.owner) as owner, estate.client(getattr(estate, attacker)) as client:
        before = everything_of(owner, estate.ids)
        tried = 0
        for method, template, handler in routes(with_parameters=True):
            place = (method, blank(template))
            is_servers = needed_by(handler) is Right.OPERATE or template.startswith("/api/projects/")
            if blank(template) in GLOBAL or place in MAKES or (is_servers and attacker == "server_admin"):
                continue
            answer = ask(client, method, template, estate.ids)
            missing = ask(client, method, template, nobodys)
            assert answer.status_code in (403, 404), (attacker, *place, answer.status_code, answer.text[:500])
            assert answer.status_code == missing.status_code, (attacker, *place)
            assert plain(answer.text, estate.ids) == plain(missing.text, nobodys), (attacker, *place)
            tried += answer.status_code == 404
        assert tried >= (20 if attacker == "rival_viewer" else 35)
        assert everything_of(owner, estate.ids) == before


def test_what_a_body_names_is_looked_for_in_ones_own_project(estate: Estate) -> None:
    nobodys = absent(estate.ids)
    with estate.client(estate.owner) as owner, estate.client(estate.rival) as rival:
        before = everything_of(owner, estate.ids)
        for method, template, handler in routes(with_parameters=False):
            place = (method, template)
            if method == "GET" or needed_by(handler) is Right.OPERATE or place in OWN:
                continue
            assert place in REFERRING, f"{method} {template}: what of another project can its body name?"
            answer, missing = (
                rival.request(method, template, **filled(REFERRING[place], ids))
                for ids in (estate.ids, nobodys)
            )
            assert answer.status_code == 404, (*place, answer.status_code, answer.text[:500])
            assert plain(answer.text, estate.ids) == plain(missing.text, nobodys), place
        assert everything_of(owner, estate.ids) == before


def filled(body: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """A body with ids in the place of their names."""
    text = msgspec.json.encode(body).decode()
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    filled_body: dict[str, Any] = msgspec.json.decode(text)
    return filled_body


def test_no_list_or_page_shows_anything_of_another_project(estate: Estate) -> None:
    with estate.client(estate.rival) as rival, estate.client(estate.server_admin) as admin:
        for method, template, handler in routes(with_parameters=False):
            if method != "GET" or template in STREAMS:
                continue
            for client in (rival, *([] if needed_by(handler) is Right.OPERATE else [admin])):
                text = client.get(template).text
                own = {"project", "user"} if client is admin else set()
                seen = [name for name, value in estate.ids.items() if value in text and name not in own]
                assert WORD not in text, template
                assert seen == [], (template, seen)


def test_neither_a_filter_nor_a_cursor_reaches_into_another_project(estate: Estate) -> None:
    ids = estate.ids
    values = {
        **{name: ids[name] for name in ("task", "dataset", "trace_id", "span_id", "session_id", "prompt")},
        "session": ids["session_id"],
        "run_id": ids["run"],
        "subject": ids["task"],
        "user": ids["user"],
        "actor": "admin",
        "key": ids["key_id"],
        "q": WORD,
        "search": WORD,
    }
    searched = 0
    with estate.client(estate.owner) as owner, estate.client(estate.rival) as rival:
        described = owner.get("/api/openapi.json").json()["paths"]
        for path, operations in described.items():
            if "get" not in operations or "{" in path or path in STREAMS or path == "/api/projects":
                continue
            names = {each["name"] for each in operations["get"].get("parameters", ())} | {"session", "task"}
            for name in sorted(names & values.keys()):
                answer = rival.get(path, params={name: values[name]})
                if answer.status_code == 200 and "items" in answer.json() and name != "actor":
                    assert not [item for item in answer.json()["items"] if WORD in str(item)], (path, name)
                    searched += 1
            cursor = owner.get(path, params={"limit": 1}).json().get("next")
            if cursor:
                answer = rival.get(path, params={"cursor": cursor, "limit": 50})
                assert WORD not in answer.text, path
                searched += 1
    assert searched > 8


def test_a_key_opens_its_own_project_only_whatever_a_header_says(estate: Estate) -> None:
    for key, other in ((estate.rival, "acme"), (estate.server_admin, "acme"), (estate.owner, "nowhere")):
        with estate.client(key, **{"x-assay-project": other}) as client:
            for with_parameters in (True, False):
                for method, template, _ in routes(with_parameters=with_parameters):
                    answer = client.request(method, template.replace("{", "x").replace("}", "x"))
                    assert answer.status_code == 403, (method, template, answer.status_code)
                    assert WORD not in answer.text
            for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
                assert client.request(method, path, json={}).status_code == 403, path
    with estate.client(estate.rival, **{"x-assay-project": "rival"}) as client:
        assert client.get("/api/whoami").json()["project"] == "rival"
        assert client.get("/v1/models").status_code == 200


def test_a_login_enters_only_the_projects_in_which_it_has_a_role(estate: Estate) -> None:
    with estate.client() as browser:
        browser.post("/login", data={"user": "eve@example.org", "password": PASSWORD})
        me = browser.get("/api/whoami").json()
        assert (me["project"], me["role"], me["operator"]) == ("rival", "admin", False)
        assert [each["id"] for each in browser.get("/api/projects").json()["items"]] == ["rival"]
        for project in ("acme", "default", "nowhere"):
            header = {"x-assay-project": project}
            for method, template, _ in (*routes(with_parameters=True), *routes(with_parameters=False)):
                path = template.replace("{", "x").replace("}", "x")
                answer = browser.request(method, path, headers={**header, "x-csrf-token": me["csrf_token"]})
                assert answer.status_code == 403, (project, method, template)
            moved = browser.post("/project", data={"project": project, "csrf_token": me["csrf_token"]})
            assert moved.status_code == 403
        assert browser.get("/api/whoami").json()["project"] == "rival"


def test_the_models_of_an_app_show_no_task_of_another_project(estate: Estate) -> None:
    with estate.client(estate.rival) as rival:
        assert WORD not in rival.get("/v1/models").text
        task = estate.ids["task"]
        body = {"model": f"task:{task}", "messages": [{"role": "user", "content": "x"}]}
        assert rival.post("/v1/chat/completions", json=body).status_code == 404
        assert rival.post("/v1/messages", json={**body, "max_tokens": 9}).status_code == 404
        asked = {"target": f"task:{task}", "variant": "v1", "inputs": {"text": "x"}}
        assert WORD not in rival.post("/api/playground/calls", json=asked).text.replace(task, "")


def test_the_live_tail_tells_of_ones_own_project_only(estate: Estate) -> None:
    ask_fast = {"model": "fast", "messages": [{"role": "user", "content": WORD}]}
    with estate.client(estate.owner) as owner, estate.client(estate.rival) as rival:
        with rival.stream("GET", "/api/spans/live") as tail:
            owner.post("/v1/chat/completions", json=ask_fast).raise_for_status()
            mine = {"model": "fast", "messages": [{"role": "user", "content": "mine alone"}]}
            rival.post("/v1/chat/completions", json=mine).raise_for_status()
            heard = ""
            for piece in tail.iter_text():
                heard += piece
                if "mine alone" in heard:
                    break
    assert WORD not in heard


def test_every_form_of_every_page_carries_the_token_of_its_login_and_project(estate: Estate) -> None:
    form = re.compile(r'<form method="post" action="([^"]+)".*?</form>', re.DOTALL)
    with estate.client() as browser:
        browser.post("/login", data={"user": "ann@example.org", "password": PASSWORD})
        token = browser.get("/api/whoami").json()["csrf_token"]
        actions = set()
        for which in (True, False):
            for method, template, handler in routes(with_parameters=which):
                is_page = not template.startswith("/api/") and handler.include_in_schema is False
                if method != "GET" or template in STREAMS or not is_page:
                    continue
                for found in form.finditer(browser.get(named(template, estate.ids)).text):
                    actions.add(found[1])
                    if found[1] != "/language":
                        assert f'name="csrf_token" value="{token}"' in found[0], (template, found[0])
        assert len(actions) > 12
        for action in actions - {"/language"}:
            for wrong in ({}, {"csrf_token": "0" * 64}):
                assert browser.post(action, data=wrong).status_code == 403, action
        assert browser.get("/api/whoami").json()["project"] == "acme"
