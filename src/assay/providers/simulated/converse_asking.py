"""What a client asks of the simulated provider in the format of Bedrock's Converse, refused the way Bedrock refuses.

Written apart from `wire.as_converse_request` on purpose, like `asking`.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from assay.providers.simulated.asking import Asked, Refused
from assay.providers.simulated.messages_asking import signature

PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream)")
COUNT_PATH = re.compile(r"/model/[^/]+/count-tokens")
_KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_MESSAGE = r"[a-zA-Z0-9_.:-]{1,64}"


class _Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Bedrock's own front refuses names that it does not know."""


class _Image(_Strict):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: dict[str, Any]


class _Document(_Strict):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9\s\-()\[\]]{1,200}$")]
    source: dict[str, Any]
    format: str | None = None


class _Audio(_Strict):
    format: str
    source: dict[str, Any]


class _ToolUse(_Strict):
    tool_use_id: Annotated[str, Meta(pattern=f"^{_MESSAGE}$")]
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    input: dict[str, Any]


class _ToolResult(_Strict):
    tool_use_id: Annotated[str, Meta(pattern=f"^{_MESSAGE}$")]
    content: list[dict[str, Any]]
    status: Literal["success", "error"] | None = None


class _ReasoningText(_Strict):
    text: str
    signature: str | None = None


class _Reasoning(_Strict):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Block(_Strict):
    text: Annotated[str, Meta(min_length=1)] | None = None
    image: _Image | None = None
    document: _Document | None = None
    audio: _Audio | None = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    reasoning_content: _Reasoning | None = None
    cache_point: dict[str, str] | None = None


class _Message(_Strict):
    role: Literal["user", "assistant", "system"]
    content: list[_Block]

    @property
    def words(self) -> str:
        return "".join(block.text or "" for block in self.content)


class _ToolSpec(_Strict):
    name: str
    input_schema: dict[str, dict[str, Any]]
    description: Annotated[str, Meta(min_length=1)] | None = None
    strict: bool | None = None


class _Tool(_Strict):
    tool_spec: _ToolSpec | None = None
    cache_point: dict[str, str] | None = None


class _Choice(_Strict):
    auto: dict[str, Any] | None = None
    any: dict[str, Any] | None = None
    tool: dict[str, str] | None = None


class _ToolConfig(_Strict):
    tools: Annotated[list[_Tool], Meta(min_length=1)]
    tool_choice: _Choice | None = None


class _Inference(_Strict):
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: list[str] = []


class _Body(_Strict):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: list[_Block] = []
    tool_config: _ToolConfig | None = None
    inference_config: _Inference = msgspec.field(default_factory=_Inference)
    additional_model_request_fields: dict[str, Any] = {}
    output_config: dict[str, Any] = {}
    guardrail_config: dict[str, Any] | None = None
    performance_config: dict[str, Any] | None = None
    request_metadata: dict[str, str] | None = None
    service_tier: dict[str, str] | None = None


class _Counted(_Strict):
    converse: msgspec.Raw


class _ToCount(_Strict):
    input: _Counted


_body = msgspec.json.Decoder(_Body)


def parse_converse(path: str, body: bytes) -> Asked:
    """Read a request. Raises `Refused`."""
    found = PATH.fullmatch(path)
    assert found is not None, "the table of dialects has the same pattern"
    try:
        sent = _body.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(400, f"The model returned the following errors: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"Could not parse the request body: {error}") from error
    _check_turns(sent)
    _check_signatures(sent.messages)
    tools = _tools(sent.tool_config)
    users = [message.words for message in sent.messages if message.role == "user" and message.words]
    system = ["".join(block.text or "" for block in sent.system)] if sent.system else []
    last = sent.messages[-1]
    thinking = sent.additional_model_request_fields.get("thinking") or {}
    return Asked(
        endpoint="chat",
        model=unquote(found[1]),
        prompts=("\n".join([*system, *(_text(message) for message in sent.messages)]),),
        last_user=users[-1] if users else "",
        ends_with_user=last.role == "user" and bool(last.words),
        stream=found[2] == "converse-stream",
        stop=tuple(sent.inference_config.stop_sequences),
        max_tokens=sent.inference_config.max_tokens,
        tools=tools,
        forced_tool=_forced_tool(sent.tool_config, tools),
        thinks=thinking.get("type") in ("enabled", "adaptive"),
        json_schema=_schema(sent.output_config),
    )


def parse_converse_count(path: str, body: bytes) -> Asked:
    """Read a request to count one. Raises `Refused`."""
    try:
        asked = msgspec.json.decode(body, type=_ToCount).input.converse
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"Could not parse the request body: {error}") from error
    return parse_converse(path.replace("/count-tokens", "/converse"), bytes(asked))


def converse_error(status: int, message: str) -> bytes:
    """Bedrock's error object for a status."""
    return msgspec.json.encode({"__type": _KINDS.get(status, "InternalServerException"), "message": message})


def _text(message: _Message) -> str:
    results = [
        "".join(str(inner.get("text", "")) for inner in block.tool_result.content)
        for block in message.content
        if block.tool_result
    ]
    return "\n".join([*results, *([message.words] if message.words else [])])


def _check_turns(sent: _Body) -> None:
    """Turns take turns; each call is answered in the very next one, and tools are declared where they are spoken of."""
    asked: set[str] = set()
    roles = [message.role for message in sent.messages if message.role != "system"]
    if roles[:1] != ["user"]:
        raise Refused(400, "A conversation must start with a user message.")
    if any(one == other for one, other in pairwise(roles)):
        raise Refused(400, "A conversation must alternate between user and assistant roles.")
    for at, message in enumerate(sent.messages):
        answered = {block.tool_result.tool_use_id for block in message.content if block.tool_result}
        if answered != asked:
            raise Refused(
                400,
                f"messages.{at}: Expected toolResult blocks for the following Ids: {', '.join(sorted(asked))}",
            )
        asked = {block.tool_use.tool_use_id for block in message.content if block.tool_use}
        if (asked or answered) and sent.tool_config is None:
            raise Refused(
                400, "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            )


def _check_signatures(messages: list[_Message]) -> None:
    for at, message in enumerate(messages):
        for block in message.content:
            thought = block.reasoning_content.reasoning_text if block.reasoning_content else None
            if thought is not None and thought.signature != signature(thought.text):
                raise Refused(400, f"messages.{at}: Invalid `signature` in `thinking` block")


def _tools(config: _ToolConfig | None) -> dict[str, Mapping[str, Any]]:
    specs = [tool.tool_spec for tool in config.tools if tool.tool_spec] if config else []
    return {spec.name: spec.input_schema.get("json", {}) for spec in specs}


def _forced_tool(config: _ToolConfig | None, tools: Mapping[str, Any]) -> str | None:
    choice = config.tool_choice if config else None
    if choice is None or choice.auto is not None:
        return None
    if choice.any is not None:
        return "*"
    name = (choice.tool or {}).get("name")
    if name not in tools:
        raise Refused(400, f"The tool {name!r} of toolChoice is not in toolConfig.")
    return name


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match config.get("textFormat"):
        case None:
            return None
        case {"type": "json_schema", "structure": {"jsonSchema": {"schema": str(schema)}}}:
            read: Any = msgspec.json.decode(schema)
            return dict(read)
        case _:
            raise Refused(400, "outputConfig.textFormat is not valid.")
