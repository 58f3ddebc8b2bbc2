"""Jobs that cannot be continued from their state: the video that they delivered is continued."""

import asyncio
from dataclasses import dataclass

from media_agent.errors import JobError
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch_state import can_branch, whole_chunks
from media_agent.storage.destination import is_there
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.plan import Adjustment, Plan
from media_agent_schemas.request import VideoMode

_FIELD = "inputs[0]"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The video of a job, as the source of its continuation."""

    path: str
    model: str | None
    """What continues it unless another is named: its own model; None: that continues no videos."""
    maker: str
    """The backend that made it."""
    own_id: str | None
    """What the service behind that backend calls it."""
    note: Adjustment
    """What was done, for the plan and the record."""
    warnings: tuple[str, ...] = ()

    def own_id_for(self, model: str | None) -> str | None:
        """Return its id for whoever continues it; None: another backend did not make it."""
        is_maker = model is not None and model.partition("/")[0] == self.maker
        return self.own_id if is_maker else None

    def note_in(self, plan: Plan) -> Plan:
        """Return a plan that says what is continued."""
        adjustments, warnings = (self.note, *plan.adjustments), (*plan.warnings, *self.warnings)
        return plan.model_copy(update={"adjustments": adjustments, "warnings": warnings})


async def find_delivered(job_id: str, context: JobContext) -> Delivered | None:
    """Return the video to continue of a job that has no state for that; None: it has one.

    Raises:
        JobError: it has no video, or none any more.
    """
    store = context.store
    job = store.jobs.get(job_id)
    capabilities = (await context.open_backend(job.plan)).capabilities(job.plan.model)
    keeps_states = can_branch(capabilities)
    if keeps_states and whole_chunks(store, job, capabilities) > 0:
        return None
    model = f"{capabilities.backend}/{capabilities.model}"
    why = f"{model} keeps no state to continue from"
    if keeps_states:
        why = f"job {job.id} has no complete chunk to continue from"
    path = await _find_video(job, why)
    continued = "its delivered video is continued, from its last frames"
    note = Adjustment(field=_FIELD, asked=_name(job.id), used=path, reason=f"{why}: {continued}")
    warnings: tuple[str, ...] = ()
    if job.plan.request.n > 1:
        warnings = (f"job {job.id} made {job.plan.request.n} videos; this continues the first",)
    own_id = job.artifacts[0].own_id if job.artifacts else None
    follower = model if _continues_videos(capabilities) else None
    return Delivered(path, follower, capabilities.backend, own_id, note, warnings)


def find_source(plan: Plan, job_id: str) -> str | None:
    """Return the file that a plan continues in place of the state of this job; None: it does not.

    It says so itself: by now that job and its file may be gone.
    """
    for each in plan.adjustments:
        if each.field == _FIELD and each.asked == _name(job_id):
            return str(each.used)
    return None


async def _find_video(job: VideoJob, why: str) -> str:
    video = job.artifacts[0] if job.artifacts else None
    if video is not None and video.path is not None:
        if await asyncio.to_thread(is_there, video):
            return video.path
        what = f"its video {video.path} is gone or was changed"
    else:
        what = "it has no video" if job.status.is_terminal else "it has no video yet"
    raise JobError(
        f"{why}, and {what}",
        hint="media-agent extend FILE continues any video from its frames",
    )


def _continues_videos(capabilities: Capabilities) -> bool:
    return VideoMode.VIDEO_EXTEND in capabilities.modes


def _name(job_id: str) -> str:
    return f"job {job_id}"
