"""Foreign spans."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.wire.spans import OtelSpan

START_NS = 1_760_000_000_000_000_000


@pytest.fixture
def sent() -> Callable[..., OtelSpan]:
    """A foreign span with these attributes; `fields` are its other fields."""

    def make(attributes: dict[str, Any] | None = None, **fields: Any) -> OtelSpan:
        given: dict[str, Any] = {
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "b7ad6b7169203331",
            "project": "default",
            "name": "chat gpt-4o",
            "start_ns": START_NS,
            "end_ns": START_NS + 10**9,
            "attributes": attributes or {},
        }
        return OtelSpan(**given | fields)

    return make
