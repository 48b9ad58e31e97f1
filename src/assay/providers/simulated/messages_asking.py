"""What a client asks of the simulated provider in Anthropic's wire format, refused the way Anthropic refuses.

Written apart from `wire.anthropic` on purpose, like `asking`.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assay.providers.simulated.asking import Asked, Refused

VERSIONS = ("2023-06-01", "2026-10-21")
_LATEST = VERSIONS[-1]
_NO_LONGER = ("temperature", "top_p", "top_k")
"""Refused by the latest version, even with their default values."""
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_Count = Annotated[int, Meta(ge=1)]


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return [{"type": "text", "text": self.content}] if isinstance(self.content, str) else self.content


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=1024)] | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Counted(msgspec.Struct, kw_only=True):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: dict[str, Any] | None = None


class _Body(_Counted, kw_only=True):
    max_tokens: _Count
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    simulate: dict[str, Any] | None = None


_body = msgspec.json.Decoder(_Body)
_counted = msgspec.json.Decoder(_Counted)


def parse_messages(body: bytes, headers: Mapping[str, str], *, counting: bool) -> Asked:
    """Read a body. Raises `Refused`."""
    version = headers.get("anthropic-version")
    if version not in VERSIONS:
        what = (
            "header is required"
            if version is None
            else f"{version!r} is not a valid version, use one of {VERSIONS}"
        )
        raise Refused(400, f"anthropic-version: {what}")
    try:
        given = msgspec.json.decode(body)
        sent = _counted.decode(body) if counting else _body.decode(body)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from error
    for name in _NO_LONGER if version == _LATEST else ():
        if name in given:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    return _understood(sent)


def messages_error(status: int, message: str) -> bytes:
    """Anthropic's error object for a status."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def signature(thinking: str) -> str:
    """What this provider signs its thinking with, and wants to see again."""
    return b64encode(hashlib.sha256(f"sim {thinking}".encode()).digest()).decode()


def _understood(sent: _Counted) -> Asked:
    for at, message in enumerate(sent.messages):
        for k, block in enumerate(message.blocks):
            _check_block(message, block, f"messages.{at}.content.{k}")
    _check_calls(sent.messages)
    tools = dict(_tools(sent.tools or []))
    texts = [_text(sent.system)] if sent.system else []
    texts += [_text(message.content) for message in sent.messages]
    users = [_words(message) for message in sent.messages if _is_said_by_user(message)]
    rest: dict[str, Any] = {}
    if isinstance(sent, _Body):
        thinking = sent.thinking
        if thinking and thinking.budget_tokens is not None and thinking.budget_tokens >= sent.max_tokens:
            raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
        rest = {
            "stream": sent.stream,
            "stop": tuple(sent.stop_sequences),
            "max_tokens": sent.max_tokens,
            "steering": sent.simulate or {},
        }
    return Asked(
        endpoint="messages",
        model=sent.model,
        prompts=("\n".join(texts),),
        last_user=users[-1] if users else "",
        ends_with_user=_is_said_by_user(sent.messages[-1]),
        tools=tools,
        forced_tool=_forced_tool(sent.tool_choice, tools),
        tools_allowed=sent.tool_choice is None or sent.tool_choice.type != "none",
        parallel_tools=not (sent.tool_choice and sent.tool_choice.disable_parallel_tool_use),
        thinks=sent.thinking is not None and sent.thinking.type != "disabled",
        json_schema=_schema(sent.output_config),
        **rest,
    )


def _is_said_by_user(message: _Message) -> bool:
    return message.role == "user" and any(block.get("type") != "tool_result" for block in message.blocks)


def _words(message: _Message) -> str:
    return "".join(block["text"] for block in message.blocks if block.get("type") == "text")


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    said = [block.get("text", "") for block in content if block.get("type") == "text"]
    results = [_text(block.get("content") or "") for block in content if block.get("type") == "tool_result"]
    return "\n".join([*results, *(["".join(said)] if said else [])])


def _check_block(message: _Message, block: dict[str, Any], place: str) -> None:
    match block:
        case {"type": "text", "text": ""}:
            raise Refused(400, f"{place}.text: text content blocks must be non-empty")
        case {"type": "text", "text": str()}:
            return
        case {"type": "image", "source": {"type": "base64", "media_type": str(), "data": str()}}:
            return
        case {"type": "image" | "document", "source": {"type": "url" | "file" | "text" | "content"}}:
            return
        case {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": str()},
        }:
            return
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signed)}:
            if signed != signature(thinking):
                raise Refused(400, f"{place}: Invalid `signature` in `thinking` block")
        case {"type": "redacted_thinking", "data": str()} | {"type": "search_result"}:
            return
        case {"type": "tool_use", "id": str(), "name": str(), "input": dict()} if message.role == "assistant":
            return
        case {"type": "tool_result", "tool_use_id": str()} if message.role == "user":
            return
        case {"type": kind}:
            raise Refused(400, f"{place}: Input tag {kind!r} found is not what is expected here")
        case _:
            raise Refused(400, f"{place}.type: Field required")


def _check_calls(messages: list[_Message]) -> None:
    """Each call is answered in the very next message, and each answer has its call."""
    asked: set[str] = set()
    for at, message in enumerate(messages):
        answered = {
            str(block["tool_use_id"]) for block in message.blocks if block.get("type") == "tool_result"
        }
        if missing := sorted(asked - answered):
            raise Refused(
                400,
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}.",
            )
        if extra := sorted(answered - asked):
            raise Refused(
                400,
                f"messages.{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(extra)}.",
            )
        asked = {str(block["id"]) for block in message.blocks if block.get("type") == "tool_use"}


def _tools(sent: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for at, tool in enumerate(sent):
        match tool:
            case {"name": str(name), "input_schema": {"type": "object"}}:
                yield name, tool["input_schema"]
            case {"name": str(name), "type": str()} if tool["type"] != "custom":
                continue
            case {"name": str()}:
                raise Refused(400, f"tools.{at}.custom.input_schema.type: Input should be 'object'")
            case _:
                raise Refused(400, f"tools.{at}.custom.name: Field required")


def _forced_tool(choice: _ToolChoice | None, tools: Mapping[str, Any]) -> str | None:
    if choice is None or choice.type in ("auto", "none"):
        return None
    if not tools:
        raise Refused(400, "tool_choice: may only be specified while providing tools")
    if choice.type == "any":
        return "*"
    if choice.name not in tools:
        raise Refused(400, f"tool_choice: Tool {choice.name!r} not found in provided tools")
    return choice.name


def _schema(output_config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    match (output_config or {}).get("format"):
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case _:
            raise Refused(400, "output_config.format: Input should be a json_schema")


def _bad_field(error: str) -> Refused:
    """As Anthropic names fields: `messages.0.role: Field required`."""
    what, _, where = error.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".").replace("[", ".").replace("]", "")
    if "missing required field" in what:
        name = what.split("`")[1]
        return Refused(400, f"{path}.{name}: Field required" if path else f"{name}: Field required")
    return Refused(400, f"{path}: {what}" if path else "The request body has to be a JSON object")
