"""Answers as they lie in the cache, and how they are told again.

An answer lies there whole, in the format of its endpoint, however it was told at first: a stream of it is made when a client
wants one. So both share an entry.
"""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import msgspec

from assay.wire import anthropic_whole, openai_whole
from assay.wire.anthropic_answers import AnswerEvents, decode_answer
from assay.wire.embeddings import EmbeddingResponse, decode_embeddings
from assay.wire.openai_chat import UNREADABLE, decode_chunk, decode_response
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage


class CachedAnswer(msgspec.Struct, frozen=True, array_like=True):
    """`raw` is the answer's JSON. The rest tells of the call that made it; `question` is what that one was asked, where others
    may be asked in other words."""

    endpoint: str
    raw: bytes
    at_ns: int
    trace_id: str
    span_id: str
    cost_usd: Decimal | None
    usage: Usage | None
    question: str | None = None

    @property
    def response(self) -> Response:
        """The whole answer."""
        return decode_answer(self.raw) if self.endpoint == "messages" else decode_response(self.raw)

    @property
    def vectors(self) -> EmbeddingResponse:
        """The whole answer of a call for vectors."""
        return decode_embeddings(self.raw)

    async def events(self, *, include_usage: bool) -> AsyncIterator[StreamEvent]:
        """The answer as a stream."""
        if self.endpoint == "messages":
            told = AnswerEvents()
            for raw in anthropic_whole.events_of(self.raw):
                yield told.decode(raw)
            return
        for raw in openai_whole.chunks_of(self.raw, include_usage=include_usage):
            yield decode_chunk(raw, hide_usage=not include_usage)


def whole_of(endpoint: str, told: Sequence[bytes], usage: Usage | None) -> bytes | None:
    """The whole answer that a stream was; None when it was none, or cannot be put together."""
    try:
        if endpoint == "messages":
            return anthropic_whole.whole_of(told)
        return openai_whole.whole_of(told, usage=usage)
    except (*UNREADABLE, KeyError, TypeError, AttributeError):  # JSON of another shape
        return None
