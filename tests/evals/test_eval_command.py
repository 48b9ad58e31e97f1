"""`assay eval` on a data directory: each command opens it, works, and closes it again."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assay import cli
from assay.errors import AssayError, Conflict, InvalidRows, NotFound
from assay.kit import json

CONFIG = """
[providers.sim]
type = "simulated"
answer = "echo"
rules = [{ match = "^Which.* case (1|2|3|4|5)$", answer = "no" }, { match = "^Which", answer = "yes" }]
[models.fast]
route = [{ provider = "sim", model = "any" }]
[tasks.judge]
variants.echo = { model = "fast", prompt = "{{ text }}" }
variants.ask = { model = "fast", prompt = "Which? {{ text }}" }
"""


class Shell:
    """A shell in a directory with an assay.toml and a dataset."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What the command prints; it must exit with this code."""
        result: Result = CliRunner().invoke(cli.app, ["--data", str(self.directory / "data"), *arguments])
        if isinstance(result.exception, AssayError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def run(self, variant: str) -> Any:
        """A run of the variant, as JSON."""
        asked = ("--task", "judge", "--variant", variant, "--dataset", "cases", "--scorer", "exact")
        return json.decode(self("--json", "eval", "run", *asked))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assay.toml").write_text(CONFIG)
    lines = [json.encode({"id": f"c{at}", "input": f"case {at}", "reference": "yes"}) for at in range(30)]
    (tmp_path / "cases.jsonl").write_bytes(b"\n".join(lines))
    made = Shell(tmp_path)
    made("datasets", "import", "cases", "cases.jsonl")
    return made


def test_two_variants_are_run_compared_and_gated(shell: Shell) -> None:
    echo, ask = shell.run("echo"), shell.run("ask")
    assert (ask["status"], ask["summary"]["results"]) == ("succeeded", 30)
    compared = shell("eval", "compare", echo["id"], ask["id"])
    assert "exact: better, difference +0.83" in compared
    assert "▲" in compared
    passed = shell("--json", "eval", "gate", echo["id"], ask["id"])
    gate = json.decode(passed)
    assert (gate["outcome"], gate["exit_code"]) == ("pass", 0)
    assert "Gate: regressed. exact is worse." in shell("eval", "gate", ask["id"], echo["id"], code=1)
    again = shell.run("ask")
    assert again["summary"]["n_cached"] == 30
    assert "undecided" in shell("eval", "gate", ask["id"], again["id"], code=2)
    assert "**exact: better.**" in shell("eval", "report", gate["comparison"])
    assert shell("eval", "report", ask["id"]).startswith("## Run: judge/ask on cases v1")
    assert json.decode(shell("eval", "report", ask["id"], "--format", "json"))["id"] == ask["id"]


def test_a_candidate_is_released_by_its_comparison_or_against_it_with_a_note(shell: Shell) -> None:
    echo, ask = shell.run("echo"), shell.run("ask")
    better = json.decode(shell("--json", "eval", "compare", echo["id"], ask["id"]))["id"]
    assert shell("releases", "promote", better) == "judge in production: ask 100%\n"
    worse = json.decode(shell("--json", "eval", "compare", ask["id"], echo["id"]))["id"]
    with pytest.raises(Conflict, match="exact"):
        shell("releases", "promote", worse, "--environment", "staging")
    forced = shell("releases", "promote", worse, "--environment", "staging", "--force", "--note", "Cheaper.")
    assert forced == "judge in staging: echo 100%\n"
    assert "Forced: Cheaper." in shell("releases", "show", "judge", "--environment", "staging")


def test_outputs_of_a_file_are_scored_and_its_bad_lines_are_named(shell: Shell) -> None:
    outputs = shell.directory / "outputs.jsonl"
    outputs.write_text("\n".join(f'{{"id": "c{at}", "output": "yes"}}' for at in range(20)))
    asked = ("--dataset", "cases", "--scorer", '{"name": "exact", "as": "right"}', "--outputs", str(outputs))
    said = shell("eval", "run", *asked)
    assert "right" in said
    assert "30 cases, 10 without an output" in said
    outputs.write_text('{"id": "c1", "output": "yes"}\n{"id": "c2"}\nnonsense')
    with pytest.raises(InvalidRows) as caught:
        shell("eval", "run", *asked)
    assert [line for line, _ in caught.value.rows] == [2, 3]


def test_what_is_not_there_is_said(shell: Shell) -> None:
    with pytest.raises(NotFound, match="no run and no comparison 'nothing'"):
        shell("eval", "report", "nothing")
