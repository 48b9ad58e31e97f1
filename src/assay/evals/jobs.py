"""Running: each case is asked, scored and written down before it counts."""

import asyncio
from collections.abc import Iterator

import msgspec

from assay.calls import Call, CallContext, Caller
from assay.catalog.models import ModelConfig
from assay.datasets import Case
from assay.errors import AssayError, BadRequest
from assay.evals import store
from assay.evals.cases import cache_key, messages_of
from assay.evals.planning import KIND as KIND
from assay.evals.planning import cases_of, get_run
from assay.evals.summing import summarize
from assay.evals.types import CachedAnswer, CaseScore, Result, Run
from assay.jobs import JobContext
from assay.kit.clock import SYSTEM, Clock
from assay.kit.money import usd
from assay.records import Records
from assay.scorers import BoundScorer, Unscorable, bind
from assay.tasks import get_variant
from assay.tasks.table import CompiledVariant, compile_variant

ENVIRONMENT = "evaluation"
"""Where the calls of runs belong, so that no picture of production traffic holds them."""


class _Work(msgspec.Struct, frozen=True):
    """What is left of a run, and what its cases need."""

    run: Run
    pending: list[tuple[int, Case]]
    scorers: list[BoundScorer]
    variant: CompiledVariant | None
    outputs: dict[str, str]


class EvalRuns:
    """What runs jobs of the kind `eval_run`: `jobs.register(KIND, EvalRuns(records, caller).run)`."""

    def __init__(self, records: Records, caller: Caller, *, clock: Clock = SYSTEM) -> None:
        self._records = records
        self._caller = caller
        self._clock = clock

    async def run(self, context: JobContext) -> dict[str, object]:
        """Do the cases that have no result yet, a few at once, then sum up."""
        work = await asyncio.to_thread(self._work, context)
        run, count = work.run, len(work.pending)
        done = run.cases - count
        context.log(
            f"{run.title} on {run.dataset} v{run.dataset_version}: {count} of {run.cases} cases to do"
        )
        context.progress(done, run.cases)
        queue = iter(work.pending)

        async def worker() -> None:
            nonlocal done
            for position, case in queue:
                if context.cancelled():
                    return
                await self._case(work, position, case)
                done += 1
                context.progress(done, run.cases)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(run.options.concurrency, count)):
                group.create_task(worker())
        if not context.cancelled():
            await asyncio.to_thread(self._end, run)
        return {"run_id": run.id}

    def _work(self, context: JobContext) -> _Work:
        with self._records.read() as tx:
            run = get_run(tx, context.project, str(context.arguments["run_id"]))
            finished = store.result_ids(tx, run)
            pending = [(at, case) for at, case in enumerate(cases_of(tx, run)) if case.id not in finished]
            is_live = run.variant_hash is not None and run.task is not None
            variant = get_variant(tx, run.project, run.task or "", run.variant) if is_live else None
            outputs = {} if is_live else store.all_outputs(tx, run)
        scorers = [bind(scorer.specification) for scorer in run.scorers]
        return _Work(run, pending, scorers, None if variant is None else compile_variant(variant), outputs)

    async def _case(self, work: _Work, position: int, case: Case) -> None:
        if work.variant is None:
            result, answer = _recorded(work.outputs, position, case), None
        else:
            result, answer = await self._asked(work.run, work.variant, position, case)
        # Shielded: an answer that was paid for is written down even if the run is stopped at this moment.
        await asyncio.shield(asyncio.to_thread(self._keep, work, case, result, answer))

    async def _asked(
        self, run: Run, variant: CompiledVariant, position: int, case: Case
    ) -> tuple[Result, CachedAnswer | None]:
        """The output of a case, remembered or fresh; a fresh one comes with what to remember."""
        try:
            request = messages_of(variant, case)
            key = cache_key(request, self._model(request.model), salt=run.options.salt)
            known = await asyncio.to_thread(self._find_answer, run, key) if run.options.use_cache else None
            if known is not None:
                return _remembered(known, position, case), None
            context = CallContext(
                project=run.project,
                environment=ENVIRONMENT,
                task=run.task,
                variant=run.variant,
                run_id=run.id,
                case_id=case.id,
            )
            answer = await self._caller.complete(Call("chat", request, context))
        except AssayError as error:
            return _failed(error, position, case), None
        span = answer.span
        result = Result(
            case_id=case.id,
            position=position,
            output=answer.response.text,
            trace_id=span.trace_id,
            span_id=span.span_id,
            input_tokens=None if span.usage is None else span.usage.total_input,
            output_tokens=None if span.usage is None else span.usage.total_output,
            cost_usd=answer.cost_usd,
            latency_ms=(span.end_ns - span.start_ns) / 1e6,
        )
        return result, _to_remember(key, result)

    def _model(self, name: str) -> ModelConfig | None:
        return self._caller.models.get(name)

    def _find_answer(self, run: Run, key: str) -> CachedAnswer | None:
        with self._records.read() as tx:
            return store.find_answer(tx, run.project, key)

    def _keep(self, work: _Work, case: Case, result: Result, answer: CachedAnswer | None) -> None:
        now_ns = self._clock.now_ns()
        scored = msgspec.structs.replace(result, scores=_scores(work.scorers, case, result), at_ns=now_ns)
        with self._records.write() as tx:
            store.add_result(tx, work.run, scored)
            if answer is not None:
                store.keep_answer(tx, work.run.project, msgspec.structs.replace(answer, created_at_ns=now_ns))

    def _end(self, run: Run) -> None:
        with self._records.read() as tx:
            summary = summarize(tx, run)
        with self._records.write() as tx:
            store.end_run(tx, run, summary=summary, at_ns=self._clock.now_ns())


def _scores(scorers: list[BoundScorer], case: Case, result: Result) -> dict[str, CaseScore]:
    return dict(_iter_scores(scorers, case, result.output)) if result.output is not None else {}


def _iter_scores(scorers: list[BoundScorer], case: Case, output: str) -> Iterator[tuple[str, CaseScore]]:
    for scorer in scorers:
        score = scorer.score(case.input, output, case.reference, case.metadata)
        if isinstance(score, Unscorable):
            yield scorer.metric, CaseScore(error=score.reason)
        else:
            yield scorer.metric, CaseScore(score.value, score.explanation)


def _recorded(outputs: dict[str, str], position: int, case: Case) -> Result:
    if case.id in outputs:
        return Result(case_id=case.id, position=position, output=outputs[case.id], cost_usd=usd(0))
    return _failed(BadRequest("No output was sent for this case"), position, case)


def _remembered(known: CachedAnswer, position: int, case: Case) -> Result:
    return Result(
        case_id=case.id,
        position=position,
        output=known.output,
        trace_id=known.trace_id,
        span_id=known.span_id,
        input_tokens=known.input_tokens,
        output_tokens=known.output_tokens,
        cost_usd=usd(0),
        latency_ms=known.latency_ms,
        is_cached=True,
    )


def _to_remember(key: str, result: Result) -> CachedAnswer:
    return CachedAnswer(
        key=key,
        output=result.output or "",
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        trace_id=result.trace_id,
        span_id=result.span_id,
        latency_ms=result.latency_ms,
        created_at_ns=0,
    )


def _failed(error: AssayError, position: int, case: Case) -> Result:
    return Result(
        case_id=case.id,
        position=position,
        error_type=type(error).__name__,
        error_message=error.message[:2000],
        cost_usd=usd(0),
    )
