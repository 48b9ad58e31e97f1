"""OpenAI's moderations format: texts and images in, for each whether it is flagged and as what."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from assay.errors import BadRequest
from assay.wire.openai_chat import UNREADABLE, bad_field, decode_body
from assay.wire.requests import AssayFields, Fields

DEFAULT_MODEL = "omni-moderation-latest"
"""What OpenAI takes when a request names no model."""
MAX_INPUTS = 2048


class ModerationRequest(Struct, frozen=True, kw_only=True):
    """A request to look at some inputs: `texts` are what of them is text."""

    model: str
    texts: tuple[str, ...]
    stream: Literal[False] = False
    include_usage: Literal[False] = False
    assay: AssayFields | None = None
    fields: Fields = {}


class ModerationResponse(Struct, frozen=True, kw_only=True):
    """What was found, as JSON in the client's format; `flagged` has the categories of each input, none for an innocent one."""

    raw: bytes
    flagged: tuple[tuple[str, ...], ...]
    model: str | None = None


class _Request(Struct, frozen=True):
    input: Raw
    model: str | None = None
    assay: AssayFields | None = None


class _Part(Struct, frozen=True):
    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: dict[str, Any] | None = None


class _Result(Struct, frozen=True):
    flagged: bool
    categories: dict[str, bool | None] = {}


class _Answer(Struct, frozen=True):
    results: list[_Result]
    model: str | None = None


_request = msgspec.json.Decoder(_Request)
_inputs = msgspec.json.Decoder(str | list[str | _Part])
_answer = msgspec.json.Decoder(_Answer)


def decode_moderation(body: bytes) -> ModerationRequest:
    """A `/v1/moderations` body. Raises `BadRequest` whose `param` is the field's path, e.g. `input[3]`."""
    fields, sent = decode_body(body, _request)
    try:
        given = _inputs.decode(sent.input)
    except UNREADABLE as error:
        raise bad_field(error, "input") from error
    inputs = [given] if isinstance(given, str) else given
    if not inputs or len(inputs) > MAX_INPUTS:
        raise BadRequest(f"input has {len(inputs)} texts: it must be 1 to {MAX_INPUTS:,}", param="input")
    for at, each in enumerate(inputs):
        if isinstance(each, _Part) and (each.text if each.type == "text" else each.image_url) is None:
            raise BadRequest(
                f"input[{at}].{each.type} is missing",
                param=f"input[{at}].{each.type}",
                hint="Send what the part says that it is.",
            )
    texts = [each if isinstance(each, str) else each.text for each in inputs]
    return ModerationRequest(
        model=sent.model or DEFAULT_MODEL,
        texts=tuple([text for text in texts if text is not None]),
        assay=sent.assay,
        fields=fields,
    )


def decode_moderations(body: bytes) -> ModerationResponse:
    """A whole answer. Raises one of `UNREADABLE` when it is not one."""
    sent = _answer.decode(body)
    if not sent.results:
        raise msgspec.ValidationError("it has no results")
    flagged = [
        tuple([name for name, is_so in result.categories.items() if is_so]) if result.flagged else ()
        for result in sent.results
    ]
    return ModerationResponse(raw=body, flagged=tuple(flagged), model=sent.model)
