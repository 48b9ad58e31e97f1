"""Answers that are JSON of a schema: asked for natively where the provider can, else in words; validated, and asked for again.

A `Form` goes with the account of one call. What does not fit is an attempt of that call: paid for, kept with its words and with
what was wrong, and the model is shown both and asked once more. Each attempt is made at the upstream that answered before it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.calls.guard_texts import rewritten_response
from assay.calls.stream_texts import MARKS, WORDS, Ends, of_chat
from assay.calls.structured_requests import Turn, in_words, once_more, schema_of
from assay.calls.types import Call
from assay.catalog.models import ModelConfig, Route, StructuredRule
from assay.detect.schemas import Schema, unfenced
from assay.errors import BadRequest, InvalidOutput
from assay.providers.types import Provider, ProviderRequest
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.messages import Message
from assay.wire.openai_chat import UNREADABLE, decode_message
from assay.wire.openai_stream import assemble
from assay.wire.requests import ChatRequest
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.responses_api_answers import assemble_responses

INSTRUCTION = "Answer with one JSON value that fits this JSON Schema, and with nothing else: no explanation, no Markdown.\n\n{schema}"
REPLY = "That does not fit the JSON Schema: {problem}\nAnswer again, with only the JSON value that fits it."

_NATIVE = ("response_format", "output_config", "text")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def form_of(call: Call, models: Mapping[str, ModelConfig]) -> "Form | None":
    """The form that the answer to a call must have: where the model's `structured` or the task's variant says that it is
    validated. Raises `BadRequest` for a schema that cannot be used."""
    rule = _rule_of(call, models)
    if rule is None or not isinstance(call.request, ChatRequest):
        return None
    schema = schema_of(call.request)
    return None if schema is None else Form(_compiled(_encode(schema)), rule, call.endpoint)


def attempts_of(call: Call, models: Mapping[str, ModelConfig]) -> int:
    """How many answers a call may be paid for at one upstream, none of which fails."""
    rule = _rule_of(call, models)
    if rule is None or not isinstance(call.request, ChatRequest) or schema_of(call.request) is None:
        return 1
    return rule.attempts


def _rule_of(call: Call, models: Mapping[str, ModelConfig]) -> StructuredRule | None:
    request = call.request
    if not isinstance(request, ChatRequest):
        return None
    model = models.get(request.model)
    rule = None if model is None else model.structured
    return StructuredRule() if rule is None and request.validated else rule


@lru_cache(maxsize=256)
def _compiled(schema: bytes) -> Schema:
    return Schema(_decode(schema), param="response_format")


class Form:
    """What an answer must be, and what was answered so far that was not."""

    def __init__(self, schema: Schema, rule: StructuredRule, endpoint: str) -> None:
        self._schema = schema
        self._rule = rule
        self._endpoint = endpoint
        self._turns: list[Turn] = []
        self._is_worded: bool | None = None

    @property
    def asked(self) -> int:
        """Answers that did not fit."""
        return len(self._turns)

    def goes_to(self, route: Route) -> None:
        """It is asked there now: natively, in words, or, where nothing says, natively until that is refused."""
        if "json_schema" in route.lacks:
            self._is_worded = True
        else:
            self._is_worded = None if self._rule.native is None else not self._rule.native

    def shaped(self, request: ProviderRequest) -> ProviderRequest:
        """The request as this attempt asks it."""
        sent = request.request
        assert isinstance(sent, ChatRequest), "a form goes with a chat"
        if self._is_worded:
            schema = _encode(self._schema.schema).decode()
            sent = in_words(sent, INSTRUCTION.format(schema=schema))
        return replace(request, request=once_more(sent, self._turns))

    def is_refused_natively(self, error: BadRequest) -> bool:
        """Whether the provider cannot say the schema, so that it is to be said in words from now on."""
        if self._is_worded is not None or not (error.param or "").startswith(_NATIVE):
            return False
        self._is_worded = True
        return True

    def problem(self, messages: Iterable[Message], finish_reason: str | None) -> str | None:
        """What is wrong with an answer. One that calls tools, or refuses, is not measured."""
        for message in messages:
            text = message.text
            if message.tool_calls or (not text and message.parts):
                continue
            if finish_reason == "length":
                return "it ends at the limit of tokens"
            start, end = unfenced(text)
            if (problem := self._schema.problem(text[start:end])) is not None:
                return problem
        return None

    def rejects(self, text: str, problem: str, finish_reason: str | None) -> None:
        """The answer does not fit. Raises `InvalidOutput` when no other is to be asked for."""
        self._turns.append(Turn(text, REPLY.format(problem=problem)))
        if finish_reason == "length":
            raise InvalidOutput(
                f"The answer does not fit its schema: {problem}", hint="Raise max_tokens, or ask for less."
            )
        if self.asked >= self._rule.attempts:
            times = "once" if self.asked == 1 else f"{self.asked} times"
            raise InvalidOutput(
                f"The model was asked {times}, and its answer does not fit the schema: {problem}",
                hint="Its attempts are children of the call in its trace. Raise structured.attempts, or loosen the schema.",
            )

    def tidied(self, response: Response) -> Response:
        """The answer without a Markdown fence around its JSON."""
        return rewritten_response(response, self._endpoint, lambda _, text: _bare(text))


async def complete_to_fit(
    form: Form,
    provider: Provider,
    request: ProviderRequest,
    ask: Callable[[Provider, ProviderRequest], Awaitable[Response]],
    rejected: Callable[[ProviderRequest, Response, str], None],
) -> Response:
    """A whole answer that fits. `rejected` is told of each that does not. Raises `InvalidOutput` after the last attempt."""
    while True:
        shaped = form.shaped(request)
        try:
            response = await ask(provider, shaped)
        except BadRequest as error:
            if form.is_refused_natively(error):
                continue
            raise
        reason = response.choices[0].finish_reason if response.choices else None
        problem = form.problem([choice.message for choice in response.choices], reason)
        if problem is None:
            return form.tidied(response)
        rejected(shaped, response, problem)
        form.rejects(response.text, problem, reason)


async def stream_to_fit(
    form: Form,
    provider: Provider,
    request: ProviderRequest,
    gather: Callable[[Provider, ProviderRequest], Awaitable[list[StreamEvent]]],
    rejected: Callable[[ProviderRequest, Response, str], None],
) -> list[StreamEvent]:
    """All events of a stream whose words fit: it is held back until they do."""
    while True:
        shaped = form.shaped(request)
        try:
            events = await gather(provider, shaped)
        except BadRequest as error:
            if form.is_refused_natively(error):
                continue
            raise
        heard = heard_of(events, request.endpoint)
        reason = heard.choices[0].finish_reason if heard.choices else None
        messages = [choice.message for choice in heard.choices]
        problem = form.problem(messages, reason)
        fenced = [message for message in messages if _bare(message.text) != message.text]
        if problem is None and fenced and request.endpoint == "responses":
            problem = "it stands in a Markdown fence"  # its events tell the text again and again
        if problem is None:
            return _bared(events, request.endpoint) if fenced else events
        rejected(shaped, heard, problem)
        form.rejects(heard.text, problem, reason)


def heard_of(events: list[StreamEvent], endpoint: str) -> Response:
    """A stream's events as a whole answer, for its account; `raw` is none of any format."""
    raws = [event.raw for event in events if event.raw is not None]
    if endpoint == "messages":
        messages = [assemble_messages(raws)]
    elif endpoint == "responses":
        messages = [assemble_responses(raws)]
    else:
        messages = [decode_message(Raw(each)) for each in assemble(raws)]
    reason = next((event.finish_reason for event in reversed(events) if event.finish_reason), None)
    usages = [event for event in events if event.usage is not None]
    return Response(
        raw=b"",
        choices=tuple([Choice(message, reason) for message in messages]),
        model=next((event.model for event in events if event.model), None),
        usage=usages[-1].usage if usages else None,
        billed=usages[-1].billed if usages else None,
    )


def _bare(text: str) -> str:
    start, end = unfenced(text)
    return text[start:end]


def _bared(events: list[StreamEvent], endpoint: str) -> list[StreamEvent]:
    """The events without what stands around the JSON: they stay, and say less."""
    marks = MARKS.get(endpoint, of_chat)
    wholes: dict[Any, str] = {}
    chunks = [None if event.raw is None else _read(event.raw) for event in events]
    for chunk in chunks:
        for mark in _words(marks, chunk):
            wholes[mark.channel] = wholes.get(mark.channel, "") + mark.text
    spans = {channel: unfenced(whole) for channel, whole in wholes.items()}
    places = dict.fromkeys(wholes, 0)
    made: list[StreamEvent] = []
    for event, chunk in zip(events, chunks, strict=True):
        text, changed = event.text, False
        for mark in _words(marks, chunk):
            at, said = places[mark.channel], mark.text
            start, end = spans[mark.channel]
            kept = said[max(start - at, 0) : max(end - at, 0)]
            places[mark.channel] = at + len(said)
            if kept != said:
                mark.holder[mark.key] = kept
                changed, text = True, kept if text == said else text
        made.append(replace(event, raw=_encode(chunk), text=text) if changed else event)
    return made


def _words(marks: Any, chunk: dict[str, Any] | None) -> Iterator[Any]:
    for mark in marks(chunk) if chunk is not None else ():
        if not isinstance(mark, Ends) and mark.channel[-1] in WORDS:
            yield mark


def _read(raw: bytes) -> dict[str, Any] | None:
    try:
        return _decode(raw)
    except UNREADABLE:
        return None


async def retold(events: list[StreamEvent]) -> AsyncIterator[StreamEvent]:
    """The events, one after the other."""
    for event in events:
        yield event
