"""Runs and comparisons as Markdown, for pull requests and mail. What models wrote is fenced in, never interpreted."""

from assay.evals.types import Comparison, Difference, Run
from assay.kit import money
from assay.kit.clock import rfc3339
from assay.stats.types import Estimate
from assay.ui.words import quantity, sentence

_SHOWN_CHARS = 300


def run_report(run: Run) -> str:
    """One run: what ran, what it cost, each metric with its interval."""
    lines = [f"## Run: {_cell(run.title)} on {_cell(run.dataset)} v{run.dataset_version}", ""]
    if run.summary is None:
        return "\n".join([*lines, "It has not ended.", ""])
    summary = run.summary
    lines += [
        "| metric | estimate | interval | n | errors | method |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_metric_row(metric) for metric in summary.metrics]
    lines += [
        "",
        f"{summary.results} cases, {summary.n_errors} without an output, {summary.n_cached} answered from the cache · "
        f"{money.display(summary.cost_usd)} · {summary.input_tokens:,} tokens in, {summary.output_tokens:,} out · "
        f"model {_cell(run.model or 'none')} · {rfc3339(run.created_at_ns)} · run `{run.id}`",
        "",
    ]
    return "\n".join(lines)


def comparison_report(comparison: Comparison, sides: tuple[Run, Run], examples: list[Difference]) -> str:
    """One comparison: each verdict in a sentence and a table, and some cases that the two answered differently."""
    baseline, candidate = sides
    lines = [
        f"## {_cell(candidate.title)} against {_cell(baseline.title)} on {_cell(candidate.dataset)} v{candidate.dataset_version}",
        "",
    ]
    for verdict in comparison.verdicts:
        lines += [f"**{_cell(verdict.metric)}: {verdict.outcome.value}.** {_cell(sentence(verdict))}", ""]
    lines += ["| metric | baseline | candidate | difference | interval |", "| --- | --- | --- | --- | --- |"]
    for verdict in comparison.verdicts:
        interval = verdict.interval
        between = (
            "–"
            if interval is None
            else f"{quantity(verdict, interval.lo)} to {quantity(verdict, interval.hi)}"
        )
        sides_text = [
            ("–" if value is None else f"{value:.4g}") for value in (verdict.baseline, verdict.candidate)
        ]
        lines.append(
            f"| {_cell(verdict.metric)} | {sides_text[0]} | {sides_text[1]} | {quantity(verdict, verdict.estimate, signed=True)} | {between} |"
        )
    for example in examples:
        lines += ["", f"<details><summary>Case {_cell(example.case_id)}</summary>", ""]
        for name, result in (("baseline", example.baseline), ("candidate", example.candidate)):
            shown = (
                "" if result is None else result.output if result.output is not None else result.error_message
            )
            lines += [f"{name}:", "", *_fenced(shown or ""), ""]
        lines.append("</details>")
    return "\n".join(
        [*lines, "", f"comparison `{comparison.id}` · runs `{baseline.id}`, `{candidate.id}`", ""]
    )


def _metric_row(metric: Estimate) -> str:
    estimate = "–" if metric.estimate is None else f"{metric.estimate:.4g}"
    interval = metric.interval
    between = "–" if interval is None else f"[{interval.lo:.4g}, {interval.hi:.4g}] at {metric.level:.0%}"
    return f"| {_cell(metric.metric)} | {estimate} | {between} | {metric.n} | {metric.n_errors} | {_cell(metric.method)} |"


def _cell(text: str) -> str:
    """Text that can neither end a cell nor become markup."""
    return "".join(f"\\{letter}" if letter in "\\`*_|<>[]#" else letter for letter in text.replace("\n", " "))


def _fenced(text: str) -> list[str]:
    """An indented block: nothing that the text holds can end it."""
    clipped = text[:_SHOWN_CHARS] + (" …" if len(text) > _SHOWN_CHARS else "")
    return [f"    {line}" for line in clipped.splitlines() or [""]]
