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
    """Make one from a `[providers.<name>]` table: its options are the fields of `Script`, its `api_key` is the only key
    that the simulation lets in.

    Raises `BadRequest` naming the field that cannot be used.
    """
    options = {name: value for name, value in config.options.items() if name != "prices"}
    if config.api_key is not None:
        options["api_key"] = config.api_key
    return SimulatedProvider(name=config.name, simulation=Simulation(parse_script(options), clock=clock))
