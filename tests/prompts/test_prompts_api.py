"""`/api/prompts` over a real app."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.prompts import api
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell

Client = TestClient[Litestar]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records.in_directory(tmp_path)
    made.upgrade()
    with made.write() as tx:
        prepare(tx, None)
    yield made
    made.close()


@pytest.fixture
def editor(records: Records) -> Client:
    return client(records, Role.EDITOR)


def client(records: Records, role: Role) -> Client:
    with records.write() as tx:
        _, secret = create_key(tx, PROJECT, name=role.value, role=role)
    snapshot = SnapshotSource(records, [KEYS, SESSIONS])
    app = web.build(
        handlers=api.handlers,
        dependencies={"records": records},
        snapshot=snapshot,
        surroundings=shell.Shell(shell.environment([]), nav=(), person=person, csrf_token=csrf_token),
        max_body_bytes=1_000_000,
    )
    made = TestClient(app, raise_server_exceptions=False)
    made.headers["authorization"] = f"Bearer {secret}"
    return made


def test_a_prompt_is_pushed_labelled_shown_and_rendered(editor: Client) -> None:
    pushed = editor.post(
        "/api/prompts", json={"name": "polish", "template": "Fix: {{ text }}", "labels": ["staging"]}
    )
    assert pushed.json()["is_new"] is True
    again = editor.post("/api/prompts", json={"name": "polish", "template": "Fix: {{ text }}"}).json()
    assert (again["version"], again["is_new"]) == (1, False)
    messages = [
        {"role": "system", "content": "Be {{ tone | default('kind') }}."},
        {"role": "user", "content": "{{ text }}"},
    ]
    second = editor.post("/api/prompts", json={"name": "polish", "messages": messages}).json()
    assert (second["version"], second["inputs"], second["optional_inputs"]) == (2, ["tone", "text"], ["tone"])
    editor.post("/api/prompts/polish/labels", json={"label": "production", "version": second["hash"][:12]})
    shown = editor.get("/api/prompts/polish").json()
    assert {each["label"]: each["version"] for each in shown["labels"]} == {"staging": 1, "production": 2}
    assert [each["version"] for each in shown["versions"]] == [2, 1]
    assert editor.get("/api/prompts").json()["items"][0]["labels"] == {"production": 2, "staging": 1}
    saved = editor.post(
        "/api/prompts/render", json={"prompt": "polish", "label": "staging", "inputs": {"text": "x"}}
    )
    assert saved.json() == {"text": "Fix: x", "version": 1}
    newest = editor.post("/api/prompts/render", json={"prompt": "polish", "inputs": {"text": "x"}}).json()
    assert [each["content"] for each in newest["messages"]] == ["Be kind.", "x"]
    assert "-Fix" in editor.get("/api/prompts/polish/diff", params={"old": "1", "new": "2"}).json()["diff"]


def test_a_template_in_the_body_is_tried_out(editor: Client) -> None:
    answer = editor.post(
        "/api/prompts/render", json={"template": "{{ a }}+{{ b }}", "inputs": {"a": 1, "b": "x"}}
    )
    assert answer.json() == {"text": "1+x"}


def test_an_unknown_variable_is_named_with_the_inputs_there_are(editor: Client) -> None:
    answer = editor.post(
        "/api/prompts/render", json={"template": "{{ text }}", "inputs": {"txt": "x", "tone": "y"}}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (
        400,
        "invalid_request_error",
        "inputs.text",
    )
    assert "'text'" in error["message"]
    assert "tone, txt" in error["hint"]


@pytest.mark.parametrize(
    "body",
    [
        {"template": "{{ ''.__class__ }}"},
        {"template": "{{ open"},
        {"template": "x", "prompt": "polish"},
        {},
        {"template": "x", "colour": 1},
        {"template": "x", "inputs": []},
    ],
)
def test_what_cannot_be_rendered_is_a_400_in_the_one_shape(editor: Client, body: dict[str, object]) -> None:
    answer = editor.post("/api/prompts/render", json=body)
    assert answer.status_code == 400
    assert {"type", "message", "hint", "param", "request_id"} == answer.json()["error"].keys()


def test_what_is_not_there_is_a_404(editor: Client) -> None:
    assert editor.get("/api/prompts/nothing").status_code == 404
    assert editor.post("/api/prompts/render", json={"prompt": "nothing"}).status_code == 404
    assert editor.post("/api/prompts/nothing/labels", json={"label": "x", "version": 1}).status_code == 404


def test_apps_read_and_render_and_do_not_write(records: Records, editor: Client) -> None:
    editor.post("/api/prompts", json={"name": "polish", "template": "Fix: {{ text }}"})
    app = client(records, Role.APP)
    assert app.get("/api/prompts/polish").status_code == 200
    assert (
        app.post("/api/prompts/render", json={"prompt": "polish", "inputs": {"text": "x"}}).status_code == 200
    )
    assert app.post("/api/prompts/render", json={"template": "x"}).status_code == 403
    assert app.post("/api/prompts", json={"name": "polish", "template": "y"}).status_code == 403


def test_one_version_is_fetched_by_number_by_hash_and_by_label(records: Records, editor: Client) -> None:
    first = editor.post("/api/prompts", json={"name": "polish", "template": "one", "labels": ["live"]}).json()
    editor.post("/api/prompts", json={"name": "polish", "template": "two"})
    app = client(records, Role.APP)
    for where in ("versions/1", f"versions/{first['hash'][:8]}", "labels/live"):
        found = app.get(f"/api/prompts/polish/{where}").json()
        assert (found["version"], found["template"]) == (1, "one"), where
    assert app.get("/api/prompts/polish/labels/none").status_code == 404
    assert app.get("/api/prompts/none/versions/1").status_code == 404
