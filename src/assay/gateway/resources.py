"""Paths below `/v1` that name a thing: `/v1/responses/{response_id}` and what may be done with it."""

import re
from collections.abc import Awaitable, Callable, Mapping

from assay.access import Principal
from assay.errors import MethodNotAllowed
from assay.gateway.exchange import Exchange

Endpoint = Callable[[Exchange, Principal], Awaitable[None]]
Paths = Mapping[str, Mapping[str, Endpoint]]
"""Path with `{names}` → method → what answers it."""


class Resources:
    """A few paths, looked through one after the other: none of them is on the hot path."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._patterns = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), methods)
            for path, methods in paths.items()
        ]

    def find(self, exchange: Exchange) -> Endpoint | None:
        """What answers an exchange. Raises `MethodNotAllowed` where the path is known and the method is not."""
        for pattern, methods in self._patterns:
            if pattern.fullmatch(exchange.path):
                if (endpoint := methods.get(exchange.method)) is not None:
                    return endpoint
                allowed = ", ".join(methods)
                exchange.out.append((b"allow", allowed.encode()))
                raise MethodNotAllowed(f"{exchange.path} takes {allowed}, not {exchange.method}")
        return None
