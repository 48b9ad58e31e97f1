"""People in a real browser: signing in, a password that must be changed, two projects, wide and narrow, light and dark."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import Tab

pytestmark = pytest.mark.browser

FIRST, OWN = "tungsten-mango-42", "amber-otter-19-lakes"
PAGES = ("/settings", "/settings/project", "/users", "/projects", "/audit", "/keys")


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A server with two projects, an admin of the server, and somebody who is viewer in one and editor in the other."""
    server = start_assay("").ready()
    shop = {"id": "shop", "name": "The shop with a rather long name", "admin_key": True}
    key = server.http.post("/api/projects", json=shop).raise_for_status().json()["key"]
    boss = {"name": "boss@example.org", "password": FIRST, "role": "admin", "must_change_password": False}
    server.http.post("/api/users", json=boss).raise_for_status()
    ann = {"name": "ann@example.org", "password": FIRST, "role": "viewer"}
    server.http.post("/api/users", json=ann).raise_for_status()
    httpx.put(
        f"{server.url}/api/users/ann@example.org/role", json={"role": "editor"}, headers={"x-api-key": key}
    ).raise_for_status()
    return server


@pytest.fixture
def tab(server: Any, chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; what went wrong in any of them fails the test."""
    opened: list[Tab] = []

    def make(*, width: int = 1280, scheme: str = "light") -> Tab:
        opened.append(Tab(chromium, server.url, width=width, scheme=scheme))
        return opened[-1]

    yield make
    for each in opened:
        each.page.close()
        assert each.wrong == []


def sign_in(tab: Tab, name: str, password: str) -> None:
    """Through the form, from whatever page is behind it."""
    tab.page.get_by_role("textbox", name="Name").fill(name)
    tab.page.get_by_role("textbox", name="Password").fill(password)
    tab.page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_given_password_is_changed_before_anything_else_and_each_project_has_its_role(
    tab: Callable[..., Tab],
) -> None:
    ann = tab()
    page = ann.page
    page.goto(f"{ann.url}/login")
    sign_in(ann, "ann@example.org", FIRST)
    page.wait_for_url(f"{ann.url}/settings")
    assert page.get_by_text("Choose a password of your own first").is_visible()
    page.goto(f"{ann.url}/traces")
    assert page.url == f"{ann.url}/settings"
    page.get_by_label("Present password").fill(FIRST)
    page.get_by_label("New password", exact=True).fill(OWN)
    page.get_by_label("New password again").fill(OWN)
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("The password is changed").wait_for()
    who = page.get_by_role("link", name=re.compile("ann@example.org"))
    assert "viewer" in who.inner_text()
    page.goto(f"{ann.url}/datasets")
    page.get_by_label("Project: default").click()
    page.get_by_role("button", name=re.compile("The shop")).click()
    page.wait_for_url(f"{ann.url}/datasets")
    assert "editor" in page.get_by_role("link", name=re.compile("ann@example.org")).inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{ann.url}/login")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_pages_of_settings_fit_and_lead_to_each_other(
    tab: Callable[..., Tab], width: int, scheme: str
) -> None:
    boss = tab(width=width, scheme=scheme)
    boss.page.goto(f"{boss.url}/login?next=/settings")
    assert boss.fits()
    sign_in(boss, "boss@example.org", FIRST)
    boss.page.wait_for_url(f"{boss.url}/settings")
    for path in PAGES:
        boss.page.goto(f"{boss.url}{path}")
        assert boss.fits(), path
        assert boss.page.locator("h1").count() == 1
        tabs = boss.page.get_by_role("navigation", name="Settings")
        assert tabs.locator("[aria-current=page]").get_attribute("href") == path
        for other in PAGES:
            assert tabs.locator(f'a[href="{other}"]').count() == 1, (path, other)
    boss.page.get_by_label("Project: default").click()
    assert boss.page.get_by_role("button", name=re.compile("The shop")).is_visible()
    assert boss.fits()
