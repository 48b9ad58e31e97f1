"""`assay models`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.commands import models
from assay.commands.connection import Invocation
from assay.errors import BadRequest
from assay.kit import json


def nobody(data: Path) -> AbstractContextManager[Path]:
    raise AssertionError("pulling asks no server")


def invoke(data: Path, *arguments: str, as_json: bool = False) -> str:
    call = Invocation(url=None, key=None, data=data, json=as_json, serve=nobody)
    result = CliRunner().invoke(models.app, arguments, obj=call, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.gguf"
    path.write_bytes(b"GGUF" + bytes(2_000_000))
    return path


def test_weights_are_pulled_into_the_data_directory_without_a_server(tmp_path: Path, source: Path) -> None:
    said = invoke(tmp_path / "data", "pull", f"file:{source}")
    assert "tiny is here: 2 MB, licence not known" in said
    assert (tmp_path / "data/models/tiny.gguf").stat().st_size == 2_000_004
    assert "was here already" in invoke(tmp_path / "data", "pull", f"file:{source}")


def test_as_json_it_says_what_came_and_from_where(tmp_path: Path, source: Path) -> None:
    said = json.decode(invoke(tmp_path, "pull", f"file:{source}", "--name", "mine", as_json=True))
    assert said["fresh"] is True
    assert said["path"].endswith("models/mine.gguf")
    assert said["weights"]["source"] == f"file:{source}"


def test_a_mistake_reaches_the_command_line_as_the_error_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="names no weights"):
        invoke(tmp_path, "pull", "no-such-model")


class Server:
    """Answers what the API would."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def pages(self, path: str) -> Iterator[object]:
        assert path == "/api/models"
        return iter(self._answers)

    def get(self, path: str) -> object:
        assert path == "/api/models/fast"
        return self._answers[0]


PRICE = {
    "id": "assay.toml:fast",
    "source": "configured",
    "since": None,
    "input_usd_per_mtok": 0.15,
    "output_usd_per_mtok": None,
}
FAST = {
    "name": "fast",
    "route": [
        {"provider": "acme", "type": "openai", "model": "m", "weight": 1.0, "price": PRICE},
        {"provider": "other", "type": "openai", "model": "n", "weight": 0.5, "price": None},
    ],
    "fallback": ["slow"],
    "weights": None,
}


def test_the_list_shows_each_upstream_with_its_price_or_that_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "connect", lambda ctx: Server(FAST))
    monkeypatch.setattr(models.console, "width", 120)
    lines = invoke(tmp_path, "list").splitlines()
    assert lines[1].split() == ["fast", "acme", "·", "m", "0.15", "unknown", "assay.toml:fast"]
    assert "other · n" in lines[2]
    assert lines[2].count("unknown") == 2


def test_one_model_is_shown_with_what_is_known_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "connect", lambda ctx: Server(FAST))
    said = invoke(tmp_path, "show", "fast")
    for part in ("acme (openai) · m, weight 1", "$0.15 / M", "price unknown", "falls back to slow"):
        assert part in said


def test_an_empty_list_says_how_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "connect", lambda ctx: Server())
    assert "assay models pull smollm2-135m" in invoke(tmp_path, "list")
