"""A job as a video of OpenAI's API: four states outside, all of ours in `media_agent`.

A stopped job is `failed` there, with the code job_cancelled. A job of unknown outcome stays
`in_progress`: it may exist and be paid for, and clients buy again what has failed. It says so in
`error`, and is polled slowly.
"""

from media_agent.errors import in_one_sentence
from media_agent.routing.explain import describe_changes
from media_agent.server.jobs.verdict import was_accepted, was_billed
from media_agent.server.openai.wire import JobDetails, Video, WireError
from media_agent.server.wording import info_to_http, to_http
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

REMIXED_FROM = "remixed_from_video_id"
"""The label of a request that says which video it was made from."""

_STATES = {
    JobStatus.QUEUED: "queued",
    JobStatus.IN_PROGRESS: "in_progress",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
    JobStatus.OUTCOME_UNKNOWN: "in_progress",
}
_NEXT = {
    JobStatus.QUEUED: "GET /v1/videos/{id} until it is completed; do not create it again",
    JobStatus.IN_PROGRESS: "GET /v1/videos/{id} until it is completed; do not create it again",
    JobStatus.COMPLETED: "GET /v1/videos/{id}/content",
    JobStatus.FAILED: "read error; POST /v1/videos makes it again, at its full price",
    JobStatus.CANCELLED: "POST /v1/videos makes it after all, at its full price",
    JobStatus.OUTCOME_UNKNOWN: "do not create it again: it may exist and be paid for; "
    "POST /v1/jobs/{id}/reconcile asks the provider",
}
_SLOWEST_MS = 60_000
_UNKNOWN_MS = 60_000


def view_video(job: VideoJob) -> Video:
    """Return what a client of OpenAI's API sees of a job."""
    completed = job.status is JobStatus.COMPLETED
    return Video(
        id=job.id,
        model=f"{job.plan.backend}/{job.plan.model}",
        status=_STATES[job.status],
        progress=100 if completed else min(99, int(100 * (job.progress or 0))),
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.updated_at.timestamp()) if completed else None,
        prompt="\n".join(job.request.prompts()) or None,
        size=_size_of(job),
        seconds=_seconds_of(job),
        remixed_from_video_id=_source_of(job),
        error=_error_of(job),
        media_agent=_details_of(job),
    )


def choose_pause(job: VideoJob) -> int:
    """Return in how many milliseconds a look at a job may show something new."""
    if job.status is JobStatus.OUTCOME_UNKNOWN:
        return _UNKNOWN_MS
    seconds = job.plan.estimate.seconds
    if seconds is None:
        return 5000 if job.plan.estimate.cost_usd else 1000
    return round(min(_SLOWEST_MS, max(250.0, 1000 * seconds / 20)))


def find_videos(job: VideoJob) -> list[Artifact]:
    """Return the whole videos of a job, in order."""
    return [each for each in job.artifacts if each.kind is ArtifactKind.VIDEO]


def _details_of(job: VideoJob) -> JobDetails:
    return JobDetails(
        status=job.status,
        backend=job.plan.backend,
        model=job.plan.model,
        progress=job.progress,
        phase=None if job.status.is_terminal else job.phase,
        chunks_ready=job.chunks_ready,
        frames_ready=job.frames_ready,
        adjustments=[to_http(each) for each in describe_changes(job.plan)],
        warnings=[to_http(each) for each in job.warnings],
        seed=job.plan.request.seed,
        quote_usd=job.quote_usd,
        cost_usd=job.cost_usd,
        cost_source=job.cost_source,
        label=job.label,
        videos=len(find_videos(job)),
        retryable=None if job.error is None else job.error.retryable,
        provider_code=None if job.error is None else job.error.provider_code,
        accepted=was_accepted(job),
        billed=was_billed(job),
        next=_NEXT[job.status].format(id=job.id),
        record_url=None if job.record_path is None else f"/v1/jobs/{job.id}/record",
        events_url=f"/v1/jobs/{job.id}/events",
    )


def _error_of(job: VideoJob) -> WireError | None:
    error = job.error
    if job.status is JobStatus.CANCELLED:
        error = ErrorInfo(code="job_cancelled", message="the video was stopped on request")
    if error is None:
        return None
    error = info_to_http(error)
    return WireError(code=error.code, message=in_one_sentence(error))


def _size_of(job: VideoJob) -> str:
    facts = next((each.metadata for each in find_videos(job) if each.metadata), None)
    if facts is not None:
        return f"{facts.width}x{facts.height}"
    request = job.plan.request
    if request.size is not None:
        return str(request.size)
    return "auto" if request.resolution is None else request.resolution.value


def _seconds_of(job: VideoJob) -> str:
    facts = next((each.metadata for each in find_videos(job) if each.metadata), None)
    seconds = job.plan.request.seconds() if facts is None else facts.duration
    if seconds is None:  # it is endless, or as long as the model likes
        seconds = job.frames_ready / (job.plan.request.fps or 24)
    return f"{round(seconds, 3):g}"


def _source_of(job: VideoJob) -> str | None:
    if job.plan.origin is not None:
        return job.plan.origin.job_id
    return job.request.labels.get(REMIXED_FROM)
