"""The API and the pages of runs and comparisons, over real runs."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.datasets import Case
from assay.errors import UpstreamDown
from assay.evals import Run, api, pages
from assay.releases import RELEASES
from assay.releases import api as releases_api
from assay.snapshot import SnapshotSource
from assay.tasks import TASKS
from assay.ui import shell

HOSTILE = "<script>alert(1)</script>"


class Faces:
    """The app of the room in a world, and a client of it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        with world.records.write() as tx:
            prepare(tx, "an-admin-key-for-the-tests")
            self.keys = {role: create_key(tx, PROJECT, name=role, role=role)[1] for role in Role}
        surroundings = shell.Shell(
            shell.environment(["evals"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
        )
        snapshot = SnapshotSource(world.records, [KEYS, SESSIONS, TASKS, RELEASES])
        app = web.build(
            handlers=[*api.handlers, *pages.handlers, *releases_api.handlers],
            dependencies={"records": world.records, "jobs": world.jobs(), "caller": world.caller},
            snapshot=snapshot,
            surroundings=surroundings,
            max_body_bytes=1_000_000,
        )
        self.client: Any = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        self.client.follow_redirects = False
        self.be(Role.EDITOR)

    def be(self, role: Role) -> None:
        """Act with this role from now on."""
        self.client.headers["authorization"] = f"Bearer {self.keys[role]}"

    def start(self, **body: Any) -> Any:
        """`POST /api/runs` over the dataset `d`."""
        return self.client.post("/api/runs", json={"dataset": "d", "scorers": ["exact"], **body})

    def ran(self, variant: str) -> Run:
        """A run of the variant, through a job."""

        async def whole() -> Run:
            async with self.world.running() as jobs:
                run = await asyncio.to_thread(self.world.start, jobs, variant)
                ended: Run = await self.world.done(jobs, run)
                return ended

        return asyncio.run(whole())


@pytest.fixture
def faces(world: Any) -> Iterator[Faces]:
    """Two variants of the task `t`, of which `good` shouts and `bad` does not fit; a dataset of forty cases."""
    world.variant("good")
    world.variant("bad", "not {{ text }}")

    def answering(text: str) -> str:
        if text.endswith("case 7"):
            raise UpstreamDown(f"away {HOSTILE}")
        return "wrong" if text.endswith(("case 3", "case 4")) else text.upper() + HOSTILE

    world.provider.answering = answering
    references = [f"CASE {at}{HOSTILE}" for at in range(40)]
    world.dataset(
        [
            Case(id=f"c{at}", input=f"case {at}", reference=reference, metadata={"about": HOSTILE})
            for at, reference in enumerate(references)
        ]
    )
    faces = Faces(world)
    with faces.client:
        yield faces


def test_a_run_is_started_followed_and_read_case_by_case(faces: Faces) -> None:
    answer = faces.start(task="t", variant="good")
    assert answer.status_code == 201
    started = answer.json()
    shown = faces.client.get(f"/api/runs/{started['id']}").json()
    assert (shown["status"], shown["done"], shown["cases"]) == ("queued", 0, 40)
    assert shown["job_id"] == started["job_id"]
    asyncio.run(faces.world.work(faces.world.get(started["id"])))
    summary = faces.client.get(f"/api/runs/{started['id']}").json()["summary"]
    assert (summary["results"], summary["n_errors"], summary["cost_usd"], summary["n_unpriced"]) == (
        40,
        1,
        None,
        39,
    )
    (metric,) = summary["metrics"]
    assert (metric["n"], metric["n_errors"]) == (39, 1)
    assert metric["estimate"] == pytest.approx(37 / 39)
    assert metric["interval"]["lo"] < 37 / 39 < metric["interval"]["hi"]
    first = faces.client.get(f"/api/runs/{started['id']}/cases?limit=30").json()
    rest = faces.client.get(
        f"/api/runs/{started['id']}/cases", params={"limit": 30, "cursor": first["next"]}
    ).json()
    assert [case["case_id"] for case in first["items"] + rest["items"]] == [f"c{at}" for at in range(40)]
    assert rest["next"] is None
    wrong = faces.client.get(f"/api/runs/{started['id']}/cases?which=wrong").json()["items"]
    assert [case["case_id"] for case in wrong] == ["c3", "c4"]
    (error,) = faces.client.get(f"/api/runs/{started['id']}/cases?which=errors").json()["items"]
    assert (error["case_id"], error["output"], error["error"]["type"]) == ("c7", None, "UpstreamDown")
    assert error["trace_id"] in {span.trace_id for span in faces.world.sink.spans}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"task": "t", "variant": "none"}, 404, "no variant"),
        ({"task": "none", "variant": "good"}, 404, "no task"),
        ({"task": "t"}, 400, "needs a task and a variant"),
        ({"task": "t", "variant": "good", "dataset": "none"}, 404, "no dataset"),
        ({"task": "t", "variant": "good", "scorers": ["exactly"]}, 400, "no scorer"),
        ({"task": "t", "variant": "good", "split": "test"}, 400, "no case in the split"),
        ({"task": "t", "variant": "good", "concurrency": 65}, 400, "concurrency"),
        ({"outputs": [{"id": "c99", "output": "x"}]}, 400, "c99"),
        ({"task": "t", "variant": "good", "speed": 1}, 400, "speed"),
    ],
)
def test_a_run_that_cannot_be_made_is_refused_in_the_one_error_shape(
    faces: Faces, body: dict[str, Any], status: int, said: str
) -> None:
    answer = faces.start(**body)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert faces.client.get("/api/runs").json()["items"] == []


def test_two_runs_are_compared_judged_and_the_winner_is_released(faces: Faces) -> None:
    runs = {name: faces.ran(name) for name in ("bad", "good")}
    made = faces.client.post(
        "/api/comparisons", json={"baseline": runs["bad"].id, "candidate": runs["good"].id}
    ).json()
    (verdict,) = made["verdicts"]
    assert (verdict["outcome"], verdict["n"], verdict["n_errors"]) == ("better", 39, 1)
    where = f"/api/comparisons/{made['id']}"
    assert faces.client.get(where).json() == made
    assert faces.client.get(f"{where}/gate").json()["exit_code"] == 0
    assert "**exact: better.**" in faces.client.get(f"{where}/report").json()["markdown"]
    cases = faces.client.get(f"{where}/cases?metric=exact&show=both_wrong").json()["items"]
    assert [case["case_id"] for case in cases] == ["c3", "c4"]
    released = faces.client.post(f"{where}/promote", json={"note": "at last"}).json()
    assert (released["variants"], released["comparison_id"]) == ({"good": 1.0}, made["id"])
    serving = faces.client.get("/api/tasks/t/releases").json()["items"]
    assert [each["variants"] for each in serving] == [{"good": 1.0}]


def test_a_loser_is_released_only_by_force_and_with_a_reason(faces: Faces) -> None:
    runs = {name: faces.ran(name) for name in ("bad", "good")}
    made = faces.client.post(
        "/api/comparisons", json={"baseline": runs["good"].id, "candidate": runs["bad"].id}
    ).json()
    where = f"/api/comparisons/{made['id']}"
    assert faces.client.get(f"{where}/gate").json()["exit_code"] == 1
    refused = faces.client.post(f"{where}/promote")
    assert refused.status_code == 409
    assert "worse in exact" in refused.json()["error"]["message"]
    assert faces.client.post(f"{where}/promote", json={"force": True}).status_code == 400
    forced = faces.client.post(f"{where}/promote", json={"force": True, "note": "it is cheaper"}).json()
    assert forced["note"] == "Forced: it is cheaper"
    assert forced["variants"] == {"bad": 1.0}


def test_outputs_made_elsewhere_are_compared_and_cannot_be_released(faces: Faces) -> None:
    ids = {}
    for name, right in (("theirs", 5), ("ours", 35)):
        outputs = [
            {"id": f"c{at}", "output": f"CASE {at}{HOSTILE}" if at < right else "no"} for at in range(40)
        ]
        ids[name] = faces.start(variant=name, outputs=outputs).json()["id"]
        asyncio.run(faces.world.work(faces.world.get(ids[name])))
    made = faces.client.post(
        "/api/comparisons", json={"baseline": ids["theirs"], "candidate": ids["ours"]}
    ).json()
    assert made["verdicts"][0]["outcome"] == "better"
    refused = faces.client.post(f"/api/comparisons/{made['id']}/promote")
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "conflict_error")
    assert "Release the candidate" not in faces.client.get(f"/comparisons/{made['id']}").text


def test_the_pages_show_runs_and_cases_and_trust_nothing_that_a_model_wrote(faces: Faces) -> None:
    assert "No runs yet" in faces.client.get("/runs").text
    queued = faces.start(task="t", variant="good").json()["id"]
    assert "hx-get" in faces.client.get(f"/runs/{queued}").text
    run = faces.ran("good")
    listed = faces.client.get("/runs").text
    assert f'href="/runs/{run.id}"' in listed
    page = faces.client.get(f"/runs/{run.id}").text
    assert "hx-get" not in page
    assert "94.9" in page
    assert "&lt;script&gt;" in page
    assert HOSTILE not in page
    errors = faces.client.get(f"/runs/{run.id}?which=errors").text
    assert "c7" in errors
    assert "c3</code>" not in errors
    assert HOSTILE not in errors
    assert faces.client.get("/runs?task=another").text.count("/runs/0") == 0
    assert faces.client.get("/runs/none").status_code == 404


def test_a_comparison_is_made_from_the_list_and_shows_what_differs(faces: Faces) -> None:
    runs = {name: faces.ran(name) for name in ("bad", "good")}
    answer = faces.client.post(
        "/runs/compare", data={"baseline": runs["bad"].id, "candidate": runs["good"].id, "margin": "0.02"}
    )
    assert answer.status_code == 303
    where = answer.headers["location"]
    page = faces.client.get(where).text
    assert "chart-forest" in page
    assert "Release good" in page
    assert HOSTILE not in page
    assert "c0</code>" in page
    assert "c3</code>" not in page
    both_wrong = faces.client.get(f"{where}?show=both_wrong").text
    assert "c3</code>" in both_wrong
    assert "c0</code>" not in both_wrong
    assert where in faces.client.get(f"/runs/{runs['good'].id}").text
    refused = faces.client.post(
        "/runs/compare", data={"baseline": runs["bad"].id, "candidate": runs["good"].id, "margin": "much"}
    )
    assert refused.status_code == 400
    faces.be(Role.VIEWER)
    assert "Release good" not in faces.client.get(where).text
    assert faces.client.post("/runs/compare", data={}).status_code == 403


def test_a_run_is_stopped_from_its_page(faces: Faces) -> None:
    run_id = faces.start(task="t", variant="good").json()["id"]
    answer = faces.client.post(f"/runs/{run_id}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
    assert faces.client.get(f"/api/runs/{run_id}").json()["status"] == "cancelled"
