"""An answer of OpenAI's chat format, said in its Responses format: whole, and chunk by chunk.

Reasoning becomes an item of its own with the thinking as its content; where another vendor has signed it, the signature stands
in `encrypted_content`, for the client to send back as it is. Calls of tools may be told in turns, as they come.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from assay.kit import ids
from assay.wire.as_chat_answer import thinking_blocks
from assay.wire.messages import Message, OpaquePart, ReasoningPart, RefusalPart
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest, Fields
from assay.wire.responses import Response, StreamEvent
from assay.wire.responses_api import ResponsesRequest
from assay.wire.responses_api_answers import encode_responses_usage
from assay.wire.responses_api_to_chat import seal_thinking
from assay.wire.usage import Usage

_encode = msgspec.json.Encoder().encode
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,  # the gateway says otherwise of what it has kept
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that an answer repeats, with what holds when they are not sent."""
_NULL = Raw(b"null")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def as_responses_answer(response: Response, request: ChatRequest, *, created: int) -> Response:
    """The same answer with `raw` in this format. It has the first choice only: there are no others here."""
    choice = response.choices[0]
    logprobs = _logprobs(response.raw)
    output = [*_reasoning(choice.message), *_words(choice.message, logprobs)]
    output += [_call_item(call.id, call.name, call.arguments) for call in choice.message.tool_calls]
    body = _envelope(_response_id(), request, created, model=response.model)
    body |= _ending(choice.finish_reason, response.usage, output)
    return replace(response, raw=_encode(body))


def _envelope(id: str, request: ChatRequest, created: int, *, model: str | None) -> dict[str, Any]:
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model or request.model,
        "output": [],
        **_echo(request.fields if isinstance(request, ResponsesRequest) else {}),
        "usage": None,
    }


def _echo(fields: Fields) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, usual in _ECHOED.items():
        sent = fields.get(name, _NULL)
        made[name] = usual if sent == _NULL else sent
    return made


def _ending(finish_reason: str | None, usage: Usage | None, output: Sequence[Any]) -> dict[str, Any]:
    reason = _INCOMPLETE.get(finish_reason or "")
    return {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": None if usage is None else encode_responses_usage(usage),
    }


# --- Items ---


def _response_id() -> str:
    return f"resp_{ids.uuid7_hex()}"


def _reasoning_item(id: str, text: str, blocks: Sequence[Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": id, "type": "reasoning", "summary": []}
    if text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if blocks:
        item["encrypted_content"] = seal_thinking(blocks)
    return item | {"status": "completed"}


def _call_item(
    call_id: str, name: str, arguments: str, *, id: str | None = None, status: str = "completed"
) -> dict[str, Any]:
    return {
        "id": id or f"fc_{ids.uuid7_hex()}",
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def _message_item(id: str, content: Sequence[Any], *, status: str = "completed") -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def _text_part(text: str, logprobs: Sequence[Any] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _reasoning(message: Message) -> Iterator[dict[str, Any]]:
    thoughts = [part for part in message.parts if isinstance(part, ReasoningPart)]
    is_signed = any(part.signature for part in thoughts)
    redacted = any(
        isinstance(part, OpaquePart) and part.type == "redacted_thinking" for part in message.parts
    )
    if thoughts or redacted:
        blocks = thinking_blocks(message) if is_signed or redacted else []
        yield _reasoning_item(f"rs_{ids.uuid7_hex()}", "".join([part.text for part in thoughts]), blocks)


def _words(message: Message, logprobs: Sequence[Any]) -> Iterator[dict[str, Any]]:
    refusal = "".join([part.text for part in message.parts if isinstance(part, RefusalPart)])
    content = (
        [_text_part(message.text, logprobs)] if message.text or not (refusal or message.tool_calls) else []
    )
    if refusal:
        content.append({"type": "refusal", "refusal": refusal})
    if content:
        yield _message_item(f"msg_{ids.uuid7_hex()}", content)


class _Logprobs(Struct, frozen=True):
    content: list[Raw] | None = None


class _WithLogprobs(Struct, frozen=True):
    logprobs: _Logprobs | None = None


class _Choices(Struct, frozen=True):
    choices: list[_WithLogprobs] = []


_choices = msgspec.json.Decoder(_Choices)


def _logprobs(raw: bytes) -> list[Raw]:
    try:
        sent = _choices.decode(raw).choices
    except UNREADABLE:
        return []
    return (sent[0].logprobs.content or []) if sent and sent[0].logprobs else []


# --- Streams ---


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking_blocks: list[Raw] | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chunk(Struct, frozen=True):
    choices: list[_Choice] = []
    model: str | None = None


_chunk = msgspec.json.Decoder(_Chunk)


class _Open:
    """An item that is being told: its words, in parts, or a call's arguments."""

    def __init__(self, kind: str, index: int, *, call_id: str = "", name: str = "") -> None:
        self.kind = kind
        self.index = index
        self.id = f"{ {'message': 'msg', 'reasoning': 'rs'}.get(kind, 'fc') }_{ids.uuid7_hex()}"
        self.call_id = call_id
        self.name = name
        self.parts: list[tuple[str, list[str]]] = []
        self.logprobs: list[Raw] = []
        self.blocks: list[Raw] = []
        self.is_done = False

    def text(self, at: int = 0) -> str:
        return "".join(self.parts[at][1]) if self.parts else ""

    def part(self, at: int) -> dict[str, Any]:
        kind = self.parts[at][0]
        if kind == "refusal":
            return {"type": "refusal", "refusal": self.text(at)}
        return _text_part(self.text(at), self.logprobs)

    def item(self, *, status: str) -> dict[str, Any]:
        if self.kind == "message":
            content = [self.part(at) for at in range(len(self.parts))] if status == "completed" else []
            return _message_item(self.id, content, status=status)
        if self.kind == "reasoning":
            if status != "completed":
                return {"id": self.id, "type": "reasoning", "summary": [], "status": status}
            return _reasoning_item(self.id, self.text(), self.blocks)
        arguments = self.text() if status == "completed" else ""
        return _call_item(self.call_id, self.name, arguments, id=self.id, status=status)


class ResponsesEvents:
    """Turns the chunks of one answer into events, each with its place in the sequence."""

    def __init__(self, request: ChatRequest, *, created: int) -> None:
        self._request = request
        self._created = created
        self._id = _response_id()
        self._model: str | None = None
        self._sequence = 0
        self._has_begun = False
        self._items: list[_Open] = []
        self._calls: dict[int, _Open] = {}
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        """The events that a chunk amounts to. One that says nothing comes back without `raw`: it is a sign of life all the
        same."""
        self._usage = event.usage or self._usage
        made = False
        if event.raw is not None:
            for body in self._bodies(_chunk.decode(event.raw)):
                spoken = event.is_output and body["type"] not in ("response.created", "response.in_progress")
                yield replace(
                    event, raw=self._numbered(body), is_output=spoken, usage=None, finish_reason=None
                )
                event = replace(event, text="")
                made = True
        if not made or event.usage is not None or event.finish_reason is not None:
            yield replace(event, raw=None, is_output=False, text="")

    def end(self) -> Iterator[StreamEvent]:
        """The upstream is through: what is still open ends, and the whole answer is told."""
        bodies = list(self._begin(None))
        if not self._items:
            item, opening = self._opens("message")
            bodies += [*opening, *self._part_opens(item, "output_text")]
        for item in self._items:
            bodies += self._closes(item)
        output = [item.item(status="completed") for item in self._items]
        body = self._envelope() | _ending(self._finish_reason, self._usage, output)
        bodies.append({"type": f"response.{body['status']}", "response": body})
        for each in bodies:
            yield StreamEvent(raw=self._numbered(each))

    def _numbered(self, body: Mapping[str, Any]) -> bytes:
        self._sequence += 1
        return _encode({"type": body["type"], "sequence_number": self._sequence - 1, **body})

    def _envelope(self) -> dict[str, Any]:
        return _envelope(self._id, self._request, self._created, model=self._model)

    def _begin(self, model: str | None) -> Iterator[dict[str, Any]]:
        if not self._has_begun:
            self._has_begun = True
            self._model = model
            yield {"type": "response.created", "response": self._envelope()}
            yield {"type": "response.in_progress", "response": self._envelope()}

    def _bodies(self, chunk: _Chunk) -> Iterator[dict[str, Any]]:
        yield from self._begin(chunk.model)
        for choice in chunk.choices[:1]:
            self._finish_reason = choice.finish_reason or self._finish_reason
            delta = choice.delta
            if delta is None:
                continue
            thought = delta.reasoning_content or (
                delta.reasoning if isinstance(delta.reasoning, str) else None
            )
            if thought:
                yield from self._says("reasoning", "reasoning_text", thought)
            if delta.thinking_blocks:
                yield from self._signs(delta.thinking_blocks)
            if delta.content:
                logprobs = (choice.logprobs.content or []) if choice.logprobs else []
                yield from self._says("message", "output_text", delta.content, logprobs)
            if delta.refusal:
                yield from self._says("message", "refusal", delta.refusal)
            for call in delta.tool_calls or ():
                yield from self._calls_tool(call)

    def _says(
        self, kind: str, part: str, text: str, logprobs: Sequence[Raw] = ()
    ) -> Iterator[dict[str, Any]]:
        item = self._items[-1] if self._items else None
        if item is None or item.kind != kind or item.is_done:
            yield from self._closes_words()
            item, opening = self._opens(kind)
            yield from opening
        if not item.parts or item.parts[-1][0] != part:
            yield from self._part_opens(item, part)
        item.parts[-1][1].append(text)
        item.logprobs += logprobs
        body = {"type": f"response.{part}.delta", **self._place(item, len(item.parts) - 1), "delta": text}
        yield body | {"logprobs": logprobs} if part == "output_text" else body

    def _signs(self, blocks: list[Raw]) -> Iterator[dict[str, Any]]:
        """Signed thinking ends what is shown of it; a redacted one was never shown."""
        item = self._items[-1] if self._items else None
        if item is None or item.kind != "reasoning" or item.is_done:
            yield from self._closes_words()
            item, opening = self._opens("reasoning")
            yield from opening
        item.blocks += blocks

    def _calls_tool(self, call: _CallDelta) -> Iterator[dict[str, Any]]:
        item = self._calls.get(call.index)
        if item is None:
            yield from self._closes_words()
            item, opening = self._opens("function_call", call_id=call.id or "", name=call.function.name or "")
            item.parts.append(("arguments", []))
            self._calls[call.index] = item
            yield from opening
        if call.function.arguments:
            item.parts[0][1].append(call.function.arguments)
            yield {
                "type": "response.function_call_arguments.delta",
                "item_id": item.id,
                "output_index": item.index,
                "delta": call.function.arguments,
            }

    def _opens(self, kind: str, **named: str) -> tuple[_Open, list[dict[str, Any]]]:
        item = _Open(kind, len(self._items), **named)
        self._items.append(item)
        body = {
            "type": "response.output_item.added",
            "output_index": item.index,
            "item": item.item(status="in_progress"),
        }
        return item, [body]

    def _part_opens(self, item: _Open, kind: str) -> Iterator[dict[str, Any]]:
        item.parts.append((kind, []))
        if item.kind == "message":
            at = len(item.parts) - 1
            part = _text_part("") if kind == "output_text" else {"type": "refusal", "refusal": ""}
            yield {"type": "response.content_part.added", **self._place(item, at), "part": part}

    def _closes_words(self) -> Iterator[dict[str, Any]]:
        """Words end when something else begins; calls may go on in turns until the answer ends."""
        for item in self._items[-1:]:
            if item.kind != "function_call":
                yield from self._closes(item)

    def _closes(self, item: _Open) -> Iterator[dict[str, Any]]:
        if item.is_done:
            return
        item.is_done = True
        if item.kind == "function_call":
            yield {
                "type": "response.function_call_arguments.done",
                "item_id": item.id,
                "output_index": item.index,
                "name": item.name,
                "arguments": item.text(),
            }
        for at, (kind, _) in enumerate(item.parts if item.kind != "function_call" else ()):
            place, text = self._place(item, at), item.text(at)
            match kind:
                case "output_text":
                    yield {
                        "type": "response.output_text.done",
                        **place,
                        "text": text,
                        "logprobs": item.logprobs,
                    }
                case "refusal":
                    yield {"type": "response.refusal.done", **place, "refusal": text}
                case _:
                    yield {"type": "response.reasoning_text.done", **place, "text": text}
            if item.kind == "message":
                yield {"type": "response.content_part.done", **place, "part": item.part(at)}
        yield {
            "type": "response.output_item.done",
            "output_index": item.index,
            "item": item.item(status="completed"),
        }

    def _place(self, item: _Open, at: int) -> dict[str, Any]:
        return {"item_id": item.id, "output_index": item.index, "content_index": at}
