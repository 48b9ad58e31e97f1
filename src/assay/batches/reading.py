"""The input of a batch: one request a line, checked before anything is paid."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Raw

from assay.batches.types import MOST_LINES, MOST_PROBLEMS, Line, Problem
from assay.wire.openai_chat import UNREADABLE

LONGEST_LINE = 32 << 20
_LONGEST_ID = 512


class _Body(msgspec.Struct, frozen=True):
    model: str
    stream: bool | None = None


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: _Body


class _Request(msgspec.Struct, frozen=True):
    body: Raw


_line = msgspec.json.Decoder(_Line)
_request = msgspec.json.Decoder(_Request)

Known = Callable[[str], str | None]
"""A model's name → what is wrong with it."""


class Input(msgspec.Struct, frozen=True):
    """The lines of a file, and the models that they ask for."""

    lines: list[Line]
    models: set[str]
    problems: list[Problem]


def read_input(path: Path, endpoint: str, known: Known) -> Input:
    """Look at every line. Up to `MOST_PROBLEMS` mistakes are told; with any of them nothing is asked."""
    lines: list[Line] = []
    models: dict[str, str | None] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, offset, text in _iter_lines(file):
            if len(lines) >= MOST_LINES:
                problems.append(
                    Problem("too_many_lines", f"A batch has at most {MOST_LINES:,} lines", number)
                )
                break
            sent = _checked(text, endpoint, number)
            if isinstance(sent, _Line):
                sent = _told_apart(sent, seen, number)
            if isinstance(sent, _Line):
                model = sent.body.model
                models.setdefault(model, known(model))
                if (wrong := models[model]) is not None:
                    sent = Problem("model_not_found", wrong, number, "body.model")
            if isinstance(sent, Problem):
                problems.append(sent)
                if len(problems) >= MOST_PROBLEMS:
                    break
            else:
                lines.append(Line(number, offset, len(text), sent.custom_id))
    if not lines and not problems:
        problems.append(Problem("empty_file", "The input has no lines"))
    return Input(lines, set(models), problems)


def body_of(file: IO[bytes], line: Line) -> bytes:
    """The request of a line."""
    file.seek(line.offset)
    return bytes(_request.decode(file.read(line.length)).body)


def _iter_lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and text of each line that is not blank."""
    offset = number = 0
    while text := file.readline(LONGEST_LINE + 1):
        number += 1
        if text.strip():
            yield number, offset, text
        offset += len(text)


def _checked(text: bytes, endpoint: str, number: int) -> _Line | Problem:
    if len(text) > LONGEST_LINE:
        return Problem("line_too_long", f"The line is longer than {LONGEST_LINE >> 20} MiB", number)
    try:
        sent = _line.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        param = where.strip("`").removeprefix("$").removeprefix(".") or None
        if "missing required field" in what:
            name = what.split("`")[1]
            param = f"{param}.{name}" if param else name
            what = f"{param} is missing"
        return Problem("invalid_request", what, number, param)
    except UNREADABLE as error:
        return Problem("invalid_json_line", f"The line is not a JSON object: {error}", number)
    wrong: tuple[tuple[Any, str, str], ...] = (
        (sent.method != "POST", "method", f"method is {sent.method!r}: it must be POST"),
        (sent.url != endpoint, "url", f"url is {sent.url!r}: the batch is for {endpoint}"),
        (bool(sent.body.stream), "body.stream", "A batch has no streams: leave out stream"),
        (
            not 1 <= len(sent.custom_id) <= _LONGEST_ID,
            "custom_id",
            f"custom_id must have 1 to {_LONGEST_ID} characters",
        ),
    )
    for is_wrong, param, message in wrong:
        if is_wrong:
            return Problem("invalid_request", message, number, param)
    return sent


def _told_apart(sent: _Line, seen: set[str], number: int) -> _Line | Problem:
    if sent.custom_id in seen:
        return Problem(
            "duplicate_custom_id",
            f"custom_id {sent.custom_id!r} stands on an earlier line",
            number,
            "custom_id",
        )
    seen.add(sent.custom_id)
    return sent
