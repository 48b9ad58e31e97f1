"""The cache of answers. One `Lookup` goes with each call that may use it; a call that may not has none, and pays nothing.

Only a whole answer of the model itself is kept: no error, no cut, none that was stopped by a filter, none that a fallback or a
cheaper model gave. Everything lies under its project.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec

from assay.calls.cache_rules import (
    CACHED,
    NOTHING_SAID,
    CacheOutcome,
    CacheRule,
    Question,
    digest_of,
    rule_of,
    size_of,
)
from assay.calls.cache_shelf import Shelf, ShelfSize
from assay.calls.cache_similarity import Questions
from assay.calls.cached_answers import CachedAnswer
from assay.calls.types import Call
from assay.catalog.models import ModelConfig
from assay.errors import AssayError
from assay.kit import money
from assay.kit.clock import SYSTEM, Clock
from assay.wire.embeddings import EmbeddingRequest
from assay.wire.requests import ChatRequest, CompletionRequest, ModelRequest
from assay.wire.spans import Span

LARGE_BYTES = 1 << 20
"""A larger request is hashed in a thread."""
LONGEST_QUESTION = 500
"""Characters of an earlier question that a span shows."""

_CACHED = (ChatRequest, CompletionRequest, EmbeddingRequest)
_encode = msgspec.msgpack.Encoder().encode
_cached = msgspec.msgpack.Decoder(CachedAnswer)


Embed = Callable[[str, str], Awaitable[Sequence[float]]]
"""The vector of a text by a model: model, text."""


class AnswerCache:
    """The cache of one process. `hits` and `misses` are by model."""

    def __init__(self, shelf: Shelf, *, clock: Clock = SYSTEM) -> None:
        self.shelf = shelf
        self.questions = Questions()
        self.hits: Counter[str] = Counter()
        self.misses: Counter[str] = Counter()
        self.saved_usd: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._clock = clock

    def lookup(self, call: Call, model: ModelConfig) -> "Lookup | None":
        """None for a call that does not use the cache."""
        request = call.request
        if call.endpoint not in CACHED or not isinstance(request, _CACHED):
            return None
        rule = rule_of(call.cache or NOTHING_SAID, model, request)
        return None if rule is None else Lookup(self, rule, call, request, model)

    def clear(self, project: str | None = None) -> int:
        """Forget the answers of a project, or all; how many there were."""
        return self.shelf.clear(project)

    def size(self, project: str | None = None) -> ShelfSize:
        """What lies there."""
        return self.shelf.size(project)

    def close(self) -> None:
        """Close the files."""
        self.shelf.close()

    async def find(self, digest: bytes, *, ttl_s: float) -> CachedAnswer | None:
        """The answer of that name, if it is not older than the one who asks allows."""
        value = await self.shelf.get(digest)
        if value is None:
            return None
        found = _cached.decode(value)
        return found if self._clock.now_ns() - found.at_ns < ttl_s * 1e9 else None

    def keep(self, digest: bytes, project: str, answer: CachedAnswer, *, ttl_s: float) -> None:
        """Put an answer there."""
        self.shelf.put(digest, project, _encode(answer), ttl_s=ttl_s)

    def age_s(self, answer: CachedAnswer) -> float:
        """How old it is."""
        return max(self._clock.now_ns() - answer.at_ns, 0) / 1e9


class Lookup:
    """What the cache does for one call."""

    __slots__ = (
        "_bucket",
        "_cache",
        "_call",
        "_digest",
        "_model",
        "_request",
        "_rule",
        "_vector",
        "found",
        "similarity",
        "trouble",
    )

    def __init__(
        self,
        cache: AnswerCache,
        rule: CacheRule,
        call: Call,
        request: ModelRequest | EmbeddingRequest,
        model: ModelConfig,
    ) -> None:
        self.found: CachedAnswer | None = None
        self.similarity: float | None = None
        self.trouble: str | None = None
        self._cache = cache
        self._rule = rule
        self._call = call
        self._request = request
        self._model = model
        self._digest: bytes | None = None
        self._bucket = b""
        self._vector: Sequence[float] | None = None

    @property
    def outcome(self) -> CacheOutcome:
        """For the answer's headers."""
        return CacheOutcome("miss" if self.found is None else "hit", self.similarity)

    async def find(self, embed: Embed) -> CachedAnswer | None:
        """The answer to this question, or to one that means the same."""
        if size_of(self._request) > LARGE_BYTES:
            self._digest = await asyncio.to_thread(self._name, self._request)
        else:
            self._digest = self._name(self._request)
        if self._rule.looks:
            self.found = await self._cache.find(self._digest, ttl_s=self._rule.ttl_s)
        if self.found is None and self._rule.question is not None:
            await self._find_alike(self._rule.question, embed)
        self._count()
        return self.found

    async def _find_alike(self, question: Question, embed: Embed) -> None:
        """The call goes on without when no vector can be had."""
        rule = self._rule
        assert rule.encoder is not None, "a policy has both"
        assert rule.similarity is not None
        self._bucket = self._name(question.around, rule.encoder)
        try:
            self._vector = await embed(rule.encoder, question.text)
        except AssayError as error:
            self.trouble = error.message
            return
        questions = self._cache.questions
        near = questions.nearest(self._bucket, question.text, self._vector, at_least=rule.similarity)
        if near is not None and rule.looks:
            self.found = await self._cache.find(near.digest, ttl_s=rule.ttl_s)
            self.similarity = None if self.found is None else near.similarity

    def keep(self, span: Span, whole: bytes | None) -> None:
        """The call has ended well with this answer: keep it, if it may be."""
        if (
            whole is None
            or self.found is not None
            or self._digest is None
            or span.finish_reason == "content_filter"
            or (span.provider, span.upstream_model)
            not in [(route.provider, route.model) for route in self._model.route]
        ):
            return
        question = self._rule.question
        answer = CachedAnswer(
            endpoint=self._call.endpoint,
            raw=whole,
            at_ns=span.end_ns,
            trace_id=span.trace_id,
            span_id=span.span_id,
            cost_usd=span.cost_usd,
            usage=span.usage,
            question=None if question is None else question.text[:LONGEST_QUESTION],
        )
        self._cache.keep(self._digest, span.project, answer, ttl_s=self._rule.ttl_s)
        if question is not None and self._vector is not None:
            self._cache.questions.add(self._bucket, question.text, self._vector, self._digest)

    def attributes(self, *, with_content: bool) -> dict[str, object]:
        """What the span says of a hit: what it saved, and whose answer it is."""
        found = self.found
        if found is None:
            return {} if self.trouble is None else {"assay.cache.trouble": self.trouble}
        made: dict[str, object] = {
            "assay.cache.age_s": round(self._cache.age_s(found), 3),
            "assay.cache.trace_id": found.trace_id,
            "assay.cache.span_id": found.span_id,
        }
        if found.cost_usd is not None:
            made["assay.cache.saved_usd"] = money.text(found.cost_usd)
        if found.usage is not None:
            made["assay.cache.saved_input_tokens"] = found.usage.total_input
            made["assay.cache.saved_output_tokens"] = found.usage.total_output
        if self.similarity is not None:
            made["assay.cache.similarity"] = round(self.similarity, 4)
            if with_content and found.question is not None:
                made["assay.cache.question"] = found.question
        return made

    def _name(self, request: ModelRequest | EmbeddingRequest, encoder: str | None = None) -> bytes:
        context = self._call.context
        return digest_of(
            request,
            project=context.project,
            environment=context.environment,
            endpoint=self._call.endpoint,
            model=self._model,
            salt=self._rule.salt,
            encoder=encoder,
        )

    def _count(self) -> None:
        name = self._model.name
        if self.found is None:
            self._cache.misses[name] += 1
            return
        self._cache.hits[name] += 1
        if self.found.cost_usd is not None:
            self._cache.saved_usd[name] = money.add(self._cache.saved_usd[name], self.found.cost_usd)
