"""The pipeline itself: attempts over the plan, and the two kinds of answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from assay.calls.attempts import (
    Opened,
    close,
    complete_at,
    complete_to_fit_at,
    late,
    open_stream_at,
    stream_to_fit_at,
)
from assay.calls.cache import AnswerCache, Lookup
from assay.calls.cache_rules import CacheOutcome
from assay.calls.cached_answers import CachedAnswer
from assay.calls.counting import TokenCount, count_at
from assay.calls.embedding import EmbeddingLedger, embed_at
from assay.calls.formats import speaking
from assay.calls.guard_stream import GuardedEvents
from assay.calls.guards import Guards
from assay.calls.health import Health
from assay.calls.ledger import Ledger
from assay.calls.limiter import Limiter
from assay.calls.moderating import ModerationLedger, moderate_at
from assay.calls.plan import Target, backoff_s, for_client, is_retried, moves_on, plan, rotates
from assay.calls.reranking import RerankLedger, rerank_at
from assay.calls.structured import form_of
from assay.calls.types import (
    Answer,
    Call,
    EmbeddingAnswer,
    ModerationAnswer,
    RerankAnswer,
    SpanSink,
    StreamingAnswer,
)
from assay.calls.watch import IdleWatch
from assay.calls.wishes import Wishes
from assay.catalog.models import ModelConfig
from assay.catalog.prices import PriceBook
from assay.errors import AssayError, GuardBlocked, InvalidOutput, Untranslatable, Upstream, UpstreamTimeout
from assay.kit.clock import SYSTEM, Clock
from assay.providers.registry import Providers
from assay.providers.types import Provider, ProviderRequest, Timeouts
from assay.wire.embeddings import EmbeddingResponse, embedding_request
from assay.wire.responses import Response, StreamEvent
from assay.wire.spans import Span

T = TypeVar("T")
L = TypeVar("L", bound=Ledger)

Try = Callable[[Provider, ProviderRequest, Ledger], Awaitable[T]]
Recall = Callable[[CachedAnswer, Call], T]


class Caller:
    """Calls models. One for the process; safe for any number of calls at once on its event loop."""

    def __init__(
        self,
        *,
        models: Mapping[str, ModelConfig],
        providers: Providers,
        prices: PriceBook,
        sink: SpanSink,
        clock: Clock = SYSTEM,
        keep_content: bool = True,
        draw: Callable[[], float] | None = None,
        limiter: Limiter | None = None,
        guards: Guards | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        self.models = models
        self._providers = providers
        self._prices = prices
        self._sink = sink
        self._clock = clock
        self._keep_content = keep_content
        self._draw = draw or Random().random
        self.health = Health(clock, self._draw)
        self.limiter = limiter
        self.guards = guards or Guards(models)
        self.cache = cache

    async def complete(self, call: Call) -> Answer:
        """The whole answer.

        Raises `NotFound` for an unknown model, an `Upstream` error when no target answered, `Unavailable` when durability
        is strict and nothing can be kept, `GuardBlocked` when a guard objects to what is asked or answered.
        """
        ledger = self._open(call, Ledger)
        attempt = complete_at if ledger.form is None else complete_to_fit_at
        response = await self._answered(ledger, attempt, _retold)
        ledger.answered(response)
        span, kept = await self._settled(ledger)
        return Answer(
            response=response,
            span=span,
            upstream_ns=ledger.upstream_ns,
            model=call.request.model if ledger.target is None else ledger.target.model.name,
            kept=kept,
            cache=_outcome(ledger),
        )

    async def stream(self, call: Call) -> StreamingAnswer:
        """An answer whose first output has come; until then another target may take over. Raises like `complete`."""
        ledger = self._open(call, Ledger)
        attempt = open_stream_at if ledger.form is None else stream_to_fit_at
        iterator, early = await self._answered(ledger, attempt, _retold_as_stream)
        return _Stream(ledger, iterator, early, self._sink, self.health)

    async def embed(self, call: Call) -> EmbeddingAnswer:
        """The vectors for a call whose request is an `EmbeddingRequest`.

        Raises like `complete`, and `BadRequest` for a model that makes none. A fallback is asked for its own vectors: only
        those of the same model elsewhere can be compared with these.
        """
        ledger = self._open(call, EmbeddingLedger)
        response = await self._answered(ledger, embed_at, _retold_vectors)
        ledger.embedded(response)
        span, kept = await self._settled(ledger)
        return EmbeddingAnswer(
            response=response,
            span=span,
            upstream_ns=ledger.upstream_ns,
            kept=kept,
            cache=_outcome(ledger),
        )

    async def rerank(self, call: Call) -> RerankAnswer:
        """The documents of a call whose request is a `RerankRequest`, in order of relevance. Raises like `embed`."""
        ledger = self._open(call, RerankLedger)
        response = await self._answered(ledger, rerank_at)
        ledger.ranked(response)
        span, kept = await self._settled(ledger)
        return RerankAnswer(response=response, span=span, upstream_ns=ledger.upstream_ns, kept=kept)

    async def moderate(self, call: Call) -> ModerationAnswer:
        """What is seen in the texts of a call whose request is a `ModerationRequest`. Raises like `embed`."""
        ledger = self._open(call, ModerationLedger)
        response = await self._answered(ledger, moderate_at)
        ledger.moderated(response)
        span, kept = await self._settled(ledger)
        return ModerationAnswer(response=response, span=span, upstream_ns=ledger.upstream_ns, kept=kept)

    async def count(self, call: Call) -> TokenCount:
        """The tokens that a request would take in. Raises like `complete`; no span is kept, for nothing is spent."""
        ledger = Ledger(call, self._clock, self._prices, keep_content=False)
        ledger.watch = self.guards.watch(call, trace_id=ledger.trace_id, span_id=ledger.span_id)
        await ledger.admit()
        counted = await self._first_that_answers(ledger, count_at)
        self.health.completes(ledger.condition)
        return counted

    def _open(self, call: Call, account: type[L]) -> L:
        """The account of a call that may be made: its span can be kept, and every limit allows it."""
        self._sink.admit()
        ledger = account(call, self._clock, self._prices, keep_content=self._keep_content)
        ledger.watch = self.guards.watch(call, trace_id=ledger.trace_id, span_id=ledger.span_id)
        ledger.form = form_of(call, self.models)
        if self.limiter is not None:
            ledger.reservation = self.limiter.reserve(call)
        return ledger

    async def _answered(self, ledger: Ledger, attempt: Try[T], recall: Recall[T] | None = None) -> T:
        """What lies in the cache, or what the first target that answers says. Whatever else happens, the account is settled."""
        try:
            if ledger.watch is not None:
                await ledger.admit()
            answer = None
            if recall is not None and (lookup := self._lookup(ledger)) is not None:
                answer = await self._recalled(ledger, lookup, recall)
            if answer is None:
                answer = await self._first_that_answers(ledger, attempt)
            return self._guarded(ledger, answer) if isinstance(answer, Response) else answer
        except asyncio.CancelledError:
            self._sink.append(ledger.settle(cancelled=True))
            raise
        except AssayError as error:
            await self._fail(ledger, error)
            raise
        except Exception as error:
            await self._fail(ledger, AssayError(f"{type(error).__name__} in Assay"))
            raise

    async def _settled(self, ledger: Ledger) -> tuple[Span, bool]:
        """The span of a call that was answered to its end, and whether it is kept."""
        self.health.completes(ledger.condition)
        kept = await self._sink.keep(ledger.settle())
        assert ledger.span is not None
        return ledger.span, kept

    def _lookup(self, ledger: Ledger) -> Lookup | None:
        """What the cache is asked, for a call that uses it."""
        if self.cache is None:
            return None
        model = self.models.get(ledger.call.request.model)
        if model is None or (ledger.call.cache or model.cache) is None:
            return None
        ledger.lookup = self.cache.lookup(ledger.call, model)
        return ledger.lookup

    async def _recalled(self, ledger: Ledger, lookup: Lookup, recall: Recall[T]) -> T | None:
        """What the cache has. It is asked after the guards, with what they let through."""

        async def embed(encoder: str, text: str) -> Sequence[float]:
            """A call in the same trace; no call of the task, whose figures are those of its answers."""
            context = replace(
                ledger.call.context,
                trace_id=ledger.trace_id,
                parent_id=ledger.span_id,
                task=None,
                variant=None,
                release_id=None,
                attributes={},
            )
            answer = await self.embed(Call("embeddings", embedding_request(encoder, (text,)), context))
            ledger.upstream_ns += answer.upstream_ns
            return answer.response.vectors()[0]

        found = await lookup.find(embed)
        return None if found is None else recall(found, ledger.call)

    def _guarded(self, ledger: Ledger, answer: Any) -> Any:
        try:
            return ledger.guarded(answer)
        except GuardBlocked:
            self.health.completes(ledger.condition)  # it did its work
            raise

    async def _fail(self, ledger: Ledger, error: AssayError) -> None:
        """Calls that reached an upstream, or that a guard kept from it, are kept with their failure; any other that never did
        is the client's own error."""
        if ledger.attempts or isinstance(error, GuardBlocked):
            await self._sink.keep(ledger.settle(error))
            if isinstance(error, GuardBlocked | InvalidOutput) and ledger.span is not None:
                error.cost_usd = ledger.span.cost_usd
        ledger.release()

    async def _first_that_answers(self, ledger: Ledger, attempt: Try[T]) -> T:
        last: Upstream | Untranslatable | None = None
        wishes = Wishes(ledger.call, self._prices, is_worded=ledger.form is not None)
        targets = plan(
            self.models,
            self._asked(ledger),
            self._draw,
            keys=self._providers.keys,
            least_loaded=self.health.least_loaded,
            cost=wishes.cost,
            suits=wishes.suits,
        )
        if not targets:
            raise wishes.unmet(self.models[ledger.call.request.model].route)
        for target in self.health.sick_last(targets):
            try:
                return await self._at_target(target, ledger, attempt)
            except Upstream as error:
                last = error
                if not moves_on(error):
                    break
            except Untranslatable as error:
                last = last or error  # an upstream of another format may take it
                ledger.attempts -= 1
        assert last is not None, "a model has at least one route"
        raise last if isinstance(last, Untranslatable) else for_client(last)

    def _asked(self, ledger: Ledger) -> str:
        """The model to ask: the one that the client named, or the cheaper one once little of a budget is left."""
        name = ledger.call.request.model
        model = self.models.get(name)
        if model is None or model.economy is None or ledger.reservation is None:
            return name
        return model.economy.model if ledger.reservation.share >= model.economy.above else name

    async def _at_target(self, target: Target, ledger: Ledger, attempt: Try[T]) -> T:
        """One target with its retries, all within its total time."""
        provider: Provider = self._providers.get(target.route.provider, target.key)
        if ledger.call.endpoint != "chat":
            provider = speaking(provider, ledger.call, target.model)
        request = ProviderRequest(
            ledger.call.endpoint, ledger.call.request, target.route.model, target.model.timeouts
        )
        retries = 0 if self.health.is_open(target) else target.model.retries
        for retry in range(retries + 1):
            began_ns = ledger.attempt_begins(target)
            condition = ledger.condition = self.health.begins(target)
            ledger.wait_begins()
            try:
                answer = await attempt(provider, request, ledger)
            except BaseException as error:
                ledger.wait_ends()
                self.health.over(condition)
                if not isinstance(error, Upstream):
                    raise
                self.health.blames(condition, error)
                ledger.attempt_failed(began_ns, error)
                wait_s = backoff_s(retry, error, self._draw)
                if retry == retries or not is_retried(error) or wait_s is None:
                    raise
                if target.spare_keys and rotates(error):
                    raise
            else:
                self.health.answers(condition, ledger.wait_ends())
                return answer
            await self._clock.sleep(wait_s)
        raise AssertionError("the loop above returns or raises")


def _outcome(ledger: Ledger) -> CacheOutcome | None:
    return None if ledger.lookup is None else ledger.lookup.outcome


def _retold(answer: CachedAnswer, call: Call) -> Response:
    return answer.response


def _retold_as_stream(answer: CachedAnswer, call: Call) -> Opened:
    return answer.events(include_usage=call.request.include_usage), []


def _retold_vectors(answer: CachedAnswer, call: Call) -> EmbeddingResponse:
    return answer.vectors


class _Stream:
    """See `StreamingAnswer`."""

    def __init__(
        self,
        ledger: Ledger,
        iterator: AsyncIterator[StreamEvent],
        early: list[StreamEvent],
        sink: SpanSink,
        health: Health,
    ) -> None:
        self.trace_id = ledger.trace_id
        self.model = ledger.call.request.model if ledger.target is None else ledger.target.model.name
        self.attempts = ledger.attempts
        self.kept = True
        self._timeouts = Timeouts() if ledger.target is None else ledger.target.model.timeouts
        self._ledger = ledger
        self._iterator = iterator
        self._early = early
        self._sink = sink
        self._health = health
        watch = ledger.watch
        holds = watch is not None and watch.holds
        self._guarded = GuardedEvents(watch, ledger.call.endpoint) if watch is not None and holds else None

    @property
    def cache(self) -> CacheOutcome | None:
        return _outcome(self._ledger)

    @property
    def upstream_ns(self) -> int:
        return self._ledger.upstream_ns

    @property
    def span(self) -> Span | None:
        return self._ledger.span

    async def events(self) -> AsyncIterator[StreamEvent]:
        total = asyncio.timeout(self._timeouts.total_s)
        watch = IdleWatch(self._timeouts.idle_s)
        try:
            for event in self._early:
                for heard in self._heard(event):
                    yield heard
            async with total:
                with watch:
                    async for event in self._iterator:
                        watch.rest()
                        for heard in self._heard(event):
                            yield heard
                        watch.touch()
            for heard in self._last():
                yield heard
        except TimeoutError as error:
            late = self._late(expired=total.expired())
            await self._settle(late)
            raise late from error
        except Upstream as error:
            await self._settle(error)
            raise for_client(error) from error
        except GuardBlocked as error:
            await self._settle(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            await self.aclose()
            raise
        await self._settle(None)

    def _heard(self, event: StreamEvent) -> Iterable[StreamEvent]:
        """What may go out now, entered into the account."""
        if self._guarded is None:
            self._ledger.heard(event)
            return () if event.raw is None else (event,)
        return self._entered(self._guarded.of(event))

    def _last(self) -> Iterable[StreamEvent]:
        return () if self._guarded is None else self._entered(self._guarded.end())

    def _entered(self, events: list[StreamEvent]) -> list[StreamEvent]:
        for event in events:
            self._ledger.heard(event)
        return [event for event in events if event.raw is not None]

    def _leave(self) -> None:
        """What was held back stays here, and counts."""
        if self._guarded is not None:
            self._entered(self._guarded.rest())

    async def aclose(self) -> None:
        if self._ledger.span is None:
            self._leave()
            self._health.over(self._ledger.condition)
            self.kept = self._sink.append(self._ledger.settle(cancelled=True))
        await close(self._iterator)

    async def _settle(self, error: AssayError | None) -> None:
        await close(self._iterator)
        if error is not None:
            self._leave()
        if error is None:
            self._health.completes(self._ledger.condition)
        else:
            self._health.over(self._ledger.condition)
            if isinstance(error, Upstream):
                self._health.blames(self._ledger.condition, error)
        self.kept = await self._sink.keep(self._ledger.settle(error))

    def _late(self, *, expired: bool) -> UpstreamTimeout:
        limits, target = self._timeouts, self._ledger.target
        name = "the cache" if target is None else target.route.provider
        return (
            late(name, "the rest", limits.total_s) if expired else late(name, "the next token", limits.idle_s)
        )
