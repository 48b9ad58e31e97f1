"""The shell in a real browser: its own scripts and htmx under the strict policy, the keyboard, the theme, 360 px."""

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import jinja2
import msgspec
import pytest
import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State

from assay.ui import assets, shell

pytestmark = pytest.mark.browser

PAGE = """{% extends "shell.html" %}{% import "components.html" as ui with context %}{% block content %}
{% call ui.poll("work", "/", active=(round < 3), seconds=0.1) %}{{ ui.progress(round, 3) }}<b id="round">{{ round }}</b>{% endcall %}
{% call ui.filters("/traces") %}{{ ui.field("q", "Search", type="search") }}{% endcall %}
{% call ui.table(["Name", ("What", "clip"), ("Cost", "num")], "Rows") %}{% for i in range(3) %}<tr class="link">
<td><a class="row-link" href="/traces?row={{ i }}">row {{ i }}</a></td><td class="clip">{{ hostile }}</td><td class="num">$1</td></tr>{% endfor %}{% endcall %}
{{ ui.code("assay demo " ~ "x" * 200) }}{{ ui.bubble("user", hostile) }}
{% call ui.waterfall(100) %}{{ ui.waterfall_row("a", "model", 0, 100, 100) }}{% endcall %}{% endblock %}"""


class _Person(msgspec.Struct, frozen=True):
    name: str = "Ada"
    role: str = "admin"


class _Context(msgspec.Struct, frozen=True):
    round: int
    hostile: str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>" * 5


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    rounds = iter(range(1, 1000))

    @get(["/", "/traces"], sync_to_thread=False)
    def show(request: Request[Any, Any, Any]) -> Response[str]:
        return shell.page(request, "page.html", _Context(next(rounds)), title="Page")

    environment = shell.environment([])
    assert environment.loader is not None
    environment.loader = jinja2.ChoiceLoader([environment.loader, jinja2.DictLoader({"page.html": PAGE})])
    surroundings = shell.Shell(
        environment, nav=shell.NAVIGATION, person=lambda request: _Person(), csrf_token=lambda request: "t"
    )
    app = Litestar([show, *assets.handlers], state=State({"shell": surroundings}))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_works_under_its_own_policy(address: str, chromium: Any, width: int, scheme: str) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)

    page.locator("#round", has_text=re.compile(r"^([3-9]|\d\d+)$")).wait_for()
    assert page.locator("#work[hx-get]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.keyboard.press("?")
    assert page.locator("#keys-help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "row 1"
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces?row=1")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(f"{address}/")

    page.locator("[data-action=theme]").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.title() == "Page · Assay"
    assert said == []
    page.close()
