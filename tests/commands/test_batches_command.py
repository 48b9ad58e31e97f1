"""`assay batches` and the pages of batches, on a data directory and a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assay import cli
from assay.errors import AssayError, BadRequest, NotFound
from assay.kit import json

CONFIG = """
[providers.sim]
type = "simulated"
answer = "echo"
[models.fast]
route = [{ provider = "sim", model = "any" }]
price = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }
"""


def line(id: str, **body: Any) -> bytes:
    made = {"model": "fast", "messages": [{"role": "user", "content": f"I am {id}"}], **body}
    return json.encode({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": made})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assay.toml").write_text(CONFIG)
    (tmp_path / "good.jsonl").write_bytes(b"\n".join([line("a"), line("b"), line("c", temperature="hot")]))
    (tmp_path / "bad.jsonl").write_bytes(b"\n".join([line("a"), b"{nonsense"]))

    def call(*arguments: str, code: int = 0) -> str:
        result: Result = CliRunner().invoke(cli.app, ["--data", str(tmp_path / "data"), *arguments])
        if isinstance(result.exception, AssayError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return call


def test_a_file_is_answered_listed_and_read(run: Callable[..., str], tmp_path: Path) -> None:
    assert "No batches" not in run("batches", "list")
    made = json.decode(run("--json", "batches", "create", "good.jsonl", "-o", "out.jsonl"))
    assert (made["status"], made["completed"], made["failed"]) == ("completed", 2, 1)
    output = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.decode(each)["custom_id"] for each in output] == ["a", "b"]
    assert run("batches", "answers", made["id"]).splitlines() == output
    (error,) = run("batches", "answers", made["id"], "--errors").splitlines()
    assert json.decode(error)["custom_id"] == "c"
    assert "3 of 3, 1 failed" in run("batches", "show", made["id"])
    assert made["id"] in run("batches", "list")
    with pytest.raises(AssayError, match="completed"):
        run("batches", "cancel", made["id"])


def test_mistakes_are_told_by_line_with_exit_code_1(run: Callable[..., str]) -> None:
    said = run("batches", "create", "bad.jsonl", "--wait", code=1)
    assert "failed" in said
    assert "line 2: The line is not a JSON object" in said


def test_what_is_not_there_is_named(run: Callable[..., str]) -> None:
    with pytest.raises(NotFound, match="batch_none"):
        run("batches", "show", "batch_none")
    with pytest.raises(BadRequest, match=r"nothing\.jsonl"):
        run("batches", "create", "nothing.jsonl")
    with pytest.raises(BadRequest, match="images"):
        run("batches", "create", "good.jsonl", "--endpoint", "/v1/images/generations")


def test_the_pages_show_how_far_and_what_was_wrong(start_assay: Callable[..., Any], tmp_path: Path) -> None:
    server = start_assay(CONFIG, folder=tmp_path).ready()
    asked = {"endpoint": "/v1/chat/completions"}
    empty = server.http.get("/batches")
    assert "No batches yet" in empty.text
    good = server.http.post("/api/batches", params=asked, content=line("a")).raise_for_status().json()
    bad = server.http.post("/api/batches", params=asked, content=b"{<b>").raise_for_status().json()
    for each in (good, bad):
        while server.http.get(f"/api/batches/{each['id']}").json()["status"] not in ("completed", "failed"):
            pass
    listed = server.http.get("/batches").text
    assert f"/batches/{good['id']}" in listed
    assert "completed" in listed
    one = server.http.get(f"/batches/{good['id']}").text
    assert f"/api/batches/{good['id']}/output" in one
    assert f"/jobs/{good['job_id']}" in one
    wrong = server.http.get(f"/batches/{bad['id']}").text
    assert "What is wrong with its input" in wrong
    assert "<b>" not in wrong
    server.stop()
