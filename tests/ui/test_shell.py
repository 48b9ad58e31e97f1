from typing import Any

import msgspec
import pytest
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.testing import RequestFactory, TestClient

from assay.errors import Forbidden
from assay.ui import shell


class _Person(msgspec.Struct, frozen=True):
    name: str
    role: str


class _Hiding(msgspec.Struct, frozen=True):
    title: str


@get("/traces/{trace_id:str}", sync_to_thread=False)
def missing(request: Request[Any, Any, Any], trace_id: FromPath[str]) -> Response[str]:
    return shell.error_page(request, status=404, request_id="r-1")


@get("/forbidden", sync_to_thread=False)
def forbidden(request: Request[Any, Any, Any]) -> Response[str]:
    return shell.error_page(request, Forbidden("<b>No</b>", hint="Ask <i>an admin</i>."))


ADA = _Person("<b>Ada</b>", "admin")


def _client(person: _Person | None = ADA) -> TestClient[Litestar]:
    surroundings = shell.Shell(
        shell.environment([]),
        nav=shell.NAVIGATION,
        person=lambda request: person,
        csrf_token=lambda request: "token",
        banners=lambda: [shell.Banner("The spool <cannot> be written", "Free some disk.")],
    )
    return TestClient(
        Litestar([missing, forbidden], state=State({"shell": surroundings})),
        raise_server_exceptions=True,
    )


def test_every_page_is_sealed_by_its_headers() -> None:
    with _client() as client:
        answer = client.get("/forbidden")
    assert answer.status_code == 403
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_place_where_one_is_and_what_is_wrong_are_told() -> None:
    with _client() as client:
        page = client.get("/traces/abc").text
    assert page.count('aria-current="page"') == 1
    assert 'href="/traces" data-key="t" aria-current="page"' in page
    assert "The spool &lt;cannot&gt; be written" in page
    assert "&lt;b&gt;Ada&lt;/b&gt;" in page
    assert "r-1" in page


def test_an_error_shows_its_message_and_hint_escaped() -> None:
    with _client() as client:
        page = client.get("/forbidden").text
    assert "&lt;b&gt;No&lt;/b&gt;" in page
    assert "<i>an admin</i>" not in page


def test_without_a_person_there_is_no_navigation() -> None:
    with _client(None) as client:
        page = client.get("/forbidden").text
    assert '<nav aria-label="Main">' not in page
    assert "Not allowed" in page


def test_a_context_may_not_hide_what_the_shell_says() -> None:
    shell_of_app = _client().app.state.shell
    request: Request[Any, Any, Any] = RequestFactory().get("/")
    with pytest.raises(TypeError, match="hides the shell's title"):
        shell_of_app.render(request, "ui/error.html", _Hiding("x"), title="y")


def test_letters_of_the_navigation_are_not_taken_twice() -> None:
    letters = [item.key for item in shell.NAVIGATION]
    assert len(set(letters)) == len(letters)


def test_addresses_keep_what_is_set_and_drop_what_is_not() -> None:
    assert shell.url("/x", a="1 2", b=None, c="", d=0) == "/x?a=1+2&d=0"
    assert shell.here("/x", "a=1&cursor=z", cursor=None, b="&") == "/x?a=1&b=%26"
