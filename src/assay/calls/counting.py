"""How many tokens a request would take in, without making it."""

import msgspec
from msgspec import Raw

from assay.calls.estimate import BYTES_PER_TOKEN
from assay.calls.ledger import Ledger
from assay.calls.watch import IdleWatch
from assay.errors import UpstreamRefused, UpstreamTimeout
from assay.providers.types import CountingProvider, MessagesProvider, Provider, ProviderRequest
from assay.wire.anthropic_answers import decode_error
from assay.wire.messages import ImagePart, Message
from assay.wire.openai_chat import encode_message
from assay.wire.requests import ChatRequest
from assay.wire.usage import UsageSource

TOKENS_PER_IMAGE = 1_500
"""Vendors count a picture by its size in pixels, most of them between 85 and 1,600 tokens; its bytes say nothing."""


_NOT_SERVED = (404, 405, 501)


class TokenCount(msgspec.Struct, frozen=True):
    """And who counted them."""

    input_tokens: int
    source: UsageSource


async def count_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> TokenCount:
    """One attempt: the vendor's own count where it has one, else an estimate of the messages and tools by their bytes."""
    counted: int | None = None
    try:
        with IdleWatch(request.timeouts.total_s):
            if isinstance(provider, MessagesProvider):
                counted = await provider.count_tokens(request)
            elif isinstance(provider, CountingProvider):
                counted = await provider.count_chat(request)
    except UpstreamRefused as error:
        # Many servers of the format do not count; Anthropic's own 404 is about the model and has its shape.
        if error.status not in _NOT_SERVED or decode_error(error.body) is not None:
            raise
    except TimeoutError as error:
        raise UpstreamTimeout(
            f"{provider.name} did not count within {request.timeouts.total_s:g} s",
            hint="Raise the model's `timeout`.",
        ) from error
    if counted is None:
        return TokenCount(_estimated(request), UsageSource.ESTIMATE)
    return TokenCount(counted, UsageSource.PROVIDER)


def _estimated(request: ProviderRequest) -> int:
    assert isinstance(request.request, ChatRequest), "only messages are counted"
    return estimated_input(request.request)


def estimated_input(request: ChatRequest) -> int:
    """Tokens of messages and tools, at `BYTES_PER_TOKEN` and `TOKENS_PER_IMAGE`."""
    size = len(bytes(request.fields.get("tools", Raw(b""))))
    images = 0
    for message in request.messages:
        images += sum(isinstance(part, ImagePart) for part in message.parts)
        size += len(bytes(encode_message(_without_images(message))))
    return -(-size // BYTES_PER_TOKEN) + images * TOKENS_PER_IMAGE


def _without_images(message: Message) -> Message:
    words = tuple([part for part in message.parts if not isinstance(part, ImagePart)])
    return (
        message
        if len(words) == len(message.parts)
        else msgspec.structs.replace(message, parts=words, raw=None)
    )
