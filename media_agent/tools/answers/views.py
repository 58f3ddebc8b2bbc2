"""What the job tools answer: the little that an agent needs, each with the next thing to do."""

from collections.abc import Sequence
from datetime import UTC
from itertools import chain
from typing import Self

from pydantic import Field

from media_agent.routing.explain import describe_changes
from media_agent.shorten import shorten_to_line
from media_agent.tools.answers.fitting import LARGEST_ANSWER, choose_fitting, shorten_texts
from media_agent.wording import info_to_tools, to_tools
from media_agent_schemas.base import Schema
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, JobSummary, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

_NEXT = {
    JobStatus.QUEUED: "call wait_video with job_id JOB_ID",
    JobStatus.IN_PROGRESS: "call wait_video with job_id JOB_ID",
    JobStatus.COMPLETED: "call get_video with contact_sheet true to judge the video, then use it",
    JobStatus.FAILED: "read error; to try again, at its full price, call create_video with another "
    "idempotency_key",
    JobStatus.CANCELLED: "read warnings; to generate it after all, at its full price, call "
    "create_video with another idempotency_key",
    JobStatus.OUTCOME_UNKNOWN: "do not create it again: it may exist and be paid; read error, and "
    "let a person run media-agent jobs resume JOB_ID, which pays for nothing twice",
}
_PARTS_ARE_KEPT = (
    "do not create it again: finished segments are kept and paid for; let a person run media-agent "
    "jobs resume JOB_ID, which generates the rest"
)
_NOBODY_WORKS = (
    "do not create it again, and do not wait: no process works on it, and it could not be "
    "resumed; let a person run media-agent jobs resume JOB_ID, which says why"
)
NO_SHEET = "no contact sheet"
_LARGEST = LARGEST_ANSWER - 300  # characters; `with_image` says a little more
_PROMPT_SHOWN = 60  # characters
_ENDED_SHORT = (JobStatus.FAILED, JobStatus.CANCELLED)


_JOB_DETAILS = ((20, 400), (8, 200), (3, 120), (1, 60), (0, 60))
"""Adjustments and warnings shown, characters of a text: as many as fit."""


class JobView(Schema):
    """How a job stands."""

    job_id: str = Field(description="ID to pass to the other tools.")
    status: JobStatus = Field(description="State of the job.")
    finished: bool = Field(description="True when the job has ended.")
    progress: float | None = Field(default=None, description="0 to 1; null: unknown.")
    phase: str | None = Field(default=None, description="Current phase of the work.")
    made_by: str = Field(description="Backend and model.")
    verification: str | None = Field(default=None, description="How far that backend was checked.")
    cost_usd: float | None = Field(default=None, description="Planned price; null: unknown.")
    video: str | None = Field(default=None, description="The file, when it is finished.")
    partial_video: str | None = Field(
        default=None, description="The frames of a video that broke off."
    )
    contact_sheet: str | None = Field(default=None, description="Image with frames of the video.")
    image: str | None = Field(
        default=None, description="The contact sheet, to be shown; only when it was asked for."
    )
    record: str | None = Field(
        default=None, description="Exactly what was asked, sent and delivered."
    )
    seconds: float | None = Field(default=None, description="Length of the video.")
    frame_size: str | None = Field(default=None, description="Size of its frames.")
    adjustments: tuple[str, ...] = Field(default=(), description="Differences from the request.")
    warnings: tuple[str, ...] = Field(default=(), description="Warnings to consider.")
    cancelled: str | None = Field(
        default=None, description="What a cancel stopped, and what may still be billed."
    )
    error: ErrorInfo | None = Field(default=None, description="Why the video is missing.")
    next: str = Field(description="Next step.")

    def shorten(self, texts: int, length: int) -> Self:
        """Return the same with fewer and shorter texts."""
        shorter: dict[str, object] = {
            "adjustments": shorten_texts(self.adjustments, texts, length),
            "warnings": shorten_texts(self.warnings, texts, length),
        }
        if self.error is not None:
            shorter["error"] = shorten_info(self.error, 2 * length)
        return self.model_copy(update=shorter)

    def with_image(self) -> Self:
        """Return the same with the contact sheet as an image; without one, with the reason."""
        if self.contact_sheet is not None:
            shown = {"image": self.contact_sheet, "next": "judge whether it shows what was asked"}
            return self.model_copy(update=shown)
        if any(each.startswith(NO_SHEET) for each in self.warnings):
            return self
        reason = f"{NO_SHEET}: the video is {'missing' if self.finished else 'not finished yet'}"
        return self.model_copy(update={"warnings": (*self.warnings, reason)})


def view_job(job: VideoJob, *, verification: str | None = None, is_moving: bool = True) -> JobView:
    """Return what an agent sees of a job; of one that no process works on it says what to do."""
    view = _view_whole(job, verification, is_moving=is_moving)
    return choose_fitting(chain((view,), (view.shorten(*each) for each in _JOB_DETAILS)), _LARGEST)


def _view_whole(job: VideoJob, verification: str | None, *, is_moving: bool) -> JobView:
    video = _find_video(job, ArtifactKind.VIDEO)
    partial = _find_video(job, ArtifactKind.PARTIAL_VIDEO)
    sheet = _find_video(job, ArtifactKind.CONTACT_SHEET)
    facts = None if video is None else video.metadata
    return JobView(
        job_id=job.id,
        status=job.status,
        finished=job.status.is_terminal,
        progress=job.progress,
        phase=None if job.status.is_terminal else job.phase,
        made_by=f"{job.plan.backend}/{job.plan.model}",
        verification=verification,
        cost_usd=job.plan.estimate.cost_usd,
        video=None if video is None else video.path,
        partial_video=None if partial is None else partial.path,
        contact_sheet=None if sheet is None else sheet.path,
        record=job.record_path,
        seconds=None if facts is None else facts.duration,
        frame_size=None if facts is None else f"{facts.width}x{facts.height}",
        adjustments=tuple(describe_changes(job.plan)),
        warnings=tuple(map(to_tools, job.warnings)),
        cancelled=None if job.cancellation is None else job.cancellation.said,
        error=None if job.error is None else info_to_tools(job.error),
        next=_suggest_next(job, is_moving=is_moving),
    )


def _suggest_next(job: VideoJob, *, is_moving: bool) -> str:
    said = _NEXT[job.status]
    if job.plan.segments and job.status in _ENDED_SHORT:
        said = _PARTS_ARE_KEPT
    elif not job.status.is_terminal and not is_moving:
        said = _NOBODY_WORKS
    return said.replace("JOB_ID", job.id)


class ListedJob(Schema):
    """One line of a list of jobs."""

    job_id: str = Field(description="ID to pass to the other tools.")
    status: JobStatus = Field(description="State of the job.")
    made_by: str = Field(description="Backend and model.")
    created: str = Field(description="When, in UTC.")
    prompt: str = Field(description="Beginning of its prompt.")
    cost_usd: float | None = Field(default=None, description="Cost so far; null: unknown.")


class JobListView(Schema):
    """A page of jobs, newest first."""

    jobs: tuple[ListedJob, ...] = Field(description="Newest first.")
    next: str | None = Field(default=None, description="How to list older ones; null: no more.")


def view_jobs(jobs: Sequence[JobSummary], most: int) -> JobListView:
    """Return the first of some jobs, a line each: `most` of them, or as many as fit."""
    listed = tuple(_list_job(job) for job in jobs[:most])
    has_more = len(jobs) > most
    pages = (_build_page(listed, end, has_more) for end in range(len(listed), 0, -1))
    return choose_fitting(pages) if listed else JobListView(jobs=())


def _build_page(listed: tuple[ListedJob, ...], end: int, has_more: bool) -> JobListView:
    is_whole = end == len(listed) and not has_more
    older = None if is_whole else f"call list_videos with before {listed[end - 1].job_id}"
    return JobListView(jobs=listed[:end], next=older)


def _list_job(job: JobSummary) -> ListedJob:
    return ListedJob(
        job_id=job.id,
        status=job.status,
        made_by=f"{job.backend}/{job.model}",
        created=f"{job.created_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        prompt=shorten_to_line(job.title, _PROMPT_SHOWN),
        cost_usd=job.cost_usd,
    )


def shorten_info(error: ErrorInfo, length: int) -> ErrorInfo:
    """Return an error with texts of at most this length."""
    hint = None if error.hint is None else shorten_to_line(error.hint, length)
    message = shorten_to_line(error.message, length)
    return error.model_copy(update={"message": message, "hint": hint})


def _find_video(job: VideoJob, kind: ArtifactKind) -> Artifact | None:
    return next((each for each in job.artifacts if each.kind is kind), None)
