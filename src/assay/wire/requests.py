"""What a client asks of a model.

A request keeps the top-level fields of its JSON as they came (`fields`: name → raw JSON). Passing it to an upstream of
the same format edits only the fields it must; everything else goes through untouched, known to Assay or not.
"""

from typing import Any

import msgspec

from assay.wire.messages import Message, Tool

Fields = dict[str, msgspec.Raw]


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options` of OpenAI's format."""

    include_usage: bool | None = None


class AssayFields(msgspec.Struct, frozen=True):
    """The body field `assay`: a task's inputs and whose call it is. It never leaves the gateway."""

    inputs: dict[str, Any] | None = None
    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the next message of a conversation. With `validated` an answer that does not fit the schema that it names is
    not passed on, and asked for again."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    include_usage: bool = False
    assay: AssayFields | None = None
    fields: Fields = {}
    validated: bool = False


class MessagesRequest(ChatRequest, frozen=True, kw_only=True):
    """The same in Anthropic's format: `fields` are that format's, `messages` begin with the system prompt and have each tool
    result as a message of its own. `version` and `beta` are the client's headers: they say how the fields are meant.

    `places` says for each message where it stood, e.g. `messages[3].content[0]`.
    """

    places: tuple[str, ...] = ()
    version: str | None = None
    beta: str | None = None


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to continue a text. `prompt` is one text, several, or token ids as OpenAI allows."""

    model: str
    prompt: str | list[str | int | list[int]]
    stream: bool = False
    include_usage: bool = False
    assay: AssayFields | None = None
    fields: Fields = {}


ModelRequest = ChatRequest | CompletionRequest
