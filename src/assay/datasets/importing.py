"""Files of cases: JSONL and CSV, read whole or not at all.

Every line that cannot be used is named by its number, up to `MAX_PROBLEMS` of them. A line number is where the case
begins in the file; quoted newlines in CSV are counted.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.datasets.types import Case, derived_id
from assay.errors import BadRequest, InvalidRows, TooLarge

MAX_CASES = 100_000
MAX_CASE_BYTES = 1 << 20
MAX_COLUMNS = 1000
MAX_PROBLEMS = 20
_MAX_ID = 200
_RESERVED = ("id", "input", "reference", "split", "cluster")

Problems = list[tuple[int, str]]


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    input: str | dict[str, Any]
    id: str | int | None = None
    reference: Any = None
    metadata: dict[str, Any] = {}
    split: str | None = None
    cluster: str | int | None = None
    provenance: dict[str, Any] | None = None


_line = msgspec.json.Decoder(_Line)


def read_upload(body: bytes, content_type: str) -> list[Case]:
    """CSV when the type says `text/csv`, else JSONL."""
    return (
        read_csv(body) if content_type.partition(";")[0].strip().lower() == "text/csv" else read_jsonl(body)
    )


def read_jsonl(body: bytes) -> list[Case]:
    """One JSON object a line; blank lines are skipped. Raises `InvalidRows`, or `TooLarge`."""
    found = _Gathering()
    for number, line in enumerate(_without_mark(body).split(b"\n"), 1):
        if not line.strip():
            continue
        if len(line) > MAX_CASE_BYTES:
            found.problem(number, f"the case has {len(line):,} bytes; at most {MAX_CASE_BYTES:,} are allowed")
            continue
        try:
            found.add(number, _case(_line.decode(line)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            found.problem(number, _said(error))
        except ValueError as error:
            found.problem(number, str(error))
    return found.cases()


def read_csv(body: bytes) -> list[Case]:
    """A header line, then a case a row; every cell is text.

    Columns `id`, `input`, `reference`, `split` and `cluster` are those; an empty cell there means none. With an `input`
    column every other column is metadata. Without one every other column is a field of the input, except those named
    `metadata.…`. Raises `InvalidRows`, or `TooLarge`.
    """
    text = _decoded(body)
    found = _Gathering()
    rows = _rows(text, found)
    first = next(rows, None)
    if first is None:
        raise BadRequest(
            "The file is empty", hint="Its first line names the columns, e.g. id,input,reference."
        )
    header = [name.strip() for name in first[1]]
    _check_header(header)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            found.problem(number, f"{len(row)} cells; the header has {len(header)}")
            continue
        try:
            found.add(number, _case(_from_row(dict(zip(header, row, strict=True)))))
        except ValueError as error:
            found.problem(number, str(error))
    return found.cases()


class _Gathering:
    """Cases and problems as they are found; an id twice is a problem that names both lines."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._lines: dict[str, int] = {}
        self._problems: Problems = []
        self._more = 0

    def add(self, number: int, case: Case) -> None:
        before = self._lines.setdefault(case.id, number)
        if before != number:
            hint = (
                ""
                if case.id != derived_id(case.input)
                else " (the same input; give the cases ids if both are meant)"
            )
            self.problem(number, f"the id {case.id!r} is on line {before} already{hint}")
            return
        self._cases[case.id] = case
        if len(self._cases) > MAX_CASES:
            raise TooLarge(
                f"A dataset has at most {MAX_CASES:,} cases", hint="Split the file into several datasets."
            )

    def problem(self, number: int, said: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append((number, said))
        else:
            self._more += 1

    def cases(self) -> list[Case]:
        if self._problems:
            count = len(self._problems) + self._more
            first = "; ".join(f"line {number}: {said}" for number, said in self._problems[:3])
            lines = "1 line" if count == 1 else f"{count} lines"
            raise InvalidRows(
                f"{lines} cannot be used, so nothing was imported. {first}",
                rows=self._problems,
                hint='A line of JSONL is {"id"?, "input", "reference"?, "metadata"?, "split"?, "cluster"?}; see docs/datasets.md.',
            )
        if not self._cases:
            raise BadRequest("The file holds no case", hint="Send at least one line.")
        return list(self._cases.values())


def _case(line: _Line) -> Case:
    if line.id == "":
        raise ValueError("id is empty; leave it out to have one made from the input")
    made = derived_id(line.input) if line.id is None else str(line.id)
    if len(made) > _MAX_ID:
        raise ValueError(f"id has {len(made)} characters; at most {_MAX_ID} are allowed")
    if line.input == {}:
        raise ValueError("input is an empty object")
    return Case(
        id=made,
        input=line.input,
        reference=line.reference,
        metadata=line.metadata,
        split=line.split or None,
        cluster=None if line.cluster in (None, "") else str(line.cluster),
        provenance=line.provenance,
    )


def _from_row(row: dict[str, str]) -> _Line:
    rest = {name: value for name, value in row.items() if name not in _RESERVED}
    prefix = "metadata."
    metadata = {name.removeprefix(prefix): value for name, value in rest.items() if name.startswith(prefix)}
    others = {name: value for name, value in rest.items() if not name.startswith(prefix)}
    if "input" in row:
        metadata, others = others | metadata, {}
    if sum(map(len, row.values())) > MAX_CASE_BYTES:
        raise ValueError(f"the case has more than {MAX_CASE_BYTES:,} characters")
    return _Line(
        input=row.get("input", others),
        id=row.get("id") or None,
        reference=row.get("reference") or None,
        metadata=metadata,
        split=row.get("split") or None,
        cluster=row.get("cluster") or None,
    )


def _check_header(header: list[str]) -> None:
    if len(header) > MAX_COLUMNS:
        what = f"has {len(header):,} columns; at most {MAX_COLUMNS:,} are allowed"
        raise InvalidRows(f"The header {what}", rows=[(1, f"the header {what}")])
    twice = {name for name, count in Counter(header).items() if count > 1}
    if "" in header or twice:
        what = f"names {', '.join(sorted(twice))} twice" if twice - {""} else "has a column without a name"
        raise InvalidRows(f"The header {what}", rows=[(1, f"the header {what}")])
    if not [
        name
        for name in header
        if name not in ("id", "reference", "split", "cluster") and not name.startswith("metadata.")
    ]:
        raise InvalidRows(
            f"No column holds an input; the header has {', '.join(header)}",
            rows=[(1, "no column holds an input")],
            hint="Name one `input`, or name the columns after the task's inputs.",
        )


def _rows(text: str, found: _Gathering) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CASE_BYTES + 1))
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found.problem(begins, f"not CSV: {error}; the rest of the file was not read")
            return
        yield begins, row


def _decoded(body: bytes) -> str:
    body = _without_mark(body)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        number = body.count(b"\n", 0, error.start) + 1
        raise InvalidRows(
            f"line {number}: not UTF-8", rows=[(number, "not UTF-8")], hint="Save the file in UTF-8."
        ) from error


def _without_mark(body: bytes) -> bytes:
    return body.removeprefix(b"\xef\xbb\xbf")


def _said(error: Exception) -> str:
    what, _, where = str(error).partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if isinstance(error, msgspec.ValidationError):
        if "unknown field" in what:
            return f"{what}; known: id, input, reference, metadata, split, cluster, provenance"
        return f"{path}: {what}" if path else what
    return f"not JSON: {what}"
