"""What the simulated provider puts on the wire in Anthropic's format: JSON, whole or as named server-sent events."""

from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.messages_asking import messages_error, signature
from assay.providers.simulated.saying import Chunk, Reply

MALFORMED = b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "delta": {"te\n\n'
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class MessagesUsage(msgspec.Struct, frozen=True):
    """Disjoint counts of what went in, and all that came out."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    thinking: int

    def encode(self, output: int) -> dict[str, Any]:
        """As Anthropic says it, with the output so far."""
        return {
            **self.totals(output),
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
            "service_tier": "standard",
        }

    def totals(self, output: int) -> dict[str, Any]:
        """The part that a stream says again at its end."""
        said: dict[str, Any] = {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "output_tokens": output,
        }
        if self.thinking and output == self.output:
            said["output_tokens_details"] = {"thinking_tokens": self.thinking}
        return said


class MessagesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reply with what stands around it."""

    asked: Asked
    reply: Reply
    id: str
    usage: MessagesUsage | None

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        body = self._message(self._blocks(), *self._stop())
        if self.usage is not None:
            body["usage"] = self.usage.encode(self.usage.output)
        return msgspec.json.encode(body)

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer."""
        message = self._message([], None, None)
        if self.usage is not None:
            message["usage"] = self.usage.encode(1)
        made = [_event({"type": "message_start", "message": message}), _event({"type": "ping"})]
        for index, (block, deltas) in enumerate(zip(self._openings(), self._deltas(), strict=True)):
            made.append(_event({"type": "content_block_start", "index": index, "content_block": block}))
            for delta in deltas:
                is_token = delta["type"] != "signature_delta"
                body = {"type": "content_block_delta", "index": index, "delta": delta}
                made.append(_event(body, is_token=is_token))
            made.append(_event({"type": "content_block_stop", "index": index}))
        reason, sequence = self._stop()
        last: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
        }
        if self.usage is not None:
            last["usage"] = self.usage.totals(self.usage.output)
        return [*made, _event(last), _event({"type": "message_stop"})]

    def _message(self, content: list[Any], reason: str | None, sequence: str | None) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.asked.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": sequence,
        }

    def _stop(self) -> tuple[str, str | None]:
        if self.reply.calls:
            return "tool_use", None
        if self.reply.stopped_by is not None:
            return "stop_sequence", self.reply.stopped_by
        return _STOPS[self.reply.finish_reason], None

    def _blocks(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        thinking = "".join(self.reply.thoughts)
        if thinking:
            made.append({"type": "thinking", "thinking": thinking, "signature": signature(thinking)})
        if self.reply.pieces:
            made.append({"type": "text", "text": self.reply.text})
        for call in self.reply.calls:
            arguments = msgspec.Raw(call.arguments.encode())
            made.append({"type": "tool_use", "id": call.id, "name": call.tool, "input": arguments})
        return made

    def _openings(self) -> list[dict[str, Any]]:
        emptied = {"thinking": "", "signature": "", "text": "", "input": {}}
        return [{name: emptied.get(name, value) for name, value in block.items()} for block in self._blocks()]

    def _deltas(self) -> list[list[dict[str, Any]]]:
        made: list[list[dict[str, Any]]] = []
        if self.reply.thoughts:
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in self.reply.thoughts]
            signed = signature("".join(self.reply.thoughts))
            made.append([*thoughts, {"type": "signature_delta", "signature": signed}])
        if self.reply.pieces:
            made.append([{"type": "text_delta", "text": piece} for piece in self.reply.pieces])
        for call in self.reply.calls:
            pieces = [] if call.arguments == "{}" else tokens(call.arguments)
            made.append([{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]])
        return made


def in_band_error() -> bytes:
    """An error in the middle of a stream."""
    return b"event: error\ndata: " + messages_error(529, "Overloaded") + b"\n\n"


def _event(body: dict[str, Any], *, is_token: bool = False) -> Chunk:
    name = body["type"].encode()
    return Chunk(b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(body)), is_token)
