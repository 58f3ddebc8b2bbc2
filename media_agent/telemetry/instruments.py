"""The tracer and the instruments of this process; there once an SDK of OpenTelemetry is loaded.

The API alone exports nothing, and importing it would slow down each start. So whoever wants to see
something loads the SDK first: `start` does it for the command, other programs do it themselves.
"""

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from media_agent.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

_SECONDS = (
    0.01,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    900.0,
    3600.0,
)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What spans and numbers are made with."""

    tracer: "Tracer"
    seconds: "dict[str, Histogram]"
    """By name."""
    frames: "Counter"
    usd: "Counter"


def instruments() -> Instruments | None:
    """Return the instruments; None where nobody listens."""
    return _own() if "opentelemetry.sdk" in sys.modules else None


@cache
def _own() -> Instruments:
    return build_instruments()


def build_instruments(
    tracers: "TracerProvider | None" = None, meters: "MeterProvider | None" = None
) -> Instruments:
    """Return instruments of these providers; by default, of those that the process has set."""
    from opentelemetry import metrics, trace

    meter = metrics.get_meter(names.SCOPE, meter_provider=meters)
    seconds = {
        name: meter.create_histogram(
            name, unit="s", description=said, explicit_bucket_boundaries_advisory=_SECONDS
        )
        for name, said in {
            names.JOB_DURATION: "From when a job is accepted until it has ended.",
            names.QUEUE_DURATION: "From when a job is accepted until work on it begins.",
            names.GENERATE_DURATION: "From when work begins until its backend has ended it.",
            names.CHUNK_DURATION: "From the chunk before, or the beginning, until one is there.",
            names.PHASE_DURATION: "What a backend says that a phase took, such as denoise.",
            names.DELIVER_DURATION: "Until the video is in its place, with its record.",
            names.CALL_DURATION: "Until the head of an answer to a request of ours.",
        }.items()
    }
    return Instruments(
        tracer=trace.get_tracer(names.SCOPE, tracer_provider=tracers),
        seconds=seconds,
        frames=meter.create_counter(names.FRAMES, unit="{frame}", description="Frames delivered."),
        usd=meter.create_counter(names.COST, unit="USD", description="As billed, or as planned."),
    )
