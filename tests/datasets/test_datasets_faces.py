"""`/api/datasets` and its pages over a real app."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.datasets import api, pages
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell

Client = TestClient[Litestar]
PATH = "/api/datasets/reviews/versions"
LINES = b'{"id": "a", "input": "one", "reference": "1", "split": "dev"}\n{"id": "b", "input": {"x": "<script>"}}\n'


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    with records.write() as tx:
        prepare(tx, None)
        _, secret = create_key(tx, PROJECT, name="ed", role=Role.EDITOR)
    app = web.build(
        handlers=[*api.handlers, *pages.handlers],
        dependencies={"records": records},
        snapshot=SnapshotSource(records, [KEYS, SESSIONS]),
        surroundings=shell.Shell(
            shell.environment(["datasets"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
        ),
        max_body_bytes=100_000,
    )
    made = TestClient(app, raise_server_exceptions=False)
    made.headers["authorization"] = f"Bearer {secret}"
    yield made
    records.close()


def test_a_file_is_imported_listed_and_exported_as_it_was(client: Client) -> None:
    made = client.post(PATH, content=LINES, params={"notes": "first"}).json()
    assert (made["version"], made["cases"], made["splits"], made["is_new"]) == (1, 2, {"dev": 1}, True)
    assert client.post(PATH, content=LINES).json()["is_new"] is False
    assert client.get("/api/datasets").json()["items"][0]["cases"] == 2
    page = client.get("/api/datasets/reviews/cases", params={"limit": 1}).json()
    rest = client.get("/api/datasets/reviews/cases", params={"limit": 1, "cursor": page["next"]}).json()
    assert [each["id"] for each in (*page["items"], *rest["items"])] == ["a", "b"]
    exported = client.get("/api/datasets/reviews/export")
    assert [json.loads(line) for line in exported.content.splitlines()] == [
        json.loads(line) for line in LINES.splitlines()
    ]
    assert client.post(PATH, content=exported.content).json()["is_new"] is False


def test_csv_comes_by_its_content_type(client: Client) -> None:
    answer = client.post(PATH, content=b"id,input\n1,hello\n", headers={"content-type": "text/csv"})
    assert answer.json()["cases"] == 1
    new = client.post(PATH, content=b"id,input\n1,bye\n2,x\n", headers={"content-type": "text/csv"}).json()
    assert new["version"] == 2
    found = client.get("/api/datasets/reviews/diff", params={"old": 1, "new": 2}).json()
    assert found == {"added": ["2"], "removed": [], "changed": ["1"]}


def test_bad_lines_are_named_and_nothing_is_imported(client: Client) -> None:
    answer = client.post(PATH, content=LINES + b"not json\n")
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert "line 3" in error["message"]
    assert client.get("/api/datasets/reviews").status_code == 404


def test_a_body_over_the_limit_is_a_413(client: Client) -> None:
    assert client.post(PATH, content=b"x" * 200_000).status_code == 413


def test_the_pages_show_cases_and_run_nothing_of_theirs(client: Client) -> None:
    assert "No dataset yet" in client.get("/datasets").text
    client.post(PATH, content=LINES)
    client.post(PATH, content=LINES + b'{"input": "third"}\n')
    assert 'href="/datasets/reviews"' in client.get("/datasets").text
    page = client.get("/datasets/reviews").text
    assert "third" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page.replace("<script src=", "")
    assert "third" not in client.get("/datasets/reviews", params={"version": 1}).text
    assert "one" in client.get("/datasets/reviews", params={"split": "dev"}).text
    assert client.get("/datasets/none").status_code == 404
