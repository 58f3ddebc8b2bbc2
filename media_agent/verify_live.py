"""Runs the smallest real job of a backend and says which verification level that proves.

The report is meant to be shared: it has no key, no query of an address, no id of an account. What
was asked is our own test prompt.
"""

import contextlib
import json
import logging
import math
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import Field

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError
from media_agent.negotiation.smallest import smallest_request
from media_agent.provenance.record import read_record
from media_agent.storage.addresses import is_loopback
from media_agent_schemas.base import Document, Schema
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import Cost, JobEvent
from media_agent_schemas.facts import Verification
from media_agent_schemas.facts import VerificationLevel as Level
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import VideoMetadata
from media_agent_schemas.plan import Adjustment
from media_agent_schemas.request import Budget

_AN_ID = re.compile(r"[0-9a-fA-F-]{12,}|(?=[^/]*\d)[A-Za-z0-9_-]{20,}|\d+")
_UNREAL = (Level.SIMULATOR, Level.TINY_WEIGHTS)
_PATIENCE = 2.0  # seconds for a simulator to say that it is one


class Exchange(Schema):
    """One request and what came back, without anything that is nobody's business."""

    at: float = Field(ge=0, description="Seconds after the start.")
    method: str = Field(description="Such as POST.")
    address: str = Field(description="Host and path; ids are shown as {id}.")
    status: int = Field(description="HTTP status of the reply.")


class VerificationReport(Document):
    """What one real job showed."""

    backend: str = Field(description="Who was tried.")
    model: str = Field(description="With which model.")
    proves: Verification | None = Field(description="The level reached; null: nothing is proven.")
    declared: Verification = Field(description="What the backend says of itself.")
    status: JobStatus = Field(description="How the job ended.")
    software: dict[str, str] = Field(default={}, description="Versions of what ran.")
    asked: dict[str, str] = Field(default={}, description="What was sent, in short.")
    adjusted: tuple[Adjustment, ...] = Field(default=(), description="What was changed beforehand.")
    exchanges: tuple[Exchange, ...] = Field(
        default=(), description="What went over the wire, in order."
    )
    events: dict[str, float] = Field(
        default={}, description="First time of each event, in seconds."
    )
    seconds: float = Field(ge=0, description="From the request to the finished file.")
    video: VideoMetadata | None = Field(
        default=None, description="Probed from the file; null: none came."
    )
    video_sha256: str | None = Field(default=None, description="Digest of the file.")
    estimated_usd: float | None = Field(default=None, description="The price that was expected.")
    cost: Cost = Field(
        default=Cost(), description="What it cost; its source says whether that was billed."
    )
    warnings: tuple[str, ...] = Field(default=(), description="What else was noticed.")
    error: ErrorInfo | None = Field(default=None, description="Why it did not complete.")


async def verify_live(
    client: VideoClient,
    model: str,
    *,
    max_cost_usd: float,
    clock: Callable[[], float] = time.time,
) -> VerificationReport:
    """Make the smallest video that "backend" or "backend/model" makes, and report.

    Raises:
        BudgetExceededError: it would cost more, or nobody knows what; nothing was sent.
        RequestError: there is no such backend or model.
    """
    if not 0 <= max_cost_usd < math.inf:
        raise InvalidRequestError(f"--max-cost {max_cost_usd:g} is not an amount in USD")
    capabilities = await client.capabilities(model)
    request = smallest_request(capabilities).model_copy(
        update={"budget": Budget(max_cost_usd=max_cost_usd)}
    )
    began = clock()
    seen: list[JobEvent] = []
    with _exchanges(began) as wire:
        job = await client.generate(request, on_event=seen.append)
    times: dict[str, float] = {
        str(each.event.type): max(0.0, each.time.timestamp() - began) for each in reversed(seen)
    }
    return _redacted(_report(job, capabilities, tuple(wire), times, clock() - began), job, client)


def _report(
    job: VideoJob,
    capabilities: Capabilities,
    wire: tuple[Exchange, ...],
    events: dict[str, float],
    seconds: float,
) -> VerificationReport:
    record = read_record(job)
    video = job.artifacts[0] if job.artifacts else None
    return VerificationReport(
        backend=job.plan.backend,
        model=job.plan.model,
        proves=_proven(capabilities, wire) if job.status is JobStatus.COMPLETED else None,
        declared=capabilities.verification,
        status=job.status,
        software={} if record is None else record.lineage.software,
        asked=_in_short(job),
        adjusted=job.plan.adjustments,
        exchanges=wire,
        events=events,
        seconds=max(0.0, seconds),
        video=None if video is None else video.metadata,
        video_sha256=None if video is None else video.sha256,
        estimated_usd=job.plan.estimate.cost_usd,
        cost=Cost() if record is None else record.cost,
        warnings=job.warnings,
        error=job.error,
    )


def _proven(capabilities: Capabilities, wire: tuple[Exchange, ...]) -> Verification:
    """Return the level that a finished video proves; a simulator proves only itself."""
    today = datetime.now(UTC).date()
    if not wire:
        if capabilities.verification.level in _UNREAL:
            return capabilities.verification
        digest = (
            ""
            if capabilities.weights_sha256 is None
            else f", weights {capabilities.weights_sha256[:12]}"
        )
        return Verification(level=Level.LIVE, date=today, note=f"computed here{digest}")
    host = wire[0].address.partition("/")[0]
    simulator = _simulator_at(host)
    if simulator is not None:
        note = f"the simulator {simulator} on this machine answered, not the service"
        return Verification(level=Level.SIMULATOR, note=note)
    return Verification(level=Level.LIVE, date=today, note=f"{host} answered")


def _simulator_at(host: str) -> str | None:
    """Return the name of the simulator that listens here; only this machine is asked."""
    address = urlsplit(f"//{host}").hostname or ""
    try:
        if not is_loopback(address):
            return None
        url = f"http://{host}/__simulator__"
        with urllib.request.urlopen(url, timeout=_PATIENCE) as reply:
            return str(json.load(reply)["name"])
    except (OSError, ValueError, KeyError, TypeError):  # a real server, which knows no such page
        return None


@contextlib.contextmanager
def _exchanges(began: float) -> Iterator[list[Exchange]]:
    """Collect what httpx says of each reply; it tells method, address and status."""
    found: list[Exchange] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and len(record.args) == 5:
                method, url, _, status, _ = record.args
                at = max(0.0, record.created - began)
                found.append(_exchange(at, str(method), str(url), int(str(status))))

    logger, collector = logging.getLogger("httpx"), Collector(logging.INFO)
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield found
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)


def _exchange(at: float, method: str, url: str, status: int) -> Exchange:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = "/".join("{id}" if _AN_ID.fullmatch(each) else each for each in parts.path.split("/"))
    return Exchange(at=at, method=method, address=f"{host}{path}", status=status)


def _in_short(job: VideoJob) -> dict[str, str]:
    request = job.plan.request
    said = {
        "prompt": request.storyboard()[0].prompt if request.storyboard() else None,
        "frames": request.num_frames,
        "fps": request.fps,
        "size": request.size or request.resolution or request.aspect_ratio,
        "seed": request.seed,
        "inputs": len(request.inputs) or None,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def _redacted(report: VerificationReport, job: VideoJob, client: VideoClient) -> VerificationReport:
    """Return the report without the id of the work, and without a key that a service repeats."""
    if job.ref is not None and report.exchanges:
        report = _without(report, job.ref.operation_id, "{id}")
    key = client.find_key(job.plan.backend).key
    return report if key is None else _without(report, key.get_secret_value(), "***")


def _without(report: VerificationReport, text: str, shown: str) -> VerificationReport:
    quoted = json.dumps(text)[1:-1]
    return VerificationReport.model_validate_json(report.model_dump_json().replace(quoted, shown))
