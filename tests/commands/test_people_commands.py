"""`assay users`, `assay projects` and `assay audit` against a real server."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from assay.commands import audit, keys, projects, users
from assay.commands.connection import Invocation
from assay.errors import BadRequest, Conflict, Forbidden, NotFound
from assay.kit import json

PASSWORD = "tungsten-mango-42"


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """One for all of them."""
    return start_assay("").ready()


class Terminal:
    """A person at the command line: of the machine itself, or of another with a key."""

    def __init__(self, server: Any, *, key: str | None = None, project: str | None = None) -> None:
        self.server, self.key, self.project = server, key, project

    def __call__(
        self, noun: typer.Typer, *arguments: str, typed: str | None = None, as_json: bool = False
    ) -> Any:
        """What the command prints, or the JSON of it."""
        call = Invocation(
            url=self.server.url if self.key else None,
            key=self.key,
            data=self.server.data,
            json=as_json,
            serve=lambda data: nullcontext(data / "control.sock"),
            project=self.project,
        )
        result = CliRunner().invoke(noun, arguments, obj=call, input=typed, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.decode(result.stdout) if as_json else result.stdout


@pytest.fixture
def owner(server: Any) -> Terminal:
    """Whoever owns the data directory."""
    return Terminal(server)


def signs_in(server: Any, name: str, password: str) -> int:
    return httpx.post(f"{server.url}/login", data={"user": name, "password": password}).status_code


def test_an_account_is_made_seen_changed_and_shut_out(server: Any, owner: Terminal) -> None:
    password = owner(users.app, "add", "ann@example.org", "--role", "editor").strip()
    assert len(password) == 23
    assert signs_in(server, "ann@example.org", password) == 303
    listed = owner(users.app, "list")
    assert "ann@example.org" in listed
    assert "default: editor" in listed
    assert "new password due" in listed
    said = owner(
        users.app, "set-password", "ann@example.org", "--password-stdin", "--keep", typed=PASSWORD + "\n"
    )
    assert said == "ann@example.org has this password now.\n"
    assert signs_in(server, "ann@example.org", password) == 401
    assert signs_in(server, "ann@example.org", PASSWORD) == 303
    assert (
        owner(users.app, "role", "ann@example.org", "viewer") == "ann@example.org is viewer in the project.\n"
    )
    assert "may not sign in" in owner(users.app, "disable", "ann@example.org")
    assert signs_in(server, "ann@example.org", PASSWORD) == 401
    assert "may sign in again" in owner(users.app, "enable", "ann@example.org")
    shown = owner(users.app, "role", "ann@example.org", "none", as_json=True)
    assert (shown["roles"], shown["signed_in"] is not None) == ({}, True)
    assert "ann@example.org" not in owner(users.app, "list")
    assert "ann@example.org" in owner(users.app, "list", "--all")


def test_a_password_is_asked_for_twice_and_refused_when_it_is_weak(owner: Terminal) -> None:
    owner(users.app, "add", "bob", "--ask", "--keep", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert owner(users.app, "list", "--all", as_json=True)["items"][-1]["must_change_password"] is False
    with pytest.raises(BadRequest, match="well-known"):
        owner(users.app, "add", "carl", "--password-stdin", typed="password1234\n")
    with pytest.raises(BadRequest, match="exclude"):
        owner(users.app, "add", "carl", "--password-stdin", "--ask", typed="x\n")
    with pytest.raises(Conflict, match="already"):
        owner(users.app, "add", "bob")
    with pytest.raises(NotFound, match="no account"):
        owner(users.app, "disable", "nobody")


def test_a_project_is_made_worked_in_renamed_archived_and_restored(server: Any, owner: Terminal) -> None:
    key = owner(projects.app, "create", "shop", "--name", "The shop", "--admin-key").strip()
    assert key.startswith("sk-assay-")
    assert "Made the project support." in owner(projects.app, "create", "support")
    assert "The shop" in owner(projects.app, "list")
    in_shop = Terminal(server, project="shop")
    in_shop(keys.app, "create", "checkout")
    assert "checkout" in in_shop(keys.app, "list")
    assert "checkout" not in owner(keys.app, "list")
    remote = Terminal(server, key=key)
    assert "checkout" in remote(keys.app, "list")
    assert [each["id"] for each in remote(projects.app, "list", as_json=True)["items"]] == ["shop"]
    assert "'Shop 2'" in remote(projects.app, "rename", "shop", "Shop 2")
    with pytest.raises(Forbidden, match="runs the server"):
        remote(projects.app, "create", "mine")
    with pytest.raises(Forbidden, match="for the project 'shop'"):
        Terminal(server, key=key, project="default")(keys.app, "list")
    with pytest.raises(Forbidden, match="not open to you"):
        Terminal(server, project="nowhere")(keys.app, "list")
    assert "is archived" in owner(projects.app, "archive", "shop")
    assert httpx.get(f"{server.url}/api/whoami", headers={"x-api-key": key}).status_code == 401
    assert "is open again" in owner(projects.app, "restore", "shop")


def test_the_log_is_read_with_filters(server: Any, owner: Terminal) -> None:
    owner(projects.app, "create", "books")
    Terminal(server, project="books")(keys.app, "create", "shelf")
    said = owner(audit.app, "list", "--all", "--action", "key", "--subject", "shelf")
    assert "key created" in said
    assert "socket" in said
    assert owner(audit.app, "list", "--actor", "nobody else", as_json=True)["items"] == []
    assert len(owner(audit.app, "list", "--all", "--limit", "2", as_json=True)["items"]) == 2
    with pytest.raises(BadRequest, match="no time"):
        owner(audit.app, "list", "--since", "yesterday")
