"""The account of one call while it runs, and the spans that it becomes."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec import Raw

from assay.calls.cache import Lookup
from assay.calls.cached_answers import whole_of
from assay.calls.estimate import estimated_usage
from assay.calls.guard_watch import Watch
from assay.calls.health import Condition
from assay.calls.limiter import Reservation
from assay.calls.plan import Target
from assay.calls.structured import Form
from assay.calls.types import Call
from assay.catalog.prices import PriceBook, cost
from assay.errors import AssayError, GuardBlocked, InvalidOutput, UpstreamCut, UpstreamRefused
from assay.kit import ids
from assay.kit.clock import Clock
from assay.kit.money import NOTHING
from assay.providers.types import ProviderRequest
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.openai_chat import encode_message
from assay.wire.openai_stream import assemble
from assay.wire.requests import ChatRequest, CompletionRequest, MessagesRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.responses_api import ResponsesRequest
from assay.wire.responses_api_answers import assemble_responses
from assay.wire.spans import Event, Span, SpanKind, SpanStatus
from assay.wire.usage import Usage, UsageSource

_encode = msgspec.json.Encoder().encode
_decode_tools = msgspec.json.Decoder(list[Raw]).decode
_NULL = Raw(b"null")
_ELSEWHERE = frozenset({"model", "messages", "prompt", "input", "tools", "assay"})
_OPERATIONS = {
    "chat": "chat",
    "completions": "text_completion",
    "messages": "chat",
    "responses": "chat",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "moderations": "moderation",
}
"""Endpoint → OpenTelemetry's name of what is done."""


class Ledger:
    """Collects what happens to one call. Not thread-safe: it lives in the call's task."""

    kind: ClassVar[SpanKind] = SpanKind.MODEL

    __slots__ = (
        "_attempt_ns",
        "_clock",
        "_failed",
        "_keep_content",
        "_prices",
        "_spent",
        "_waiting_since",
        "attempts",
        "billed",
        "call",
        "chunks",
        "condition",
        "finish_reason",
        "first_output_ns",
        "form",
        "lookup",
        "malformed",
        "model",
        "reservation",
        "response",
        "span",
        "span_id",
        "start_ns",
        "target",
        "trace_id",
        "upstream_ns",
        "usage",
        "watch",
    )

    def __init__(self, call: Call, clock: Clock, prices: PriceBook, *, keep_content: bool) -> None:
        self.call = call
        self.trace_id = call.context.trace_id or ids.uuid7_hex()
        self.span_id = ids.span_id()
        self.start_ns = clock.now_ns()
        self.attempts = 0
        self.target: Target | None = None
        self.condition: Condition | None = None
        self.reservation: Reservation | None = None
        self.watch: Watch | None = None
        self.form: Form | None = None
        self.lookup: Lookup | None = None
        self.upstream_ns = 0
        self.first_output_ns: int | None = None
        self.response: Response | None = None
        self.usage: Usage | None = None
        self.billed: Usage | None = None
        self.model: str | None = None
        self.finish_reason: str | None = None
        self.malformed = 0
        self.chunks: list[bytes] = []
        self.span: Span | None = None
        self._clock = clock
        self._prices = prices
        self._keep_content = keep_content
        self._failed: list[Event] = []
        self._spent: list[tuple[Usage, Decimal | None]] = []
        self._waiting_since = 0
        self._attempt_ns = 0

    def wait_begins(self) -> None:
        """From here the upstream is waited for: this time is not Assay's overhead."""
        self._waiting_since = time.perf_counter_ns()

    def wait_ends(self) -> float:
        """The upstream has spoken; returns the seconds that it was waited for this time."""
        waited_ns = time.perf_counter_ns() - self._waiting_since
        self.upstream_ns += waited_ns
        return waited_ns / 1e9

    def attempt_begins(self, target: Target) -> int:
        """Count an attempt; returns when it began."""
        self.target = target
        self.attempts += 1
        self._attempt_ns = self._clock.now_ns()
        return self._attempt_ns

    def attempt_failed(self, began_ns: int, error: AssayError) -> None:
        """Keep a failed attempt as a child span. A call that works at once has none: its own span says it all."""
        assert self.target is not None
        self._failed.append(
            Span(
                trace_id=self.trace_id,
                span_id=ids.span_id(),
                parent_id=self.span_id,
                project=self.call.context.project,
                environment=self.call.context.environment,
                name=f"attempt {self.attempts} {self.target.route.provider}",
                kind=SpanKind.ATTEMPT,
                start_ns=began_ns,
                end_ns=self._clock.now_ns(),
                status=SpanStatus.ERROR,
                error_type=error.type,
                error_message=error.message,
                provider=self.target.route.provider,
                model=self.target.model.name,
                upstream_model=self.target.route.model,
                attributes={"http.response.status_code": error.status}
                if isinstance(error, UpstreamRefused)
                else {},
            )
        )

    def rejected(self, request: ProviderRequest, response: Response, problem: str) -> None:
        """An answer came that does not fit its schema: keep it as an attempt, to be paid for with the others."""
        assert self.target is not None
        sent = request.request
        assert isinstance(sent, ChatRequest), "only answers to chats are validated"
        said = tuple([bytes(encode_message(choice.message)) for choice in response.choices])
        usage = response.usage or estimated_usage(tuple(encode_message(each) for each in sent.messages), said)
        price = self._prices.find(self.target, response.model)
        amount = None if price is None else cost(response.billed or usage, price)
        self._spent.append((usage, amount))
        masked = said if self.watch is None else tuple([self.watch.masked(each) for each in said])
        now_ns = self._clock.now_ns()
        self._failed.append(
            Span(
                trace_id=self.trace_id,
                span_id=ids.span_id(),
                parent_id=self.span_id,
                project=self.call.context.project,
                environment=self.call.context.environment,
                name=f"attempt {self.attempts} {self.target.route.provider}",
                kind=SpanKind.ATTEMPT,
                start_ns=self._attempt_ns,
                end_ns=now_ns,
                status=SpanStatus.ERROR,
                error_type="invalid_output",
                error_message=problem,
                provider=self.target.route.provider,
                model=self.target.model.name,
                upstream_model=self.target.route.model,
                response_model=response.model,
                finish_reason=response.choices[0].finish_reason if response.choices else None,
                output=masked if self._keep_content else (),
                attributes={
                    "gen_ai.usage.input_tokens": usage.total_input,
                    "gen_ai.usage.output_tokens": usage.total_output,
                    **({} if amount is None else {"assay.attempt.cost_usd": str(amount)}),
                },
            )
        )
        self.attempts += 1
        self._attempt_ns = now_ns

    async def admit(self) -> None:
        """Let the guards look at what is asked. Raises `GuardBlocked`."""
        if self.watch is not None:
            self.call = await self.watch.admit()
            if self.watch.blocked is not None:
                raise self.watch.blocked

    def guarded(self, response: Response) -> Response:
        """The answer as the guards let it out. Raises `GuardBlocked`; the answer counts all the same."""
        if self.watch is None:
            return response
        seen = self.watch.answer(response)
        if self.watch.blocked is not None:
            self.answered(seen)
            raise self.watch.blocked
        return seen

    def answered(self, response: Response) -> None:
        """A whole answer came."""
        self.response = response
        self.usage = response.usage
        self.billed = response.billed
        self.model = response.model
        self.finish_reason = response.choices[0].finish_reason if response.choices else None

    def heard(self, event: StreamEvent) -> None:
        """One event of a stream came."""
        if event.is_output and self.first_output_ns is None:
            self.first_output_ns = self._clock.now_ns()
        if event.usage is not None:
            self.usage = event.usage
            self.billed = event.billed
        if event.finish_reason is not None:
            self.finish_reason = event.finish_reason
        if event.malformed:
            self.malformed += 1
        elif event.raw is not None:
            self.chunks.append(event.raw)
            if self.model is None:
                self.model = event.model

    def settle(self, error: AssayError | None = None, *, cancelled: bool = False) -> list[Event]:
        """The call has ended, this way or another: its spans. The call's own span is `self.span`."""
        context, request, target = self.call.context, self.call.request, self.target
        output = self._output()
        if self.watch is not None and self.chunks and not self.watch.holds:
            self.watch.saw(output)
        usage = self.usage
        if usage is None or usage.output_source is UsageSource.ESTIMATE:
            usage = self._estimate(output, usage) if self.attempts else None
        amount, price_id = self._price(self.billed or usage)
        if self._spent:
            usage, amount = self._with_spent(usage, amount)
        if self.lookup is not None and self.lookup.found is not None:
            usage, amount, price_id = None, NOTHING, None  # no upstream did anything
        self.span = Span(
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_id=context.parent_id,
            project=context.project,
            environment=context.environment,
            name=f"{_OPERATIONS[self.call.endpoint]} {request.model}",
            kind=self.kind,
            start_ns=self.start_ns,
            end_ns=self._clock.now_ns(),
            status=_status(error, cancelled),
            error_type=error.type if error else None,
            error_message=error.message if error else None,
            provider=target.route.provider if target else None,
            model=request.model,
            upstream_model=target.route.model if target else None,
            response_model=self.model,
            endpoint=self.call.endpoint,
            streamed=request.stream,
            first_output_ns=self.first_output_ns,
            finish_reason=self.finish_reason,
            attempts=self.attempts - isinstance(error, InvalidOutput),  # the one that would come is not made
            cache=None if self.lookup is None else self.lookup.outcome.state,
            usage=usage,
            cost_usd=amount,
            price_id=price_id,
            key_id=context.key_id,
            user_id=context.user,
            session_id=context.session,
            task=context.task,
            variant=context.variant,
            release_id=context.release_id,
            run_id=context.run_id,
            case_id=context.case_id,
            tags=context.tags,
            input=self._input() if self._keep_content else (),
            output=output if self._keep_content else (),
            tools=self._tools() if self._keep_content else (),
            request=self._rest(),
            attributes=self._attributes(context.attributes),
        )
        if self.lookup is not None and self.span.status is SpanStatus.OK:
            self.lookup.keep(self.span, self._whole())
        self.release()
        marks = () if self.watch is None else self.watch.scores(self.span.end_ns)
        return [*self._failed, *marks, self.span]

    def release(self) -> None:
        """Give back what was reserved and not used; once, however often it is said."""
        if self.reservation is not None:
            self.reservation.settle(self.span)

    def _with_spent(self, usage: Usage | None, amount: Decimal | None) -> tuple[Usage | None, Decimal | None]:
        """What all attempts took. An unknown cost of one makes the whole unknown."""
        all_of_them = self._spent if usage is None else [*self._spent, (usage, amount)]
        counts = [each for each, _ in all_of_them]
        amounts = [each for _, each in all_of_them if each is not None]
        whole = counts[0]
        for each in counts[1:]:
            whole += each
        return whole, sum(amounts, Decimal(0)) if len(amounts) == len(all_of_them) else None

    def _price(self, usage: Usage | None) -> tuple[Decimal | None, str | None]:
        if usage is None or self.target is None:
            return None, None
        price = self._prices.find(self.target, self.model)
        return (None, None) if price is None else (cost(usage, price), price.id)

    def _estimate(self, output: tuple[bytes, ...], counted: Usage | None) -> Usage | None:
        """The provider did not count, or only what went in: a cut, a client that left, or a server that never says."""
        if self.response is None and not self.chunks:
            return counted
        guessed = estimated_usage(self._input(), output)
        return guessed if counted is None else msgspec.structs.replace(counted, output=guessed.output)

    def _input(self) -> tuple[bytes, ...]:
        request = self.call.request
        if isinstance(request, ChatRequest):
            return tuple([bytes(encode_message(message)) for message in request.messages])
        return (_encode(request.prompt),) if isinstance(request, CompletionRequest) else ()

    def _output(self) -> tuple[bytes, ...]:
        if self.response is not None:
            return tuple([bytes(encode_message(choice.message)) for choice in self.response.choices])
        if self.call.endpoint == "messages" and self.chunks:
            return (bytes(encode_message(assemble_messages(self.chunks))),)
        if self.call.endpoint == "responses" and self.chunks:
            return (bytes(encode_message(assemble_responses(self.chunks))),)
        return tuple(assemble(self.chunks))

    def _whole(self) -> bytes | None:
        """The answer's JSON, also of one that came as a stream."""
        if self.response is not None:
            return self.response.raw
        return None if self.malformed else whole_of(self.call.endpoint, self.chunks, self.usage)

    def _tools(self) -> tuple[bytes, ...]:
        raw = self.call.request.fields.get("tools")
        if raw is None or raw == _NULL:
            return ()
        return tuple([bytes(tool) for tool in _decode_tools(raw)])

    def _rest(self) -> bytes | None:
        rest = {name: raw for name, raw in self.call.request.fields.items() if name not in _ELSEWHERE}
        if isinstance(self.call.request, MessagesRequest):
            rest.pop("system", None)  # it is the first of the messages
        if isinstance(self.call.request, ResponsesRequest):
            rest.pop("instructions", None)  # likewise
        return _encode(rest) if rest else None

    def _attributes(self, given: Mapping[str, object]) -> dict[str, object]:
        made = dict(given)
        if self.watch is not None:
            made |= self.watch.attributes()
        if self.lookup is not None:
            made |= self.lookup.attributes(with_content=self._keep_content)
        if self.malformed:
            made["assay.stream.malformed_events"] = self.malformed
        if self.billed is not None:
            made["assay.billed.input_tokens"] = self.billed.total_input
            made["assay.billed.output_tokens"] = self.billed.total_output
        return made


def _status(error: AssayError | None, cancelled: bool) -> SpanStatus:
    if cancelled:
        return SpanStatus.CANCELLED
    if error is None:
        return SpanStatus.OK
    if isinstance(error, GuardBlocked):
        return SpanStatus.BLOCKED
    return SpanStatus.CUT if isinstance(error, UpstreamCut) else SpanStatus.ERROR
