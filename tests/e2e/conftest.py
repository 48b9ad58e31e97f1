"""Browser tabs that remember what went wrong in them, and a server where something has happened."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.testing import Rule, Script, SimulatedServer

AXE = Path(os.environ.get("ASSAY_TEST_AXE") or Path(__file__).parents[2] / ".venv/axe/axe-4.14.1.min.js")

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{upstream}"
[providers.nobody]
type = "openai"
base_url = "http://127.0.0.1:1/v1"
[models.fast]
route = [{{ provider = "upstream", model = "u", weight = 3 }}, {{ provider = "upstream", model = "v", weight = 1 }}]
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
fallback = ["large"]
[models.large]
route = [{{ provider = "upstream", model = "l" }}]
[models.down]
route = [{{ provider = "nobody", model = "n" }}]
retries = 0
[tasks.polish]
variants.v1 = {{ model = "fast", prompt = "Correct this:\\n{{{{ text }}}}" }}
variants.v2 = {{ model = "large", prompt = "Mend this:\\n{{{{ text }}}}" }}
release = {{ v1 = 0.9, v2 = 0.1 }}
"""
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}

ASKED_BY_BATCH = {"endpoint": "/v1/chat/completions"}
BATCH_LINE = {
    "custom_id": "one",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "fast", "messages": [{"role": "user", "content": "hello"}]},
}


class Tab:
    """A browser tab that keeps what went wrong in it: messages of the console, errors, requests that should not be."""

    def __init__(self, browser: Any, url: str, *, width: int, scheme: str) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._look_at)

    def _hear(self, message: Any) -> None:
        if message.type in ("warning", "error"):
            self.wrong.append(message.text)

    def _look_at(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")) or request.url.endswith("/owned"):
            self.wrong.append(f"asked for {request.url}")

    def sign_in(self, key: str) -> None:
        """From any page to the overview, through the form."""
        self.page.goto(self.url)
        self.page.get_by_role("textbox", name="Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.url}/")

    def press(self, *keys: str) -> None:
        """One key after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def fits(self) -> bool:
        """Whether the page as a whole does not scroll sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def ground(self) -> str:
        """The colour behind the page."""
        return str(self.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))


class House:
    """A server with a bit of everything: calls, sessions, failures, prompts, runs, a comparison, jobs."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.url, self.key = server.url, server.key
        self.server, self.upstream = server, upstream
        self.http: httpx.Client = server.http
        self.limit = self.post("/api/limits", {"per": "user", "requests_per_minute": 1_000})["id"]
        for number in range(3):
            self.talk(f"chat-{number}")
        self.call("polish it", model="task:polish")
        self.call("is anybody there?", model="down")
        for template in ("Greet {{ name }}.", "Greet {{ name }} kindly."):
            self.post("/api/prompts", {"name": "greeting", "template": template, "labels": ["production"]})
        cases = "\n".join(
            json.dumps({"input": {"text": f"me is {n}"}, "reference": "I am."}) for n in range(6)
        )
        self.http.post("/api/datasets/reviews/versions", content=cases).raise_for_status()
        asked = {"task": "polish", "dataset": "reviews", "scorers": ["exact"]}
        runs = [self.post("/api/runs", {**asked, "variant": variant}) for variant in ("v1", "v2")]
        self.runs = [run["id"] for run in runs]
        self.jobs = [run["job_id"] for run in runs]
        while any(self.http.get(f"/api/jobs/{job}").json()["ended"] is None for job in self.jobs):
            pass
        self.batch, self.bad_batch = [
            self.http.post("/api/batches", params=ASKED_BY_BATCH, content=lines)
            .raise_for_status()
            .json()["id"]
            for lines in (json.dumps(BATCH_LINE), "{nonsense")
        ]
        self.comparison = self.post(
            "/api/comparisons", {"baseline": self.runs[0], "candidate": self.runs[1]}
        )["id"]

    def post(self, path: str, body: Any) -> Any:
        """An answer's JSON."""
        return self.http.post(path, json=body).raise_for_status().json()

    def call(self, text: str, *, model: str = "fast", session: str | None = None, **more: Any) -> str:
        """The trace of a call."""
        message = {"role": "user", "content": text}
        body = {"model": model, "messages": [message], "assay": {"session": session, "user": "ann"}, **more}
        return self.http.post("/v1/chat/completions", json=body).headers["x-assay-trace-id"]

    def talk(self, session: str) -> None:
        """Three turns, one of them with a tool, and a thumb."""
        for text in ("hello there", "weather in Rome", "thank you"):
            self.trace = self.call(text, session=session, tools=[TOOL])
        score = {"trace_id": self.trace, "name": "thumbs", "value": True, "comment": "nice"}
        self.post("/api/scores", score)

    @property
    def pages(self) -> dict[str, str]:
        """Every page that can be looked at, by a name for it."""
        self.server.model_span(self.trace)
        return {
            "overview": "/",
            "live": "/live",
            "traces": "/traces",
            "trace": f"/traces/{self.trace}",
            "details of a trace": f"/traces/{self.trace}?tab=details",
            "JSON of a trace": f"/traces/{self.trace}?tab=raw",
            "sessions": "/sessions",
            "session": "/sessions/chat-1",
            "playground": "/playground?model=fast&model=large",
            "prompts": "/prompts",
            "prompt": "/prompts/greeting",
            "tasks": "/tasks",
            "task": "/tasks/polish",
            "datasets": "/datasets",
            "dataset": "/datasets/reviews",
            "runs": "/runs",
            "run": f"/runs/{self.runs[0]}",
            "comparison": f"/comparisons/{self.comparison}",
            "decisions": "/decisions",
            "models": "/models",
            "model": "/models/fast",
            "model that is down": "/models/down",
            "batches": "/batches",
            "batch": f"/batches/{self.batch}",
            "batch with mistakes": f"/batches/{self.bad_batch}",
            "jobs": "/jobs",
            "job": f"/jobs/{self.jobs[0]}",
            "keys": "/keys",
            "settings": "/settings",
            "project": "/settings/project",
            "limits": "/settings/limits",
            "limit": f"/settings/limits/{self.limit}",
            "cache": "/settings/cache",
            "storage": "/settings/storage",
            "secrets": "/settings/secrets",
            "log": "/audit",
            "accounts": "/users",
            "projects": "/projects",
            "HTTP API": "/api/docs",
            "nowhere": "/nowhere",
        }


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    """One for the module."""
    weather = Rule(match="weather in (?P<city>\\w+)", tool="weather", arguments={"city": "Rome"})
    with SimulatedServer(Script(answer="echo", rules=(weather,))) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream.url)).ready()
        yield House(server, upstream)
        server.stop()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        pytest.skip(f"{AXE} is not there; scripts/axe brings it")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    opened: list[Tab] = []

    def open_tab(url: str, *, width: int = 1280, scheme: str = "light") -> Tab:
        opened.append(Tab(chromium, url, width=width, scheme=scheme))
        return opened[-1]

    yield open_tab
    for each in opened:
        each.page.close()
