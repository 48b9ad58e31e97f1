"""A real app of the room's handlers on a temporary directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher, profiles
from litestar import Litestar
from litestar.testing import TestClient

from assay import audit, web
from assay import settings as settings_room
from assay.access import (
    KEYS,
    PROJECT,
    SESSIONS,
    LoginThrottle,
    Role,
    api,
    create_key,
    create_project,
    create_user,
    pages,
    passwords,
    people_api,
    people_pages,
    prepare,
    prepare_password,
    set_role,
    settings_pages,
)
from assay.access.guards import csrf_token, person, places
from assay.access.signing import SignIn
from assay.audit import api as audit_api
from assay.audit import pages as audit_pages
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.testing import FakeClock
from assay.ui import shell

PASSWORD = "tungsten-mango-42"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Hashes that take no time, except where a test is about them."""
    if "real_hashes" not in request.fixturenames:
        monkeypatch.setattr(passwords, "HASHER", PasswordHasher.from_parameters(profiles.CHEAPEST))


@pytest.fixture
def real_hashes() -> None:
    """Hashes as the server makes them."""


class House:
    """Records, a snapshot over them, and the app."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        self.records.observe(audit.log_changes)
        with self.records.write() as tx:
            self.admin_key = prepare(tx, None) or ""
        self.snapshot = SnapshotSource(self.records, [KEYS, SESSIONS])
        self.clock = FakeClock()
        self.sign_in = SignIn(self.records, LoginThrottle(clock=self.clock))

    def build(self) -> Litestar:
        """A new app over these records. Each client gets its own, since an app belongs to one event loop."""
        return web.build(
            handlers=[
                *api.handlers,
                *pages.handlers,
                *settings_pages.handlers,
                *people_api.handlers,
                *people_pages.handlers,
                *audit_api.handlers,
                *audit_pages.handlers,
            ],
            dependencies={
                "records": self.records,
                "snapshot": self.snapshot,
                "sign_in": self.sign_in,
                "settings": settings_room.load(environ={}),
            },
            snapshot=self.snapshot,
            surroundings=shell.Shell(
                shell.environment(["access", "audit"]),
                nav=shell.NAVIGATION,
                person=person,
                csrf_token=csrf_token,
                places=places,
            ),
            max_body_bytes=100_000,
        )

    def make(self, role: Role, *, project: str = PROJECT, **options: Any) -> str:
        """The secret of a new key."""
        with self.records.write() as tx:
            return create_key(tx, project, name=f"a {role.value}", role=role, **options)[1]

    def project(self, name: str) -> str:
        """A new project."""
        with self.records.write() as tx:
            return create_project(tx, name).project

    def user(self, name: str, *, password: str = PASSWORD, must_change: bool = False, **roles: Role) -> str:
        """A new account with these roles by project."""
        kept = prepare_password(password, user=name)
        with self.records.write() as tx:
            create_user(tx, name, kept, must_change_password=must_change)
            for project, role in roles.items():
                set_role(tx, project, name, role)
        return name

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
