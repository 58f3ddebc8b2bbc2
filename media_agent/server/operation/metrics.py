"""What the server does, as numbers for Prometheus; no label has unbounded values."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from fastapi import Response

from media_agent.ledger.ledger import Ledger
from media_agent.negotiation.budget import begin_of_day
from media_agent.server.context import Server
from media_agent.server.operation.counts import BOUNDS, CallCounts
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.jobs import JobStatus

if TYPE_CHECKING:
    from prometheus_client import Metric

router = new_router("operation")
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(server: Server) -> Response:
    """Return requests, latencies, jobs and costs as Prometheus reads them; for administrators."""
    jobs, spent = await server.host.read(_read_ledger)
    facts = _Facts(jobs, spent, server.host.working, server.events.listeners)
    text = await asyncio.to_thread(_write, server.counts, facts)
    return Response(text, media_type=_CONTENT_TYPE)


class _Facts(NamedTuple):
    jobs: Mapping[tuple[JobStatus, str], int]
    spent: float
    working: int
    listeners: int


def _read_ledger(ledger: Ledger) -> tuple[Mapping[tuple[JobStatus, str], int], float]:
    return ledger.jobs.count(), ledger.submissions.spent(begin_of_day(datetime.now(UTC)))


def _write(counts: CallCounts, facts: _Facts) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Numbers(Collector):
        def collect(self) -> "Iterator[Metric]":
            yield from _collect_calls(counts)
            yield from _collect_facts(facts)

    registry = CollectorRegistry()
    registry.register(Numbers())
    return generate_latest(registry)


def _collect_calls(counts: CallCounts) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    labels = ["method", "route"]
    total = CounterMetricFamily(
        "media_agent_http_requests", "Requests, by route and status.", labels=[*labels, "status"]
    )
    for (call, status), count in sorted(counts.by_status.items()):
        total.add_metric([*call, str(status)], count)
    yield total
    seconds = HistogramMetricFamily(
        "media_agent_http_seconds", "Seconds until a reply begins.", labels=labels
    )
    for call, numbers in sorted(counts.buckets.items()):
        bounds = [*map(str, BOUNDS), "+Inf"]
        seconds.add_metric(
            [*call], list(zip(bounds, accumulate(numbers), strict=True)), counts.seconds[call]
        )
    yield seconds


def _collect_facts(facts: _Facts) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    jobs = GaugeMetricFamily(
        "media_agent_jobs", "Jobs of the data folder.", labels=["status", "backend"]
    )
    for (status, backend), count in sorted(facts.jobs.items()):
        jobs.add_metric([status.value, backend], count)
    yield jobs
    for name, said, value in (
        ("working_jobs", "Jobs that this process works on.", facts.working),
        ("event_listeners", "Clients that listen to events.", facts.listeners),
        ("spent_usd_day", "USD spent or held on this day (UTC).", facts.spent),
    ):
        yield GaugeMetricFamily(f"media_agent_{name}", said, value=value)
