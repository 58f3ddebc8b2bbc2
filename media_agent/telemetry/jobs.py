"""Tells of one run of a job: a line per change of its state, spans, and metrics.

Ids, names and numbers alone: no prompt, no address, and no message of an error, which may quote
them.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from media_agent.telemetry import names
from media_agent.telemetry.instruments import instruments
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    JobEvent,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import JobStatus, VideoJob

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_LOGGER = logging.getLogger("media_agent.jobs")
_NANOSECONDS = 10**9


def tell_start(job: VideoJob, started: JobEvent) -> None:
    """Tell that a job began which no run looks after: it waits for a service in a heap."""
    JobTelemetry(job).hear(started.event, started.time)


def tell_handover(job_id: str, place: str) -> None:
    """Tell that a job is queued again, for whoever worked on it at `place` does so no more."""
    _LOGGER.info("job %s: queued again, %s no longer works on it", job_id, place)


class JobTelemetry:
    """Hears what a run of a job comes to, in order."""

    def __init__(self, job: VideoJob) -> None:
        self._job = job
        self._status = job.status
        self._instruments = instruments()
        self._root: Span | None = None
        self._stage: Span | None = None
        self._chunk_began = time.monotonic()
        self._stage_began = time.monotonic()

    @property
    def _labels(self) -> dict[str, str]:
        plan = self._job.plan
        return {names.BACKEND: plan.backend, names.MODEL: plan.model, **names.GENERATES_VIDEO}

    def follow(self, job: VideoJob) -> None:
        """Tell of the plan that the job follows now: another backend may have taken it."""
        self._job = job
        if self._root is not None:
            self._root.set_attributes(self._labels)

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Be the context in which the run takes place: what it calls belongs to its span."""
        if self._instruments is None:
            yield
            return
        waits = self._status is JobStatus.QUEUED
        start = int(self._job.created_at.timestamp() * _NANOSECONDS) if waits else None
        labels = {**self._labels, names.JOB_ID: self._job.id}
        tracer = self._instruments.tracer
        with tracer.start_as_current_span(
            names.JOB,
            attributes=labels,
            start_time=start,
            record_exception=False,
            set_status_on_exception=False,
        ) as self._root:
            self._open(names.QUEUE if waits else names.GENERATE, start=start)
            try:
                yield
            finally:
                if self._stage is not None:
                    self._stage.end()

    def hear(self, event: BackendEvent, when: datetime) -> None:
        """Hear an event that was kept."""
        match event:
            case JobStarted() if self._status is JobStatus.QUEUED:
                self._become(JobStatus.IN_PROGRESS)
                self._measure(names.QUEUE_DURATION, (when - self._job.created_at).total_seconds())
                self._open(names.GENERATE)
            case ChunkReady():
                self._hear_chunk(event)
            case _ if isinstance(event, TerminalEvent):
                self._end(event, when)
            case _:
                pass

    def deliver(self, end: TerminalEvent) -> None:
        """Hear that the backend is through, and that what it made is delivered now."""
        self._measure(names.GENERATE_DURATION, time.monotonic() - self._stage_began)
        for phase, seconds in end.timing.phases.items():
            self._measure(names.PHASE_DURATION, seconds, {names.PHASE: phase})
        self._open(names.DELIVER)

    def _hear_chunk(self, event: ChunkReady) -> None:
        now = time.monotonic()
        self._measure(names.CHUNK_DURATION, now - self._chunk_began)
        self._chunk_began = now
        if self._stage is not None:
            self._stage.add_event(names.CHUNK, {names.CHUNK_INDEX: event.index})

    def _end(self, end: TerminalEvent, when: datetime) -> None:
        status = JobStatus(end.type.removeprefix("job."))
        error = getattr(end, "error", None)
        fault = {} if error is None else {names.ERROR: error.code}
        usd = self._job.quote_usd if end.cost is None else end.cost.usd
        said = "" if error is None else f", {error.code}"
        frames = _count_frames(end)
        said += "" if frames is None else f", {frames} frames"
        self._become(status, said)
        self._measure(names.DELIVER_DURATION, time.monotonic() - self._stage_began)
        seconds = (when - self._job.created_at).total_seconds()
        self._measure(names.JOB_DURATION, seconds, {names.STATUS: status.value, **fault})
        is_counted = not self._job.plan.segments  # which are jobs of their own
        if self._instruments is not None and is_counted:
            self._instruments.frames.add(frames or 0, self._labels)
            if usd is not None and (end.cost is not None or status is JobStatus.COMPLETED):
                self._instruments.usd.add(usd, self._labels)
        if self._root is not None:
            self._root.set_attributes({names.STATUS: status.value, **fault})
            if error is not None:
                from opentelemetry.trace import StatusCode

                self._root.set_status(StatusCode.ERROR, error.code)

    def _become(self, status: JobStatus, said: str = "") -> None:
        _LOGGER.info(
            "job %s: %s -> %s, %s/%s%s",
            self._job.id,
            self._status.value,
            status.value,
            self._job.plan.backend,
            self._job.plan.model,
            said,
        )
        self._status = status

    def _measure(self, name: str, seconds: float, more: Mapping[str, str] | None = None) -> None:
        if self._instruments is not None:  # a clock that was set back measures nothing
            self._instruments.seconds[name].record(
                max(seconds, 0.0), {**self._labels, **(more or {})}
            )

    def _open(self, stage: str, *, start: int | None = None) -> None:
        """End the stage before, and begin one."""
        self._stage_began = self._chunk_began = time.monotonic()
        if self._stage is not None:
            self._stage.end()
        if self._instruments is not None and self._root is not None:
            self._stage = self._instruments.tracer.start_span(stage, start_time=start)


def _count_frames(end: TerminalEvent) -> int | None:
    """Return the frames that were delivered: as the backend says, else as probed from the file."""
    if end.frames is not None or not end.artifacts:
        return end.frames
    video = end.artifacts[0].metadata
    return None if video is None else video.frames
