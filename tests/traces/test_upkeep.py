"""The job that seals, drops and purges, and every face of it, on a real app with a clock that tests set."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import settings as settings_room
from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.errors import NotFound
from assay.jobs import JobContext, Jobs, Schedule
from assay.jobs import engine as jobs_engine
from assay.jobs.ledger import add_job, get_job
from assay.kit.clock import DAY_NS, SYSTEM, day_text
from assay.records import Records
from assay.responses import ResponseShelf, StoredResponse
from assay.snapshot import SnapshotSource
from assay.spans import Collector, DuckDBStore, Quarantine, Spool
from assay.spans.types import SpanFilter
from assay.testing import FakeClock
from assay.traces import storage_api, storage_pages, upkeep
from assay.traces import store as policies
from assay.traces.upkeep import Upkeep
from assay.ui import shell
from assay.wire.spans import Span

MakeSpan = Callable[..., Span]
EVERYTHING = SpanFilter(project=PROJECT, from_ns=0, to_ns=1 << 62)


class House:
    """A store whose spool, collector and upkeep share a clock, behind the real handlers."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.clock = FakeClock(start_ns=SYSTEM.now_ns() // DAY_NS * DAY_NS + DAY_NS // 2)
        self.settings = settings_room.load(environ=settings)
        self.directory = directory
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        with self.records.write() as tx:
            prepare(tx, None)
        self.spool = Spool(directory / "spool", clock=self.clock)
        self.store = DuckDBStore(directory / "spans.duckdb", memory_mb=128, threads=1)
        self.collector = Collector(self.spool, self.store, Quarantine(directory / "quarantine"))
        self.responses = ResponseShelf(self.records)
        self.upkeep = Upkeep(
            self.records,
            self.store,
            self.spool,
            self.collector,
            self.settings,
            clock=self.clock,
            also=(self.responses,),
        )
        self.jobs = Jobs(jobs_engine.database_url(self.records, directory), self.records)
        self.jobs.register(upkeep.KIND, self.upkeep.run)
        self.jobs.register(upkeep.PURGE, self.upkeep.purge)

    def pass_days(self, days: int) -> None:
        """Let time pass."""
        self.clock.advance(days * DAY_NS / 1e9)

    def keep(self, *spans: Span) -> None:
        """Spool and collect, as arrived now."""
        self.spool.append(spans)
        self.collector.drain_now()

    def run(self, kind: str = upkeep.KIND, **arguments: Any) -> dict[str, Any]:
        """The job's function, as the engine would call it."""
        with self.records.write() as tx:
            job = add_job(tx, kind, project=PROJECT, arguments=arguments, clock=self.clock)
        context = JobContext(job, self.records, self.clock)
        work = self.upkeep.run if kind == upkeep.KIND else self.upkeep.purge
        return asyncio.run(work(context))

    def client(self, role: Role = Role.ADMIN) -> TestClient[Litestar]:
        """A client with a key of this role."""
        snapshot = SnapshotSource(self.records, [KEYS, SESSIONS])
        app = web.build(
            handlers=[*storage_api.handlers, *storage_pages.handlers],
            dependencies={
                "records": self.records,
                "snapshot": snapshot,
                "settings": self.settings,
                "span_store": self.store,
                "upkeep": self.upkeep,
                "jobs": self.jobs,
            },
            snapshot=snapshot,
            surroundings=shell.Shell(
                shell.environment(["access", "traces"]),
                nav=shell.NAVIGATION,
                person=person,
                csrf_token=csrf_token,
            ),
            max_body_bytes=100_000,
        )
        client = TestClient(app, base_url="http://127.0.0.1")
        client.follow_redirects = False
        with self.records.write() as tx:
            secret = create_key(tx, PROJECT, name=f"a {role.value}", role=role)[1]
        client.headers["authorization"] = f"Bearer {secret}"
        return client

    def close(self) -> None:
        """Let go of the files."""
        self.spool.close()
        self.store.close()
        self.records.close()


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes a house with settings."""
    made: list[House] = []

    def open_one(**settings: str) -> House:
        made.append(House(tmp_path, **settings))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def test_a_day_loses_its_content_and_then_its_rows(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house()
    span = make_span(input=(b'"hello"',), usage=None)
    house.keep(span)
    assert not house.upkeep.is_due(), "today is open"

    house.pass_days(1)
    assert house.upkeep.is_due()
    assert house.run()["sealed"] == 1
    assert not house.upkeep.is_due()
    house.pass_days(30)
    assert house.store.get_span(PROJECT, span.span_id).span.input == (b'"hello"',)
    assert house.run()["content_dropped"] == 1
    assert house.store.get_span(PROJECT, span.span_id).missing == 1
    assert house.store.traffic(EVERYTHING).calls == 1
    assert not list(house.directory.glob("sealed/payloads/*/*/*.parquet"))
    house.pass_days(370)
    assert house.run()["days_dropped"] == 1
    assert house.store.traffic(EVERYTHING).calls == 0


def test_imports_stay_until_the_project_says_otherwise(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house()
    house.keep(make_span(imported=True), make_span())
    house.pass_days(500)
    house.run()
    assert [day.imported for day in house.store.stored_days()] == [True]

    with house.client() as client:
        client.put("/api/retention", json={"content_days": 1, "row_days": 1, "imports": True})

    assert house.upkeep.is_due()
    house.run()
    assert house.store.stored_days() == []


def test_over_the_limit_the_oldest_content_goes_and_the_trouble_is_said(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house(ASSAY_MAX_STORE_MB="6")
    for number in range(3):
        house.keep(
            *(
                make_span(
                    name=f"{number}",
                    input=(_noise(number, i),),
                )
                for i in range(60)
            )
        )
        house.pass_days(1)
    house.store.seal(before_day=1 << 20)
    house.store.compact(even_little=True)

    assert house.upkeep.measure().total_bytes > 6 * 2**20
    assert "max_store_mb is 6" in house.upkeep.troubles()[0][0]
    assert house.upkeep.is_due()
    assert house.run()["content_dropped"] >= 1

    assert house.store.size().total_bytes <= 6 * 2**20
    assert [day.has_content for day in house.store.stored_days()] in (
        [False, True, True],
        [False, False, True],
    )
    assert house.upkeep.troubles() == []
    assert not house.upkeep.is_due()


def _noise(number: int, index: int) -> bytes:
    """A message of 50 kB that does not compress, another each time."""
    import random

    return random.Random(number * 1000 + index).randbytes(50_000)


def test_a_purge_leaves_nothing_of_a_person_in_any_file(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house()
    house.keep(make_span(user_id="ann", input=(b'"the secret of ann"',)), make_span(user_id="bob"))

    gone = house.run(upkeep.PURGE, before=None, user="ann")

    assert (gone["spans"], gone["messages"]) == (1, 1)
    kept = b"".join(
        path.read_bytes()
        for path in house.directory.rglob("*")
        if path.is_file() and path.name != "records.sqlite-wal"
    )
    assert b"the secret of ann" not in kept
    assert house.store.traffic(EVERYTHING).calls == 1
    house.keep(make_span())
    assert house.store.traffic(EVERYTHING).calls == 2


def test_a_schedule_adds_one_job_when_something_is_due(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house()
    house.keep(make_span())
    house.pass_days(2)

    async def live() -> tuple[str | None, str | None, str | None]:
        await house.jobs.launch()
        schedule = Schedule(
            house.jobs, house.records, upkeep.KIND, project=PROJECT, is_due=house.upkeep.is_due, every_s=600
        )
        first = await schedule.look()
        second = await schedule.look()
        assert first is not None
        await house.jobs.wait(PROJECT, first)
        third = await schedule.look()
        await house.jobs.close()
        return first, second, third

    first, second, third = asyncio.run(live())

    assert second is third is None
    with house.records.read() as tx:
        job = get_job(tx, PROJECT, first or "")
    assert (job.status, job.result["sealed"]) == ("succeeded", 1)


def test_retention_is_chosen_shown_and_left_to_the_server_again(open_house: Callable[..., House]) -> None:
    with open_house().client() as client:
        default = {"content_days": 30, "row_days": 400, "imports": False, "is_default": True}
        assert client.get("/api/retention").json() == default
        chosen = client.put("/api/retention", json={"content_days": 7, "row_days": None}).json()
        assert chosen == {"content_days": 7, "row_days": None, "imports": False, "is_default": False}
        assert client.get("/api/retention").json() == chosen
        refused = client.put("/api/retention", json={"content_days": 7, "row_days": 3})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "row_days")
        assert client.delete("/api/retention").json() == default


def test_storage_shows_days_and_the_disk(open_house: Callable[..., House], make_span: MakeSpan) -> None:
    house = open_house()
    today = day_text(house.clock.now_ns() // DAY_NS)
    house.keep(make_span(), make_span(project="other"))
    house.pass_days(1)
    house.run()

    with house.client() as client, house.client(Role.VIEWER) as viewer:
        shown = client.get("/api/storage").json()
        assert [(line["day"], line["spans"], line["is_sealed"]) for line in shown["days"]] == [
            (today, 1, True)
        ]
        assert shown["server"]["sealed_bytes"] > 0
        assert viewer.get("/api/storage").json()["server"] is None
        assert viewer.put("/api/retention", json={}).status_code == 403


def test_a_purge_is_counted_first_and_done_when_confirmed(
    open_house: Callable[..., House], make_span: MakeSpan
) -> None:
    house = open_house()
    house.spool.append([make_span(user_id="ann"), make_span()])

    with house.client() as client:
        counted = client.post("/api/traces/purge", json={"user": "ann"}).json()
        assert (counted["spans"], counted["job_id"]) == (1, None), "what waits in the spool counts too"
        started = client.post("/api/traces/purge", json={"user": "ann", "confirm": True})
        assert (started.status_code, bool(started.json()["job_id"])) == (202, True)
        for body, param in (
            ({}, "everything"),
            ({"everything": True, "user": "ann"}, "everything"),
            ({"before": "yesterday"}, "before"),
            ({"before": "2026-01-01", "older_than_days": 3}, "older_than_days"),
            ({"older_than_days": -1}, "older_than_days"),
            ({"user": ""}, "user"),
        ):
            refused = client.post("/api/traces/purge", json=body)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), body


def test_the_page_shows_and_changes_all_of_it(open_house: Callable[..., House], make_span: MakeSpan) -> None:
    house = open_house()
    house.keep(make_span(user_id="<b>ann</b>", input=(b'"hi"',)))
    house.pass_days(1)
    house.run()

    with house.client() as client:
        page = client.get("/settings/storage").text
        assert "the project has not chosen" in page
        saved = client.post("/settings/storage/retention", data={"content_days": "9", "row_days": ""})
        assert saved.headers["location"] == "/settings/storage"
        assert 'value="9"' in client.get("/settings/storage").text
        wrong = client.post("/settings/storage/retention", data={"content_days": "9", "row_days": "x"})
        assert (wrong.status_code, "no number of days" in wrong.text) == (400, True)
        preview = client.post("/settings/storage/purge", data={"user": "<b>ann</b>"}).text
        assert "This would go for good" in preview
        assert "&lt;b&gt;ann&lt;/b&gt;" in preview
        assert house.store.traffic(EVERYTHING).calls == 1
        assert client.post("/settings/storage/purge", data={}).status_code == 400
        confirmed = client.post("/settings/storage/purge/confirm", data={"user": "<b>ann</b>"})
        assert confirmed.headers["location"].startswith("/jobs/")
        client.post("/settings/storage/retention", data={"reset": "1"})
        assert "the project has not chosen" in client.get("/settings/storage").text


def test_stored_responses_go_with_the_content_and_with_a_purge(open_house: Callable[..., House]) -> None:
    house = open_house(ASSAY_CONTENT_DAYS="3")

    def keep(id: str, user: str) -> None:
        made = StoredResponse(
            project=PROJECT,
            id=id,
            created_at_ns=house.clock.now_ns(),
            user_id=user,
            items="[]",
            output="[]",
            body="{}",
        )
        assert asyncio.run(house.responses.keep(made))

    keep("resp_1", "ann")
    house.pass_days(2)
    keep("resp_2", "ann")
    keep("resp_3", "bob")
    house.run()
    house.pass_days(2)
    assert house.upkeep.is_due()
    house.run()
    assert not house.upkeep.is_due()
    house.run(upkeep.PURGE, before=None, user="ann")
    with pytest.raises(NotFound):
        asyncio.run(house.responses.get(PROJECT, "resp_1"))
    with pytest.raises(NotFound):
        asyncio.run(house.responses.get(PROJECT, "resp_2"))
    assert asyncio.run(house.responses.get(PROJECT, "resp_3")).user_id == "bob"


def test_a_policy_survives_in_the_records(open_house: Callable[..., House]) -> None:
    house = open_house()
    with house.client() as client:
        client.put("/api/retention", json={"content_days": None, "row_days": None, "imports": True})
    with house.records.read() as tx:
        (policy,) = policies.policies(tx).values()
    assert msgspec.structs.astuple(policy) == (None, None, True)
