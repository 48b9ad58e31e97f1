"""A real server whose models are simulated upstreams."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from assay.testing import Rule, Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{upstream}"
[providers.nobody]
type = "openai"
base_url = "http://127.0.0.1:1/v1"

[models.fast]
route = [{{ provider = "upstream", model = "upstream-name" }}]
retries = 0
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
[models."acme/slow"]
route = [{{ provider = "upstream", model = "slow" }}]
retries = 0
[models.down]
route = [{{ provider = "nobody", model = "n" }}]
retries = 0

[tasks.polish]
variants.v1 = {{ model = "fast", prompt = "Correct this:\\n{{{{ text }}}}", parameters = {{ temperature = 0.5 }} }}
"""
SCRIPT = Script(
    answer="echo",
    rules=(Rule(match="weather in (?P<city>\\w+)", tool="weather", arguments={"city": "Rome"}),),
)


class House:
    """The server and its upstream."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.http = server.http
        self.upstream = upstream

    def key(self, role: str) -> dict[str, str]:
        """The headers of a new key."""
        made = self.http.post("/api/keys", json={"name": f"a {role}", "role": role}).raise_for_status().json()
        return {"authorization": f"Bearer {made['key']}"}

    def ask(self, target: str = "fast", text: str = "one two three", **more: Any) -> list[tuple[str, Any]]:
        """The events of a call."""
        body = {"target": target, "messages": [{"role": "user", "content": text}], **more}
        answer = self.http.post("/api/playground/calls", json=body)
        assert answer.status_code == 200, answer.text
        return events_of(answer.text)

    @property
    def asked(self) -> Any:
        """The body that the upstream was last asked with."""
        return self.upstream.simulation.log[-1].body


def events_of(text: str) -> list[tuple[str, Any]]:
    """Server-sent events by name, with what they say."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    """One for the module."""
    with SimulatedServer(SCRIPT) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream.url)).ready()
        yield House(server, upstream)
        server.stop()


@pytest.fixture
def stranger(house: House) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=house.server.url, timeout=30) as client:
        yield client
