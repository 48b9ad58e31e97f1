"""Runs, results and comparisons as they are kept."""

from decimal import Decimal

import msgspec

from assay.scorers.types import Kind
from assay.stats.types import Estimate
from assay.wire.usage import Usage
from assay.wire.verdicts import Verdict


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer makes in a run. `specification` makes the scorer again; `version` says which code and options."""

    name: str
    scorer: str
    version: str
    kind: Kind
    higher_is_better: bool
    bounds: tuple[float, float] | None
    specification: dict[str, object]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a run goes about it. Answers of one `repeat` are not reused by another."""

    concurrency: int = 4
    no_cache: bool = False
    repeat: int = 0


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `done` cases have a result, `errors` of these have no output.

    `cost_usd` is what this run paid: answers that came from the cache (`cached`) cost nothing again. It is None when the
    price of `cost_unknown` > 0 answers is not known.
    """

    done: int
    errors: int
    cached: int
    cost_usd: Decimal | None
    cost_unknown: int
    input_tokens: int
    output_tokens: int
    estimates: tuple[Estimate, ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version × a variant of a task, or × outputs that somebody recorded (then there is no variant).

    Its status is its job's. `summary` is kept when the run has ended.
    """

    project: str
    id: str
    job_id: str
    task: str | None
    variant: str | None
    variant_hash: str | None
    model: str | None
    dataset: str
    dataset_version: int
    dataset_hash: str
    split: str | None
    cases: int
    metrics: tuple[Metric, ...]
    options: RunOptions
    actor: str
    created_at_ns: int
    ended_at_ns: int | None = None
    summary: RunSummary | None = None

    @property
    def label(self) -> str:
        """What it is called beside another run."""
        return self.variant or "recorded outputs"


class CaseScore(msgspec.Struct, frozen=True, omit_defaults=True):
    """One metric of one case. Without a value the case could not be scored, and `explanation` says why."""

    value: bool | float | None
    explanation: str | None = None


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one case. Either `output` is there, with its scores, or `error` says why not.

    `cost_usd`, `usage`, `latency_ms`, `attempts` and the trace are those of the call that made the answer; with `is_cached`
    that was an earlier one, and nothing was paid again. `is_wrong`: some yes/no metric said no.
    """

    project: str
    run_id: str
    position: int
    case_id: str
    output: str | None = None
    error: str | None = None
    scores: dict[str, CaseScore] = {}
    is_wrong: bool = False
    trace_id: str | None = None
    span_id: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    latency_ms: float | None = None
    attempts: int = 0
    is_cached: bool = False
    at_ns: int


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a model under the hash of what it was asked."""

    project: str
    key: str
    output: str
    trace_id: str
    span_id: str
    usage: Usage | None
    cost_usd: Decimal | None
    latency_ms: float
    attempts: int
    created_at_ns: int


class ComparisonOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a comparison, and what it had to leave out.

    `left_out` counts cases that only one run has or that the two dataset versions say differently; `skipped` names metrics
    that the runs do not share or that were made by different scorer versions, each with the reason.
    """

    level: float = 0.95
    margin: float | dict[str, float] | None = None
    overlap: bool = False
    left_out: int = 0
    skipped: dict[str, str] = {}


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The paired verdicts over two runs, candidate against baseline, for ever."""

    project: str
    id: str
    baseline: str
    candidate: str
    verdicts: tuple[Verdict, ...]
    options: ComparisonOptions
    actor: str
    created_at_ns: int
