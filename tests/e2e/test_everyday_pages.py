"""A person watches calls come in, reads a conversation, tries models side by side and finds everything by the keyboard."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from assay.app import HANDLERS

pytestmark = pytest.mark.browser

NO_PAGES = {"/metrics", "/live/events", "/jobs/{job_id:str}/log"}
"""What is asked for by programs and by parts of pages."""


def test_calls_come_to_the_live_page_wait_while_it_is_paused_and_are_filtered(
    house: Any, tab: Callable[..., Any]
) -> None:
    here = tab(house.url)
    page = here.page
    here.sign_in(house.key)
    here.press("g", "l")
    page.wait_for_url("**/live")
    page.locator("[data-live][data-state=live]").wait_for()
    rows = page.locator(".live-rows tbody tr")
    before = rows.count()
    house.call("the first of all")
    page.locator(".live-rows tr", has_text="the first of all").wait_for()
    assert rows.count() == before + 1

    here.press("p")
    page.locator("[data-live][data-state=paused]").wait_for()
    house.call("while paused")
    page.locator("[data-waiting-count]", has_text="1").wait_for()
    assert rows.count() == before + 1
    page.get_by_role("button", name="Go on").click()
    page.locator(".live-rows tr", has_text="while paused").wait_for()
    house.call("after the pause")
    page.locator(".live-rows tr", has_text="after the pause").wait_for()
    assert page.locator(".live-rows tr", has_text="while paused").count() == 1
    assert not page.locator("[data-waiting]").is_visible()

    here.press("j", "Enter")
    page.wait_for_url("**/traces/*")
    page.goto(f"{house.url}/live?user=nobody")
    page.locator("[data-live][data-state=live]").wait_for()
    house.call("of somebody else")
    page.goto(f"{house.url}/live?q=somebody")
    page.locator(".live-rows tr", has_text="of somebody else").wait_for()
    assert page.locator(".live-rows tbody tr").count() == 1
    assert here.wrong == []


def test_the_live_page_goes_on_after_the_server_was_away(
    start_assay: Callable[..., Any], tab: Callable[..., Any], tmp_path: Any
) -> None:
    config = '[providers.s]\ntype = "simulated"\nanswer = "echo"\n[models.m]\nroute = [{ provider = "s", model = "m" }]\n'
    server = start_assay(config, folder=tmp_path).ready()

    def call(text: str) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        server.http.post("/v1/chat/completions", json=body).raise_for_status()

    here = tab(server.url)
    page = here.page
    here.sign_in(server.key)
    page.goto(f"{server.url}/live")
    page.locator("[data-live][data-state=live]").wait_for()
    call("before the end")
    page.locator(".live-rows tr", has_text="before the end").wait_for()
    port = server.port
    server.stop()
    page.locator("[data-live][data-state=lost]").wait_for()
    server = start_assay(config, folder=tmp_path, port=port).ready()
    call("after the restart")
    page.locator(".live-rows tr", has_text="after the restart").wait_for(timeout=20_000)
    assert page.locator(".live-rows tbody tr").count() == 2
    server.stop()


def test_a_conversation_is_read_and_judged(house: Any, tab: Callable[..., Any]) -> None:
    here = tab(house.url)
    page = here.page
    here.sign_in(house.key)
    here.press("g", "s")
    page.wait_for_url("**/sessions")
    page.get_by_role("link", name="chat-2").click()
    turns = page.locator(".turn")
    assert turns.count() == 3
    assert "hello there" in turns.nth(0).locator(".role-user").inner_text()
    assert turns.nth(1).locator(".tool-name").inner_text() == "weather"
    turns.nth(0).get_by_role("button", name="Bad").click()
    page.wait_for_url("**#turn-*")
    assert turns.nth(0).get_by_role("button", name="Bad").get_attribute("aria-pressed") == "true"
    turns.nth(0).locator("summary", has_text="Comment").click()
    turns.nth(0).get_by_role("textbox", name="Comment").fill("too short")
    turns.nth(0).get_by_role("button", name="Keep").click()
    page.get_by_text("too short").wait_for()
    turns.nth(0).get_by_role("link", name="Try").click()
    page.wait_for_url("**/playground?*")
    assert page.get_by_role("textbox", name="Message").last.input_value() == "hello there"
    assert here.wrong == []


def test_models_answer_side_by_side_and_what_is_good_is_kept(house: Any, tab: Callable[..., Any]) -> None:
    here = tab(house.url)
    page = here.page
    here.sign_in(house.key)
    page.goto(f"{house.url}/playground?model=fast&model=down")
    page.get_by_role("button", name="Add a column").click()
    columns = page.locator("[data-column]")
    assert columns.count() == 3
    columns.nth(2).get_by_role("combobox").select_option("task:polish/v2")
    page.get_by_role("textbox", name="Message").nth(0).fill("Be short.")
    page.get_by_role("textbox", name="Message").nth(1).fill("Say {{ what }} twice")
    page.locator("summary", has_text="Inputs").click()
    inputs = page.get_by_role("textbox", name="Inputs")
    inputs.fill('{"what": "rose"')
    page.keyboard.press("Control+Enter")
    assert page.locator("[data-json-error=inputs]").is_visible()
    inputs.fill('{"what": "rose", "text": "me is late"}')
    page.keyboard.press("Control+Enter")
    page.locator("[data-column][data-state=done]").nth(1).wait_for()
    page.locator("[data-column][data-state=failed]").wait_for()
    assert columns.nth(0).locator("[data-text]").inner_text() == "Say rose twice"
    assert "me is late" in columns.nth(2).locator("[data-text]").inner_text()
    assert "cannot be reached" in columns.nth(1).locator("[data-problem]").inner_text()
    assert "$" in columns.nth(0).locator("[data-figure=cost]").inner_text()

    columns.nth(0).get_by_role("button", name="Save as case").click()
    page.get_by_role("combobox", name="Dataset").fill("roses")
    page.locator("#save-case").get_by_role("button", name="Save").click()
    page.locator("#save-case [data-save-done] a", has_text="roses v1").wait_for()
    page.locator("#save-case").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Save as prompt").click()
    page.get_by_role("combobox", name="Name", exact=True).fill("roses")
    page.locator("#save-prompt").get_by_role("button", name="Save").click()
    link = page.locator("#save-prompt [data-save-done] a", has_text="roses v1")
    link.click()
    page.wait_for_url("**/prompts/roses?version=1")
    assert "Say {{ what }} twice" in page.locator("main").inner_text()

    page.goto(f"{house.url}/playground")
    assert page.get_by_role("textbox", name="Message").nth(1).input_value() == "Say {{ what }} twice"
    assert here.wrong == []


def test_stop_cuts_the_upstream_and_the_answer_goes_on_as_a_conversation(
    house: Any, tab: Callable[..., Any]
) -> None:
    here = tab(house.url)
    page = here.page
    here.sign_in(house.key)
    page.goto(f"{house.url}/playground?model=fast")
    page.get_by_role("textbox", name="Message").nth(1).fill("many words " * 100)
    page.locator("summary", has_text="More parameters").click()
    page.get_by_role("textbox", name="More parameters").fill('{"simulate": {"tokens_per_s": 20}}')
    page.keyboard.press("Control+Enter")
    page.locator("[data-text]", has_text="many words").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("[data-column][data-state=stopped]").wait_for()
    page.wait_for_function("document.querySelector('[data-action=stop]').hidden")
    trace = page.locator("[data-trace]").get_attribute("href").rpartition("/")[2]
    assert house.server.model_span(trace)["status"] == "cancelled"
    assert house.upstream.simulation.log[-1].outcome == "cancelled"

    page.get_by_role("button", name="Go on from here").click()
    roles = [role.input_value() for role in page.get_by_role("combobox", name="Role").all()]
    assert roles == ["system", "user", "assistant", "user"]
    page.keyboard.type("and now?")
    page.get_by_role("textbox", name="More parameters").fill("")
    page.keyboard.press("Control+Enter")
    page.locator("[data-column][data-state=done]").wait_for()
    assert page.locator("[data-text]").inner_text() == "and now?"
    assert here.wrong == []


def test_everything_is_found_by_the_keyboard_alone(house: Any, tab: Callable[..., Any]) -> None:
    here = tab(house.url)
    page = here.page
    here.sign_in(house.key)
    ask = page.get_by_role("combobox", name="Page, name or id")
    here.press("Control+k")
    page.get_by_role("option", name="Overview").wait_for()
    assert ask.evaluate("element => document.activeElement === element")
    page.keyboard.type("polish")
    page.get_by_role("option", name="polish / v1").wait_for()
    here.press("ArrowDown")
    chosen = page.locator(f"#{ask.get_attribute('aria-activedescendant')}")
    assert "polish / v1" in chosen.inner_text()
    assert chosen.get_attribute("aria-selected") == "true"
    here.press("ArrowUp", "Enter")
    page.wait_for_url("**/tasks/polish")

    here.press("Control+k")
    page.keyboard.type(house.trace[-8:])
    page.get_by_role("option", name=house.trace).wait_for()
    here.press("Enter")
    page.wait_for_url(f"**/traces/{house.trace}")

    here.press("Control+k")
    page.keyboard.type("zzzz")
    page.get_by_text("Nothing has this name or id.").wait_for()
    here.press("Escape")
    assert not page.locator("#palette").is_visible()
    assert here.wrong == []


def test_a_model_is_tried_on_its_page(house: Any, tab: Callable[..., Any]) -> None:
    here = tab(house.url, width=360)
    page = here.page
    here.sign_in(house.key)
    page.goto(f"{house.url}/models/fast")
    page.get_by_role("button", name="Ask it for one sentence").click()
    page.locator("#trial .message", has_text="Say hello").wait_for()
    assert here.fits()
    page.goto(f"{house.url}/models/down")
    page.get_by_role("button", name="Ask it for one sentence").click()
    page.locator("#trial", has_text="cannot be reached").wait_for()
    assert here.wrong == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_scrolls_sideways_light_or_dark_in_both_languages(
    house: Any, tab: Callable[..., Any], width: int, language: str
) -> None:
    here = tab(house.url, width=width)
    page = here.page
    here.sign_in(house.key)
    page.set_extra_http_headers({"accept-language": language})
    for name, path in house.pages.items():
        status = page.goto(house.url + path).status
        assert status == (404 if name == "nowhere" else 200), name
        if name not in ("HTTP API", "nowhere"):  # an address that leads nowhere has no language yet
            assert page.locator("html").get_attribute("lang") == language, name
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert here.fits(), f"{name} is wider than {width} px"
    assert [each for each in here.wrong if "404" not in each] == []


def test_no_page_is_left_out(house: Any) -> None:
    shown = {path.partition("?")[0] for path in house.pages.values()}
    for handler in HANDLERS:
        if "GET" not in handler.http_methods or handler.include_in_schema or handler.opt.get("public"):
            continue
        for template in sorted(set(handler.paths) - NO_PAGES):
            pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template))
            assert any(pattern.fullmatch(path) for path in shown), f"{template} is looked at by no test"
