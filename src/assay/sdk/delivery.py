"""One attempt at sending: what the server said, as what to do next."""

# What the first request would import, in its thread: a process that forks meanwhile would leave its child with half of it.
import encodings.idna  # noqa: F401
import gzip
import ssl
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from time import time
from typing import Any

import certifi  # noqa: F401
import httpcore  # noqa: F401
import httpx
import msgspec

from assay.kit import json
from assay.sdk import otlp
from assay.sdk.client import error_of
from assay.sdk.configuration import Configuration
from assay.sdk.recording import Ended

LONGEST_WAIT_S = 60.0
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class Next(Enum):
    """What becomes of what was sent."""

    DONE = auto()
    LATER = auto()
    """the server is away or busy: keep it and try again"""
    SMALLER = auto()
    """too much at once"""
    NEVER = auto()
    """it would be refused again"""


class Outcome(msgspec.Struct, frozen=True):
    """`rejected` of what was sent were not taken although the rest was."""

    next: Next
    why: str = ""
    rejected: int = 0
    wait_s: float | None = None


class Post:
    """The connection of the delivering thread."""

    def __init__(self, configuration: Configuration, resource: Callable[[], Mapping[str, Any]]) -> None:
        """`resource` is asked each time: it may become known later who sends."""
        self._configuration = configuration
        self._resource = resource
        self._http = httpx.Client(
            base_url=configuration.url, headers=configuration.authorization, timeout=configuration.timeout_s
        )

    def spans(self, spans: Sequence[Ended], timeout_s: float | None = None) -> Outcome:
        """`POST /v1/traces`."""
        body = gzip.compress(otlp.export_request(spans, self._resource()), compresslevel=1)
        headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
        return self._send("/v1/traces", body, headers, timeout_s)

    def score(self, scores: Sequence[Mapping[str, Any]], timeout_s: float | None = None) -> Outcome:
        """`POST /api/scores` with the one there is. Its id makes sending it twice harmless."""
        (score,) = scores
        return self._send("/api/scores", json.encode(score), {"content-type": "application/json"}, timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, path: str, body: bytes, headers: dict[str, str], timeout_s: float | None) -> Outcome:
        timeout = self._configuration.timeout_s if timeout_s is None else timeout_s
        try:
            response = self._http.post(path, content=body, headers=headers, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError) as error:
            return Outcome(
                Next.LATER, f"{self._configuration.url} cannot be reached: {error or type(error).__name__}"
            )
        return outcome_of(response)


def outcome_of(response: httpx.Response) -> Outcome:
    """What an answer means, by OTLP's rules for retrying."""
    status = response.status_code
    if response.is_success:
        if "protobuf" in response.headers.get("content-type", ""):
            rejected, why = otlp.rejected(response.content)
            return Outcome(Next.DONE, why, rejected)
        return Outcome(Next.DONE)
    why = f"HTTP {status}: {error_of(response).message}"
    if status in _LATER:
        return Outcome(Next.LATER, why, wait_s=_retry_after(response.headers.get("retry-after")))
    return Outcome(Next.SMALLER if status == 413 else Next.NEVER, why)


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else None
