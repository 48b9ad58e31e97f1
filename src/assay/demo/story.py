"""The steps, each a few calls of the HTTP API; `screen` shows them."""

import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import msgspec
from openai import OpenAI

from assay.errors import AssayError, NotFound, Unusable
from assay.sdk.client import Client

MODEL = "smollm2-135m"
TASK = "sentiment"
DATASET = "short-reviews"
ENVIRONMENT = "production"
BASELINE = "one-word"
CANDIDATE = "open-question"
PROMPTS: Mapping[str, str] = {
    BASELINE: "Answer with one word, positive or negative.\n\n{{ review }}",
    CANDIDATE: "What is the sentiment of this review?\n\n{{ review }}",
}
SAMPLING = {"temperature": 0, "max_tokens": 16}
SCORER = {"name": "contains", "casefold": True}
POLL_S = 0.2
REVIEW = "The tea was hot, the cake was fresh and the owner made us laugh."
CLASSIC = "Correct this to standard English:\n\nShe no went to the market."

Watch = Callable[[int, int | None], None]


class Run(msgspec.Struct, frozen=True):
    """A run and the job that does it."""

    id: str
    job_id: str


class Answer(msgspec.Struct, frozen=True):
    """A live call as it is shown."""

    asked: str
    answered: str


def prepare(client: Client) -> dict[str, Any]:
    """Make the task's two variants and import the reviews; what is there already stays. Returns the dataset's version.

    Raises `Unusable` when the server does not know the model.
    """
    try:
        client.get(f"/api/models/{MODEL}")
    except NotFound as error:
        raise Unusable(
            f"The server that runs does not know {MODEL}",
            hint="It began before the weights were here: restart it.",
        ) from error
    for name, prompt in PROMPTS.items():
        definition = {"model": MODEL, "prompt": prompt, "parameters": SAMPLING}
        client.put(f"/api/tasks/{TASK}/variants/{name}", definition)
    rows = (files("assay.demo") / "reviews.jsonl").read_bytes()
    version: dict[str, Any] = client.post(f"/api/datasets/{DATASET}/versions", rows)
    return version


def serving(client: Client) -> str | None:
    """The variant that serves the task now."""
    releases = client.get(f"/api/tasks/{TASK}/releases/{ENVIRONMENT}")["items"]
    return next(iter(releases[0]["variants"]), None) if releases else None


def release_baseline(client: Client) -> None:
    """Begin with the prompt that one would write first, where nothing serves yet."""
    if serving(client) is None:
        body = {"variants": {BASELINE: 1.0}, "note": "The prompt one would write first."}
        client.put(f"/api/tasks/{TASK}/releases/{ENVIRONMENT}", body)


def promote(client: Client, comparison: str) -> bool:
    """Release the candidate on the evidence of a comparison; False when it serves already."""
    if serving(client) == CANDIDATE:
        return False
    client.post(f"/api/comparisons/{comparison}/promote", {})
    return True


def start_run(client: Client, variant: str) -> Run:
    """Begin a run of this variant on the reviews. Cases that were done before come from the cache."""
    run = client.post(
        "/api/runs", {"task": TASK, "variant": variant, "dataset": DATASET, "scorers": [SCORER]}
    )
    return Run(run["id"], run["job_id"])


def follow(client: Client, runs: Mapping[str, Run], watch: Mapping[str, Watch]) -> None:
    """Wait for the runs, telling how many cases are done. Raises `AssayError` when one does not succeed."""
    waiting = set(runs)
    while waiting:
        for name in sorted(waiting):
            job = client.get(f"/api/jobs/{runs[name].job_id}")
            watch[name](job["progress"]["done"], job["progress"]["total"])
            if job["status"] in ("failed", "cancelled"):
                said = (job["error"] or {}).get("message", "")
                raise AssayError(
                    f"The run of {name} {job['status']}. {said}",
                    hint="A second `assay demo` goes on from there.",
                )
            if job["status"] == "succeeded":
                waiting.remove(name)
        if waiting:
            time.sleep(POLL_S)


def calls_made(client: Client, runs: Mapping[str, Run]) -> int:
    """How many of the runs' cases asked the model; the rest came from the cache."""
    summaries = [client.get(f"/api/runs/{run.id}")["summary"] for run in runs.values()]
    return sum(summary["results"] - summary["n_cached"] for summary in summaries)


def compare(client: Client, runs: Mapping[str, Run]) -> dict[str, Any]:
    """The paired comparison of the two runs."""
    body = {"baseline": runs[BASELINE].id, "candidate": runs[CANDIDATE].id}
    made: dict[str, Any] = client.post("/api/comparisons", body)
    return made


def call_live(client: Client, url: str, say: Callable[[str], None]) -> Answer:
    """What an application does, with a key of its own that ends with it: a chat, streamed; `say` gets each piece.

    Then the field's classic through `/v1/completions`. Returns the latter.
    """
    key = client.post("/api/keys", {"name": "demo"})
    try:
        with OpenAI(base_url=f"{url}/v1", api_key=key["key"], max_retries=0) as application:
            chunks = application.chat.completions.create(
                model=f"task:{TASK}", messages=[{"role": "user", "content": REVIEW}], stream=True
            )
            for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    say(piece)
            classic = application.completions.create(
                model=MODEL, prompt=CLASSIC, max_tokens=32, temperature=0
            )
        return Answer(CLASSIC, classic.choices[0].text)
    finally:
        client.delete(f"/api/keys/{key['id']}")
