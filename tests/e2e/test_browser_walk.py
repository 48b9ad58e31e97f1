"""A person walks the demo in a real browser: comparison, trace, rollback, by mouse and by keyboard, wide and narrow.

The server is a real one; its model is simulated, and answers so that one prompt of the demo is clearly better.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from assay.demo import story
from assay.sdk.client import Client
from assay.testing import Rule, Script, SimulatedServer

pytestmark = pytest.mark.browser

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{upstream}"
[models.{model}]
route = [{{ provider = "upstream", model = "{model}" }}]
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
"""
CASES = 60
HOSTILE = "<script>document.title='owned'</script><img src=/owned onerror=\"document.title='owned'\">"
"""A review that a page must show, never obey; the model says it back."""

VERDICT = re.compile(r"The candidate is better by \+[2-9]\d\.\d.points \[95.%: .*McNemar.*n.=.61")
PLACES = (
    "Overview",
    "Live",
    "Traces",
    "Sessions",
    "Playground",
    "Prompts",
    "Tasks",
    "Datasets",
    "Runs",
    "Decisions",
    "Models",
    "Batches",
    "Jobs",
    "Keys",
    "Settings",
)
EMPTY = {
    "Overview": "No calls in this time",
    "Live": "Waiting for the first call",
    "Traces": "No traces in this time",
    "Sessions": "No sessions in this time",
    "Playground": "No model can be called yet",
    "Prompts": "No prompt yet",
    "Tasks": "No task yet",
    "Datasets": "No dataset yet",
    "Runs": "No runs yet",
    "Decisions": "No decisions yet",
    "Models": "No model can be called yet",
    "Jobs": "No jobs yet",
}
"""What each place says before anything happened; Keys is never empty."""


class Walk(msgspec.Struct, frozen=True):
    """A server where the demo has been played, and where its pages are."""

    url: str
    key: str
    runs: dict[str, story.Run]
    comparison: str
    hostile_trace: str


def script() -> Script:
    """The open question gets four answers of five right; the one word is always "positive"."""
    rows = [json.loads(line) for line in (files("assay.demo") / "reviews.jsonl").read_text().splitlines()]
    bad = [row["input"]["review"] for row in rows if row["reference"] == "negative"]
    known = "|".join(re.escape(review) for number, review in enumerate(bad) if number % 5)
    asked = r"What is the sentiment of this review\?\s+"
    return Script(
        answer="fixed",
        text="positive",
        rules=(
            Rule(match=asked + re.escape(HOSTILE), answer=f"negative {HOSTILE}"),
            Rule(match=f"{asked}(?:{known})", answer="The sentiment is negative."),
        ),
    )


def rows() -> bytes:
    """The first reviews of the demo after a hostile one."""
    hostile = {"id": "hostile-01", "input": {"review": HOSTILE}, "reference": "negative"}
    lines = (files("assay.demo") / "reviews.jsonl").read_text().splitlines()[:CASES]
    return "\n".join([json.dumps(hostile), *lines]).encode()


def play(client: Client, url: str, key: str) -> Walk:
    """The demo's own steps, on a smaller dataset."""
    story.prepare(client)
    client.post(f"/api/datasets/{story.DATASET}/versions", rows())
    story.release_baseline(client)
    runs = {name: story.start_run(client, name) for name in story.PROMPTS}
    story.follow(client, runs, {name: lambda done, total: None for name in runs})
    comparison = story.compare(client, runs)
    assert story.promote(client, comparison["id"])
    story.call_live(client, url, lambda piece: None)
    results = client.pages(f"/api/runs/{runs[story.CANDIDATE].id}/cases")
    (trace,) = [result["trace_id"] for result in results if result["case_id"] == "hostile-01"]
    return Walk(url, key, runs, comparison["id"], trace)


@pytest.fixture(scope="module")
def walk(start_assay: Callable[..., Any]) -> Iterator[Walk]:
    with SimulatedServer(script()) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream.url, model=story.MODEL)).ready()
        with closing(Client(server.url, server.key)) as client:
            yield play(client, server.url, server.key)


def test_a_person_walks_from_the_demo_to_a_rollback(walk: Walk, tab: Callable[..., Any]) -> None:
    here = tab(walk.url)
    page = here.page
    here.sign_in(walk.key)
    assert int(page.locator(".stat-value").first.inner_text()) > 2 * CASES
    assert page.get_by_role("link", name=story.MODEL).count() > 0

    page.get_by_role("link", name="Runs").click()
    page.get_by_role("link", name=f"{story.TASK}/{story.CANDIDATE}").click()
    page.get_by_role("link", name="as the candidate").click()
    page.wait_for_url(f"**/comparisons/{walk.comparison}")
    assert page.locator(".side nav [aria-current] span").inner_text() == "Runs"
    sentence = page.locator(".verdict-sentence").inner_text()
    assert VERDICT.search(sentence), sentence
    assert page.locator("svg[role=img]").first.is_visible()

    page.get_by_role("link", name="Candidate better").click()
    page.wait_for_url("**show=better*")
    row = page.locator("#cases tbody tr").filter(has=page.get_by_text("hostile-01"))
    assert HOSTILE in row.inner_text()
    row.get_by_role("link", name="trace").last.click()
    page.wait_for_url(f"**/traces/{walk.hostile_trace}")
    assert page.locator(".waterfall li").count() >= 1
    assert HOSTILE in page.locator(".role-user").inner_text()
    assert HOSTILE in page.locator(".role-assistant").inner_text()
    assert "owned" not in page.title()

    page.get_by_role("link", name="Tasks").click()
    page.get_by_role("link", name=story.TASK).click()
    serving = page.locator("#serving tbody tr")
    assert f"{story.CANDIDATE}" in serving.first.inner_text()
    page.locator("summary", has_text="Roll back").click()
    question = page.locator(".confirm-box")
    assert "Serve again" in question.inner_text()
    question.get_by_role("button", name="Roll back").click()
    page.wait_for_load_state()
    assert "100" in serving.filter(has_text=story.BASELINE).inner_text()
    assert page.locator("#history tbody tr").first.get_by_text("rolled back").is_visible()

    page.get_by_role("link", name="Decisions").click()
    assert "rolled back" in page.locator("section.panel").first.inner_text()
    assert "promoted" in page.locator("section.panel").nth(1).inner_text()

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login*")
    page.goto(f"{walk.url}/traces")
    page.wait_for_url("**/login*")
    assert here.wrong == []


def test_the_keyboard_leads_to_every_place_and_explains_itself(walk: Walk, tab: Callable[..., Any]) -> None:
    here = tab(walk.url)
    page = here.page
    here.sign_in(walk.key)
    here.press("?")
    assert page.locator("#keys-help").get_by_text("Traces").is_visible()
    here.press("Escape")
    assert not page.locator("#keys-help").is_visible()
    here.press("g", "t")
    page.wait_for_url("**/traces")
    here.press("j", "Enter")
    page.wait_for_url("**/traces/*")
    here.press("g", "k")
    page.wait_for_url("**/tasks")
    assert here.wrong == []


@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_scrolls_sideways_or_breaks_the_policy_light_or_dark(
    walk: Walk, tab: Callable[..., Any], width: int
) -> None:
    here = tab(walk.url, width=width)
    page = here.page
    page.goto(walk.url)
    assert here.fits()
    here.sign_in(walk.key)
    for path in (
        "/",
        "/traces",
        f"/traces/{walk.hostile_trace}",
        f"/traces/{walk.hostile_trace}?tab=details",
        f"/traces/{walk.hostile_trace}?tab=raw",
        "/runs",
        f"/runs/{walk.runs[story.CANDIDATE].id}",
        f"/comparisons/{walk.comparison}",
        "/tasks",
        f"/tasks/{story.TASK}",
        "/datasets",
        f"/datasets/{story.DATASET}",
        "/decisions",
        "/jobs",
        f"/jobs/{walk.runs[story.CANDIDATE].job_id}",
        "/keys",
    ):
        assert page.goto(walk.url + path).status == 200, path
        grounds = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            grounds.add(here.ground())
            assert here.fits(), f"{path} is wider than {width} px"
        assert len(grounds) == 2, f"{path} looks the same, light and dark"
        assert "owned" not in page.title()
    assert here.wrong == []


def test_an_empty_server_teaches_on_every_page_and_errors_stay_in_the_shell(
    start_assay: Callable[..., Any], tab: Callable[..., Any]
) -> None:
    server = start_assay().ready()
    here = tab(server.url, width=360)
    page = here.page
    here.sign_in(server.key)
    links = {link.inner_text(): link.get_attribute("href") for link in page.locator(".side nav a span").all()}
    assert tuple(links) == PLACES
    for place in PLACES:
        page.get_by_role("link", name=place, exact=True).click()
        page.get_by_role("heading", level=1, name=place).wait_for()
        if place in EMPTY:
            assert page.locator(".empty h2").inner_text() == EMPTY[place]
        assert here.fits(), place
        assert page.locator(".side nav [aria-current]").bounding_box()["x"] < 360, place
    assert here.wrong == []

    assert page.goto(f"{server.url}/nowhere").status == 404
    assert page.locator(".side nav").is_visible()
    assert page.locator("h1").inner_text() == "Not found"
    assert page.get_by_text("There is no such page.").is_visible()
    assert page.goto(f"{server.url}/traces/{'0' * 32}").status == 404
    assert page.locator(".error-page").is_visible()

    viewer = server.http.post("/api/keys", json={"name": "reader", "role": "viewer"}).json()["key"]
    other = tab(server.url)
    other.sign_in(viewer)
    assert other.page.goto(f"{server.url}/keys").status == 403
    assert other.page.locator(".side nav").is_visible()
    assert other.page.locator("h1").inner_text() == "Not allowed"
