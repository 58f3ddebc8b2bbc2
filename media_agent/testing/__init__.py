"""For authors of backends and their tests: simulators of providers, and what was made."""

from media_agent.testing.faults import Fault
from media_agent.testing.films import Film
from media_agent.testing.observing import events_of, frames_of
from media_agent.testing.server import Answer, Call
from media_agent.testing.simulator import Route, SimulatedJob, Simulator

__all__ = [
    "Answer",
    "Call",
    "Fault",
    "Film",
    "Route",
    "SimulatedJob",
    "Simulator",
    "events_of",
    "frames_of",
]
