"""Builds the record beside a video from what the job went through."""

import logging
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from media_agent.distribution import own_version
from media_agent.ingest.digests import find_digest
from media_agent.validation import in_words
from media_agent_schemas.capabilities import FALLBACK_FPS, Capabilities
from media_agent_schemas.events import ChunkReady, Cost, JobEvent, PromptChanged, TerminalEvent
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, VideoMetadata
from media_agent_schemas.plan import Origin
from media_agent_schemas.policies import PolicyNote
from media_agent_schemas.quality import QualityReport, Remake, ScoreSpread
from media_agent_schemas.records import (
    GenerationRecord,
    Lineage,
    Refusal,
    SeamRecord,
    ShotRecord,
    Times,
)

_LOGGER = logging.getLogger(__name__)
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
    inputs: Mapping[str, str],
    cost: Cost,
    resumed_from: int | None = None,
    resumed_exactly: bool | None = None,
    seams: tuple[SeamRecord, ...] = (),
    quality: QualityReport | None = None,
    spread: tuple[ScoreSpread, ...] = (),
    remakes: tuple[Remake, ...] = (),
    policies: tuple[PolicyNote, ...] = (),
    key_name: str | None = None,
    refused: tuple[Refusal, ...] = (),
) -> GenerationRecord:
    """Say what was asked, adjusted, sent and delivered; `end` carries the collected artifacts.

    `inputs` are the digests of the files that went in, taken when they were read; `policies` what
    was said of the result.
    """
    sent = job.plan.request
    delivered = _find_delivered(end.artifacts)
    frames = 0 if delivered is None else delivered.frames
    joined = end.artifacts[0].joined if end.artifacts else None
    new = frames if joined is None else joined.new_frames
    before = 0.0 if joined is None else joined.seconds
    planned, origin = sent.num_frames, job.plan.origin
    shots = shots_of(job, events, new, sent=end.prompts_sent)
    return GenerationRecord(
        job_id=job.id,
        status=_STATUS[end.type],
        backend=job.plan.backend,
        kind=capabilities.kind,
        model=end.model or job.plan.model,
        key_name=key_name,
        refused=refused,
        weights_sha256=end.weights_sha256 or capabilities.weights_sha256,
        licence=capabilities.licence,
        verification=end.verification or capabilities.verification,
        asked=job.request,
        adjusted=job.plan.adjustments,
        policies=(*job.plan.policies, *policies),
        sent=sent,
        delivered=delivered,
        shots=tuple(_shift(shot, before) for shot in shots),
        seams=seams,
        quality=quality,
        spread=spread,
        remakes=remakes,
        seed=sent.seed if end.seed is None else end.seed,
        artifacts=end.artifacts,
        frames_planned=planned,
        frames_delivered=frames,
        fraction_delivered=None if planned is None else min(1.0, new / planned),
        times=Times(
            created_at=job.created_at,
            finished_at=finished_at,
            seconds=max(0.0, (finished_at - job.created_at).total_seconds()),
            backend=end.timing,
        ),
        cost=cost,
        cancellation=getattr(end, "cancellation", None),
        lineage=Lineage(
            parent_job=None if origin is None else origin.job_id,
            parent_chunk=None if origin is None else origin.chunk,
            resumed_from_chunk=resumed_from,
            resumed_exactly=resumed_exactly,
            inputs=tuple(find_digest(medium, inputs) for medium in sent.inputs),
            software=_software(),
            computation=end.computation,
        ),
        warnings=tuple(dict.fromkeys((*job.warnings, *end.warnings))),
        error=getattr(end, "error", None),
    )


def read_record(job: VideoJob) -> GenerationRecord | None:
    """Return the record of a job; None where it has none, or none that can be read."""
    if job.record_path is None:
        return None
    try:
        return GenerationRecord.model_validate_json(Path(job.record_path).read_bytes())
    except OSError:
        return None
    except ValidationError as error:
        reason = in_words(error, GenerationRecord)
        _LOGGER.warning("the record %s cannot be read: %s", job.record_path, reason)
        return None


def _shift(shot: ShotRecord, seconds: float) -> ShotRecord:
    """Return a shot of the new part at its place behind the source."""
    end = None if shot.end is None else shot.end + seconds
    return shot.model_copy(update={"start": shot.start + seconds, "end": end})


def _find_delivered(artifacts: Sequence[Artifact]) -> VideoMetadata | None:
    return next((video.metadata for video in artifacts if video.metadata is not None), None)


def shots_of(
    job: VideoJob,
    events: Iterable[JobEvent],
    frames: int,
    *,
    sent: tuple[str, ...] | None = None,
) -> Iterator[ShotRecord]:
    """Yield the stretches of the first `frames` frames under one prompt each, steered or planned.

    `sent` is what the model read instead of the planned prompts.
    """
    fps = job.plan.request.fps or FALLBACK_FPS
    length = frames / fps
    cuts = list(_prompts(job, sent))
    for start, prompt in _list_steered(events, fps, job.plan.origin):
        cuts = [cut for cut in cuts if cut[0] < start]
        cuts.append((start, None, prompt))
    ends = [*(start for start, _, _ in cuts[1:]), length]
    for (start, asked, words), until in zip(cuts, ends, strict=True):
        if start < length:
            yield ShotRecord(
                prompt_asked=asked, prompt_sent=words, start=start, end=min(until, length)
            )


def _prompts(
    job: VideoJob, sent: tuple[str, ...] | None
) -> Iterator[tuple[float, str | None, str]]:
    """Yield start, prompt asked and prompt sent of every planned shot."""
    asked, planned = job.request.storyboard(), job.plan.request.storyboard()
    sent = sent or tuple(shot.prompt for shot in planned)
    start = 0.0
    for shot, plan, words in zip(asked, planned, sent, strict=False):
        yield start, shot.prompt, words
        start += plan.duration or 0.0


def _list_steered(
    events: Iterable[JobEvent], fps: float, origin: Origin | None
) -> Iterator[tuple[float, str]]:
    """Yield start and prompt of every change made while the video was running, in its order."""
    starts = {0: 0} if origin is None else {origin.kept_chunks: origin.kept_frames}
    changes: dict[int, str] = {}
    for numbered in events:
        match numbered.event:
            case ChunkReady(index=index, frames=frames):
                starts[index + 1] = starts.get(index, 0) + frames
            case PromptChanged(chunk=chunk, prompt=prompt):
                changes[chunk] = prompt
            case _:
                pass
    for chunk, prompt in sorted(changes.items()):
        if chunk in starts:
            yield starts[chunk] / fps, prompt


def _software() -> dict[str, str]:
    own = own_version() or "unknown"
    return {"media-agent": own, "python": platform.python_version(), "system": platform.platform()}
