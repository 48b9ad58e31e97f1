"""The `simulated` type of provider: the OpenAI provider over a simulated network."""

from assay.kit.clock import SYSTEM, Clock
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated.behaviour import parse_script
from assay.providers.simulated.simulation import Simulation
from assay.providers.simulated.transport import SimulatedTransport
from assay.providers.types import ProviderConfig

BASE_URL = "http://simulated.invalid/v1"


class SimulatedProvider(OpenAIProvider):
    """Answers without a network. `simulation` is at hand for tests and demonstrations."""

    type = "simulated"

    def __init__(self, *, name: str, simulation: Simulation) -> None:
        super().__init__(
            name=name,
            base_url=BASE_URL,
            api_key=simulation.script.api_key,
            transport=SimulatedTransport(simulation),
            clock=simulation.clock,
        )
        self.simulation = simulation


def build(config: ProviderConfig, *, clock: Clock = SYSTEM) -> SimulatedProvider:
    """Make one from a `[providers.<name>]` table; its options are the fields of `Script`.

    Raises `BadRequest` naming the field that cannot be used.
    """
    return SimulatedProvider(
        name=config.name, simulation=Simulation(parse_script(config.options), clock=clock)
    )
