"""A real server, and the simulated upstreams that its models lead to."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from assay.testing import Rule, Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{upstream}"
[providers.faulty]
type = "openai"
base_url = "{faulty}"
api_key = "file:faulty.key"
[providers.nobody]
type = "openai"
base_url = "http://127.0.0.1:1/v1"

[models.fast]
route = [{{ provider = "upstream", model = "upstream-name" }}]
retries = 0
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
[models.cached]
route = [{{ provider = "upstream", model = "upstream-name" }}]
retries = 0
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
cache = {{ ttl_s = 600 }}
[models.unpriced]
route = [{{ provider = "upstream", model = "upstream-name" }}]
retries = 0
[models.faulty]
breaker = {{ failures = 0 }}
route = [{{ provider = "faulty", model = "f" }}]
retries = 0
timeout = {{ first_token_s = 1.0, idle_s = 0.5 }}
[models.stubborn]
breaker = {{ failures = 0 }}
route = [{{ provider = "faulty", model = "f" }}]
retries = 2
[models.backed]
breaker = {{ failures = 0 }}
route = [{{ provider = "faulty", model = "f" }}]
fallback = ["fast"]
retries = 0
timeout = {{ first_token_s = 0.5 }}
[models.down]
route = [{{ provider = "nobody", model = "n" }}]
retries = 0
[models.chat-only]
route = [{{ provider = "upstream", model = "upstream-name" }}]
retries = 0
completions = "chat"

[tasks.faq]
cache = {{ ttl_s = 600, similarity = 0.7, encoder = "unpriced", input = "question" }}
release = {{ v1 = 1.0 }}
[tasks.faq.variants.v1]
model = "fast"
messages = [
  {{ role = "system", content = "Speak {{{{ language }}}}." }},
  {{ role = "user", content = "Answer: {{{{ question }}}}" }},
]
[tasks.polish]
variants.v1 = {{ model = "fast", prompt = "Correct this:\\n{{{{ text }}}}", parameters = {{ temperature = 0.5 }} }}
release = {{ v1 = 1.0 }}
[tasks.support]
release = {{ v1 = 1.0 }}
[tasks.support.variants.v1]
model = "fast"
messages = [
  {{ role = "system", content = "Speak {{{{ language }}}}." }},
  {{ role = "history" }},
  {{ role = "user", content = "Answer: {{{{ question }}}}" }},
]
[tasks.open]
allow_system = true
variants.v1 = {{ model = "fast", prompt = "{{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""


class House:
    """The server, its upstreams and clients for it."""

    def __init__(self, server: Any, upstream: SimulatedServer, faulty: SimulatedServer) -> None:
        self.server = server
        self.http = server.http
        self.upstream = upstream
        self.faulty = faulty

    def client(self, key: str | None = None) -> openai.OpenAI:
        """The official client; it repeats nothing by itself, so that each test sees one call."""
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key=key or self.server.key, max_retries=0)

    def key(self, **of: Any) -> str:
        """A new key."""
        made = self.http.post("/api/keys", json={"name": "test", **of}).raise_for_status().json()
        return str(made["key"])

    def chat(
        self, model: str = "fast", text: str = "one two three", *, headers: Any = None, **more: Any
    ) -> Any:
        """A bare call; nothing is raised for an error status."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    @property
    def asked(self) -> Any:
        """The body that the upstream was last asked with."""
        return self.upstream.simulation.log[-1].body

    def behave(self, **figures: Any) -> None:
        """How the faulty upstream is from now on."""
        defaults = {
            name: getattr(FAULTY, name) for name in ("status", "retry_after_s", "head_s", "tokens_per_s")
        }
        defaults |= {"cut_at": None, "stall_at": None, "malformed_at": None, "error_at": None, "usage": True}
        self.faulty.simulation.change(**(defaults | figures))


FAULTY = Script(api_key="sk-upstream", answer="fixed", text="one two three four five six")


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "faulty.key").write_text("sk-upstream\n")
    weather = Rule(match="weather in (?P<city>\\w+)", tool="weather", arguments={"city": "Rome"})
    with (
        SimulatedServer(Script(answer="echo", rules=(weather,))) as upstream,
        SimulatedServer(FAULTY) as faulty,
    ):
        config = CONFIG.format(upstream=upstream.url, faulty=faulty.url)
        server = start_assay(config, folder=folder).ready()
        yield House(server, upstream, faulty)
        server.stop()


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with house.client() as client:
        yield client


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until it holds; returns what held."""

    def wait(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.01)
        return found

    return wait
