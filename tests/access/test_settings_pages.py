"""The pages about oneself, the project, accounts and projects."""

import re
from typing import Any

import pytest
from tests.access.conftest import PASSWORD
from tests.access.test_accounts import signed_in

from assay.access import Role
from assay.access.settings_pages import browser_name


def post(client: Any, path: str, **data: str) -> Any:
    """A form as the browser sends it."""
    return client.post(path, data={**data, "csrf_token": client.headers["x-csrf-token"]})


def shown_password(text: str) -> str:
    found = re.search(r"<code data-copy-text>([a-z0-9-]{23})</code>", text)
    assert found
    return found[1]


def test_who_has_no_account_is_told_why_one_is_better(house: Any) -> None:
    with house.client() as client:
        client.post("/login", data={"key": house.admin_key})
        text = client.get("/settings").text
        assert "This login is with a key" in text
        assert 'action="/settings/password"' not in text
        assert "Make an account" in text
        assert "No account yet" in client.get("/users").text
        assert "Nobody has a role here" in client.get("/settings/project").text


def test_each_role_sees_the_settings_that_are_its_own(house: Any) -> None:
    house.project("shop")
    house.user("viewer", default=Role.VIEWER)
    house.user("admin", shop=Role.ADMIN)
    house.user("operator", default=Role.ADMIN)
    sections = {"/settings/project", "/keys", "/audit", "/users", "/projects"}
    expected = {
        "viewer": set(),
        "admin": {"/settings/project", "/keys", "/audit"},
        "operator": sections,
    }
    for name, wanted in expected.items():
        with signed_in(house, name) as client:
            tabs = client.get("/settings").text.partition('<nav class="tabs"')[2].partition("</nav>")[0]
            assert {path for path in sections if f'href="{path}"' in tabs} == wanted
            for path in sections:
                assert client.get(path).status_code == (200 if path in wanted else 403), (name, path)


def test_an_account_is_made_reset_disabled_and_enabled_on_the_page(house: Any) -> None:
    house.project("shop")
    house.user("boss", default=Role.ADMIN)
    with signed_in(house, "boss") as boss:
        made = post(boss, "/users", name="ann@example.org", project="shop", role="editor")
        first = shown_password(made.text)
        assert "ann@example.org" in made.text
        assert "shop: editor" in made.text
        assert first not in boss.get("/users").text
        again = post(boss, "/users", name="ann@example.org", project="shop", role="editor")
        assert (again.status_code, "already" in again.text) == (409, True)
        reset = post(boss, "/users/ann@example.org/password")
        assert shown_password(reset.text) != first
        assert post(boss, "/users/ann@example.org/disable").headers["location"] == "/users"
        assert "disabled" in boss.get("/users").text
        assert post(boss, "/users/ann@example.org/enable").status_code == 303
        missing = post(boss, "/users/nobody/disable")
        assert (missing.status_code, "no account" in missing.text) == (404, True)
        own = post(boss, "/users/boss/disable")
        assert own.status_code == 303, "the first key is an admin too"


def test_roles_are_given_changed_and_taken_on_the_page_of_the_project(house: Any) -> None:
    house.user("boss", default=Role.ADMIN)
    house.user("ann")
    with signed_in(house, "boss") as boss:
        given = post(boss, "/settings/project/people", user="ann", role="viewer")
        assert given.headers["location"] == "/settings/project#people"
        post(boss, "/settings/project/people", user="ann", role="editor")
        with signed_in(house, "ann") as ann:
            assert ann.get("/api/whoami").json()["role"] == "editor"
            escalated = post(ann, "/settings/project/people", user="ann", role="admin")
            assert escalated.status_code == 403
            assert ann.get("/api/whoami").json()["role"] == "editor"
        unknown = post(boss, "/settings/project/people", user="<b>zed</b>", role="viewer")
        assert (unknown.status_code, "<b>zed" in unknown.text) == (404, False)
        assert post(boss, "/settings/project/people/remove", user="ann").status_code == 303
        assert post(boss, "/settings/project/people/remove", user="ann").status_code == 404
        assert post(boss, "/settings/project/people", user="ann", role="root").status_code == 400


def test_a_project_is_made_entered_renamed_archived_and_restored_on_the_pages(house: Any) -> None:
    house.user("boss", default=Role.ADMIN)
    with signed_in(house, "boss") as boss:
        assert 'class="switch"' not in boss.get("/settings").text, (
            "with one project there is nothing to switch"
        )
        assert post(boss, "/projects", id="shop", name="").headers["location"] == "/projects"
        bad = post(boss, "/projects", id="Not an id", name="x")
        assert (bad.status_code, 'value="Not an id"' in bad.text) == (400, True)
        page = boss.get("/settings").text
        assert 'class="switch"' in page
        assert post(boss, "/project", project="shop", next="/settings/project").status_code == 303
        boss.headers["x-csrf-token"] = boss.get("/api/whoami").json()["csrf_token"]
        renamed = post(boss, "/settings/project", name="The <i>shop</i>")
        assert renamed.headers["location"] == "/settings/project"
        text = boss.get("/settings/project").text
        assert "The &lt;i&gt;shop" in text
        assert "<i>shop" not in text
        assert "Archive this project" in text
        assert post(boss, "/projects/shop/archive").status_code == 303
        assert boss.get("/api/whoami").json()["project"] == "default", "one is led back to where one may be"
        boss.headers["x-csrf-token"] = boss.get("/api/whoami").json()["csrf_token"]
        assert "archived" in boss.get("/projects").text
        assert post(boss, "/projects/default/archive").status_code == 409
        assert post(boss, "/projects/shop/restore").status_code == 303


def test_logins_are_shown_by_browser_and_ended_on_the_page(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0"
    with house.client() as other, signed_in(house, "ann") as ann:
        other.post("/login", data={"user": "ann", "password": PASSWORD}, headers={"user-agent": firefox})
        text = ann.get("/settings").text
        assert "Firefox on Linux" in text
        found = re.search(r"/settings/logins/([0-9a-f-]{36})/end", text)
        assert found
        assert post(ann, found[0]).headers["location"] == "/settings#logins"
        assert other.get("/api/whoami").status_code == 401
        assert post(ann, found[0]).status_code == 404
        with signed_in(house, "ann") as third:
            assert "End all others" in ann.get("/settings").text
            assert post(ann, "/settings/logins/end").status_code == 303
            assert third.get("/api/whoami").status_code == 401
        assert ann.get("/api/whoami").status_code == 200


def test_the_pages_speak_to_whoever_must_choose_a_password(house: Any) -> None:
    house.user("ann", must_change=True, default=Role.VIEWER)
    with signed_in(house, "ann") as ann:
        answer = ann.get("/")
        assert ann.get("/settings").text.count("Choose a password of your own first") == 1
        assert answer.status_code in (303, 404)
        for path in ("/settings/project", "/users", "/keys", "/audit", "/projects"):
            assert ann.get(path).headers["location"] == "/settings"
        assert ann.get("/api/logins").json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("curl/8.9.1", "curl/8.9.1"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/156 Safari/537 Edg/156", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/26 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/156 Mobile Safari/537", "Chrome on Android"),
        ("x" * 1000, "x" * 40),
    ],
)
def test_a_browser_is_called_by_its_name(agent: str | None, name: str) -> None:
    assert browser_name(agent) == name
