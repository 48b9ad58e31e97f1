"""The job of a run: ask for every case that has no result yet, score the answer, write both down.

A run that was killed goes on where it stopped: what is written is skipped, so only the calls that were in flight are made
again. A case whose call failed, after the pipeline's own retries, is an error of that case. What would fail for every case
fails the run: an input that does not fit or a model that is gone before anything is paid, a disk that is full at once.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.calls import Answer, Call, CallContext, Caller
from assay.calls.cache_rules import PASS_BY
from assay.datasets import Case
from assay.errors import AssayError, BadRequest, Conflict, GuardBlocked, InvalidOutput, NotFound, Upstream
from assay.evals import store
from assay.evals.cases import cache_key, messages_of
from assay.evals.keeping import Keeper, Kept
from assay.evals.planning import KIND as KIND
from assay.evals.planning import cases_of, get_run
from assay.evals.summing import summarize
from assay.evals.types import CachedAnswer, CaseScore, Result, Run, RunSummary
from assay.jobs import JobContext
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.kit.money import usd
from assay.records import Records
from assay.scorers import BoundScorer, Unscorable, bind
from assay.tasks import get_variant
from assay.tasks.table import CompiledVariant, compile_variant

ENVIRONMENT = "evaluation"
"""Where the calls of runs belong, so that no picture of production traffic holds them."""

_LOOKED_UP = 500


class _Todo(msgspec.Struct, frozen=True):
    """A case without a result; `key` names its answer in the cache, `known` is one that was found there."""

    position: int
    case: Case
    key: str = ""
    known: CachedAnswer | None = None


class _Work(msgspec.Struct, frozen=True):
    """What is left of a run, and what its cases need. Without a variant the outputs were made elsewhere."""

    run: Run
    todo: list[_Todo]
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
        run, count = work.run, len(work.todo)
        done = run.cases - count
        context.log(
            f"{run.title} on {run.dataset} v{run.dataset_version}: {count} of {run.cases} cases to do"
        )
        context.progress(done, run.cases)

        def written(results: list[Result]) -> None:
            nonlocal done
            done += len(results)
            context.progress(done, run.cases)
            for each in results:
                if each.error_message is not None:
                    context.log(f"{each.case_id}: {each.error_message}")

        await self._do(work, Keeper(self._records, run, written), context)
        if not context.cancelled():
            await asyncio.to_thread(self._end, run)
        return {"run_id": run.id}

    def _work(self, context: JobContext) -> _Work:
        """Everything that may refuse the whole run does so here."""
        with self._records.read() as tx:
            run = get_run(tx, context.project, str(context.arguments["run_id"]))
            finished = store.result_ids(tx, run)
            todo = [_Todo(at, case) for at, case in enumerate(cases_of(tx, run)) if case.id not in finished]
            scorers = _scorers(run)
            if run.variant_hash is None or run.task is None:
                return _Work(run, todo, scorers, None, store.all_outputs(tx, run))
            variant = compile_variant(get_variant(tx, run.project, run.task, run.variant))
        return _Work(run, self._looked_up(run, variant, todo), scorers, variant, {})

    def _looked_up(self, run: Run, variant: CompiledVariant, todo: list[_Todo]) -> list[_Todo]:
        """With the answers that are known. This renders every request, so one that does not fit is found now."""
        keyed = [msgspec.structs.replace(each, key=self._key(run, variant, each.case)) for each in todo]
        known: dict[str, CachedAnswer] = {}
        if run.options.use_cache:
            with self._records.read() as tx:
                for begin in range(0, len(keyed), _LOOKED_UP):
                    keys = [each.key for each in keyed[begin : begin + _LOOKED_UP]]
                    known |= store.find_answers(tx, run.project, keys)
        return [msgspec.structs.replace(each, known=known.get(each.key)) for each in keyed]

    def _key(self, run: Run, variant: CompiledVariant, case: Case) -> str:
        model = self._caller.models.get(variant.variant.spec.model)
        if model is None:
            raise NotFound(
                f"The model {variant.variant.spec.model!r} does not exist",
                hint="Was it taken out of the configuration?",
            )
        try:
            return cache_key(messages_of(variant, case), model, salt=run.options.salt)
        except AssayError as error:
            raise BadRequest(
                f"The case {case.id!r} cannot be asked: {error.message}", hint=error.hint
            ) from error

    async def _do(self, work: _Work, keeper: Keeper, context: JobContext) -> None:
        """Until all is done, a worker fails, nothing can be written, or the job is to stop. What was answered is written."""
        queue = iter(work.todo)
        writing = asyncio.create_task(keeper.keep_writing())
        workers = [
            asyncio.create_task(self._worker(work, queue, keeper, context))
            for _ in range(min(work.run.options.concurrency, len(work.todo)))
        ]
        working = asyncio.gather(*workers)
        either: set[asyncio.Future[Any]] = {writing, working}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            keeper.close()
            await writing

    async def _worker(self, work: _Work, queue: Iterator[_Todo], keeper: Keeper, context: JobContext) -> None:
        for todo in queue:
            if context.cancelled():
                return
            await keeper.keep(await self._case(work, todo))

    async def _case(self, work: _Work, todo: _Todo) -> Kept:
        result, answer = self._recorded(work, todo), None
        if work.variant is not None:
            result, answer = await self._asked(work.run, work.variant, todo)
        scores = await asyncio.to_thread(_scores, work.scorers, todo.case, result)
        is_wrong = any(score.value is False for score in scores.values())
        made = msgspec.structs.replace(result, scores=scores, is_wrong=is_wrong, at_ns=self._clock.now_ns())
        return Kept(made, answer)

    async def _asked(
        self, run: Run, variant: CompiledVariant, todo: _Todo
    ) -> tuple[Result, CachedAnswer | None]:
        """The output of a case, remembered or fresh; a fresh one comes with what to remember."""
        if todo.known is not None:
            return _remembered(todo.known, todo), None
        context = CallContext(
            project=run.project,
            environment=ENVIRONMENT,
            task=run.task,
            variant=run.variant,
            run_id=run.id,
            case_id=todo.case.id,
            trace_id=ids.uuid7_hex(),
        )
        try:
            call = Call("chat", messages_of(variant, todo.case), context, cache=PASS_BY)
            answer = await self._caller.complete(call)
        except Upstream as error:
            return _failed(error, todo, trace_id=context.trace_id), None
        except (GuardBlocked, InvalidOutput) as error:
            failed = _failed(error, todo, trace_id=context.trace_id)
            asked = not isinstance(error, GuardBlocked) or error.side == "output"
            return (msgspec.structs.replace(failed, cost_usd=error.cost_usd) if asked else failed), None
        result = _answered(answer, todo)
        return result, _to_remember(todo.key, result, self._clock) if self._is_own(answer) else None

    def _recorded(self, work: _Work, todo: _Todo) -> Result:
        output = work.outputs.get(todo.case.id)
        if output is None:
            return _failed(BadRequest("No output was sent for this case"), todo)
        return Result(case_id=todo.case.id, position=todo.position, output=output, cost_usd=usd(0))

    def _is_own(self, answer: Answer) -> bool:
        """Whether the model itself answered: what a fallback said in an outage is not remembered for other runs."""
        span = answer.span
        model = self._caller.models.get(span.model or "")
        ways = () if model is None else model.route
        return any((way.provider, way.model) == (span.provider, span.upstream_model) for way in ways)

    def _end(self, run: Run) -> RunSummary:
        with self._records.read() as tx:
            summary = summarize(tx, run)
        with self._records.write() as tx:
            store.end_run(tx, run, summary=summary, at_ns=self._clock.now_ns())
        return summary


def _scorers(run: Run) -> list[BoundScorer]:
    """The run's scorers, made again. Raises `Conflict` when one has become another since the run was started."""
    made = [bind(scorer.specification) for scorer in run.scorers]
    for kept, bound in zip(run.scorers, made, strict=True):
        if kept.version != bound.version:
            raise Conflict(
                f"The scorer {kept.name!r} has changed since this run was started",
                hint="Start another run: the answers that are there already are not paid again.",
            )
    return made


def _scores(scorers: list[BoundScorer], case: Case, result: Result) -> dict[str, CaseScore]:
    return dict(_iter_scores(scorers, case, result.output)) if result.output is not None else {}


def _iter_scores(scorers: list[BoundScorer], case: Case, output: str) -> Iterator[tuple[str, CaseScore]]:
    for scorer in scorers:
        score = scorer.score(case.input, output, case.reference, case.metadata)
        if isinstance(score, Unscorable):
            yield scorer.metric, CaseScore(error=score.reason)
        else:
            yield scorer.metric, CaseScore(score.value, score.explanation)


def _answered(answer: Answer, todo: _Todo) -> Result:
    span = answer.span
    return Result(
        case_id=todo.case.id,
        position=todo.position,
        output=answer.response.text,
        trace_id=span.trace_id,
        span_id=span.span_id,
        input_tokens=None if span.usage is None else span.usage.total_input,
        output_tokens=None if span.usage is None else span.usage.total_output,
        cost_usd=answer.cost_usd,
        latency_ms=(span.end_ns - span.start_ns) / 1e6,
    )


def _remembered(known: CachedAnswer, todo: _Todo) -> Result:
    return Result(
        case_id=todo.case.id,
        position=todo.position,
        output=known.output,
        trace_id=known.trace_id,
        span_id=known.span_id,
        input_tokens=known.input_tokens,
        output_tokens=known.output_tokens,
        cost_usd=usd(0),
        latency_ms=known.latency_ms,
        is_cached=True,
    )


def _to_remember(key: str, result: Result, clock: Clock) -> CachedAnswer:
    return CachedAnswer(
        key=key,
        output=result.output or "",
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        trace_id=result.trace_id,
        span_id=result.span_id,
        latency_ms=result.latency_ms,
        created_at_ns=clock.now_ns(),
    )


def _failed(error: AssayError, todo: _Todo, *, trace_id: str | None = None) -> Result:
    return Result(
        case_id=todo.case.id,
        position=todo.position,
        error_type=type(error).__name__,
        error_message=error.message[:2000],
        cost_usd=usd(0),
        trace_id=trace_id,
    )
