"""What a person sees of the demo."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from assay.catalog.local import models_folder
from assay.catalog.weights import KNOWN, pull
from assay.charts.terminal import forest_text
from assay.demo import story
from assay.demo.process import Running, serving
from assay.wire.verdicts import Verdict

console = Console(highlight=False)


def play(data: Path, *, port: int, stay: bool) -> None:
    """The whole loop on the data directory. With `stay` the server goes on until it is interrupted."""
    bring_weights(data)
    with serving(data, port=port) as running:
        comparison = evaluate(running)
        decide(running, comparison)
        call(running)
        farewell(running, stay=stay)
        if stay:
            running.wait()


def bring_weights(data: Path) -> None:
    """The model's weights, once."""
    folder = models_folder(data)
    known = KNOWN[story.MODEL]
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as progress:
        bar = progress.add_task(f"Bringing {story.MODEL}", total=known.size_bytes)
        pull(story.MODEL, folder, progress=lambda done, size: progress.update(bar, completed=done))
    console.print(f"[bold]Model[/]    {story.MODEL}: {known.about.partition(';')[0]}")


def evaluate(running: Running) -> dict[str, Any]:
    """Both prompts on every review, and the comparison."""
    client = running.client
    version = story.prepare(client)
    console.print(
        f"[bold]Dataset[/]  {story.DATASET} v{version['version']}: {version['cases']} reviews, half of them positive"
    )
    story.release_baseline(client)
    runs = {name: story.start_run(client, name) for name in story.PROMPTS}
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {name: progress.add_task(name, total=version["cases"]) for name in runs}
        watch: dict[str, story.Watch] = {name: _watch(progress, bars[name]) for name in runs}
        story.follow(client, runs, watch)
    if not story.calls_made(client, runs):
        console.print("[dim]         All of it was done before: no call was made again.[/]")
    return story.compare(client, runs)


def decide(running: Running, comparison: dict[str, Any]) -> None:
    """The verdict, and what follows from it."""
    verdict = comparison["verdicts"][0]
    console.print()
    console.print("[bold]Verdict[/]  the answer contains the right word:", end=" ")
    console.print(f"{story.BASELINE} {verdict['baseline']:.0%}, {story.CANDIDATE} {verdict['candidate']:.0%}")
    picture = forest_text(
        msgspec.convert(comparison["verdicts"], list[Verdict]), width=min(console.width, 100)
    )
    console.print(picture, markup=False)
    if verdict["outcome"] != "better":
        console.print(
            f"[bold]Decision[/] {story.BASELINE} stays: the evidence does not speak for {story.CANDIDATE}."
        )
        return
    done = "released" if story.promote(running.client, comparison["id"]) else "is released already"
    console.print(f"[bold]Decision[/] {story.CANDIDATE} {done} for task:{story.TASK}, on this evidence.")


def call(running: Running) -> None:
    """Two live calls, as they come."""
    console.print()
    console.print(f"[bold]Live[/]     the official openai client, model task:{story.TASK}, streamed")
    console.print(f"[dim]         {story.REVIEW}[/]", markup=True)
    console.print("         ", end="")
    classic = story.call_live(
        running.client, running.url, lambda piece: console.print(piece, end="", markup=False)
    )
    console.print()
    console.print(f"[bold]Live[/]     /v1/completions, model {story.MODEL}, as so small a model does it")
    for text, style in ((classic.asked, "dim"), (classic.answered.strip(), "")):
        console.print(Padding(Text(text, style=style), (0, 0, 0, 9)))


def farewell(running: Running, *, stay: bool) -> None:
    """Where to look at all of it, and the key that opens it."""
    console.print()
    where = (
        running.url
        if running.process is None or stay
        else "`make up`, or `assay up`, shows all of it in the browser"
    )
    console.print(f"[bold]Look[/]     {where}")
    if running.admin_key is not None:
        console.print(f"         Sign in with this key, shown this once: [bold]{running.admin_key}[/]")
    else:
        console.print(
            "         Sign in with the key of the first start, or `assay keys create ME --role admin`."
        )
    if stay and running.process is not None:
        console.print("[dim]         Ctrl-C ends the server.[/]")


def _watch(progress: Progress, bar: TaskID) -> story.Watch:
    return lambda done, total: progress.update(bar, completed=done, total=total)
