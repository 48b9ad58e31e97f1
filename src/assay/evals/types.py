"""Runs, their results and comparisons as they are kept."""

from decimal import Decimal
from typing import Any

import msgspec

from assay.scorers.types import Kind
from assay.stats.types import Estimate
from assay.wire.verdicts import Verdict


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is made. `salt` sets the cached answers of one repeat apart from those of another."""

    concurrency: int = 4
    use_cache: bool = True
    salt: str = ""


class RunScorer(msgspec.Struct, frozen=True, kw_only=True):
    """A scorer of a run: `specification` makes it again; `version` covers its options and its code."""

    metric: str
    name: str
    version: str
    kind: Kind
    higher_is_better: bool
    specification: dict[str, Any]
    bounds: tuple[float, float] | None = None


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run comes to. `n_errors` counts cases without an output; a metric counts its own errors besides.

    `cost_usd` is what this run paid: an answer from the cache costs nothing. None when the price of `n_unpriced` is unknown.
    """

    results: int
    n_errors: int
    n_cached: int
    cost_usd: Decimal | None
    n_unpriced: int
    input_tokens: int
    output_tokens: int
    latency_ms: float | None
    """the median of the answers that were not cached"""
    metrics: list[Estimate]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version × a variant (or outputs made elsewhere) → outputs and scores."""

    project: str
    id: str
    job_id: str
    task: str | None
    variant: str
    variant_hash: str | None
    model: str | None
    dataset: str
    dataset_version: int
    dataset_hash: str
    split: str | None
    cases: int
    scorers: list[RunScorer]
    options: RunOptions
    actor: str
    created_at_ns: int
    ended_at_ns: int | None = None
    summary: RunSummary | None = None

    @property
    def title(self) -> str:
        """What ran, for people."""
        return self.variant if self.task is None else f"{self.task}/{self.variant}"


class CaseScore(msgspec.Struct, frozen=True, omit_defaults=True):
    """One score of one case: a value, or why there is none."""

    value: bool | float | None = None
    explanation: str | None = None
    error: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one case came to: an output with its scores, or an error."""

    case_id: str
    position: int
    output: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    scores: dict[str, CaseScore] = {}
    is_wrong: bool = False
    """some yes/no metric says no"""
    trace_id: str | None = None
    span_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    latency_ms: float | None = None
    is_cached: bool = False
    at_ns: int = 0


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to keep for the next run that asks exactly the same."""

    key: str
    output: str
    input_tokens: int | None
    output_tokens: int | None
    trace_id: str | None
    span_id: str | None
    latency_ms: float | None
    created_at_ns: int


class ComparisonOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How two runs were compared. `overlap` compares only the cases that both dataset versions have alike."""

    level: float = 0.95
    margin: float | None = None
    overlap: bool = False
    metrics: list[str] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on a candidate run against a baseline run, one a metric, kept with how they were made."""

    project: str
    id: str
    baseline: str
    candidate: str
    verdicts: list[Verdict]
    options: ComparisonOptions
    actor: str
    created_at_ns: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One case in two runs."""

    case_id: str
    baseline: Result | None
    candidate: Result | None
