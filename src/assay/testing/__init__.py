"""What tests of an application need, shipped with it: a clock that stands still and a provider that is not there.

`FakeClock` goes wherever a `Clock` is asked for. `SimulatedServer` is a real HTTP server that speaks OpenAI's and
Anthropic's wire formats and behaves as a `Script` says: latencies, faults, quality that changes. `python -m assay.testing` runs one.
"""

from assay.providers.simulated import Change, Rule, Script, Simulation, ToolUse
from assay.testing.clock import FakeClock
from assay.testing.server import SimulatedServer

__all__ = ["Change", "FakeClock", "Rule", "Script", "SimulatedServer", "Simulation", "ToolUse"]
