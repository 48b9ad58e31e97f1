"""The wire formats of the simulated provider. A `Dialect` is all that `Simulation` knows of one: how to read a request, how
to put replies and failures on the wire. A vendor's format is a file or two of its own and one line in `DIALECTS`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from assay.providers.simulated import (
    ai21_dialect,
    azure_dialect,
    cohere_asking,
    cohere_saying,
    converse_asking,
    converse_saying,
    embedding,
    gemini_asking,
    gemini_saying,
    ranking,
    tgi_dialect,
)
from assay.providers.simulated import messages_saying as messages
from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked, OpenAIEndpoint, Refused, error_body, parse
from assay.providers.simulated.behaviour import Behaviour
from assay.providers.simulated.exchange import Call
from assay.providers.simulated.messages_asking import messages_error, parse_messages
from assay.providers.simulated.moderations_dialect import moderated, parse_moderations
from assay.providers.simulated.replying import reasoning_tokens
from assay.providers.simulated.responses_dialect import (
    FAILED,
    MALFORMED,
    ResponsesAnswer,
    ResponsesAsked,
    parse_responses,
    responses_usage,
)
from assay.providers.simulated.saying import Answer, Chunk, Reply, event

OVERLOADED = "The engine is currently overloaded, please try again later."


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer knows besides what was asked and replied: the call's number, seconds since the epoch, the behaviour."""

    index: int
    created: int
    behaviour: Behaviour


class Spoken(Protocol):
    """An answer in a vendor's format."""

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""

    def chunks(self) -> list[Chunk]:
        """The pieces of a streamed one."""


def _no_answers(asked: Asked, replies: Sequence[Reply], moment: Moment) -> Spoken:
    raise AssertionError(f"{asked.endpoint} does not speak")


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One format. `parse` raises `Refused`; `error` is the body for a status and a message, with OpenAI's code where there is
    one; `failed` is an error in the middle of a stream, `malformed` a piece of one that cannot be read.

    A dialect has `answer` or `vectors`, which makes the whole body of an answer that has no text.
    """

    parse: Callable[[Call, bytes], Asked]
    error: Callable[[int, str, str | None], bytes]
    names_fields: bool = False
    """its errors are OpenAI's, as `Refused` has them"""
    answer: Callable[[Asked, Sequence[Reply], Moment], Spoken] = _no_answers
    vectors: Callable[[Asked, Moment], bytes] | None = None
    failed: bytes = b""
    malformed: bytes = b""
    stream_type: str = "text/event-stream; charset=utf-8"
    headers: Callable[[Asked], tuple[tuple[str, str], ...]] = lambda _: ()
    """of an answer that is not streamed"""

    def refusal(self, refused: Refused) -> bytes:
        """The body for a request that cannot be used."""
        return refused.body if self.names_fields else self.error(refused.status, str(refused), None)


def counted(asked: Asked) -> int:
    """Tokens that went in."""
    return sum(len(tokens(prompt)) for prompt in asked.prompts)


# --- OpenAI's ---


def _openai_error(status: int, message: str, code: str | None) -> bytes:
    return error_body(status, message, code=code)


def _openai_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> Answer:
    return Answer(
        asked=asked,
        replies=tuple(replies),
        id=f"{'chatcmpl' if asked.endpoint == 'chat' else 'cmpl'}-sim{moment.index:08d}",
        created=moment.created,
        usage=_openai_usage(asked, replies, moment.behaviour) if moment.behaviour.usage else None,
    )


def _openai_usage(asked: Asked, replies: Sequence[Reply], behaviour: Behaviour) -> dict[str, Any]:
    prompt_tokens = counted(asked)
    completion_tokens = sum(each.count + behaviour.reasoning_tokens for each in replies)
    written = int(prompt_tokens * (behaviour.cache_write_share + behaviour.cache_write_1h_share))
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": int(prompt_tokens * behaviour.cached_share),
            **({"cache_write_tokens": written} if written else {}),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": behaviour.reasoning_tokens * len(replies),
            "audio_tokens": 0,
        },
    }


def _openai_vectors(asked: Asked, moment: Moment) -> bytes:
    dimensions = embedding.dimensions_for(asked, moment.behaviour.dimensions)
    return embedding.answer(asked, dimensions=dimensions, usage=moment.behaviour.usage)


def _openai_ranking(asked: Asked, moment: Moment) -> bytes:
    return ranking.answer(asked, index=moment.index, usage=moment.behaviour.usage)


_WITHOUT_TEXT: dict[str, Callable[[Asked, Moment], bytes]] = {
    "embeddings": _openai_vectors,
    "rerank": _openai_ranking,
}


def openai(endpoint: OpenAIEndpoint) -> Dialect:
    """OpenAI's format, at one of its endpoints."""
    return Dialect(
        parse=lambda _, body: parse(endpoint, body),
        error=_openai_error,
        names_fields=True,
        answer=_openai_answer,
        vectors=_WITHOUT_TEXT.get(endpoint),
        failed=event(msgspec.Raw(error_body(503, OVERLOADED))),
        malformed=b'data: {"id": "chatcmpl-broken", "choices": [{"delta": {"cont\n\n',
    )


def _responses_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> ResponsesAnswer:
    assert isinstance(asked, ResponsesAsked)
    usage = _openai_usage(asked, replies, moment.behaviour) if moment.behaviour.usage else None
    return ResponsesAnswer(
        asked=asked,
        reply=replies[0],
        index=moment.index,
        created=moment.created,
        usage=None if usage is None else responses_usage(usage),
    )


_MODERATIONS = Dialect(
    parse=lambda _, body: parse_moderations(body),
    error=_openai_error,
    names_fields=True,
    vectors=lambda asked, moment: moderated(asked, moment.index),
)
_RESPONSES = Dialect(
    parse=lambda _, body: parse_responses(body),
    error=_openai_error,
    names_fields=True,
    answer=_responses_answer,
    failed=FAILED,
    malformed=MALFORMED,
)


# --- Anthropic's ---


def _messages_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> messages.MessagesAnswer:
    usage = _messages_usage(asked, replies[0], moment.behaviour) if moment.behaviour.usage else None
    return messages.MessagesAnswer(
        asked=asked, reply=replies[0], id=f"msg_sim{moment.index:08d}", usage=usage
    )


def _messages_usage(asked: Asked, made: Reply, behaviour: Behaviour) -> messages.MessagesUsage:
    prompt_tokens, thinking = counted(asked), reasoning_tokens(asked, behaviour)
    read = int(prompt_tokens * behaviour.cached_share)
    minutes = int(prompt_tokens * behaviour.cache_write_share)
    hour = int(prompt_tokens * behaviour.cache_write_1h_share)
    return messages.MessagesUsage(
        input=prompt_tokens - read - minutes - hour,
        cache_read=read,
        cache_write_5m=minutes,
        cache_write_1h=hour,
        output=made.count + thinking,
        thinking=thinking,
    )


_ANTHROPIC = Dialect(
    parse=lambda call, body: parse_messages(body, call.headers, counting=False),
    error=lambda status, message, _: messages_error(status, message),
    answer=_messages_answer,
    failed=messages.in_band_error(),
    malformed=messages.MALFORMED,
)

# --- Gemini's ---


def _gemini_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> gemini_saying.GeminiAnswer:
    return gemini_saying.GeminiAnswer(
        asked=asked, replies=tuple(replies), index=moment.index, behaviour=moment.behaviour
    )


_GEMINI = Dialect(
    parse=lambda call, body: gemini_asking.parse_gemini(call.path, body),
    error=lambda status, message, _: gemini_asking.gemini_error(status, message),
    answer=_gemini_answer,
    failed=gemini_saying.in_band_error(),
    malformed=gemini_saying.MALFORMED,
)

_GEMINI_VECTORS = Dialect(
    parse=lambda call, body: gemini_asking.parse_gemini_batch(call.path, body),
    error=lambda status, message, _: gemini_asking.gemini_error(status, message),
    vectors=lambda asked, moment: gemini_saying.gemini_vectors(asked, moment.behaviour),
)

# --- Cohere's ---


def _cohere_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> cohere_saying.CohereAnswer:
    assert isinstance(asked, cohere_asking.CohereAsked)
    read = counted(asked)
    return cohere_saying.CohereAnswer(
        asked=asked,
        reply=replies[0],
        id=f"chat-sim{moment.index:08d}",
        read=read,
        thought=reasoning_tokens(asked, moment.behaviour),
        cached=int(read * moment.behaviour.cached_share),
        says_usage=moment.behaviour.usage,
    )


def _cohere_vectors(asked: Asked, moment: Moment) -> bytes:
    dimensions = embedding.dimensions_for(asked, moment.behaviour.dimensions)
    return cohere_saying.embedded(
        asked, dimensions=dimensions, index=moment.index, usage=moment.behaviour.usage
    )


def _cohere_ranking(asked: Asked, moment: Moment) -> bytes:
    return ranking.cohere_answer(asked, index=moment.index, usage=moment.behaviour.usage)


def _cohere_error(status: int, message: str, code: str | None) -> bytes:
    return cohere_asking.cohere_error(status, message)


_COHERE = Dialect(
    parse=lambda _, body: cohere_asking.parse_chat(body),
    error=_cohere_error,
    answer=_cohere_answer,
    failed=cohere_saying.FAILED,
    malformed=cohere_saying.MALFORMED,
)
_COHERE_VECTORS = Dialect(
    parse=lambda _, body: cohere_asking.parse_embed(body), error=_cohere_error, vectors=_cohere_vectors
)
_COHERE_RANKING = Dialect(
    parse=lambda _, body: cohere_asking.parse_rerank(body), error=_cohere_error, vectors=_cohere_ranking
)

# --- Azure's, AI21's, Hugging Face's ---


def _azure_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> Spoken:
    return azure_dialect.AzureAnswer(answer=_openai_answer(asked, replies, moment))


def azure(*, embeds: bool) -> Dialect:
    """Azure's format, for text or for vectors."""
    plain = openai("embeddings" if embeds else "chat")
    return msgspec.structs.replace(plain, parse=azure_dialect.parse_azure, answer=_azure_answer)


def _ai21_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> Spoken:
    usage = _openai_usage(asked, replies, moment.behaviour) if moment.behaviour.usage else None
    return ai21_dialect.ai21_answer(asked, replies, index=moment.index, usage=usage)


_AI21 = Dialect(
    parse=lambda _, body: ai21_dialect.parse_ai21(body),
    error=lambda status, message, _: ai21_dialect.ai21_error(status, message),
    answer=_ai21_answer,
    failed=event(msgspec.Raw(error_body(503, OVERLOADED))),
    malformed=ai21_dialect.MALFORMED,
)


def _tgi_answer(asked: Asked, replies: Sequence[Reply], moment: Moment) -> Spoken:
    assert isinstance(asked, tgi_dialect.TgiAsked)
    return tgi_dialect.TgiAnswer(
        asked=asked, reply=replies[0], read=counted(asked), says_usage=moment.behaviour.usage
    )


def _hugging_face_error(status: int, message: str, code: str | None) -> bytes:
    return tgi_dialect.hugging_face_error(status, message)


_TGI = Dialect(
    parse=lambda call, body: tgi_dialect.parse_generate(body, stream=call.path.endswith("_stream")),
    error=_hugging_face_error,
    answer=_tgi_answer,
    failed=b"data:" + tgi_dialect.hugging_face_error(503, OVERLOADED) + b"\n\n",
    malformed=tgi_dialect.MALFORMED,
    headers=tgi_dialect.count_headers,
)
_FEATURES_PATH = re.compile(r"(?:/hf-inference)?/models/(.+)/pipeline/feature-extraction")
_FEATURES = Dialect(
    parse=lambda call, body: tgi_dialect.parse_features(body, call.path.split("/models/")[1]),
    error=_hugging_face_error,
    vectors=lambda asked, moment: tgi_dialect.features(asked, moment.behaviour.dimensions),
)
_TEI = Dialect(
    parse=lambda _, body: tgi_dialect.parse_tei(body),
    error=_hugging_face_error,
    vectors=lambda asked, _: ranking.bare_answer(asked),
)

_GEMINI_COUNT = Dialect(
    parse=lambda call, body: gemini_asking.parse_gemini_count(call.path, body),
    error=lambda status, message, _: gemini_asking.gemini_error(status, message),
    vectors=lambda asked, _: msgspec.json.encode({"totalTokens": counted(asked)}),
)

# --- Bedrock's ---


def _converse_answer(
    asked: Asked, replies: Sequence[Reply], moment: Moment
) -> converse_saying.ConverseAnswer:
    return converse_saying.ConverseAnswer(asked=asked, reply=replies[0], behaviour=moment.behaviour)


_CONVERSE = Dialect(
    parse=lambda call, body: converse_asking.parse_converse(call.path, body),
    error=lambda status, message, _: converse_asking.converse_error(status, message),
    answer=_converse_answer,
    failed=converse_saying.failed(),
    malformed=converse_saying.malformed(),
    stream_type=converse_saying.STREAM_TYPE,
)

_CONVERSE_COUNT = Dialect(
    parse=lambda call, body: converse_asking.parse_converse_count(call.path, body),
    error=lambda status, message, _: converse_asking.converse_error(status, message),
    vectors=lambda asked, _: msgspec.json.encode({"inputTokens": counted(asked)}),
)

DIALECTS: tuple[tuple[re.Pattern[str], Dialect], ...] = (
    (re.compile("/v1/chat/completions"), openai("chat")),
    (re.compile("/v1/completions"), openai("completions")),
    (re.compile("/v1/embeddings"), openai("embeddings")),
    (re.compile("/v1/messages"), _ANTHROPIC),
    (re.compile("/v1/rerank"), openai("rerank")),
    (re.compile("/v2/chat"), _COHERE),
    (re.compile("/v2/embed"), _COHERE_VECTORS),
    (re.compile("/v2/rerank"), _COHERE_RANKING),
    (re.compile("/openai/deployments/[^/]+/embeddings"), azure(embeds=True)),
    (azure_dialect.PATH, azure(embeds=False)),
    (re.compile("/studio/v1/chat/completions"), _AI21),
    (re.compile("/generate(_stream)?"), _TGI),
    (_FEATURES_PATH, _FEATURES),
    (re.compile("/rerank"), _TEI),
    (converse_asking.PATH, _CONVERSE),
    (converse_asking.COUNT_PATH, _CONVERSE_COUNT),
    (gemini_asking.COUNT_PATH, _GEMINI_COUNT),
    (gemini_asking.PATH, _GEMINI),
    (gemini_asking.EMBED_PATH, _GEMINI_VECTORS),
    (re.compile("/v1/responses"), _RESPONSES),
    (re.compile("/v1/moderations"), _MODERATIONS),
)
"""Path → what is spoken there; the first pattern that fits the whole path counts."""


def dialect_at(path: str) -> Dialect | None:
    """What is spoken at a path."""
    return next((dialect for pattern, dialect in DIALECTS if pattern.fullmatch(path)), None)
