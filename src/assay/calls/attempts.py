"""One attempt at one upstream: a whole answer, a stream up to its first output, or either of them until its words fit a schema."""

import asyncio
from collections.abc import AsyncIterator

from assay.calls.ledger import Ledger
from assay.calls.structured import complete_to_fit, retold, stream_to_fit
from assay.calls.watch import IdleWatch
from assay.errors import UpstreamTimeout
from assay.providers.types import Provider, ProviderRequest
from assay.wire.responses import Response, StreamEvent

MAX_EARLY_EVENTS = 64
"""Events held back before the first output (role, metadata). An upstream that sends more is taken to have begun."""

Opened = tuple[AsyncIterator[StreamEvent], list[StreamEvent]]


async def complete_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> Response:
    """The whole answer, within its total time."""
    try:
        with IdleWatch(request.timeouts.total_s):
            return await provider.complete(request)
    except TimeoutError as error:
        raise late(provider.name, "the whole answer", request.timeouts.total_s) from error


async def open_stream_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> Opened:
    """Read up to the first output. The events before it go out with it."""
    iterator = aiter(provider.stream(request))
    early: list[StreamEvent] = []
    try:
        async with asyncio.timeout(request.timeouts.first_token_s):
            async for event in iterator:
                early.append(event)
                if event.is_output or len(early) >= MAX_EARLY_EVENTS:
                    break
    except TimeoutError as error:
        await close(iterator)
        raise late(provider.name, "the first token", request.timeouts.first_token_s) from error
    except BaseException:
        await close(iterator)
        raise
    return iterator, early


async def complete_to_fit_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> Response:
    """A whole answer that fits the form of the call."""
    assert ledger.form is not None
    assert ledger.target is not None
    ledger.form.goes_to(ledger.target.route)

    async def ask(at: Provider, shaped: ProviderRequest) -> Response:
        return await complete_at(at, shaped, ledger)

    return await complete_to_fit(ledger.form, provider, request, ask, ledger.rejected)


async def stream_to_fit_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> Opened:
    """The whole stream, held back until its words fit; another may still answer until then."""
    assert ledger.form is not None
    assert ledger.target is not None
    ledger.form.goes_to(ledger.target.route)

    async def gather(at: Provider, shaped: ProviderRequest) -> list[StreamEvent]:
        iterator, events = await open_stream_at(at, shaped, ledger)
        try:
            async with asyncio.timeout(shaped.timeouts.total_s):
                with IdleWatch(shaped.timeouts.idle_s) as watch:
                    async for event in iterator:
                        events.append(event)
                        watch.touch()
        except TimeoutError as error:
            raise late(at.name, "the rest", shaped.timeouts.idle_s) from error
        finally:
            await close(iterator)
        return events

    events = await stream_to_fit(ledger.form, provider, request, gather, ledger.rejected)
    return retold(events), []


async def close(iterator: AsyncIterator[StreamEvent]) -> None:
    """Stop the upstream now rather than when the garbage collector finds the generator."""
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()


def late(name: str, what: str, limit_s: float) -> UpstreamTimeout:
    """What did not come in time, and for how long it was waited for."""
    return UpstreamTimeout(
        f"{name} did not send {what} within {limit_s:g} s",
        hint="Raise the model's `timeout` or add a fallback.",
    )
