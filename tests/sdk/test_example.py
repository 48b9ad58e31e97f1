"""The traced application of `examples/sdk` runs, and its trace is one tree."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples/sdk"


def test_the_agent_its_tool_and_the_gateway_are_one_tree(
    start_assay: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    server = start_assay((EXAMPLE / "assay.toml").read_text(encoding="utf-8")).ready()
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE / "agent.py"],
        env={**os.environ, "ASSAY_URL": server.url, "ASSAY_KEY": server.key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    assert said["answer"] == "In Rome it is 21 degrees, the sky is clear."
    assert said["headline"] == f"A headline for: {said['answer']}"
    spans = eventually(lambda: found if len(found := server.trace(said["trace"])) >= 6 else None)
    names = {span["span_id"]: span["name"] for span in spans}
    assert sorted((span["name"], names.get(span["parent_id"], "")) for span in spans) == [
        ("answer", "turn"),
        ("chat fast", "answer"),
        ("chat fast", "answer"),
        ("chat fast", "turn"),
        ("turn", ""),
        ("weather", "answer"),
    ]
    assert {(span["session"], span["user"]) for span in spans} == {("conversation-1", "ada")}
    assert [span["kind"] for span in spans if span["name"] in ("answer", "weather")] == ["agent", "tool"]
    asked = {"trace_id": said["trace"]}
    (score,) = eventually(lambda: server.http.get("/api/scores", params=asked).json()["items"])
    assert (score["name"], score["value"], score["comment"]) == ("thumbs", True, "just right")
