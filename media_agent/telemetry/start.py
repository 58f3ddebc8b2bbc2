"""Sends telemetry from the command `media-agent`, where the usual variables say where to."""

import atexit
import importlib.util

from media_agent.environment import value_of
from media_agent.errors import ConfigurationError

_WHERE = ("", "TRACES_", "METRICS_")
_OFF = "OTEL_SDK_DISABLED"


def start() -> None:
    """Load the SDK and send to the address of OTEL_EXPORTER_OTLP_ENDPOINT; without one, do nothing.

    All other variables are the SDK's: headers, certificates, OTEL_SERVICE_NAME,
    OTEL_TRACES_SAMPLER, OTEL_METRIC_EXPORT_INTERVAL
    (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

    Raises:
        ConfigurationError: the SDK is not installed.
    """
    variables = [f"OTEL_EXPORTER_OTLP_{which}ENDPOINT" for which in _WHERE]
    named = next((name for name in variables if value_of(name) is not None), None)
    if named is None or (value_of(_OFF) or "").lower() == "true":
        return
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        raise ConfigurationError(
            f"{named} is set, but nothing can be sent there: OpenTelemetry's SDK is not installed",
            hint='pip install "media-agent-video[otel]", or unset the variable',
        )
    _send()


def _send() -> None:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if value_of("OTEL_SERVICE_NAME") else {"service.name": "media-agent"}
    resource = Resource.create(named)
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    atexit.register(tracers.shutdown)
    atexit.register(meters.shutdown)
