"""What is told to OpenTelemetry, kept in memory."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from media_agent.telemetry import instruments


class Told:
    """Spans and metrics that were told."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    def points(self) -> dict[str, list[tuple[dict[str, object], float]]]:
        """Return by metric the attributes and the sum of each point."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return {
            metric.name: [
                (dict(point.attributes or {}), getattr(point, "sum", getattr(point, "value", 0.0)))
                for point in metric.data.data_points
            ]
            for metric in metrics
        }

    def as_text(self) -> str:
        return f"{[span.to_json() for span in self._spans.get_finished_spans()]}{self.points()}"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    found = Told()
    built = instruments.build_instruments(found.tracers, found.meters)
    monkeypatch.setattr(instruments, "_own", lambda: built)
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()
