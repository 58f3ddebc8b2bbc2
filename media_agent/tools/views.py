"""What the tools answer: the little that an agent needs, each with the next thing to do."""

from pydantic import Field

from media_agent.errors import in_full
from media_agent.routing.explain import describe_changes
from media_agent_schemas.base import Schema
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind
from media_agent_schemas.plan import Candidate, PlanReport

_NEXT = {
    JobStatus.QUEUED: "call wait_video",
    JobStatus.IN_PROGRESS: "call wait_video",
    JobStatus.COMPLETED: "look at contact_sheet to judge the video, then use video",
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
_ENDED_SHORT = (JobStatus.FAILED, JobStatus.CANCELLED)


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
    record: str | None = Field(
        default=None, description="Exactly what was asked, sent and delivered."
    )
    seconds: float | None = Field(default=None, description="Length of the video.")
    frame_size: str | None = Field(default=None, description="Size of its frames.")
    adjustments: tuple[str, ...] = Field(default=(), description="Differences from the request.")
    warnings: tuple[str, ...] = Field(default=(), description="Warnings to consider.")
    error: ErrorInfo | None = Field(default=None, description="Why the video is missing.")
    next: str = Field(description="Next step.")


def view_job(job: VideoJob, *, verification: str | None = None, is_moving: bool = True) -> JobView:
    """Return what an agent sees of a job; of one that no process works on it says what to do."""
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
        warnings=job.warnings,
        error=job.error,
        next=_suggest_next(job, is_moving=is_moving),
    )


def _suggest_next(job: VideoJob, *, is_moving: bool) -> str:
    said = _NEXT[job.status]
    if job.plan.segments and job.status in _ENDED_SHORT:
        said = _PARTS_ARE_KEPT
    elif not job.status.is_terminal and not is_moving:
        said = _NOBODY_WORKS
    return said.replace("JOB_ID", job.id)


class OptionView(Schema):
    """Somebody who could make the video."""

    model: str = Field(description='Pass this as "model" to choose it.')
    cost_usd: float | None = Field(
        default=None, description="Price; null: unknown, which is not free."
    )
    seconds: float | None = Field(
        default=None, description="Time until the video is ready; null: unknown."
    )
    method: str = Field(description="single, endless, extend or chain: how the length is reached.")
    seams: int = Field(default=0, description="Cuts between segments.")
    verification: str = Field(description="How far this backend was checked.")
    local: bool = Field(default=False, description="Runs on this machine.")
    adjustments: tuple[str, ...] = Field(
        default=(), description="What would differ from the request."
    )
    reasons: tuple[str, ...] = Field(default=(), description="Reasons for its rank.")


class RefusalView(Schema):
    """Somebody who could not, and why."""

    model: str = Field(description="Backend and model.")
    reasons: tuple[str, ...] = Field(description="Why not, and the fix where there is one.")


class PlanView(Schema):
    """Who would make the video, who else could, and who could not."""

    summary: str = Field(description="The plan in a sentence.")
    chosen: OptionView | None = Field(default=None, description="What create_video would do.")
    others: tuple[OptionView, ...] = Field(
        default=(), description="Other backends that could, best first."
    )
    refused: tuple[RefusalView, ...] = Field(default=(), description="Backends that cannot.")
    next: str = Field(description="Next step.")


def view_plan(report: PlanReport, *, others: tuple[Candidate, ...] = ()) -> PlanView:
    """Return what an agent sees of a plan, with others who were asked for comparison."""
    known = {each.name for each in report.candidates}
    candidates = (*report.candidates, *(each for each in others if each.name not in known))
    chosen = report.chosen
    able = [
        _view_option(each) for each in candidates if each.rank is not None and each is not chosen
    ]
    return PlanView(
        summary=report.summary,
        chosen=None if chosen is None else _view_option(chosen),
        others=tuple(able),
        refused=tuple(_view_refusal(each) for each in candidates if each.rank is None),
        next=_suggest_after_plan(chosen is not None, bool(able)),
    )


def _suggest_after_plan(has_chosen: bool, has_others: bool) -> str:
    if has_chosen:
        return "call create_video with the same arguments, or with the model of another option"
    if has_others:
        return "call create_video with the model of one of the others"
    return "change the request as the reasons say"


def _view_option(candidate: Candidate) -> OptionView:
    return OptionView(
        model=candidate.name,
        cost_usd=candidate.estimate.cost_usd,
        seconds=candidate.estimate.seconds,
        method=candidate.method,
        seams=candidate.seams,
        verification=str(candidate.verification),
        local=candidate.local,
        adjustments=() if candidate.plan is None else tuple(describe_changes(candidate.plan)),
        reasons=candidate.reasons,
    )


def _view_refusal(candidate: Candidate) -> RefusalView:
    reasons = tuple(in_full(info) for info in candidate.refusals)
    return RefusalView(model=candidate.name, reasons=reasons or candidate.reasons)


def _find_video(job: VideoJob, kind: ArtifactKind) -> Artifact | None:
    return next((each for each in job.artifacts if each.kind is kind), None)
