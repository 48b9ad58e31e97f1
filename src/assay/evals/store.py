"""Every SQL statement about runs, results, cached answers and comparisons."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Row, Table, Text, func, select

from assay.evals.types import (
    CachedAnswer,
    CaseScore,
    Comparison,
    ComparisonOptions,
    Result,
    Run,
    RunOptions,
    RunScorer,
    RunSummary,
)
from assay.records import Json, Money, audited, metadata, unaudited, upsert
from assay.wire.verdicts import Verdict

Which = Literal["all", "wrong", "errors"]
"""Which results: all, those that some yes/no metric says no to, those without an output."""

runs = Table(
    "eval_runs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("task", Text),
    Column("variant", Text, nullable=False),
    Column("variant_hash", Text),
    Column("model", Text),
    Column("dataset", Text, nullable=False),
    Column("dataset_version", BigInteger, nullable=False),
    Column("dataset_hash", Text, nullable=False),
    Column("split", Text),
    Column("cases", BigInteger, nullable=False),
    Column("scorers", Json(list[RunScorer]), nullable=False),
    Column("options", Json(RunOptions), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("ended_at_ns", BigInteger),
    Column("summary", Json(RunSummary)),
    info=audited("run", subject=("id",), shows=("task", "variant", "dataset", "dataset_version", "split")),
)
outputs = Table(
    "eval_outputs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("output", Text, nullable=False),
    info=unaudited("part of a run"),
)
results = Table(
    "eval_results",
    metadata,
    Column("project", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("output", Text),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("scores", Json(dict[str, CaseScore]), nullable=False),
    Column("is_wrong", Boolean, nullable=False),
    Column("trace_id", Text),
    Column("span_id", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_usd", Money),
    Column("latency_ms", Float),
    Column("is_cached", Boolean, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    info=unaudited("part of a run"),
)
cache = Table(
    "eval_cache",
    metadata,
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("output", Text, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("trace_id", Text),
    Column("span_id", Text),
    Column("latency_ms", Float),
    Column("created_at_ns", BigInteger, nullable=False),
    info=unaudited("answers that are known already"),
)
comparisons = Table(
    "eval_comparisons",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("baseline", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("verdicts", Json(list[Verdict]), nullable=False),
    Column("options", Json(ComparisonOptions), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    info=audited("comparison", subject=("id",), shows=("baseline", "candidate", "options")),
)
_BATCH = 1000


def add_run(tx: Connection, run: Run) -> None:
    """A new one."""
    tx.execute(runs.insert(), _row(run))


def add_outputs(tx: Connection, run: Run, made: Sequence[tuple[str, str]]) -> None:
    """Outputs made elsewhere: (case id, output)."""
    for begin in range(0, len(made), _BATCH):
        rows = [
            {"project": run.project, "run_id": run.id, "case_id": case_id, "output": output}
            for case_id, output in made[begin : begin + _BATCH]
        ]
        tx.execute(outputs.insert(), rows)


def end_run(tx: Connection, run: Run, *, summary: RunSummary, at_ns: int) -> None:
    """Every case has its result."""
    statement = runs.update().where(runs.c.project == run.project, runs.c.id == run.id)
    tx.execute(statement.values(ended_at_ns=at_ns, summary=summary))


def find_run(tx: Connection, project: str, run_id: str) -> Run | None:
    """By its whole id."""
    row = tx.execute(select(runs).where(runs.c.project == project, runs.c.id == run_id)).one_or_none()
    return None if row is None else Run(**row._mapping)


def list_runs(
    tx: Connection,
    project: str,
    *,
    task: str | None,
    dataset: str | None,
    variant: str | None,
    before: str | None,
    limit: int,
) -> list[Run]:
    """Newest first, those older than `before`."""
    statement = select(runs).where(runs.c.project == project).order_by(runs.c.id.desc()).limit(limit)
    for column, wanted in ((runs.c.task, task), (runs.c.dataset, dataset), (runs.c.variant, variant)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if before is not None:
        statement = statement.where(runs.c.id < before)
    return [Run(**row._mapping) for row in tx.execute(statement)]


def all_outputs(tx: Connection, run: Run) -> dict[str, str]:
    """Case id to output."""
    statement = select(outputs.c.case_id, outputs.c.output).where(
        outputs.c.project == run.project, outputs.c.run_id == run.id
    )
    return {row.case_id: row.output for row in tx.execute(statement)}


def put_results(
    tx: Connection, run: Run, done: Sequence[Result], answers: Sequence[CachedAnswer] = ()
) -> None:
    """What cases came to, and the answers that other runs may use; the newest of a case or question stays."""
    upsert(tx, results, [{"project": run.project, "run_id": run.id, **_row(each)} for each in done])
    upsert(tx, cache, [{"project": run.project, **_row(each)} for each in answers])


def result_ids(tx: Connection, run: Run) -> set[str]:
    """The cases that have their result."""
    return set(tx.execute(select(results.c.case_id).where(*_of(run))).scalars())


def count_results(tx: Connection, run: Run) -> int:
    """How many cases have their result."""
    return tx.execute(select(func.count()).select_from(results).where(*_of(run))).scalar_one()


def iter_results(tx: Connection, run: Run) -> Iterator[Result]:
    """In the dataset's order."""
    for row in tx.execute(select(results).where(*_of(run)).order_by(results.c.position)):
        yield _result(row)


def scores_of(tx: Connection, run: Run) -> dict[str, dict[str, CaseScore]]:
    """Case id to its scores, in the dataset's order, without the outputs."""
    statement = select(results.c.case_id, results.c.scores).where(*_of(run)).order_by(results.c.position)
    return dict(tx.execute(statement).all())


def find_results(tx: Connection, run: Run, case_ids: Iterable[str]) -> dict[str, Result]:
    """Those of the cases that have one."""
    rows = tx.execute(select(results).where(*_of(run), results.c.case_id.in_(list(case_ids))))
    return {row.case_id: _result(row) for row in rows}


def list_results(tx: Connection, run: Run, *, which: Which, after: int, limit: int) -> list[Result]:
    """In the dataset's order, those behind the position `after`."""
    statement = select(results).where(*_of(run), results.c.position > after)
    if which == "wrong":
        statement = statement.where(results.c.is_wrong)
    elif which == "errors":
        statement = statement.where(results.c.error_type.is_not(None))
    return [_result(row) for row in tx.execute(statement.order_by(results.c.position).limit(limit))]


def find_answers(tx: Connection, project: str, keys: Iterable[str]) -> dict[str, CachedAnswer]:
    """Those of the questions, by their hash, that have an answer."""
    found = tx.execute(select(cache).where(cache.c.project == project, cache.c.key.in_(list(keys))))
    return {row.key: CachedAnswer(**_values(row)) for row in found}


def add_comparison(tx: Connection, comparison: Comparison) -> None:
    """A new one."""
    tx.execute(comparisons.insert(), _row(comparison))


def find_comparison(tx: Connection, project: str, comparison_id: str) -> Comparison | None:
    """By its whole id."""
    statement = select(comparisons).where(comparisons.c.project == project, comparisons.c.id == comparison_id)
    row = tx.execute(statement).one_or_none()
    return None if row is None else Comparison(**row._mapping)


def comparisons_of(tx: Connection, project: str, run_id: str, *, limit: int) -> list[Comparison]:
    """Those that a run takes part in, newest first."""
    statement = select(comparisons).where(
        comparisons.c.project == project,
        (comparisons.c.baseline == run_id) | (comparisons.c.candidate == run_id),
    )
    rows = tx.execute(statement.order_by(comparisons.c.id.desc()).limit(limit))
    return [Comparison(**row._mapping) for row in rows]


def _of(run: Run) -> tuple[Any, Any]:
    return results.c.project == run.project, results.c.run_id == run.id


def _row(value: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(value)


def _result(row: Row[Any]) -> Result:
    made = _values(row)
    del made["run_id"]
    return Result(**made)


def _values(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "project"}
