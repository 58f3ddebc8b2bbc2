"""Builds the record beside a film from what the job went through."""

import hashlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from media_agent.errors import StorageError
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import ChunkReady, Cost, JobEvent, PromptChanged, TerminalEvent
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, MediaInput, VideoMetadata
from media_agent_schemas.records import GenerationRecord, Lineage, ShotRecord, Times

_FALLBACK_FPS = 24.0
_STATUS = {
    "job.completed": JobStatus.COMPLETED,
    "job.failed": JobStatus.FAILED,
    "job.cancelled": JobStatus.CANCELLED,
    "job.outcome_unknown": JobStatus.OUTCOME_UNKNOWN,
}


def build_record(
    job: VideoJob,
    end: TerminalEvent,
    *,
    capabilities: Capabilities,
    events: Iterable[JobEvent],
    finished_at: datetime,
    resumed_from: int | None = None,
) -> GenerationRecord:
    """Say what was asked, adjusted, sent and delivered; `end` carries the collected artifacts."""
    sent = job.plan.request
    delivered = _delivered(end.artifacts)
    frames = 0 if delivered is None else delivered.frames
    planned = sent.num_frames
    return GenerationRecord(
        job_id=job.id,
        status=_STATUS[end.type],
        backend=job.plan.backend,
        kind=capabilities.kind,
        model=end.model or job.plan.model,
        weights_sha256=end.weights_sha256 or capabilities.weights_sha256,
        verification=end.verification or capabilities.verification,
        asked=job.request,
        adjusted=job.plan.adjustments,
        sent=sent,
        delivered=delivered,
        shots=tuple(_shots(job, end, events, frames)),
        seed=sent.seed if end.seed is None else end.seed,
        artifacts=end.artifacts,
        frames_planned=planned,
        frames_delivered=frames,
        fraction_delivered=None if planned is None else min(1.0, frames / planned),
        times=Times(
            created_at=job.created_at,
            finished_at=finished_at,
            seconds=max(0.0, (finished_at - job.created_at).total_seconds()),
            backend=end.timing,
        ),
        cost=end.cost or Cost(),
        lineage=Lineage(
            resumed_from_chunk=resumed_from,
            inputs=tuple(_digest(medium) for medium in sent.inputs),
            software=_software(),
        ),
        warnings=(*job.plan.warnings, *end.warnings),
        error=getattr(end, "error", None),
    )


def _delivered(artifacts: Sequence[Artifact]) -> VideoMetadata | None:
    return next((film.metadata for film in artifacts if film.metadata is not None), None)


def _shots(
    job: VideoJob,
    end: TerminalEvent,
    events: Iterable[JobEvent],
    frames: int,
) -> Iterator[ShotRecord]:
    """Yield the stretches under one prompt each, as far as the film goes."""
    fps = job.plan.request.fps or _FALLBACK_FPS
    length = frames / fps
    cuts = list(_prompts(job, end))
    for start, prompt in _steered(events, fps):
        cuts = [cut for cut in cuts if cut[0] < start]
        cuts.append((start, None, prompt))
    ends = [*(start for start, _, _ in cuts[1:]), length]
    for (start, asked, sent), until in zip(cuts, ends, strict=True):
        if start < length:
            yield ShotRecord(
                prompt_asked=asked, prompt_sent=sent, start=start, end=min(until, length)
            )


def _prompts(job: VideoJob, end: TerminalEvent) -> Iterator[tuple[float, str | None, str]]:
    """Yield start, prompt asked and prompt sent of every planned shot."""
    asked, planned = job.request.storyboard(), job.plan.request.storyboard()
    sent = end.prompts_sent or tuple(shot.prompt for shot in planned)
    start = 0.0
    for shot, plan, words in zip(asked, planned, sent, strict=False):
        yield start, shot.prompt, words
        start += plan.duration or 0.0


def _steered(events: Iterable[JobEvent], fps: float) -> Iterator[tuple[float, str]]:
    """Yield start and prompt of every change made while the film was running."""
    starts, changes = [0], []
    for numbered in events:
        match numbered.event:
            case ChunkReady(frames=frames):
                starts.append(starts[-1] + frames)
            case PromptChanged(chunk=chunk, prompt=prompt):
                changes.append((chunk, prompt))
            case _:
                pass
    for chunk, prompt in changes:
        if chunk < len(starts):
            yield starts[chunk] / fps, prompt


def _digest(medium: MediaInput) -> str | None:
    if medium.data is not None:
        return hashlib.sha256(medium.data).hexdigest()
    if medium.path is None:
        return None
    try:
        with Path(medium.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"the input {medium.path} cannot be read: {error.strerror}") from error


def _software() -> dict[str, str]:
    try:
        own = version("media-agent")
    except PackageNotFoundError:
        own = "unknown"
    return {"media-agent": own, "python": platform.python_version(), "system": platform.platform()}
