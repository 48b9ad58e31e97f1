"""`/api/runs` and `/api/comparisons` over a real app. The jobs of these runs are worked off by hand."""

import asyncio
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.datasets import Case
from assay.evals import api
from assay.kit.json import decode
from assay.snapshot import SnapshotSource
from assay.ui import shell


@pytest.fixture
def client(world: Any) -> TestClient[Litestar]:
    with world.records.write() as tx:
        prepare(tx, None)
        _, secret = create_key(tx, PROJECT, name="ed", role=Role.EDITOR)
    app = web.build(
        handlers=api.handlers,
        dependencies={"records": world.records, "jobs": world.jobs(), "caller": world.caller},
        snapshot=SnapshotSource(world.records, [KEYS, SESSIONS]),
        surroundings=shell.Shell(shell.environment([]), nav=(), person=person, csrf_token=csrf_token),
        max_body_bytes=100_000,
    )
    made = TestClient(app, raise_server_exceptions=False)
    made.headers["authorization"] = f"Bearer {secret}"
    world.dataset([Case(id=f"c{at}", input=f"case {at}", reference=f"CASE {at}") for at in range(20)])
    world.variant("v1")
    return made


def ran(world: Any, client: TestClient[Litestar], **body: Any) -> str:
    """The id of a run that was started through the API and has ended."""
    answer = client.post("/api/runs", json={"dataset": "d", "scorers": ["exact"], **body})
    assert answer.status_code == 201, answer.text
    run_id: str = answer.json()["id"]
    asyncio.run(world.work(world.get(run_id)))
    return run_id


def test_a_run_is_started_watched_and_read(world: Any, client: TestClient[Litestar]) -> None:
    run_id = ran(world, client, task="t", variant="v1")
    shown = client.get(f"/api/runs/{run_id}").json()
    assert (shown["cases"], shown["summary"]["results"], shown["summary"]["cost_usd"]) == (20, 20, None)
    assert shown["summary"]["metrics"][0]["estimate"] == 1.0
    page = client.get(f"/api/runs/{run_id}/cases", params={"limit": 15}).json()
    rest = client.get(f"/api/runs/{run_id}/cases", params={"limit": 15, "cursor": page["next"]}).json()
    assert [each["case_id"] for each in (*page["items"], *rest["items"])] == [f"c{at}" for at in range(20)]
    assert page["items"][3]["scores"]["exact"]["value"] is True
    assert [each["id"] for each in client.get("/api/runs", params={"variant": "v1"}).json()["items"]] == [
        run_id
    ]
    assert "exact" in client.get(f"/api/runs/{run_id}/report").json()["markdown"]


def test_money_is_a_json_number(world: Any, client: TestClient[Litestar]) -> None:
    ran(world, client, task="t", variant="v1")
    cached = ran(world, client, task="t", variant="v1")
    assert decode(client.get(f"/api/runs/{cached}").content)["summary"]["cost_usd"] == 0
    assert b'"cost_usd":0' in client.get(f"/api/runs/{cached}").content


def test_outputs_made_elsewhere_may_be_any_json(world: Any, client: TestClient[Litestar]) -> None:
    outputs = [{"id": "c0", "output": "CASE 0", "model": "other"}, {"id": "c1", "output": {"a": 1}}]
    run_id = ran(world, client, outputs=outputs, variant="old")
    first, second, third = client.get(f"/api/runs/{run_id}/cases", params={"limit": 3}).json()["items"]
    assert (first["scores"]["exact"]["value"], second["output"]) == (True, '{"a":1}')
    assert third["error"]["message"] == "No output was sent for this case"


def test_two_runs_are_compared_gated_and_reported(world: Any, client: TestClient[Litestar]) -> None:
    good = ran(world, client, task="t", variant="v1")
    bad = ran(world, client, outputs=[{"id": f"c{at}", "output": "no"} for at in range(20)], variant="old")
    answer = client.post("/api/comparisons", json={"baseline": bad, "candidate": good})
    assert answer.status_code == 201
    made = answer.json()
    assert [each["outcome"] for each in made["verdicts"]] == ["better"]
    path = f"/api/comparisons/{made['id']}"
    assert client.get(path).json() == made
    assert client.get(f"{path}/gate").json()["exit_code"] == 0
    pairs = client.get(f"{path}/cases", params={"metric": "exact", "show": "better"}).json()["items"]
    assert len(pairs) == 20
    assert (pairs[0]["baseline"]["output"], pairs[0]["candidate"]["output"]) == ("no", "CASE 0")
    assert "exact: better." in client.get(f"{path}/report").json()["markdown"]
    back = client.post("/api/comparisons", json={"baseline": good, "candidate": bad}).json()
    assert client.get(f"/api/comparisons/{back['id']}/gate").json()["exit_code"] == 1


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"task": "t"}, 400, "variant"),
        ({}, 400, "task"),
        ({"task": "t", "variant": "v9"}, 404, "variant"),
        ({"task": "t", "variant": "v1", "dataset": "none"}, 404, "dataset"),
        ({"task": "t", "variant": "v1", "dataset": "d@x"}, 400, "dataset"),
        ({"task": "t", "variant": "v1", "scorers": []}, 400, "scorers"),
        ({"task": "t", "variant": "v1", "scorers": [{"name": "exact", "fold": 1}]}, 400, "scorers"),
        ({"task": "t", "variant": "v1", "concurrency": 1000}, 400, "concurrency"),
        ({"outputs": [{"id": "strange", "output": "x"}]}, 400, "outputs"),
        ({"outputs": [{"id": "c0", "output": "x"}, {"id": "c0", "output": "y"}]}, 400, "outputs"),
    ],
)
def test_what_is_wrong_is_named(
    client: TestClient[Litestar], body: dict[str, Any], status: int, param: str
) -> None:
    answer = client.post("/api/runs", json={"dataset": "d", "scorers": ["exact"], **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_what_is_not_there_is_a_404(client: TestClient[Litestar]) -> None:
    assert client.get("/api/runs/none").status_code == 404
    assert client.get("/api/comparisons/none").status_code == 404
    assert client.post("/api/comparisons", json={"baseline": "x", "candidate": "y"}).status_code == 404
