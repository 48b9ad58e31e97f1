"""The API and the pages of jobs, over kept rows; what runs them is tested beside this."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.jobs import Jobs, Status, api, pages, store
from assay.jobs.engine import database_url
from assay.kit.clock import SYSTEM
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell


async def nothing(context: Any) -> None:
    """A job's function that is never called here."""


class House:
    """Records, unlaunched jobs, and the app's client."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        with self.records.write() as tx:
            prepare(tx, "an-admin-key-for-the-tests")
            self.keys = {role: create_key(tx, PROJECT, name=role, role=role)[1] for role in Role}
        self.jobs = Jobs(database_url(self.records, directory), self.records)
        self.jobs.register("eval_run", nothing, page=lambda arguments: f"/tasks/{arguments['task']}")
        surroundings = shell.Shell(
            shell.environment(["jobs"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
        )
        app = web.build(
            handlers=[*api.handlers, *pages.handlers],
            dependencies={"records": self.records, "jobs": self.jobs},
            snapshot=SnapshotSource(self.records, [KEYS, SESSIONS]),
            surroundings=surroundings,
            max_body_bytes=10_000,
        )
        self.client: Any = TestClient(app, base_url="http://assay.test", raise_server_exceptions=False)
        self.be(Role.EDITOR)

    def be(self, role: Role) -> None:
        """Act with this role from now on."""
        self.client.headers["authorization"] = f"Bearer {self.keys[role]}"

    def add(self, **changes: Any) -> str:
        """A kept job with some columns set."""
        with self.records.write() as tx:
            job_id = self.jobs.add(tx, "eval_run", project=PROJECT, arguments={"task": "<b>polish</b>"})
            store.change(tx, PROJECT, job_id, **{"done": 0, **changes})
            store.add_lines(tx, PROJECT, job_id, [(1, "first"), (2, "<script>second</script>")])
        return job_id


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.client:
        yield house
    house.records.close()


def test_one_job_is_shown_with_progress_error_and_log(house: House) -> None:
    job_id = house.add(
        status=Status.FAILED, error="The dataset is empty", hint="Import it.", done=3, total=9, note="c3"
    )
    answer = house.client.get(f"/api/jobs/{job_id}").json()
    assert answer["status"] == "failed"
    assert answer["progress"] == {"done": 3, "total": 9, "note": "c3"}
    assert answer["error"] == {"message": "The dataset is empty", "hint": "Import it."}
    assert [line["text"] for line in answer["log"]] == ["first", "<script>second</script>"]
    assert len(house.client.get(f"/api/jobs/{job_id}?log_after=1").json()["log"]) == 1
    missing = house.client.get("/api/jobs/none")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


def test_jobs_are_listed_in_pages_and_by_status(house: House) -> None:
    ids = {house.add() for _ in range(3)} | {house.add(status=Status.SUCCEEDED)}
    first = house.client.get("/api/jobs?limit=3").json()
    rest = house.client.get("/api/jobs", params={"limit": 3, "cursor": first["next"]}).json()
    assert {job["id"] for job in [*first["items"], *rest["items"]]} == ids
    assert rest["next"] is None
    assert len(house.client.get("/api/jobs?status=succeeded").json()["items"]) == 1
    assert house.client.get("/api/jobs?status=lost").status_code == 400
    assert house.client.get("/api/jobs?kind=other").json()["items"] == []


def test_an_editor_cancels_a_job_and_a_viewer_only_looks(house: House) -> None:
    job_id = house.add()
    house.be(Role.VIEWER)
    assert house.client.post(f"/api/jobs/{job_id}/cancel").status_code == 403
    assert house.client.get(f"/api/jobs/{job_id}").json()["status"] == "queued"
    house.be(Role.EDITOR)
    answer = house.client.post(f"/api/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    house.be(Role.APP)
    assert house.client.get("/api/jobs").status_code == 403


def test_the_pages_show_jobs_escape_what_they_say_and_refresh_only_while_something_runs(house: House) -> None:
    assert "No jobs yet" in house.client.get("/jobs").text
    job_id = house.add(status=Status.RUNNING, done=1, total=2)
    running = house.client.get(f"/jobs/{job_id}")
    assert running.status_code == 200
    assert "&lt;script&gt;second" in running.text
    assert "<script>second" not in running.text
    assert "<b>polish" not in running.text
    assert "hx-get" in running.text
    assert "hx-get" in house.client.get("/jobs").text
    with house.records.write() as tx:
        store.change(
            tx,
            PROJECT,
            job_id,
            status=Status.SUCCEEDED,
            result={"cases": 2},
            started_at_ns=1,
            ended_at_ns=5_000_000_001,
        )
    ended = house.client.get(f"/jobs/{job_id}").text
    assert "hx-get" not in ended
    assert "cases" in ended
    assert "hx-get" not in house.client.get("/jobs").text
    assert house.client.get("/jobs/none").status_code == 404


def test_a_job_is_cancelled_from_its_page(house: House) -> None:
    job_id = house.add()
    answer = house.client.post(f"/jobs/{job_id}/cancel", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job_id}")
    assert house.jobs.get(PROJECT, job_id).status is Status.CANCELLED


def test_a_job_that_ended_too_early_goes_on_from_its_page_or_the_api(house: House) -> None:
    ended = {"ended_at_ns": 9, "started_at_ns": 5, "error": "It broke", "hint": "Mend it."}
    job_id = house.add(status=Status.FAILED, done=3, total=9, **ended)
    assert f'action="/jobs/{job_id}/resume"' in house.client.get(f"/jobs/{job_id}").text

    answer = house.client.post(f"/jobs/{job_id}/resume", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job_id}")
    job = house.jobs.get(PROJECT, job_id)
    assert (job.status, job.resumed, job.error, job.done, job.started_at_ns) == (
        Status.QUEUED,
        1,
        None,
        3,
        None,
    )
    page = house.client.get(f"/jobs/{job_id}").text
    assert "Resumed by" in page
    assert "/resume" not in page
    again = house.client.post(f"/api/jobs/{job_id}/resume")
    assert (again.status_code, "is queued" in again.json()["error"]["message"]) == (409, True)
    house.client.post(f"/api/jobs/{job_id}/cancel")
    assert house.client.post(f"/api/jobs/{job_id}/resume").json()["resumed"] == 2
    house.be(Role.VIEWER)
    assert house.client.post(f"/api/jobs/{job_id}/resume").status_code == 403


def test_the_list_is_narrowed_by_kind_and_status(house: House) -> None:
    house.add(status=Status.SUCCEEDED)
    house.add(status=Status.FAILED, error="It broke")

    assert house.client.get("/jobs?status=failed").text.count('class="row-link"') == 1
    assert "It broke" in house.client.get("/jobs?kind=eval_run").text
    assert "No job like these" in house.client.get("/jobs?kind=other").text
    assert house.client.get("/jobs?status=lost").status_code == 400


def test_a_running_log_grows_line_by_line(house: House) -> None:
    job_id = house.add(status=Status.RUNNING)

    page = house.client.get(f"/jobs/{job_id}").text
    assert f'hx-get="/jobs/{job_id}/log?after=2"' in page
    more = house.client.get(f"/jobs/{job_id}/log?after=1").text
    assert "first" not in more
    assert "&lt;script&gt;second" in more
    assert 'id="line-2"' in more
    with house.records.write() as tx:
        store.change(tx, PROJECT, job_id, status=Status.SUCCEEDED, ended_at_ns=9)
    assert "hx-get" not in house.client.get(f"/jobs/{job_id}/log?after=2").text


def test_a_job_says_how_long_it_takes_still_and_leads_to_its_subject(house: House) -> None:
    now_ns = SYSTEM.now_ns()
    job_id = house.add(status=Status.RUNNING, done=5, total=20, started_at_ns=now_ns - 10_000_000_000)

    page = house.client.get(f"/jobs/{job_id}").text

    assert re.search(r"Left, about</dt><dd>3\d\.\d.s", page)
    assert 'href="/tasks/&lt;b&gt;polish' in page
