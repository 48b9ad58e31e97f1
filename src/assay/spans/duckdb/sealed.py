"""Sealed days: which Parquet files there are, and how questions see them together with what is still hot.

A file holds the rows of one kind (`spans`, `scores`, `payloads`), project and day of arrival; what was imported has files
of its own, since retention treats it apart. `sealed_files` in the store says which files count: a file that is not named
there is not part of the store. `views` makes the names that questions use (`spans`, `live_spans`, `calls`, `scores`,
`payloads`) mean the hot tables and those files that can hold an answer.
"""

# ruff: noqa: S608 - only names from this room are spliced into SQL
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import duckdb
import msgspec

from assay.kit.clock import day_text

Kind = Literal["spans", "scores", "payloads"]
KINDS: tuple[Kind, ...] = ("spans", "scores", "payloads")
TIMES: dict[Kind, str] = {"spans": "start_ns", "scores": "at_ns"}
"""The column by whose range a file can be passed over; payloads are found by their day."""


class Group(NamedTuple):
    """What is sealed, thinned out and dropped as one: a project's day, live or imported."""

    project: str
    day: int
    imported: bool


class SealedFile(msgspec.Struct, frozen=True):
    """A row of `sealed_files`. `file` is relative to the folder; `columns` tells files of one shape from those of another;
    `has_content` is False once previews, requests and attributes have been taken out."""

    file: str
    kind: Kind
    project: str
    day: int
    imported: bool
    rows: int
    bytes: int
    from_ns: int | None
    to_ns: int | None
    has_content: bool
    columns: str

    @property
    def group(self) -> Group:
        """Where it belongs."""
        return Group(self.project, self.day, self.imported)


class Scope(NamedTuple):
    """Where the answer to a question lies, as far as that is known: None does not narrow."""

    project: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    days: tuple[int, int] | None = None
    scores_ns: tuple[int, int] | None = None

    def may_hold(self, file: SealedFile) -> bool:
        """Whether a file can have something to say: spans by their start, scores by their time, payloads by their day."""
        if self.project is not None and file.project != self.project:
            return False
        if file.kind == "payloads":
            return _meet((file.day, file.day), self.days)
        wanted = (self.from_ns, self.to_ns) if file.kind == "spans" else self.scores_ns
        return _meet((file.from_ns, file.to_ns), wanted)


EVERYWHERE = Scope()


def _meet(range: tuple[int | None, int | None], wanted: tuple[int | None, int | None] | None) -> bool:
    """Whether two ranges have something in common; an end that is None is open."""
    if wanted is None:
        return True
    (first, last), (since, until) = range, wanted
    return (last is None or since is None or last >= since) and (
        first is None or until is None or first <= until
    )


def path_of(kind: Kind, group: Group, name: str) -> str:
    """Where a file lies in the folder. A project's name cannot lead out of it."""
    project = quote(group.project, safe="").replace(".", "%2E")
    marked = f"imported-{name}" if group.imported else name
    return f"{kind}/{project}/{day_text(group.day)}/{marked}.parquet"


def read_files(cursor: duckdb.DuckDBPyConnection) -> tuple[SealedFile, ...]:
    """What `sealed_files` says in this transaction, oldest first."""
    names = ", ".join(SealedFile.__struct_fields__)
    rows = cursor.execute(f"SELECT {names} FROM sealed_files ORDER BY day, file").fetchall()
    return tuple(SealedFile(*row) for row in rows)


def views(files: Iterable[SealedFile], folder: Path, kinds: Sequence[Kind] = KINDS) -> str:
    """Statements that make temporary views over the hot tables and these files, for one connection."""
    by_kind: dict[Kind, list[SealedFile]] = {kind: [] for kind in kinds}
    for file in files:
        if file.kind in by_kind:
            by_kind[file.kind].append(file)
    return "".join(_view(kind, union(kind, found, folder)) for kind, found in by_kind.items())


def union(kind: Kind, files: Iterable[SealedFile], folder: Path) -> str:
    """A query for the rows of the hot table and of the files."""
    return " UNION ALL BY NAME ".join([f"SELECT * FROM hot_{kind}", *reads(files, folder)])


def rows_of(kind: Kind, files: Iterable[SealedFile], folder: Path) -> str:
    """The same for one group: of the hot table only its rows, by three parameters."""
    hot = f"SELECT * FROM hot_{kind} WHERE project = ? AND day = ? AND imported = ?"
    return " UNION ALL BY NAME ".join([*reads(files, folder), hot])


def reads(files: Iterable[SealedFile], folder: Path) -> Iterator[str]:
    """A query for the rows of files, one for each shape: one list may only hold files with the same columns."""
    shape: Any = attrgetter("columns")
    for _, found in groupby(sorted(files, key=shape), key=shape):
        names = ", ".join(
            literal(folder / file.file) for file in sorted(found, key=attrgetter("day", "file"))
        )
        yield f"SELECT * FROM read_parquet([{names}], hive_partitioning = false)"


def _view(kind: Kind, query: str) -> str:
    text = f"CREATE OR REPLACE TEMP VIEW {kind} AS {query};"
    if kind == "spans":
        text += LIVE.format(temp="TEMP", spans=f"({query})")
    return text


LIVE = """
CREATE OR REPLACE {temp} VIEW live_spans AS SELECT * FROM {spans} AS every ANTI JOIN superseded USING (row_id);
CREATE OR REPLACE {temp} VIEW calls AS SELECT * FROM live_spans ANTI JOIN covered USING (row_id) WHERE kind IN ('model', 'embedding', 'rerank');
"""


def literal(path: Path) -> str:
    """A path as text in SQL."""
    return "'" + str(path).replace("'", "''") + "'"
