"""OpenAI's embeddings format: texts or token ids in, one vector each out.

A request keeps its JSON beside what was read (`fields`), and an answer its JSON (`raw`), so that both pass through as they
came. Vectors are not read on their way: only counted, and the first one measured.
"""

import base64
import binascii
from array import array
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from assay.errors import BadRequest
from assay.wire.openai_chat import UNREADABLE, bad_field, decode_body
from assay.wire.requests import AssayFields, Fields
from assay.wire.usage import Usage

MAX_INPUTS = 2048
"""Texts of one request, as OpenAI has it."""
MAX_TOKEN_IDS = 300_000
"""Of one request with token ids, over all its inputs, as OpenAI has it."""

EncodingFormat = Literal["float", "base64"]
Input = str | tuple[int, ...]
"""A text, or the ids of its tokens."""


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """A request for the vectors of some texts. `inputs` are never none, and none of them is empty."""

    model: str
    inputs: tuple[Input, ...]
    encoding_format: EncodingFormat = "float"
    dimensions: int | None = None
    stream: Literal[False] = False
    include_usage: Literal[False] = False
    assay: AssayFields | None = None
    fields: Fields = {}


class EmbeddingResponse(Struct, frozen=True, kw_only=True):
    """The vectors, as JSON in the client's format. `dimensions` is the length of the first."""

    raw: bytes
    count: int
    dimensions: int
    model: str | None = None
    usage: Usage | None = None

    def vectors(self) -> list["array[float]"]:
        """The vectors as 32-bit floats, in the order of the inputs."""
        data = sorted(_answer.decode(self.raw).data, key=lambda datum: datum.index)
        return [read_vector(datum.embedding) for datum in data]


class _Request(Struct, frozen=True, kw_only=True):
    model: str
    input: Raw
    encoding_format: EncodingFormat | None = None
    dimensions: int | None = None
    user: str | None = None
    assay: AssayFields | None = None


class _Datum(Struct, frozen=True):
    embedding: Raw
    index: int = 0


class _Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(Struct, frozen=True):
    data: list[_Datum]
    model: str | None = None
    usage: _Usage | None = None


_request = msgspec.json.Decoder(_Request)
_answer = msgspec.json.Decoder(_Answer)
_text = msgspec.json.Decoder(str)
_texts = msgspec.json.Decoder(tuple[str, ...])
_ids = msgspec.json.Decoder(list[int | list[int]])
_floats = msgspec.json.Decoder(list[float])
_encode = msgspec.json.Encoder().encode


def decode_embedding(body: bytes) -> EmbeddingRequest:
    """A `/v1/embeddings` body. Raises `BadRequest` whose `param` is the field's path, e.g. `input[3]`."""
    fields, sent = decode_body(body, _request)
    if sent.dimensions is not None and sent.dimensions < 1:
        raise BadRequest(
            f"dimensions is {sent.dimensions}: it must be at least 1",
            param="dimensions",
            hint="Leave it out for vectors of the model's own length.",
        )
    return EmbeddingRequest(
        model=sent.model,
        inputs=_inputs(sent.input),
        encoding_format=sent.encoding_format or "float",
        dimensions=sent.dimensions,
        assay=sent.assay,
        fields=fields,
    )


def embedding_request(
    model: str,
    inputs: Sequence[Input],
    *,
    encoding_format: EncodingFormat = "base64",
    dimensions: int | None = None,
) -> EmbeddingRequest:
    """Make a request from values instead of from a body. Raises `BadRequest` like `decode_embedding`."""
    body: dict[str, Any] = {"model": model, "input": inputs, "encoding_format": encoding_format}
    return decode_embedding(_encode(body if dimensions is None else {**body, "dimensions": dimensions}))


def decode_embeddings(body: bytes) -> EmbeddingResponse:
    """A whole answer. Raises one of `UNREADABLE` when it is not one."""
    sent = _answer.decode(body)
    if not sent.data:
        raise msgspec.ValidationError("it has no vectors")
    said = sent.usage or _Usage()
    counted = said.total_tokens if said.prompt_tokens is None else said.prompt_tokens
    return EmbeddingResponse(
        raw=body,
        count=len(sent.data),
        dimensions=_length(sent.data[0].embedding),
        model=sent.model,
        usage=None if counted is None else Usage(input=counted),
    )


def encode_embeddings(
    vectors: Sequence["array[float]"], *, model: str, tokens: int | None, encoding_format: EncodingFormat
) -> bytes:
    """An answer in this format. Without a count of tokens it has no usage."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if tokens is not None:
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _encode(answer)


def read_vector(embedding: Raw) -> "array[float]":
    """A vector from numbers or from base64 of little-endian 32-bit floats."""
    if not _is_text(embedding):
        return array("f", _floats.decode(embedding))
    try:
        return array("f", base64.b64decode(_text.decode(embedding), validate=True))
    except binascii.Error as error:
        raise msgspec.ValidationError(f"a vector is no base64: {error}") from error


def _written(vector: "array[float]", encoding_format: EncodingFormat) -> Any:
    return base64.b64encode(vector.tobytes()).decode() if encoding_format == "base64" else vector.tolist()


def _length(embedding: Raw) -> int:
    if _is_text(embedding):
        return len(read_vector(embedding))
    inside = bytes(embedding).strip().strip(b"[]").strip()
    return inside.count(b",") + 1 if inside else 0


def _is_text(raw: Raw) -> bool:
    return bytes(raw).lstrip()[:1] == b'"'


def _inputs(raw: Raw) -> tuple[Input, ...]:
    inside = bytes(raw).lstrip()
    try:
        if inside[:1] == b'"':
            return _checked((_text.decode(raw),), single=True)
        if inside[:1] == b"[" and inside[1:].lstrip()[:1] == b'"':
            return _checked(_texts.decode(raw))
        if inside.count(b",") > MAX_TOKEN_IDS:  # before a hundred million numbers are read
            raise BadRequest(
                f"More than {MAX_TOKEN_IDS:,} token ids cannot be sent at once",
                param="input",
                hint="Send several requests.",
            )
        return _of_ids(_ids.decode(raw))
    except UNREADABLE as error:
        raise bad_field(error, "input") from error


def _of_ids(sent: list[int | list[int]]) -> tuple[Input, ...]:
    """One list of ids is one input; a list of lists is several."""
    rows = [row for row in sent if isinstance(row, list)]
    if rows and len(rows) < len(sent):
        raise BadRequest(
            "input mixes token ids with lists of them", param="input", hint="Send only one kind."
        )
    flat = tuple(token for token in sent if isinstance(token, int))
    several = bool(rows) or not flat
    made = tuple(tuple(row) for row in rows) if several else (flat,)
    for at, row in enumerate(made):
        if any(token < 0 for token in row):
            raise BadRequest("A token id is below 0", param=f"input[{at}]" if several else "input")
    return _checked(made, single=not several)


def _checked(inputs: tuple[Input, ...], *, single: bool = False) -> tuple[Input, ...]:
    if not inputs:
        raise BadRequest("input is empty", param="input", hint="Send at least one text.")
    if len(inputs) > MAX_INPUTS:
        raise BadRequest(
            f"input has {len(inputs):,} texts, and at most {MAX_INPUTS:,} can be sent at once",
            param="input",
            hint="Send several requests.",
        )
    for at, each in enumerate(inputs):
        if not each:
            where = "input" if single else f"input[{at}]"
            raise BadRequest(f"{where} is empty", param=where, hint="Leave empty texts out.")
    return inputs
