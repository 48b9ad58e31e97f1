from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.decisions import Evidence, Kind, api, list_decisions, pages, record
from assay.errors import BadRequest
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell
from assay.wire.verdicts import Interval, Outcome, Verdict

VERDICT = Verdict(
    question="Is v2 better than v1?",
    metric="exact",
    outcome=Outcome.BETTER,
    estimate=0.2,
    interval=Interval(0.1, 0.3),
    level=0.95,
    method="Tango",
    n=120,
    p_value=0.001,
    baseline=0.5,
    candidate=0.7,
)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    yield records
    records.close()


def test_a_decision_comes_back_with_its_verdicts_and_evidence(records: Records) -> None:
    with records.write() as tx:
        made = record(
            tx,
            PROJECT,
            Kind.RELEASED,
            "polish/production",
            actor="admin",
            verdicts=[VERDICT],
            evidence=Evidence(run_ids=("a", "b"), comparison_id="c"),
            note="v2 wins",
        )
    with records.read() as tx:
        assert list_decisions(tx, PROJECT).items == [made]
        assert list_decisions(tx, "another").items == []
    assert made.verdicts == (VERDICT,)


def test_a_change_that_fails_leaves_no_decision(records: Records) -> None:
    def decide_and_fail() -> None:
        with records.write() as tx:
            record(tx, PROJECT, Kind.RELEASED, "polish/production", actor="admin")
            raise RuntimeError("the release was refused")

    with pytest.raises(RuntimeError):
        decide_and_fail()
    with records.read() as tx:
        assert list_decisions(tx, PROJECT).items == []


@pytest.mark.parametrize("statement", ["UPDATE decisions SET note = 'never mind'", "DELETE FROM decisions"])
def test_the_database_refuses_to_rewrite_history(records: Records, statement: str) -> None:
    with records.write() as tx:
        made = record(tx, PROJECT, Kind.BLOCKED, "polish/production", actor="gate")
    with pytest.raises(DBAPIError, match="kept as they were made"), records.write() as tx:
        tx.execute(text(statement))
    with records.read() as tx:
        assert list_decisions(tx, PROJECT).items == [made]


def test_decisions_are_filtered_and_paged_newest_first(records: Records) -> None:
    with records.write() as tx:
        for number in range(6):
            kind = Kind.RELEASED if number % 2 else Kind.ROLLED_BACK
            record(tx, PROJECT, kind, f"task-{number % 3}/production", actor="admin", note=str(number))
    with records.read() as tx:
        first = list_decisions(tx, PROJECT, limit=4)
        rest = list_decisions(tx, PROJECT, limit=4, cursor=first.next)
        assert [decision.note for decision in [*first.items, *rest.items]] == list("543210")
        assert rest.next is None
        assert [d.note for d in list_decisions(tx, PROJECT, kind=Kind.RELEASED).items] == list("531")
        assert [d.note for d in list_decisions(tx, PROJECT, subject="task-0/production").items] == list("30")
        with pytest.raises(BadRequest):
            list_decisions(tx, PROJECT, cursor="W10")


@pytest.fixture
def client(records: Records) -> Iterator[Any]:
    with records.write() as tx:
        prepare(tx, "an-admin-key-for-the-tests")
        viewer = create_key(tx, PROJECT, name="looker", role=Role.VIEWER)[1]
        record(
            tx,
            PROJECT,
            Kind.RELEASED,
            "polish/<i>x</i>",
            actor="admin",
            verdicts=[VERDICT],
            evidence=Evidence(run_ids=("r1",)),
        )
    source = SnapshotSource(records, [KEYS, SESSIONS])
    surroundings = shell.Shell(
        shell.environment(["decisions"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
    )
    app = web.build(
        handlers=[*api.handlers, *pages.handlers],
        dependencies={"records": records},
        snapshot=source,
        surroundings=surroundings,
        max_body_bytes=10_000,
    )
    with TestClient(app, base_url="http://assay.test", raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {viewer}"
        yield client


def test_the_api_lists_decisions_with_whole_verdicts(client: Any) -> None:
    (item,) = client.get("/api/decisions?kind=released").json()["items"]
    assert item["subject"] == "polish/<i>x</i>"
    assert item["verdicts"][0]["interval"] == {"lo": 0.1, "hi": 0.3}
    assert item["evidence"] == {"run_ids": ["r1"], "comparison_id": None}
    assert item["at"].endswith("Z")
    assert client.get("/api/decisions?kind=alerted").json() == {"items": [], "next": None}
    assert client.get("/api/decisions?kind=regretted").status_code == 400
    assert client.get("/api/decisions?limit=0").status_code == 400


def test_the_page_shows_the_verdict_and_escapes_what_people_wrote(client: Any) -> None:
    page = client.get("/decisions")
    assert page.status_code == 200
    assert "&lt;i&gt;x" in page.text
    assert "<i>x" not in page.text
    assert 'href="/runs/r1"' in page.text
    assert "No decisions like these" in client.get("/decisions?subject=other").text
    assert client.get("/decisions?kind=regretted").status_code == 400
