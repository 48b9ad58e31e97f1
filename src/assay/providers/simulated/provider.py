"""The `simulated` type of provider: the OpenAI provider, and for Anthropic's format the Anthropic provider, over a simulated
network."""

from collections.abc import AsyncGenerator

from assay.kit.clock import SYSTEM, Clock
from assay.providers.anthropic import AnthropicProvider
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated.behaviour import parse_script
from assay.providers.simulated.simulation import Simulation
from assay.providers.simulated.transport import SimulatedTransport
from assay.providers.types import ProviderConfig, ProviderRequest, Transport
from assay.wire.responses import Response, StreamEvent

BASE_URL = "http://simulated.invalid/v1"


class SimulatedProvider(OpenAIProvider):
    """Answers without a network. `simulation` is at hand for tests and demonstrations."""

    type = "simulated"

    def __init__(self, *, name: str, simulation: Simulation) -> None:
        transport, key = SimulatedTransport(simulation), simulation.script.api_key
        super().__init__(
            name=name, base_url=BASE_URL, api_key=key, transport=transport, clock=simulation.clock
        )
        self.simulation = simulation
        self._anthropic = AnthropicProvider(
            name=name, base_url=BASE_URL, api_key=key, transport=transport, clock=simulation.clock
        )

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "messages":
            return await self._anthropic.complete(request)
        return await super().complete(request)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`."""
        return self._anthropic.stream(request) if request.endpoint == "messages" else super().stream(request)

    async def count_tokens(self, request: ProviderRequest) -> int:
        """See `MessagesProvider.count_tokens`."""
        return await self._anthropic.count_tokens(request)


def build(
    config: ProviderConfig, transport: Transport | None = None, *, clock: Clock = SYSTEM
) -> SimulatedProvider:
    """Make one from a `[providers.<name>]` table: its options are the fields of `Script`, its `api_key` is the only key
    that the simulation lets in. The network is not used.

    Raises `BadRequest` naming the field that cannot be used.
    """
    options = {name: value for name, value in config.options.items() if name != "prices"}
    if config.api_key is not None:
        options["api_key"] = config.api_key
    return SimulatedProvider(name=config.name, simulation=Simulation(parse_script(options), clock=clock))
