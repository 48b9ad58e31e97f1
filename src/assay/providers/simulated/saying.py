"""What the simulated provider puts on the wire: OpenAI's JSON, whole or as server-sent events."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked

DONE = b"data: [DONE]\n\n"


class Called(msgspec.Struct, frozen=True):
    """A tool that is called; `arguments` is JSON."""

    id: str
    tool: str
    arguments: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One choice: tokens of thought, of text, and calls of tools."""

    thoughts: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    finish_reason: str = "stop"
    stopped_by: str | None = None
    """the stop sequence that was met"""
    logprobs: tuple[float, ...] = ()
    """one a piece, where they were asked for"""

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)

    @property
    def count(self) -> int:
        """Tokens that went out."""
        return len(self.pieces) + sum(len(tokens(call.arguments)) for call in self.calls)


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream; a token takes its time to come, the rest comes with it."""

    data: bytes
    is_token: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All choices with what stands around them."""

    asked: Asked
    replies: tuple[Reply, ...]
    id: str
    created: int
    usage: dict[str, Any] | None

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        chat = self.asked.endpoint == "chat"
        choices = [
            (self._chat_choice(reply) if chat else self._text_choice(reply, at)) | {"index": at}
            for at, reply in enumerate(self.replies)
        ]
        body = {**self._envelope(chunk=False), "choices": choices}
        return msgspec.json.encode(body if self.usage is None else {**body, "usage": self.usage})

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer, `[DONE]` included. Choices take turns, as OpenAI's do."""
        chat = self.asked.endpoint == "chat"
        made: list[Chunk] = []
        if chat:
            for at, reply in enumerate(self.replies):
                made.append(self._chunk(at, {"delta": self._opening(reply)}))
        parts = [self._parts(reply, at) for at, reply in enumerate(self.replies)]
        for turn in range(max(len(part) for part in parts)):
            for at, part in enumerate(parts):
                if turn < len(part):
                    made.append(self._chunk(at, part[turn], is_token=True))
        for at, reply in enumerate(self.replies):
            last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            made.append(self._chunk(at, last, finish_reason=reply.finish_reason))
        if self.asked.include_usage and self.usage is not None:
            made.append(
                Chunk(
                    event({**self._envelope(chunk=True), "choices": [], "usage": self.usage}), is_token=False
                )
            )
        made.append(Chunk(DONE, is_token=False))
        return made

    def _envelope(self, *, chunk: bool) -> dict[str, Any]:
        kind = (
            "text_completion"
            if self.asked.endpoint == "completions"
            else "chat.completion" + ".chunk" * chunk
        )
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.asked.model,
            "system_fingerprint": "fp_simulated",
        }

    def _chunk(
        self, at: int, part: dict[str, Any], *, is_token: bool = False, finish_reason: str | None = None
    ) -> Chunk:
        choice = {"index": at, **part, "finish_reason": finish_reason}
        choice.setdefault("logprobs", None)
        body = {**self._envelope(chunk=True), "choices": [choice]}
        if self.asked.include_usage:
            body["usage"] = None
        return Chunk(event(body), is_token)

    def _opening(self, reply: Reply) -> dict[str, Any]:
        delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if reply.calls and not reply.pieces and not reply.thoughts:
            delta |= {"content": None, **_call_opening(0, reply.calls[0])}
        return delta

    def _parts(self, reply: Reply, at: int) -> list[dict[str, Any]]:
        if self.asked.endpoint == "chat":
            thoughts = [{"delta": {"reasoning_content": piece}} for piece in reply.thoughts]
            return [*thoughts, *self._words(reply, at), *self._call_parts(reply)]
        return self._words(reply, at)

    def _call_parts(self, reply: Reply) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for index, call in enumerate(reply.calls):
            if index or reply.pieces or reply.thoughts:
                parts.append({"delta": _call_opening(index, call)})
            parts += [
                {"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}
                for piece in tokens(call.arguments)
            ]
        return parts

    def _words(self, reply: Reply, at: int) -> list[dict[str, Any]]:
        if self.asked.endpoint == "completions":
            heard = self._echo(at)
            parts = [{"text": heard, "logprobs": None}] if heard else []
            return parts + [
                {"text": piece, "logprobs": self._text_logprobs(reply, slice(k, k + 1), at)}
                for k, piece in enumerate(reply.pieces)
            ]
        return [
            {"delta": {"content": piece}, "logprobs": self._chat_logprobs([piece], reply.logprobs[k : k + 1])}
            for k, piece in enumerate(reply.pieces)
        ]

    def _chat_choice(self, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply.text,
            "refusal": None,
            "annotations": [],
        }
        if reply.thoughts:
            message["reasoning_content"] = "".join(reply.thoughts)
        if reply.calls:
            message["content"] = reply.text or None
            message["tool_calls"] = [_call(call, call.arguments) for call in reply.calls]
        logprobs = self._chat_logprobs(reply.pieces, reply.logprobs)
        return {"message": message, "logprobs": logprobs, "finish_reason": reply.finish_reason}

    def _text_choice(self, reply: Reply, at: int) -> dict[str, Any]:
        return {
            "text": self._echo(at) + reply.text,
            "logprobs": self._text_logprobs(reply, slice(None), at),
            "finish_reason": reply.finish_reason,
        }

    def _echo(self, at: int) -> str:
        return self.asked.prompts[at // self.asked.n] if self.asked.echo else ""

    def _chat_logprobs(self, pieces: Sequence[str], logprobs: Sequence[float]) -> dict[str, Any] | None:
        if self.asked.logprobs is None:
            return None
        content = []
        for piece, logprob in zip(pieces, logprobs, strict=True):
            options = alternatives(piece, logprob, self.asked.logprobs)
            content.append(
                {**_option(piece, logprob), "top_logprobs": [_option(*option) for option in options]}
            )
        return {"content": content, "refusal": None}

    def _text_logprobs(self, reply: Reply, some: slice, at: int) -> dict[str, Any] | None:
        if self.asked.logprobs is None:
            return None
        offsets = list(accumulate((len(piece) for piece in reply.pieces), initial=len(self._echo(at))))[:-1]
        pieces, logprobs = reply.pieces[some], reply.logprobs[some]
        options = [alternatives(*pair, self.asked.logprobs) for pair in zip(pieces, logprobs, strict=True)]
        return {
            "tokens": pieces,
            "token_logprobs": logprobs,
            "top_logprobs": [dict(option) for option in options],
            "text_offset": offsets[some],
        }


def _call(call: Called, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": arguments}}


def _call_opening(index: int, call: Called) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **_call(call, "")}]}


def event(body: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def alternatives(piece: str, logprob: float, count: int) -> list[tuple[str, float]]:
    """The token itself and others, each less likely than the one before."""
    return [(piece, logprob), *((f" alt{k}", logprob - k) for k in range(1, count))][:count]


def _option(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
