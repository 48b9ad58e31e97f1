"""What a client asks of the simulated provider in Gemini's wire format, refused the way Google refuses.

Written apart from `wire.as_gemini_request` on purpose, like `asking`. As with Gemini 3, a call of a tool comes signed and must
come back signed while the user's turn lasts.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from assay.providers.simulated.asking import Asked, Refused

PATH = re.compile(
    r"/v1(?:beta|alpha)?/(?:models|tunedModels)/([^/:]+):(generateContent|streamGenerateContent)"
)
COUNT_PATH = re.compile(r"/v1beta/models/[^/:]+:countTokens")
EMBED_PATH = re.compile(r"/v1(?:beta|alpha)?/models/([^/:]+):batchEmbedContents")
S = TypeVar("S", bound=msgspec.Struct)
_UNDER = re.compile("_([a-z])")
_UNSIGNED = "skip_thought_signature_validator"
_MOST_EMBEDDED = 100
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class _Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Google refuses names that it does not know."""


class _FunctionCall(_Strict):
    name: str
    id: str | None = None
    args: dict[str, Any] = {}


class _FunctionResponse(_Strict):
    name: str
    response: dict[str, Any]
    id: str | None = None
    parts: list[dict[str, Any]] = []


class _Blob(_Strict):
    mime_type: str
    data: str


class _File(_Strict):
    file_uri: str
    mime_type: str | None = None


class _Part(_Strict):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _FunctionCall | None = None
    function_response: _FunctionResponse | None = None


class _Content(_Strict):
    parts: Annotated[list[_Part], Meta(min_length=1)]
    role: Literal["user", "model"] | None = None

    @property
    def text(self) -> str:
        return "".join(part.text or "" for part in self.parts)


class _Declaration(_Strict):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Tool(_Strict):
    function_declarations: list[_Declaration] = []


class _Calling(_Strict):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"] = "AUTO"
    allowed_function_names: list[str] | None = None


class _ToolConfig(_Strict):
    function_calling_config: _Calling | None = None


class _Thinking(_Strict):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"] | None = None


class _Config(_Strict):
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: float | None = None
    candidate_count: Annotated[int, Meta(ge=1, le=8)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] = []
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_mime_type: Literal["text/plain", "application/json"] | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: _Thinking | None = None


class _Body(_Strict):
    contents: Annotated[list[_Content], Meta(min_length=1)]
    system_instruction: _Content | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig | None = None
    generation_config: _Config = msgspec.field(default_factory=_Config)
    safety_settings: list[dict[str, Any]] = []
    cached_content: str | None = None
    service_tier: Literal["standard", "flex", "priority"] | None = None
    simulate: dict[str, Any] | None = None


class _ToCount(_Strict):
    generate_content_request: dict[str, Any]


class _Embedded(_Strict):
    model: str
    content: _Content
    output_dimensionality: Annotated[int, Meta(ge=1)] | None = None
    task_type: str | None = None
    title: str | None = None


class _Batch(_Strict):
    requests: Annotated[list[_Embedded], Meta(min_length=1, max_length=_MOST_EMBEDDED)]


_FREE = frozenset(
    (
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "simulate",
    )
)
"""Names whose values have names of the client's own."""


def parse_gemini(path: str, body: bytes) -> Asked:
    """Read a request for content. Raises `Refused`."""
    found = PATH.fullmatch(path)
    assert found is not None, "the table of dialects has the same pattern"
    model, method = found[1], found[2]
    sent = _read(body, _Body)
    _check_calls(sent.contents, must_be_signed=re.match(r"gemini-[12]\b", model) is None)
    config = sent.generation_config
    tools = {
        each.name: each.parameters_json_schema or each.parameters or {}
        for tool in sent.tools
        for each in tool.function_declarations
    }
    system = [sent.system_instruction.text] if sent.system_instruction else []
    said = [content for content in sent.contents if content.role != "model" and content.text]
    return Asked(
        endpoint="chat",
        model=model,
        prompts=("\n".join([*system, *(_words(content) for content in sent.contents)]),),
        last_user=said[-1].text if said else "",
        ends_with_user=sent.contents[-1].role != "model" and bool(sent.contents[-1].text),
        stream=method == "streamGenerateContent",
        n=config.candidate_count or 1,
        stop=tuple(config.stop_sequences),
        max_tokens=config.max_output_tokens,
        logprobs=(config.logprobs or 0) if config.response_logprobs else None,
        tools=tools,
        forced_tool=_forced_tool(sent.tool_config, tools),
        tools_allowed=_mode(sent.tool_config) != "NONE",
        thinks=bool(config.thinking_config and config.thinking_config.include_thoughts),
        json_schema=_schema(config),
        steering=sent.simulate or {},
    )


def parse_gemini_count(path: str, body: bytes) -> Asked:
    """Read a request to count one for content. Raises `Refused`."""
    try:
        fields = msgspec.json.decode(body, type=_ToCount).generate_content_request
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"Invalid JSON payload received. {error}") from error
    if fields.pop("model", None) != path.rpartition("/v1beta/")[2].removesuffix(":countTokens"):
        raise Refused(400, "The request to count must be for the model of the URL.")
    return parse_gemini(path.replace(":countTokens", ":generateContent"), msgspec.json.encode(fields))


def parse_gemini_batch(path: str, body: bytes) -> Asked:
    """Read a request for vectors. Raises `Refused`."""
    found = EMBED_PATH.fullmatch(path)
    assert found is not None, "the table of dialects has the same pattern"
    sent = _read(body, _Batch)
    for each in sent.requests:
        if each.model.removeprefix("models/") != found[1]:
            raise Refused(400, "All requests in the batch must use the model of the URL.")
    texts = tuple([each.content.text for each in sent.requests])
    return Asked(
        endpoint="embeddings",
        model=found[1],
        prompts=texts,
        last_user=texts[-1],
        dimensions=sent.requests[0].output_dimensionality,
    )


def gemini_error(status: int, message: str) -> bytes:
    """Google's error object for a status."""
    said = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    return msgspec.json.encode({"error": said})


def call_signature(name: str, arguments: Mapping[str, Any]) -> str:
    """What this provider signs a call with, and wants to see again."""
    said = json.dumps([name, arguments], sort_keys=True)
    return b64encode(hashlib.sha256(f"sim {said}".encode()).digest()).decode()


def _read(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.convert(_camel(msgspec.json.decode(body)), kind)
    except msgspec.ValidationError as error:
        raise Refused(400, f"Invalid JSON payload received. {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"Invalid JSON payload received. Unexpected token. {error}") from error


def _camel(value: Any) -> Any:
    """Google's JSON takes each name as `camelCase` and as `snake_case`."""
    if isinstance(value, list):
        return [_camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = {_UNDER.sub(lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in _FREE else _camel(inner) for name, inner in named.items()}


def _words(content: _Content) -> str:
    results = [str(part.function_response.response) for part in content.parts if part.function_response]
    return "\n".join([*results, *([content.text] if content.text else [])])


def _check_calls(contents: list[_Content], *, must_be_signed: bool) -> None:
    """Each turn with calls is followed by one with as many results, and the calls of the user's last turn are signed."""
    last_user = max(
        (at for at, each in enumerate(contents) if each.role != "model" and each.text), default=-1
    )
    waiting: list[str] = []
    for at, content in enumerate(contents):
        answered = [part.function_response.name for part in content.parts if part.function_response]
        if sorted(answered) != sorted(waiting):
            raise Refused(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call parts of the "
                "function call turn.",
            )
        calls = [part for part in content.parts if part.function_call]
        waiting = [part.function_call.name for part in calls if part.function_call]
        for part in calls:
            _check_signature(part, at)
        if must_be_signed and at > last_user and calls and calls[0].thought_signature is None:
            raise Refused(
                400,
                f"Function call `{waiting[0]}` in the {at}. content block is missing a `thought_signature`.",
            )
    if waiting:
        raise Refused(400, "Please ensure that function call turns are followed by function response turns.")


def _check_signature(part: _Part, at: int) -> None:
    call, signature = part.function_call, part.thought_signature
    if call is None or signature is None or signature == _UNSIGNED:
        return
    if signature.replace("-", "+").replace("_", "/") != call_signature(call.name, call.args):
        raise Refused(400, f"Corrupted thought signature in the {at}. content block.")


def _mode(config: _ToolConfig | None) -> str:
    return config.function_calling_config.mode if config and config.function_calling_config else "AUTO"


def _forced_tool(config: _ToolConfig | None, tools: Mapping[str, Any]) -> str | None:
    if config is None or config.function_calling_config is None or _mode(config) != "ANY":
        return None
    if not tools:
        raise Refused(400, "Function calling config is set without function_declarations.")
    allowed = config.function_calling_config.allowed_function_names
    for name in allowed or ():
        if name not in tools:
            raise Refused(400, f"allowed_function_names has `{name}`, which is not declared.")
    return allowed[0] if allowed else "*"


def _schema(config: _Config) -> Mapping[str, Any] | None:
    if config.response_mime_type != "application/json":
        if config.response_schema or config.response_json_schema:
            raise Refused(400, "response_schema needs response_mime_type application/json.")
        return None
    plain = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return config.response_json_schema or config.response_schema or plain
