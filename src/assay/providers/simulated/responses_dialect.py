"""OpenAI's Responses format of the simulated provider. It keeps nothing between calls, as with `store` switched off.

Written apart from `wire.responses_api` on purpose, like `asking`.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked, Refused
from assay.providers.simulated.saying import Called, Chunk, Reply

_SIGNED = "gAAAAsim"
MALFORMED = b'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "del\n\n'
FAILED = (
    b'event: error\ndata: {"type":"error","sequence_number":3,"error":{"type":"server_error","code":"server_error",'
    b'"message":"The engine is currently overloaded, please try again later.","param":null}}\n\n'
)


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    schema: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    parameters: dict[str, Any] | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    model: str
    input: str | Annotated[list[dict[str, Any]], Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    simulate: dict[str, Any] | None = None


_body = msgspec.json.Decoder(_Body)


class ResponsesAsked(Asked, frozen=True, kw_only=True):
    """With what an answer repeats."""

    sent: _Body


def parse_responses(body: bytes) -> ResponsesAsked:
    """Read a body. Raises `Refused`."""
    try:
        sent = _body.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        raise Refused(
            400, f"Invalid value: {what}.", param=where.strip("`").removeprefix("$.") or None
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"We could not parse the JSON body of your request. ({error})") from error
    if sent.previous_response_id is not None:
        raise Refused(
            400,
            f"Previous response with id '{sent.previous_response_id}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    items = [{"role": "user", "content": sent.input}] if isinstance(sent.input, str) else sent.input
    said = [_said(item, at) for at, item in enumerate(items)]
    _check_calls(items)
    users = [_words(item["content"]) for item in items if item.get("role") == "user"]
    tools = {str(tool.name): tool.parameters or {} for tool in sent.tools or () if tool.type == "function"}
    made = sent.text.format if sent.text and sent.text.format else _Format()
    return ResponsesAsked(
        endpoint="chat",
        model=sent.model,
        prompts=("\n".join([*([sent.instructions] if sent.instructions else []), *said]),),
        last_user=users[-1] if users else "",
        ends_with_user=items[-1].get("role") == "user",
        stream=bool(sent.stream),
        max_tokens=sent.max_output_tokens,
        tools=tools,
        forced_tool=_forced_tool(sent.tool_choice, tools),
        tools_allowed=sent.tool_choice != "none",
        parallel_tools=sent.parallel_tool_calls is not False,
        thinks=sent.reasoning is not None,
        json_schema=made.schema or ({"type": "object"} if made.type == "json_object" else None),
        steering=sent.simulate or {},
        sent=sent,
    )


def _said(item: dict[str, Any], at: int) -> str:
    match item:
        case {"type": "function_call", "call_id": str(), "name": str(), "arguments": str()}:
            return ""
        case {"type": "function_call_output", "call_id": str(), "output": str() | list() as output}:
            return _words(output)
        case {"type": "reasoning", "encrypted_content": str(sealed)}:
            if not sealed.startswith(_SIGNED):
                raise Refused(
                    400,
                    "The encrypted content could not be verified.",
                    param=f"input[{at}].encrypted_content",
                    code="invalid_encrypted_content",
                )
            return ""
        case {"type": "reasoning"}:
            raise Refused(
                404,
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false.",
                param="input",
            )
        case {"role": "user" | "assistant" | "system" | "developer", "content": str() | list() as content}:
            return _words(content)
        case _:
            raise Refused(
                400, f"Invalid value: {item.get('type')!r}.", param=f"input[{at}]", code="invalid_value"
            )


def _words(content: str | Sequence[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join([str(part.get("text", "")) for part in content])


def _check_calls(items: Sequence[dict[str, Any]]) -> None:
    """Each output has its call, and each call its output."""
    waiting: list[str] = []
    for item in items:
        if item.get("type") == "function_call":
            waiting.append(item["call_id"])
        elif item.get("type") == "function_call_output":
            if item["call_id"] not in waiting:
                raise Refused(
                    400,
                    f"No tool call found for function call output with call_id {item['call_id']}.",
                    param="input",
                )
            waiting.remove(item["call_id"])
    if waiting:
        raise Refused(400, f"No tool output found for function call {waiting[0]}.", param="input")


def _forced_tool(choice: Any, tools: dict[str, Any]) -> str | None:
    match choice:
        case None | "auto" | "none":
            return None
        case "required":
            return "*"
        case {"type": "function", "name": str(name)} if name in tools:
            return name
        case _:
            raise Refused(400, f"Tool choice {choice!r} not found in 'tools' parameter.", param="tool_choice")


class ResponsesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reply with what stands around it."""

    asked: ResponsesAsked
    reply: Reply
    index: int
    created: int
    usage: dict[str, Any] | None

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        return msgspec.json.encode(self._response(self._items(), is_over=True))

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer."""
        events: list[tuple[dict[str, Any], bool]] = [
            ({"type": "response.created", "response": self._response([], is_over=False)}, False),
            ({"type": "response.in_progress", "response": self._response([], is_over=False)}, False),
        ]
        for at, item in enumerate(self._items()):
            begun = {**item, "status": "in_progress", "content": [], "arguments": ""}
            begun = {name: begun[name] for name in item if name != "encrypted_content"}
            events.append(({"type": "response.output_item.added", "output_index": at, "item": begun}, False))
            events += self._told(item, at)
            events.append(({"type": "response.output_item.done", "output_index": at, "item": item}, False))
        last = self._response(self._items(), is_over=True)
        events.append(({"type": f"response.{last['status']}", "response": last}, False))
        return [_event({**body, "sequence_number": n}, is_token) for n, (body, is_token) in enumerate(events)]

    def _told(self, item: dict[str, Any], at: int) -> Iterator[tuple[dict[str, Any], bool]]:
        place = {"item_id": item["id"], "output_index": at}
        if item["type"] == "function_call":
            kind = "response.function_call_arguments"
            for piece in tokens(item["arguments"]):
                yield {"type": f"{kind}.delta", **place, "delta": piece}, True
            yield (
                {"type": f"{kind}.done", **place, "arguments": item["arguments"], "name": item["name"]},
                False,
            )
        elif item["type"] == "message":
            place["content_index"] = 0
            empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield {"type": "response.content_part.added", **place, "part": empty}, False
            kind = "response.output_text"
            for piece in self.reply.pieces:
                yield {"type": f"{kind}.delta", **place, "delta": piece, "logprobs": []}, True
            yield {"type": f"{kind}.done", **place, "text": self.reply.text, "logprobs": []}, False
            yield {"type": "response.content_part.done", **place, "part": item["content"][0]}, False

    def _items(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if self.reply.thoughts:
            reasoning = {"id": f"rs_sim{self.index:08d}", "type": "reasoning", "summary": []}
            if "reasoning.encrypted_content" in (self.asked.sent.include or ()):
                digest = hashlib.sha256("".join(self.reply.thoughts).encode()).digest()
                reasoning["encrypted_content"] = _SIGNED + b64encode(digest).decode()
            made.append(reasoning)
        if self.reply.pieces or not self.reply.calls:
            part = {"type": "output_text", "text": self.reply.text, "annotations": [], "logprobs": []}
            made.append(
                {
                    "id": f"msg_sim{self.index:08d}",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [part],
                }
            )
        return [*made, *[self._call(call, at) for at, call in enumerate(self.reply.calls)]]

    def _call(self, call: Called, at: int) -> dict[str, Any]:
        return {
            "id": f"fc_sim{self.index:08d}{at}",
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.tool,
            "arguments": call.arguments,
        }

    def _response(self, output: list[dict[str, Any]], *, is_over: bool) -> dict[str, Any]:
        sent = self.asked.sent
        is_cut = self.reply.finish_reason == "length"
        ending = "incomplete" if is_cut else "completed"
        return {
            "id": f"resp_sim{self.index:08d}",
            "object": "response",
            "created_at": self.created,
            "status": ending if is_over else "in_progress",
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut and is_over else None,
            "instructions": sent.instructions,
            "max_output_tokens": sent.max_output_tokens,
            "model": self.asked.model,
            "output": output,
            "parallel_tool_calls": sent.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": sent.reasoning.effort if sent.reasoning else None, "summary": None},
            "store": sent.store is not False,
            "temperature": 1.0 if sent.temperature is None else sent.temperature,
            "text": {"format": {"type": "text"}} if sent.text is None else msgspec.to_builtins(sent.text),
            "tool_choice": sent.tool_choice or "auto",
            "tools": [msgspec.to_builtins(tool) for tool in sent.tools or ()],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self.usage if is_over else None,
            "metadata": sent.metadata or {},
        }


def responses_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """The chat format's counts under this format's names."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": usage["prompt_tokens_details"]["cached_tokens"]},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": usage["total_tokens"],
    }


def _event(body: dict[str, Any], is_token: bool) -> Chunk:
    return Chunk(b"event: %b\ndata: %b\n\n" % (body["type"].encode(), msgspec.json.encode(body)), is_token)
