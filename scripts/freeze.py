"""Freeze what this tree keeps, as a tiny data directory that every later release must be able to upgrade.

    python scripts/freeze.py 0.2.0

Runs a real server on the simulated provider through the whole loop, writes down what the API answers, kills the server
with calls still in the spool, and packs the directory to tests/upgrade/released/VERSION.tar.gz beside VERSION.json.
Done once for each release, when its schema is final; never done again for a released one.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).parents[1] / "tests/upgrade/released"
KEY = "sk-assay-frozen-0123456789abcdef0123456789abcdef"
CONFIG = """
[providers.practice]
type = "simulated"
[models.fast]
route = [{ provider = "practice", model = "practice-1" }]
price = { input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }
[tasks.polish]
variants.v1 = { model = "fast", prompt = "Correct this:\\n\\n{{ text }}" }
release = { v1 = 1.0 }
"""
CASES = b"""{"id": "one", "input": {"text": "She no went."}, "reference": "She did not go."}
{"id": "two", "input": {"text": "He go home."}, "reference": "He goes home."}
"""
QUESTIONS = (
    "/api/keys", "/api/prompts", "/api/tasks", "/api/tasks/polish", "/api/tasks/polish/releases/production",
    "/api/datasets", "/api/runs", "/api/jobs", "/api/decisions", "/api/models",
    "/api/traces?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&limit=500",
)  # fmt: skip
"""What must be answered the same for ever; questions that the release does not know are left out."""


@contextmanager
def server(folder: Path) -> Iterator[httpx.Client]:
    """A server that is killed at the end, with nothing tidied up."""
    (folder / "assay.toml").write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-m", "assay", "up", "--data", "data", "--config", "assay.toml", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ASSAY_ADMIN_KEY": KEY, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    url = process.stdout.readline().split(" is at ")[1].strip()
    try:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def ask(client: httpx.Client, method: str, path: str, **more: Any) -> Any:
    """One request that must succeed."""
    return client.request(method, path, **more).raise_for_status().json()


def call(client: httpx.Client, model: str, text: str, **more: Any) -> str:
    """One call; its trace."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    answer = client.post(
        "/v1/chat/completions", json=body, headers={"x-assay-user": "ann"}
    ).raise_for_status()
    return answer.headers["x-assay-trace-id"]


def live_through(client: httpx.Client) -> None:
    """The loop: keys, a prompt, a second variant, a dataset, two runs, their comparison, a promotion, calls, feedback."""
    ask(client, "POST", "/api/keys", json={"name": "shop", "environment": "staging"})
    gone = ask(client, "POST", "/api/keys", json={"name": "gone", "role": "viewer"})
    ask(client, "DELETE", f"/api/keys/{gone['id']}")
    definition = {"model": "fast", "prompt": "Say it better: {{ text }}", "parameters": {"temperature": 0}}
    ask(client, "PUT", "/api/tasks/polish/variants/v2", json=definition)
    ask(client, "POST", "/api/datasets/sentences/versions", content=CASES)
    runs = []
    for variant in ("v1", "v2"):
        asked = {"task": "polish", "variant": variant, "dataset": "sentences", "scorers": ["exact"]}
        run = ask(client, "POST", "/api/runs", json=asked)
        while ask(client, "GET", f"/api/jobs/{run['job_id']}")["status"] != "succeeded":
            time.sleep(0.1)
        runs.append(run["id"])
    ask(client, "POST", "/api/comparisons", json={"baseline": runs[0], "candidate": runs[1]})
    ask(
        client,
        "PUT",
        "/api/tasks/polish/releases/production",
        json={"variants": {"v2": 1.0}, "note": "better"},
    )
    for number in range(3):
        trace_id = call(client, "fast", f"Question {number}")
        ask(client, "POST", "/api/scores", json={"trace_id": trace_id, "name": "thumb", "value": number > 0})
    call(client, "task:polish", "She no went to the market.")


def freeze(version: str) -> None:
    """Make both files."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with server(folder) as client:
            live_through(client)
            time.sleep(1.5)
            known = [path for path in QUESTIONS if client.get(path).status_code == 200]
            answers = {path: ask(client, "GET", path) for path in known}
            traces = [each["trace_id"] for each in answers[QUESTIONS[-1]]["items"]]
            spans = {each: ask(client, "GET", f"/api/traces/{each}") for each in traces}
            late = [call(client, "fast", f"Late {number}") for number in range(2)]
        for left in ("lock", "control.sock"):
            (folder / "data" / left).unlink(missing_ok=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        kept = {
            "version": version,
            "key": KEY,
            "config": CONFIG,
            "answers": answers,
            "traces": spans,
            "late": late,
        }
        (FOLDER / f"{version}.json").write_text(json.dumps(kept, indent=1) + "\n")
        with tarfile.open(FOLDER / f"{version}.tar.gz", "w:gz") as archive:
            archive.add(folder / "data", "data")


if __name__ == "__main__":
    freeze(sys.argv[1])
