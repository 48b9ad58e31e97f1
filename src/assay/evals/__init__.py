"""Evaluation: runs of a variant over a dataset version, paired comparisons of two runs, and gates.

Each case's result is one row, written before it counts, so a run that is killed goes on where it stopped and repeats only
what was in flight. A case that failed, or could not be scored, is counted apart and never as a zero. Two runs are compared
case by case with `stats`, and what comes out is a `Verdict`.
"""

from assay.evals.comparing import compare, get_comparison, list_differences
from assay.evals.gating import Gate, Rule, gate, objection_to
from assay.evals.jobs import KIND, EvalRuns
from assay.evals.planning import get_run, list_runs, start_outputs_run, start_run
from assay.evals.types import Comparison, Result, Run, RunOptions, RunSummary

__all__ = [
    "KIND",
    "Comparison",
    "EvalRuns",
    "Gate",
    "Result",
    "Rule",
    "Run",
    "RunOptions",
    "RunSummary",
    "compare",
    "gate",
    "get_comparison",
    "get_run",
    "list_differences",
    "list_runs",
    "objection_to",
    "start_outputs_run",
    "start_run",
]
