"""`assay traces import` on a data directory: what comes in, what is refused, and what a second time does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from assay.kit import json

SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "name": "chat m",
    "startTimeUnixNano": "1760000000000000000",
    "endTimeUnixNano": "1760000000250000000",
    "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}],
}


def line(*spans: dict[str, Any]) -> bytes:
    """A request on one line."""
    return json.encode({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}) + b"\n"


def assay(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the folder's data directory."""
    command = [sys.executable, "-m", "assay", "--data", str(folder / "data"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_a_file_comes_in_once_however_often_it_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_bytes(
        line(SPAN, SPAN | {"spanId": "eee19b7ec3c1b175"})
        + b"\n"
        + line(SPAN | {"spanId": "eee19b7ec3c1b176"})
    )

    first = assay(tmp_path, "traces", "import", str(file))
    second = assay(tmp_path, "--json", "traces", "import", str(file))
    shown = json.decode(assay(tmp_path, "--json", "traces", "show", str(SPAN["traceId"])).stdout)

    assert (first.returncode, first.stdout) == (0, "3 spans imported, 0 refused\n"), first.stderr
    assert json.decode(second.stdout) == {"imported": 3, "refused": 0}
    assert [span["kind"] for span in shown["spans"]] == ["model"] * 3


def test_a_trace_says_what_is_counted_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    inner = SPAN | {"spanId": "eee19b7ec3c1b175", "parentSpanId": SPAN["spanId"]}
    other = SPAN | {"spanId": "eee19b7ec3c1b176", "attributes": []}
    file.write_bytes(line(SPAN, inner, other))
    assert assay(tmp_path, "traces", "import", str(file)).returncode == 0

    said = assay(tmp_path, "traces", "show", str(SPAN["traceId"])).stdout.splitlines()

    assert sorted(said) == [
        "model chat m · ok · 250 ms · counted in another span",
        "model chat m · ok · 250 ms · unknown cost",
        "other chat m · ok · 250 ms",
    ]


def test_what_cannot_be_used_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_bytes(line(SPAN, SPAN | {"traceId": "no"}) + b"{\n")

    done = assay(tmp_path, "traces", "import", str(file))

    assert done.returncode != 0
    assert "line 1: 1 of 2 spans cannot be used" in done.stderr
    assert "line 2: The body is no OTLP in JSON" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    done = assay(tmp_path, "traces", "import", "nowhere.jsonl")

    assert done.returncode != 0
    assert "nowhere.jsonl cannot be read" in done.stderr
