"""Writing the chunks of OpenAI's chat stream for an answer that came in another format."""

from typing import Any

import msgspec

from assay.wire.openai_usage import encode_usage
from assay.wire.usage import Usage

_encode = msgspec.json.Encoder().encode


class ChatChunks:
    """The chunks of one answer. `id` and `model` are set when they are known; `created` is in seconds since the epoch."""

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self.id = ""
        self.model = ""
        self._created = created
        self._include_usage = include_usage

    def delta(
        self,
        delta: dict[str, Any],
        *,
        index: int = 0,
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        """What one choice goes on with."""
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        body = {**self._envelope(), "choices": [choice]}
        return _encode({**body, "usage": None} if self._include_usage else body)

    def last(self, usage: Usage | None) -> bytes | None:
        """The chunk that only says what was counted; None for a client that did not ask for it."""
        if usage is None or not self._include_usage:
            return None
        return _encode({**self._envelope(), "choices": [], "usage": encode_usage(usage)})

    def _envelope(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.model,
        }


def call_delta(
    index: int, id: str, name: str, arguments: str = "", beside: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A tool call that begins, or is all there."""
    function = {"name": name, "arguments": arguments}
    return {
        "tool_calls": [{"index": index, "id": id, "type": "function", "function": function, **(beside or {})}]
    }


def arguments_delta(index: int, piece: str) -> dict[str, Any]:
    """More of a call's arguments."""
    return {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
