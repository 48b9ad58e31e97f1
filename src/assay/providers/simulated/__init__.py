"""A model provider that is not there: seeded answers, latencies and faults, in OpenAI's and in Anthropic's wire format.

`Simulation` decides what happens to a request (pure, by a `Script`), `SimulatedTransport` plays it in process and
`assay.testing.SimulatedServer` over real HTTP. The same script and seed always give the same calls, so a test of a
fallback or a chart of a slow day can be repeated.
"""

from assay.providers.simulated.behaviour import (
    Behaviour,
    Change,
    LogNormal,
    Normal,
    Percentiles,
    Rule,
    Script,
    ToolUse,
    parse_script,
)
from assay.providers.simulated.exchange import Call
from assay.providers.simulated.provider import SimulatedProvider, build
from assay.providers.simulated.simulation import Simulation
from assay.providers.simulated.transport import SimulatedTransport

__all__ = [
    "Behaviour",
    "Call",
    "Change",
    "LogNormal",
    "Normal",
    "Percentiles",
    "Rule",
    "Script",
    "SimulatedProvider",
    "SimulatedTransport",
    "Simulation",
    "ToolUse",
    "build",
    "parse_script",
]
