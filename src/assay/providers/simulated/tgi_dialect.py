"""Hugging Face's own formats: `/generate` and `/generate_stream` of text-generation-inference, feature extraction, and the
`/rerank` of text-embeddings-inference."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked, Refused
from assay.providers.simulated.embedding import vector
from assay.providers.simulated.saying import Chunk, Reply

T = TypeVar("T")

MALFORMED = b'data:{"index":1,"token":{"id":1,"te\n\n'
_FINISH = {"stop": "eos_token", "length": "length"}
_Count = Annotated[int, Meta(ge=1)]


class _Parameters(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    max_new_tokens: _Count | None = None
    temperature: Annotated[float, Meta(gt=0)] | None = None
    top_p: Annotated[float, Meta(gt=0, lt=1)] | None = None
    top_k: _Count | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: Annotated[list[str], Meta(max_length=4)] = []
    do_sample: bool | None = None
    details: bool = False
    decoder_input_details: bool = False
    return_full_text: bool | None = None
    best_of: _Count | None = None
    truncate: int | None = None
    watermark: bool | None = None
    top_n_tokens: int | None = None
    adapter_id: str | None = None
    grammar: dict[str, Any] | None = None


class _Generate(msgspec.Struct, kw_only=True):
    inputs: Annotated[str, Meta(min_length=1)]
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)
    stream: bool = False


class _Features(msgspec.Struct, kw_only=True):
    inputs: str | Annotated[list[str], Meta(min_length=1)]
    normalize: bool | None = None
    truncate: bool | None = None
    prompt_name: str | None = None
    truncation_direction: str | None = None


class _Rerank(msgspec.Struct, kw_only=True):
    query: str
    texts: Annotated[list[str], Meta(min_length=1)]
    return_text: bool = False
    raw_scores: bool = False
    truncate: bool | None = None
    truncation_direction: str | None = None


class TgiAsked(Asked, frozen=True, kw_only=True):
    """With whether the answer shall tell of itself."""

    details: bool = False


class TgiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reply."""

    asked: TgiAsked
    reply: Reply
    read: int
    says_usage: bool

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        body: dict[str, Any] = {"generated_text": self.reply.text}
        if self.asked.details:
            body["details"] = {**self._details(), "prefill": [], "tokens": []}
        return msgspec.json.encode(body)

    def chunks(self) -> list[Chunk]:
        """The events: a token each, and the whole text with the last one, which is special where the model ended by itself."""
        pieces = [(piece, False) for piece in self.reply.pieces]
        if self.reply.finish_reason == "stop" and self.reply.stopped_by is None:
            pieces.append(("</s>", True))
        made = []
        for at, (piece, special) in enumerate(pieces):
            last = at == len(pieces) - 1
            body = {
                "index": at + 1,
                "token": {"id": at, "text": piece, "logprob": -0.5, "special": special},
                "generated_text": self.reply.text if last else None,
                "details": {**self._details(), "input_length": self.read}
                if last and self.asked.details
                else None,
            }
            made.append(Chunk(b"data:" + msgspec.json.encode(body) + b"\n\n", not special))
        return made

    def _details(self) -> dict[str, Any]:
        reason = "stop_sequence" if self.reply.stopped_by is not None else _FINISH[self.reply.finish_reason]
        made: dict[str, Any] = {"finish_reason": reason, "seed": None}
        return {**made, "generated_tokens": self.reply.count} if self.says_usage else made


def parse_generate(body: bytes, *, stream: bool) -> TgiAsked:
    """Read a body for `/generate` or `/generate_stream`. Raises `Refused`."""
    sent = _read(body, _Generate)
    wanted = sent.parameters
    if stream and wanted.decoder_input_details:
        raise Refused(
            422, "Input validation error: `decoder_input_details` is not supported when streaming tokens"
        )
    return TgiAsked(
        endpoint="completions",
        model="tgi",
        prompts=(sent.inputs,),
        last_user=sent.inputs,
        stream=stream or sent.stream,
        stop=tuple(wanted.stop),
        max_tokens=wanted.max_new_tokens or 100,
        details=wanted.details or stream,
    )


def parse_features(body: bytes, model: str) -> Asked:
    """Read a body for feature extraction. Raises `Refused`."""
    sent = _read(body, _Features)
    texts = (sent.inputs,) if isinstance(sent.inputs, str) else tuple(sent.inputs)
    return Asked(endpoint="embeddings", model=model, prompts=texts, last_user="")


def parse_tei(body: bytes) -> Asked:
    """Read a body for `/rerank`. Raises `Refused`."""
    sent = _read(body, _Rerank)
    return Asked(
        endpoint="rerank",
        model="tei",
        prompts=(sent.query, *sent.texts),
        last_user=sent.query,
        returns_documents=sent.return_text,
    )


def features(asked: Asked, dimensions: int) -> bytes:
    """The body of an answer of feature extraction."""
    return msgspec.json.encode([vector(text, dimensions).tolist() for text in asked.prompts])


def hugging_face_error(status: int, message: str) -> bytes:
    """The error object of Hugging Face's servers."""
    kind = "validation" if status == 422 else "overloaded" if status == 429 else "generation"
    return msgspec.json.encode({"error": message, "error_type": kind})


def count_headers(asked: Asked) -> tuple[tuple[str, str], ...]:
    """What an answer says of itself beside its body."""
    return (("x-prompt-tokens", str(sum(len(tokens(prompt)) for prompt in asked.prompts))),)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(422, f"Input validation error: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(422, f"Failed to parse the request body as JSON: {error}") from error
