"""The page of the data model: what is kept, read from the tables themselves."""

import ast
import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Column, Table

from assay.records import Json, metadata
from assay.spans import DuckDBStore
from assay.wire import spans, usage

KEPT = {
    "projects": "The tenants; everything else belongs to one.",
    "keys": "Keys of applications and people. The secret itself is not kept, only its SHA-256 and first characters.",
    "users": "People who sign in with a password, kept as an argon2id hash.",
    "members": "Which role a person has in which project.",
    "sessions": "Logins of browsers; the cookie's value is kept as a hash.",
    "audit": "Who changed what, written in the transaction of the change.",
    "prompt_versions": "Each content that a prompt ever had.",
    "prompt_labels": "Which version a label points at now.",
    "tasks": "Named jobs that applications ask for.",
    "task_variants": "Ways to do a task; never changed.",
    "releases": "Which variants serve a task in an environment, by weights. The newest serves, the others are its history.",
    "file_releases": "What `assay.toml` last said about a release, so that a restart does not undo a later choice.",
    "dataset_versions": "Each content that a dataset ever had.",
    "dataset_cases": "The cases of a version.",
    "eval_runs": "A dataset version done by a variant, or by outputs made elsewhere.",
    "eval_outputs": "Outputs made elsewhere that a run scores.",
    "eval_results": "What came of each case: output, scores, or why there is none.",
    "eval_cache": "Answers that a later run with exactly the same question takes.",
    "eval_comparisons": "Two runs, case by case, with their verdicts.",
    "limits": "What projects, keys, users and tags may ask for and spend.",
    "spent": "What was spent under each budget up to a moment; written by the server.",
    "decisions": "Verdicts and acts that changed something. The database refuses to update or delete them.",
    "jobs": "Background work: what, how far, how it ended.",
    "retention": "How long a project keeps messages and rows of its spans, and whether imports are treated alike.",
    "secrets": "Secrets of the server, such as keys of providers; `sealed` is the encrypted value.",
    "job_lines": "The newest lines of a job's log.",
    "batches": "Many calls in a file, made in the background.",
    "batch_results": "What came of each line of a batch that has not ended; then it is in its files.",
    "files": "Uploaded and made files; their content lies in the data directory.",
    "responses": "Answers of the Responses API that their clients had kept, each pointing to the one before.",
}
"""What a row of each table is."""

SPANS = {
    "spans": "One row a span, of all days; never edited.",
    "live_spans": "`spans` without those that a newer version replaced.",
    "calls": "`live_spans` that count as calls, each once; sums of calls, tokens and cost are over these.",
    "superseded": "Rows that a newer version of the same span replaced, and by which.",
    "covered": "Rows of foreign spans that tell of a call which a span below them tells as well.",
    "scores": "Measurements and feedback; only added, the same `score_id` once.",
    "hot_spans": "Those of the days that are not sealed yet.",
    "hot_scores": "Those of the days that are not sealed yet.",
    "hot_payloads": "Those of the days that are not sealed yet.",
    "sealed_files": "The Parquet files of sealed days: one a kind, project and day.",
    "doomed_files": "Files that nobody refers to any more and that are about to be removed.",
    "payloads": "Messages, tool definitions and documents: each once per project, day of arrival and person.",
    "positions": "How far each spool has been read.",
    "layout": "The version of these tables.",
}

REPEATS = ("live_spans", "calls", "hot_spans", "hot_scores", "hot_payloads")
"""These have the columns of others."""

ABOUT = {
    "trace_id": "32 hexadecimal digits, as W3C has it",
    "span_id": "16 hexadecimal digits",
    "parent_id": "the span above, if any",
    "kind": ", ".join(spans.SpanKind),
    "status": ", ".join(spans.SpanStatus),
    "endpoint": "the path that was called",
    "cache": "whether the answer came from a cache",
    "attempts": "how often providers were asked",
    "first_output_ns": "when the first output came",
    "key_id": "whose key it was",
    "user_id": "the application's user, as it says",
    "session_id": "the conversation, as the application says",
    "attributes": "JSON: what came beside the columns",
    "row_id": "number of the row",
    "input_hashes": "SHA-256 of each message that went in, in order: its body is in `payloads`",
    "output_hashes": "of each that came out",
    "tool_hashes": "of each tool definition",
    "raw_hashes": "of a foreign span: of the pieces that it was sent with",
    "input_preview": "the first 200 characters of the last question",
    "output_preview": "the first 200 characters of the answer",
    "received_at_ns": "when it came",
    "day": "UTC day of arrival, in days since the epoch: the unit in which days are sealed and dropped",
    "input_source": "who counted: provider, tokenizer or estimate",
    "output_source": "who counted what came out",
    "cost_usd": "exact; NULL when there is no price",
}
"""Columns of spans that do not come from a field as it is."""


def page(made: str) -> Iterator[str]:
    """The lines of the page. Exits when a table is not described."""
    yield from ("# Data model", "", made, "")
    yield "Records are in `records.sqlite` (or the database of `database_url`), spans and scores in the span store."
    yield "Columns that end in `_ns` are nanoseconds since the Unix epoch. Money is exact: decimal text in records,"
    yield "`DECIMAL(38,20)` in spans. Unknown is NULL, never 0."
    yield from ("", "## Records")
    for table in metadata.sorted_tables:
        yield from ("", f"### `{table.name}`", "", told(KEPT, table.name), "")
        yield from ("| column | type | |", "| --- | --- | --- |")
        yield from (
            f"| `{column.name}` | {kind(column)} | {notes(table, column)} |" for column in table.columns
        )
    yield from ("", "## Spans", "")
    yield "A call, its attempts and what stands around it are separate spans. Token classes are disjoint: no token is"
    yield "counted in two of them."
    fields = {
        **documented(spans, "Span"),
        **{f"{name}_tokens": said for name, said in documented(usage, "Usage").items()},
    }
    for name, columns in store_tables():
        yield from ("", f"### `{name}`", "", told(SPANS, name))
        if name in REPEATS:
            continue
        meanings = {**fields, **ABOUT} if name == "spans" else {}
        yield from ("", "| column | type | |", "| --- | --- | --- |")
        yield from (f"| `{column}` | {type} | {meanings.get(column, '')} |" for column, type in columns)


def told(known: dict[str, str], name: str) -> str:
    """What is said about a table."""
    if name not in known:
        sys.exit(f"Say in scripts/reference_tables.py what a row of {name} is.")
    return known[name]


def kind(column: Column[Any]) -> str:
    """The type in the database, and what JSON it holds."""
    return f"{column.type}, JSON" if isinstance(column.type, Json) else str(column.type)


def notes(table: Table, column: Column[Any]) -> str:
    """Keys, references, and whether it may be unknown."""
    said = ["key"] if column.primary_key else []
    said += [
        f"→ `{key.target_fullname}`"
        for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname)
    ]
    said += ["unique"] if column.unique else []
    said += ["may be NULL"] if column.nullable else []
    return ", ".join(said)


def documented(module: Any, name: str) -> dict[str, str]:
    """The fields of a class that have a docstring, with its first sentence."""
    (found,) = (
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    said = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            said[field.target.id] = " ".join(str(text.value.value).split())
    return said


def store_tables() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The tables and views of a new span store, with their columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spans.duckdb"
        DuckDBStore(path).close()
        with duckdb.connect(str(path)) as connection:
            rows = connection.execute(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position"
            ).fetchall()
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, type in rows:
        tables.setdefault(table, []).append((column, type))
    yield from sorted(
        tables.items(), key=lambda pair: (list(SPANS).index(pair[0]) if pair[0] in SPANS else 99, pair[0])
    )
