"""No page keeps anybody out: axe-core finds nothing wrong by WCAG 2.1 A and AA, wide and narrow, light and dark."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser

LOOK = """async () => (await axe.run(document, {
    runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
    resultTypes: ["violations"],
})).violations.map(each => [each.impact, each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 160)), each.nodes[0].any.concat(each.nodes[0].all).map(check => check.message).slice(0, 2)])"""


def wrong(page: Any, axe: str) -> list[Any]:
    """What axe objects to on the page as it is."""
    page.evaluate(axe)
    return list(page.evaluate(LOOK))


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)
def test_every_page_can_be_used_by_everybody(
    house: Any, tab: Callable[..., Any], axe: str, width: int, scheme: str
) -> None:
    here = tab(house.url, width=width, scheme=scheme)
    here.page.goto(f"{house.url}/login")
    found = {"login": wrong(here.page, axe)}
    here.sign_in(house.key)
    for name, path in house.pages.items():
        here.page.goto(house.url + path)
        found[name] = wrong(here.page, axe)
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_over_a_page_can_be_used_too(
    house: Any, tab: Callable[..., Any], axe: str, scheme: str
) -> None:
    here = tab(house.url, scheme=scheme)
    page = here.page
    here.sign_in(house.key)
    page.goto(f"{house.url}/traces")
    page.keyboard.press("?")
    assert wrong(page, axe) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.locator("#palette [role=option]").first.wait_for()
    assert wrong(page, axe) == []

    page.goto(f"{house.url}/playground?model=fast&model=down")
    page.get_by_role("textbox", name="Message").last.fill("one two three")
    page.keyboard.press("Control+Enter")
    page.locator("[data-column][data-state=done]").wait_for()
    page.locator("[data-column][data-state=failed]").wait_for()
    assert wrong(page, axe) == []
    page.locator("[data-action=open-case]:visible").click()
    assert wrong(page, axe) == []
