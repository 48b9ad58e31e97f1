"""What the simulated provider puts on the wire in the format of Bedrock's Converse: JSON, or AWS's binary event stream.

The stream's messages are made here and read in `providers.eventstream`, apart from each other.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.behaviour import Behaviour
from assay.providers.simulated.messages_asking import signature
from assay.providers.simulated.saying import Chunk, Reply

STREAM_TYPE = "application/vnd.amazon.eventstream"
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class ConverseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reply with what stands around it."""

    asked: Asked
    reply: Reply
    behaviour: Behaviour

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": self._blocks()}
        body = {"output": {"message": message}, "stopReason": self._stop(), "metrics": {"latencyMs": 1}}
        usage = self._usage()
        return msgspec.json.encode(body if usage is None else {**body, "usage": usage})

    def chunks(self) -> list[Chunk]:
        """The messages of a streamed answer."""
        made = [_event("messageStart", {"role": "assistant"})]
        for index, (start, deltas) in enumerate(self._told()):
            if start is not None:
                made.append(_event("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            for delta in deltas:
                is_token = "signature" not in delta.get("reasoningContent", {})
                body = {"delta": delta, "contentBlockIndex": index}
                made.append(_event("contentBlockDelta", body, is_token=is_token))
            made.append(_event("contentBlockStop", {"contentBlockIndex": index}))
        made.append(_event("messageStop", {"stopReason": self._stop()}))
        usage = self._usage()
        counted = {} if usage is None else {"usage": usage}
        return [*made, _event("metadata", {**counted, "metrics": {"latencyMs": 1}})]

    def _stop(self) -> str:
        if self.reply.calls:
            return "tool_use"
        return "stop_sequence" if self.reply.stopped_by is not None else _STOPS[self.reply.finish_reason]

    def _blocks(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if thinking := "".join(self.reply.thoughts):
            said = {"text": thinking, "signature": signature(thinking)}
            made.append({"reasoningContent": {"reasoningText": said}})
        if self.reply.pieces:
            made.append({"text": self.reply.text})
        for call in self.reply.calls:
            arguments = msgspec.Raw(call.arguments.encode())
            made.append({"toolUse": {"toolUseId": call.id, "name": call.tool, "input": arguments}})
        return made

    def _told(self) -> list[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
        """Each block: how it begins, where that is said, and its pieces."""
        made: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = []
        if self.reply.thoughts:
            signed = signature("".join(self.reply.thoughts))
            pieces = [{"text": piece} for piece in self.reply.thoughts] + [{"signature": signed}]
            made.append((None, [{"reasoningContent": piece} for piece in pieces]))
        if self.reply.pieces:
            made.append((None, [{"text": piece} for piece in self.reply.pieces]))
        for call in self.reply.calls:
            pieces_of = [] if call.arguments == "{}" else tokens(call.arguments)
            start = {"toolUse": {"toolUseId": call.id, "name": call.tool}}
            made.append((start, [{"toolUse": {"input": piece}} for piece in pieces_of]))
        return made

    def _usage(self) -> dict[str, Any] | None:
        if not self.behaviour.usage:
            return None
        into = sum(len(tokens(prompt)) for prompt in self.asked.prompts)
        read = int(into * self.behaviour.cached_share)
        minutes = int(into * self.behaviour.cache_write_share)
        hour = int(into * self.behaviour.cache_write_1h_share)
        out = self.reply.count + self.behaviour.reasoning_tokens
        made: dict[str, Any] = {
            "inputTokens": into - read - minutes - hour,
            "outputTokens": out,
            "totalTokens": into + out,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": minutes + hour,
        }
        if minutes or hour:
            details = (("5m", minutes), ("1h", hour))
            made["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in details if count]
        return made


def failed() -> bytes:
    """An exception in the middle of a stream."""
    headers = (
        (":message-type", "exception"),
        (":exception-type", "serviceUnavailableException"),
        (":content-type", "application/json"),
    )
    return message(headers, msgspec.json.encode({"message": "Bedrock is unable to process your request."}))


def malformed() -> bytes:
    """A message whose last checksum is wrong."""
    whole = message(((":message-type", "event"), (":event-type", "contentBlockDelta")), b'{"delta"')
    return whole[:-1] + bytes([whole[-1] ^ 1])


def models(names: Sequence[str]) -> bytes:
    """The list of models."""
    return msgspec.json.encode({"modelSummaries": [{"modelId": name} for name in names]})


def message(headers: Sequence[tuple[str, str]], payload: bytes) -> bytes:
    """One message of an event stream; of the types of headers only texts are used."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers
    )
    lengths = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    begun = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def _event(kind: str, body: dict[str, Any], *, is_token: bool = False) -> Chunk:
    headers = ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    return Chunk(message(headers, msgspec.json.encode({**body, "p": "abcdefgh"})), is_token)
