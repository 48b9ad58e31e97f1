"""The texts in requests and answers, whatever their format: each is shown to a function, and what that returns takes its place.

It walks the JSON itself rather than Assay's structs, so that what goes upstream and what comes back keeps every field that
Assay does not know. Pictures, sound and files are not looked into.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.wire.anthropic import decode_messages
from assay.wire.anthropic_answers import decode_answer
from assay.wire.openai_chat import UNREADABLE, decode_message, decode_response
from assay.wire.requests import CompletionRequest, MessagesRequest, ModelRequest
from assay.wire.responses import Response
from assay.wire.responses_api import ResponsesRequest, with_items
from assay.wire.responses_api_answers import decode_responses_answer

Rewrite = Callable[[str, str], str]
"""(role, text) → the text that takes its place."""

LONG_NUMBER = 9
"""Digits from which on a number in a tool's arguments is looked at like a text."""

DEEPEST = 100
"""Levels of JSON that are walked; what is nested deeper is looked at as one text."""

_TEXTS = frozenset(("text", "content", "refusal", "title", "context", "output"))
_THOUGHTS = frozenset(("thinking", "reasoning", "reasoning_content"))
_DEEP = frozenset(("input",))
_ANSWERS: dict[str, tuple[str, Callable[[bytes], Response]]] = {
    "messages": ("content", decode_answer),
    "responses": ("output", decode_responses_answer),
}
"""Endpoint → where the words of an answer are, and who reads it; of the others they are in `choices`."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def rewritten_request(request: ModelRequest, rewrite: Rewrite) -> ModelRequest:
    """The same request with its texts rewritten; itself when nothing changed."""
    if isinstance(request, ResponsesRequest):
        return _responses(request, rewrite)
    if isinstance(request, CompletionRequest):
        prompt, suffix = _prompt(request.prompt, rewrite), _decode(request.fields.get("suffix", b"null"))
        after = _prompt(suffix, rewrite) if suffix else suffix
        if prompt == request.prompt and after == suffix:
            return request
        fields = {**request.fields, "prompt": Raw(_encode(prompt))}
        return replace(
            request,
            prompt=prompt,
            fields=fields if after is None else {**fields, "suffix": Raw(_encode(after))},
        )
    changed: dict[str, Raw] = {}
    for name, role in (("messages", "user"), ("system", "system"), ("prediction", "user")):
        raw = request.fields.get(name)
        if raw is None:
            continue
        before = _decode(raw)
        after = _walked(before, "content", role, rewrite, thoughts=False)
        if after != before:
            changed[name] = Raw(_encode(after))
    if not changed:
        return request
    fields = {**request.fields, **changed}
    if isinstance(request, MessagesRequest):
        read = decode_messages(_encode(fields))
        return replace(request, messages=read.messages, places=read.places, fields=fields)
    messages = msgspec.json.decode(fields["messages"], type=list[Raw])
    made = tuple([decode_message(raw, f"messages[{at}]") for at, raw in enumerate(messages)])
    return replace(request, messages=made, fields=fields)


def rewritten_response(response: Response, endpoint: str, rewrite: Rewrite) -> Response:
    """The same answer with its texts rewritten; itself when nothing changed. Where something did, the probabilities of its
    tokens are left out: they spell it too."""
    body: dict[str, Any] = _decode(response.raw)
    if endpoint in _ANSWERS:
        name, decode = _ANSWERS[endpoint]
        content = body.get(name)
        after = _walked(content, "content", "assistant", rewrite, thoughts=True)
        if after == content:
            return response
        raw = _encode({**body, name: after})
        return replace(response, raw=raw, choices=decode(raw).choices)
    choices = body.get("choices") or []
    made = [_choice(choice, rewrite) for choice in choices]
    if made == choices:
        return response
    raw = _encode({**body, "choices": made})
    return replace(response, raw=raw, choices=decode_response(raw).choices)


def rewritten_message(message: bytes, rewrite: Rewrite) -> bytes:
    """A message of an answer, as spans keep it."""
    before = _decode(message)
    after = _walked(before, "", "assistant", rewrite, thoughts=True)
    return message if after == before else _encode(after)


def rewritten_arguments(arguments: str, role: str, rewrite: Rewrite) -> str:
    """A tool's arguments: every text in them, at any depth; as one text where they are no JSON."""
    try:
        before = _decode(arguments)
    except UNREADABLE:
        return rewrite(role, arguments)
    after = _deep(before, role, rewrite)
    return arguments if after == before else _encode(after).decode()


def rewritten_event(event: dict[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    """An event that tells again what others have told in pieces."""
    made: dict[str, Any] = _walked(event, "", "assistant", rewrite, thoughts=True)
    return made


def _responses(request: ResponsesRequest, rewrite: Rewrite) -> ResponsesRequest:
    """The items of the conversation, those of earlier turns too."""
    before = [_decode(raw) for raw in request.items]
    after = _walked(before, "content", "user", rewrite, thoughts=False)
    said = request.instructions and rewrite("system", request.instructions)
    if after == before and said == request.instructions:
        return request
    fields = {**request.fields, "input": Raw(_encode(after))}
    if said is not None:
        fields["instructions"] = Raw(_encode(said))
    items = [Raw(_encode(each)) for each in after]
    return with_items(replace(request, instructions=said, fields=fields), items)


def _choice(choice: dict[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    made = dict(choice)
    if isinstance(choice.get("message"), dict):
        made["message"] = _walked(choice["message"], "", "assistant", rewrite, thoughts=True)
    if isinstance(choice.get("text"), str):
        made["text"] = rewrite("assistant", choice["text"])
    if made != choice and made.get("logprobs") is not None:
        made["logprobs"] = None
    return made


def _prompt(prompt: Any, rewrite: Rewrite) -> Any:
    if isinstance(prompt, str):
        return rewrite("user", prompt)
    return [rewrite("user", each) if isinstance(each, str) else each for each in prompt]


def _walked(value: Any, key: str, role: str, rewrite: Rewrite, *, thoughts: bool, depth: int = 0) -> Any:
    match value:
        case str():
            if key in _TEXTS or (thoughts and key in _THOUGHTS):
                return rewrite(role, value) if value else value
            return rewritten_arguments(value, role, rewrite) if key == "arguments" and value else value
        case list() | dict() if depth > DEEPEST:
            return _as_text(value, role, rewrite)
        case list():
            return [_walked(each, key, role, rewrite, thoughts=thoughts, depth=depth + 1) for each in value]
        case dict():
            inner = value.get("role")
            role = inner if isinstance(inner, str) else role
            plain = value.get("type") == "text" and isinstance(value.get("data"), str)
            return {
                name: _deep(each, role, rewrite, depth + 1)
                if name in _DEEP
                else rewrite(role, each)
                if plain and name == "data"
                else _walked(each, name, role, rewrite, thoughts=thoughts, depth=depth + 1)
                for name, each in value.items()
            }
    return value


def _deep(value: Any, role: str, rewrite: Rewrite, depth: int = 0) -> Any:
    match value:
        case str():
            return rewrite(role, value) if value else value
        case list() | dict() if depth > DEEPEST:
            return _as_text(value, role, rewrite)
        case list():
            return [_deep(each, role, rewrite, depth + 1) for each in value]
        case dict():
            return {name: _deep(each, role, rewrite, depth + 1) for name, each in value.items()}
        case int() if not isinstance(value, bool) and abs(value) >= 10 ** (LONG_NUMBER - 1):
            return _as_text(value, role, rewrite)
    return value


def _as_text(value: Any, role: str, rewrite: Rewrite) -> Any:
    """Looked at as it is written; a text takes its place when there is something in it."""
    shown = _encode(value).decode()
    after = rewrite(role, shown)
    return value if after == shown else after
