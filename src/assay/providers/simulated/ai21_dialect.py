"""AI21's format: OpenAI's chat of which Jamba knows a part, with answers that leave out what is not AI21's."""

from collections.abc import Sequence
from typing import Any

import msgspec

from assay.providers.simulated.asking import Asked, Refused, parse
from assay.providers.simulated.saying import DONE, Answer, Chunk, Reply, event

_KNOWN = frozenset(
    (
        *("model", "messages", "tools", "documents", "response_format", "max_tokens", "temperature", "top_p"),
        *("stop", "n", "stream"),
    )
)
_ROLES = ("system", "user", "assistant", "tool")
_LEFT_OUT = ("object", "created", "model", "system_fingerprint")
MALFORMED = b'data: {"id": "chat-broken", "choices": [{"delta": {"cont\n\n'


class Ai21Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of OpenAI's format, told in AI21's."""

    answer: Answer

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        body = _short(msgspec.json.decode(self.answer.whole()))
        for choice in body["choices"]:
            choice.pop("logprobs", None)
            for name in ("refusal", "annotations"):
                choice["message"].pop(name, None)
        return msgspec.json.encode({**body, "meta": {"requestDurationMillis": 1}})

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer: the last one counts."""
        made, ends = [], len(self.answer.replies)
        for chunk in self.answer.chunks():
            if chunk.data == DONE:
                break
            body = _short(msgspec.json.decode(chunk.data.removeprefix(b"data: ")))
            ends -= sum(choice["finish_reason"] is not None for choice in body["choices"])
            if not ends and self.answer.usage is not None:
                body["usage"] = _totals(self.answer.usage)
            made.append(Chunk(event(body), chunk.is_token))
        return [*made, Chunk(DONE, is_token=False)]


def parse_ai21(body: bytes) -> Asked:
    """Read a body. Raises `Refused`; what AI21 itself leaves unread is refused, so that tests see it."""
    asked = parse("chat", body)
    sent = msgspec.json.decode(body)
    if unknown := sorted(set(sent) - _KNOWN):
        raise Refused(422, f"{unknown[0]}: Extra inputs are not permitted")
    for at, message in enumerate(sent["messages"]):
        if message.get("role") not in _ROLES:
            raise Refused(422, f"messages.{at}.role: {message.get('role')!r} is not a role")
        if not isinstance(message.get("content") or "", str):
            raise Refused(422, f"messages.{at}.content: Input should be a valid string")
    return asked


def ai21_error(status: int, message: str) -> bytes:
    """AI21's error object."""
    return msgspec.json.encode({"detail": message})


def ai21_answer(
    asked: Asked, replies: Sequence[Reply], *, index: int, usage: dict[str, Any] | None
) -> Ai21Answer:
    """What is said, in this format."""
    answer = Answer(
        asked=asked,
        replies=tuple(replies),
        id=f"chat-sim{index:08d}",
        created=0,
        usage=None if usage is None else _totals(usage),
    )
    return Ai21Answer(answer=answer)


def _totals(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _short(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _LEFT_OUT}
