"""Every route of the real server, with every kind of caller: nothing is open that does not say so.

The routes are walked as the app itself lists them, so a new one is tried without anybody thinking of it.
"""

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from assay.access import Right, Role
from assay.access.guards import needed_by
from assay.access.types import RIGHTS
from assay.app import HANDLERS

PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/static/{}"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/language"),
}
GATEWAY = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/x"),
]
FOR_EVERYONE = {
    ("GET", "/api/docs"),
    ("GET", "/api/logins"),
    ("DELETE", "/api/logins"),
    ("DELETE", "/api/logins/{}"),
    ("GET", "/api/projects"),
    ("PUT", "/api/account/password"),
    ("GET", "/api/whoami"),
    ("POST", "/logout"),
    ("POST", "/project"),
    ("GET", "/settings"),
    ("POST", "/settings/logins/end"),
    ("POST", "/settings/logins/{}/end"),
    ("POST", "/settings/password"),
}
"""Routes that need a known caller and no right."""
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def routes() -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Method, path with `{}` for its parameters, handler."""
    for handler in HANDLERS:
        assert isinstance(handler, HTTPRouteHandler)
        for path in handler.paths:
            for method in handler.http_methods:
                yield str(method), re.sub(r"\{[^}]+\}", "{}", path), handler


def may(role: Role, wanted: Role | Right | None) -> bool:
    """Whether the tables of rights and roles let the role in."""
    if wanted is None:
        return True
    return role.at_least(wanted) if isinstance(wanted, Role) else role in RIGHTS[wanted]


def status_of(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> int:
    """How a route answers, without waiting for the end of what it says: some tell what is new for ever."""
    with client.stream(method, path, headers=headers) as answer:
        return answer.status_code


ROUTES = [(method, path.replace("{}", "x"), handler) for method, path, handler in routes()]
CLOSED = [each for each in ROUTES if not each[2].opt.get("public")]


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A real server with a key of each role."""
    server = start_assay("").ready()
    server.keys = {
        role: server.http.post("/api/keys", json={"name": f"a {role}", "role": role})
        .raise_for_status()
        .json()["key"]
        for role in Role
    }
    return server


@pytest.fixture
def stranger(server: Any) -> Iterator[httpx.Client]:
    """A client that shows nothing and follows nothing."""
    with httpx.Client(base_url=server.url, timeout=30.0) as client:
        yield client


def test_only_the_known_routes_are_public() -> None:
    assert {(method, path) for method, path, handler in routes() if handler.opt.get("public")} == PUBLIC


def test_every_route_names_the_right_that_it_needs() -> None:
    without = {(method, path) for method, path, handler in routes() if needed_by(handler) is None}
    assert without == PUBLIC | FOR_EVERYONE


def test_every_described_operation_is_among_the_routes(server: Any) -> None:
    described = {
        (method.upper(), re.sub(r"\{[^}]+\}", "x", path))
        for path, operations in server.http.get("/api/openapi.json").json()["paths"].items()
        for method in operations
    }
    assert described
    assert described <= {(method, path) for method, path, _ in ROUTES}


@pytest.mark.parametrize(
    "shown",
    [{}, {"authorization": "Bearer ' or 1=1--"}, {"x-api-key": "sk-assay-"}, {"cookie": "assay_session=x"}],
)
def test_a_stranger_meets_401_or_the_login(stranger: httpx.Client, shown: dict[str, str]) -> None:
    assert len(CLOSED) > 50
    for method, path, _ in CLOSED:
        answer = stranger.request(method, path, headers=shown)
        if method == "GET" and answer.status_code == 303 and not path.startswith("/api/"):
            assert answer.headers["location"].startswith("/login"), (method, path)
        else:
            assert answer.status_code == 401, (method, path, answer.text)
    for method, path in GATEWAY:
        assert stranger.request(method, path, headers=shown).status_code == 401, path


@pytest.mark.parametrize("role", [Role.APP, Role.VIEWER, Role.EDITOR])
def test_a_role_is_let_in_where_its_rights_say_and_nowhere_else(
    server: Any, stranger: httpx.Client, role: Role
) -> None:
    headers = {"authorization": f"Bearer {server.keys[role]}"}
    refused = 0
    for method, path, handler in CLOSED:
        status = status_of(stranger, method, path, headers)
        if may(role, needed_by(handler)):
            assert status not in (401, 403), (role, method, path, status)
            assert status < 500, (role, method, path, status)
        else:
            assert status == 403, (role, method, path, status)
            refused += 1
    assert refused


def test_an_app_reads_nothing_of_the_control_plane_but_prompts(server: Any, stranger: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {server.keys[Role.APP]}"}
    readable = {
        path
        for method, path, _ in CLOSED
        if method == "GET" and status_of(stranger, method, path, headers) != 403
    }
    assert {path for path in readable if not path.startswith("/api/prompts")} == {
        path for method, path in FOR_EVERYONE if method == "GET"
    }


def test_a_login_without_its_csrf_token_changes_nothing(server: Any, stranger: httpx.Client) -> None:
    login = stranger.post("/login", data={"key": server.key})
    assert login.status_code == 303
    assert stranger.get("/keys").status_code == 200
    shown: list[dict[str, Any]] = [
        {},
        {"headers": {"x-csrf-token": ""}},
        {"headers": {"x-csrf-token": "0" * 64}},
        {"headers": {"x-csrf-token": b"\xe9"}},
        {"data": {"csrf_token": "0" * 64}},
        {"data": {"csrf_token": "\xe9"}},
        {"files": {"csrf_token": b"a file"}},
        {"content": b'{"csrf_token": 1}', "headers": {"content-type": "application/json"}},
        {"content": b"\xff\x00", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"\xff\x00", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"params": {"csrf_token": "0" * 64}},
    ]
    unsafe = [(method, path) for method, path, _ in CLOSED if method in UNSAFE]
    assert len(unsafe) > 15
    for method, path in unsafe:
        assert stranger.request(method, path).status_code == 403, (method, path)
    for more in shown:
        answer = stranger.post("/keys", **more)
        assert answer.status_code in (400, 403), (more, answer.status_code)
    assert stranger.get("/keys").status_code == 200, "the login goes on"


def test_other_methods_open_nothing(stranger: httpx.Client) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE"):
        for path in ("/", "/keys", "/api/keys", "/api/openapi.json", "/v1/models", "/v1/chat/completions"):
            status = stranger.request(method, path).status_code
            assert 400 <= status < 500, (method, path, status)


@pytest.mark.parametrize(
    "path",
    [
        "//api/keys",
        "/api//keys",
        "/api/keys/",
        "/api/../api/keys",
        "/api/%2e%2e/api/keys",
        "/api%2fkeys",
        "/%61pi/keys",
        "/API/keys",
        "/api/keys%00",
        "/api/keys;x",
        "/api/keys%3Fx",
        "/healthz/../api/keys",
        "/static/../api/keys",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/static//etc/passwd",
        "/login/../keys",
        "/V1/models",
        "//v1/models",
        "/v1/../api/keys",
        "/v1/models/%2e%2e/%2e%2e/api/keys",
        "/api/openapi.json",
        "/api/openapi.yaml",
        "/api/openapi.yml",
        "/api/swagger",
        "http://127.0.0.1/api/keys",
        "*",
    ],
)
def test_no_way_of_writing_a_path_opens_it(server: Any, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in (303, 400, 401, 404), (answer.status, said)
    if answer.status == 303:
        assert (answer.getheader("location") or "").startswith("/login")
    connection.close()


@pytest.mark.parametrize("piece", [b"x-a: " + b"b" * 10_000 + b"\r\n", b"b" * 10_000], ids=["many", "one"])
def test_headers_without_end_are_cut_off_before_they_fill_the_memory(server: Any, piece: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sender:
        sender.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: a")
        sender.sendall(b"\r\n" if piece.endswith(b"\n") else b"")
        with suppress(ConnectionError):
            for _ in range(2000):
                sender.sendall(piece)
            pytest.fail("20 MB of headers were taken")
    assert server.http.get("/healthz").status_code == 200


def test_long_headers_and_large_bodies_after_them_pass(server: Any) -> None:
    answer = server.http.post(
        "/api/keys", headers={"x-long": "a" * 300_000}, content=b'{"name": "' + b"a" * 3_000_000 + b'"}'
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")
