"""For authors of backends and their tests: simulators of providers, and what was made."""

from media_agent.testing.conformance.observe import events_of, frames_of
from media_agent.testing.simulator.base import SimulatedJob, Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call, Route
from media_agent.testing.simulator.videos import Video

__all__ = [
    "Answer",
    "Call",
    "Fault",
    "Route",
    "SimulatedJob",
    "Simulator",
    "Video",
    "events_of",
    "frames_of",
]
