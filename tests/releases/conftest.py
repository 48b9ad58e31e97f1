"""The pages and the API of releases as an app of their own, over real records and a real span store."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import settings as settings_room
from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, LoginThrottle, Role, create_key, prepare
from assay.access import pages as access_pages
from assay.access.guards import csrf_token, person
from assay.access.signing import SignIn
from assay.records import Records
from assay.releases import RELEASES, Release, api, current, history, pages, release
from assay.snapshot import SnapshotSource
from assay.spans import DuckDBStore
from assay.tasks import TASKS, put_variant
from assay.tasks.definitions import VariantDefinition
from assay.ui import shell

TASK = "polish"


class House:
    """A task with the variants `v1`, `v2` and `v3`, none of them released."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        self.spans = DuckDBStore(directory / "spans.duckdb")
        with self.records.write() as tx:
            self.admin_key = prepare(tx, None) or ""
            for name in ("v1", "v2", "v3"):
                definition = VariantDefinition(model="fast", prompt=name + " <b>{{ text }}</b>")
                put_variant(tx, PROJECT, TASK, name, definition, actor="ann")
        self.snapshot = SnapshotSource(self.records, [KEYS, SESSIONS, TASKS, RELEASES])

    def release(
        self, variants: Mapping[str, float], environment: str = "production", **options: Any
    ) -> Release:
        """Release them."""
        with self.records.write() as tx:
            return release(tx, PROJECT, TASK, environment, variants, actor="ann", **options)

    def serving(self, environment: str = "production") -> dict[str, float] | None:
        """The variants that serve, with their weights."""
        with self.records.read() as tx:
            found = current(tx, PROJECT, TASK, environment)
        return None if found is None else found.variants

    def history(self, environment: str = "production") -> list[Release]:
        """Newest first."""
        with self.records.read() as tx:
            return history(tx, PROJECT, TASK, environment).items

    def client(self, role: Role | None = Role.ADMIN) -> TestClient[Litestar]:
        """A client of that role by key; by browser when there is none."""
        app = web.build(
            handlers=[*access_pages.handlers, *api.handlers, *pages.handlers],
            dependencies={
                "records": self.records,
                "snapshot": self.snapshot,
                "sign_in": SignIn(self.records, LoginThrottle()),
                "span_store": self.spans,
                "settings": settings_room.load(environ={}),
            },
            snapshot=self.snapshot,
            surroundings=shell.Shell(
                shell.environment(["access", "releases"]),
                nav=shell.NAVIGATION,
                person=person,
                csrf_token=csrf_token,
            ),
            max_body_bytes=100_000,
        )
        client = TestClient(app, base_url="http://assay.test", raise_server_exceptions=False)
        client.follow_redirects = False
        if role is not None:
            with self.records.write() as tx:
                _, secret = create_key(tx, PROJECT, name=role.value, role=role)
            client.headers["authorization"] = f"Bearer {secret}"
        return client

    def close(self) -> None:
        """Close the files."""
        self.spans.close()
        self.records.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A fresh house."""
    made = House(tmp_path)
    yield made
    made.close()
