"""A real app of the room's handlers on a temporary directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay import settings as settings_room
from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, api, create_key, pages, prepare
from assay.access.guards import csrf_token, person
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell


class House:
    """Records, a snapshot over them, and the app."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        with self.records.write() as tx:
            self.admin_key = prepare(tx, None) or ""
        self.snapshot = SnapshotSource(self.records, [KEYS, SESSIONS])

    def build(self) -> Litestar:
        """A new app over these records. Each client gets its own, since an app belongs to one event loop."""
        return web.build(
            handlers=[*api.handlers, *pages.handlers],
            dependencies={
                "records": self.records,
                "snapshot": self.snapshot,
                "settings": settings_room.load(environ={}),
            },
            snapshot=self.snapshot,
            surroundings=shell.Shell(
                shell.environment(["access"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
            ),
            max_body_bytes=100_000,
        )

    def make(self, role: Role, **options: Any) -> str:
        """The secret of a new key."""
        with self.records.write() as tx:
            return create_key(tx, PROJECT, name=f"a {role.value}", role=role, **options)[1]

    def client(self, key: str | None = None) -> TestClient[Litestar]:
        """A client, with a key or without, that follows no redirect by itself."""
        client = TestClient(self.build(), base_url="http://assay.test", raise_server_exceptions=False)
        client.follow_redirects = False
        if key is not None:
            client.headers["authorization"] = f"Bearer {key}"
        return client


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A fresh house."""
    made = House(tmp_path)
    yield made
    made.records.close()
