"""What a client asks of the simulated provider, read from OpenAI's wire format and refused the way OpenAI refuses.

This is written apart from `wire.openai_chat` on purpose: a mistake made in both directions by one codec would be seen
by no test.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

OpenAIEndpoint = Literal["chat", "completions", "embeddings", "rerank"]
Endpoint = OpenAIEndpoint | Literal["messages"]


class Refused(Exception):
    """The provider answers with an error. `body` is OpenAI's error object."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(status, message, param=param, code=code)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, understood. `prompts` has one text for chat, one per prompt for completions, one per input for embeddings."""

    endpoint: Endpoint
    model: str
    prompts: tuple[str, ...]
    last_user: str
    ends_with_user: bool = True
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    """None: not asked for; else how many alternatives"""
    echo: bool = False
    tools: Mapping[str, Mapping[str, Any]] = {}
    """name → JSON Schema of its parameters"""
    forced_tool: str | None = None
    """a tool's name, or `*` for any"""
    tools_allowed: bool = True
    parallel_tools: bool = True
    thinks: bool = False
    """an Anthropic client asked to see the thinking"""
    json_schema: Mapping[str, Any] | None = None
    """what the answer must look like; `{"type": "object"}` in plain JSON mode"""
    dimensions: int | None = None
    base64: bool = False
    top_n: int | None = None
    """of a ranking: how many documents are wanted"""
    returns_documents: bool = False
    steering: Mapping[str, Any] = {}


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


_Count = Annotated[int, Meta(ge=1)]
_MOST_INPUTS = 2048


class _Body(msgspec.Struct, kw_only=True):
    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    max_tokens: _Count | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    simulate: dict[str, Any] | None = None


class _Chat(_Body, kw_only=True):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_completion_tokens: _Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


class _Completion(_Body, kw_only=True):
    prompt: str | list[Any] = "<|endoftext|>"
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    echo: bool | None = None


class _Embedding(_Body, kw_only=True):
    input: str | list[Any]
    dimensions: _Count | None = None
    encoding_format: Literal["float", "base64"] | None = None


class _Rerank(_Body, kw_only=True):
    query: str
    documents: Annotated[list[str | dict[str, str]], Meta(min_length=1)]
    top_n: _Count | None = None
    return_documents: bool = True


_chat = msgspec.json.Decoder(_Chat)
_completion = msgspec.json.Decoder(_Completion)
_embedding = msgspec.json.Decoder(_Embedding)
_rerank = msgspec.json.Decoder(_Rerank)


def parse(endpoint: OpenAIEndpoint, body: bytes) -> Asked:
    """Read a body. Raises `Refused` with 400, naming the field as OpenAI does."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"We could not parse the JSON body of your request. ({error})") from error
    try:
        match endpoint:
            case "chat":
                return _from_chat(_chat.decode(body))
            case "completions":
                return _from_completion(_completion.decode(body))
            case "embeddings":
                return _from_embedding(_embedding.decode(body))
            case "rerank":
                return _from_rerank(_rerank.decode(body))
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from error


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """OpenAI's error object for a status."""
    kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def _from_chat(sent: _Chat) -> Asked:
    _check_stream_options(sent)
    if sent.top_logprobs and not sent.logprobs:
        raise Refused(
            400,
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    _check_calls(sent.messages)
    users = [message.text for message in sent.messages if message.role == "user"]
    tools = {tool.function.name: tool.function.parameters or {} for tool in sent.tools or () if tool.function}
    return Asked(
        endpoint="chat",
        prompts=("\n".join(message.text for message in sent.messages),),
        last_user=users[-1] if users else "",
        ends_with_user=sent.messages[-1].role == "user",
        max_tokens=sent.max_completion_tokens or sent.max_tokens,
        logprobs=(sent.top_logprobs or 0) if sent.logprobs else None,
        tools=tools,
        forced_tool=_forced_tool(sent, tools),
        tools_allowed=sent.tool_choice != "none",
        parallel_tools=sent.parallel_tool_calls is not False,
        json_schema=_json_schema(sent.response_format),
        **_shared(sent),
    )


def _from_completion(sent: _Completion) -> Asked:
    _check_stream_options(sent)
    prompts = _prompts(sent.prompt)
    return Asked(
        endpoint="completions",
        prompts=prompts,
        last_user=prompts[-1],
        max_tokens=sent.max_tokens or 16,
        logprobs=sent.logprobs,
        echo=bool(sent.echo),
        **_shared(sent),
    )


def _from_embedding(sent: _Embedding) -> Asked:
    texts = _prompts(sent.input, "input")
    if len(texts) > _MOST_INPUTS or not all(texts):
        raise Refused(400, "'$.input' is invalid. Please check the API reference.", param="input")
    return Asked(
        endpoint="embeddings",
        prompts=texts,
        last_user=texts[-1],
        dimensions=sent.dimensions,
        base64=sent.encoding_format == "base64",
        **_shared(sent),
    )


def _shared(sent: _Body) -> dict[str, Any]:
    return {
        "model": sent.model,
        "stream": bool(sent.stream),
        "include_usage": bool(sent.stream_options and sent.stream_options.include_usage),
        "n": sent.n or 1,
        "stop": (sent.stop,) if isinstance(sent.stop, str) else tuple(sent.stop or ()),
        "steering": sent.simulate or {},
    }


def _from_rerank(sent: _Rerank) -> Asked:
    documents = [each if isinstance(each, str) else each.get("text", "") for each in sent.documents]
    return Asked(
        endpoint="rerank",
        model=sent.model,
        prompts=(sent.query, *documents),
        last_user=sent.query,
        top_n=sent.top_n,
        returns_documents=sent.return_documents,
        steering=sent.simulate or {},
    )


def _check_calls(messages: list[_Message]) -> None:
    """Each call of a tool is answered before anything else is said, and each answer has its call."""
    waiting: list[str] = []
    for at, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise Refused(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                    param=f"messages.[{at}].role",
                )
            waiting.remove(message.tool_call_id)
        elif waiting:
            break
        else:
            waiting = [str(call.get("id")) for call in message.tool_calls or ()]
    if waiting:
        raise Refused(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param="messages",
        )


def _check_stream_options(sent: _Body) -> None:
    if sent.stream_options is not None and not sent.stream:
        raise Refused(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def _forced_tool(sent: _Chat, tools: Mapping[str, Any]) -> str | None:
    choice = sent.tool_choice
    if choice is not None and not tools:
        raise Refused(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice == "required":
        return "*"
    if choice is None or choice in ("auto", "none"):
        return None
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if name not in tools:
        raise Refused(
            400, f"Tool choice {choice!r} is not one of the specified 'tools'.", param="tool_choice"
        )
    return str(name)


def _json_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    match (response_format or {}).get("type"):
        case None | "text":
            return None
        case "json_object":
            return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        case "json_schema":
            schema = (response_format or {}).get("json_schema")
            if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
                raise Refused(
                    400,
                    "Missing required parameter: 'response_format.json_schema'.",
                    param="response_format.json_schema",
                )
            return dict(schema["schema"])
        case other:
            raise Refused(
                400, f"Invalid value: {other!r}.", param="response_format.type", code="invalid_value"
            )


def _prompts(prompt: str | list[Any], param: str = "prompt") -> tuple[str, ...]:
    """A text, several, token ids, or several lists of them; an id stands for a word of its own."""
    if isinstance(prompt, str):
        return (prompt,)
    if prompt and all(isinstance(item, str) for item in prompt):
        return tuple(prompt)
    rows = [prompt] if prompt and all(isinstance(item, int) for item in prompt) else prompt
    if rows and all(
        isinstance(row, list) and row and all(isinstance(item, int) for item in row) for row in rows
    ):
        return tuple(" ".join(f"<{token}>" for token in row) for row in rows)
    raise Refused(400, f"Invalid type for '{param}'.", param=param, code="invalid_type")


def _bad_field(error: str) -> Refused:
    what, _, where = error.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if "missing required field" in what:
        name = what.split("`")[1]
        path = f"{path}.{name}" if path else name
        if path == "model":
            return Refused(400, "you must provide a model parameter")
        return Refused(
            400, f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
        )
    if not path:
        return Refused(400, "The body has to be a JSON object.")
    return Refused(400, f"Invalid type for '{path}': {what}.", param=path, code="invalid_type")
