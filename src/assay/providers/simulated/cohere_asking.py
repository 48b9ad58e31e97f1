"""What a client asks of the simulated provider in Cohere's wire format (v2), refused the way Cohere refuses.

Written apart from `wire.as_cohere_request` on purpose, like `asking`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from assay.providers.simulated.asking import Asked, Refused

T = TypeVar("T")

MOST_TEXTS = 96
_Count = Annotated[int, Meta(ge=1)]
_Penalty = Annotated[float, Meta(ge=0, le=1)]


class CohereAsked(Asked, frozen=True, kw_only=True):
    """With the first document that may be cited, if there is one."""

    cited: Mapping[str, Any] | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    tool_plan: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(str(block.get("text", "")) for block in self.content)
        return self.content or ""


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any]
    description: str | None = None


class _Tool(msgspec.Struct):
    type: Literal["function"]
    function: _Function


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled"]
    token_budget: _Count | None = None


class _ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object"]
    json_schema: dict[str, Any] | None = None


class _Chat(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool = False
    tools: list[_Tool] | None = None
    strict_tools: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    documents: list[str | dict[str, Any]] | None = None
    citation_options: dict[str, Any] | None = None
    response_format: _ResponseFormat | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None
    max_tokens: _Count | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] = []
    temperature: Annotated[float, Meta(ge=0)] | None = None
    seed: int | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    k: Annotated[int, Meta(ge=0, le=500)] | None = None
    p: Annotated[float, Meta(ge=0.01, le=0.99)] | None = None
    logprobs: bool | None = None
    thinking: _Thinking | None = None
    priority: int | None = None


class _Embed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    texts: Annotated[list[str], Meta(min_length=1, max_length=MOST_TEXTS)]
    embedding_types: list[Literal["float", "base64"]] | None = None
    output_dimension: _Count | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    max_tokens: _Count | None = None
    priority: int | None = None


class _Rerank(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    model: str
    query: str
    documents: Annotated[list[str], Meta(min_length=1)]
    top_n: _Count | None = None
    max_tokens_per_doc: _Count | None = None
    priority: int | None = None


def cohere_error(status: int, message: str) -> bytes:
    """Cohere's error object."""
    return msgspec.json.encode({"id": f"error-{status}", "message": message})


def parse_chat(body: bytes) -> CohereAsked:
    """Read a body for `/v2/chat`. Raises `Refused`."""
    sent = _read(body, _Chat)
    _check_turns(sent.messages)
    tools = {tool.function.name: tool.function.parameters for tool in sent.tools or ()}
    if sent.tool_choice == "REQUIRED" and not tools:
        raise Refused(400, "tool_choice is REQUIRED but no tools were provided")
    if sent.response_format and sent.response_format.type != "text" and (tools or sent.documents):
        raise Refused(400, "response_format is not supported with tools or documents")
    texts = [message.text or message.tool_plan or "" for message in sent.messages]
    users = [message.text for message in sent.messages if message.role == "user"]
    return CohereAsked(
        endpoint="chat",
        model=sent.model,
        prompts=("\n".join(texts),),
        last_user=users[-1] if users else "",
        ends_with_user=sent.messages[-1].role == "user",
        stream=sent.stream,
        stop=tuple(sent.stop_sequences),
        max_tokens=sent.max_tokens,
        tools=tools,
        forced_tool="*" if sent.tool_choice == "REQUIRED" else None,
        tools_allowed=sent.tool_choice != "NONE",
        thinks=sent.thinking is not None and sent.thinking.type == "enabled",
        json_schema=_schema(sent.response_format),
        cited=next(_documents(sent.documents or ()), None),
    )


def parse_embed(body: bytes) -> Asked:
    """Read a body for `/v2/embed`. Raises `Refused`."""
    sent = _read(body, _Embed)
    return Asked(
        endpoint="embeddings",
        model=sent.model,
        prompts=tuple(sent.texts),
        last_user="",
        dimensions=sent.output_dimension,
        base64=sent.embedding_types == ["base64"],
    )


def parse_rerank(body: bytes) -> Asked:
    """Read a body for `/v2/rerank`. Raises `Refused`."""
    sent = _read(body, _Rerank)
    return Asked(
        endpoint="rerank",
        model=sent.model,
        prompts=(sent.query, *sent.documents),
        last_user=sent.query,
        top_n=sent.top_n,
    )


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        path = where.strip("`").removeprefix("$").removeprefix(".")
        raise Refused(400, f"invalid request: {path + ': ' if path else ''}{what}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"invalid request: the body is not valid JSON: {error}") from error


def _check_turns(messages: list[_Message]) -> None:
    """Content is of the kinds that a role may have, and each result of a tool has its call."""
    called: set[str] = set()
    for at, message in enumerate(messages):
        kinds = {
            "user": ("text", "image_url"),
            "assistant": ("text", "thinking"),
            "tool": ("text", "document"),
        }
        blocks = message.content if isinstance(message.content, list) else []
        for block in blocks:
            if block.get("type") not in kinds.get(message.role, ("text",)):
                raise Refused(400, f"invalid request: messages[{at}].content has a {block.get('type')!r}")
        if message.role != "assistant" and not message.content:
            raise Refused(400, f"invalid request: messages[{at}].content must not be empty")
        if message.role == "assistant" and not (message.content or message.tool_calls):
            raise Refused(400, f"invalid request: messages[{at}] has neither content nor tool calls")
        for call in message.tool_calls or ():
            called.add(str(call.get("id")))
        if message.role == "tool" and message.tool_call_id not in called:
            raise Refused(400, f"invalid request: messages[{at}].tool_call_id is not that of a tool call")


def _documents(sent: Any) -> Iterator[Mapping[str, Any]]:
    for at, each in enumerate(sent):
        if isinstance(each, str):
            yield {"id": f"doc:{at}", "text": each}
        else:
            yield {"id": each.get("id", f"doc:{at}"), **each.get("data", {})}


def _schema(sent: _ResponseFormat | None) -> Mapping[str, Any] | None:
    if sent is None or sent.type == "text":
        return None
    plain = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return sent.json_schema or plain
