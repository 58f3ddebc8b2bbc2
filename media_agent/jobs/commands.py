"""Whether a running job takes a command."""

from media_agent.errors import InvalidRequestError, JobError, UnsupportedRequestError
from media_agent.negotiation.draft import NegotiationDraft
from media_agent.negotiation.prompts import resolve_prompts
from media_agent_schemas.capabilities import Capabilities, Control
from media_agent_schemas.jobs import ChangePrompt, Finish, VideoJob
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import VideoRequest


def check_command(
    command: ChangePrompt | Finish,
    job: VideoJob,
    capabilities: Capabilities,
    *,
    allow_unknown_words: bool = False,
) -> None:
    """Refuse what would come to nothing, as far as it can be told from here.

    Raises:
        JobError: the job is over.
        UnsupportedRequestError: its model does not take the command, or not this prompt.
        InvalidRequestError: the chunk is finished already, or not in the video.
    """
    if job.status.is_terminal:
        raise JobError(
            f"job {job.id} is {job.status}: its video can no longer change",
            hint=f"media-agent branch {job.id} makes a new video that starts with this one",
        )
    who = f"{capabilities.backend}/{capabilities.model}"
    if Control(command.type) not in capabilities.controls:
        taken = ", ".join(capabilities.controls) or "no commands"
        raise UnsupportedRequestError(
            f"{who} takes no {command.type} for job {job.id}", hint=f"it takes {taken}"
        )
    if isinstance(command, Finish):
        return
    asked = VideoRequest(prompt=command.prompt)
    check_prompts(asked, capabilities, allow_unknown_words=allow_unknown_words)
    if isinstance(command.at, int) and command.at < job.chunks_ready:
        raise InvalidRequestError(
            f"chunk {command.at} of job {job.id} is finished; {job.chunks_ready} are",
            hint="use next for the first chunk not yet started",
        )
    chunks = _chunks_of(job, capabilities)
    if isinstance(command.at, int) and chunks is not None and command.at >= chunks:
        raise InvalidRequestError(
            f"job {job.id} has no chunk {command.at}: it has {chunks}, counted from 0",
            hint=f"use next; once it is done, media-agent extend {job.id} makes it longer",
        )


def check_prompts(
    request: VideoRequest, capabilities: Capabilities, *, allow_unknown_words: bool = True
) -> None:
    """Refuse words that a model cannot be given as they are.

    Raises:
        UnsupportedRequestError: they are too long, or it does not know them.
    """
    draft = NegotiationDraft(request, capabilities, Policy.STRICT)
    resolve_prompts(draft, allow_unknown_words=allow_unknown_words)
    if draft.mismatches:
        raise UnsupportedRequestError(
            f"{capabilities.backend}/{capabilities.model} cannot be given these words",
            mismatches=draft.mismatches,
        )


def _chunks_of(job: VideoJob, capabilities: Capabilities) -> int | None:
    """Return how many chunks a video will have, None where that cannot be told."""
    frames, fps = job.plan.request.num_frames, job.plan.request.fps
    if frames is None or fps is None or capabilities.chunk_seconds is None:
        return None
    return -(-frames // max(1, round(capabilities.chunk_seconds * fps)))
