"""What the simulated provider puts on the wire in Cohere's format (v2): JSON, whole or as typed server-sent events."""

import base64
import re
from itertools import islice
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.cohere_asking import CohereAsked
from assay.providers.simulated.embedding import vector
from assay.providers.simulated.saying import Chunk, Reply

PREAMBLE_TOKENS = 67
"""What Cohere itself puts before a prompt: read by the model, not billed."""
MALFORMED = b'event: content-delta\ndata: {"type": "content-delta", "index": 0, "delta": {"mess\n\n'
FAILED = (
    b'event: message-end\ndata: {"type":"message-end","delta":'
    b'{"error":"the generation failed","finish_reason":"ERROR"}}\n\n'
)
_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


class CohereAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reply with what stands around it. `thought` counts the tokens of thinking, `cached` those read from a cache."""

    asked: CohereAsked
    reply: Reply
    id: str
    read: int
    thought: int
    cached: int
    says_usage: bool

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant"}
        content = self._content()
        if content:
            message["content"] = content
        if self.reply.calls:
            message |= {"tool_plan": self.reply.text, "tool_calls": self._calls()}
        if citations := self._citations():
            message["citations"] = citations
        body = {"id": self.id, "finish_reason": self._finish(), "message": message}
        return msgspec.json.encode(body | self._usage())

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer."""
        nothing = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        made = [_event("message-start", {"message": nothing}, id=self.id)]
        index = 0
        if self.reply.thoughts:
            made += self._block(index, "thinking", self.reply.thoughts)
            index += 1
        if self.reply.calls:
            made += [
                _event("tool-plan-delta", {"message": {"tool_plan": piece}}, is_token=True)
                for piece in self.reply.pieces
            ]
        else:
            made += self._block(index, "text", self.reply.pieces)
        for at, call in enumerate(self._calls()):
            made += _call(at, call)
        end = {"finish_reason": self._finish(), **self._usage()}
        return [*made, _event("message-end", end)]

    def _content(self) -> list[dict[str, Any]]:
        made = []
        if self.reply.thoughts:
            made.append({"type": "thinking", "thinking": "".join(self.reply.thoughts)})
        if self.reply.pieces and not self.reply.calls:
            made.append({"type": "text", "text": self.reply.text})
        return made

    def _block(self, index: int, kind: str, pieces: tuple[str, ...]) -> list[Chunk]:
        opening = {"message": {"content": {"type": kind, kind: ""}}}
        made = [_event("content-start", opening, index=index)]
        for piece in pieces:
            said = {"message": {"content": {kind: piece}}}
            made.append(_event("content-delta", said, index=index, is_token=True))
        for at, citation in enumerate(self._citations() if kind == "text" else ()):
            made.append(_event("citation-start", {"message": {"citations": citation}}, index=at))
            made.append(_event("citation-end", None, index=at))
        return [*made, _event("content-end", None, index=index)]

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": call.arguments}}
            for call in self.reply.calls
        ]

    def _citations(self) -> list[dict[str, Any]]:
        """The first two words are said to come from the first document."""
        if self.asked.cited is None or not self.reply.pieces or self.reply.calls:
            return []
        source = {"type": "document", "id": self.asked.cited["id"], "document": self.asked.cited}
        return [
            {
                "start": word.start(),
                "end": word.end(),
                "text": word[0],
                "sources": [source],
                "type": "TEXT_CONTENT",
            }
            for word in islice(re.finditer(r"\S+", self.reply.text), 2)
        ]

    def _finish(self) -> str:
        if self.reply.calls:
            return "TOOL_CALL"
        return "STOP_SEQUENCE" if self.reply.stopped_by is not None else _FINISH[self.reply.finish_reason]

    def _usage(self) -> dict[str, Any]:
        if not self.says_usage:
            return {}
        written = self.reply.count + self.thought
        return {
            "usage": {
                "billed_units": {"input_tokens": float(self.read), "output_tokens": float(written)},
                "tokens": {
                    "input_tokens": float(self.read + PREAMBLE_TOKENS),
                    "output_tokens": float(written),
                },
                "cached_tokens": float(self.cached),
            }
        }


def embedded(asked: Asked, *, dimensions: int, index: int, usage: bool) -> bytes:
    """The body of an answer of `/v2/embed`."""
    made = [vector(text, dimensions) for text in asked.prompts]
    packed = [base64.b64encode(each.tobytes()).decode() for each in made]
    vectors = {"base64": packed} if asked.base64 else {"float": [each.tolist() for each in made]}
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if usage:
        meta["billed_units"] = {"input_tokens": float(sum(len(tokens(text)) for text in asked.prompts))}
    return msgspec.json.encode(
        {
            "response_type": "embeddings_by_type",
            "id": f"embed-sim{index:08d}",
            "embeddings": vectors,
            "texts": asked.prompts,
            "meta": meta,
        }
    )


def _call(index: int, call: dict[str, Any]) -> list[Chunk]:
    function = call["function"]
    opening = {**call, "function": {**function, "arguments": ""}}
    pieces = [] if function["arguments"] == "{}" else tokens(function["arguments"])
    deltas = [
        _event(
            "tool-call-delta",
            {"message": {"tool_calls": {"function": {"arguments": piece}}}},
            index=index,
            is_token=True,
        )
        for piece in pieces
    ]
    return [
        _event("tool-call-start", {"message": {"tool_calls": opening}}, index=index, is_token=True),
        *deltas,
        _event("tool-call-end", None, index=index),
    ]


def _event(
    kind: str, delta: dict[str, Any] | None, *, index: int | None = None, id: str = "", is_token: bool = False
) -> Chunk:
    body: dict[str, Any] = {"type": kind}
    if id:
        body["id"] = id
    if index is not None:
        body["index"] = index
    if delta is not None:
        body["delta"] = delta
    return Chunk(b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(body)), is_token)
