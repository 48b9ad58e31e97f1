"""Every SQL statement about runs, their results, the cache of answers and comparisons."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Row,
    Table,
    Text,
    func,
    select,
    update,
)

from assay.errors import NotFound
from assay.evals.types import (
    CachedAnswer,
    CaseResult,
    CaseScore,
    Comparison,
    ComparisonOptions,
    Metric,
    Run,
    RunOptions,
    RunSummary,
)
from assay.records import Json, Money, metadata, upsert
from assay.wire.usage import Usage
from assay.wire.verdicts import Verdict

Which = Literal["all", "wrong", "errors"]

runs = Table(
    "eval_runs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("task", Text),
    Column("variant", Text),
    Column("variant_hash", Text),
    Column("model", Text),
    Column("dataset", Text, nullable=False),
    Column("dataset_version", BigInteger, nullable=False),
    Column("dataset_hash", Text, nullable=False),
    Column("split", Text),
    Column("cases", BigInteger, nullable=False),
    Column("metrics", Json(tuple[Metric, ...]), nullable=False),
    Column("options", Json(RunOptions), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("ended_at_ns", BigInteger),
    Column("summary", Json(RunSummary)),
)
outputs = Table(
    "eval_outputs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("output", Text, nullable=False),
)
results = Table(
    "eval_results",
    metadata,
    Column("project", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("case_id", Text, nullable=False),
    Column("output", Text),
    Column("error", Text),
    Column("scores", Json(dict[str, CaseScore]), nullable=False),
    Column("is_wrong", Boolean, nullable=False),
    Column("trace_id", Text),
    Column("span_id", Text),
    Column("usage", Json(Usage)),
    Column("cost_usd", Money),
    Column("latency_ms", Float),
    Column("attempts", BigInteger, nullable=False),
    Column("is_cached", Boolean, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)
cache = Table(
    "eval_cache",
    metadata,
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("output", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("span_id", Text, nullable=False),
    Column("usage", Json(Usage)),
    Column("cost_usd", Money),
    Column("latency_ms", Float, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
)
comparisons = Table(
    "eval_comparisons",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("baseline", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("verdicts", Json(tuple[Verdict, ...]), nullable=False),
    Column("options", Json(ComparisonOptions), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
)
_BATCH = 1000


class ScoredCase(NamedTuple):
    """What a comparison needs of a result."""

    case_id: str
    error: str | None
    scores: dict[str, CaseScore]


def add_run(tx: Connection, run: Run) -> None:
    """Insert."""
    tx.execute(runs.insert(), _row(run))


def add_outputs(tx: Connection, run: Run, recorded: Mapping[str, str]) -> None:
    """Insert what was recorded for a run, by case id."""
    key = {"project": run.project, "run_id": run.id}
    rows = [{**key, "case_id": case_id, "output": output} for case_id, output in recorded.items()]
    for begin in range(0, len(rows), _BATCH):
        tx.execute(outputs.insert(), rows[begin : begin + _BATCH])


def end_run(tx: Connection, run: Run, summary: RunSummary, *, ended_at_ns: int) -> None:
    """Keep what came of it."""
    statement = update(runs).where(runs.c.project == run.project, runs.c.id == run.id)
    tx.execute(statement.values(summary=summary, ended_at_ns=ended_at_ns))


def get_run(tx: Connection, project: str, run_id: str) -> Run:
    """Raises `NotFound`."""
    row = tx.execute(select(runs).where(runs.c.project == project, runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run_id!r}", hint="GET /api/runs lists them.")
    return Run(**row._mapping)


def list_runs(
    tx: Connection,
    project: str,
    *,
    task: str | None,
    variant: str | None,
    dataset: str | None,
    before: str | None,
    limit: int,
) -> list[Run]:
    """Newest first."""
    statement = select(runs).where(runs.c.project == project)
    for column, wanted in ((runs.c.task, task), (runs.c.variant, variant), (runs.c.dataset, dataset)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if before is not None:
        statement = statement.where(runs.c.id < before)
    return [Run(**row._mapping) for row in tx.execute(statement.order_by(runs.c.id.desc()).limit(limit))]


def find_output(tx: Connection, run: Run, case_ids: Iterable[str]) -> dict[str, str]:
    """What was recorded for these cases, by case id."""
    statement = select(outputs.c.case_id, outputs.c.output).where(
        outputs.c.project == run.project, outputs.c.run_id == run.id, outputs.c.case_id.in_(list(case_ids))
    )
    return {row.case_id: row.output for row in tx.execute(statement)}


def put_results(tx: Connection, done: Sequence[CaseResult], answers: Sequence[CachedAnswer]) -> None:
    """Keep results, and the answers that other runs may use. What is there already is replaced."""
    upsert(tx, results, [_row(each) for each in done])
    upsert(tx, cache, [_row(each) for each in answers])


def positions_done(tx: Connection, run: Run) -> set[int]:
    """The positions of the cases that have a result."""
    return set(tx.execute(select(results.c.position).where(*_of(run))).scalars())


def count_done(tx: Connection, run: Run) -> int:
    """How many cases have a result."""
    return tx.execute(select(func.count()).select_from(results).where(*_of(run))).scalar_one()


def iter_results(tx: Connection, run: Run) -> Iterator[CaseResult]:
    """Every result without its output, in the dataset's order."""
    columns = [column for column in results.c if column.name != "output"]
    for row in tx.execute(select(*columns).where(*_of(run)).order_by(results.c.position)):
        yield CaseResult(**row._mapping)


def scored_cases(tx: Connection, run: Run) -> list[ScoredCase]:
    """Every case with its scores, in the dataset's order."""
    statement = select(results.c.case_id, results.c.error, results.c.scores).where(*_of(run))
    return [ScoredCase(*row) for row in tx.execute(statement.order_by(results.c.position))]


def list_results(tx: Connection, run: Run, *, which: Which, after: int, limit: int) -> list[CaseResult]:
    """In the dataset's order, those behind the position `after`."""
    statement = select(results).where(*_of(run), results.c.position > after)
    if which == "wrong":
        statement = statement.where(results.c.is_wrong)
    elif which == "errors":
        statement = statement.where(results.c.error.is_not(None))
    found = tx.execute(statement.order_by(results.c.position).limit(limit))
    return [CaseResult(**row._mapping) for row in found]


def find_results(tx: Connection, run: Run, case_ids: Iterable[str]) -> dict[str, CaseResult]:
    """Those of the cases that have a result, by case id."""
    found = tx.execute(select(results).where(*_of(run), results.c.case_id.in_(list(case_ids))))
    return {row.case_id: CaseResult(**row._mapping) for row in found}


def find_answers(tx: Connection, project: str, keys: Iterable[str]) -> dict[str, CachedAnswer]:
    """Those of the keys that have an answer."""
    statement = select(cache).where(cache.c.project == project, cache.c.key.in_(list(keys)))
    return {row.key: CachedAnswer(**row._mapping) for row in tx.execute(statement)}


def add_comparison(tx: Connection, comparison: Comparison) -> None:
    """Insert."""
    tx.execute(comparisons.insert(), _row(comparison))


def get_comparison(tx: Connection, project: str, comparison_id: str) -> Comparison:
    """Raises `NotFound`."""
    statement = select(comparisons).where(comparisons.c.project == project, comparisons.c.id == comparison_id)
    row = tx.execute(statement).one_or_none()
    if row is None:
        raise NotFound(f"There is no comparison {comparison_id!r}", hint="POST /api/comparisons makes one.")
    return Comparison(**row._mapping)


def comparisons_of(tx: Connection, project: str, run_id: str | None, *, limit: int) -> list[Comparison]:
    """Newest first, of one run or of all."""
    statement = select(comparisons).where(comparisons.c.project == project)
    if run_id is not None:
        statement = statement.where(
            (comparisons.c.baseline == run_id) | (comparisons.c.candidate == run_id)
        )
    found: Iterable[Row[Any]] = tx.execute(statement.order_by(comparisons.c.id.desc()).limit(limit))
    return [Comparison(**row._mapping) for row in found]


def _of(run: Run) -> tuple[ColumnElement[bool], ...]:
    return results.c.project == run.project, results.c.run_id == run.id


def _row(value: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(value)
