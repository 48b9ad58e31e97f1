"""The configuration read anew under load: no call is lost, and a mistake changes nothing."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.up]
type = "openai"
base_url = "{url}"
api_key = "{key}"
[models.fast]
route = [{{ provider = "up", model = "{model}" }}]
retries = 0
"""
TASK = """
[tasks.polish]
variants.v1 = {{ model = "{model}", prompt = "Correct: {{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""


def ask(server: Any, model: str = "fast", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}], **more}
    answer: httpx.Response = server.http.post("/v1/chat/completions", json=body)
    return answer


def test_no_call_is_lost_while_the_configuration_changes_again_and_again(
    start_assay: Callable[..., Any],
) -> None:
    with (
        SimulatedServer(Script(answer="echo", first_token_s=0.02)) as one,
        SimulatedServer(Script(answer="echo")) as two,
    ):
        server = start_assay(CONFIG.format(url=one.url, key="k0", model="m0")).ready()
        over = threading.Event()

        def client(number: int) -> list[int]:
            statuses = []
            while not over.is_set():
                answer = ask(server, stream=number % 2 == 0)
                whole = answer.text.endswith("[DONE]\n\n") or number % 2
                statuses.append(answer.status_code if whole else -1)
            return statuses

        with ThreadPoolExecutor(16) as clients:
            running = [clients.submit(client, number) for number in range(16)]
            for turn in range(1, 13):
                url = (one, two)[turn % 2].url
                server.config.write_text(CONFIG.format(url=url, key=f"k{turn}", model=f"m{turn}"))
                done = server.http.post("/api/reload").raise_for_status().json()
                assert done["providers"]["changed"] == ["up"]
                assert ask(server).status_code == 200
            over.set()
            statuses = [status for each in running for status in each.result()]
        assert set(statuses) == {200}
        assert len(statuses) > 100
        bodies = [call.body["model"] for call in (*one.simulation.log, *two.simulation.log)]
        assert {"m0", "m12"} <= set(bodies)


def test_a_stream_that_runs_ends_with_the_provider_that_it_began_with(
    start_assay: Callable[..., Any],
) -> None:
    slow = Script(answer="lorem", output_tokens=20, tokens_per_s=20)
    with SimulatedServer(slow) as one, SimulatedServer(Script(answer="echo")) as two:
        server = start_assay(CONFIG.format(url=one.url, key="k", model="m")).ready()
        body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        with server.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.config.write_text(CONFIG.format(url=two.url, key="k", model="m"))
            assert httpx.post(
                f"{server.url}/api/reload", headers={"authorization": f"Bearer {server.key}"}, timeout=30
            ).json()["providers"]["changed"] == ["up"]
            rest = list(lines)
        assert "data: [DONE]" in rest
        assert (len(one.simulation.log), len(two.simulation.log)) == (1, 0)
        assert ask(server).status_code == 200
        assert len(two.simulation.log) == 1


def test_models_tasks_and_prices_come_and_go(start_assay: Callable[..., Any]) -> None:
    with SimulatedServer(Script(answer="echo")) as up:
        config = CONFIG.format(url=up.url, key="k", model="m")
        server = start_assay(config).ready()
        more = '[models.new]\nroute = [{ provider = "up", model = "n" }]\nprice = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 }\n'
        server.config.write_text(config + more + TASK.format(model="new"))
        done = server.http.post("/api/reload").raise_for_status().json()
        assert (done["models"]["added"], done["tasks"]["added"]) == (["new"], ["polish"])
        assert ask(server, "new").headers["x-assay-cost-usd"] == "0.000006"
        assert ask(server, "task:polish").status_code == 200
        server.config.write_text(config)
        assert server.http.post("/api/reload").json()["models"]["removed"] == ["new"]
        assert ask(server, "new").status_code == 404
        assert "fast" in server.http.get("/models").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.fast]\nroute = []", "must name at least one upstream"),
        ("not toml", "is not TOML"),
        ('[providers.up]\ntype = "openai"\nwings = 2', "wings"),
    ],
)
def test_a_file_with_a_mistake_changes_nothing_and_is_shown(
    start_assay: Callable[..., Any], text: str, said: str
) -> None:
    with SimulatedServer(Script(answer="echo")) as up:
        config = CONFIG.format(url=up.url, key="k", model="m")
        server = start_assay(config).ready()
        server.config.write_text(text)
        answer = server.http.post("/api/reload")
        assert (answer.status_code, said in answer.text) == (400, True)
        assert ask(server).status_code == 200
        assert said in json.dumps(server.http.get("/readyz").json()["troubles"])
        server.config.write_text(config)
        assert server.http.post("/api/reload").status_code == 200
        assert server.http.get("/readyz").json()["troubles"] == []


def test_a_signal_and_a_command_do_it_too(start_assay: Callable[..., Any]) -> None:
    with SimulatedServer(Script(answer="echo")) as up:
        server = start_assay(CONFIG.format(url=up.url, key="k", model="m")).ready()
        server.config.write_text(CONFIG.format(url=up.url, key="k", model="other"))
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while ask(server).status_code != 200 or up.simulation.log[-1].body["model"] != "other":
            assert time.monotonic() < deadline
        server.config.write_text("[server]\nport = 9\n" + CONFIG.format(url=up.url, key="k2", model="other"))
        command = [sys.executable, "-m", "assay", "--url", server.url, "--key", server.key, "reload"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, "providers changed: up\n")
        assert "port" in ran.stderr
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.stdout == "Nothing has changed.\n"


def test_only_who_runs_the_server_reloads_it(start_assay: Callable[..., Any]) -> None:
    server = start_assay("").ready()
    key = server.http.post("/api/keys", json={"name": "e", "role": "editor"}).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(f"{server.url}/api/reload", headers=headers).status_code == 403
