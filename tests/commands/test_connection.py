"""Where a command's client comes from, and what a command says when something is wrong."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from assay import cli
from assay.commands.connection import Invocation, connect
from assay.directory import Directory
from assay.errors import Unauthorized


def nobody(data: Path) -> AbstractContextManager[Path]:
    raise AssertionError(f"{data} was opened")


def context(
    *,
    url: str | None = None,
    key: str | None = None,
    serve: Callable[[Path], AbstractContextManager[Path]] = nobody,
) -> Any:
    made = typer.Context(typer.main.get_command(cli.app))
    made.obj = Invocation(url=url, key=key, data=Path("data"), json=False, serve=serve)
    return made


def test_a_url_goes_before_the_data_directory() -> None:
    with context(url="http://127.0.0.1:1", key="k") as ctx:
        assert connect(ctx).url == "http://127.0.0.1:1"


def test_a_url_without_a_key_says_where_to_put_one() -> None:
    with context(url="http://127.0.0.1:1") as ctx, pytest.raises(Unauthorized) as caught:
        connect(ctx)
    assert "ASSAY_KEY" in (caught.value.hint or "")


def test_the_data_directory_is_let_go_when_the_command_ends() -> None:
    told: list[str] = []

    @contextmanager
    def serve(data: Path) -> Iterator[Path]:
        told.append(f"open {data}")
        yield data / "control.sock"
        told.append("closed")

    with context(serve=serve) as ctx:
        connect(ctx)
        assert told == ["open data"]
    assert told == ["open data", "closed"]


def test_a_server_that_runs_there_is_found_without_its_configuration_and_without_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("assay.toml").write_text(
        '[providers.acme]\ntype = "openai"\napi_key = "env:NOT_SET_IN_THIS_TERMINAL"\n'
    )
    monkeypatch.setattr(cli, "_server", nobody)
    held = Directory(tmp_path / "data")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(held.socket))
        listener.listen()
        held.announce("http://127.0.0.1:8700")
        with cli._serve(tmp_path / "data") as found:
            assert found == held.socket
    held.release()
    with pytest.raises(AssertionError, match="was opened"), cli._serve(tmp_path / "data"):
        pass


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["assay", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("keys", "--help"), 0),
        (("nonsense",), 64),
        (("keys", "list", "--nonsense"), 64),
        (("keys", "create"), 64),
    ],
)
def test_exit_codes_tell_wrong_use_from_success(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    assert run(monkeypatch, *arguments) == code


def test_an_error_is_two_lines_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--url", "http://127.0.0.1:1", "--key", "k", "keys", "list") == 70
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2
    assert said[0].startswith("error: http://127.0.0.1:1 cannot be reached")
    assert "assay up" in said[1]
