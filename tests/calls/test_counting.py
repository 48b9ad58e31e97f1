"""How many tokens a request would take in: by its vendor, else estimated and said to be."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from assay.calls.counting import TOKENS_PER_IMAGE, TokenCount, count_at, estimated_input
from assay.errors import Upstream, UpstreamRefused
from assay.providers.types import ProviderRequest, Timeouts
from assay.wire.anthropic import decode_counted
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import UsageSource

NOT_THERE = b'{"type":"error","error":{"type":"not_found_error","message":"model: m"}}'


class Vendor:
    """Counts, or fails as it is told."""

    name = type = "vendor"

    def __init__(self, says: int | Upstream) -> None:
        self._says = says

    async def complete(self, request: ProviderRequest) -> Response:
        raise NotImplementedError

    def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        raise NotImplementedError

    async def count_tokens(self, request: ProviderRequest) -> int:
        if isinstance(self._says, Upstream):
            raise self._says
        return self._says

    async def aclose(self) -> None:
        return


def request(**more: Any) -> ProviderRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}], **more}
    return ProviderRequest("messages", decode_counted(json.dumps(body).encode()), "m", Timeouts())


def count(says: int | Upstream) -> TokenCount:
    nobody: Any = None
    return asyncio.run(count_at(Vendor(says), request(), nobody))


def refused(status: int, body: bytes) -> UpstreamRefused:
    return UpstreamRefused("no", status=status, body=body)


def test_the_vendors_count_is_the_vendors() -> None:
    assert count(7) == TokenCount(7, UsageSource.PROVIDER)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_does_not_count_has_it_estimated(status: int) -> None:
    counted = count(refused(status, b"<html>not here</html>"))
    assert counted.source is UsageSource.ESTIMATE
    assert 100 <= counted.input_tokens <= 120


@pytest.mark.parametrize("error", [refused(404, NOT_THERE), refused(529, b""), Upstream("down")])
def test_any_other_refusal_is_one(error: Upstream) -> None:
    with pytest.raises(type(error)):
        count(error)


class Another:
    """A vendor of another format, which counts some models."""

    name = type = "another"
    complete = Vendor.complete
    stream = Vendor.stream
    aclose = Vendor.aclose

    async def count_chat(self, request: ProviderRequest) -> int | None:
        return None if request.model == "m" else 7


def test_a_vendor_of_another_format_counts_or_says_that_it_does_not() -> None:
    nobody: Any = None
    uncounted = asyncio.run(count_at(Another(), request(), nobody))
    assert uncounted.source is UsageSource.ESTIMATE
    counted = asyncio.run(count_at(Another(), msgspec.structs.replace(request(), model="n"), nobody))
    assert counted == TokenCount(7, UsageSource.PROVIDER)


def test_an_estimate_takes_tools_into_account_and_pictures_by_the_piece() -> None:
    def tokens(**more: Any) -> int:
        return estimated_input(request(**more).request)  # type: ignore[arg-type]

    plain = tokens()
    assert tokens(tools=[{"name": "f", "input_schema": {"type": "object"}}]) > plain
    assert tokens(system="y" * 400) >= plain + 100
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 10**6}}
    seen = tokens(messages=[{"role": "user", "content": [picture, picture]}])
    assert 2 * TOKENS_PER_IMAGE <= seen <= 2 * TOKENS_PER_IMAGE + 50
