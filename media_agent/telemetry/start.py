"""Sends telemetry from the command `media-agent`, where the usual variables say where to."""

import importlib.util
import logging
import re
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from media_agent.environment import value_of
from media_agent.errors import ConfigurationError
from media_agent.redact import redact

_WHERE = ("", "TRACES_", "METRICS_")
_OFF = "OTEL_SDK_DISABLED"
_HEADER = re.compile(
    r"""[ \t]*([-!#$%&'*+.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*[ !#-+\--:<-\[\]-~]*)?[ \t]*"""
)
"""What the SDK takes: of any other it would tell all of it."""
_USUAL_PATHS = ("/", "/v1/traces", "/v1/metrics")
_EXPORTERS = ("_common", "trace_exporter", "metric_exporter")
_LAST_SECONDS = 5.0  # that a command waits at its end for a collector
_LOGGER = logging.getLogger(__name__)


def start() -> Callable[[], None] | None:
    """Load the SDK and send to the address of OTEL_EXPORTER_OTLP_ENDPOINT; without one, do nothing.

    Returns what sends the rest at the end: a collector that is away is not waited for long.

    All other variables are the SDK's: headers, certificates, OTEL_SERVICE_NAME,
    OTEL_TRACES_SAMPLER, OTEL_METRIC_EXPORT_INTERVAL
    (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

    Raises:
        ConfigurationError: the SDK is not installed, or a variable says what cannot be.
    """
    variables = [f"OTEL_EXPORTER_OTLP_{which}ENDPOINT" for which in _WHERE]
    named = next((name for name in variables if value_of(name) is not None), None)
    if named is None or (value_of(_OFF) or "").lower() == "true":
        return None
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        raise ConfigurationError(
            f"{named} is set, but nothing can be sent there: OpenTelemetry's SDK is not installed",
            hint='pip install "media-agent-video[otel]", or unset the variable',
        )
    _check_variables()
    _hide_addresses()
    try:
        return _send()
    except ValueError as error:  # which the SDK raises, and it names the variable
        raise ConfigurationError(
            f"OpenTelemetry cannot be started: {' '.join(str(error).split())}",
            hint="correct or unset the variable, which begins with OTEL_",
        ) from error


def _check_variables() -> None:
    """Refuse what the SDK would only complain about later, and with the keys that it says."""
    for which in _WHERE:
        name = f"OTEL_EXPORTER_OTLP_{which}ENDPOINT"
        if not _is_address(value_of(name) or "http://absent"):
            raise ConfigurationError(
                f"{name} is no address", hint="write it like http://localhost:4318"
            )
        name = f"OTEL_EXPORTER_OTLP_{which}HEADERS"
        if not all(map(_HEADER.fullmatch, (value_of(name) or "").split(","))):
            raise ConfigurationError(
                f"{name} is no list of headers", hint="write it like name=value,name=value"
            )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _hide_addresses() -> None:
    """Keep what may be a key out of what the exporters say: all of an address but its host."""
    named = (value_of(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in _WHERE)
    parts = [urlsplit(text) for text in named if text is not None]
    hidden = {
        text.strip("/")
        for each in parts
        for text in (each.path, each.query, each.username, each.password)
        if text and text not in _USUAL_PATHS
    }

    def hide(record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage(), hidden), ()
        return True

    if hidden:
        for name in _EXPORTERS:
            logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{name}").addFilter(hide)


def _send() -> Callable[[], None]:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if value_of("OTEL_SERVICE_NAME") else {"service.name": "media-agent"}
    resource = Resource.create(named)
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    propagate.get_global_textmap()  # its variable is read by now
    return lambda: _end(tracers.shutdown, meters.shutdown)


def _end(*each: Callable[[], None]) -> None:
    """Send the rest, all at once, as far as that is soon done."""
    threads = [threading.Thread(target=shutdown, daemon=True) for shutdown in each]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _LAST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        _LOGGER.warning(
            "the collector of OTEL_EXPORTER_OTLP_ENDPOINT is away: "
            "the last spans or metrics are lost"
        )
