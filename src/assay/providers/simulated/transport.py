"""The simulated provider as a `Transport`: no socket, no thread, and time from any clock."""

from collections.abc import AsyncGenerator, Mapping

from assay.providers.simulated.exchange import Exchange
from assay.providers.simulated.simulation import Simulation
from assay.providers.types import HttpRequest, HttpResponse, Timeouts


class SimulatedTransport:
    """Sends every request to a `Simulation` instead of the network, whatever host its URL names."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        """See `Transport.send`. Of the timeouts `total_s` holds here; the others are the caller's to keep."""
        exchange = self.simulation.handle(request)
        exchange.patience_s = timeouts.total_s
        await exchange.head()
        return _Response(exchange)

    async def aclose(self) -> None:
        """Nothing is open."""


class _Response:
    """The head is there; the body is played as it is read."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._body: AsyncGenerator[bytes, None] | None = None

    @property
    def status(self) -> int:
        return self._exchange.plan.status

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self._exchange.plan.headers)

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    def chunks(self) -> AsyncGenerator[bytes, None]:
        self._body = self._exchange.body()
        return self._body

    async def aclose(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            await body.aclose()
        self._exchange.close()
