"""Whether a call's answer may come from the cache, and the name under which it lies there: pure functions.

Opt-in: a model or a task says so (`CachePolicy`), or the call itself. A call of a temperature above 0 wants variety, so a
policy alone does not cache it. The name is the hash of everything that an answer depends on; whoever asks, and whether as a
stream, is not in it.
"""

import hashlib
from typing import Literal

import msgspec

from assay.catalog.caching import CachePolicy
from assay.catalog.models import ModelConfig
from assay.kit.hashing import value_hash
from assay.wire.embeddings import EmbeddingRequest
from assay.wire.requests import ChatRequest, Fields, MessagesRequest, ModelRequest

DEFAULT_TTL_S = 3600.0
"""For a call that asks for the cache where no policy says how long."""
FORMAT = 1
"""Of what lies in the cache. Another number, and what an earlier release left there is not found."""
CACHED = frozenset({"chat", "completions", "messages", "embeddings"})
"""Endpoints whose answers can be cached."""

_BESIDE = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "assay",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
"""Fields of a request that say nothing of its answer. The model is told apart by its name in the catalogue and its route."""
_NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


class Question(msgspec.Struct, frozen=True):
    """What a task is asked: the text that may be said in other words, and the request around it, without that text.

    `asked` is the request with it. A guard that has changed the request has not changed the text, which is then not compared.
    """

    text: str
    around: ModelRequest
    asked: ModelRequest


class CacheAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a call says about the cache. `use` and `refresh` ask for it, `refresh` without looking; `off` passes it by. Calls
    with different `salt` share nothing. `policy` is that of the task, in place of the model's."""

    mode: Literal["use", "refresh", "off"] | None = None
    ttl_s: float | None = None
    salt: str = ""
    policy: CachePolicy | None = None
    question: Question | None = None


PASS_BY = CacheAsk(mode="off")
"""For calls that measure: what comes must be the model's own answer of now."""
NOTHING_SAID = CacheAsk()


class CacheOutcome(msgspec.Struct, frozen=True):
    """What an answer says of it: where it came from and, for a question in other words, how much alike the two are."""

    state: Literal["hit", "miss"]
    similarity: float | None = None


class CacheRule(msgspec.Struct, frozen=True, kw_only=True):
    """How one call uses the cache. `looks` is False for a call that only renews what lies there."""

    ttl_s: float
    salt: str
    looks: bool
    similarity: float | None = None
    encoder: str | None = None
    question: Question | None = None


def rule_of(
    ask: CacheAsk, model: ModelConfig | None, request: ModelRequest | EmbeddingRequest
) -> CacheRule | None:
    """None for a call that is not cached."""
    policy = ask.policy or (model.cache if model is not None else None)
    is_asked = ask.mode is not None or ask.ttl_s is not None
    if ask.mode == "off" or (policy is None and not is_asked):
        return None
    if policy is not None and not policy.sampled and not is_asked and _is_sampled(request.fields):
        return None
    ttl_s = ask.ttl_s or (DEFAULT_TTL_S if policy is None else policy.ttl_s)
    rule = CacheRule(ttl_s=ttl_s, salt=ask.salt, looks=ask.mode != "refresh")
    question = ask.question
    if policy is None or policy.similarity is None or question is None or question.asked is not request:
        return rule
    return msgspec.structs.replace(
        rule, similarity=policy.similarity, encoder=policy.encoder, question=question
    )


def digest_of(
    request: ModelRequest | EmbeddingRequest,
    *,
    project: str,
    environment: str,
    endpoint: str,
    model: ModelConfig,
    salt: str,
    encoder: str | None = None,
) -> bytes:
    """The name of what answers this request; with an `encoder`, that of the questions around which this request is."""
    fields = {
        name: _decode(raw) for name, raw in request.fields.items() if name not in _BESIDE and raw != _NULL
    }
    fits = model.structured is not None or (isinstance(request, ChatRequest) and request.validated)
    dialect = (request.version, request.beta) if isinstance(request, MessagesRequest) else None
    routes = [(route.provider, route.model) for route in model.route]
    whole = value_hash(
        [FORMAT, project, environment, endpoint, model.name, routes, salt, fits, dialect, fields, encoder]
    )
    return hashlib.sha256(whole.encode()).digest()


def size_of(request: ModelRequest | EmbeddingRequest) -> int:
    """Bytes that `digest_of` reads."""
    return sum(len(memoryview(raw)) for raw in request.fields.values())


def _is_sampled(fields: Fields) -> bool:
    raw = fields.get("temperature")
    if raw is None:
        return False
    temperature = _decode(raw)
    return isinstance(temperature, int | float) and temperature > 0
