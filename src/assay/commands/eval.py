"""`assay eval`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from assay.charts.forest import in_words
from assay.charts.terminal import forest_text
from assay.commands.connection import connect
from assay.errors import AssayError, BadRequest, InvalidRows, NotFound
from assay.kit.json import decode, pretty
from assay.sdk.client import Client
from assay.wire.verdicts import Verdict

app = typer.Typer(
    help="Runs over datasets, comparisons with their uncertainty, gates for CI.", no_args_is_help=True
)

POLL_S = 0.2

Baseline = Annotated[str, typer.Argument(help="The id of the run to compare with.")]
Margin = Annotated[float | None, typer.Option(help="A difference up to this is negligible, e.g. 0.02.")]
Level = Annotated[float, typer.Option(help="The confidence level.")]
Overlap = Annotated[
    bool, typer.Option("--overlap", help="Compare only cases that both dataset versions share.")
]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Only these metrics; may be repeated.")]


@app.command()
def run(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option(help="The dataset: name, or name@version.")],
    scorer: Annotated[
        list[str], typer.Option(help='A scorer: its name, or JSON {"name": …, options}; may be repeated.')
    ],
    task: Annotated[str | None, typer.Option(help="The task.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Its variant; with --outputs, what to call them.")
    ] = None,
    outputs: Annotated[
        Path | None, typer.Option(help='Outputs made elsewhere, as JSONL: {"id", "output"}.')
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only the cases of this split.")] = None,
    concurrency: Annotated[int, typer.Option(help="Calls at once, up to 64.")] = 4,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask again what is answered already.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the run and show what it comes to.")] = True,
) -> None:
    """Ask a variant for every case of a dataset and score the answers."""
    body: dict[str, Any] = {
        "dataset": dataset,
        "scorers": [_scorer(each) for each in scorer],
        "task": task,
        "variant": variant,
        "outputs": None if outputs is None else _outputs(outputs),
        "split": split,
        "concurrency": concurrency,
        "no_cache": no_cache,
    }
    client = connect(ctx)
    started = client.post("/api/runs", body)
    if not wait:
        typer.echo(pretty(started) if ctx.obj.json else started["id"])
        return
    _follow(client, started["job_id"], quiet=ctx.obj.json)
    found = client.get(f"/api/runs/{started['id']}")
    if ctx.obj.json:
        typer.echo(pretty(found))
        return
    _show_run(found)


@app.command()
def compare(
    ctx: typer.Context,
    baseline: Baseline,
    candidate: Annotated[str, typer.Argument(help="The id of the run that should be better.")],
    margin: Margin = None,
    level: Level = 0.95,
    overlap: Overlap = False,
    metrics: Metrics = None,
) -> None:
    """Compare two runs case by case: how much better, how sure, what could not have been seen."""
    made = _compare(
        connect(ctx), baseline, candidate, margin=margin, level=level, overlap=overlap, metrics=metrics
    )
    if ctx.obj.json:
        typer.echo(pretty(made))
        return
    _show_verdicts(made)


@app.command()
def gate(
    ctx: typer.Context,
    baseline: Annotated[str, typer.Argument(help="The id of the run to compare with, or of a comparison.")],
    candidate: Annotated[
        str | None, typer.Argument(help="The id of the run that wants to pass; none with a comparison.")
    ] = None,
    rule: Annotated[
        Literal["not_worse", "better"], typer.Option(help="What every metric must be.")
    ] = "not_worse",
    margin: Margin = None,
    level: Level = 0.95,
    overlap: Overlap = False,
    metrics: Metrics = None,
) -> None:
    """Judge a comparison for CI: exit 0 passed, 1 regressed, 2 inconclusive or invalid."""
    client = connect(ctx)
    if candidate is None:
        made = client.get(f"/api/comparisons/{baseline}")
    else:
        made = _compare(
            client, baseline, candidate, margin=margin, level=level, overlap=overlap, metrics=metrics
        )
    said = client.get(f"/api/comparisons/{made['id']}/gate", rule=rule)
    if ctx.obj.json:
        typer.echo(pretty({**said, "comparison": made["id"], "verdicts": made["verdicts"]}))
    else:
        _show_verdicts(made)
        typer.echo(f"Gate: {said['outcome']}. {'; '.join(said['reasons'])}.")
    raise typer.Exit(said["exit_code"])


@app.command()
def report(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(help="The id of a run or of a comparison.")],
    form: Annotated[Literal["md", "json"], typer.Option("--format", help="Markdown or JSON.")] = "md",
) -> None:
    """Print a run or a comparison as Markdown, for a pull request or mail."""
    client = connect(ctx)
    path = f"/api/runs/{id}"
    try:
        found = client.get(path)
    except NotFound:
        path = f"/api/comparisons/{id}"
        try:
            found = client.get(path)
        except NotFound as error:
            raise NotFound(f"There is no run and no comparison {id!r}", hint=error.hint) from error
    if form == "json" or ctx.obj.json:
        typer.echo(pretty(found))
        return
    typer.echo(client.get(f"{path}/report")["markdown"])


def _compare(client: Client, baseline: str, candidate: str, **options: Any) -> dict[str, Any]:
    asked = {name: value for name, value in options.items() if value is not None}
    made: dict[str, Any] = client.post(
        "/api/comparisons", {"baseline": baseline, "candidate": candidate, **asked}
    )
    return made


def _follow(client: Client, job_id: str, *, quiet: bool) -> None:
    """Until the job has ended; raises `AssayError` when it did not succeed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        bar = progress.add_task("Cases", total=None)
        while True:
            job = client.get(f"/api/jobs/{job_id}")
            progress.update(bar, completed=job["progress"]["done"], total=job["progress"]["total"])
            if job["status"] in ("failed", "cancelled"):
                error = job["error"] or {"message": "It was cancelled", "hint": None}
                raise AssayError(f"The run {job['status']}: {error['message']}", hint=error["hint"])
            if job["status"] == "succeeded":
                return
            time.sleep(POLL_S)


def _show_run(found: dict[str, Any]) -> None:
    console, summary = Console(), found["summary"]
    table = Table("metric", "estimate", "interval", "n", "errors", "method")
    for metric in summary["metrics"]:
        interval = metric["interval"]
        table.add_row(
            metric["metric"],
            "–" if metric["estimate"] is None else f"{metric['estimate']:.4g}",
            "–"
            if interval is None
            else f"{interval['lo']:.4g} to {interval['hi']:.4g} at {metric['level']:.0%}",
            str(metric["n"]),
            str(metric["n_errors"]),
            metric["method"],
        )
    console.print(table)
    cost = "unknown" if summary["cost_usd"] is None else f"${summary['cost_usd']}"
    console.print(
        f"{summary['results']} cases, {summary['n_errors']} without an output, {summary['n_cached']} from the cache, "
        f"cost {cost}",
        highlight=False,
    )
    typer.echo(f"run {found['id']}")


def _show_verdicts(made: dict[str, Any]) -> None:
    verdicts = msgspec.convert(made["verdicts"], list[Verdict])
    for verdict in verdicts:
        typer.echo(in_words(verdict))
        if verdict.note and verdict.estimate is not None:
            typer.echo(f"  {verdict.note}")
    typer.echo("")
    console = Console()
    typer.echo(forest_text(verdicts, width=min(console.width, 110), ascii_only=console.encoding != "utf-8"))
    typer.echo(f"comparison {made['id']}")


def _scorer(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        raise BadRequest(f"--scorer {text!r} is not JSON: {error}", param="scorer") from error


def _outputs(file: Path) -> list[Any]:
    """The lines of a JSONL file. Raises `InvalidRows` naming those that are not JSON objects with an id and an output."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file} cannot be read: {error}", param="outputs") from error
    made: list[Any] = []
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            made.append(_line(line, number, wrong))
    if wrong:
        said = "; ".join(f"line {number}: {message}" for number, message in wrong[:5])
        raise InvalidRows(f"{len(wrong)} lines of {file} cannot be used: {said}", rows=wrong)
    return made


def _line(line: str, number: int, wrong: list[tuple[int, str]]) -> Any:
    try:
        value = decode(line)
    except msgspec.DecodeError as error:
        wrong.append((number, str(error)))
        return None
    missing: Sequence[str] = (
        [name for name in ("id", "output") if name not in value] if isinstance(value, dict) else ["object"]
    )
    if missing:
        wrong.append((number, f"it has no {missing[0]}"))
    return value
