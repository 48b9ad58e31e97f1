"""The room's handlers in a real app on a temporary directory, with a spool, a collector and a store."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import settings as settings_room
from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.kit import ids
from assay.kit.clock import SYSTEM
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.spans import Collector, DuckDBStore, Quarantine, Spool
from assay.traces import api, live_pages, otlp_api, pages, session_api, session_pages
from assay.traces.dialects import DialectProjector
from assay.traces.live import LiveTail
from assay.ui import assets, shell
from assay.wire.spans import Span, SpanKind


class House:
    """Everything the room needs, and a way to fill it."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        with self.records.write() as tx:
            prepare(tx, None)
        self.snapshot = SnapshotSource(self.records, [KEYS, SESSIONS])
        self.spool = Spool(directory / "spool")
        self.store = DuckDBStore(directory / "spans.duckdb", memory_mb=128, threads=1)
        self.collector = Collector(
            self.spool, self.store, Quarantine(directory / "quarantine"), projectors=[DialectProjector()]
        )
        self.app: Litestar = web.build(
            handlers=[
                *assets.handlers,
                *api.handlers,
                *otlp_api.handlers,
                *pages.handlers,
                *live_pages.handlers,
                *session_api.handlers,
                *session_pages.handlers,
            ],
            dependencies={
                "records": self.records,
                "snapshot": self.snapshot,
                "settings": settings_room.load(environ={}),
                "span_store": self.store,
                "spool": self.spool,
                "collector": self.collector,
                "live": LiveTail(self.store),
            },
            snapshot=self.snapshot,
            surroundings=shell.Shell(
                shell.environment(["access", "traces"]),
                nav=shell.NAVIGATION,
                person=person,
                csrf_token=csrf_token,
            ),
            max_body_bytes=100_000,
        )

    def keep(self, *spans: Span) -> None:
        """Spool and collect."""
        self.spool.append(spans)
        self.collector.drain_now()

    def client(self, role: Role | None = Role.ADMIN) -> TestClient[Litestar]:
        """A client with a key of this role, or without one."""
        client = TestClient(self.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.follow_redirects = False
        if role is not None:
            with self.records.write() as tx:
                client.headers["authorization"] = (
                    f"Bearer {create_key(tx, PROJECT, name=f'a {role.value}', role=role)[1]}"
                )
        return client

    def close(self) -> None:
        """Let go of the files."""
        self.spool.close()
        self.store.close()
        self.records.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A fresh house."""
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_span() -> Callable[..., Span]:
    """A span of a model call that just ended; give the fields that matter."""

    def make(**fields: Any) -> Span:
        now_ns = SYSTEM.now_ns()
        given: dict[str, Any] = {
            "trace_id": ids.uuid7_hex(),
            "span_id": ids.span_id(),
            "project": PROJECT,
            "name": "chat fast",
            "kind": SpanKind.MODEL,
            "start_ns": now_ns - 250_000_000,
            "end_ns": now_ns,
            "model": "fast",
        }
        return Span(**given | fields)

    return make
